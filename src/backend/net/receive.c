/* SPDX-License-Identifier: MIT */
/*
 * From the link to a receive queue.  A frame is taken from the link first, then buffers for it from
 * the ring; where they do not suffice yet, frame and buffers stay in hand until the driver brings
 * more.  So a driver that brings none costs one frame of memory here, and the link keeps or loses
 * the rest, as it does.
 *
 * Invariants: no buffer is taken but for a frame in hand; all buffers of a frame are published
 * together; a buffer in hand that must not stay in flight is put back as if it had not been taken.
 */
#include "backend/net/virtio_net.h"

#include "base/atomic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A buffer in hand: slices [first, first + n). */
struct buffer {
	struct vq_ticket ticket;
	int first, n;
	unsigned slots; /* ring entries that it is known to take */
	uint64_t len;
};

struct receive {
	struct net_pair *pair;
	unsigned header_bytes;
	bool mergeable;

	/* The frame in hand; 0 bytes: none. */
	size_t len;
	struct virtio_net_hdr header;
	uint8_t frame[NET_FRAME_MAX];

	struct buffer *buffers; /* one per ring entry */
	unsigned n_buffers;
	uint64_t room;	/* their bytes */
	unsigned slots; /* ring entries that they are known to take */
	int n_slices, slices_max;
	struct iovec slices[];
};

/* ---- buffers ---- */

/* 1: one more is in hand; 0: none waits; -errno: as vqdev_pop(), or the queue was broken here. */
static int take_buffer(struct receive *r, struct virtio_queue *q)
{
	struct vq_chain chain = {.iov = r->slices + r->n_slices,
				 .iov_max = r->slices_max - r->n_slices};
	struct buffer *b;
	int rc = vqdev_pop(&q->ring, &chain);

	if (rc <= 0)
		return rc;
	virtio_queue_spend(q, &chain);
	/* 5.1.6.3.1: a buffer holds at least the header; without MRG_RXBUF nothing could follow it. */
	if (chain.writable_len < r->header_bytes) {
		vqdev_push(&q->ring, &chain.ticket, 0);
		vqdev_break(&q->ring, "a receive buffer that cannot hold a header");
		return -EPROTO;
	}
	b = &r->buffers[r->n_buffers++];
	b->ticket = chain.ticket;
	b->first = r->n_slices + chain.readable;
	b->n = chain.writable;
	b->len = chain.writable_len;
	b->slots = chain.ticket.slots;
	/* Split, without tables: one for each piece. */
	if (!q->ring.is_packed && !q->ring.indirect)
		b->slots = (unsigned)(chain.readable + chain.writable);
	r->room += b->len;
	r->slots += b->slots;
	r->n_slices += chain.readable + chain.writable;
	return 1;
}

void net_receive_let_go(struct virtio_queue *q)
{
	struct receive *r = q->device;

	while (r->n_buffers)
		vqdev_unpop(&q->ring, &r->buffers[--r->n_buffers].ticket);
	r->n_slices = 0;
	r->room = 0;
	r->slots = 0;
}

/*
 * 1: there is room for the frame; 0: the driver has to bring more; -ENOSPC: it never
 * can; -EPROTO: broken.
 */
static int gather(struct receive *r, struct virtio_queue *q, unsigned *popped)
{
	uint64_t need = r->header_bytes + r->len;

	while (r->room < need && (r->mergeable || !r->n_buffers)) {
		int rc;

		if (r->slots >= q->ring.num)
			return -ENOSPC;
		/* What is in hand stays there, and the next turn goes on. */
		if (virtio_queue_spent(q))
			return 0;
		rc = take_buffer(r, q);
		if (rc == -E2BIG && r->n_buffers)
			return -ENOSPC;
		if (rc == -E2BIG) {
			vqdev_break(&q->ring, "a receive buffer of too many pieces");
			return -EPROTO;
		}
		if (rc <= 0)
			return rc;
		++*popped;
	}
	return r->room < need ? -ENOSPC : 1;
}

/* ---- frames ---- */

struct cursor {
	struct iovec *iov;
	size_t at; /* in *iov */
};

static void cursor_put(struct cursor *c, const void *from, size_t n)
{
	const uint8_t *p = from;

	while (n) {
		size_t here = min_u64(n, c->iov->iov_len - c->at);

		memcpy((uint8_t *)c->iov->iov_base + c->at, p, here);
		p += here;
		n -= here;
		c->at += here;
		if (c->at == c->iov->iov_len) {
			c->iov++;
			c->at = 0;
		}
	}
}

/* The buffers that the frame does not need stay in hand. */
static void drop_front(struct receive *r, unsigned n)
{
	int slices = n < r->n_buffers ? r->buffers[n].first : r->n_slices;

	for (unsigned i = 0; i < n; i++) {
		r->room -= r->buffers[i].len;
		r->slots -= r->buffers[i].slots;
	}
	r->n_buffers -= n;
	r->n_slices -= slices;
	memmove(r->buffers, r->buffers + n, r->n_buffers * sizeof(r->buffers[0]));
	memmove(r->slices, r->slices + slices, (size_t)r->n_slices * sizeof(r->slices[0]));
	for (unsigned i = 0; i < r->n_buffers; i++)
		r->buffers[i].first -= slices;
}

static void deliver(struct receive *r, struct virtio_queue *q)
{
	struct net_counters *c = &r->pair->received;
	uint64_t left = r->header_bytes + r->len;
	const uint8_t *from = r->frame;
	unsigned n = 0;

	while (left > r->buffers[n].len)
		left -= r->buffers[n++].len;
	n++;
	r->header.num_buffers = le16_make((uint16_t)n);
	left = r->len;
	for (unsigned i = 0; i < n; i++) {
		struct buffer *b = &r->buffers[i];
		struct cursor to = {.iov = r->slices + b->first};
		size_t header = i ? 0 : r->header_bytes;
		size_t here = min_u64(left, b->len - header);

		cursor_put(&to, &r->header, header);
		cursor_put(&to, from, here);
		from += here;
		left -= here;
		virtio_queue_push(q, &b->ticket, (uint32_t)(header + here));
	}
	drop_front(r, n);
	count_add(&c->frames, 1);
	count_add(&c->bytes, r->len);
	r->len = 0;
}

/* A frame from the link that the driver shall have; false: none for now. */
static bool next_frame(struct receive *r, struct virtio_net *net, unsigned *looked, unsigned max)
{
	struct net_pair *pair = r->pair;

	while (*looked < max) {
		ssize_t len = net->link->ops->receive(net->link, pair->index, &r->header, r->frame,
						      sizeof(r->frame));

		if (!len)
			return false;
		++*looked;
		if (len < 0)
			count_add(&pair->received.lost, 1);
		else if ((size_t)len < NET_FRAME_MIN ||
			 net_header_check(&r->header, &pair->settings.may, (size_t)len))
			count_add(&pair->received.bad, 1);
		else if (pair->index >= pair->settings.pairs ||
			 !net_filter_accepts(&pair->settings.filter, read_once(&net->mac), r->frame,
					     (size_t)len))
			count_add(&pair->received.filtered, 1);
		else {
			r->len = (size_t)len;
			return true;
		}
	}
	return false;
}

int net_receive(struct virtio_net *net, struct virtio_queue *q, unsigned budget)
{
	struct receive *r = q->device;
	unsigned looked = 0, popped = 0;

	for (;;) {
		int rc;

		if (!r->len && !next_frame(r, net, &looked, budget)) {
			/* The link tells of the next frame; until then no kick is needed. */
			if (looked < budget)
				virtio_queue_rest(q);
			break;
		}
		rc = gather(r, q, &popped);
		if (rc == 1) {
			deliver(r, q);
		} else if (rc == -ENOSPC) {
			count_add(&r->pair->received.lost, 1);
			r->len = 0;
		} else {
			break;
		}
		if (popped >= budget || virtio_queue_spent(q))
			break;
	}
	return (int)popped;
}

/* ---- life ---- */

int net_receive_start(struct virtio_net *net, struct virtio_queue *q, struct error *err)
{
	unsigned slices = 2 * vqdev_slices_max(&q->ring);
	struct receive *r = calloc(1, sizeof(*r) + slices * sizeof(r->slices[0]));
	int rc;

	if (!r)
		return error_set(err, -ENOMEM, "%s: cannot set up the queue", q->path);
	r->pair = &net->pairs[q->index / 2];
	r->header_bytes = net_header_bytes(net);
	r->mergeable = virtio_device_has(&net->vdev, VIRTIO_NET_F_MRG_RXBUF);
	r->slices_max = (int)slices;
	r->buffers = calloc(q->ring.num, sizeof(r->buffers[0]));
	if (!r->buffers) {
		rc = error_set(err, -ENOMEM, "%s: cannot set up the queue", q->path);
		goto free_receive;
	}
	q->device = r;
	rc = net->link->ops->receive_start(net->link, r->pair->index, q->reactor, err);
	if (rc)
		goto free_buffers;
	return 0;
free_buffers:
	q->device = NULL;
	free(r->buffers);
free_receive:
	free(r);
	return rc;
}

void net_receive_stop(struct virtio_net *net, struct virtio_queue *q)
{
	struct receive *r = q->device;

	net->link->ops->receive_stop(net->link, r->pair->index, q->reactor);
	if (r->len)
		count_add(&r->pair->received.lost, 1);
	free(r->buffers);
	free(r);
	q->device = NULL;
}
