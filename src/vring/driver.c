/* SPDX-License-Identifier: MIT */
#include "vring/driver.h"

#include "vring/driver_priv.h"

#include <string.h>

/* The most bytes of a chain: no driver may make a longer one (virtio 1.4, 2.7.5). */
#define CHAIN_BYTES_MAX (UINT64_C(1) << 32)

static void vqdrv_ask(struct vqdrv *vq, bool calls)
{
	if (vq->is_packed)
		vqdrv_packed_ask(vq, calls);
	else
		vqdrv_split_ask(vq, calls);
	vq->calls = calls;
}

int vqdrv_init(struct vqdrv *vq, const struct vqdrv_config *c)
{
	bool tables = c->indirect && c->table_len;

	if (!vring_num_ok(c->num, c->packed))
		return -EINVAL;
	if (!c->desc || !c->driver || !c->device || !c->state || (tables && !c->tables))
		return -EINVAL;
	if ((uintptr_t)c->desc % 16 || (uintptr_t)c->driver % (c->packed ? 4 : 2) ||
	    (uintptr_t)c->device % 4 || (uintptr_t)c->state % 8 ||
	    (tables && (uintptr_t)c->tables % 16))
		return -EINVAL;

	memset(vq, 0, sizeof(*vq));
	memset(c->desc, 0, vring_desc_size(c->num));
	memset(c->driver, 0, vring_driver_size(c->num, c->packed));
	memset(c->device, 0, vring_device_size(c->num, c->packed));
	memset(c->state, 0, (size_t)vqdrv_state_bytes(c->num));
	vq->num = c->num;
	vq->is_packed = c->packed;
	vq->event_idx = c->event_idx;
	vq->in_order = c->in_order;
	vq->slots = c->state;
	if (tables) {
		vq->tables = c->tables;
		vq->tables_addr = c->tables_addr;
		vq->table_len = c->table_len;
	}
	vq->free_entries = c->num;
	for (uint32_t i = 0; i < c->num; i++)
		vq->slots[i].next = (uint16_t)(i + 1 == c->num ? 0 : i + 1);
	if (c->packed)
		vqdrv_packed_init(vq, c);
	else
		vqdrv_split_init(vq, c);
	vqdrv_ask(vq, true);
	return 0;
}

/* ---- to the device ---- */

int vqdrv_add(struct vqdrv *vq, const struct vqdrv_buf *bufs, unsigned readable, unsigned writable,
	      void *cookie)
{
	uint64_t bytes = 0, writable_len = 0;
	bool table;
	unsigned n;

	if (vq->why)
		return -EPROTO;
	if (readable > UINT16_MAX || writable > UINT16_MAX)
		return -E2BIG;
	n = readable + writable;
	if (!n)
		return -EINVAL;
	table = n > 1 && n <= vq->table_len;
	if (!table && n > vq->num)
		return -E2BIG;
	if ((table ? 1 : n) > vq->free_entries)
		return -ENOSPC;
	for (unsigned i = 0; i < n; i++) {
		bytes += bufs[i].len;
		writable_len += i < readable ? 0 : bufs[i].len;
	}
	if (bytes > CHAIN_BYTES_MAX)
		return -EINVAL;
	if (vq->is_packed)
		vqdrv_packed_add(vq, bufs, readable, n, table, cookie, writable_len);
	else
		vqdrv_split_add(vq, bufs, readable, n, table, cookie, writable_len);
	return 0;
}

void vqdrv_publish(struct vqdrv *vq)
{
	if (!vq->unpublished || vq->why)
		return;
	if (vq->is_packed)
		vqdrv_packed_publish(vq);
	else
		vqdrv_split_publish(vq);
	vq->unpublished = 0;
}

bool vqdrv_needs_kick(struct vqdrv *vq)
{
	bool wanted;

	if (!vq->passed || vq->why)
		return false;
	wanted = vq->is_packed ? vqdrv_packed_wanted(vq) : vqdrv_split_wanted(vq);
	vq->passed = 0;
	return wanted;
}

uint32_t vqdrv_notify_value(const struct vqdrv *vq, uint16_t queue)
{
	uint32_t next = vq->avail;

	/* Split: all 16 bits of avail.idx stand where packed has the slot and the wrap counter. */
	if (vq->is_packed && vq->avail_wrap)
		next |= RING_EVENT_WRAP;
	return queue | next << 16;
}

/* ---- from the device ---- */

static void vqdrv_release(struct vqdrv *vq, uint16_t id)
{
	vq->slots[id].out = false;
	vq->chains--;
	vq->order_reap++;
	if (vq->is_packed)
		vqdrv_packed_free(vq, id);
	else
		vqdrv_split_free(vq, id);
}

/*
 * IN_ORDER: one used entry stands for the chain with its id and for all that were added before it;
 * those count as used in full (virtio 1.4, 2.7.9 and 2.8.12).  @u becomes the oldest one's.
 */
static int vqdrv_first_of_batch(struct vqdrv *vq, struct vqdrv_used *u)
{
	uint32_t ahead = vq->slots[u->id].order - vq->order_reap;

	/* Split: used.idx has to advance by the batch, so a chain that it does not cover yet is not
	 * used. */
	if (!vq->is_packed && ahead >= (uint16_t)(vq->used_seen - vq->used))
		return vqdrv_fail(vq, "used out of order");
	vq->skip = ahead;
	vq->last_id = (uint16_t)u->id;
	vq->last_len = u->len;
	return 0;
}

static int vqdrv_next_used(struct vqdrv *vq, struct vqdrv_used *u)
{
	const struct vqdrv_slot *s;
	int rc;

	rc = vq->is_packed ? vqdrv_packed_used(vq, u) : vqdrv_split_used(vq, u);
	if (rc <= 0)
		return rc;
	if (unlikely(u->id >= vq->num))
		return vqdrv_fail(vq, "used id out of range");
	s = &vq->slots[u->id];
	if (unlikely(!s->out))
		return vqdrv_fail(vq, "used id not outstanding");
	/* Not yet published, so the device cannot know it. Order counts from the last one added. */
	if (unlikely(vq->order_add - s->order <= vq->unpublished))
		return vqdrv_fail(vq, "used id not outstanding");
	/* There are devices that give a length and no WRITE flag: what fits is believed, as
	 * everywhere. */
	if (u->len_ignored && u->len > s->writable_len)
		u->len = 0;
	if (unlikely(u->len > s->writable_len))
		return vqdrv_fail(vq, "used length larger than the buffers");
	return 1;
}

int vqdrv_reap(struct vqdrv *vq, void **cookie, uint32_t *len)
{
	struct vqdrv_used u;
	int rc;

	if (unlikely(vq->why))
		return -EPROTO;
	if (!vq->skip) {
		rc = vqdrv_next_used(vq, &u);
		if (rc <= 0)
			return rc;
		if (vq->in_order) {
			rc = vqdrv_first_of_batch(vq, &u);
			if (rc)
				return rc;
		}
	} else if (!--vq->skip) {
		u = (struct vqdrv_used){.id = vq->last_id, .len = vq->last_len};
	}
	if (vq->skip) {
		uint64_t all = vq->slots[vq->oldest].writable_len;

		u.id = vq->oldest;
		u.len = all < UINT32_MAX ? (uint32_t)all : UINT32_MAX;
	}
	*cookie = vq->slots[u.id].cookie;
	*len = u.len;
	vqdrv_release(vq, (uint16_t)u.id);
	return 1;
}

void vqdrv_calls_off(struct vqdrv *vq)
{
	if (vq->calls)
		vqdrv_ask(vq, false);
}

bool vqdrv_calls_on(struct vqdrv *vq)
{
	if (vq->why)
		return false;
	vqdrv_ask(vq, true);
	/* Pairs with the full barrier of the device between publishing and reading what was asked
	 * for here. */
	barrier_full();
	if (!vqdrv_waiting(vq))
		return false;
	vqdrv_calls_off(vq);
	return true;
}

bool vqdrv_waiting(const struct vqdrv *vq)
{
	if (vq->why)
		return false;
	if (vq->skip)
		return true;
	return vq->is_packed ? vqdrv_packed_waiting(vq) : vqdrv_split_waiting(vq);
}

bool vqdrv_detach(struct vqdrv *vq, void **cookie)
{
	vqdrv_fail(vq, "taken back from the device");
	if (!vq->chains)
		return false;
	while (!vq->slots[vq->oldest].out)
		vq->oldest = (uint16_t)(vq->oldest + 1 == vq->num ? 0 : vq->oldest + 1);
	*cookie = vq->slots[vq->oldest].cookie;
	vq->slots[vq->oldest].out = false;
	vq->chains--;
	return true;
}
