/* SPDX-License-Identifier: MIT */
/*
 * The driver half of a virtqueue: makes chains of buffers available, takes them back as used
 * (virtio 1.4, 2.7 and 2.8).
 *
 * All memory is the caller's, and nothing but memcpy and memset is called, so that this half also
 * runs where there is no C library.  Rings and indirect tables are written through pointers;
 * buffers are only ever numbers, put into descriptors as they are.
 *
 * Invariants: the device is not believed.  What was made available stands in a private copy that
 * the device cannot reach; an id or a length that does not fit it, or an index that runs ahead,
 * breaks the queue, and nothing is read through what the device wrote.  add prepares, publish makes
 * visible; room for all of a chain is there before its first descriptor is written.
 *
 * Barriers, each with its partner in the device (device_split.c, device_packed.c, or anybody's):
 *
 *   publish     releases avail.idx or the batch's first flags
 *               -> the device's acquire of them when it pops
 *   reap        acquires used.idx or the used flags
 *               <- the device's release of them when it publishes
 *   needs_kick  full barrier between publishing and reading what the device asked for
 *               <> the device's, between asking for kicks and looking again
 *   calls_on    full barrier between asking for interrupts and looking again
 *               <> the device's, between publishing and reading what was asked
 *
 * Threads: one thread at a time owns a struct vqdrv; the other side of the ring is the device, at
 * any time.
 */
#ifndef VRING_DRIVER_H
#define VRING_DRIVER_H

#include "vring/size.h"

#include <stdbool.h>
#include <stdint.h>

/* A buffer, by the address that the device knows it under. */
struct vqdrv_buf {
	uint64_t addr;
	uint32_t len;
};

/* Private: one per ring entry; what the device must not be able to change. */
struct vqdrv_slot {
	void *cookie;
	uint64_t writable_len; /* bytes the device may have written */
	uint32_t order;	  /* IN_ORDER: which chain this is, counted from the start              */
	uint16_t entries; /* ring entries of the chain whose id this is                         */
	uint16_t next;	  /* the chain's or the free list's next entry (packed: next free id)   */
	bool out;	  /* the device has it                                                  */
};

struct vqdrv_config {
	uint16_t num; /* entries; split: a power of two; packed: any size >= 1; at most
			 VRING_SIZE_MAX */
	bool packed, event_idx, indirect, in_order; /* as negotiated */

	/* The three areas as this side sees them, of the sizes and alignments that vring/size.h and
	 * the standard name. */
	void *desc, *driver, *device;
	/* Private memory, aligned to 8: vqdrv_state_bytes(num). */
	void *state;
	/*
	 * With indirect: vqdrv_tables_bytes(num, table_len), aligned to 16, and the address that
	 * the device knows it under. Chains longer than table_len go without a table.  table_len 0:
	 * none.
	 */
	void *tables;
	uint64_t tables_addr;
	uint16_t table_len;
};

struct vqdrv {
	/* Fixed. */
	uint16_t num;
	bool is_packed, event_idx, in_order;
	union {
		struct {
			struct virtq_desc *desc;
			struct virtq_avail *avail;
			le16 *used_event;
			const struct virtq_used *used;
			const le16 *avail_event;
		} split;
		struct {
			struct pvirtq_desc *ring;
			struct pvirtq_event *driver;
			const struct pvirtq_event *device;
		} packed;
	};
	struct vqdrv_slot *slots;
	uint8_t *tables;
	uint64_t tables_addr;
	uint16_t table_len; /* 0: no tables */

	/* Where we are.  Split: avail and used are indexes that run freely; packed: slots, each
	 * with its lap's wrap counter. */
	bool avail_wrap, used_wrap;
	bool calls;	      /* interrupts have been asked for                                 */
	bool batch;	      /* packed: the first head's flags are held back                   */
	uint16_t avail;	      /* next to fill                                                   */
	uint16_t avail_shown; /* split: avail.idx as last published                             */
	uint16_t used;	      /* next to reap                                                   */
	uint16_t used_seen;   /* split: used.idx as last read                                   */
	uint16_t batch_at;    /* packed: that first head ...                                    */
	uint16_t batch_flags; /* ... and its flags                                              */
	uint32_t batch_slots; /* packed: slots filled and not yet published                     */
	uint32_t passed;      /* published since needs_kick was last asked                      */
	uint16_t free_head;   /* split: next free entry; packed: next free id                   */
	uint16_t free_entries;
	uint16_t chains;      /* added and not reaped                                           */
	uint16_t unpublished; /* of those                                                       */
	uint32_t order_add;   /* IN_ORDER: chains added ...                                     */
	uint32_t order_reap;  /* ... and reaped so far                                          */
	uint16_t oldest;      /* IN_ORDER: id of the chain added first of those not reaped      */
	uint32_t skip;	      /* IN_ORDER: chains of a batch still to hand out before its last  */
	uint16_t last_id;     /* IN_ORDER: that last one ...                                    */
	uint32_t last_len;    /* ... and its length                                             */
	const char *why;      /* broken, and why                                                */
};

static inline uint64_t vqdrv_state_bytes(uint16_t num)
{
	return (uint64_t)num * sizeof(struct vqdrv_slot);
}

static inline uint64_t vqdrv_tables_bytes(uint16_t num, uint16_t table_len)
{
	return (uint64_t)num * table_len * sizeof(struct virtq_desc);
}

/**
 * vqdrv_init() - an empty queue, with interrupts on; clears the ring
 *
 * Return: 0; -EINVAL for a bad size or alignment or missing memory.
 */
int vqdrv_init(struct vqdrv *vq, const struct vqdrv_config *config);

/**
 * vqdrv_add() - make a chain available
 * @bufs:     first @readable ones that the device reads, then @writable ones that it writes
 * @cookie:   comes back from vqdrv_reap() or vqdrv_detach()
 *
 * Return: 0 - seen by the device after vqdrv_publish(); -ENOSPC - no room at present; -E2BIG -
 * there will never be; -EINVAL - no buffers, or more than 4 GiB; -EPROTO - the queue is broken.
 */
int vqdrv_add(struct vqdrv *vq, const struct vqdrv_buf *bufs, unsigned readable, unsigned writable,
	      void *cookie);

/* Makes everything added so far visible, with one store the device can see. */
void vqdrv_publish(struct vqdrv *vq);
/* After publish: does the device want a kick? Answers for everything published since it was last
 * asked. */
bool vqdrv_needs_kick(struct vqdrv *vq);

/**
 * vqdrv_reap() - take back the next used chain
 * @len: bytes written from the first writable one on, as far as the device can be believed: never
 * more than there are
 *
 * Return: 1 - cookie and length are set; 0 - nothing is used; -EPROTO - the device broke the rules,
 * vqdrv_why() says which: the queue is broken, what is outstanding comes back by vqdrv_detach()
 * once the device is reset.
 */
int vqdrv_reap(struct vqdrv *vq, void **cookie, uint32_t *len);

/* Asks for silence; an interrupt may still come. */
void vqdrv_calls_off(struct vqdrv *vq);
/* Asks for interrupts from now on, looks again behind a full barrier; true: something is used
 * already (they are off again). */
bool vqdrv_calls_on(struct vqdrv *vq);
/* Whether something seems to be used; no side effect. */
bool vqdrv_waiting(const struct vqdrv *vq);

/*
 * Takes back a chain that the device will not complete any more (it was reset): true and its
 * cookie, false when none is left. The queue is broken from the first call on; vqdrv_init() makes
 * it new.
 */
bool vqdrv_detach(struct vqdrv *vq, void **cookie);

/* What a kick says with NOTIFICATION_DATA: @queue (or its queue_notif_config_data) and where the
 * next descriptor will be. */
uint32_t vqdrv_notify_value(const struct vqdrv *vq, uint16_t queue);

/* Ring entries that are free. A chain takes one per buffer, or one in all where it fits a table. */
static inline uint16_t vqdrv_free(const struct vqdrv *vq)
{
	return vq->free_entries;
}
/* Chains added and not reaped. */
static inline uint16_t vqdrv_outstanding(const struct vqdrv *vq)
{
	return vq->chains;
}
/* Why the queue is broken, in a few words; NULL while it is not. */
static inline const char *vqdrv_why(const struct vqdrv *vq)
{
	return vq->why;
}
static inline bool vqdrv_broken(const struct vqdrv *vq)
{
	return vq->why;
}

#endif
