/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/feature.h"

#include "server/vfio_user/channel.h"

#include <errno.h>
#include <string.h>

#define HEAD ((uint32_t)sizeof(struct vfio_user_feature))

/* ---- the log ---- */

/*
 * The ranges may narrow what is logged; we log all memory that the device has.  They have to be
 * ranges, though.
 */
static int logging_start(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	const uint8_t *at = call->body + HEAD;
	uint32_t size = call->size - HEAD;
	struct vfio_user_logging_start start;
	int rc;

	if (size < sizeof(start))
		return -EINVAL;
	memcpy(&start, at, sizeof(start));
	if (!is_pow2(start.page_size) ||
	    start.ranges > (size - sizeof(start)) / sizeof(struct vfio_user_logging_range))
		return -EINVAL;
	for (uint32_t i = 0; i < start.ranges; i++) {
		struct vfio_user_logging_range r;

		memcpy(&r, at + sizeof(start) + i * sizeof(r), sizeof(r));
		if (!r.length || r.iova + (r.length - 1) < r.iova)
			return -EINVAL;
	}
	rc = vfio_user_dma_log_start(&d->dma);
	if (rc)
		return rc;
	memcpy(call->reply, call->body, call->size);
	start.page_size = GMEM_LOG_PAGE;
	memcpy(call->reply + HEAD, &start, sizeof(start));
	call->reply_size = call->size;
	call->moved = true;
	return 0;
}

static int logging_stop(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	int rc = vfio_user_dma_log_stop(&d->dma);

	if (rc)
		return rc;
	memcpy(call->reply, call->body, call->size);
	call->reply_size = call->size;
	call->moved = true;
	return 0;
}

static int logging_report(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	struct vfio_user_feature head;
	struct vfio_user_logging_report report;
	uint64_t bytes;

	if (call->size < HEAD + sizeof(report))
		return -EINVAL;
	memcpy(&head, call->body, HEAD);
	memcpy(&report, call->body + HEAD, sizeof(report));
	if (!d->dma.log || !is_pow2(report.page_size) || !report.length ||
	    (report.iova | report.length) % GMEM_LOG_PAGE ||
	    report.iova + (report.length - 1) < report.iova)
		return -EINVAL;
	bytes = ((report.length - 1) / report.page_size / 64 + 1) * sizeof(uint64_t);
	/* Nothing is taken out of the log that cannot be told. */
	if (bytes > VFIO_USER_BODY_MAX - HEAD - sizeof(report))
		return -E2BIG;
	call->reply_size = HEAD + (uint32_t)sizeof(report) + (uint32_t)bytes;
	if (head.argsz < call->reply_size)
		return -EINVAL;
	head.argsz = call->reply_size;
	memcpy(call->reply, &head, HEAD);
	memcpy(call->reply + HEAD, &report, sizeof(report));
	memset(call->reply + HEAD + sizeof(report), 0, bytes);
	gmem_log_take(d->dma.log, report.iova, report.length, report.page_size,
		      (uint64_t *)(void *)(call->reply + HEAD + sizeof(report)));
	return 0;
}

/* ---- migration ---- */

static int feature_data(struct vfio_user_feature_call *call, const void *data, uint32_t size)
{
	struct vfio_user_feature head;

	memcpy(&head, call->body, HEAD);
	if (head.argsz < HEAD + size)
		return -EINVAL;
	head.argsz = HEAD + size;
	memcpy(call->reply, &head, HEAD);
	memcpy(call->reply + HEAD, data, size);
	call->reply_size = head.argsz;
	return 0;
}

static int migration_get(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	const struct vfio_user_migration_flags can = {VFIO_USER_MIGRATION_STOP_COPY};

	(void)d;
	return feature_data(call, &can, sizeof(can));
}

static int state_get(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	const struct vfio_user_mig_state s = {.state = d->migration.state};

	return feature_data(call, &s, sizeof(s));
}

static int state_set(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	struct vfio_user_mig_state s;

	if (call->size < HEAD + sizeof(s))
		return -EINVAL;
	memcpy(&s, call->body + HEAD, sizeof(s));
	memcpy(call->reply, call->body, call->size);
	call->reply_size = call->size;
	return vfio_user_migration_set(&d->migration, s.state);
}

/* ---- the table ---- */

static const struct feature {
	int (*get)(struct vfio_user_device *d, struct vfio_user_feature_call *call);
	int (*set)(struct vfio_user_device *d, struct vfio_user_feature_call *call);
	bool of_migration;
} features[] = {
	[VFIO_USER_FEATURE_MIGRATION] = {migration_get, NULL, true},
	[VFIO_USER_FEATURE_MIG_STATE] = {state_get, state_set, true},
	[VFIO_USER_FEATURE_LOGGING_START] = {NULL, logging_start, false},
	[VFIO_USER_FEATURE_LOGGING_STOP] = {NULL, logging_stop, false},
	[VFIO_USER_FEATURE_LOGGING_REPORT] = {logging_report, NULL, false},
};

int vfio_user_feature(struct vfio_user_device *d, struct vfio_user_feature_call *call)
{
	struct vfio_user_feature head;
	const struct feature *f;
	uint32_t index;
	bool get, set;

	memcpy(&head, call->body, HEAD);
	index = head.flags & VFIO_USER_FEATURE_MASK;
	get = head.flags & VFIO_USER_FEATURE_GET;
	set = head.flags & VFIO_USER_FEATURE_SET;
	if (head.argsz < HEAD || head.flags & ~(VFIO_USER_FEATURE_MASK | VFIO_USER_FEATURE_GET |
						VFIO_USER_FEATURE_SET | VFIO_USER_FEATURE_PROBE))
		return -EINVAL;
	f = index < ARRAY_SIZE(features) ? &features[index] : NULL;
	if (f && f->of_migration && !vfio_user_migration_can(&d->migration))
		f = NULL;
	if (!f || (!f->get && !f->set) || (get && !f->get) || (set && !f->set))
		return -ENOTTY;
	if (head.flags & VFIO_USER_FEATURE_PROBE) {
		memcpy(call->reply, call->body, call->size);
		call->reply_size = call->size;
		return 0;
	}
	if (get == set)
		return -EINVAL;
	return get ? f->get(d, call) : f->set(d, call);
}
