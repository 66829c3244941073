/* SPDX-License-Identifier: MIT */
/* How long to look before sleeping, against peers that a few lines of arithmetic play. */
#include "test.h"

#include "base/poll_budget.h"

#include "base/bits.h"
#include "base/clock.h"

#define US    UINT64_C(1000)
#define LIMIT (200 * US)

/* A thread and its peer. */
struct play {
	struct poll_budget b;
	uint64_t now;
	uint64_t awake_gap;  /* work comes so long after the last, when we look for it */
	uint64_t asleep_gap; /* ... and when we sleep                                   */
	uint64_t looked;     /* time spent looking                                      */
	unsigned caught, slept;
};

static void play_init(struct play *p, uint64_t awake_gap, uint64_t asleep_gap)
{
	*p = (struct play){.now = NSEC_PER_SEC, .awake_gap = awake_gap, .asleep_gap = asleep_gap};
	poll_budget_init(&p->b, LIMIT);
}

/* From one piece of work to the next. */
static void play_one(struct play *p)
{
	uint64_t from = p->now, due = from + p->awake_gap;

	while (poll_budget_look(&p->b, p->now)) {
		p->now += US;
		if (p->now >= due) {
			poll_budget_look(&p->b, p->now);
			poll_budget_caught(&p->b);
			p->looked += p->now - from;
			p->caught++;
			return;
		}
	}
	p->looked += p->now - from;
	p->slept++;
	due = from + p->asleep_gap > p->now ? from + p->asleep_gap : p->now + US;
	poll_budget_slept(&p->b, due - p->now, due);
	p->now = due;
}

static void play_for(struct play *p, uint64_t ns)
{
	uint64_t end = p->now + ns;

	p->caught = p->slept = 0;
	p->looked = 0;
	while (p->now < end)
		play_one(p);
}

/* Each of two that wait for the other: awake, it takes 15 us a time, asleep 200. */
static void a_peer_in_step_is_looked_for(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, 15 * US, 200 * US);
	play_for(&p, NSEC_PER_SEC);
	assert_true(p.caught > 100 * p.slept);
	/* Also when looking was given up before. */
	p.b.spent = true;
	p.b.left_ns = 0;
	play_for(&p, NSEC_PER_SEC);
	assert_true(p.caught > 50 * p.slept);
}

/* A request every so often, whatever we do. */
static void a_peer_with_its_own_pace_costs_little(void **state)
{
	static const uint64_t gaps[] = {120 * US, 150 * US, 190 * US, 250 * US, 1000 * US};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
		struct play p;

		play_init(&p, gaps[i], gaps[i]);
		play_for(&p, NSEC_PER_SEC);
		play_for(&p, NSEC_PER_SEC);
		assert_true(p.looked < NSEC_PER_SEC / 15);
	}
}

static void an_idle_thread_does_not_look(void **state)
{
	struct play p;

	(void)state;
	play_init(&p, NSEC_PER_SEC, NSEC_PER_SEC);
	play_for(&p, 1000 * NSEC_PER_SEC);
	/* At most what had been saved up. */
	assert_true(p.looked <= 26 * LIMIT);
	play_for(&p, 1000 * NSEC_PER_SEC);
	assert_int_equal(p.looked, 0);
	assert_int_equal(p.caught, 0);
}

static void whoever_wants_the_cpu_gets_it(void **state)
{
	uint64_t until, last = 0;
	struct play p;

	(void)state;
	play_init(&p, 15 * US, 200 * US);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(poll_budget_look(&p.b, p.now));
		p.now += 1000 * US;
		assert_false(poll_budget_look(&p.b, p.now));
		until = p.b.no_look_until_ns;
		assert_true(until - p.now >= last);
		last = until - p.now;
		assert_true(last >= 4 * NSEC_PER_MSEC && last <= 128 * NSEC_PER_MSEC);
		poll_budget_slept(&p.b, 10 * US, p.now);
		assert_false(poll_budget_look(&p.b, until - 1));
		p.now = until;
	}
	assert_int_equal(last, 128 * NSEC_PER_MSEC);
	/* Long after, it begins anew. */
	p.now += NSEC_PER_SEC;
	assert_true(poll_budget_look(&p.b, p.now));
	p.now += 1000 * US;
	assert_false(poll_budget_look(&p.b, p.now));
	assert_int_equal(p.b.no_look_until_ns - p.now, 4 * NSEC_PER_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_in_step_is_looked_for),
		cmocka_unit_test(a_peer_with_its_own_pace_costs_little),
		cmocka_unit_test(an_idle_thread_does_not_look),
		cmocka_unit_test(whoever_wants_the_cpu_gets_it),
	};

	return cmocka_run_group_tests_name("base/poll_budget", tests, NULL, NULL);
}
