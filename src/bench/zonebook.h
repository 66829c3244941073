/* SPDX-License-Identifier: MIT */
/*
 * The zones that one queue fills, for --rw=zonewrite and --rw=append: which one the next request
 * goes to, and where its write pointer has to be.
 *
 *	   picked                      given away whole, all of it done
 *	waiting -> [reset, if full] -> working -> [finish, if a rest is left] -> waiting, full
 *	                                 | what became of a request is not known
 *	                                 look: the disk is asked for the pointer
 *
 * At most `width` zones are worked on at a time, so that the disk's limits of open and active zones
 * are kept; those that hold data already come first.  zonewrite: at most one write is under way in a
 * zone, since requests that are under way together have no order.  append: any number, as far as the
 * capacity reaches; the zone is given away by bytes, the disk decides which lie where.
 *
 * Threads: its queue's owner; zonebook_init(), and the look at the end, the conductor's.
 */
#ifndef BENCH_ZONEBOOK_H
#define BENCH_ZONEBOOK_H

#include "bench/job.h"

enum zone_need {
	ZONE_READY, /* nothing */
	ZONE_RESET,
	ZONE_FINISH,
	ZONE_LOOK,
};

struct zone {
	uint64_t start, end; /* what whole units can be written in */
	uint64_t full;	     /* where its capacity ends: end, or a rest behind it */
	uint64_t next;	     /* up to here it was given away */
	uint64_t done;	     /* up to here data is known to lie, at least */
	uint64_t lost;	     /* of a write of which nothing is known: where it began */
	uint32_t busy;	     /* requests under way */
	enum zone_need need;
	bool working;
	bool touched; /* this run has written there */
};

struct zonebook {
	enum job_zones kind;
	uint32_t unit;
	struct zone *zone;
	uint32_t n, cursor;
	struct zone **working;
	uint32_t n_working, width;
};

/* Of those in @from that lie in [begin, end), all that can be written sequentially.  -ENOENT: none. */
int zonebook_init(struct zonebook *zs, const struct job *job, const struct ringside_zone *from,
		  uint32_t n, uint64_t begin, uint64_t end, uint32_t width, struct error *err);
void zonebook_fini(struct zonebook *zs);
/* What all of them hold. */
uint64_t zonebook_bytes(const struct zonebook *zs);

/* What is to be done before requests can go on; NULL: nothing.  The zone is then busy with it. */
struct zone *zonebook_chore(struct zonebook *zs, enum zone_need *what);
/* ... and it is done. */
void zonebook_did(struct zonebook *zs, struct zone *z);

/*
 * A zone for the next write of at most @*len bytes, which is made shorter where it is the zone's
 * last one, and its offset (append: where the zone begins).  NULL: not now.
 */
struct zone *zonebook_take(struct zonebook *zs, uint32_t *len, uint64_t *offset);
/* It lies at @place now.  False: it cannot lie there. */
bool zonebook_wrote(struct zonebook *zs, struct zone *z, uint64_t place, uint32_t len);
/* Nobody knows whether it lies there. */
void zonebook_lost(struct zonebook *zs, struct zone *z, uint64_t offset);

/*
 * What the disk says of a zone that nothing is under way in, instead of zonebook_did().  -EIO and a
 * sentence: that cannot be.  @*found: the write that was lost was done.
 */
int zonebook_looked(struct zonebook *zs, struct zone *z, const struct ringside_zone *now,
		    bool *found, struct error *err);
/* At the end, of a zone that was touched: 0, or -EIO and a sentence. */
int zonebook_compare(const struct zone *z, const struct ringside_zone *now, struct error *err);

#endif
