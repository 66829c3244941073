/* SPDX-License-Identifier: MIT */
/* What the driver half's files share. Private to driver*.c. */
#ifndef VRING_DRIVER_PRIV_H
#define VRING_DRIVER_PRIV_H

#include "base/atomic.h"
#include "base/bits.h"
#include "vring/driver.h"
#include "vring/event.h"

#include <errno.h>

/* A used entry, as it was at the one time it was read. */
struct vqdrv_used {
	uint32_t id;
	uint32_t len;
	bool len_ignored; /* the length may be anything: nothing was written (packed, 2.8.5) */
};

void vqdrv_split_init(struct vqdrv *vq, const struct vqdrv_config *c);
void vqdrv_split_add(struct vqdrv *vq, const struct vqdrv_buf *bufs, unsigned readable, unsigned n,
		     bool table, void *cookie, uint64_t writable_len);
void vqdrv_split_publish(struct vqdrv *vq);
bool vqdrv_split_wanted(struct vqdrv *vq);
int vqdrv_split_used(struct vqdrv *vq, struct vqdrv_used *u);
void vqdrv_split_free(struct vqdrv *vq, uint16_t id);
void vqdrv_split_ask(struct vqdrv *vq, bool calls);
bool vqdrv_split_waiting(const struct vqdrv *vq);

void vqdrv_packed_init(struct vqdrv *vq, const struct vqdrv_config *c);
void vqdrv_packed_add(struct vqdrv *vq, const struct vqdrv_buf *bufs, unsigned readable, unsigned n,
		      bool table, void *cookie, uint64_t writable_len);
void vqdrv_packed_publish(struct vqdrv *vq);
bool vqdrv_packed_wanted(struct vqdrv *vq);
int vqdrv_packed_used(struct vqdrv *vq, struct vqdrv_used *u);
void vqdrv_packed_free(struct vqdrv *vq, uint16_t id);
void vqdrv_packed_ask(struct vqdrv *vq, bool calls);
bool vqdrv_packed_waiting(const struct vqdrv *vq);

static inline int vqdrv_fail(struct vqdrv *vq, const char *why)
{
	if (!vq->why)
		vq->why = why;
	return -EPROTO;
}

/* The table of ring entry (split) or id (packed) @i: as we see it, and as the device does. */
static inline void *vqdrv_table(const struct vqdrv *vq, uint16_t i)
{
	return vq->tables + (uint64_t)i * vq->table_len * sizeof(struct virtq_desc);
}

static inline uint64_t vqdrv_table_addr(const struct vqdrv *vq, uint16_t i)
{
	return vq->tables_addr + (uint64_t)i * vq->table_len * sizeof(struct virtq_desc);
}

static inline void vqdrv_slot_set(struct vqdrv *vq, uint16_t id, uint16_t entries, void *cookie,
				  uint64_t writable_len)
{
	struct vqdrv_slot *s = &vq->slots[id];

	s->cookie = cookie;
	s->writable_len = writable_len;
	s->order = vq->order_add++;
	s->entries = entries;
	s->out = true;
	if (!vq->chains++)
		vq->oldest = id;
	vq->unpublished++;
	vq->free_entries = (uint16_t)(vq->free_entries - entries);
}

#endif
