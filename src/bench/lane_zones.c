/* SPDX-License-Identifier: MIT */
/* What a lane does otherwise where zones are filled. */
#include "bench/lane.h"

#include "base/bits.h"
#include "bench/survey.h"

#include <errno.h>
#include <inttypes.h>

int lane_zones_init(struct lane *l, const struct survey *survey, struct error *err)
{
	int rc = zonebook_init(&l->zones, l->job, survey->zones, survey->n, l->pattern.begin,
			       l->pattern.end, survey->width, err);

	if (!rc && l->job->once)
		l->pattern.bytes = zonebook_bytes(&l->zones);
	return rc;
}

/* ---- before ---- */

bool lane_zone_chore(struct lane *l, struct slot *s)
{
	static const enum job_op ops[] = {
		[ZONE_RESET] = JOB_RESET,
		[ZONE_FINISH] = JOB_FINISH,
		[ZONE_LOOK] = JOB_REPORT,
	};
	enum zone_need what;

	s->zone = zonebook_chore(&l->zones, &what);
	if (!s->zone)
		return false;
	s->access = (struct access){.op = ops[what], .offset = s->zone->start};
	return true;
}

bool lane_zone_take(struct lane *l, struct slot *s)
{
	uint32_t len = s->access.len;

	s->zone = zonebook_take(&l->zones, &s->access.len, &s->access.offset);
	/* What the zone has no room for is another request's. */
	if (s->zone && l->job->once)
		l->pattern.bytes += len - s->access.len;
	return s->zone != NULL;
}

/*
 * An append does not know its sectors beforehand.  Its stamps tell the zone, the place in the unit,
 * and a number that no other unit of this queue has; where the disk says that it lies, that number
 * has to be.
 */
void lane_append_stamp(struct lane *l, struct slot *s)
{
	const uint32_t unit = l->ledger.unit, units = s->access.len / unit;

	if (l->serial > LEDGER_GENERATIONS - units)
		l->serial = 0;
	s->serial = l->serial + 1;
	l->serial += units;
	for (uint32_t at = 0; at < s->access.len; at += SECTOR_SIZE) {
		struct stamp stamp = {
			.sector = (s->access.offset + at % unit) / SECTOR_SIZE,
			.run = l->run,
			.generation = s->serial + at / unit,
		};

		stamp_write(s->buf + at, &stamp);
	}
}

struct stamp lane_append_stamped(const struct lane *l, uint64_t offset, uint32_t at)
{
	return (struct stamp){
		.sector = (offset - offset % l->job->zone_bytes + at) / SECTOR_SIZE,
		.run = l->run,
		.generation = ledger_generation(&l->ledger, offset - at),
	};
}

void lane_zone_submit(struct lane *l, struct slot *s)
{
	const uint64_t offset = s->access.offset;
	uint32_t left = s->access.len;
	unsigned n = 0;

	switch (s->access.op) {
	case JOB_APPEND:
		if (left <= l->segment) {
			ringside_zone_append(l->q, &s->req, offset, s->buf, left, &s->place);
			return;
		}
		for (; left; n++) {
			uint32_t len = left < l->segment ? left : l->segment;

			s->iov[n] = (struct iovec){s->buf + (s->access.len - left), len};
			left -= len;
		}
		ringside_zone_appendv(l->q, &s->req, offset, s->iov, n, &s->place);
		return;
	case JOB_RESET:
		ringside_zone_reset(l->q, &s->req, offset);
		return;
	case JOB_FINISH:
		ringside_zone_finish(l->q, &s->req, offset);
		return;
	default:
		s->n = 1;
		ringside_zone_report(l->q, &s->req, offset, &s->now, &s->n);
		return;
	}
}

/* ---- after ---- */

static void written(struct lane *l, const struct slot *s)
{
	const struct access *a = &s->access;
	const uint64_t place = a->op == JOB_APPEND ? s->place : a->offset;
	struct error why = {""};

	if (!zonebook_wrote(&l->zones, s->zone, place, a->len))
		error_set(&why, -EIO,
			  "an append of %u bytes to the zone at offset %" PRIu64
			  " is said to lie at %" PRIu64 ", where none can.",
			  a->len, a->offset, place);
	else if (!l->job->verify)
		return;
	else if (a->op == JOB_WRITE)
		ledger_wrote(&l->ledger, place, a->len);
	else if (!ledger_put(&l->ledger, place, a->len, s->serial))
		error_set(&why, -EIO,
			  "an append to the zone at offset %" PRIu64 " is said to lie at %" PRIu64
			  ", where another one lies.",
			  a->offset, place);
	if (why.text[0]) {
		l->bad++;
		lane_bad(l, &why);
	}
}

static void looked(struct lane *l, const struct slot *s)
{
	struct error why = {""};
	uint64_t end = s->zone->next;
	bool found;

	if (zonebook_looked(&l->zones, s->zone, &s->now, &found, &why)) {
		l->bad++;
		lane_bad(l, &why);
	} else if (found && l->job->verify) {
		ledger_wrote(&l->ledger, s->zone->lost, (uint32_t)(end - s->zone->lost));
	}
}

/* The back end went away in between: it may have been done before, so that it fails now. */
static bool may_have_been_done(const struct lane *l, const struct slot *s)
{
	const int rc = s->req.result;

	if (s->holds == gate_holds(l->gate))
		return false;
	return s->access.op == JOB_APPEND
		       ? rc == -EIO
		       : s->access.op == JOB_WRITE && (rc == -ESPIPE || rc == -EBADRQC);
}

static void forget_zone(struct lane *l, const struct zone *z)
{
	const uint32_t most = (UINT32_C(1) << 30) / l->ledger.unit * l->ledger.unit;

	for (uint64_t at = z->start; at < z->end;) {
		uint32_t len = (uint32_t)min_u64(z->end - at, most);

		ledger_forget(&l->ledger, at, len);
		at += len;
	}
}

bool lane_zone_done(struct lane *l, struct slot *s)
{
	const struct access *a = &s->access;

	if (a->op == JOB_FLUSH)
		return !s->req.result;
	if (s->req.result) {
		if (!may_have_been_done(l, s))
			return false;
		zonebook_lost(&l->zones, s->zone, a->offset);
		return true;
	}
	switch (a->op) {
	case JOB_REPORT:
		looked(l, s);
		break;
	case JOB_RESET:
		if (l->job->verify)
			forget_zone(l, s->zone);
		zonebook_did(&l->zones, s->zone);
		break;
	case JOB_FINISH:
		zonebook_did(&l->zones, s->zone);
		break;
	default:
		written(l, s);
		break;
	}
	return true;
}

/* ---- reading back ---- */

void lane_append_bad(struct lane *l, const void *sector, uint64_t offset, enum stamp_state state)
{
	static const char *const holds[] = {
		[STAMP_UNTOUCHED] = "the read succeeded and brought nothing",
		[STAMP_ZEROES] = "nothing but zeroes is there",
		[STAMP_NONE] = "what is there was not written by --verify",
		[STAMP_DAMAGED] = "what is there is damaged",
		[STAMP_MISPLACED] =
			"what is there is of another zone, or of another place in a block",
		[STAMP_OTHER_RUN] = "what is there was written by an earlier run",
		[STAMP_OLD] = "an append that came before it is there",
		[STAMP_NEW] = "an append that came after it is there",
	};
	struct error why;

	(void)sector;
	error_set(&why, -EIO,
		  "an append to the zone at offset %" PRIu64
		  " does not lie where the disk said it does: %s.",
		  offset - offset % l->job->zone_bytes, holds[state]);
	lane_bad(l, &why);
}

void lane_zone_cut(struct lane *l, struct access *a)
{
	uint64_t end = (a->offset / l->job->zone_bytes + 1) * l->job->zone_bytes;

	if (a->offset + a->len <= end)
		return;
	a->len = (uint32_t)(end - a->offset);
	l->check_at = end;
}
