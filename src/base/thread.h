/* SPDX-License-Identifier: MIT */
/*
 * Threads: the one place that makes them.
 *
 * Rule: a signal that somebody sends is for the thread that asked for it, so a new thread has all of
 * those blocked.  Those that a thread raises by what it does (SIGBUS, SIGSEGV, ...) stay open:
 * where such a signal is blocked the kernel asks no handler and ends the process (mem/guard.c).
 *
 * Threads: any.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* @fn(@arg) on a new thread, which is to be joined.  0 or -errno. */
int thread_start(pthread_t *thread, void *(*fn)(void *arg), void *arg);
/* The same on one that nobody waits for, with a small stack (THREAD_SMALL_STACK). */
int thread_start_apart(void *(*fn)(void *arg), void *arg);

#define THREAD_SMALL_STACK ((size_t)128 << 10)

#endif
