/* SPDX-License-Identifier: MIT */
/*
 * Which request comes next: a queue's stream of kinds, sizes and offsets, the same for the same
 * job, seed and queue, whatever the completions do.
 *
 * Sequential streams, and all streams of a job that verifies, keep to the queue's own share of the
 * disk; other random streams go over all of it.
 *
 * Threads: its queue's owner.
 */
#ifndef BENCH_PATTERN_H
#define BENCH_PATTERN_H

#include "bench/job.h"

struct access {
	enum job_op op;
	uint32_t len; /* 0 for a flush */
	uint64_t offset;
};

struct pattern {
	const struct job *job;
	uint64_t random; /* state */
	uint64_t begin, end;
	uint64_t next;	/* of a sequential stream                          */
	uint64_t left;	/* requests still to come, flushes not counted     */
	uint64_t bytes; /* with job->once: bytes still to come             */
	uint32_t unflushed;
};

void pattern_init(struct pattern *p, const struct job *job, unsigned index);
/* false: that was all. */
bool pattern_next(struct pattern *p, struct access *a);
uint64_t pattern_random(struct pattern *p);

#endif
