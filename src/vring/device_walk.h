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

/* A chain on its way into a struct vq_chain. */
struct vq_walk {
	struct iovec *iov;
	int iov_max;
	int readable;
	int writable;
	uint64_t readable_len;
	uint64_t writable_len;
	bool writing;	/* a writable descriptor has been seen */
	uint32_t descs; /* descriptors read                    */
};

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

/* 0, or -EPROTO and the queue is broken.  How much of the table is believed is the caller's. */
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

/* AVAIL says this lap and USED the one before: only then is the descriptor ours (PK-D-03: neither
 * alone is enough). */
static inline bool vq_packed_available(uint16_t flags, bool wrap)
{
	bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;

	return avail == wrap && used != wrap;
}

/* The chain is good: it is in flight from here on. */
static inline void vq_walk_done(struct vqdev *vq, const struct vq_walk *w, struct vq_chain *chain,
				uint16_t id, uint16_t slots)
{
	vq->ids[id / 64] |= BIT64(id % 64);
	vq->in_flight++;
	if (unlikely(vq->log))
		vqdev_log_popped(vq, id);
	chain->ticket = (struct vq_ticket){.id = id, .slots = slots, .seq = vq->seq_pop};
	if (vq->in_order && ++vq->seq_pop == vq->num)
		vq->seq_pop = 0;
	chain->readable = w->readable;
	chain->writable = w->writable;
	chain->readable_len = w->readable_len;
	chain->writable_len = w->writable_len;
	chain->descs = w->descs;
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

/* What gmem_slices() could not do, as vq_walk_add() returns it. */
static inline int vq_walk_no_slices(struct vqdev *vq, int rc, bool write)
{
	if (rc == -E2BIG)
		return rc;
	if (rc == -EACCES)
		return vq_fail(vq, write ? "buffer in memory that must not be written"
					 : "buffer in memory that must not be read");
	return vq_fail(vq, "buffer outside memory");
}

/* Adds one data descriptor: 0, -E2BIG, or -EPROTO and the queue is broken. */
static inline int vq_walk_add(struct vqdev *vq, struct vq_walk *w, const struct vq_desc *d)
{
	bool write = d->flags & VIRTQ_DESC_F_WRITE;
	int used = w->readable + w->writable;
	int n;

	w->descs++;
	if (write)
		w->writing = true;
	else if (unlikely(w->writing))
		return vq_fail(vq, "readable descriptor after a writable one");
	if (unlikely(!d->len))
		return 0;
	n = gmem_slices(vq->mem, &vq->hint, gpa(d->addr), d->len, write, w->iov + used,
			w->iov_max - used);
	if (unlikely(n < 0))
		return vq_walk_no_slices(vq, n, write);
	if (write) {
		w->writable += n;
		w->writable_len += d->len;
		if (unlikely(vq->log) && vqdev_log_note(vq, d->addr, d->len))
			return vq_fail(vq, "no memory for the log of what is written");
	} else {
		w->readable += n;
		w->readable_len += d->len;
	}
	/* Two sums of at most chain_max lengths of 32 bits each: neither wraps. */
	if (unlikely(w->readable_len + w->writable_len > CHAIN_BYTES_MAX))
		return vq_fail(vq, "chain of more than 4 GiB");
	return 0;
}

/* The ring was written to.  One predictable branch where no log runs. */
static inline void vq_dirty(const struct vqdev *vq, gpa_t area, uint64_t offset, uint64_t len)
{
	gmem_wrote(vq->mem, gpa(area.v + offset), len);
}

#endif
