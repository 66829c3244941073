/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "bench/stamp.h"

#include <string.h>

static const struct stamp stamp = {.sector = 77, .run = 0x123456789abcdef0, .generation = 5};

static void a_stamped_sector_is_good(void **state)
{
	uint8_t s[SECTOR_SIZE];

	(void)state;
	stamp_write(s, &stamp);
	assert_int_equal(stamp_check(s, &stamp, false), STAMP_GOOD);
	assert_int_equal(stamp_check(s, &stamp, true), STAMP_GOOD);
}

static void every_flipped_bit_is_seen(void **state)
{
	uint8_t s[SECTOR_SIZE];

	(void)state;
	stamp_write(s, &stamp);
	for (unsigned bit = 0; bit < 8 * SECTOR_SIZE; bit++) {
		s[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(stamp_check(s, &stamp, false), STAMP_GOOD);
		assert_int_not_equal(stamp_check(s, &stamp, true), STAMP_GOOD);
		s[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_int_equal(stamp_check(s, &stamp, false), STAMP_GOOD);
}

static void torn_sectors_are_damaged(void **state)
{
	struct stamp next = stamp;
	uint8_t old[SECTOR_SIZE], s[SECTOR_SIZE];

	(void)state;
	next.generation++;
	stamp_write(old, &stamp);
	for (unsigned cut = 8; cut < SECTOR_SIZE; cut += 8) {
		stamp_write(s, &next);
		memcpy(s + cut, old + cut, SECTOR_SIZE - cut);
		/* Magic, sector and run are the same in both. */
		if (cut <= 24)
			assert_int_equal(stamp_check(s, &next, false), STAMP_OLD);
		else
			assert_int_equal(stamp_check(s, &next, false), STAMP_DAMAGED);
	}
}

static void each_kind_of_wrong_has_its_name(void **state)
{
	struct stamp want = stamp;
	uint8_t s[SECTOR_SIZE];

	(void)state;
	stamp_write(s, &stamp);
	want.sector++;
	assert_int_equal(stamp_check(s, &want, false), STAMP_MISPLACED);
	assert_int_equal(stamp_check(s, &want, true), STAMP_MISPLACED);
	want = stamp;
	want.run++;
	assert_int_equal(stamp_check(s, &want, false), STAMP_OTHER_RUN);
	assert_int_equal(stamp_check(s, &want, true), STAMP_GOOD);
	want = stamp;
	want.generation++;
	assert_int_equal(stamp_check(s, &want, false), STAMP_OLD);
	want.generation -= 2;
	assert_int_equal(stamp_check(s, &want, false), STAMP_NEW);
	stamp_spoil(s);
	assert_int_equal(stamp_check(s, &stamp, true), STAMP_UNTOUCHED);
	memset(s, 0, sizeof(s));
	assert_int_equal(stamp_check(s, &stamp, true), STAMP_ZEROES);
	memset(s, 0xa5, sizeof(s));
	assert_int_equal(stamp_check(s, &stamp, true), STAMP_NONE);
}

static void the_sentence_names_the_offset(void **state)
{
	struct stamp want = stamp;
	uint8_t s[SECTOR_SIZE];
	struct error err;

	(void)state;
	stamp_write(s, &stamp);
	for (int k = STAMP_GOOD; k <= STAMP_NEW; k++) {
		err.text[0] = '\0';
		stamp_explain(s, &want, (enum stamp_state)k, &err);
		assert_non_null(strstr(err.text, "offset 39424"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stamped_sector_is_good),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test(torn_sectors_are_damaged),
		cmocka_unit_test(each_kind_of_wrong_has_its_name),
		cmocka_unit_test(the_sentence_names_the_offset),
	};

	return cmocka_run_group_tests_name("stamp", tests, NULL, NULL);
}
