/* SPDX-License-Identifier: MIT */
#include "frontend/vhost_user/back_test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool read_all(int fd, void *buf, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t got = read(fd, (char *)buf + at, n - at);

		if (got <= 0)
			return false;
		at += (size_t)got;
	}
	return true;
}

static void keep_fd(int *place, int fd)
{
	if (*place >= 0)
		close(*place);
	*place = fd;
}

static bool receive(struct back *b, struct seen *s)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr align;
	} control;
	struct vhost_user_header h;
	struct iovec iov = {&h, sizeof(h)};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = control.bytes,
			   .msg_controllen = sizeof(control)};
	int fds[16] = {-1};

	memset(s, 0, sizeof(*s));
	if (recvmsg(b->fd, &m, MSG_CMSG_CLOEXEC) != sizeof(h))
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		s->fds = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), s->fds * sizeof(int));
	}
	s->request = h.request;
	s->flags = h.flags;
	s->size = h.size;
	if (h.size > sizeof(s->p) || !read_all(b->fd, &s->p, h.size))
		return false;
	if (s->fds == 1 && h.request == VHOST_USER_SET_BACKEND_REQ_FD)
		keep_fd(&b->back_fd, fds[0]);
	else if (s->fds == 1 && h.request == VHOST_USER_SET_VRING_KICK)
		keep_fd(&b->kick_fd, fds[0]);
	else if (s->fds == 1 && h.request == VHOST_USER_SET_VRING_CALL)
		keep_fd(&b->call_fd, fds[0]);
	else if (s->fds == 1 && h.request == VHOST_USER_SET_VRING_ERR)
		keep_fd(&b->err_fd, fds[0]);
	else
		for (unsigned i = 0; i < s->fds; i++)
			close(fds[i]);
	return true;
}

static bool put(struct back *b, const void *p, size_t n)
{
	return send(b->fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool answer(struct back *b, uint32_t request, const void *payload, uint32_t size)
{
	struct {
		struct vhost_user_header h;
		uint8_t p[sizeof(union vhost_user_payload)];
	} m = {.h = {.request = request,
		     .flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
		     .size = size}};
	enum prank prank = request == b->prank_at ? b->prank : PRANK_NONE;
	size_t n = sizeof(m.h) + size;

	memcpy(m.p, payload, size);
	switch (prank) {
	case PRANK_SILENT:
		return true;
	case PRANK_CLOSE:
		return false;
	case PRANK_WRONG_REQUEST:
		m.h.request ^= 1;
		break;
	case PRANK_NO_REPLY_FLAG:
		m.h.flags = VHOST_USER_VERSION;
		break;
	case PRANK_WRONG_VERSION:
		m.h.flags = VHOST_USER_REPLY | 2;
		break;
	case PRANK_TOO_LONG:
		m.h.size += 8;
		n += 8;
		break;
	case PRANK_HUGE:
		m.h.size = UINT32_MAX;
		break;
	case PRANK_TOO_SHORT:
		m.h.size -= 4;
		n -= 4;
		break;
	case PRANK_PIECES:
		for (size_t i = 0; i < n; i++)
			if (!put(b, (char *)&m + i, 1))
				return false;
		return true;
	case PRANK_HALF:
		put(b, &m, 7);
		return false;
	case PRANK_REFUSE:
		memset(m.p, 1, 8);
		break;
	case PRANK_FDS: {
		union {
			char bytes[CMSG_SPACE(sizeof(int) * 8)];
			struct cmsghdr align;
		} control = {0};
		struct iovec iov = {&m, n};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.bytes,
				     .msg_controllen = sizeof(control)};
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		int fds[8] = {0, 0, 0, 0, 0, 0, 0, 0};

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
		return sendmsg(b->fd, &msg, MSG_NOSIGNAL) == (ssize_t)n;
	}
	default:
		break;
	}
	return put(b, &m, n);
}

/* The answer that a message has of its own; false: none. */
static bool own_answer(struct back *b, struct seen *s, void *out, uint32_t *size)
{
	uint64_t u64 = 0;

	switch (s->request) {
	case VHOST_USER_GET_FEATURES:
		u64 = b->features;
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		u64 = b->protocol;
		break;
	case VHOST_USER_GET_QUEUE_NUM:
		u64 = b->queues;
		break;
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		u64 = b->slots;
		break;
	case VHOST_USER_GET_STATUS:
		u64 = b->status;
		break;
	case VHOST_USER_GET_VRING_BASE:
		memcpy(out, &s->p, 8);
		*size = 8;
		return true;
	case VHOST_USER_GET_CONFIG:
		memcpy(out, &s->p, s->size);
		for (uint32_t i = 0; i < s->p.config.size; i++)
			((struct vhost_user_config *)out)->data[i] = (uint8_t)i;
		*size = s->p.config.size <= b->config_bytes ? s->size : 0;
		return true;
	default:
		return false;
	}
	memcpy(out, &u64, 8);
	*size = 8;
	return true;
}

static void *back_main(void *opaque)
{
	struct back *b = opaque;
	struct seen s;

	while (receive(b, &s)) {
		union vhost_user_payload out = {0};
		uint32_t size = 8;
		bool good = true;

		if (b->n < SEEN_MAX)
			b->seen[b->n++] = s;
		if (s.request == VHOST_USER_SET_PROTOCOL_FEATURES)
			b->agreed = s.p.u64;
		if (s.request == VHOST_USER_SET_STATUS)
			b->status = s.p.u64;
		if (own_answer(b, &s, &out, &size) ||
		    (s.flags & VHOST_USER_NEED_REPLY && b->agreed & P(REPLY_ACK)))
			good = answer(b, s.request, &out, size);
		else if (s.request == b->prank_at && b->prank == PRANK_CLOSE)
			good = false;
		if (!good)
			break;
	}
	shutdown(b->fd, SHUT_RDWR);
	return NULL;
}

void back_init(struct back *b)
{
	memset(b, 0, sizeof(*b));
	b->features = BIT64(VIRTIO_F_VERSION_1) | BIT64(VHOST_USER_F_PROTOCOL_FEATURES);
	b->protocol = ALL_PROTOCOL | BIT64(40) | BIT64(14);
	b->queues = 4;
	b->slots = 32;
	b->config_bytes = 60;
	b->back_fd = b->kick_fd = b->call_fd = b->err_fd = -1;
}

void back_start(struct back *b)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	b->fd = fds[0];
	b->peer = fds[1];
	assert_int_equal(pthread_create(&b->thread, NULL, back_main, b), 0);
}

void back_end(struct back *b)
{
	shutdown(b->fd, SHUT_RDWR);
	pthread_join(b->thread, NULL);
	close(b->fd);
	keep_fd(&b->back_fd, -1);
	keep_fd(&b->kick_fd, -1);
	keep_fd(&b->call_fd, -1);
	keep_fd(&b->err_fd, -1);
}

int adopt(struct back *b, struct transport **t)
{
	struct vhost_user_options o = {.timeout_ms = 20000};

	back_start(b);
	if (b->prank == PRANK_SILENT)
		o.timeout_ms = 30;
	return vhost_user_adopt(b->peer, &o, t, NULL);
}

void expect(const struct back *b, unsigned from, const uint32_t *requests, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_true(from + i < b->n);
		assert_int_equal(b->seen[from + i].request, requests[i]);
	}
	assert_int_equal(b->n, from + n);
}

unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}
