/* SPDX-License-Identifier: MIT */
/* The dirty log: pages of every size, at every border, marked while they are taken. */
#include "test.h"

#include "base/bits.h"
#include "mem/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PAGE GMEM_LOG_PAGE

static bool taken(struct gmem_log *log, uint64_t page)
{
	uint64_t bits = 0;

	gmem_log_take(log, page * PAGE, PAGE, PAGE, &bits);
	assert_int_equal(bits & ~UINT64_C(1), 0);
	return bits;
}

static void a_mark_is_taken_once(void **state)
{
	struct gmem_log *log = gmem_log_new();

	(void)state;
	assert_int_equal(gmem_log_cover(log, 100 * PAGE, 200 * PAGE), 0);
	for (uint64_t page = 98; page < 302; page++) {
		bool inside = page >= 100 && page < 300;

		gmem_log_mark(log, page * PAGE + 5, 1);
		gmem_log_mark(log, page * PAGE + 5, 0);
		assert_false(taken(log, page - 1));
		assert_false(taken(log, page + 1));
		assert_int_equal(taken(log, page), inside);
		assert_false(taken(log, page));
	}
	/* A write across pages, and beyond what is covered. */
	gmem_log_mark(log, 100 * PAGE - 1, 2);
	gmem_log_mark(log, 300 * PAGE - 1, 2);
	gmem_log_mark(log, UINT64_MAX, 1);
	assert_true(taken(log, 100));
	assert_true(taken(log, 299));
	gmem_log_put(log);
}

/* Against a plain array, whatever range is marked, and taken in whatever page size. */
static void against_an_array(struct gmem_log *log, uint64_t pages, unsigned rounds)
{
	bool *dirty = calloc(pages, sizeof(*dirty));
	unsigned seed = 1;

	for (unsigned round = 0; round < rounds; round++) {
		uint64_t first = (uint64_t)rand_r(&seed) % pages,
			 n = 1 + (uint64_t)rand_r(&seed) % (pages - first),
			 size = UINT64_C(512) << rand_r(&seed) % 12;
		uint64_t *bits, words = n * PAGE / size / 64 + 2;

		for (unsigned i = 0; i < 20; i++) {
			uint64_t at = (uint64_t)rand_r(&seed) % pages, m = 1;

			if (i == 0)
				m += (uint64_t)rand_r(&seed) % (pages - at);
			memset(dirty + at, true, m);
			gmem_log_mark(log, at * PAGE, m * PAGE);
		}
		bits = calloc(words, sizeof(*bits));
		gmem_log_take(log, first * PAGE, n * PAGE, size, bits);
		for (uint64_t bit = 0; bit < words * 64; bit++) {
			bool want = false;

			for (uint64_t page = bit * size / PAGE;
			     page < n && page * PAGE < (bit + 1) * size; page++)
				want |= dirty[first + page];
			assert_int_equal(!!(bits[bit / 64] & BIT64(bit % 64)), want);
		}
		free(bits);
		memset(dirty + first, false, n);
		/* What was left is there still, or goes on to the next round.  The last one leaves nothing. */
		if (round % 2)
			continue;
		for (uint64_t page = 0; page < pages; page++)
			assert_int_equal(taken(log, page), dirty[page]);
		memset(dirty, false, pages);
	}
	free(dirty);
}

static void ranges_and_page_sizes(void **state)
{
	struct gmem_log *log = gmem_log_new();

	(void)state;
	/* Pieces that touch and overlap. */
	assert_int_equal(gmem_log_cover(log, 0, 100 * PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 100 * PAGE, 130 * PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 200 * PAGE, 100 * PAGE), 0);
	against_an_array(log, 300, 501);
	assert_int_equal(gmem_log_cover(log, 5000 * PAGE, 15000 * PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 0, 20000 * PAGE), 0);
	against_an_array(log, 20000, 101);
	gmem_log_put(log);
}

/* However memory is taken out and comes back: no page is looked at twice. */
static void no_page_is_in_two_pieces(void **state)
{
	struct gmem_log *log = gmem_log_new();

	(void)state;
	assert_int_equal(gmem_log_cover(log, 10 * PAGE, 10 * PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 30 * PAGE, 10 * PAGE), 0);
	/* In front, between, and behind: three more. */
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(gmem_log_cover(log, i * PAGE, (50 - i) * PAGE), 0);
	for (uint64_t i = 5; i < GMEM_LOG_PIECES_MAX; i++)
		assert_int_equal(gmem_log_cover(log, (100 + 2 * i) * PAGE, PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 60 * PAGE, PAGE), -ENOSPC);
	assert_int_equal(gmem_log_cover(log, 0, 50 * PAGE), 0);
	gmem_log_put(log);
}

/* Nor is there memory for whatever a stranger asks for. */
static void more_than_any_machine_has(void **state)
{
	struct gmem_log *log = gmem_log_new();

	(void)state;
	assert_int_equal(gmem_log_cover(log, 0, 5 * PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 5 * PAGE, (GMEM_LOG_PAGES_MAX - 4) * PAGE), -ENOSPC);
	assert_int_equal(gmem_log_cover(log, 5 * PAGE, UINT64_MAX - 5 * PAGE + 1), -ENOSPC);
	gmem_log_put(log);
}

static void the_largest_of_everything(void **state)
{
	struct gmem_log *log = gmem_log_new();
	uint64_t bits = 0;

	(void)state;
	/* The last pages there are. */
	assert_int_equal(gmem_log_cover(log, UINT64_MAX - 2 * PAGE + 1, 2 * PAGE), 0);
	gmem_log_mark(log, UINT64_MAX, 1);
	gmem_log_take(log, 0, UINT64_MAX - PAGE + 1, UINT64_C(1) << 63, &bits);
	assert_int_equal(bits, 0);
	gmem_log_take(log, PAGE, UINT64_MAX - PAGE + 1, UINT64_C(1) << 63, &bits);
	assert_int_equal(bits, 2);
	/* As many pieces as it takes; what is covered needs none. */
	for (uint64_t i = 1; i < GMEM_LOG_PIECES_MAX; i++)
		assert_int_equal(gmem_log_cover(log, 2 * i * PAGE, PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 4 * PAGE, PAGE), 0);
	assert_int_equal(gmem_log_cover(log, 5 * PAGE, PAGE), -ENOSPC);
	gmem_log_put(log);
}

/* Marks that come while others are taken are taken now or later, never lost. */
#define RACE_PAGES UINT64_C(4096)

struct race {
	struct gmem_log *log;
	uint64_t marked[64];
};

static void *mark_pages(void *arg)
{
	struct race *r = arg;

	for (unsigned i = 0; i < 64 * 1000; i++) {
		__atomic_fetch_add(&r->marked[i % 64], 1, __ATOMIC_RELEASE);
		gmem_log_mark(r->log, i % 64 * 64 * PAGE, 1);
	}
	return NULL;
}

static void marks_while_they_are_taken(void **state)
{
	struct race r = {.log = gmem_log_new()};
	uint64_t seen[64] = {0};
	pthread_t other;
	bool over = false;

	(void)state;
	assert_int_equal(gmem_log_cover(r.log, 0, RACE_PAGES * PAGE), 0);
	assert_int_equal(pthread_create(&other, NULL, mark_pages, &r), 0);
	for (unsigned i = 0; i < 2000 || !over; i++) {
		uint64_t bits[RACE_PAGES / 64] = {0};

		if (i == 2000) {
			assert_int_equal(pthread_join(other, NULL), 0);
			over = true;
		}
		gmem_log_take(r.log, 0, RACE_PAGES * PAGE, PAGE, bits);
		/* What stands there when the mark is taken is what its marker wrote, or later. */
		for (unsigned page = 0; page < 64; page++)
			if (bits[page])
				seen[page] = __atomic_load_n(&r.marked[page], __ATOMIC_ACQUIRE);
	}
	assert_memory_equal(seen, r.marked, sizeof(seen));
	gmem_log_put(r.log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_is_taken_once),
		cmocka_unit_test(ranges_and_page_sizes),
		cmocka_unit_test(no_page_is_in_two_pieces),
		cmocka_unit_test(more_than_any_machine_has),
		cmocka_unit_test(the_largest_of_everything),
		cmocka_unit_test(marks_while_they_are_taken),
	};

	return cmocka_run_group_tests_name("mem/log", tests, NULL, NULL);
}
