/* SPDX-License-Identifier: MIT */
#include "bench/survey.h"

#include "base/bits.h"
#include "base/clock.h"
#include "bench/lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define LOOK_MS	  100
#define ZONES_MAX (UINT64_C(1) << 26)

static void answered(struct ringside_request *req)
{
	struct survey *s = req->opaque;

	s->done = true;
}

static void survey_ready(struct survey *s)
{
	s->req = (struct ringside_request){.done = answered, .opaque = s};
	s->done = false;
}

/* What was submitted is answered: its result. */
static int survey_wait(struct survey *s, struct ringside_queue *q, const struct job *job)
{
	uint64_t until = clock_ns() + job->timeout_ns;

	ringside_commit(q);
	while (!s->done) {
		int rc = ringside_wait(q, LOOK_MS);

		if (rc < 0)
			return rc;
		if (!rc && clock_ns() >= until)
			return -ETIMEDOUT;
	}
	return s->req.result;
}

static int report(struct survey *s, struct ringside_queue *q, const struct job *job,
		  const struct ringside_info *info, struct error *err)
{
	s->n = 0;
	for (uint64_t at = 0; at < info->capacity;) {
		const struct ringside_zone *last;
		int rc;

		survey_ready(s);
		s->got = RINGSIDE_ZONES_MAX;
		ringside_zone_report(q, &s->req, at, s->zones + s->n, &s->got);
		rc = survey_wait(s, q, job);
		if (rc)
			return error_set(err, rc,
					 "the report of zones from offset %" PRIu64 " failed", at);
		s->n += s->got;
		last = &s->zones[s->n - 1];
		at = last->start + last->size;
	}
	return 0;
}

static bool is_active(const struct ringside_zone *z)
{
	return z->state >= RINGSIDE_ZONE_IMPLICIT_OPEN && z->state <= RINGSIDE_ZONE_CLOSED;
}

/* Which queue's; queues: nobody's. */
static unsigned owner(const struct job *job, const struct ringside_zone *z)
{
	uint64_t begin, end, ios;

	for (unsigned i = 0; i < job->queues; i++) {
		job_share(job, i, &begin, &end, &ios);
		if (z->start >= begin && z->start < end)
			return i;
	}
	return job->queues;
}

/* How many zones all queues together may have open. */
static uint64_t room(const struct survey *s, const struct job *job,
		     const struct ringside_info *info)
{
	uint64_t active = 0, open = 0, limit = UINT32_MAX;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct ringside_zone *z = &s->zones[i];

		if (!is_active(z) || owner(job, z) < job->queues)
			continue;
		active++;
		/* One that a write opened is closed by the disk when another one is opened. */
		open += z->state == RINGSIDE_ZONE_EXPLICIT_OPEN;
	}
	if (info->max_open_zones)
		limit = info->max_open_zones > open ? info->max_open_zones - open : 0;
	if (info->max_active_zones)
		limit = min_u64(limit, info->max_active_zones > active
					       ? info->max_active_zones - active
					       : 0);
	return limit;
}

/* A zone that holds data is kept, as it is, as one of those that its queue works on. */
static bool can_stay(const struct job *job, const struct ringside_zone *z, uint32_t kept,
		     uint32_t width)
{
	return kept < width && z->write_pointer > z->start &&
	       (z->write_pointer - z->start) % job->size_unit == 0 &&
	       z->write_pointer < z->start + z->capacity / job->size_unit * job->size_unit;
}

static int finish_surplus(struct survey *s, struct ringside_queue *q, const struct job *job,
			  struct error *err)
{
	uint32_t *kept = calloc(job->queues, sizeof(*kept));
	int rc = 0;

	if (!kept)
		return error_set(err, -ENOMEM, "no memory for %u queues", job->queues);
	for (uint32_t i = 0; i < s->n && !rc; i++) {
		struct ringside_zone *z = &s->zones[i];
		unsigned queue = is_active(z) ? owner(job, z) : job->queues;

		if (queue == job->queues)
			continue;
		if (can_stay(job, z, kept[queue], s->width)) {
			kept[queue]++;
			continue;
		}
		survey_ready(s);
		ringside_zone_finish(q, &s->req, z->start);
		rc = survey_wait(s, q, job);
		if (rc)
			error_set(err, rc, "the finish of the zone at offset %" PRIu64 " failed",
				  z->start);
		z->state = RINGSIDE_ZONE_FULL;
		z->write_pointer = RINGSIDE_ZONE_NO_POINTER;
	}
	free(kept);
	return rc;
}

int survey_before(struct survey *s, struct ringside_queue *q, const struct job *job,
		  const struct ringside_info *info, struct error *err)
{
	uint64_t zones = (info->capacity + job->zone_bytes - 1) / job->zone_bytes, limit;
	/* append: the next zone is begun while the last ones of this one are under way. */
	uint64_t width = job->zones == JOB_ZONE_WRITE ? job->depth : 2;
	int rc;

	/* Room for one report more than fits, which no disk brings. */
	if (zones <= ZONES_MAX)
		s->zones = calloc(zones + RINGSIDE_ZONES_MAX, sizeof(*s->zones));
	if (zones > ZONES_MAX || !s->zones)
		return error_set(err, -ENOMEM, "no memory for %" PRIu64 " zones", zones);
	rc = report(s, q, job, info, err);
	if (rc)
		return rc;
	limit = room(s, job, info);
	s->width = (uint32_t)min_u64(width, limit / job->queues);
	if (!s->width)
		return error_set(err, -ENOTSUP,
				 "the disk can have %" PRIu64
				 " more zones open, too few for %u queues.",
				 limit, job->queues);
	return limit < UINT32_MAX ? finish_surplus(s, q, job, err) : 0;
}

static const struct ringside_zone *find(const struct survey *s, uint64_t start)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->zones[i].start == start)
			return &s->zones[i];
	return NULL;
}

int survey_after(struct survey *s, struct ringside_queue *q, const struct job *job,
		 const struct ringside_info *info, const struct lane *lanes, struct error *err)
{
	int rc = report(s, q, job, info, err);

	for (unsigned i = 0; i < job->queues && !rc; i++) {
		const struct zonebook *zs = &lanes[i].zones;

		for (uint32_t j = 0; j < zs->n && !rc; j++) {
			const struct zone *z = &zs->zone[j];
			const struct ringside_zone *now = find(s, z->start);

			if (z->touched && z->need != ZONE_LOOK && now)
				rc = zonebook_compare(z, now, err);
		}
	}
	return rc;
}

void survey_fini(struct survey *s)
{
	free(s->zones);
	s->zones = NULL;
}
