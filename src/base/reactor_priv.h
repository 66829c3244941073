/* SPDX-License-Identifier: MIT */
/*
 * The inside of the reactor: what its common part (reactor.c) and its two kinds (reactor_uring.c,
 * reactor_epoll.c) share.
 */
#ifndef BASE_REACTOR_PRIV_H
#define BASE_REACTOR_PRIV_H

#include "base/log.h"
#include "base/poll_budget.h"
#include "base/reactor.h"

/* One watched fd.  Outlives its watch until the kernel has said its last word about it. */
struct reactor_watch_op {
	struct reactor *reactor;
	struct reactor_watch *watch; /* NULL: stopped */
	int fd;
	uint32_t events;
	bool armed; /* io_uring: a poll request is in the kernel  */
	bool busy;  /* the watch's callback is running           */
	bool over;  /* hung up: nothing more to report           */
	struct list link;
};

struct reactor_kind {
	int (*open)(struct reactor *r, unsigned entries, struct error *err);
	void (*close)(struct reactor *r);
	int (*watch)(struct reactor *r, struct reactor_watch_op *op);
	void (*unwatch)(struct reactor *r, struct reactor_watch_op *op);
	/* Delivers what has completed, without waiting; returns how many. */
	unsigned (*reap)(struct reactor *r);
	void (*submit)(struct reactor *r);
	/* Submits, and waits for at least one completion or @timeout_ns (UINT64_MAX: for ever). */
	void (*wait)(struct reactor *r, uint64_t timeout_ns);
};

extern const struct reactor_kind reactor_kind_uring;
extern const struct reactor_kind reactor_kind_epoll;

struct reactor {
	const struct reactor_kind *kind;
	struct io_uring ring;
	int epfd;
	unsigned
		dispatching; /* epoll: turns whose events may name watches that have been stopped */
	struct list watches; /* every watch_op, stopped ones included */

	bool stop;		   /* atomic */
	struct reactor_msg *inbox; /* atomic: newest first */
	int wake_fd;
	struct reactor_watch wake;

	struct evsignal *evsignal; /* NULL: none is to be had */

	struct list timers;  /* soonest first */
	struct list pollers; /* active ones   */
	const struct reactor_poller
		*polled; /* its callback runs; NULL: it has been stopped since */

	struct poll_budget budget;
	unsigned in_flight; /* reactor_ops that the kernel has          */
	bool unsubmitted;   /* the last turn left entries for the next one to submit */

	bool quiet;	      /* io_uring: an entry may ask for no completion */
	unsigned uncancelled; /* io_uring: stopped watches that are still armed for want of room */
	unsigned unarmed;     /* io_uring: live ones that are not, for the same reason           */
	struct log_limit complaints;

	const char *noted; /* atomic */
	struct reactor_stats stats;
};

/* Hands an event to the watch, if it is still there. */
void reactor_watch_deliver(struct reactor_watch_op *op, uint32_t events);

#endif
