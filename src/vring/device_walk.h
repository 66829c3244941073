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

/* A chain that is longer cannot be answered for in used.len, and no driver may make one
 * (virtio 1.4, 2.7.5). */
#define CHAIN_BYTES_MAX (UINT64_C(1) << 32)

/* A descriptor of either layout, as it was at the one time it was read. */
struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t link; /* split: next; packed: id */
};

/*
 * A chain on its way into a struct vq_chain.
 *
 * There are two walks for each layout.  The short one takes what most chains consist of: descriptors
 * of one slice each, in the region that was hit last.  It calls nothing, so all it has is in
 * registers.  What it meets first of anything else it hands on, with the walk so far, to the long
 * one, which takes everything.
 */
struct vq_walk {
	struct iovec *iov, *end; /* next to fill, and behind the last */
	uint64_t len;	/* of the readable ones; from the first writable one on, of those */
	uint32_t descs; /* descriptors read: counted by the long walk */
	uint32_t write; /* VIRTQ_DESC_F_WRITE from the first writable one on, else 0 */
};

/* For what must be inlined to keep its arguments out of memory. */
#define VQ_INLINE static inline __attribute__((always_inline))

/* An indirect table. */
struct vq_table {
	const uint8_t *at; /* NULL: it lies across regions, each entry is looked up by itself */
	bool aligned;	   /* to the 8 bytes that one load of an address wants             */
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
/* The same, and the descriptors are noted in vq->noted. */
int vqdev_packed_pop_noting(struct vqdev *vq, struct vq_chain *chain);
/*
 * Chains popped before, by the record: at @head; of @n descriptors, linked by @next from @first on.
 */
int vqdev_split_pop_again(struct vqdev *vq, struct vq_chain *chain, uint16_t head);
int vqdev_packed_pop_again(struct vqdev *vq, struct vq_chain *chain, const struct vq_desc *descs,
			   const uint16_t *next, uint16_t first, uint16_t n);
void vqdev_packed_fill(struct vqdev *vq, uint16_t id, uint16_t slots, uint32_t len);
void vqdev_packed_publish(struct vqdev *vq);
void vqdev_packed_ask(struct vqdev *vq, bool kicks);
bool vqdev_packed_waiting(const struct vqdev *vq);
bool vqdev_packed_wanted(struct vqdev *vq);

/*
 * The table that a descriptor points at: 0, or -EPROTO and the queue is broken.  How much of it is
 * believed is the caller's.
 */
int vq_table_open(struct vqdev *vq, struct vq_table *t, const struct vq_desc *d);

/* vq_table_read() where the table is not aligned, or not in one piece. */
int vq_table_read_raw(struct vqdev *vq, const struct vq_table *t, uint32_t i, struct vq_desc *d,
		      uint16_t *first, uint16_t *second);

/*
 * The record's hooks, all of them: device_record.c.  Called where vq->rec is set; open and close in
 * any case.
 */
int vqdev_record_open(struct vqdev *vq, const struct vqdev_record *record, struct error *err);
void vqdev_record_close(struct vqdev *vq);
int vqdev_recorded_pop(struct vqdev *vq, struct vq_chain *chain);
void vqdev_recorded_filled(struct vqdev *vq, uint16_t id);
void vqdev_recorded_publish(struct vqdev *vq);

/*
 * What chains in flight let the device write to, while the map has a log: device_log.c.  Called
 * where vq->log is set; open and close in any case.
 */
int vqdev_log_open(struct vqdev *vq); /* -ENOMEM; @vq->log follows the map's */
void vqdev_log_close(struct vqdev *vq);
void vqdev_log_begin(struct vqdev *vq);				  /* a chain is about to be read */
int vqdev_log_note(struct vqdev *vq, uint64_t gpa, uint32_t len); /* -ENOMEM */
void vqdev_log_popped(struct vqdev *vq, uint16_t id);
void vqdev_log_pushed(struct vqdev *vq, uint16_t id);
void vqdev_log_unpopped(struct vqdev *vq, uint16_t id);

/*
 * The mirror's hooks, all of them: device_remote.c.  Called where vq->remote is set.
 */
int vqdev_remote_slice(struct vqdev *vq, struct vq_walk *w, uint64_t addr, uint32_t len,
		       bool write); /* -EFAULT, -EACCES, -E2BIG */
int vqdev_remote_table(struct vqdev *vq, struct vq_table *t, const struct vq_desc *d);
int vqdev_remote_pop(struct vqdev *vq, struct vq_chain *chain);
bool vqdev_remote_waiting(const struct vqdev *vq);
void vqdev_remote_pushed(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len);
void vqdev_remote_unpopped(struct vqdev *vq, const struct vq_ticket *ticket);
void vqdev_remote_filled(struct vqdev *vq, uint16_t at); /* used is @at, before the entry */
/* And for them: areas of our own, empty, and where they are. */
int vqdev_stand_in(struct vqdev *vq, struct vqdev_areas *areas);
/* A chain is not in flight any more, and was never popped. */
void vqdev_put_back(struct vqdev *vq, const struct vq_ticket *ticket);

/* Breaks the queue; for return statements: -EPROTO. */
__attribute__((cold)) int vq_fail(struct vqdev *vq, const char *why);

static inline bool vq_id_in_flight(const struct vqdev *vq, uint16_t id)
{
	return vq->ids[id];
}

/* @max: descriptors of the longest chain.  Each takes a slice, so one end is that of both. */
VQ_INLINE struct vq_walk vq_walk_begin(const struct vq_chain *chain, uint32_t max)
{
	uint32_t room = (uint32_t)chain->iov_max;

	return (struct vq_walk){.iov = chain->iov, .end = chain->iov + (room < max ? room : max)};
}

/* For the long walk: what the short one knows without counting. */
VQ_INLINE void vq_walk_lengthen(struct vq_walk *w, const struct vq_chain *chain)
{
	w->descs = (uint32_t)(w->iov - chain->iov);
	w->end = chain->iov + chain->iov_max;
}

/*
 * AVAIL says this lap and USED the one before: only then is the descriptor ours (PK-D-03: neither
 * alone is enough).
 */
#define VQ_PACKED_LAP (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)
static inline uint32_t vq_packed_lap(bool wrap)
{
	return wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

static inline bool vq_packed_available(uint32_t flags, bool wrap)
{
	return (flags & VQ_PACKED_LAP) == vq_packed_lap(wrap);
}

/* What some queues note of a chain that is taken. */
void vq_walk_note(struct vqdev *vq, struct vq_chain *chain);

/* What follows is writable. */
VQ_INLINE void vq_walk_turn(struct vq_walk *w, struct vq_chain *chain)
{
	chain->readable = (int)(w->iov - chain->iov);
	chain->readable_len = w->len;
	w->len = 0;
	w->write = VIRTQ_DESC_F_WRITE;
}

/*
 * 1: the chain is good and in flight from here on; or -EPROTO and the queue is broken, which stands
 * where it stood.
 */
VQ_INLINE int vq_walk_done(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain, uint16_t id,
			   uint16_t slots)
{
	if (!w->write)
		vq_walk_turn(w, chain);
	/* Two sums of fewer than 2^17 lengths of 32 bits: they do not wrap. */
	if (unlikely(chain->readable_len + w->len > CHAIN_BYTES_MAX))
		return vq_fail(vq, "chain of more than 4 GiB");
	chain->writable = (int)(w->iov - chain->iov) - chain->readable;
	chain->writable_len = w->len;
	chain->descs = w->descs;
	chain->ticket = (struct vq_ticket){.id = id, .slots = slots};
	vq->ids[id] = true;
	vq->in_flight++;
	if (unlikely(vq->special))
		vq_walk_note(vq, chain);
	return 1;
}

/*
 * Entry @i as addr, len and the two 16-bit fields in the order in which they lie there: 0, or
 * -EPROTO and the queue is broken.
 */
static inline int vq_table_read(struct vqdev *vq, const struct vq_table *t, uint32_t i,
				struct vq_desc *d, uint16_t *first, uint16_t *second)
{
	const struct virtq_desc *p;

	if (unlikely(!t->aligned))
		return vq_table_read_raw(vq, t, i, d, first, second);
	p = (const struct virtq_desc *)(const void *)t->at + i;
	d->addr = le64_read(&p->addr);
	d->len = le32_read(&p->len);
	*first = le16_read(&p->flags);
	*second = le16_read(&p->next);
	return 0;
}

/* Adds one descriptor, if it is one for the short walk. */
VQ_INLINE bool vq_walk_hit(const struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
			   uint64_t addr, uint32_t len, uint32_t flags)
{
	if ((flags & (VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE)) != w->write) {
		if (unlikely(w->write || flags & VIRTQ_DESC_F_INDIRECT))
			return false;
		vq_walk_turn(w, chain);
	}
	if (unlikely(w->iov == w->end || !gmem_hit(vq->near, gpa(addr), len, w->iov)))
		return false;
	w->len += len;
	w->iov++;
	return true;
}

/* Adds one data descriptor that is none for the short walk: 0, -E2BIG, or -EPROTO. */
int vq_walk_other(struct vqdev *vq, struct vq_walk *w, uint64_t addr, uint32_t len, uint32_t flags);

/* Adds one data descriptor, whatever it is: 0, -E2BIG, or -EPROTO and the queue is broken. */
VQ_INLINE int vq_walk_add(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
			  uint64_t addr, uint32_t len, uint32_t flags)
{
	w->descs++;
	if (likely(vq_walk_hit(vq, w, chain, addr, len, flags)))
		return 0;
	return vq_walk_other(vq, w, addr, len, flags);
}

/* The ring was written to.  One predictable branch where no log runs. */
static inline void vq_dirty(const struct vqdev *vq, gpa_t area, uint64_t offset, uint64_t len)
{
	gmem_wrote(vq->mem, gpa(area.v + offset), len);
}

#endif
