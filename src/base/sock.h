/* SPDX-License-Identifier: MIT */
/*
 * Whole messages over a Unix stream socket, with file descriptors, until a deadline: what a side
 * needs that speaks first and waits for the answer.
 *
 * Invariants: no call waits beyond its deadline (clock_ns()), whatever mode the socket is in; every
 * fd that arrives is the caller's or closed.
 *
 * Threads: any, one at a time for each direction of a socket.
 */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <stddef.h>
#include <stdint.h>

/* The most fds that one message can carry (Linux' SCM_MAX_FD). */
#define SOCK_FDS_MAX 253

/*
 * 0: one of @events (POLLIN, POLLOUT) or the end of the connection; -ETIMEDOUT, -errno.
 * Looks at least once.
 */
int sock_ready(int fd, short events, uint64_t until);

/*
 * All of it, the fds (which stay the caller's) with the first byte.  -EINVAL: too many; -ENOTCONN:
 * the peer is gone; -ETIMEDOUT.
 */
int sock_send(int fd, const void *data, size_t size, const int *fds, unsigned n_fds,
	      uint64_t until);

struct sock_fds {
	int *fds; /* room for @max: those that arrived, close-on-exec; more are closed */
	unsigned max, n;
};
/* All of it.  @take may be NULL: fds are closed.  -ENOTCONN, -ETIMEDOUT. */
int sock_recv(int fd, void *data, size_t size, struct sock_fds *take, uint64_t until);

#endif
