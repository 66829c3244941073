/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/bits.h"
#include "base/size.h"

#include <errno.h>

static void sizes_with_and_without_suffix(void **state)
{
	static const struct {
		const char *text;
		uint64_t v;
	} good[] = {
		{"0", 0},
		{"512", 512},
		{"007", 7},
		{"1k", 1024},
		{"1K", 1024},
		{"3m", 3u << 20},
		{"2G", UINT64_C(2) << 30},
		{"16T", UINT64_C(16) << 40},
		{"18446744073709551615", UINT64_MAX},
		{"16777215T", UINT64_C(16777215) << 40},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		uint64_t v = 1;

		assert_int_equal(size_parse(good[i].text, &v), 0);
		assert_true(v == good[i].v);
	}
}

static void junk_is_refused_and_nothing_is_written(void **state)
{
	static const char *const bad[] = {"",
					  " 1",
					  "1 ",
					  "-1",
					  "+1",
					  "0x10",
					  "1.5G",
					  "K",
					  "1KB",
					  "1KK",
					  "1G2",
					  "ten",
					  "1P",
					  "1\n",
					  "--",
					  "1e3",
					  "99999999999999999999x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		uint64_t v = 42;

		assert_int_equal(size_parse(bad[i], &v), -EINVAL);
		assert_true(v == 42);
	}
}

static void overflow_is_refused(void **state)
{
	static const char *const big[] = {"18446744073709551616", "99999999999999999999999999",
					  "16777216T", "17179869184G", "18446744073709551615K"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(big); i++) {
		uint64_t v = 42;

		assert_int_equal(size_parse(big[i], &v), -ERANGE);
		assert_true(v == 42);
	}
}

static void numbers_keep_their_bounds(void **state)
{
	uint64_t v = 42;

	(void)state;
	assert_int_equal(number_parse("1", 1, 16, &v), 0);
	assert_true(v == 1);
	assert_int_equal(number_parse("16", 1, 16, &v), 0);
	assert_true(v == 16);
	assert_int_equal(number_parse("0", 1, 16, &v), -ERANGE);
	assert_int_equal(number_parse("17", 1, 16, &v), -ERANGE);
	assert_int_equal(number_parse("99999999999999999999", 1, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(number_parse("1K", 1, 4096, &v), -EINVAL);
	assert_int_equal(number_parse("", 0, 4096, &v), -EINVAL);
	assert_int_equal(number_parse("-1", 0, UINT64_MAX, &v), -EINVAL);
	assert_true(v == 16);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_with_and_without_suffix),
		cmocka_unit_test(junk_is_refused_and_nothing_is_written),
		cmocka_unit_test(overflow_is_refused),
		cmocka_unit_test(numbers_keep_their_bounds),
	};

	return cmocka_run_group_tests_name("base/size", tests, NULL, NULL);
}
