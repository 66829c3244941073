/* SPDX-License-Identifier: MIT */
/*
 * For tests of links by themselves: a worker, and in front of the link the double of a card, which
 * counts.
 */
#ifndef BACKEND_NET_CARD_TEST_H
#define BACKEND_NET_CARD_TEST_H

#include "test.h"

#include "backend/net/link.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/clock.h"
#include "base/worker.h"

#include <poll.h>
#include <string.h>

#define HANG_NS (20 * NSEC_PER_SEC)

struct card {
	struct net_link_client client;
	struct net_link *link;
	struct worker *worker;
	unsigned arrivals, changes; /* atomic */
	uint8_t frame[NET_FRAME_MAX];
	struct virtio_net_hdr header;
	ssize_t len;
	int rc;
	const struct iovec *iov;
};

static inline void arrived(struct net_link_client *client, unsigned pair)
{
	assert_int_equal(pair, 0);
	__atomic_add_fetch(&container_of(client, struct card, client)->arrivals, 1,
			   __ATOMIC_RELAXED);
}

static inline void carrier(struct net_link_client *client, bool up)
{
	struct card *c = container_of(client, struct card, client);

	write_once(&c->link->up, up);
	__atomic_add_fetch(&c->changes, 1, __ATOMIC_RELEASE);
}

static inline void start(void *arg)
{
	struct card *c = arg;

	c->rc = c->link->ops->receive_start(c->link, 0, worker_reactor(c->worker), NULL);
}

static inline void stop(void *arg)
{
	struct card *c = arg;

	c->link->ops->receive_stop(c->link, 0, worker_reactor(c->worker));
}

static inline void take(void *arg)
{
	struct card *c = arg;

	c->len = c->link->ops->receive(c->link, 0, &c->header, c->frame, sizeof(c->frame));
}

static inline void give(void *arg)
{
	static const struct virtio_net_hdr none;
	struct card *c = arg;

	c->rc = c->link->ops->send(c->link, 0, &none, c->iov, 1, c->iov->iov_len);
}

static inline void card_init(struct card *c, struct net_link *link)
{
	struct worker_config w = {.name = "links-test", .reactor.uring = true, .cpu = -1};

	memset(c, 0, sizeof(*c));
	c->client = (struct net_link_client){.arrived = arrived, .carrier = carrier};
	c->link = link;
	link->client = &c->client;
	assert_int_equal(worker_create(&c->worker, &w, NULL), 0);
	worker_call(c->worker, start, c);
	assert_int_equal(c->rc, 0);
}

static inline void card_fini(struct card *c)
{
	worker_call(c->worker, stop, c);
	worker_destroy(&c->worker);
	net_link_close(&c->link);
}

static inline int card_send(struct card *c, const void *frame, size_t len)
{
	struct iovec iov = {(void *)frame, len};

	c->iov = &iov;
	worker_call(c->worker, give, c);
	return c->rc;
}

/* The next frame, waited for as a card would; 0: none in absurdly long. */
static inline ssize_t card_receive(struct card *c)
{
	uint64_t end = clock_ns() + HANG_NS;

	for (;;) {
		unsigned before = read_once(&c->arrivals);

		worker_call(c->worker, take, c);
		if (c->len)
			return c->len;
		while (read_once(&c->arrivals) == before) {
			if (clock_ns() > end)
				return 0;
			poll(NULL, 0, 1);
		}
	}
}

/* A card that is told of frames looks for them; that they have ended is found so. */
static inline void changes(struct card *c, unsigned n, bool up)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (load_acquire(&c->changes) < n) {
		assert_true(clock_ns() < end);
		worker_call(c->worker, take, c);
		poll(NULL, 0, 1);
	}
	assert_int_equal(read_once(&c->link->up), up);
}

#endif
