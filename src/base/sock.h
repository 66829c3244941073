/* SPDX-License-Identifier: MIT */
/*
 * Bytes and file descriptors over a Unix stream socket: the one place that calls sendmsg() and
 * recvmsg() with descriptors.
 *
 *	sock_send_some(), sock_recv_some()	what goes at once: for who must never wait
 *	sock_dial(), sock_send(), sock_recv()	all of it, until a deadline: for who speaks first and
 *						waits for the answer
 *
 * Invariants: no call waits beyond its deadline (clock_ns()), whatever mode the socket is in; no
 * SIGPIPE; every fd that arrives is close-on-exec and the caller's, or closed.
 *
 * Whose fault: a shortage of this process (limits_is_ours()) comes as what it is.  Room for as many
 * fds as a message can carry is always given, so fds that the kernel withholds (MSG_CTRUNC) are
 * never too many of the peer's: this process can have no more, -EMFILE or -ENFILE, or a security
 * policy keeps them back, -EACCES.  What would take the last few files (limits_fd_is_reserve())
 * counts as -EMFILE.
 *
 * Threads: any, one at a time for each direction of a socket.
 */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include "base/sock_address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The most fds that one message can carry (Linux' SCM_MAX_FD). */
#define SOCK_FDS_MAX 253

struct aside;

struct sock_fds {
	int *fds; /* room for @max */
	unsigned max, n;
	bool more;	     /* others had no room and are closed */
	struct aside *aside; /* closes what is to be closed; NULL: at once, which may wait */
};

/*
 * Some of it, without waiting; the fds (which stay the caller's) with the first byte.  >0: so many
 * bytes, and all fds; 0: nothing goes at present; -EINVAL: too many fds; another -errno: the peer is
 * gone, or limits_is_ours().
 */
ssize_t sock_send_some(int fd, const struct iovec *iov, unsigned iovcnt, const int *fds,
		       unsigned n_fds);
/*
 * What is there, up to @size (not 0) bytes, without waiting.  Fds are added to @take; NULL: they are
 * closed, and it does not matter if some were withheld.  >0: so many bytes; 0: nothing at present;
 * -EPIPE: the end; -EMFILE, -ENFILE, -EACCES: fds were withheld (those that came are closed);
 * another -errno: the peer is gone.
 */
ssize_t sock_recv_some(int fd, void *data, size_t size, struct sock_fds *take);

/*
 * A message of a socket that keeps them apart (SOCK_SEQPACKET), as much of it as @size holds, without
 * waiting.  >0: how long it is; 0: nothing at present; -EPIPE: the end, or an empty one; -EPROTO:
 * files came along, and are closed by @aside; another -errno: the peer is gone.
 */
ssize_t sock_recv_packet(int fd, void *data, size_t size, struct aside *aside);

/*
 * Closes @fd, some time.  What lies in it unread goes first: the last reference to the socket may be
 * one that an io_uring lets go of later, on the thread that must not wait for files in it.
 */
void sock_close_aside(struct aside *aside, int fd);

/*
 * 0: one of @events (POLLIN, POLLOUT) or the end of the connection; -ETIMEDOUT, -errno.
 * Looks at least once.
 */
int sock_ready(int fd, short events, uint64_t until);

/*
 * All of it, the fds (which stay the caller's) with the first byte.  -EINVAL: too many; -ENOTCONN:
 * the peer is gone; -ETIMEDOUT; or limits_is_ours().
 */
int sock_send(int fd, const void *data, size_t size, const int *fds, unsigned n_fds,
	      uint64_t until);
/* All of it.  @take may be NULL: fds are closed.  -ENOTCONN, -ETIMEDOUT; -EMFILE, -ENFILE, -EACCES:
 * as above. */
int sock_recv(int fd, void *data, size_t size, struct sock_fds *take, uint64_t until);

/*
 * A connection to whoever listens there, close-on-exec and blocking, or -errno and a sentence:
 * -EAGAIN: too many wait there already, and that for @timeout_ms.
 */
int sock_dial(const struct sock_address *at, uint32_t timeout_ms, struct error *err);

/* Whether our own user is at the other end, or root, who gets in everywhere. */
bool sock_peer_is_ours(int fd);

#endif
