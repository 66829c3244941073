/* SPDX-License-Identifier: MIT */
/*
 * How long a thread that has nothing to do looks for work before it sleeps.
 *
 * Looking costs CPU time; a sleep costs the time to wake up, ours and, as a peer that waits for us
 * sleeps meanwhile, often the peer's.  Neither cost is known beforehand, so both are measured: the
 * gap until work came when we slept, and when we looked.  Their difference is what looking is worth.
 *
 * Looking has a budget.  Work that is caught earns what a look is worth and pays the time it took; a
 * look that ends in a sleep only pays.  With the budget spent the thread sleeps at once, and each
 * sleep that was short earns a little, so that after some hundred of them looking is tried again: a
 * peer in step with us comes much sooner when we are awake, and nobody knows before it was tried.
 *
 *              caught: + worth - time                    slept for long: an idle thread, no change
 *            +---------------------+
 *            v                     |     budget spent
 *        [ looks, at most limit ] -+----------------------> [ sleeps at once ]
 *            ^                                                     |
 *            +-----------------------------------------------------+
 *                     enough short sleeps, each earning a little
 *
 * A peer that comes at its own pace, however we wait, is not worth a look: then some 5 % of a CPU go
 * into trying.  A long gap between two looks means that the scheduler gave the CPU to
 * somebody who wanted it: looking stops for a time that doubles.
 *
 * Pure: the caller brings the time.  Threads: owned by one.
 */
#ifndef BASE_POLL_BUDGET_H
#define BASE_POLL_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct poll_budget {
	uint64_t limit_ns; /* longest look; 0: never, UINT64_MAX: for ever        */
	int64_t left_ns;
	bool spent;		   /* sleep at once, until enough was earned              */
	uint64_t since_ns;	   /* this look began; 0: none is under way               */
	uint64_t looked_ns;	   /* and was last here                                   */
	uint64_t slept_avg_ns;	   /* from the last work to the next, asleep ...          */
	uint64_t caught_avg_ns;	   /* ... and looking                                     */
	uint64_t no_look_until_ns; /* somebody else wants this CPU                        */
	uint64_t backoff_ns;
};

void poll_budget_init(struct poll_budget *b, uint64_t limit_ns);

/* Nothing was found: look once more (true), or sleep? */
bool poll_budget_look(struct poll_budget *b, uint64_t now_ns);
/* Work was found.  One comparison where no look was under way. */
void poll_budget_caught_slow(struct poll_budget *b);
static inline void poll_budget_caught(struct poll_budget *b)
{
	if (b->since_ns)
		poll_budget_caught_slow(b);
}
/* The thread has slept for @slept_ns. */
void poll_budget_slept(struct poll_budget *b, uint64_t slept_ns, uint64_t now_ns);

#endif
