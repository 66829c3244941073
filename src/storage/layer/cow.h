/* SPDX-License-Identifier: MIT */
/*
 * cow: a base that is only read, and an overlay that takes all changes (cow_file.h).
 *
 *	read	each run of sectors from where the map says: base, overlay, or zeroes (cow_read.c)
 *	write	to its place in the overlay; when that is done, into the map, and that to COW_RECENT
 *	zeroes, discard		into the map; where there were data, their space is given back; then
 *		to COW_RECENT
 *	flush	to COW_STABLE; and so does a change that shall be stable (FUA), unless it is there
 *
 * What the map says already needs no such way: most requests are one request below.
 *
 * A map is written by cycles (cow_cycle.c), each for all who wait for it, on any channel.  Of each
 * image there is one cycle at a time, and those who come meanwhile share the next one:
 *
 *	COW_RECENT	take dirty pages -> write them -> ... -> told
 *	COW_STABLE	take dirty pages -> sync the overlay -> write them -> ... -> sync -> told
 *			     ^------------- more pages than a round takes ----'
 *
 * What a page of COW_STABLE says of data was done before the sync in front of it: so it never says
 * more than there is, whatever is lost when, and a map that could not be written is only older than
 * it should be.  Two syncs, because a file system writes in any order between two of them; where no
 * page is dirty there is one.
 *
 * A cycle that fails leaves its pages dirty, and the next one writes them anew.  Whether a sync may
 * succeed then the overlay's own engine knows (file_sync.h): after data were lost it fails each,
 * and the disk is spoiled.
 *
 * Threads: channels share the map, without locks, and the cycles, under the lock.
 */
#ifndef STORAGE_LAYER_COW_H
#define STORAGE_LAYER_COW_H

#include "storage/bounce.h"
#include "storage/layer/cow_file.h"
#include "storage/layer/cow_map.h"
#include "storage/layer/layer.h"

#define COW_MAP_IOS   16  /* writes of the map in flight         */
#define COW_MAP_RUN   64  /* pages in one of them                */
#define COW_MAP_ROUND 512 /* pages in a round: a millisecond */
/* Longest discard or zeroing: it is a change of the map, on the worker's thread. */
#define COW_MAX_RUN  (UINT64_C(256) << 20)

#define COW_PARTS    128 /* parts of reads in flight, by channel; more come one by one */
#define COW_PART_IOV 4

struct cow_io {
	struct layer_io l;
	uint64_t at;	    /* READ: up to there it was sent, or is done          */
	unsigned in_flight; /* READ: parts                                        */
	bool windowed;	    /* READ: one of them is by @window and l.io           */
	bool reading;	    /* READ: parts may be done before they have been sent */
	bool will_join;	    /* WRITE: a cycle that syncs follows in any case      */
	int err;	    /* READ; of the cycle                                 */
	struct iov_window window;
	void (*then)(struct cow_io *c, int err);
};

/* A part of a read, beside others of it. */
struct cow_part {
	struct storage_io io;
	struct cow_io *owner;
	struct cow_part *next;
	struct iovec iov[COW_PART_IOV];
};

struct cow_fifo {
	struct layer_io *head, *tail;
};

struct cow_channel {
	struct layer_channel ch;
	struct storage_channel *overlay;
	struct cow_part parts[COW_PARTS], *idle_parts;
	/* Under the disk's lock: */
	struct cow_fifo told;	/* their cycle is over */
	bool leads[COW_IMAGES]; /* the next cycle      */
};

struct cow_map_io {
	struct storage_io io;
	struct iovec iov;
	struct cow_cycle *cycle;
	bool busy;
};

struct cow_cycle {
	struct cow *disk;
	enum cow_which which;
	uint64_t place; /* of the map in the overlay */

	/* Under the disk's lock: */
	struct cow_io *leader;		  /* NULL: none is under way               */
	struct cow_fifo members, waiting; /* of the one under way; of the next one */

	/* The one under way; the leader's thread: */
	struct storage_io sync;
	struct cow_map_io map_io[COW_MAP_IOS];
	uint64_t at, next, end; /* pages: taken; of this round, to be written up to end */
	bool writing;		/* a write may be done before it has been sent          */
	unsigned in_flight;
	int err;
};

struct cow {
	struct layer layer;
	struct storage *overlay;
	char *path;
	bool made; /* there was no such file before */
	uint64_t data_at;
	struct cow_map map;
	pthread_mutex_t lock; /* see above; that of the layer is taken inside it */
	struct cow_cycle cycle[COW_IMAGES];
};

static inline struct cow *cow_of(const struct storage *s)
{
	return container_of(layer_of(s), struct cow, layer);
}

static inline struct cow_channel *cow_channel_of(struct layer_channel *ch)
{
	return container_of(ch, struct cow_channel, ch);
}

static inline struct cow *cow_of_io(const struct cow_io *c)
{
	return cow_of(c->l.ch->base.storage);
}

static inline bool cow_map_is_empty(const struct cow_map *m)
{
	return !m->in_state[COW_DATA] && !m->in_state[COW_ZERO];
}

/* ---- cow.c ---- */

/* As the layer's stack(), with the overlay opened by those options, whose target is not looked at. */
int cow_stack_on(const struct storage_options *o, struct storage *below,
		 const struct storage_options *overlay, struct storage **out, struct error *err);
/* Sends @io to the overlay; for what has no place there (a flush) as it is. */
void cow_submit_overlay(struct cow_channel *ch, struct storage_io *io);

/* Sends the request itself there, to its place. */
void cow_send(struct cow_io *c, void (*done)(struct storage_io *io, int err));

/* ---- cow_read.c ---- */

void cow_parts_init(struct cow_channel *ch);
void cow_read(struct cow_io *c);

/* ---- cow_cycle.c ---- */

void cow_cycles_init(struct cow *d);
/* Calls c->then() with the outcome when what the map says by now has arrived there. */
void cow_cycle_join(struct cow_io *c, enum cow_which which,
		    void (*then)(struct cow_io *c, int err));
void cow_cycle_rung(struct layer_channel *ch);

#endif
