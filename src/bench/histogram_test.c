/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "bench/histogram.h"

#include <stdlib.h>

static struct histogram *fresh(void)
{
	struct histogram *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	return h;
}

static void every_value_is_in_its_bucket(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int off = -2; off <= 2; off++) {
			uint64_t v = (UINT64_C(1) << bit) + (uint64_t)off;
			unsigned i = histogram_index(v);

			assert_true(i < HISTOGRAM_BUCKETS);
			assert_true(histogram_low(i) <= v && v <= histogram_high(i));
		}
	}
	assert_int_equal(histogram_index(0), 0);
	assert_int_equal(histogram_index(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void buckets_leave_no_gap_and_are_narrow(void **state)
{
	(void)state;
	for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
		uint64_t low = histogram_low(i), high = histogram_high(i);

		assert_true(high + 1 == histogram_low(i + 1));
		assert_true(high >= low);
		/* Not wider than 1/64 of the value. */
		assert_true(high - low <= low / 64);
	}
	assert_true(histogram_high(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}

static void small_values_are_exact(void **state)
{
	struct histogram *h = fresh();

	(void)state;
	for (uint64_t v = 1; v <= 100; v++)
		histogram_add(h, v);
	for (unsigned p = 1; p <= 100; p++)
		assert_int_equal(histogram_percentile(h, p), p);
	assert_int_equal(histogram_percentile(h, 0), 1);
	assert_int_equal(histogram_percentile(h, 50.5), 51);
	assert_true(histogram_mean(h) == 50.5);
	free(h);
}

static void percentiles_are_near_for_large_values(void **state)
{
	struct histogram *h = fresh();

	(void)state;
	for (uint64_t v = 1; v <= 100000; v++)
		histogram_add(h, v * 1000);
	for (unsigned p = 1; p <= 99; p++) {
		double want = p * 1e6, got = (double)histogram_percentile(h, p);

		assert_true(got >= want && got <= want * (1 + 1.0 / 64));
	}
	assert_int_equal(histogram_percentile(h, 100), 100000000);
	assert_int_equal(h->min, 1000);
	assert_int_equal(h->max, 100000000);
	/* Evenly spread: the range over the square root of 12. */
	assert_true(histogram_deviation(h) > 28.8e6 && histogram_deviation(h) < 28.95e6);
	free(h);
}

static void empty_is_zero(void **state)
{
	struct histogram *h = fresh();

	(void)state;
	assert_int_equal(histogram_percentile(h, 99), 0);
	assert_true(histogram_mean(h) == 0 && histogram_deviation(h) == 0);
	free(h);
}

static void zero_counts_as_a_value(void **state)
{
	struct histogram *h = fresh();

	(void)state;
	histogram_add(h, 0);
	histogram_add(h, 7);
	assert_int_equal(h->min, 0);
	assert_int_equal(histogram_percentile(h, 50), 0);
	assert_int_equal(histogram_percentile(h, 51), 7);
	free(h);
}

static void merged_is_as_if_counted_together(void **state)
{
	struct histogram *a = fresh(), *b = fresh(), *all = fresh();
	uint64_t v = 1;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		v = v * UINT64_C(6364136223846793005) + 1442695040888963407u;
		histogram_add(i % 3 ? a : b, v >> (v & 63));
		histogram_add(all, v >> (v & 63));
	}
	histogram_merge(a, b);
	assert_memory_equal(a, all, sizeof(*all));
	free(b);
	b = fresh();
	histogram_merge(a, b);
	assert_memory_equal(a, all, sizeof(*all));
	histogram_merge(b, a);
	assert_memory_equal(b, all, sizeof(*all));
	free(a);
	free(b);
	free(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_is_in_its_bucket),
		cmocka_unit_test(buckets_leave_no_gap_and_are_narrow),
		cmocka_unit_test(small_values_are_exact),
		cmocka_unit_test(percentiles_are_near_for_large_values),
		cmocka_unit_test(empty_is_zero),
		cmocka_unit_test(zero_counts_as_a_value),
		cmocka_unit_test(merged_is_as_if_counted_together),
	};

	return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
