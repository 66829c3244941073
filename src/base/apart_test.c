/* SPDX-License-Identifier: MIT */
/* Work on a thread of its own: that ends in time, and that does not. */
#include "test.h"

#include "base/apart.h"
#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct work {
	struct apart a;
	int wait; /* it lasts until somebody writes there, or closes it */
	int said; /* and drop() says so here                            */
	int value;
};

static void work_run(struct apart *a)
{
	struct work *w = container_of(a, struct work, a);
	char c;

	if (w->wait >= 0)
		assert_true(read(w->wait, &c, 1) >= 0);
	w->value = 7;
}

static void work_drop(struct apart *a)
{
	struct work *w = container_of(a, struct work, a);
	int said = w->said;

	free(w);
	assert_int_equal(write(said, "d", 1), 1);
}

static void what_ends_in_time_is_the_callers(void **state)
{
	struct work w = {.a = {.run = work_run, .drop = work_drop}, .wait = -1};

	(void)state;
	assert_int_equal(apart_do(&w.a, 1000), 0);
	assert_int_equal(w.value, 7);
}

static void what_does_not_is_dropped_when_it_ends(void **state)
{
	struct work *w = calloc(1, sizeof(*w));
	int hold[2], told[2];
	char c;

	(void)state;
	assert_int_equal(pipe(hold), 0);
	assert_int_equal(pipe(told), 0);
	*w = (struct work){
		.a = {.run = work_run, .drop = work_drop}, .wait = hold[0], .said = told[1]};
	assert_int_equal(apart_do(&w->a, 0), -ETIMEDOUT);
	close(hold[1]);
	assert_int_equal(read(told[0], &c, 1), 1);
	close(hold[0]);
	close(told[0]);
	close(told[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_ends_in_time_is_the_callers),
		cmocka_unit_test(what_does_not_is_dropped_when_it_ends),
	};

	return cmocka_run_group_tests_name("base/apart", tests, NULL, NULL);
}
