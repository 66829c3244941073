/* SPDX-License-Identifier: MIT */
/*
 * The reactor: everything that one thread waits for, in one place.
 *
 * Two kinds, one interface.  A worker's reactor is an io_uring: kick fds, messages from other
 * threads and the storage's I/O all complete in it, and one system call per turn submits a batch
 * and waits.  Where io_uring is forbidden, and for control threads, whose loop may belong to
 * somebody else, it is an epoll set.
 *
 * A turn: deliver what has completed, run the active pollers, submit.  When nothing is left to do,
 * pollers are first polled on for a bounded time, then told to arm their notifications, then the
 * thread sleeps.
 *
 * Threads: everything here belongs to the reactor's own thread, except reactor_post() and
 * reactor_stop(), which any thread may call.
 */
#ifndef BASE_REACTOR_H
#define BASE_REACTOR_H

#include "base/error.h"
#include "base/list.h"

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

struct reactor;

#define REACTOR_POLL_FOREVER UINT32_MAX
/* Longest look for work before sleeping, where nobody says otherwise: more than two wake-ups cost. */
#define REACTOR_POLL_US 200

struct reactor_config {
	bool uring;	  /* false: epoll                                              */
	unsigned entries; /* submission queue size; 0: a default                       */
	uint32_t poll_us; /* longest time to poll before sleeping; 0: never; or REACTOR_POLL_FOREVER
			   */
};

/*
 * Created, used and destroyed on one thread.  An io_uring is tried whole (base/uring_trial.h); an
 * error, whichever, means that it does not work here: ask again for epoll.
 */
int reactor_create(struct reactor **out, const struct reactor_config *config, struct error *err);

/* Only with no watch, timer or poller left; undelivered messages are dropped.  NULLs *r. */
void reactor_destroy(struct reactor **r);

/* Takes turns until reactor_stop(). */
void reactor_run(struct reactor *r);
void reactor_stop(struct reactor *r);

/* For a loop that belongs to the caller: wait until the fd is readable, then process (which never
 * sleeps). epoll kind only. */
int reactor_fd(const struct reactor *r);
void reactor_process(struct reactor *r);
/* Milliseconds until the next timer, -1 if there is none: the caller's poll() timeout. */
int reactor_timeout_ms(const struct reactor *r);

/* One turn that may sleep. */
void reactor_turn(struct reactor *r);

/* ---- messages from any thread ---- */

/*
 * Embedded in the caller's struct, zeroed but for @run; must stay valid until @run has been called.
 * Order is kept per sender.
 *
 * Posting is idempotent: a message that is still queued is left where it is, and the one @run that
 * comes sees what every poster wrote before it posted.  From the moment @run is called (it may free
 * the message, or post it anew, also to another reactor) the next post queues it again.
 */
struct reactor_msg {
	void (*run)(struct reactor_msg *msg);
	struct reactor_msg *next; /* the reactor's, as what follows */
	bool queued;		  /* atomic */
};
void reactor_post(struct reactor *r, struct reactor_msg *msg);

/* ---- fds ---- */

/*
 * Edge-triggered: @ready comes after each change to readiness, and once at the start if the fd is
 * ready then; it may come without cause.  Reading an eventfd is not needed to be told of the next
 * signal.  After EPOLLHUP or EPOLLERR it does not come again.
 */
struct reactor_watch {
	void (*ready)(struct reactor_watch *w, uint32_t events); /* EPOLLIN, ... */
	struct reactor_watch_op *op;				 /* the reactor's */
};
/* 0 or -errno (-EPERM: a kind of file that cannot be waited for). */
int reactor_watch_start(struct reactor *r, struct reactor_watch *w, int fd, uint32_t events);
/* After this @ready does not come any more; the fd may be closed.  Harmless when not started. */
void reactor_watch_stop(struct reactor *r, struct reactor_watch *w);

/* ---- timers ---- */

struct reactor_timer {
	void (*expired)(struct reactor_timer *t); /* the timer is off when this is called */
	uint64_t at_ns;
	struct list link;
};
void reactor_timer_init(struct reactor_timer *t, void (*expired)(struct reactor_timer *t));
void reactor_timer_start(struct reactor *r, struct reactor_timer *t, uint64_t delay_ns);
void reactor_timer_stop(struct reactor *r, struct reactor_timer *t);

/* ---- memory that is looked at rather than waited for ---- */

/*
 * @poll and @arm may activate and stop any poller, their own included, and free what they have
 * stopped.
 */

struct reactor_poller {
	/* Look and work, a bounded amount.  Returns how many things were done; 0 counts as idle. */
	unsigned (*poll)(struct reactor_poller *p);
	/* Ask the other side for notifications and look once more; false: something slipped in,
	 * stay active. */
	bool (*arm)(struct reactor_poller *p);
	struct list link;
	uint32_t idle_turns;
};
void reactor_poller_init(struct reactor_poller *p, unsigned (*poll)(struct reactor_poller *p),
			 bool (*arm)(struct reactor_poller *p));
/* Polled from this turn on, until it has been armed or stopped. */
void reactor_poller_add(struct reactor *r, struct reactor_poller *p); /* for one that is not */
static inline void reactor_poller_activate(struct reactor *r, struct reactor_poller *p)
{
	if (unlikely(!list_is_linked(&p->link)))
		reactor_poller_add(r, p);
}
void reactor_poller_stop(struct reactor *r, struct reactor_poller *p);

/* ---- io_uring, for whoever has I/O to do ---- */

/* user_data of each submission is the address of one of these; @done comes on the reactor's thread,
 * never inside submission. */
struct reactor_op {
	void (*done)(struct reactor_op *op, int res);
};
bool reactor_is_uring(const struct reactor *r);
/* What the thread waits and works with, for a person. */
const char *reactor_describe(const struct reactor *r);
struct io_uring *
reactor_uring(struct reactor *r); /* NULL if epoll; for registering files and buffers */
/*
 * An empty submission entry whose completion goes to @op (NULL: nobody cares); the caller prepares
 * it, then calls reactor_sqe_set().  NULL when the kernel takes no more at present: try again next
 * turn.  Submitted at the end of the turn.
 */
struct io_uring_sqe *reactor_sqe(struct reactor *r);
void reactor_sqe_set(struct reactor *r, struct io_uring_sqe *sqe, struct reactor_op *op);
/* Hands over at once what is queued: before an fd that a queued entry names is closed. */
void reactor_submit(struct reactor *r);

/* For signalling eventfds that somebody else holds, too; NULL: not to be had here. */
struct evsignal *reactor_evsignal(struct reactor *r);

/* What the thread has done so far: counts, not times. */
struct reactor_stats {
	uint64_t turns;	   /* times round the loop                  */
	uint64_t syscalls; /* io_uring_enter or epoll_wait calls    */
	uint64_t sleeps;   /* of those, the ones that meant to wait */
};
const struct reactor_stats *reactor_stats(const struct reactor *r);

/* Turns taken so far; any thread. */
uint64_t reactor_turns(const struct reactor *r);
/* What the thread turns to now, for whoever finds it standing still; NULL: nothing.  Not copied. */
void reactor_note(struct reactor *r, const char *what);
const char *reactor_noted(const struct reactor *r); /* any thread */

#endif
