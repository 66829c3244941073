/* SPDX-License-Identifier: MIT */
/*
 * A lock that nobody waits for without end.
 *
 * A mutex goes to whoever asks first when it is free.  A thread that gives it back and takes it
 * again at once is there before one that has to be woken up: for seconds, if it keeps it for
 * milliseconds at a time.  Here it is a mutex too, for as long as everybody gets it soon; who has
 * waited for FAIR_LOCK_PATIENCE_MS closes the door behind it, and the others stay outside until it
 * has had the lock.  So the short and busy case costs one look more than a mutex, and no wake-up at
 * each change of hands.
 *
 * Who waits for a condition with pthread_cond_wait() uses @mutex; that wait is as unfair as a
 * mutex's.
 *
 * Threads: any.
 */
#ifndef BASE_FAIR_LOCK_H
#define BASE_FAIR_LOCK_H

#include "base/atomic.h"
#include "base/bits.h"

#include <pthread.h>
#include <stdbool.h>

#define FAIR_LOCK_PATIENCE_MS 5

struct fair_lock {
	pthread_mutex_t mutex;
	pthread_mutex_t door; /* held by the one who has waited long */
	bool shut;	      /* atomic: somebody holds it           */
};

void fair_lock_init(struct fair_lock *l);
/* Free. */
void fair_lock_fini(struct fair_lock *l);

/* Where it is not free, or others come first. */
void fair_lock_wait(struct fair_lock *l);

static inline void fair_lock_take(struct fair_lock *l)
{
	if (unlikely(read_once(&l->shut)) || pthread_mutex_trylock(&l->mutex))
		fair_lock_wait(l);
}

static inline void fair_lock_give(struct fair_lock *l)
{
	pthread_mutex_unlock(&l->mutex);
}

#endif
