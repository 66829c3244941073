/* SPDX-License-Identifier: MIT */
/*
 * The zones of a disk: where each may be written, in which condition it is, and how many may be open
 * or active at once.  Pure: it moves no data, and whoever calls holds the disk's lock.
 *
 *	          write, open                 close
 *	EMPTY  ----------------->  open  ----------------->  CLOSED  (EMPTY, if nothing is written)
 *	  ^                      IMPLICIT   <-----------------  |
 *	  |                      EXPLICIT      write, open       |
 *	  | reset                   | finish, written to the end | finish
 *	  +------------------------ v -------------------------- v
 *	                           FULL
 *
 * An open zone and a closed one are active.  At the limit of open zones the one that was opened
 * implicitly first is closed, if there is any; active zones stay until somebody resets or finishes
 * them.
 *
 * Writes.  The write pointer goes ahead when a write is taken, so that the next one may follow while it
 * is in flight; @done goes ahead when a write has succeeded.  A write that fails takes the pointer back
 * to its beginning if none was taken behind it; and when nothing is in flight any more in a zone,
 * the pointer is where the last success ended.  So after failures the pointer tells the truth for
 * what is behind it: nothing is written there.  In front of it there may be a gap, of a write that
 * failed while one behind it succeeded: its contents are undefined.
 *
 * Commands that take a zone's contents away own it: they wait until no write is in flight, and what
 * comes meanwhile waits for them.
 */
#ifndef STORAGE_LAYER_ZONE_MAP_H
#define STORAGE_LAYER_ZONE_MAP_H

#include "base/list.h"
#include "storage/storage.h"

#define ZONES_MAX (1u << 20)
/* Somebody owns the zone: come again when that is over. */
#define ZONES_WAIT 1

struct zone {
	uint64_t wp;   /* bytes from its start: what was taken */
	uint64_t done; /* what has succeeded; never behind wp  */
	uint32_t in_flight;
	uint8_t condition;
	const void *owner;
	struct list open; /* in implicit, while in that condition */
};

struct zone_map {
	struct storage_zone_limits limits;
	uint64_t disk_size;
	uint64_t capacity; /* of a zone; of the last one perhaps less */
	uint32_t n, conventional;
	bool one_write; /* at a time in each zone: what is below keeps no order */

	struct zone *zone;
	uint32_t open, active;
	struct list implicit; /* oldest first */
	const void *owner;    /* of all */
	uint32_t owned;	      /* zones that have one  */
	uint64_t in_flight;   /* writes, in all zones */
};

/* The fields above @zone are filled in.  0 or -ENOMEM; all sequential zones are empty. */
int zone_map_init(struct zone_map *t);
void zone_map_fini(struct zone_map *t);

static inline uint32_t zone_map_at(const struct zone_map *t, uint64_t offset)
{
	return (uint32_t)(offset / t->limits.size);
}
static inline uint64_t zone_map_start(const struct zone_map *t, uint32_t i)
{
	return i * t->limits.size;
}
uint64_t zone_map_capacity(const struct zone_map *t, uint32_t i);
/* Fills in @z of zone @i. */
void zone_map_tell(const struct zone_map *t, uint32_t i, struct storage_zone *z);

/* A zone as it was found: @wp bytes are written.  After zone_map_init(), before all else. */
void zone_map_load(struct zone_map *t, uint32_t i, uint8_t condition, uint64_t wp);

/*
 * What [offset, offset + len) is: the zone (@i), or -STORAGE_EZONE_COMMAND if it crosses a border that
 * it must not cross.  *plain: conventional zones alone, of which nothing is to be known.
 */
int zone_map_range(const struct zone_map *t, uint64_t offset, uint64_t len, uint32_t *i,
		   bool *plain);
/* Bytes from @offset on that have been written; -STORAGE_EZONE_COMMAND: it cannot be read. */
int64_t zone_map_readable(const struct zone_map *t, uint32_t i, uint64_t offset);

/* ---- writes ---- */

/* At the write pointer, wherever that is. */
#define ZONES_APPEND UINT64_MAX

struct zone_write {
	uint32_t i;
	uint64_t at, len; /* from the zone's start */
	bool again;	  /* of a record: all of it was done already */
};

/*
 * Takes a write of zone @w->i, of @w->len bytes from @w->at on, which ZONES_APPEND fills in.
 * @w->again: it may have been done.  0, ZONES_WAIT or an error; *closed: the zone that was closed for
 * it, or the same zone.
 */
int zone_map_write_begin(struct zone_map *t, struct zone_write *w, uint32_t *closed);
/* Will @done be another, and the zone full? */
void zone_map_write_forecast(const struct zone_map *t, const struct zone_write *w, uint64_t *done,
			     uint8_t *condition);
/* true: somebody may wait for that. */
bool zone_map_write_end(struct zone_map *t, const struct zone_write *w, int err);

/* ---- commands ---- */

/* 0, ZONES_WAIT, -STORAGE_EZONE_*: OPEN, CLOSE and FINISH are carried out, and RESET may be. */
int zone_map_own(struct zone_map *t, uint32_t i, const void *owner);
void zone_map_disown(struct zone_map *t, uint32_t i, const void *owner);
/* All of them; 0 or ZONES_WAIT. */
int zone_map_own_all(struct zone_map *t, const void *owner);
void zone_map_disown_all(struct zone_map *t, const void *owner);

int zone_map_open(struct zone_map *t, uint32_t i, uint32_t *closed);
/* @again: it may have been done. */
int zone_map_close(struct zone_map *t, uint32_t i, bool again);
/* Owned, as what follows. */
int zone_map_finish(struct zone_map *t, uint32_t i);
/* Whether it can be reset at all. */
int zone_map_may_reset(const struct zone_map *t, uint32_t i);
void zone_map_reset(struct zone_map *t, uint32_t i);

#endif
