/* SPDX-License-Identifier: MIT */
#include "base/notifier.h"

#include "base/evsignal.h"
#include "base/reactor.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* How many signals may pass before the fd's mode is looked at again: whoever has it, too, can change
 * it. */
#define LOOK_AGAIN 1024

static const uint64_t one = 1;

void notifier_init(struct notifier *n)
{
	*n = (struct notifier){.fd = -1};
}

static void look_at_mode(struct notifier *n)
{
	int flags = fcntl(n->fd, F_GETFL);

	n->blocking = flags < 0 || !(flags & O_NONBLOCK);
	n->signals = 0;
}

int notifier_swap(struct notifier *n, struct reactor *r, int fd, bool foreign)
{
	int before = n->fd;

	/* A queued entry may still name the old fd. */
	if (before >= 0 && r)
		reactor_submit(r);
	n->fd = fd;
	n->foreign = foreign;
	if (fd >= 0)
		look_at_mode(n);
	return before;
}

void notifier_set(struct notifier *n, struct reactor *r, int fd)
{
	int before = notifier_swap(n, r, fd, false);

	if (before >= 0)
		close(before);
}

/*
 * A fd that may be in blocking mode: io_uring would hand the write to a kernel thread, so ask first
 * and write then.  POLLERR alone tells of a counter that is past its end: a write would wait.
 */
static void signal_blocking(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
		return; /* full: whoever reads it will find it readable anyway */
	if (write(fd, &one, sizeof(one)) < 0)
		return; /* a peer that is gone does not want to know */
}

void notifier_signal_foreign(struct reactor *r, int fd)
{
	struct evsignal *safe = reactor_evsignal(r);

	if (safe)
		(void)evsignal_send(safe, fd);
	else
		signal_blocking(fd);
}

void notifier_signal(struct notifier *n, struct reactor *r)
{
	struct io_uring_sqe *sqe = NULL;

	if (n->fd < 0)
		return;
	n->total++;
	if (n->foreign) {
		notifier_signal_foreign(r, n->fd);
		return;
	}
	if (++n->signals >= LOOK_AGAIN)
		look_at_mode(n);
	if (!n->blocking && reactor_is_uring(r))
		sqe = reactor_sqe(r);
	if (!sqe) {
		signal_blocking(n->fd);
		return;
	}
	io_uring_prep_write(sqe, n->fd, &one, sizeof(one), 0);
	reactor_sqe_set(r, sqe, NULL);
}
