/* SPDX-License-Identifier: MIT */
/* The reactor as an epoll set: for control threads, and where io_uring is forbidden. */
#include "base/reactor_priv.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64

static int epoll_kind_open(struct reactor *r, unsigned entries, struct error *err)
{
	(void)entries;
	r->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (r->epfd < 0)
		return error_set(err, -errno, "cannot create an epoll set");
	return 0;
}

static void epoll_kind_close(struct reactor *r)
{
	close(r->epfd);
}

static int epoll_kind_watch(struct reactor *r, struct reactor_watch_op *op)
{
	struct epoll_event ev = {.events = op->events | EPOLLET, .data.ptr = op};

	return epoll_ctl(r->epfd, EPOLL_CTL_ADD, op->fd, &ev) ? -errno : 0;
}

/* The op stays on the list until the events of this turn, which may name it, have been gone
 * through. */
static void epoll_kind_unwatch(struct reactor *r, struct reactor_watch_op *op)
{
	epoll_ctl(r->epfd, EPOLL_CTL_DEL, op->fd, NULL);
	if (r->dispatching)
		return;
	list_del(&op->link);
	free(op);
}

static void bury(struct reactor *r)
{
	list_for_each_safe (l, &r->watches) {
		struct reactor_watch_op *op = list_entry(l, struct reactor_watch_op, link);

		if (op->watch)
			continue;
		list_del(&op->link);
		free(op);
	}
}

static unsigned dispatch(struct reactor *r, int timeout_ms)
{
	struct epoll_event ev[EVENTS_AT_ONCE];
	int n = epoll_wait(r->epfd, ev, EVENTS_AT_ONCE, timeout_ms);

	r->stats.syscalls++;
	if (n <= 0)
		return 0;
	r->dispatching++;
	for (int i = 0; i < n; i++)
		reactor_watch_deliver(ev[i].data.ptr, ev[i].events);
	if (!--r->dispatching)
		bury(r);
	return (unsigned)n;
}

static unsigned epoll_kind_reap(struct reactor *r)
{
	return dispatch(r, 0);
}

static void epoll_kind_submit(struct reactor *r)
{
	(void)r; /* nothing is ever queued */
}

static void epoll_kind_wait(struct reactor *r, uint64_t timeout_ns)
{
	int ms = timeout_ns == UINT64_MAX
			 ? -1
			 : (int)min_u64((timeout_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC,
					INT32_MAX);

	dispatch(r, ms);
}

const struct reactor_kind reactor_kind_epoll = {
	.open = epoll_kind_open,
	.close = epoll_kind_close,
	.watch = epoll_kind_watch,
	.unwatch = epoll_kind_unwatch,
	.reap = epoll_kind_reap,
	.submit = epoll_kind_submit,
	.wait = epoll_kind_wait,
};
