/* SPDX-License-Identifier: MIT */
#include "bench/zonebook.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* ---- set-up ---- */

static bool can_be_filled(const struct ringside_zone *z)
{
	return (z->type == RINGSIDE_ZONE_SEQUENTIAL || z->type == RINGSIDE_ZONE_PREFERRED) &&
	       z->state != RINGSIDE_ZONE_READ_ONLY && z->state != RINGSIDE_ZONE_OFFLINE;
}

static void zonebook_work(struct zonebook *zs, struct zone *z)
{
	z->working = true;
	z->need = z->next == z->end ? ZONE_RESET : ZONE_READY;
	zs->working[zs->n_working++] = z;
}

static void zonebook_add(struct zonebook *zs, const struct ringside_zone *from)
{
	struct zone *z = &zs->zone[zs->n];

	*z = (struct zone){
		.start = from->start,
		.end = from->start + from->capacity / zs->unit * zs->unit,
		.full = from->start + from->capacity,
	};
	if (z->start == z->end)
		return;
	zs->n++;
	/* A pointer between two units: as good as full, the next reset mends it. */
	z->next = from->write_pointer;
	if (z->next > z->end || (z->next - z->start) % zs->unit)
		z->next = z->end;
	z->done = z->next;
	if (z->next > z->start && z->next < z->end && zs->n_working < zs->width)
		zonebook_work(zs, z);
}

int zonebook_init(struct zonebook *zs, const struct job *job, const struct ringside_zone *from,
		  uint32_t n, uint64_t begin, uint64_t end, uint32_t width, struct error *err)
{
	*zs = (struct zonebook){.kind = job->zones, .unit = job->size_unit, .width = width};
	zs->zone = calloc(n, sizeof(*zs->zone));
	zs->working = calloc(width, sizeof(*zs->working));
	if (!zs->zone || !zs->working)
		return error_set(err, -ENOMEM, "no memory for %u zones", n);
	for (uint32_t i = 0; i < n; i++)
		if (from[i].start >= begin && from[i].start < end && can_be_filled(&from[i]))
			zonebook_add(zs, &from[i]);
	if (!zs->n)
		return error_set(err, -ENOENT,
				 "none of the zones from %" PRIu64 " to %" PRIu64
				 " is one to be written sequentially.",
				 begin, end);
	return 0;
}

void zonebook_fini(struct zonebook *zs)
{
	free(zs->zone);
	free(zs->working);
	zs->zone = NULL;
	zs->working = NULL;
}

uint64_t zonebook_bytes(const struct zonebook *zs)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < zs->n; i++)
		sum += zs->zone[i].end - zs->zone[i].start;
	return sum;
}

/* ---- which one is next ---- */

static bool has_room(const struct zonebook *zs, const struct zone *z)
{
	return z->need == ZONE_READY && z->next < z->end &&
	       (zs->kind == JOB_ZONE_APPEND || !z->busy);
}

static struct zone *with_room(const struct zonebook *zs)
{
	for (uint32_t i = 0; i < zs->n_working; i++)
		if (has_room(zs, zs->working[i]))
			return zs->working[i];
	return NULL;
}

static struct zone *with_chore(const struct zonebook *zs)
{
	for (uint32_t i = 0; i < zs->n_working; i++)
		if (zs->working[i]->need != ZONE_READY && !zs->working[i]->busy)
			return zs->working[i];
	return NULL;
}

static struct zone *next_in_turn(struct zonebook *zs, bool full)
{
	for (uint32_t i = 0; i < zs->n; i++) {
		const uint32_t at = (zs->cursor + i) % zs->n;
		struct zone *z = &zs->zone[at];

		if (!z->working && (z->next == z->end) == full) {
			zs->cursor = (at + 1) % zs->n;
			return z;
		}
	}
	return NULL;
}

/* One more to work on: no full one while there are others. */
static void zonebook_pick(struct zonebook *zs)
{
	struct zone *z = next_in_turn(zs, false);

	if (!z)
		z = next_in_turn(zs, true);
	if (z)
		zonebook_work(zs, z);
}

static struct zone *room_now(struct zonebook *zs)
{
	struct zone *z = with_room(zs);

	if (!z && zs->n_working < zs->width)
		zonebook_pick(zs);
	return z ? z : with_room(zs);
}

struct zone *zonebook_chore(struct zonebook *zs, enum zone_need *what)
{
	struct zone *z;

	/* A zone is picked, and a full one lost, when it is needed and not before. */
	room_now(zs);
	z = with_chore(zs);
	if (!z)
		return NULL;
	*what = z->need;
	z->busy++;
	return z;
}

struct zone *zonebook_take(struct zonebook *zs, uint32_t *len, uint64_t *offset)
{
	struct zone *z = room_now(zs);

	if (!z)
		return NULL;
	*len = (uint32_t)min_u64(*len, z->end - z->next);
	*offset = zs->kind == JOB_ZONE_APPEND ? z->start : z->next;
	z->next += *len;
	z->busy++;
	z->touched = true;
	return z;
}

/* ---- what became of it ---- */

static void zonebook_leave(struct zonebook *zs, struct zone *z)
{
	uint32_t i = 0;

	while (zs->working[i] != z)
		i++;
	zs->working[i] = zs->working[--zs->n_working];
	z->working = false;
}

/* A request less in a zone that may be through. */
static void zonebook_settle(struct zonebook *zs, struct zone *z)
{
	z->busy--;
	if (z->busy || z->need != ZONE_READY || z->next < z->end)
		return;
	if (z->end < z->full && z->done < z->full)
		z->need = ZONE_FINISH;
	else
		zonebook_leave(zs, z);
}

void zonebook_did(struct zonebook *zs, struct zone *z)
{
	if (z->need == ZONE_RESET) {
		z->next = z->done = z->start;
	} else if (z->need == ZONE_FINISH) {
		z->next = z->end;
		z->done = z->full;
	}
	z->need = ZONE_READY;
	zonebook_settle(zs, z);
}

bool zonebook_wrote(struct zonebook *zs, struct zone *z, uint64_t place, uint32_t len)
{
	bool fits = place >= z->start && place <= z->end && len <= z->end - place &&
		    (place - z->start) % zs->unit == 0;

	if (fits)
		z->done = max_u64(z->done, place + len);
	zonebook_settle(zs, z);
	return fits;
}

void zonebook_lost(struct zonebook *zs, struct zone *z, uint64_t offset)
{
	z->lost = offset;
	z->need = ZONE_LOOK;
	zonebook_settle(zs, z);
}

/* A full zone has no pointer. */
static uint64_t pointer_of(const struct zone *z, const struct ringside_zone *now)
{
	return now->state == RINGSIDE_ZONE_FULL ? z->full : now->write_pointer;
}

int zonebook_looked(struct zonebook *zs, struct zone *z, const struct ringside_zone *now,
		    bool *found, struct error *err)
{
	uint64_t pointer = pointer_of(z, now);

	*found = zs->kind == JOB_ZONE_WRITE && pointer == z->next;
	if (pointer < z->done || pointer > z->next ||
	    (zs->kind == JOB_ZONE_WRITE && !*found && pointer != z->lost))
		return error_set(err, -EIO,
				 "the zone at offset %" PRIu64 " has its write pointer at %" PRIu64
				 ", and not between %" PRIu64 " and %" PRIu64
				 " where it must be after what was written.",
				 z->start, pointer, z->done, z->next);
	z->next = z->done = pointer;
	z->need = (pointer - z->start) % zs->unit ? ZONE_FINISH : ZONE_READY;
	zonebook_settle(zs, z);
	return 0;
}

int zonebook_compare(const struct zone *z, const struct ringside_zone *now, struct error *err)
{
	/* What was finished is full, wherever its data ends. */
	uint64_t wanted = max_u64(z->next, z->done);

	if (pointer_of(z, now) == wanted)
		return 0;
	return error_set(err, -EIO,
			 "the zone at offset %" PRIu64 " has its write pointer at %" PRIu64
			 ", and not at %" PRIu64 " where it must be after what was written.",
			 z->start, pointer_of(z, now), wanted);
}
