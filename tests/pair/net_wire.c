/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "net_wire.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static struct nr_wire *wire_of(struct net_link *l)
{
	return container_of(l, struct nr_wire, link);
}

static void readable(struct reactor_watch *w, uint32_t events)
{
	struct nr_end *end = container_of(w, struct nr_end, watch);
	struct net_link_client *client = end->wire->link.client;

	(void)events;
	client->arrived(client, (unsigned)(end - end->wire->ends));
}

static int receive_start(struct net_link *l, unsigned pair, struct reactor *r, struct error *err)
{
	(void)err;
	return reactor_watch_start(r, &wire_of(l)->ends[pair].watch, wire_of(l)->ends[pair].fd,
				   EPOLLIN);
}

static void receive_stop(struct net_link *l, unsigned pair, struct reactor *r)
{
	reactor_watch_stop(r, &wire_of(l)->ends[pair].watch);
}

static ssize_t receive(struct net_link *l, unsigned pair, struct virtio_net_hdr *hdr, void *buf,
		       size_t size)
{
	struct iovec iov[] = {{hdr, sizeof(*hdr)}, {buf, size}};
	ssize_t n = readv(wire_of(l)->ends[pair].fd, iov, 2);

	return n < 0 ? 0 : n - (ssize_t)sizeof(*hdr);
}

static int send_frame(struct net_link *l, unsigned pair, const struct virtio_net_hdr *hdr,
		      const struct iovec *frame, int n, size_t len)
{
	struct virtio_net_hdr copy = *hdr;
	struct iovec iov[1024] = {{&copy, sizeof(copy)}};

	assert_true(n < 1024);
	memcpy(iov + 1, frame, (size_t)n * sizeof(*frame));
	return writev(wire_of(l)->ends[pair].fd, iov, n + 1) == (ssize_t)(sizeof(copy) + len)
		       ? 0
		       : -EIO;
}

static int set_offloads(struct net_link *l, uint64_t features)
{
	if (wire_of(l)->refuses)
		return -EINVAL;
	write_once(&wire_of(l)->offloads, features);
	return 0;
}

static int set_pairs(struct net_link *l, unsigned n)
{
	if (wire_of(l)->refuses)
		return -EINVAL;
	write_once(&wire_of(l)->pairs, n);
	return 0;
}

static void wire_close(struct net_link *l)
{
	for (unsigned i = 0; i < NR_PAIRS; i++) {
		close(wire_of(l)->ends[i].fd);
		close(wire_of(l)->ends[i].other);
	}
	free(wire_of(l));
}

static const struct net_link_ops wire_ops = {
	.name = "a test's wire",
	.receive_start = receive_start,
	.receive_stop = receive_stop,
	.receive = receive,
	.send = send_frame,
	.set_offloads = set_offloads,
	.set_pairs = set_pairs,
	.close = wire_close,
};

struct nr_wire *nr_wire_new(void)
{
	struct nr_wire *w = calloc(1, sizeof(*w));
	int bytes = 1 << 20;

	assert_non_null(w);
	w->link.ops = &wire_ops;
	w->link.offloads = NR_OFFLOADS;
	w->link.pairs = NR_PAIRS;
	w->link.up = true;
	for (unsigned i = 0; i < NR_PAIRS; i++) {
		int fd[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd), 0);
		(void)setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
		w->ends[i].wire = w;
		w->ends[i].fd = fd[0];
		w->ends[i].other = fd[1];
		w->ends[i].watch.ready = readable;
	}
	return w;
}

bool nr_wire_try(struct nr_wire *w, unsigned pair, const struct virtio_net_hdr *h,
		 const void *frame, size_t len)
{
	struct virtio_net_hdr none = {0};
	struct iovec iov[] = {{(void *)(h ? h : &none), sizeof(none)}, {(void *)frame, len}};

	return writev(w->ends[pair].other, iov, 2) == (ssize_t)(sizeof(none) + len);
}

void nr_wire_send(struct nr_wire *w, unsigned pair, const struct virtio_net_hdr *h,
		  const void *frame, size_t len)
{
	assert_true(nr_wire_try(w, pair, h, frame, len));
}

ssize_t nr_wire_receive(struct nr_wire *w, unsigned pair, struct virtio_net_hdr *h, void *frame,
			size_t size)
{
	struct pollfd p = {.fd = w->ends[pair].other, .events = POLLIN};
	struct iovec iov[] = {{h, sizeof(*h)}, {frame, size}};
	ssize_t n;

	if (poll(&p, 1, 0) != 1)
		return -1;
	n = readv(p.fd, iov, 2);
	return n < 0 ? -1 : n - (ssize_t)sizeof(*h);
}
