/* SPDX-License-Identifier: MIT */
#include "base/acceptor.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Others that this thread serves must not wait for a crowd at the door. */
#define AT_ONCE	 16
#define RETRY_NS (100 * NSEC_PER_MSEC)

static int accept_next(int fd)
{
	int rc;

	do {
		rc = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	} while (rc < 0 && (errno == EINTR || errno == ECONNABORTED));
	return rc < 0 ? -errno : rc;
}

void acceptor_restock(struct acceptor *a)
{
	if (!a->home || !a->keep_spare || a->spare >= 0)
		return;
	/* A copy of the listener: nothing need be there to be opened. */
	a->spare = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
	/* The connection that has gone may not be closed yet. */
	if (a->spare < 0)
		reactor_timer_start(a->home, &a->again, RETRY_NS);
}

/* The same, with the file that is kept if there is no other. */
static int accept_somehow(struct acceptor *a)
{
	int fd = accept_next(a->fd);

	a->on_spare = false;
	if (fd >= 0 && a->keep_spare && a->spare < 0) {
		/* It has the file that was to be kept, if there is no other now. */
		acceptor_restock(a);
		a->on_spare = a->spare < 0;
	}
	if (!limits_is_ours(fd) || a->spare < 0)
		return fd;
	close(a->spare);
	a->spare = -1;
	fd = accept_next(a->fd);
	a->on_spare = fd >= 0;
	return fd;
}

/* Strangers whose closing takes long: they cost no more files than these. */
static int accept_unless_stuck(struct acceptor *a)
{
	return aside_is_stuck(a->aside, 0) ? -EDEADLK : accept_somehow(a);
}

static void complain(struct acceptor *a, int rc)
{
	char reason[160];

	if (rc == -EDEADLK) {
		log_limited(&a->complaints, LOG_LEVEL_ERR, a->name,
			    "%u connections take long to be closed; nobody else is let in until "
			    "some of them are",
			    aside_waiting(a->aside));
		return;
	}
	log_limited(&a->complaints, LOG_LEVEL_ERR, a->name,
		    "cannot accept a connection: %s; trying again",
		    limits_reason(rc, reason, sizeof(reason)));
}

void acceptor_look(struct acceptor *a)
{
	uint64_t pause = 0;

	a->full = false;
	for (int i = 0; a->home && !a->full; i++) {
		int fd = i < AT_ONCE ? accept_unless_stuck(a) : -EBUSY;

		if (fd >= 0 && a->owner_only && !sock_peer_is_ours(fd)) {
			shutdown(fd, SHUT_RDWR);
			aside_close(a->aside, fd);
			continue;
		}
		if (fd >= 0) {
			a->full = !a->came(a, fd);
			continue;
		}
		if (fd == -EAGAIN || fd == -EWOULDBLOCK) {
			acceptor_restock(a);
			return;
		}
		if (fd != -EBUSY) {
			complain(a, fd);
			pause = RETRY_NS;
		}
		reactor_timer_start(a->home, &a->again, pause);
		return;
	}
}

static void acceptor_ready(struct reactor_watch *w, uint32_t events)
{
	struct acceptor *a = container_of(w, struct acceptor, watch);

	(void)events;
	if (!a->full)
		acceptor_look(a);
}

static void acceptor_again(struct reactor_timer *t)
{
	acceptor_look(container_of(t, struct acceptor, again));
}

void acceptor_init(struct acceptor *a, const char *name, bool (*came)(struct acceptor *a, int fd))
{
	*a = (struct acceptor){.name = name, .came = came, .fd = -1, .spare = -1};
	a->watch.ready = acceptor_ready;
	reactor_timer_init(&a->again, acceptor_again);
}

int acceptor_start(struct acceptor *a, struct reactor *home, int fd)
{
	int rc = aside_create(&a->aside, home);

	if (!rc)
		rc = reactor_watch_start(home, &a->watch, fd, EPOLLIN);
	if (rc) {
		aside_release(&a->aside);
		return rc;
	}
	a->home = home;
	a->fd = fd;
	a->full = false;
	acceptor_restock(a);
	return 0;
}

void acceptor_stop(struct acceptor *a)
{
	if (!a->home)
		return;
	reactor_watch_stop(a->home, &a->watch);
	reactor_timer_stop(a->home, &a->again);
	aside_release(&a->aside);
	if (a->spare >= 0)
		close(a->spare);
	a->home = NULL;
	a->fd = a->spare = -1;
}
