/* SPDX-License-Identifier: MIT */
#include "base/sock.h"

#include "base/aside.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/limits.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

union control {
	char bytes[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
	struct cmsghdr align;
};

int sock_ready(int fd, short events, uint64_t until)
{
	struct pollfd p = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = clock_ns();
		uint64_t ms = now >= until ? 0 : (until - now) / NSEC_PER_MSEC + 1;
		int n = poll(&p, 1, (int)min_u64(ms, INT32_MAX));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && now >= until)
			return -ETIMEDOUT;
	}
}

/* ---- at once ---- */

ssize_t sock_send_some(int fd, const struct iovec *iov, unsigned iovcnt, const int *fds,
		       unsigned n_fds)
{
	struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iovcnt};
	union control control;
	ssize_t n;

	if (n_fds > SOCK_FDS_MAX)
		return -EINVAL;
	if (n_fds) {
		struct cmsghdr *h;

		memset(&control, 0, CMSG_SPACE(sizeof(int) * n_fds));
		m.msg_control = control.bytes;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(h), fds, sizeof(int) * n_fds);
	}
	do {
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	return n;
}

static void close_fd(const struct sock_fds *take, int fd)
{
	if (take && take->aside)
		aside_close(take->aside, fd);
	else
		close(fd);
}

/* The fds of @m are added to @take, those without room are closed.  false: some are of the reserve.
 */
static bool take_fds(struct msghdr *m, struct sock_fds *take)
{
	bool plenty = true;

	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (take && take->n < take->max) {
				plenty &= !limits_fd_is_reserve(fd);
				take->fds[take->n++] = fd;
				continue;
			}
			close_fd(take, fd);
			if (take)
				take->more = true;
		}
	}
	return plenty;
}

/* Why the kernel withheld fds; asked while those that came are still open. */
static int why_withheld(void)
{
	int fd = eventfd(0, EFD_CLOEXEC), rc = -EACCES;

	if (fd < 0)
		return errno == ENFILE ? -ENFILE : -EMFILE;
	if (limits_fd_is_reserve(fd))
		rc = -EMFILE;
	close(fd);
	return rc;
}

ssize_t sock_recv_some(int fd, void *data, size_t size, struct sock_fds *take)
{
	union control control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control)};
	unsigned before = take ? take->n : 0;
	ssize_t n;
	int rc = 0;

	do {
		n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	if (!take_fds(&m, take))
		rc = -EMFILE;
	else if (take && m.msg_flags & MSG_CTRUNC)
		rc = why_withheld();
	if (rc) {
		while (take->n > before)
			close_fd(take, take->fds[--take->n]);
		return rc;
	}
	return n ? n : -EPIPE;
}

ssize_t sock_recv_packet(int fd, void *data, size_t size, struct aside *aside)
{
	union control control;
	struct sock_fds none = {.aside = aside};
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
	(void)take_fds(&m, &none);
	if (none.more)
		return -EPROTO;
	return n ? n : -EPIPE;
}

#define EMPTY_MAX 1024

struct farewell {
	struct aside_job job;
	int fd;
};

static void farewell_run(struct aside_job *job)
{
	struct farewell *f = container_of(job, struct farewell, job);
	union control control;
	char byte;

	/* Empty messages look like the end: past as many as the kernel lets a sender have there. */
	for (unsigned empty = 0; empty < EMPTY_MAX;) {
		struct iovec iov = {.iov_base = &byte, .iov_len = sizeof(byte)};
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control.bytes,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(f->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n < 0)
			break;
		empty += !n;
		(void)take_fds(&m, NULL);
	}
	close(f->fd);
	f->fd = -1;
}

static void farewell_drop(struct aside_job *job)
{
	struct farewell *f = container_of(job, struct farewell, job);

	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

void sock_close_aside(struct aside *aside, int fd)
{
	struct farewell *f = malloc(sizeof(*f));

	/* Nothing more comes in, and the other side sees the end now. */
	shutdown(fd, SHUT_RDWR);
	if (!f) {
		aside_close(aside, fd);
		return;
	}
	*f = (struct farewell){
		.job = {.run = farewell_run, .done = farewell_drop, .drop = farewell_drop},
		.fd = fd,
	};
	aside_run(aside, &f->job);
}

/* ---- until a deadline ---- */

/* Where it does not matter in which way a peer is gone. */
static int gone_or_ours(ssize_t rc)
{
	return rc == -EINVAL || rc == -EACCES || limits_is_ours((int)rc) ? (int)rc : -ENOTCONN;
}

int sock_send(int fd, const void *data, size_t size, const int *fds, unsigned n_fds, uint64_t until)
{
	const char *at = data;

	while (size) {
		struct iovec iov = {.iov_base = (void *)(uintptr_t)at, .iov_len = size};
		ssize_t n = sock_send_some(fd, &iov, 1, fds, n_fds);
		int rc;

		if (n < 0)
			return gone_or_ours(n);
		if (n > 0) {
			at += n;
			size -= (size_t)n;
			n_fds = 0;
			continue;
		}
		rc = sock_ready(fd, POLLOUT, until);
		if (rc)
			return rc;
	}
	return 0;
}

int sock_recv(int fd, void *data, size_t size, struct sock_fds *take, uint64_t until)
{
	char *at = data;

	while (size) {
		ssize_t n = sock_recv_some(fd, at, size, take);
		int rc;

		if (n < 0)
			return gone_or_ours(n);
		if (n > 0) {
			at += n;
			size -= (size_t)n;
			continue;
		}
		rc = sock_ready(fd, POLLIN, until);
		if (rc)
			return rc;
	}
	return 0;
}

static int sock_dial_failed(const struct sock_address *at, int rc, struct error *err)
{
	char text[SOCK_ADDRESS_TEXT];

	sock_address_text(at, text);
	switch (rc) {
	case -EAGAIN:
		return error_set(err, rc, "%s takes nobody: too many wait there already.", text);
	case -ENOENT:
	case -ECONNREFUSED:
		return error_set(err, rc, "nobody answers at %s", text);
	default:
		return error_set(err, rc, "cannot connect to %s", text);
	}
}

int sock_dial(const struct sock_address *at, uint32_t timeout_ms, struct error *err)
{
	const struct timeval limit = {.tv_sec = timeout_ms / 1000,
				      .tv_usec = (suseconds_t)(timeout_ms % 1000 * 1000)};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket");
	/* A full backlog would make connect() wait for ever. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	do {
		rc = connect(fd, sock_address_of(at), at->len) ? -errno : 0;
	} while (rc == -EINTR);
	if (!rc)
		return fd;
	close(fd);
	return sock_dial_failed(at, rc, err);
}

bool sock_peer_is_ours(int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) &&
	       (who.uid == geteuid() || who.uid == 0);
}
