/* SPDX-License-Identifier: MIT */
#include "base/poll_budget.h"

#include "base/bits.h"
#include "base/clock.h"

/* In limits: the most that can be saved up, and what is needed to begin again. */
#define BUDGET_MAX   25
#define BUDGET_AGAIN 10
/* A short sleep earns the limit's so-manieth part. */
#define BUDGET_EARN 32
/* A look is never worth less than the limit's so-manieth part: the first ones have to be paid. */
#define WORTH_MIN 20
/* A sleep of so many limits means that there is nothing to do. */
#define IDLE_LIMITS 10
/*
 * Longer between two looks than any interrupt takes: the scheduler gave the CPU to somebody else,
 * who wanted it.
 */
#define PREEMPTION_NS (500 * NSEC_PER_USEC)
/* For how long looking is given up then. */
#define BACKOFF_MIN_NS (4 * NSEC_PER_MSEC)
#define BACKOFF_MAX_NS (128 * NSEC_PER_MSEC)

void poll_budget_init(struct poll_budget *b, uint64_t limit_ns)
{
	*b = (struct poll_budget){.limit_ns = limit_ns, .backoff_ns = BACKOFF_MIN_NS};
	if (limit_ns == UINT64_MAX)
		return;
	b->left_ns = (int64_t)(BUDGET_MAX * limit_ns);
	/* Until both are known. */
	b->slept_avg_ns = limit_ns / 2;
}

static void average(uint64_t *avg, uint64_t value)
{
	*avg = *avg - *avg / 8 + value / 8;
}

static int64_t worth(const struct poll_budget *b)
{
	uint64_t least = b->limit_ns / WORTH_MIN;

	if (b->slept_avg_ns <= b->caught_avg_ns + least)
		return (int64_t)least;
	return (int64_t)min_u64(b->slept_avg_ns - b->caught_avg_ns, b->limit_ns);
}

static void pay(struct poll_budget *b, int64_t earned)
{
	int64_t max = (int64_t)(BUDGET_MAX * b->limit_ns);

	b->left_ns += earned;
	if (b->left_ns > max)
		b->left_ns = max;
	if (b->left_ns <= 0) {
		b->left_ns = 0;
		b->spent = true;
	}
}

/* Looking was in somebody's way: longer if it happens again soon. */
static void back_off(struct poll_budget *b, uint64_t now)
{
	bool soon = now - b->no_look_until_ns < 4 * b->backoff_ns;

	b->backoff_ns = soon ? min_u64(b->backoff_ns * 2, BACKOFF_MAX_NS) : BACKOFF_MIN_NS;
	b->no_look_until_ns = now + b->backoff_ns;
}

bool poll_budget_look(struct poll_budget *b, uint64_t now)
{
	uint64_t gap;

	if (b->spent || now < b->no_look_until_ns)
		return false;
	if (!b->since_ns) {
		b->since_ns = b->looked_ns = now;
		return true;
	}
	gap = now - b->looked_ns;
	if (gap > PREEMPTION_NS) {
		/* That time was somebody else's. */
		back_off(b, now);
		return false;
	}
	b->looked_ns = now;
	return now - b->since_ns < b->limit_ns;
}

void poll_budget_caught_slow(struct poll_budget *b)
{
	uint64_t took = b->looked_ns - b->since_ns;

	b->since_ns = 0;
	average(&b->caught_avg_ns, took);
	pay(b, worth(b) - (int64_t)took);
}

void poll_budget_slept(struct poll_budget *b, uint64_t slept_ns, uint64_t now)
{
	bool looked = b->since_ns;

	if (looked) {
		pay(b, -(int64_t)(b->looked_ns - b->since_ns));
		b->since_ns = 0;
	}
	if (slept_ns > IDLE_LIMITS * b->limit_ns)
		return;
	if (!looked && now >= b->no_look_until_ns)
		average(&b->slept_avg_ns, slept_ns);
	if (!b->spent)
		return;
	b->left_ns += (int64_t)(b->limit_ns / BUDGET_EARN);
	b->spent = b->left_ns < (int64_t)(BUDGET_AGAIN * b->limit_ns);
}
