/* SPDX-License-Identifier: MIT */
/* The job, held against the disk. */
#include "bench/job.h"

#include "bench/stamp.h"

#include <errno.h>
#include <inttypes.h>

const char *job_op_name(enum job_op op)
{
	static const char *const names[] = {"read",   "write", "discard", "flush",
					    "append", "reset", "finish",  "report"};

	return names[op];
}

/* What a queue's share of the disk is a multiple of. */
static uint64_t share_unit(const struct job *job)
{
	return job->zones ? job->zone_bytes : job->size_unit;
}

/* The limits of a zoned disk, and shares of whole zones. */
static int fit_zones(struct job *job, const struct ringside_info *info, struct error *err)
{
	if (!info->zone_model)
		return error_set(err, -ENOTSUP, "the disk has no zones.");
	job->zone_bytes = (uint64_t)info->zone_sectors * SECTOR_SIZE;
	if (job->zones == JOB_ZONE_APPEND && !info->max_append_sectors)
		return error_set(err, -ENOTSUP, "the disk takes no appends.");
	if (job->zones == JOB_ZONE_APPEND && job->size_max / SECTOR_SIZE > info->max_append_sectors)
		return error_set(err, -ERANGE,
				 "the disk appends at most %" PRIu64 " bytes at once.",
				 (uint64_t)info->max_append_sectors * SECTOR_SIZE);
	if (job->size_unit % info->write_granularity)
		return error_set(err, -EINVAL,
				 "the disk is written by %u bytes; --bs must be a multiple.",
				 info->write_granularity);
	if (job->zone_bytes % job->size_unit || job->offset % job->zone_bytes)
		return error_set(err, -EINVAL,
				 "the disk's zones have %" PRIu64
				 " bytes, which --bs must divide, and --offset be a multiple of.",
				 job->zone_bytes);
	return 0;
}

static int fit_range(struct job *job, const struct ringside_info *info, struct error *err)
{
	uint64_t need = job->size_max;

	if (job->offset >= info->capacity)
		return error_set(err, -ERANGE,
				 "--offset is %" PRIu64 ", where the disk's %" PRIu64
				 " bytes have ended.",
				 job->offset, info->capacity);
	if (job->size > info->capacity - job->offset)
		return error_set(err, -ERANGE,
				 "--offset and --size end at %" PRIu64 " and the disk has %" PRIu64
				 " bytes.",
				 job->offset + job->size, info->capacity);
	if (!job->size)
		job->size = info->capacity - job->offset;
	/* Shares are whole units; each holds the largest block. */
	if (job->size / job->queues / share_unit(job) * share_unit(job) < need)
		return error_set(err, -ERANGE,
				 "%" PRIu64 " bytes for %u queue%s are too few for %s of %" PRIu64
				 "; give a larger --size or a smaller --bs.",
				 job->size, job->queues, job->queues == 1 ? "" : "s",
				 job->zones ? "zones" : "blocks",
				 job->zones ? job->zone_bytes : need);
	return 0;
}

int job_fit(struct job *job, const struct ringside_info *info, struct error *err)
{
	uint64_t segment = info->max_segment_bytes ? info->max_segment_bytes : UINT32_MAX;
	uint64_t segments = (job->size_max + segment - 1) / segment;
	int rc;

	if (job->queues && job->queues > info->queues)
		return error_set(err, -ENOTSUP, "the disk has %u queue%s, not %u.", info->queues,
				 info->queues == 1 ? "" : "s", job->queues);
	job->queues = info->queues;
	if (job->writes && info->readonly)
		return error_set(err, -EROFS,
				 "the disk is read-only; nothing but --rw=read and "
				 "--rw=randread can be done.");
	if (job->discard_percent && !info->max_discard_sectors)
		return error_set(err, -ENOTSUP, "the disk offers no discard.");
	if (info->block_size &&
	    (job->size_unit % info->block_size || job->offset % info->block_size))
		return error_set(
			err, -EINVAL,
			"the disk's blocks have %u bytes; --bs and --offset must be multiples.",
			info->block_size);
	rc = job->zones ? fit_zones(job, info, err) : 0;
	if (rc)
		return rc;
	if (info->max_segments && segments > info->max_segments)
		return error_set(err, -ERANGE,
				 "the disk takes %u buffers of %" PRIu64
				 " bytes in a request, too few for --bs of %u.",
				 info->max_segments, segment, job->size_max);
	rc = fit_range(job, info, err);
	if (rc)
		return rc;
	if (job->discard_percent && job->size_max / SECTOR_SIZE > info->max_discard_sectors)
		return error_set(err, -ERANGE, "the disk discards at most %u bytes at once.",
				 info->max_discard_sectors * SECTOR_SIZE);
	if (job->ios && job->ios < job->queues)
		return error_set(err, -EINVAL,
				 "--ios=%" PRIu64 " is less than one for each of %u queues.",
				 job->ios, job->queues);
	return 0;
}

void job_share(const struct job *job, unsigned index, uint64_t *begin, uint64_t *end, uint64_t *ios)
{
	const uint64_t unit = share_unit(job);
	uint64_t units = job->size / unit / job->queues;
	uint64_t each = job->ios / job->queues, rest = job->ios % job->queues;

	*begin = job->offset + index * units * unit;
	*end = *begin + units * unit;
	*ios = job->ios ? each + (index < rest) : UINT64_MAX;
}
