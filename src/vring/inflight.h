/* SPDX-License-Identifier: MIT */
/*
 * The record of what a queue has in flight, in memory that outlives this process: whoever serves
 * the ring next, however this one ended, hands out again what was taken and not given back, in the
 * order of taking, and nothing else.
 *
 * What the record says at any instant, between any two instructions:
 *
 *   taken     the entry is filled in, then marked in flight (packed: then off the free list) before
 *             the chain is handed out.  Killed before: the chain still waits in the ring.
 *   given     what was filled is linked into a list first (packed: and the new place noted beside
 *   back      the old one); then the ring's one store shows it to the driver; then the marks go;
 *             last the place is settled.  Killed in between: the ring's own memory tells whether
 *             the driver was shown the list.
 *
 * Invariants: while the queue runs the region is only written, at places known from private memory;
 * it is read once, into private memory, when the queue starts, and checked as a whole before
 * anything in it is followed.  All stores are releases, so that no compiler turns them round.
 *
 * Private to the device half.  Threads: as struct vqdev.
 */
#ifndef VRING_INFLIGHT_H
#define VRING_INFLIGHT_H

#include "vring/device.h"
#include "vring/device_walk.h"
#include "wire/vhost_user_inflight.h"

struct vring_inflight {
	union {
		struct inflight_split *split;
		struct inflight_packed *packed;
	};
	bool is_packed;
	bool resumed; /* it was in use before */
	uint16_t entries;
	uint64_t counter; /* of the next chain taken */

	/* Filled and not yet published: ids. */
	uint16_t *batch;
	uint32_t n_batch;

	/* Packed: what the region says, as we know it. */
	uint16_t free_head;
	uint16_t *next;	    /* by entry; @entries and more: the end */
	uint16_t *last;	    /* by a chain's first entry */
	uint16_t *entry_of; /* by buffer id: its chain's first entry */
	union inflight_packed_heads heads;
	union inflight_packed_places places;

	/* To be handed out again, oldest first: heads; packed: first entries. */
	uint16_t *again;
	uint32_t n_again;
	uint32_t again_at;
	struct vq_desc *descs; /* packed: by entry, their descriptors */
	uint16_t *num;	       /* packed: by first entry, how many   */
};

/*
 * Opens the record of @vq, whose areas are mapped.  A fresh one starts where @vq stands (its base
 * is set); one that was in use says where the ring goes on, and @vq is set there.  0; -EINVAL: the
 * record cannot hold this ring; -EPROTO: it is damaged; -ENOMEM.
 */
int vring_inflight_open(struct vqdev *vq, const struct vqdev_record *where, struct error *err);
/* NULL is allowed. */
void vring_inflight_close(struct vring_inflight *rec);

/* Reads a record that is in use: inflight_recover.c. */
int vring_inflight_recover_split(struct vqdev *vq, struct vring_inflight *rec, struct error *err);
int vring_inflight_recover_packed(struct vqdev *vq, struct vring_inflight *rec, struct error *err);

/* The chain (packed: of @n descriptors of the ring, @descs; split: at head @id) is in flight. */
void vring_inflight_take(struct vring_inflight *rec, uint16_t id, const struct vq_desc *descs,
			 uint32_t n);
/* Its used entry is filled. */
static inline void vring_inflight_filled(struct vring_inflight *rec, uint16_t id)
{
	rec->batch[rec->n_batch++] = id;
}
/* Around the store that publishes: @used, @wrap is the next used place behind what is published. */
void vring_inflight_publishing(struct vring_inflight *rec, uint16_t used, bool wrap);
void vring_inflight_published(struct vring_inflight *rec, uint16_t used, bool wrap);

static inline uint32_t vring_inflight_again(const struct vring_inflight *rec)
{
	return rec->n_again - rec->again_at;
}

#endif
