/* SPDX-License-Identifier: MIT */
/*
 * A whole run: opens the target, lets one lane per queue loose on it, watches, reconnects if that
 * is asked for, has everything verified at the end, and adds up the results.
 *
 * SIGINT and SIGTERM end the job early (what was written is still verified); a second one ends
 * everything.
 *
 * Threads: bench_run() belongs to one thread, which must be the only one of the process when it is
 * called; it blocks those two signals for good.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench/job.h"
#include "bench/lane.h"
#include "bench/peer.h"

struct progress {
	enum phase phase;
	bool reconnecting;
	double seconds;	    /* since the phase began                    */
	double done;	    /* of the phase, 0 to 1; below 0: not known */
	double iops, bytes; /* a second, since the last time        */
};

typedef void progress_fn(void *opaque, const struct progress *p);

struct result {
	bool ran;
	struct ringside_info info;
	struct tally *tally; /* JOB_OPS of them; owned */
	double seconds;	     /* measured: the window's, see lane.h */
	uint64_t requests;   /* measured, of all kinds */
	uint64_t kicks, calls;
	struct cpu_use client;
	struct cpu_use backend;
	bool backend_known;
	uint64_t errors;
	uint64_t checked, bad; /* sectors */
	bool verified;	       /* all that was written has been read back */
	unsigned reconnects;
	int signal;	  /* that ended it early; 0: none */
	bool only_ramp;	  /* it ended in the ramp: all figures are the ramp's */
	struct error why; /* the first failure */
};

/**
 * bench_run() - do the job
 * @job:      fitted to the disk on the way
 * @progress: called about each second; may be NULL
 * @result:   of use where result->ran; bench_result_fini() always
 *
 * Return: 0; -EIO with result->ran - something failed, result->why says what; else -errno - it did
 * not run, @err says why (-EINVAL: the job does not fit the disk or the target cannot be
 * understood).
 */
int bench_run(struct job *job, progress_fn *progress, void *opaque, struct result *result,
	      struct error *err);
void bench_result_fini(struct result *result);

#endif
