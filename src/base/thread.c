/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include "base/bits.h"

#include <signal.h>
#include <stddef.h>

static const int thread_own_signals[] = {
	SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT,
};

/* A thread inherits its maker's mask. */
static int thread_make(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *arg),
		       void *arg)
{
	sigset_t sent, before;
	int rc;

	sigfillset(&sent);
	for (size_t i = 0; i < ARRAY_SIZE(thread_own_signals); i++)
		sigdelset(&sent, thread_own_signals[i]);
	pthread_sigmask(SIG_SETMASK, &sent, &before);
	rc = pthread_create(thread, attr, fn, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -rc;
}

int thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	return thread_make(thread, NULL, fn, arg);
}

int thread_start_apart(void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	rc = pthread_attr_init(&attr);
	if (rc)
		return -rc;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_SMALL_STACK);
	rc = thread_make(&thread, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return rc;
}
