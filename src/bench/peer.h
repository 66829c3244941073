/* SPDX-License-Identifier: MIT */
/*
 * What a process has cost so far: CPU time and how often its threads gave the CPU away or lost it,
 * as /proc tells.  For the back end of a run, whose number the user gives.
 *
 * Threads: any.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "base/error.h"

#include <stdint.h>
#include <sys/types.h>

struct cpu_use {
	uint64_t user_ns, system_ns; /* in ticks of the kernel's accounting: often 10 ms */
	uint64_t total_ns;	     /* exact where the kernel counts exactly            */
	uint64_t voluntary, involuntary;
};

/* The calling thread. */
void cpu_use_thread(struct cpu_use *u);
/* All threads of a process that live now. */
int cpu_use_process(pid_t pid, struct cpu_use *u, struct error *err);
/* What came between; never below zero. */
struct cpu_use cpu_use_since(const struct cpu_use *end, const struct cpu_use *begin);
void cpu_use_add(struct cpu_use *sum, const struct cpu_use *u);

#endif
