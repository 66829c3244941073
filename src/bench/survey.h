/* SPDX-License-Identifier: MIT */
/*
 * The zones of a disk before a run that fills them, and after it.
 *
 * Before: what each zone is like, and how many each queue may work on at a time.  Zones that hold
 * data already take a part of what the disk can have open; of those of this run more are finished
 * than fit.  After: where each write pointer is, against where it must be.
 *
 * Threads: the conductor's, while no lane drives its queue.
 */
#ifndef BENCH_SURVEY_H
#define BENCH_SURVEY_H

#include "bench/job.h"

#include <ringside/driver.h>

struct lane;

/* Lives until the disk is closed: a request of its may be under way. */
struct survey {
	struct ringside_zone *zones; /* all of the disk's */
	uint32_t n;
	uint32_t width; /* zones that a queue works on at a time */
	struct ringside_request req;
	unsigned got;
	bool done;
};

int survey_before(struct survey *s, struct ringside_queue *q, const struct job *job,
		  const struct ringside_info *info, struct error *err);
/* -EIO: a write pointer is elsewhere; a sentence. */
int survey_after(struct survey *s, struct ringside_queue *q, const struct job *job,
		 const struct ringside_info *info, const struct lane *lanes, struct error *err);
void survey_fini(struct survey *s);

#endif
