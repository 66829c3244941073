/* SPDX-License-Identifier: MIT */
/*
 * What the device half does alike for both layouts: turning descriptors into slices, reading
 * indirect tables, knowing which ids are in flight, breaking the queue.  Private to device*.c.
 */
#ifndef VRING_DEVICE_WALK_H
#define VRING_DEVICE_WALK_H

#include "base/atomic.h"
#include "base/bits.h"
#include "vring/device.h"
#include "vring/event.h"

#include <errno.h>

/* A descriptor of either layout, as it was at the one time it was read. */
struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t link; /* split: next; packed: id */
};

/* A chain on its way into a struct vq_chain. */
struct vq_walk {
	struct iovec *iov;
	int iov_max;
	int readable;
	int writable;
	uint64_t readable_len;
	uint64_t writable_len;
	bool writing; /* a writable descriptor has been seen */
};

/* An indirect table. */
struct vq_table {
	const uint8_t *at; /* NULL: it lies across regions, each entry is looked up by itself */
	uint64_t gpa;
	uint32_t count;
};

int vqdev_split_pop(struct vqdev *vq, struct vq_chain *chain);
void vqdev_split_fill(struct vqdev *vq, uint16_t id, uint32_t len);
void vqdev_split_publish(struct vqdev *vq);
void vqdev_split_ask(struct vqdev *vq, bool kicks);
bool vqdev_split_waiting(const struct vqdev *vq);
bool vqdev_split_wanted(struct vqdev *vq);

int vqdev_packed_pop(struct vqdev *vq, struct vq_chain *chain);
void vqdev_packed_fill(struct vqdev *vq, uint16_t id, uint16_t slots, uint32_t len);
void vqdev_packed_publish(struct vqdev *vq);
void vqdev_packed_ask(struct vqdev *vq, bool kicks);
bool vqdev_packed_waiting(const struct vqdev *vq);
bool vqdev_packed_wanted(struct vqdev *vq);

/* Adds one data descriptor: 0, -E2BIG, or -EPROTO and the queue is broken. */
int vq_walk_add(struct vqdev *vq, struct vq_walk *w, const struct vq_desc *d);

/* @budget: entries the table may have.  0, or -EPROTO and the queue is broken. */
int vq_table_open(struct vqdev *vq, struct vq_table *t, const struct vq_desc *d, uint32_t budget);

/* Entry @i as addr, len and the two 16-bit fields in the order in which they lie there. */
int vq_table_read(struct vqdev *vq, const struct vq_table *t, uint32_t i, struct vq_desc *d,
		  uint16_t *first, uint16_t *second);

/* Breaks the queue; for return statements. */
static inline int vq_fail(struct vqdev *vq, const char *why)
{
	vqdev_break(vq, why);
	return -EPROTO;
}

static inline bool vq_id_in_flight(const struct vqdev *vq, uint16_t id)
{
	return vq->ids[id / 64] & BIT64(id % 64);
}

static inline void vq_walk_init(struct vq_walk *w, const struct vq_chain *chain)
{
	*w = (struct vq_walk){.iov = chain->iov, .iov_max = chain->iov_max};
}

/* The chain is good: it is in flight from here on. */
static inline void vq_walk_done(struct vqdev *vq, const struct vq_walk *w, struct vq_chain *chain,
				uint16_t id, uint16_t slots)
{
	vq->ids[id / 64] |= BIT64(id % 64);
	vq->in_flight++;
	chain->ticket = (struct vq_ticket){.id = id, .slots = slots, .seq = vq->seq_pop};
	if (vq->in_order && ++vq->seq_pop == vq->num)
		vq->seq_pop = 0;
	chain->readable = w->readable;
	chain->writable = w->writable;
	chain->readable_len = w->readable_len;
	chain->writable_len = w->writable_len;
}

/* One predictable branch where no log runs. */
static inline void vq_dirty(const struct vqdev *vq, gpa_t area, uint64_t offset, uint64_t len)
{
	if (unlikely(vq->mem->log))
		gmem_mark_dirty(vq->mem, gpa(area.v + offset), len);
}

#endif
