/* SPDX-License-Identifier: MIT */
#include "server/watchdog.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void nudged(struct reactor_msg *msg)
{
	(void)msg; /* the turn that takes it is what counts */
}

int watchdog_init(struct watchdog *d, struct worker *const *workers, unsigned n)
{
	d->workers = calloc(n, sizeof(d->workers[0]));
	if (!d->workers)
		return -ENOMEM;
	d->n = n;
	for (unsigned i = 0; i < n; i++) {
		d->workers[i].reactor = worker_reactor(workers[i]);
		d->workers[i].nudge.run = nudged;
	}
	return 0;
}

void watchdog_fini(struct watchdog *d)
{
	free(d->workers);
	*d = (struct watchdog){.n = 0};
}

static void watchdog_tell(struct watchdog_worker *w, unsigned i)
{
	const char *what = reactor_noted(w->reactor);
	char name[32];

	snprintf(name, sizeof(name), "worker%u", i);
	log_limited(&w->complaints, LOG_LEVEL_WARN, name,
		    "has taken no turn for %d seconds: something makes it wait; the last it turned "
		    "to was %s%s",
		    WATCHDOG_LOOKS, what ? what : "nothing",
		    what ? ", and the disks that share it wait, too" : "");
}

static void watchdog_look_at(struct watchdog_worker *w, unsigned i)
{
	uint64_t turns = reactor_turns(w->reactor);
	char name[32];

	if (turns == w->turns) {
		/* A message that is still queued stays where it is. */
		reactor_post(w->reactor, &w->nudge);
		if (++w->without == WATCHDOG_LOOKS + 1)
			watchdog_tell(w, i);
		return;
	}
	if (w->without > WATCHDOG_LOOKS) {
		snprintf(name, sizeof(name), "worker%u", i);
		log_limited(&w->complaints, LOG_LEVEL_WARN, name, "goes on, after %u seconds",
			    w->without);
	}
	w->turns = turns;
	w->without = 0;
}

void watchdog_look(struct watchdog *d)
{
	for (unsigned i = 0; i < d->n; i++)
		watchdog_look_at(&d->workers[i], i);
}
