/* SPDX-License-Identifier: MIT */
#include "base/fair_lock.h"

#include "base/clock.h"

#include <time.h>

void fair_lock_init(struct fair_lock *l)
{
	pthread_mutex_init(&l->mutex, NULL);
	pthread_mutex_init(&l->door, NULL);
	l->shut = false;
}

void fair_lock_fini(struct fair_lock *l)
{
	pthread_mutex_destroy(&l->door);
	pthread_mutex_destroy(&l->mutex);
}

static bool taken_soon(struct fair_lock *l)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += FAIR_LOCK_PATIENCE_MS * (long)NSEC_PER_MSEC;
	if (until.tv_nsec >= (long)NSEC_PER_SEC) {
		until.tv_nsec -= (long)NSEC_PER_SEC;
		until.tv_sec++;
	}
	/* A clock that is set meanwhile changes how patient it is, and nothing else. */
	return !pthread_mutex_timedlock(&l->mutex, &until);
}

void fair_lock_wait(struct fair_lock *l)
{
	if (read_once(&l->shut)) {
		pthread_mutex_lock(&l->door);
		pthread_mutex_unlock(&l->door);
	}
	if (taken_soon(l))
		return;
	pthread_mutex_lock(&l->door);
	write_once(&l->shut, true);
	pthread_mutex_lock(&l->mutex);
	write_once(&l->shut, false);
	pthread_mutex_unlock(&l->door);
}
