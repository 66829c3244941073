/* SPDX-License-Identifier: MIT */
/*
 * Durations, counted in buckets whose width grows with the value: exact below 128 ns, then 64
 * buckets to each power of two, so that no percentile is off by more than 1 in 64.  Covers all of
 * uint64_t; adding is a few instructions and touches one counter.
 *
 * Threads: one at a time.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include "base/bits.h"

#include <stdint.h>

#define HISTOGRAM_BITS	  6
#define HISTOGRAM_LINEAR  (2u << HISTOGRAM_BITS)
#define HISTOGRAM_BUCKETS (HISTOGRAM_LINEAR + ((64 - HISTOGRAM_BITS - 1) << HISTOGRAM_BITS))

/* Zeroed is empty. */
struct histogram {
	uint64_t count, sum;
	uint64_t min, max; /* exact; of no meaning while count is 0 */
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_index(uint64_t v)
{
	unsigned shift;

	if (v < HISTOGRAM_LINEAR)
		return (unsigned)v;
	shift = (unsigned)(63 - __builtin_clzll(v)) - HISTOGRAM_BITS;
	return (shift << HISTOGRAM_BITS) + (unsigned)(v >> shift);
}

static inline void histogram_add(struct histogram *h, uint64_t v)
{
	if (unlikely(!h->count || v < h->min))
		h->min = v;
	if (unlikely(v > h->max))
		h->max = v;
	h->count++;
	h->sum += v;
	h->bucket[histogram_index(v)]++;
}

/* The smallest and the largest value that a bucket counts. */
uint64_t histogram_low(unsigned index);
uint64_t histogram_high(unsigned index);

void histogram_merge(struct histogram *to, const struct histogram *from);

/**
 * histogram_percentile() - the value that @percent of all values do not exceed
 *
 * Return: the upper end of its bucket, never more than max; 0 of an empty histogram.
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);
double histogram_mean(const struct histogram *h);
double histogram_deviation(const struct histogram *h);

#endif
