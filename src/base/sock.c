/* SPDX-License-Identifier: MIT */
#include "base/sock.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
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
		int n = poll(&p, 1, now >= until ? 0 : (int)((until - now) / NSEC_PER_MSEC) + 1);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && now >= until)
			return -ETIMEDOUT;
	}
}

int sock_send(int fd, const void *data, size_t size, const int *fds, unsigned n_fds, uint64_t until)
{
	union control control = {0};
	const char *at = data;

	if (n_fds > SOCK_FDS_MAX)
		return -EINVAL;
	while (size) {
		struct iovec iov = {.iov_base = (void *)(uintptr_t)at, .iov_len = size};
		struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
		ssize_t n;
		int rc;

		if (n_fds) {
			struct cmsghdr *h;

			m.msg_control = control.bytes;
			m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
			h = CMSG_FIRSTHDR(&m);
			h->cmsg_level = SOL_SOCKET;
			h->cmsg_type = SCM_RIGHTS;
			h->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
			memcpy(CMSG_DATA(h), fds, sizeof(int) * n_fds);
		}
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			at += n;
			size -= (size_t)n;
			n_fds = 0;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN)
			return -ENOTCONN;
		rc = sock_ready(fd, POLLOUT, until);
		if (rc)
			return rc;
	}
	return 0;
}

static void take_fds(struct msghdr *m, struct sock_fds *take)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (h->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(fd));
			if (take && take->n < take->max)
				take->fds[take->n++] = fd;
			else
				close(fd);
		}
	}
}

int sock_recv(int fd, void *data, size_t size, struct sock_fds *take, uint64_t until)
{
	char *at = data;

	while (size) {
		union control control;
		struct iovec iov = {.iov_base = at, .iov_len = size};
		struct msghdr m = {.msg_iov = &iov,
				   .msg_iovlen = 1,
				   .msg_control = control.bytes,
				   .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int rc;

		if (n > 0) {
			take_fds(&m, take);
			at += n;
			size -= (size_t)n;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || errno != EAGAIN)
			return -ENOTCONN;
		rc = sock_ready(fd, POLLIN, until);
		if (rc)
			return rc;
	}
	return 0;
}
