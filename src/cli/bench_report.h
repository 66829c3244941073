/* SPDX-License-Identifier: MIT */
/* The results of `ringside bench`, told to people and to programs. */
#ifndef CLI_BENCH_REPORT_H
#define CLI_BENCH_REPORT_H

#include "bench/run.h"

#include <stdio.h>

void bench_text(FILE *out, const struct job *job, const struct result *r);
/* 0 or -errno. */
int bench_json(FILE *out, const struct job *job, const struct result *r);

/* What both tell of. */
#define BENCH_PERCENTILES                                                                  \
	{                                                                                  \
		1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.5, 99.9, 99.95, 99.99 \
	}

/* "4K", "512,64K", "512-64K" */
void bench_sizes(const struct job *job, char *buf, size_t size);
const char *bench_rw(const struct job *job);

#endif
