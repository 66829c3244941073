/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "bench/ledger.h"

static void init(struct ledger *l)
{
	assert_int_equal(ledger_init(l, 8192, 8192 + 16 * 1024, 1024, NULL), 0);
}

static void what_is_under_way_is_not_taken_again(void **state)
{
	struct ledger l;

	(void)state;
	init(&l);
	assert_true(ledger_take(&l, 8192 + 2048, 2048));
	assert_false(ledger_take(&l, 8192 + 3072, 1024));
	assert_false(ledger_take(&l, 8192 + 1024, 2048));
	/* Nothing of the refused range stays marked. */
	assert_true(ledger_take(&l, 8192 + 1024, 1024));
	assert_true(ledger_take(&l, 8192 + 4096, 1024));
	ledger_give(&l, 8192 + 2048, 2048);
	assert_true(ledger_take(&l, 8192 + 2048, 2048));
	ledger_fini(&l);
}

static void generations_count_writes_of_each_unit(void **state)
{
	struct ledger l;

	(void)state;
	init(&l);
	assert_int_equal(ledger_generation(&l, 8192), 0);
	assert_int_equal(ledger_next(&l, 8192), 1);
	assert_true(ledger_take(&l, 8192, 2048));
	assert_int_equal(ledger_next(&l, 8192), 1);
	ledger_wrote(&l, 8192, 2048);
	assert_false(ledger_take(&l, 8192, 1024));
	ledger_give(&l, 8192, 2048);
	ledger_wrote(&l, 8192 + 1024, 1024);
	assert_int_equal(ledger_generation(&l, 8192), 1);
	assert_int_equal(ledger_generation(&l, 8192 + 1024), 2);
	assert_int_equal(ledger_next(&l, 8192 + 1024), 3);
	ledger_fini(&l);
}

static void forgotten_is_unknown_and_never_the_same_again(void **state)
{
	struct ledger l;

	(void)state;
	init(&l);
	ledger_wrote(&l, 8192, 1024);
	ledger_forget(&l, 8192, 1024);
	assert_int_equal(ledger_generation(&l, 8192), 0);
	/* The failed write carried 2. */
	assert_int_equal(ledger_next(&l, 8192), 3);
	ledger_wrote(&l, 8192, 1024);
	assert_int_equal(ledger_generation(&l, 8192), 3);
	ledger_fini(&l);
}

static void the_scan_visits_what_is_known_and_only_that(void **state)
{
	struct ledger l;
	uint64_t pos = 8192, offset;
	uint32_t len;

	(void)state;
	init(&l);
	assert_false(ledger_scan(&l, &pos, 4096, &offset, &len));
	ledger_wrote(&l, 8192 + 1024, 5 * 1024);
	ledger_wrote(&l, 8192 + 15 * 1024, 1024);
	ledger_forget(&l, 8192 + 4 * 1024, 1024);
	pos = 8192;
	assert_true(ledger_scan(&l, &pos, 2048, &offset, &len));
	assert_true(offset == 8192 + 1024 && len == 2048);
	assert_true(ledger_scan(&l, &pos, 2048, &offset, &len));
	assert_true(offset == 8192 + 3072 && len == 1024);
	assert_true(ledger_scan(&l, &pos, 2048, &offset, &len));
	assert_true(offset == 8192 + 5 * 1024 && len == 1024);
	assert_true(ledger_scan(&l, &pos, 2048, &offset, &len));
	assert_true(offset == 8192 + 15 * 1024 && len == 1024);
	assert_false(ledger_scan(&l, &pos, 2048, &offset, &len));
	assert_false(ledger_scan(&l, &pos, 2048, &offset, &len));
	ledger_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_under_way_is_not_taken_again),
		cmocka_unit_test(generations_count_writes_of_each_unit),
		cmocka_unit_test(forgotten_is_unknown_and_never_the_same_again),
		cmocka_unit_test(the_scan_visits_what_is_known_and_only_that),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
