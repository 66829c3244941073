/* SPDX-License-Identifier: MIT */
/*
 * From a transmit queue to the link.  A chain is given back as soon as the link has taken its
 * frame, or lost it: none stays.
 *
 * The header is copied once, checked, and written anew; the frame goes out of the guest's
 * memory, piece by piece.
 */
#include "backend/net/virtio_net.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* A frame in more pieces is copied together first: links add one for the header. */
#define PIECES_MAX (IOV_MAX - 1)

struct transmit {
	struct net_pair *pair;
	struct net_offloads may;
	unsigned header_bytes;
	int pieces_max;
	uint8_t *flat;	    /* NET_FRAME_MAX bytes; NULL until needed */
	struct iovec iov[]; /* the chain at hand */
};

/* Copies the first @n bytes and takes them away from the pieces; false: there are not as many. */
static bool take(struct iovec **iov, int *count, void *to, size_t n)
{
	uint8_t *at = to;

	while (n && *count) {
		struct iovec *v = *iov;
		size_t here = min_u64(n, v->iov_len);

		memcpy(at, v->iov_base, here);
		at += here;
		n -= here;
		v->iov_base = (uint8_t *)v->iov_base + here;
		v->iov_len -= here;
		if (!v->iov_len) {
			++*iov;
			--*count;
		}
	}
	return !n;
}

/* One piece instead of many; false: no memory. */
static bool flatten(struct transmit *t, struct iovec **iov, int *count, size_t len)
{
	if (!t->flat)
		t->flat = malloc(NET_FRAME_MAX);
	if (!t->flat || !take(iov, count, t->flat, len))
		return false;
	t->iov[0] = (struct iovec){.iov_base = t->flat, .iov_len = len};
	*iov = t->iov;
	*count = 1;
	return true;
}

static void send_chain(struct transmit *t, struct virtio_queue *q, struct net_link *link,
		       const struct vq_chain *chain)
{
	struct net_counters *c = &t->pair->sent;
	struct virtio_net_hdr h = {0};
	struct iovec *iov = chain->iov;
	int n = chain->readable;
	size_t len;

	if (chain->readable_len < t->header_bytes + NET_FRAME_MIN ||
	    chain->readable_len > t->header_bytes + NET_FRAME_MAX) {
		count_add(&c->bad, 1);
		return;
	}
	len = (size_t)chain->readable_len - t->header_bytes;
	take(&iov, &n, &h, t->header_bytes);
	/* 5.1.6.2.1: not for drivers to set, and without a meaning on the way out. */
	h.flags &= (uint8_t)~VIRTIO_NET_HDR_F_DATA_VALID;
	if (net_header_check(&h, &t->may, len)) {
		count_add(&c->bad, 1);
		return;
	}
	if (((n > PIECES_MAX || link->copies) && !flatten(t, &iov, &n, len)) ||
	    /* What was copied may be zeroes that nobody wrote; of the rest the kernel gets EFAULT. */
	    gmem_lost(q->mem) || link->ops->send(link, t->pair->index, &h, iov, n, len)) {
		count_add(&c->lost, 1);
		return;
	}
	count_add(&c->frames, 1);
	count_add(&c->bytes, len);
}

int net_transmit(struct virtio_net *net, struct virtio_queue *q, unsigned budget)
{
	struct transmit *t = q->device;
	struct vq_chain chain = {.iov = t->iov, .iov_max = t->pieces_max};
	unsigned n;
	int rc = 0;

	for (n = 0; n < budget && !virtio_queue_spent(q); n++) {
		rc = vqdev_pop(&q->ring, &chain);
		if (rc <= 0)
			break;
		virtio_queue_spend(q, &chain);
		send_chain(t, q, net->link, &chain);
		virtio_queue_push(q, &chain.ticket, 0);
	}
	if (rc == -E2BIG)
		vqdev_break(&q->ring, "a frame of too many pieces");
	return (int)n;
}

int net_transmit_start(struct virtio_net *net, struct virtio_queue *q, struct error *err)
{
	unsigned pieces = vqdev_slices_max(&q->ring);
	struct transmit *t = calloc(1, sizeof(*t) + pieces * sizeof(t->iov[0]));

	if (!t)
		return error_set(err, -ENOMEM, "%s: cannot set up the queue", q->path);
	t->pair = &net->pairs[q->index / 2];
	t->may = net_offloads_out(net->vdev.features);
	t->header_bytes = net_header_bytes(net);
	t->pieces_max = (int)pieces;
	q->device = t;
	return 0;
}

void net_transmit_stop(struct virtio_queue *q)
{
	struct transmit *t = q->device;

	free(t->flat);
	free(t);
	q->device = NULL;
}
