/* SPDX-License-Identifier: MIT */
/* The vhost-user client against a scripted back end on a socket pair: the order of its messages,
 * and what it makes of answers that do not fit. */
#include "test.h"

#include "base/bits.h"
#include "base/clock.h"
#include "frontend/vhost_user/client.h"
#include "frontend/virtio/vdriver.h"
#include "wire/vhost_user.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define P(name) BIT64(VHOST_USER_PROTOCOL_F_##name)
#define ALL_PROTOCOL                                                           \
	(P(MQ) | P(REPLY_ACK) | P(BACKEND_REQ) | P(CONFIG) | P(RESET_DEVICE) | \
	 P(CONFIGURE_MEM_SLOTS) | P(STATUS))
#define SEEN_MAX 256

/* What the back end does instead of answering rightly. */
enum prank {
	PRANK_NONE,
	PRANK_SILENT,
	PRANK_CLOSE,
	PRANK_WRONG_REQUEST,
	PRANK_NO_REPLY_FLAG,
	PRANK_WRONG_VERSION,
	PRANK_TOO_LONG,
	PRANK_HUGE,
	PRANK_TOO_SHORT,
	PRANK_PIECES,
	PRANK_HALF,
	PRANK_REFUSE,
	PRANK_FDS,
};

struct seen {
	uint32_t request, flags, size;
	unsigned fds;
	union vhost_user_payload p;
};

struct back {
	int fd, peer;
	pthread_t thread;
	uint64_t features, protocol, queues, slots;
	uint32_t config_bytes;
	enum prank prank;
	uint32_t prank_at; /* the request */
	uint64_t status;
	uint64_t agreed;
	int back_fd; /* their end of the channel back */
	int kick_fd, call_fd, err_fd;
	struct seen seen[SEEN_MAX];
	unsigned n;
};

static bool read_all(int fd, void *buf, size_t n)
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

static void back_init(struct back *b)
{
	memset(b, 0, sizeof(*b));
	b->features = BIT64(VIRTIO_F_VERSION_1) | BIT64(VHOST_USER_F_PROTOCOL_FEATURES);
	b->protocol = ALL_PROTOCOL | BIT64(40) | BIT64(14);
	b->queues = 4;
	b->slots = 32;
	b->config_bytes = 60;
	b->back_fd = b->kick_fd = b->call_fd = b->err_fd = -1;
}

static void back_start(struct back *b)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	b->fd = fds[0];
	b->peer = fds[1];
	assert_int_equal(pthread_create(&b->thread, NULL, back_main, b), 0);
}

static void back_end(struct back *b)
{
	shutdown(b->fd, SHUT_RDWR);
	pthread_join(b->thread, NULL);
	close(b->fd);
	keep_fd(&b->back_fd, -1);
	keep_fd(&b->kick_fd, -1);
	keep_fd(&b->call_fd, -1);
	keep_fd(&b->err_fd, -1);
}

static int adopt(struct back *b, struct transport **t)
{
	struct vhost_user_options o = {.timeout_ms = 20000};

	back_start(b);
	if (b->prank == PRANK_SILENT)
		o.timeout_ms = 30;
	return vhost_user_adopt(b->peer, &o, t, NULL);
}

static void expect(const struct back *b, unsigned from, const uint32_t *requests, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_true(from + i < b->n);
		assert_int_equal(b->seen[from + i].request, requests[i]);
	}
	assert_int_equal(b->n, from + n);
}

static unsigned count_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* ---- the order of things ---- */

static void handshake_in_order(void **state)
{
	static const uint32_t want[] = {
		VHOST_USER_GET_FEATURES,
		VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_SET_PROTOCOL_FEATURES,
		VHOST_USER_GET_QUEUE_NUM,
		VHOST_USER_GET_MAX_MEM_SLOTS,
		VHOST_USER_SET_BACKEND_REQ_FD,
		VHOST_USER_SET_OWNER,
	};
	struct transport *t;
	struct back b;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	expect(&b, 0, want, ARRAY_SIZE(want));
	/* Nothing is agreed on that the client does not know. */
	assert_int_equal(b.agreed, ALL_PROTOCOL);
	/* The answer to SET_PROTOCOL_FEATURES would come before acks are agreed on. */
	assert_false(b.seen[2].flags & VHOST_USER_NEED_REPLY);
	assert_true(b.seen[5].flags & VHOST_USER_NEED_REPLY);
	assert_int_equal(b.seen[5].fds, 1);
	for (unsigned i = 0; i < b.n; i++)
		assert_int_equal(b.seen[i].flags & VHOST_USER_VERSION_MASK, 1);
	assert_int_equal(t->regions_max, 32);
	assert_true(t->mem_while_running);
	t->ops->destroy(t);
	back_end(&b);
}

static void back_end_without_any_protocol_feature(void **state)
{
	static const uint32_t want[] = {VHOST_USER_GET_FEATURES, VHOST_USER_SET_OWNER};
	struct transport *t;
	struct back b;
	uint32_t g;
	uint16_t max;

	(void)state;
	back_init(&b);
	b.features = BIT64(VIRTIO_F_VERSION_1);
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->regions_max, 8);
	assert_false(t->mem_while_running);
	assert_int_equal(t->ops->config_generation(t, &g, NULL), -ENOTSUP);
	assert_int_equal(t->ops->queue_max(t, 0, &max, NULL), 0);
	assert_true(max > 0);
	assert_int_equal(t->ops->queue_max(t, 1, &max, NULL), 0);
	assert_int_equal(max, 0);
	t->ops->destroy(t);
	back_end(&b);
	expect(&b, 0, want, ARRAY_SIZE(want));
}

static void queue_in_order(void **state)
{
	static const uint32_t want[] = {
		VHOST_USER_SET_VRING_NUM,    VHOST_USER_SET_VRING_BASE, VHOST_USER_SET_VRING_ADDR,
		VHOST_USER_SET_VRING_ERR,    VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
		VHOST_USER_SET_VRING_ENABLE,
	};
	static const uint32_t stop[] = {VHOST_USER_SET_VRING_ENABLE, VHOST_USER_GET_VRING_BASE,
					VHOST_USER_RESET_DEVICE, VHOST_USER_SET_STATUS,
					VHOST_USER_GET_STATUS};
	struct transport_queue q = {.index = 2, .num = 64, .packed = true};
	struct transport *t;
	struct back b;
	eventfd_t n;
	uint8_t status;
	unsigned at;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	at = b.n;
	q.call_fd = eventfd(0, EFD_CLOEXEC);
	q.desc = (void *)0x10000;
	q.driver = (void *)0x20000;
	q.device = (void *)0x30000;
	assert_int_equal(t->ops->queue_setup(t, &q, NULL), 0);
	assert_int_equal(t->ops->queue_enable(t, 2, NULL), 0);
	expect(&b, at, want, ARRAY_SIZE(want));
	assert_int_equal(b.seen[at].p.state.index, 2);
	assert_int_equal(b.seen[at].p.state.num, 64);
	assert_int_equal(b.seen[at + 1].p.state.num, 0x80008000u);
	assert_int_equal(b.seen[at + 2].p.addr.desc, 0x10000);
	assert_int_equal(b.seen[at + 2].p.addr.avail, 0x20000);
	assert_int_equal(b.seen[at + 2].p.addr.used, 0x30000);
	assert_int_equal(b.seen[at + 2].p.addr.flags, 0);
	for (unsigned i = 3; i < 6; i++) {
		assert_int_equal(b.seen[at + i].p.u64, 2);
		assert_int_equal(b.seen[at + i].fds, 1);
	}
	assert_int_equal(b.seen[at + 6].p.state.num, 1);

	t->ops->kick(t, 2, 0);
	assert_int_equal(eventfd_read(b.kick_fd, &n), 0);
	assert_int_equal(n, 1);
	/* An error of the ring wants a reset. */
	assert_int_equal(eventfd_write(b.err_fd, 1), 0);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_STATUS);
	assert_int_equal(t->ops->process(t), 0);
	assert_int_equal(t->ops->get_status(t, &status, NULL), 0);
	assert_true(status & VIRTIO_STATUS_NEEDS_RESET);

	at = b.n;
	assert_int_equal(t->ops->set_status(t, 0, NULL), 0);
	assert_int_equal(t->ops->get_status(t, &status, NULL), 0);
	assert_int_equal(status, 0);
	expect(&b, at, stop, ARRAY_SIZE(stop));
	assert_int_equal(b.seen[at].p.state.num, 0);

	q.index = 4;
	assert_int_equal(t->ops->queue_setup(t, &q, NULL), -EINVAL);
	t->ops->destroy(t);
	close(q.call_fd);
	back_end(&b);
}

static void status_is_kept_here_where_there_is_none(void **state)
{
	struct transport *t;
	struct back b;
	uint8_t status;
	unsigned at;

	(void)state;
	back_init(&b);
	b.protocol = P(REPLY_ACK) | P(CONFIG);
	assert_int_equal(adopt(&b, &t), 0);
	at = b.n;
	assert_int_equal(t->ops->set_status(t, 3, NULL), 0);
	assert_int_equal(t->ops->get_status(t, &status, NULL), 0);
	assert_int_equal(status, 3);
	assert_int_equal(b.n, at);
	t->ops->destroy(t);
	back_end(&b);
}

static void features_carry_the_protocol_bit(void **state)
{
	struct transport *t;
	struct back b;
	uint64_t features;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->ops->get_features(t, &features, NULL), 0);
	assert_int_equal(features, BIT64(VIRTIO_F_VERSION_1));
	assert_int_equal(t->ops->set_features(t, features, NULL), 0);
	assert_int_equal(b.seen[b.n - 1].p.u64,
			 BIT64(VIRTIO_F_VERSION_1) | BIT64(VHOST_USER_F_PROTOCOL_FEATURES));
	t->ops->destroy(t);
	back_end(&b);
}

/* ---- memory ---- */

static void memory_by_slots(void **state)
{
	struct vdriver v;
	struct transport *t;
	struct back b;
	void *p[2];
	const struct seen *s;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	vdriver_init(&v, t);
	assert_int_equal(vdriver_mem_alloc(&v, 8192, &p[0], NULL), 0);
	s = &b.seen[b.n - 1];
	assert_int_equal(s->request, VHOST_USER_ADD_MEM_REG);
	assert_int_equal(s->size, 40);
	assert_int_equal(s->fds, 1);
	assert_int_equal(s->p.reg.region.gpa, (uintptr_t)p[0]);
	assert_int_equal(s->p.reg.region.user, (uintptr_t)p[0]);
	assert_int_equal(s->p.reg.region.size, 8192);
	assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[1], NULL), 0);
	assert_int_equal(vdriver_mem_remove(&v, p[0], NULL), 0);
	s = &b.seen[b.n - 1];
	assert_int_equal(s->request, VHOST_USER_REM_MEM_REG);
	assert_int_equal(s->p.reg.region.gpa, (uintptr_t)p[0]);
	assert_int_equal(s->fds, 0);
	vdriver_fini(&v);
	t->ops->destroy(t);
	back_end(&b);
}

static void memory_by_tables(void **state)
{
	struct vdriver v;
	struct transport *t;
	struct back b;
	void *p[9];
	const struct seen *s;

	(void)state;
	back_init(&b);
	b.protocol = P(REPLY_ACK) | P(CONFIG);
	assert_int_equal(adopt(&b, &t), 0);
	vdriver_init(&v, t);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[i], NULL), 0);
		s = &b.seen[b.n - 1];
		assert_int_equal(s->request, VHOST_USER_SET_MEM_TABLE);
		assert_int_equal(s->p.table.n, i + 1);
		assert_int_equal(s->fds, i + 1);
		assert_int_equal(s->size, 8 + 32 * (i + 1));
		assert_int_equal(s->p.table.regions[i].gpa, (uintptr_t)p[i]);
	}
	assert_int_equal(vdriver_mem_alloc(&v, 4096, &p[8], NULL), -ENOSPC);
	assert_int_equal(vdriver_mem_remove(&v, p[2], NULL), 0);
	assert_int_equal(b.seen[b.n - 1].p.table.n, 7);
	vdriver_fini(&v);
	t->ops->destroy(t);
	back_end(&b);
}

static void refused_memory_is_not_used(void **state)
{
	struct vdriver v;
	struct transport *t;
	struct back b;
	unsigned hint = 0, fds;
	void *p = NULL;

	(void)state;
	back_init(&b);
	b.prank = PRANK_REFUSE;
	b.prank_at = VHOST_USER_ADD_MEM_REG;
	assert_int_equal(adopt(&b, &t), 0);
	vdriver_init(&v, t);
	fds = count_fds();
	assert_int_equal(vdriver_mem_alloc(&v, 8192, &p, NULL), -EREMOTEIO);
	assert_int_equal(count_fds(), fds);
	assert_false(vdriver_mem_has(&v, p, 1, &hint));
	/* The connection lives. */
	assert_true(t->ops->alive(t));
	vdriver_fini(&v);
	t->ops->destroy(t);
	back_end(&b);
}

/* ---- configuration ---- */

static void configuration_is_read_whole_and_served_in_fields(void **state)
{
	struct transport *t;
	struct back b;
	uint32_t g, again;
	uint8_t f[4];

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->ops->config_generation(t, &g, NULL), 0);
	assert_int_equal(b.seen[b.n - 1].p.config.offset, 0);
	assert_int_equal(b.seen[b.n - 1].p.config.size, 60);
	assert_int_equal(b.seen[b.n - 1].size, 72);
	assert_int_equal(t->ops->config_read(t, 20, f, 4, NULL), 0);
	assert_int_equal(f[3], 23);
	assert_int_equal(t->ops->config_generation(t, &again, NULL), 0);
	assert_int_equal(g, again);
	assert_int_equal(t->ops->config_read(t, 58, f, 4, NULL), -EINVAL);
	assert_int_equal(t->ops->config_read(t, UINT32_MAX, f, 4, NULL), -EINVAL);
	f[0] = 1;
	assert_int_equal(t->ops->config_write(t, 32, f, 1, NULL), 0);
	assert_int_equal(b.seen[b.n - 1].request, VHOST_USER_SET_CONFIG);
	assert_int_equal(b.seen[b.n - 1].size, 13);
	assert_int_equal(t->ops->config_write(t, 256, f, 1, NULL), -EINVAL);
	/* More than the back end has. */
	t->config_size = 96;
	assert_int_equal(t->ops->config_generation(t, &again, NULL), -EREMOTEIO);
	assert_true(t->ops->alive(t));
	t->ops->destroy(t);
	back_end(&b);
}

static void tell_change(struct back *b, uint32_t request, uint32_t flags, uint32_t size)
{
	struct vhost_user_header h = {.request = request, .flags = flags, .size = size};

	assert_int_equal(send(b->back_fd, &h, sizeof(h), MSG_NOSIGNAL), sizeof(h));
}

static void changes_come_on_the_channel_back(void **state)
{
	struct {
		struct vhost_user_header h;
		uint64_t result;
	} __attribute__((packed)) reply;
	struct pollfd p;
	struct transport *t;
	struct back b;
	uint8_t junk[600] = {0};

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	p = (struct pollfd){.fd = t->ops->event_fd(t), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(t->ops->process(t), 0);
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 0);
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_CONFIG);
	/* Two in one, an answer wanted for the second; then one that is not known. */
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 0);
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 9, 0);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_CONFIG);
	assert_true(read_all(b.back_fd, &reply, sizeof(reply)));
	assert_int_equal(reply.h.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
	assert_int_equal(reply.h.flags, 5);
	assert_int_equal(reply.result, 0);
	tell_change(&b, 99, 9, 0);
	assert_int_equal(t->ops->process(t), 0);
	assert_true(read_all(b.back_fd, &reply, sizeof(reply)));
	assert_int_equal(reply.h.request, 99);
	assert_int_equal(reply.result, 1);
	/* One in pieces. */
	assert_int_equal(send(b.back_fd, "\2\0\0", 3, 0), 3);
	assert_int_equal(t->ops->process(t), 0);
	assert_int_equal(send(b.back_fd, "\0\1\0\0\0\0\0\0\0", 9, 0), 9);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_CONFIG);
	/* One too long: that channel ends, the disk goes on. */
	tell_change(&b, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 1, 0x7fffffff);
	assert_int_equal(send(b.back_fd, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(t->ops->process(t), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_true(t->ops->alive(t));
	t->ops->destroy(t);
	back_end(&b);
}

/* ---- pranks ---- */

static int prank(enum prank what, uint32_t at)
{
	unsigned fds = count_fds();
	struct transport *t = NULL;
	struct back b;
	int rc;

	back_init(&b);
	b.prank = what;
	b.prank_at = at;
	rc = adopt(&b, &t);
	if (!rc)
		t->ops->destroy(t);
	back_end(&b);
	assert_int_equal(count_fds(), fds);
	return rc;
}

static void every_wrong_answer_ends_the_connection(void **state)
{
	static const uint32_t at[] = {
		VHOST_USER_GET_FEATURES,       VHOST_USER_GET_PROTOCOL_FEATURES,
		VHOST_USER_GET_QUEUE_NUM,      VHOST_USER_GET_MAX_MEM_SLOTS,
		VHOST_USER_SET_BACKEND_REQ_FD, VHOST_USER_SET_OWNER,
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++) {
		assert_int_equal(prank(PRANK_WRONG_REQUEST, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_NO_REPLY_FLAG, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_WRONG_VERSION, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_TOO_LONG, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_TOO_SHORT, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_HUGE, at[i]), -EPROTO);
		assert_int_equal(prank(PRANK_CLOSE, at[i]), -ENOTCONN);
		assert_int_equal(prank(PRANK_HALF, at[i]), -ENOTCONN);
		assert_int_equal(prank(PRANK_PIECES, at[i]), 0);
		assert_int_equal(prank(PRANK_FDS, at[i]), 0);
	}
	assert_int_equal(prank(PRANK_REFUSE, VHOST_USER_SET_OWNER), -EREMOTEIO);
}

static void a_silent_back_end_is_given_up_in_time(void **state)
{
	(void)state;
	assert_int_equal(prank(PRANK_SILENT, VHOST_USER_GET_FEATURES), -ETIMEDOUT);
	assert_int_equal(prank(PRANK_SILENT, VHOST_USER_SET_OWNER), -ETIMEDOUT);
}

static void a_back_end_that_never_reads_is_given_up_in_time(void **state)
{
	struct vhost_user_options o = {.timeout_ms = 30};
	struct transport *t;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(vhost_user_adopt(fds[1], &o, &t, NULL), -ETIMEDOUT);
	close(fds[0]);
}

static void silence_at_the_reset_is_an_error_too(void **state)
{
	struct vhost_user_options o = {.timeout_ms = 50};
	struct transport_queue q = {.num = 8, .call_fd = -1};
	struct transport *t;
	struct back b;
	uint8_t status;

	(void)state;
	back_init(&b);
	b.prank = PRANK_SILENT;
	b.prank_at = VHOST_USER_GET_VRING_BASE;
	back_start(&b);
	assert_int_equal(vhost_user_adopt(b.peer, &o, &t, NULL), 0);
	assert_int_equal(t->ops->queue_setup(t, &q, NULL), 0);
	/* No call fd: said so. */
	assert_int_equal(b.seen[b.n - 2].request, VHOST_USER_SET_VRING_CALL);
	assert_int_equal(b.seen[b.n - 2].p.u64, VHOST_USER_VRING_NOFD);
	assert_int_equal(b.seen[b.n - 2].fds, 0);
	assert_int_equal(t->ops->set_status(t, 0, NULL), -ETIMEDOUT);
	/* And nothing more is asked of it. */
	assert_int_equal(t->ops->set_status(t, 0, NULL), -ENOTCONN);
	assert_int_equal(t->ops->get_status(t, &status, NULL), -ENOTCONN);
	assert_false(t->ops->alive(t));
	t->ops->destroy(t);
	back_end(&b);
}

static void hang_up_is_told_once(void **state)
{
	struct pollfd p;
	struct transport *t;
	struct back b;

	(void)state;
	back_init(&b);
	assert_int_equal(adopt(&b, &t), 0);
	shutdown(b.fd, SHUT_RDWR);
	assert_false(t->ops->alive(t));
	p = (struct pollfd){.fd = t->ops->event_fd(t), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 1000), 1);
	assert_int_equal(t->ops->process(t), TRANSPORT_EVENT_GONE);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_int_equal(t->ops->reconnect(t, NULL), -ENOTSUP);
	t->ops->destroy(t);
	back_end(&b);
}

static void no_queue_is_no_device(void **state)
{
	struct transport *t;
	struct back b;

	(void)state;
	back_init(&b);
	b.queues = 0;
	assert_int_equal(adopt(&b, &t), -EINVAL);
	back_end(&b);
	back_init(&b);
	b.queues = UINT64_MAX;
	b.slots = UINT64_MAX;
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->regions_max, 64);
	t->ops->destroy(t);
	back_end(&b);
	/* Nor is one without a place for memory of any use, but that shows with the first. */
	back_init(&b);
	b.slots = 0;
	assert_int_equal(adopt(&b, &t), 0);
	assert_int_equal(t->regions_max, 0);
	t->ops->destroy(t);
	back_end(&b);
}

static void paths_that_lead_nowhere(void **state)
{
	struct vhost_user_options o = {.timeout_ms = 1000};
	struct transport *t;
	struct error err;
	char longer[200];

	(void)state;
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(vhost_user_connect("", &o, &t, &err), -EINVAL);
	assert_int_equal(vhost_user_connect(longer, &o, &t, &err), -EINVAL);
	assert_int_equal(vhost_user_connect("/nowhere/at/all", &o, &t, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_in_order),
		cmocka_unit_test(back_end_without_any_protocol_feature),
		cmocka_unit_test(queue_in_order),
		cmocka_unit_test(status_is_kept_here_where_there_is_none),
		cmocka_unit_test(features_carry_the_protocol_bit),
		cmocka_unit_test(memory_by_slots),
		cmocka_unit_test(memory_by_tables),
		cmocka_unit_test(refused_memory_is_not_used),
		cmocka_unit_test(configuration_is_read_whole_and_served_in_fields),
		cmocka_unit_test(changes_come_on_the_channel_back),
		cmocka_unit_test(every_wrong_answer_ends_the_connection),
		cmocka_unit_test(a_silent_back_end_is_given_up_in_time),
		cmocka_unit_test(a_back_end_that_never_reads_is_given_up_in_time),
		cmocka_unit_test(silence_at_the_reset_is_an_error_too),
		cmocka_unit_test(hang_up_is_told_once),
		cmocka_unit_test(no_queue_is_no_device),
		cmocka_unit_test(paths_that_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
