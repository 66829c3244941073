/* SPDX-License-Identifier: MIT */
/*
 * A link whose other end a test holds: a socket pair per pair of queues, whose messages are a
 * header of 12 bytes and a frame.  It can do all offloads, that is, it leaves them to the test.
 */
#ifndef TESTS_PAIR_NET_WIRE_H
#define TESTS_PAIR_NET_WIRE_H

#include "backend/net/link.h"
#include "base/bits.h"
#include "base/reactor.h"

#define NR_PAIRS 4

/* What the test link is said to be able to do. */
#define NR_OFFLOADS                                                       \
	(BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_GUEST_CSUM) |      \
	 BIT64(VIRTIO_NET_F_HOST_TSO4) | BIT64(VIRTIO_NET_F_HOST_TSO6) |  \
	 BIT64(VIRTIO_NET_F_HOST_ECN) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |  \
	 BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) | \
	 BIT64(VIRTIO_NET_F_HOST_USO) | BIT64(VIRTIO_NET_F_GUEST_USO4) |  \
	 BIT64(VIRTIO_NET_F_GUEST_USO6))

struct nr_wire;

struct nr_end {
	struct nr_wire *wire;
	int fd, other; /* the test's is other */
	struct reactor_watch watch;
};

struct nr_wire {
	struct net_link link;
	struct nr_end ends[NR_PAIRS];
	uint64_t offloads; /* atomic: as set last */
	unsigned pairs;	   /* atomic: as set last */
	bool refuses;	   /* offloads and pairs */
};

/* Lives until its card closes it. */
struct nr_wire *nr_wire_new(void);
/* From the other end of the wire; @h NULL: zeros. */
void nr_wire_send(struct nr_wire *w, unsigned pair, const struct virtio_net_hdr *h,
		  const void *frame, size_t len);
/* The same where the wire may be full, or the frame cannot be. */
bool nr_wire_try(struct nr_wire *w, unsigned pair, const struct virtio_net_hdr *h,
		 const void *frame, size_t len);
/* Its length, or -1: nothing came. */
ssize_t nr_wire_receive(struct nr_wire *w, unsigned pair, struct virtio_net_hdr *h, void *frame,
			size_t size);

#endif
