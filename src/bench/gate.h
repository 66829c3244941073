/* SPDX-License-Identifier: MIT */
/*
 * How the conductor of a run and its lanes tell each other things: the phase goes down, news come
 * up.
 *
 *	SETUP -> RAMP -> MEASURE -> STOP -> CHECK -> END
 *	   \______\________\__________\_______\____-> ABANDON (leave at once)
 *
 * A phase never goes back.  Any time in between the conductor can hold all lanes.
 *
 * Threads: gate_phase() and gate_held() any, without a lock; news_* and wait the lanes'; the rest
 * the conductor's.  The lock protects arrived, waiting, and every change of orders.
 */
#ifndef BENCH_GATE_H
#define BENCH_GATE_H

#include "base/atomic.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum phase {
	PHASE_SETUP,
	PHASE_RAMP,
	PHASE_MEASURE,
	PHASE_STOP, /* no new requests; finish what is under way */
	PHASE_CHECK,
	PHASE_END,
	PHASE_ABANDON,
};

#define GATE_HOLD 0x100u

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned orders;   /* the phase, and GATE_HOLD; atomic for readers */
	unsigned arrived;  /* lanes that finished their phase            */
	unsigned waiting;  /* lanes that stand in gate_pass()            */
	bool gone;	   /* a lane found no back end                   */
	uint64_t since_ns; /* when the phase began: atomic, there before @orders say it */
	unsigned holds;	   /* how often all were held; atomic for readers */
	int news_fd;	   /* readable when one of them changed            */
};

int gate_init(struct gate *g);
void gate_fini(struct gate *g);

static inline unsigned gate_orders(const struct gate *g)
{
	return read_once(&g->orders);
}
static inline enum phase gate_phase(const struct gate *g)
{
	return (enum phase)(gate_orders(g) & ~GATE_HOLD);
}

/* When the phase that gate_orders() told of began; clock_ns(). */
static inline uint64_t gate_since(const struct gate *g)
{
	barrier_acquire();
	return read_once(&g->since_ns);
}

static inline unsigned gate_holds(const struct gate *g)
{
	return read_once(&g->holds);
}

/* Conductor.  Going to a phase that is behind does nothing. */
void gate_go(struct gate *g, enum phase phase);
void gate_hold(struct gate *g, bool on);

/* Lane: waits until the phase is at least @phase and nobody is held; returns the phase. */
enum phase gate_pass(struct gate *g, enum phase phase);
/* Lane: there is no back end; waits to be held and let go, or to be sent on. */
enum phase gate_stranded(struct gate *g);
/* Lane: done with this phase. */
void gate_arrive(struct gate *g);
/* Lane: the run is to stop. */
void gate_stop(struct gate *g);

#endif
