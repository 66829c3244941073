/* SPDX-License-Identifier: MIT */
/* A lock that nobody waits for without end. */
#include "test.h"

#include "base/fair_lock.h"

#include <sched.h>
#include <unistd.h>

static struct fair_lock l;
static unsigned turn; /* under the lock */

struct taker {
	pthread_t thread;
	unsigned turn; /* when it had the lock */
	unsigned n;    /* so often             */
};

static void *take_it(void *arg)
{
	struct taker *t = arg;

	for (unsigned i = 0; i < t->n; i++) {
		fair_lock_take(&l);
		t->turn = ++turn;
		fair_lock_give(&l);
	}
	return NULL;
}

static void begin(struct taker *t, unsigned n)
{
	t->n = n;
	assert_int_equal(pthread_create(&t->thread, NULL, take_it, t), 0);
}

/* However long it takes: it has waited long then. */
static void until_the_door_is_shut(void)
{
	while (!read_once(&l.shut))
		usleep(1000);
}

static void who_has_waited_long_is_next(void **state)
{
	struct taker first, others[4];

	(void)state;
	fair_lock_init(&l);
	for (unsigned round = 0; round < 10; round++) {
		turn = 0;
		fair_lock_take(&l);
		begin(&first, 1);
		until_the_door_is_shut();
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			begin(&others[i], 1);
		fair_lock_give(&l);
		/* The one who had it wants it again at once, as a busy thread does. */
		fair_lock_take(&l);
		turn++;
		fair_lock_give(&l);
		pthread_join(first.thread, NULL);
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			pthread_join(others[i].thread, NULL);
		assert_int_equal(first.turn, 1);
		assert_int_equal(turn, 2 + ARRAY_SIZE(others));
		assert_false(l.shut);
	}
	fair_lock_fini(&l);
}

static void many_take_it_one_at_a_time(void **state)
{
	struct taker takers[4];

	(void)state;
	fair_lock_init(&l);
	turn = 0;
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		begin(&takers[i], 20000);
	for (size_t i = 0; i < ARRAY_SIZE(takers); i++)
		pthread_join(takers[i].thread, NULL);
	assert_int_equal(turn, 4 * 20000);
	fair_lock_fini(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_has_waited_long_is_next),
		cmocka_unit_test(many_take_it_one_at_a_time),
	};

	return cmocka_run_group_tests_name("base/fair_lock", tests, NULL, NULL);
}
