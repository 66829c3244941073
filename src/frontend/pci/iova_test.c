/* SPDX-License-Identifier: MIT */
/* Addresses for a device behind an IOMMU: which are handed out, and which never. */
#include "test.h"

#include "frontend/pci/iova.h"

#include <errno.h>

#define PAGE   4096u
#define GIB(n) ((uint64_t)(n) << 30)
#define MIB(n) ((uint64_t)(n) << 20)

/* As a PC with an IOMMU of 39 bits has them. */
static void pc(struct iova_space *s)
{
	iova_init(s, PAGE);
	iova_allow(s, 0, 0xfedfffff);
	iova_allow(s, 0xfef00000, GIB(512) - 1);
}

static void above_the_windows_of_bridges_first(void **state)
{
	struct iova_space s;
	uint64_t at, next;

	(void)state;
	pc(&s);
	assert_int_equal(iova_take(&s, PAGE, &at), 0);
	assert_int_equal(at, GIB(4));
	assert_int_equal(iova_take(&s, MIB(16), &next), 0);
	assert_int_equal(next, GIB(4) + PAGE);
}

static void low_where_nothing_else_is(void **state)
{
	struct iova_space s;
	uint64_t at;

	(void)state;
	iova_init(&s, PAGE);
	iova_allow(&s, 0, 0xfedfffff);
	iova_allow(&s, 0xfef00000, UINT32_MAX);
	assert_int_equal(iova_take(&s, PAGE, &at), 0);
	assert_int_equal(at, MIB(1)); /* never near 0 */
	/* Larger than what lies behind the interrupts' window, and smaller than what is before. */
	assert_int_equal(iova_take(&s, MIB(32), &at), 0);
	assert_int_equal(at, MIB(1) + PAGE);
	assert_int_equal(iova_take(&s, GIB(4), &at), -ENOSPC);
}

static void the_interrupt_window_is_never_touched(void **state)
{
	struct iova_space s;
	uint64_t at;

	(void)state;
	iova_init(&s, PAGE);
	iova_allow(&s, 0xf0000000, 0xfedfffff);
	iova_allow(&s, 0xfef00000, UINT32_MAX);
	for (unsigned i = 0; !iova_take(&s, MIB(16), &at); i++) {
		assert_true(i < 32);
		assert_true(at + MIB(16) <= 0xfee00000 || at >= 0xfef00000);
		assert_true(at >= 0xf0000000 && at + MIB(16) - 1 <= UINT32_MAX);
	}
	assert_int_equal(s.n_taken, 14 + 1);
}

static void what_is_given_back_is_used_again(void **state)
{
	struct iova_space s;
	uint64_t a, b, c, d;

	(void)state;
	pc(&s);
	assert_int_equal(iova_take(&s, 4 * PAGE, &a), 0);
	assert_int_equal(iova_take(&s, 4 * PAGE, &b), 0);
	assert_int_equal(iova_take(&s, 4 * PAGE, &c), 0);
	iova_give(&s, b);
	iova_give(&s, b + PAGE); /* nothing begins there */
	assert_int_equal(iova_take(&s, 8 * PAGE, &d), 0);
	assert_int_equal(d, c + 4 * PAGE); /* the gap is too small */
	assert_int_equal(iova_take(&s, 4 * PAGE, &d), 0);
	assert_int_equal(d, b);
}

static void pieces_are_counted(void **state)
{
	struct iova_space s;
	uint64_t at;

	(void)state;
	pc(&s);
	for (unsigned i = 0; i < IOVA_TAKEN_MAX; i++)
		assert_int_equal(iova_take(&s, PAGE, &at), 0);
	assert_int_equal(iova_take(&s, PAGE, &at), -ENOSPC);
	iova_give(&s, at);
	assert_int_equal(iova_take(&s, PAGE, &at), 0);
}

static void sizes_in_whole_pages(void **state)
{
	struct iova_space s;
	uint64_t at;

	(void)state;
	iova_init(&s, 65536);
	iova_allow(&s, GIB(4) + 1, GIB(5));
	assert_int_equal(iova_take(&s, 0, &at), -EINVAL);
	assert_int_equal(iova_take(&s, PAGE, &at), -EINVAL);
	assert_int_equal(iova_take(&s, 65536, &at), 0);
	assert_int_equal(at, GIB(4) + 65536);
}

static void ranges_at_the_end_of_all_addresses(void **state)
{
	struct iova_space s;
	uint64_t at;

	(void)state;
	iova_init(&s, PAGE);
	iova_allow(&s, UINT64_MAX - 2 * PAGE + 1, UINT64_MAX);
	assert_int_equal(iova_take(&s, 3 * PAGE, &at), -ENOSPC);
	assert_int_equal(iova_take(&s, UINT64_MAX - PAGE + 1, &at), -ENOSPC);
	assert_int_equal(iova_take(&s, 2 * PAGE, &at), 0);
	assert_int_equal(at, UINT64_MAX - 2 * PAGE + 1);
	assert_int_equal(iova_take(&s, PAGE, &at), -ENOSPC);
}

static void ranges_that_are_none(void **state)
{
	struct iova_space s;
	uint64_t at;

	(void)state;
	iova_init(&s, PAGE);
	assert_int_equal(iova_take(&s, PAGE, &at), -ENOSPC);
	iova_allow(&s, 10, 9);
	assert_int_equal(s.n_allowed, 0);
	for (unsigned i = 0; i < IOVA_RANGES_MAX + 5; i++)
		iova_allow(&s, i, i);
	assert_int_equal(s.n_allowed, IOVA_RANGES_MAX);
	assert_int_equal(iova_take(&s, PAGE, &at), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(above_the_windows_of_bridges_first),
		cmocka_unit_test(low_where_nothing_else_is),
		cmocka_unit_test(the_interrupt_window_is_never_touched),
		cmocka_unit_test(what_is_given_back_is_used_again),
		cmocka_unit_test(pieces_are_counted),
		cmocka_unit_test(sizes_in_whole_pages),
		cmocka_unit_test(ranges_at_the_end_of_all_addresses),
		cmocka_unit_test(ranges_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
