/* SPDX-License-Identifier: MIT */
#include "bench/histogram.h"

#include <math.h>

uint64_t histogram_low(unsigned index)
{
	unsigned shift;

	if (index < HISTOGRAM_LINEAR)
		return index;
	shift = (index >> HISTOGRAM_BITS) - 1;
	return (uint64_t)(index - (shift << HISTOGRAM_BITS)) << shift;
}

uint64_t histogram_high(unsigned index)
{
	return index + 1 < HISTOGRAM_BUCKETS ? histogram_low(index + 1) - 1 : UINT64_MAX;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	if (!from->count)
		return;
	to->min = to->count ? min_u64(to->min, from->min) : from->min;
	to->max = max_u64(to->max, from->max);
	to->count += from->count;
	to->sum += from->sum;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->bucket[i] += from->bucket[i];
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
	double rank = ceil((double)h->count * percent / 100);
	uint64_t want = rank < 1 ? 1 : (uint64_t)rank;
	uint64_t seen = 0;

	if (!h->count)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= want)
			return max_u64(min_u64(histogram_high(i), h->max), h->min);
	}
	return h->max;
}

double histogram_mean(const struct histogram *h)
{
	return h->count ? (double)h->sum / (double)h->count : 0;
}

double histogram_deviation(const struct histogram *h)
{
	double mean = histogram_mean(h), sum = 0;

	if (!h->count)
		return 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		double low = (double)max_u64(histogram_low(i), h->min);
		double high = (double)min_u64(histogram_high(i), h->max);
		double off = (low + high) / 2 - mean;

		if (h->bucket[i])
			sum += off * off * (double)h->bucket[i];
	}
	return sqrt(sum / (double)h->count);
}
