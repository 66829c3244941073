/* SPDX-License-Identifier: MIT */
/*
 * One queue under load: keeps `depth` requests under way, counts what comes back and how long it
 * took, and with --verify knows what must be there.
 *
 * A turn takes back all that is done, then fills up again and shows it to the device at once.  The
 * clock is read once in a turn: a request's time runs from the turn that submitted it to the turn
 * that took it back.  No turn allocates, locks or formats text, but for the sentence of the first
 * failure.
 *
 * Rates are told over a window.  It opens with the ramp, opens anew with the measurement, and
 * closes
 *   - with --runtime: when that time is over, whatever is still under way (it is waited for, but
 *     counts no more, neither as a request nor as CPU time);
 *   - when all that was to be done is done: with the last completion;
 *   - at an order to stop or to leave (a signal, a failure, no progress for too long): at once.
 * So a back end that hangs lowers the rate; it does not shorten the time.
 *
 * Threads: lane_run() is its thread's; the counters `completed` and `inflight` may be read by
 * any; set-up, and the results once the thread has arrived at the gate, are the conductor's.
 */
#ifndef BENCH_LANE_H
#define BENCH_LANE_H

#include "bench/gate.h"
#include "bench/histogram.h"
#include "bench/ledger.h"
#include "bench/pattern.h"
#include "bench/peer.h"
#include "bench/stamp.h"
#include "bench/zonebook.h"

struct lane;

struct slot {
	struct ringside_request req;
	struct lane *l;
	struct slot *next; /* idle ones */
	uint8_t *buf;
	struct iovec *iov; /* where one buffer is too small for a request */
	struct access access;
	uint64_t begun_ns;
	/* With zones. */
	struct zone *zone;
	uint32_t serial; /* of the first unit of an append */
	unsigned holds;	 /* of the gate, when it was submitted */
	uint64_t place;	 /* of an append */
	struct ringside_zone now;
	unsigned n;
};

struct tally {
	uint64_t bytes;
	struct histogram latency; /* ns */
};

struct lane {
	const struct job *job;
	struct gate *gate;
	struct ringside_queue *q;
	unsigned index;
	uint32_t segment; /* bytes that one buffer of a request may have */
	uint64_t run;	  /* this program run's number, in all stamps */
	pthread_t thread;

	/* Of the turn. */
	struct slot *slots, *idle;
	struct iovec *iovs;
	struct pattern pattern;
	struct ledger ledger;  /* with verify */
	struct zonebook zones; /* with zones */
	uint32_t serial;       /* of the last unit appended */
	struct access drawn;   /* the next one ...        */
	bool waiting;	       /* ... could not begin yet */
	bool over;	       /* no new ones will come   */
	bool checking;	       /* reads back what was written */
	bool measuring;	       /* the window is open */
	enum phase window;     /* the phase that it measures, PHASE_SETUP: none so far */
	bool abandoned;
	uint64_t check_at;
	uint64_t now_ns; /* of this turn; 0: not read yet */
	uint64_t due_ns, interval_ns;

	/* For the progress line. */
	uint64_t completed, moved; /* requests, bytes */
	uint32_t inflight;

	/* Results. */
	struct tally *tally;	   /* JOB_OPS of them */
	uint64_t begin_ns, end_ns; /* of the window */
	uint64_t until_ns;	   /* when it closes by itself; UINT64_MAX: never */
	uint64_t last_ns;	   /* the last completion in it */
	struct cpu_use cpu;
	uint64_t kicks, calls;
	uint64_t errors;  /* requests that failed        */
	uint64_t checked; /* sectors looked at ...       */
	uint64_t bad;	  /* ... and found wrong         */
	struct error why; /* the first thing that failed */

	struct cpu_use cpu_begin;
	struct ringside_stats stats_begin;
};

/* Memory that the lane's buffers take. */
size_t lane_bytes(const struct job *job);

struct survey;

/* @memory: lane_bytes() that the device can reach.  @survey: of the disk's zones, if the job wants
 * them. */
int lane_init(struct lane *l, const struct job *job, unsigned index, uint64_t run,
	      const struct ringside_info *info, struct ringside_queue *q, void *memory,
	      struct gate *gate, const struct survey *survey, struct error *err);
void lane_fini(struct lane *l);

/* For lane_zones.c: the first of them is told. */
void lane_bad(struct lane *l, const struct error *why);
bool lane_first_failure(const struct lane *l);

/* lane_zones.c; of jobs with zones. */
int lane_zones_init(struct lane *l, const struct survey *survey, struct error *err);
/* Something that a zone needs before requests can go on, as @s's access. */
bool lane_zone_chore(struct lane *l, struct slot *s);
/* A place for the drawn access. */
bool lane_zone_take(struct lane *l, struct slot *s);
void lane_zone_submit(struct lane *l, struct slot *s);
/* False: it failed, and for no good reason. */
bool lane_zone_done(struct lane *l, struct slot *s);
void lane_append_stamp(struct lane *l, struct slot *s);
/* What has to be in the sector at @offset, in the unit that begins @at bytes before. */
struct stamp lane_append_stamped(const struct lane *l, uint64_t offset, uint32_t at);
void lane_append_bad(struct lane *l, const void *sector, uint64_t offset, enum stamp_state state);
/* A read at the end does not go over the end of a zone. */
void lane_zone_cut(struct lane *l, struct access *a);

/* The thread's function. */
void *lane_run(void *lane);

#endif
