/* SPDX-License-Identifier: MIT */
#include "backend/net/links.h"

#include "base/acceptor.h"
#include "base/aside.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/reactor.h"
#include "base/sock.h"
#include "base/sock_address.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A burst that a busy other side may be behind. */
#define BUFFER_BYTES (1 << 20)

/* Between two tries to find the other side again. */
#define RETRY_NS NSEC_PER_SEC

struct socket_link {
	struct net_link link;
	struct sock_address at; /* len 0: a given socket, never found again        */
	int fd;			/* to the other side; -1: nobody is there        */
	int listen_fd;		/* -1: we are the one who connects               */
	dev_t dev;		/* of the socket that we made, so that no other is removed */
	ino_t ino;
	struct reactor *reactor; /* NULL: receiving has not started */
	struct aside *aside;	 /* as long: who sends files along may make their closing wait */
	struct reactor_watch frames;
	struct acceptor clients;
	struct reactor_timer retry;
};

static struct socket_link *socket_of(struct net_link *l)
{
	return container_of(l, struct socket_link, link);
}

/* ---- the other side comes and goes ---- */

static void socket_set_up(struct socket_link *s, bool up)
{
	if (read_once(&s->link.up) != up && s->link.client)
		s->link.client->carrier(s->link.client, up);
	else
		write_once(&s->link.up, up);
}

static int socket_watch_frames(struct socket_link *s)
{
	return s->fd < 0 ? 0 : reactor_watch_start(s->reactor, &s->frames, s->fd, EPOLLIN);
}

/* Who is at the other end of @fd, which is closed when that cannot be. */
static int socket_take_over(struct socket_link *s, int fd)
{
	int bytes = BUFFER_BYTES, rc;

	/* As much as the system lets us have. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	s->fd = fd;
	rc = s->reactor ? socket_watch_frames(s) : 0;
	if (rc) {
		close(fd);
		s->fd = -1;
		return rc;
	}
	socket_set_up(s, true);
	return 0;
}

/* Receiving has started. */
static void socket_gone(struct socket_link *s)
{
	reactor_watch_stop(s->reactor, &s->frames);
	sock_close_aside(s->aside, s->fd);
	s->fd = -1;
	socket_set_up(s, false);
	/* Others that take long to be closed: nobody comes until some are. */
	if (s->at.len && (s->listen_fd < 0 || aside_is_stuck(s->aside, 0)))
		reactor_timer_start(s->reactor, &s->retry, RETRY_NS);
	else
		acceptor_look(&s->clients);
}

static bool socket_somebody_came(struct acceptor *a, int fd)
{
	struct socket_link *s = container_of(a, struct socket_link, clients);

	/* One cable, two ends. */
	if (s->fd >= 0)
		sock_close_aside(s->aside, fd);
	else
		(void)socket_take_over(s, fd);
	if (!aside_is_stuck(s->aside, 0))
		return true;
	reactor_timer_start(s->reactor, &s->retry, RETRY_NS);
	return false;
}

static int socket_open(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static int socket_try_connect(struct socket_link *s)
{
	int fd = socket_open(), rc;

	if (fd < 0)
		return fd;
	if (connect(fd, sock_address_of(&s->at), s->at.len)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return socket_take_over(s, fd);
}

static void socket_try_again(struct reactor_timer *t)
{
	struct socket_link *s = container_of(t, struct socket_link, retry);

	if (aside_is_stuck(s->aside, 0) || (s->listen_fd < 0 && socket_try_connect(s)))
		reactor_timer_start(s->reactor, t, RETRY_NS);
	else if (s->listen_fd >= 0)
		acceptor_look(&s->clients);
}

static int socket_wait_there(struct socket_link *s)
{
	bool file = !sock_address_is_abstract(&s->at);
	struct stat st = {0};
	int fd = socket_open(), rc;

	if (fd < 0)
		return fd;
	if (bind(fd, sock_address_of(&s->at), s->at.len)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	if (listen(fd, 1) || (file && stat(s->at.un.sun_path, &st))) {
		rc = -errno;
		if (file)
			unlink(s->at.un.sun_path);
		close(fd);
		return rc;
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->listen_fd = fd;
	return 0;
}

/* ---- frames ---- */

static void socket_readable(struct reactor_watch *w, uint32_t events)
{
	struct socket_link *s = container_of(w, struct socket_link, frames);

	(void)events;
	s->link.client->arrived(s->link.client, 0);
}

static ssize_t socket_receive(struct net_link *l, unsigned pair, struct virtio_net_hdr *hdr,
			      void *buf, size_t size)
{
	struct socket_link *s = socket_of(l);
	ssize_t n;

	(void)pair;
	if (s->fd < 0)
		return 0;
	n = sock_recv_packet(s->fd, buf, size, s->aside);
	/* An empty message is no frame, and cannot be told from the end; files are none either. */
	if (n < 0)
		socket_gone(s);
	if (n <= 0)
		return 0;
	*hdr = (struct virtio_net_hdr){0};
	return (size_t)n > size ? -EMSGSIZE : n;
}

static int socket_send(struct net_link *l, unsigned pair, const struct virtio_net_hdr *hdr,
		       const struct iovec *iov, int n, size_t len)
{
	struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
	struct socket_link *s = socket_of(l);
	ssize_t done;

	(void)pair;
	(void)hdr;
	if (s->fd < 0)
		return -ENOLINK;
	do
		done = sendmsg(s->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	/* That the other side has gone is noticed by who receives. */
	if (done < 0)
		return -errno;
	return (size_t)done == len ? 0 : -EIO;
}

static int socket_receive_start(struct net_link *l, unsigned pair, struct reactor *r,
				struct error *err)
{
	struct socket_link *s = socket_of(l);
	int rc;

	(void)pair;
	s->reactor = r;
	rc = aside_create(&s->aside, r);
	if (!rc)
		rc = socket_watch_frames(s);
	if (!rc && s->listen_fd >= 0)
		rc = acceptor_start(&s->clients, r, s->listen_fd);
	if (rc) {
		reactor_watch_stop(r, &s->frames);
		aside_release(&s->aside);
		s->reactor = NULL;
		return error_set(err, rc, "the socket cannot be waited for");
	}
	if (s->fd < 0 && s->listen_fd < 0 && s->at.len)
		reactor_timer_start(r, &s->retry, RETRY_NS);
	return 0;
}

static void socket_receive_stop(struct net_link *l, unsigned pair, struct reactor *r)
{
	struct socket_link *s = socket_of(l);

	(void)pair;
	reactor_watch_stop(r, &s->frames);
	acceptor_stop(&s->clients);
	reactor_timer_stop(r, &s->retry);
	aside_release(&s->aside);
	s->reactor = NULL;
}

/* ---- life ---- */

static void socket_remove_ours(const struct socket_link *s)
{
	struct stat st;

	if (sock_address_is_abstract(&s->at))
		return;
	if (!stat(s->at.un.sun_path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->at.un.sun_path);
}

static void socket_close(struct net_link *l)
{
	struct socket_link *s = socket_of(l);

	if (s->fd >= 0)
		close(s->fd);
	if (s->listen_fd >= 0) {
		socket_remove_ours(s);
		close(s->listen_fd);
	}
	free(s);
}

static const struct net_link_ops socket_ops = {
	.name = "a socket",
	.receive_start = socket_receive_start,
	.receive_stop = socket_receive_stop,
	.receive = socket_receive,
	.send = socket_send,
	.close = socket_close,
};

static struct socket_link *socket_new(void)
{
	struct socket_link *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->link.ops = &socket_ops;
	s->link.pairs = 1;
	s->link.one_thread = true;
	s->fd = s->listen_fd = -1;
	s->frames.ready = socket_readable;
	acceptor_init(&s->clients, NULL, socket_somebody_came);
	reactor_timer_init(&s->retry, socket_try_again);
	return s;
}

/* One of the two waits there, the other one connects. */
static int socket_meet(struct socket_link *s, const char *path)
{
	bool file = !sock_address_is_abstract(&s->at);
	int rc = socket_try_connect(s);
	struct stat st;

	/* Nobody waits at what is no socket, either; and it must not be removed. */
	if (file && rc == -ECONNREFUSED && !lstat(path, &st) && !S_ISSOCK(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSOCK;
	/* A socket that nobody waits at any more was left behind. */
	if (file && rc == -ECONNREFUSED)
		unlink(path);
	if (rc == -ECONNREFUSED || rc == -ENOENT)
		rc = socket_wait_there(s);
	/* The other one has come between the two looks. */
	return rc == -EADDRINUSE ? socket_try_connect(s) : rc;
}

static int socket_refusal(const char *path, int rc, struct error *err)
{
	switch (rc) {
	case -EISDIR:
		return error_set(
			err, rc,
			"socket=%s is a directory: name a socket in it, which the first of "
			"the two machines makes.",
			path);
	case -ENOTSOCK:
		return error_set(
			err, rc,
			"socket=%s is there and is no socket: name another place, or remove "
			"it.",
			path);
	case -EPROTOTYPE:
		return error_set(err, rc,
				 "socket=%s is not a network card's: whoever waits there speaks "
				 "another kind of socket.",
				 path);
	case -ENOENT:
	case -ENOTDIR:
		return error_set(err, rc, "socket=%s: the directory it is to be in is not there.",
				 path);
	case -EACCES:
		return error_set(err, rc,
				 "socket=%s: this user may neither connect to it nor make it.",
				 path);
	case -EAGAIN:
		return error_set(err, rc, "socket=%s: two machines are connected there already.",
				 path);
	default:
		return error_set(err, rc, "cannot use the socket %s", path);
	}
}

int net_socket_open(struct net_link **out, const char *path, struct error *err)
{
	struct sock_address at;
	struct socket_link *s;
	int rc;

	rc = sock_address(&at, path, err);
	if (rc)
		return rc;
	s = socket_new();
	if (!s)
		return error_set(err, -ENOMEM, "cannot use the socket %s", path);
	s->at = at;
	rc = socket_meet(s, path);
	if (rc) {
		socket_close(&s->link);
		return socket_refusal(path, rc, err);
	}
	*out = &s->link;
	return 0;
}

int net_socket_adopt(struct net_link **out, int fd, struct error *err)
{
	struct socket_link *s;
	socklen_t len = sizeof(int);
	int type;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len))
		return error_set(err, -errno, "fd %d is no socket", fd);
	if (type != SOCK_SEQPACKET)
		return error_set(err, -EINVAL,
				 "fd %d is no socket that keeps messages apart (SOCK_SEQPACKET).",
				 fd);
	s = socket_new();
	if (!s)
		return error_set(err, -ENOMEM, "cannot use fd %d", fd);
	(void)socket_take_over(s, fd);
	*out = &s->link;
	return 0;
}
