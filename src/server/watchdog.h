/* SPDX-License-Identifier: MIT */
/*
 * Who holds a worker up?  A worker counts its turns; the control thread looks once a second whether
 * the count has moved, and posts a message that does nothing where it has not, since a worker that
 * has nothing to do sleeps.  One that does not take a turn for some seconds is named in the log,
 * with the queue that it turned to last; once, and once more when it goes on.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_WATCHDOG_H
#define SERVER_WATCHDOG_H

#include "base/log.h"
#include "base/worker.h"

/* Looks without a turn before it is told. */
#define WATCHDOG_LOOKS 3

struct watchdog_worker {
	struct reactor *reactor;
	struct reactor_msg nudge;
	uint64_t turns;	  /* at the last look          */
	unsigned without; /* looks since it has moved  */
	struct log_limit complaints;
};

struct watchdog {
	struct watchdog_worker *workers;
	unsigned n;
};

/* 0 or -ENOMEM. */
int watchdog_init(struct watchdog *d, struct worker *const *workers, unsigned n);
/* The workers have ended.  Harmless when zeroed. */
void watchdog_fini(struct watchdog *d);
/* Once a second. */
void watchdog_look(struct watchdog *d);

#endif
