/* SPDX-License-Identifier: MIT */
/*
 * A worker: a thread with a reactor.  Queues belong to exactly one worker; the main thread tells it
 * things by reactor_post().
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include "base/error.h"
#include "base/reactor.h"

struct worker;

struct worker_config {
	const char *name; /* of the thread, at most 15 bytes                   */
	struct reactor_config
		reactor; /* uring is asked for: epoll is taken where it does not work */
	int cpu;	 /* to be pinned to, -1: none                         */
};

int worker_create(struct worker **out, const struct worker_config *config, struct error *err);
/* Stops the thread and joins it.  NULLs *w. */
void worker_destroy(struct worker **w);
struct reactor *worker_reactor(struct worker *w);

/* Runs @fn on the worker and waits for it: for set-up and tests, never on the way of a request. */
void worker_call(struct worker *w, void (*fn)(void *arg), void *arg);

#endif
