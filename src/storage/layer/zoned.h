/* SPDX-License-Identifier: MIT */
/*
 * zoned: a host-managed zoned disk on any storage (zoned=host-managed).
 *
 *	zone_map.h        what the zones are and what may be done with them   under the lock
 *	zone_state.h   the file that keeps them                            under the lock
 *	zoned.c        requests                                            channels' threads
 *
 *	write, append   taken by zone_map_write_begin(), sent below at the write pointer; when it has
 *	                succeeded its end is in the file, then the device is told
 *	flush           below first, then the file is synced; so is a write with FUA
 *	finish          in the file, then the device is told; stable by a flush
 *	reset           in the file, synced, then the space is given back below, then the zone is
 *	                empty and the device is told: what is written next meets nothing of before, and
 *	                a host that fails in between does not show the old pointer over new data
 *
 * What is behind the write pointer is never read below: it is zeroes.  After a crash of the host a write
 * pointer is anything between where it was flushed and the end of the last write that had
 * succeeded; what lies between the two may be zeroes or what was there before.  After a kill of
 * this program it is the end of the last write that had succeeded.  Writes that come again
 * from an in-flight record (STORAGE_AGAIN) and lie in front of the pointer are written once more,
 * where they were, and succeed.
 *
 * Requests that find a zone owned wait in their channel's list; whoever ends the ownership rings.
 *
 * Threads: channels share the zones under the lock, in which no other lock is taken.
 */
#ifndef STORAGE_LAYER_ZONED_H
#define STORAGE_LAYER_ZONED_H

#include "base/log.h"
#include "storage/bounce.h"
#include "storage/layer/layer.h"
#include "storage/layer/zone_state.h"

struct zoned {
	struct layer layer;
	struct storage *file; /* the state's, to sync it; NULL: none */
	char *path;	      /* its; NULL: nothing is kept */
	uint64_t discard;     /* bytes that can be given back at a time; 0: none */

	pthread_mutex_t lock; /* protects what follows */
	struct zone_map zones;
	struct zone_state state;
	uint64_t stored, synced; /* changes of the file */
	unsigned waiting;	 /* requests in the channels' lists */
	struct log_limit complaints;
};

struct zoned_channel {
	struct layer_channel ch;
	struct storage_channel *file;
	struct list waiting;
	struct list going; /* those that waited, while they are begun */
	bool is_going;
};

extern const struct layer_channel_ops zoned_channel_ops;

struct zoned_io {
	struct layer_io l;
	struct list link; /* in the channel's waiting */
	struct zone_write w;
	struct storage_io sync;
	uint64_t synced; /* what a sync under way covers */
	void (*then)(struct zoned_io *z, int err);

	/* READ: what is in front of the write pointer, of the caller's vector. */
	struct iov_window window;
	uint64_t part;

	/* RESET, RESET_ALL: zones [i, last), what is given back up to @end. */
	uint32_t i, last;
	uint64_t end;
	bool sending, under_way;
};

static inline struct zoned *zoned_of(const struct storage *s)
{
	return container_of(layer_of(s), struct zoned, layer);
}

#endif
