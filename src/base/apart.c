/* SPDX-License-Identifier: MIT */
#include "base/apart.h"

#include "base/thread.h"

#include <errno.h>
#include <time.h>

static void apart_fini(struct apart *a)
{
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
}

static void *apart_thread(void *arg)
{
	struct apart *a = arg;
	bool left;

	a->run(a);
	pthread_mutex_lock(&a->lock);
	a->over = true;
	left = a->left;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
	if (left) {
		apart_fini(a);
		a->drop(a);
	}
	return NULL;
}

int apart_do(struct apart *a, unsigned seconds)
{
	pthread_condattr_t attr;
	struct timespec until;
	pthread_t thread;
	int rc;

	a->over = a->left = false;
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &attr);
	pthread_condattr_destroy(&attr);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	rc = thread_start(&thread, apart_thread, a);
	if (rc) {
		apart_fini(a);
		return rc;
	}
	pthread_mutex_lock(&a->lock);
	while (!a->over && !rc)
		rc = pthread_cond_timedwait(&a->changed, &a->lock, &until);
	if (a->over) {
		pthread_mutex_unlock(&a->lock);
		pthread_join(thread, NULL);
		apart_fini(a);
		return 0;
	}
	/* From here on it may be gone at any time. */
	a->left = true;
	pthread_detach(thread);
	pthread_mutex_unlock(&a->lock);
	return -ETIMEDOUT;
}
