/* SPDX-License-Identifier: MIT */
/*
 * The driver half on a split ring (virtio 1.4, 2.7).
 *
 * Free entries are a list through the private slots.  With IN_ORDER the list is the ring itself,
 * entry i before i + 1, and never relinked: chains are taken and come back in the same order.
 */
#include "vring/driver_priv.h"

static void write_desc(struct virtq_desc *d, const struct vqdrv_buf *b, uint16_t flags,
		       uint16_t next)
{
	le64_write(&d->addr, b->addr);
	le32_write(&d->len, b->len);
	le16_write(&d->flags, flags);
	le16_write(&d->next, next);
}

static uint16_t split_flags_of(unsigned i, unsigned readable, unsigned n)
{
	return (uint16_t)((i < readable ? 0 : VIRTQ_DESC_F_WRITE) |
			  (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0));
}

void vqdrv_split_init(struct vqdrv *vq, const struct vqdrv_config *c)
{
	vq->split.desc = c->desc;
	vq->split.avail = c->driver;
	vq->split.used_event = &vq->split.avail->ring[c->num];
	vq->split.used = c->device;
	vq->split.avail_event = (const le16 *)(const void *)&vq->split.used->ring[c->num];
}

void vqdrv_split_add(struct vqdrv *vq, const struct vqdrv_buf *bufs, unsigned readable, unsigned n,
		     bool table, void *cookie, uint64_t writable_len)
{
	uint16_t head = vq->free_head, at = head;

	if (table) {
		struct virtq_desc *t = vqdrv_table(vq, head);
		const struct vqdrv_buf whole = {vqdrv_table_addr(vq, head),
						(uint32_t)(n * sizeof(*t))};

		for (unsigned i = 0; i < n; i++)
			write_desc(&t[i], &bufs[i], split_flags_of(i, readable, n),
				   (uint16_t)(i + 1 < n ? i + 1 : 0));
		write_desc(&vq->split.desc[head], &whole, VIRTQ_DESC_F_INDIRECT, 0);
		at = vq->slots[head].next;
	} else {
		for (unsigned i = 0; i < n; i++) {
			uint16_t next = vq->slots[at].next;

			write_desc(&vq->split.desc[at], &bufs[i], split_flags_of(i, readable, n),
				   next);
			at = next;
		}
	}
	vq->free_head = at;
	le16_write(&vq->split.avail->ring[vq->avail & (vq->num - 1)], head);
	vq->avail++;
	vqdrv_slot_set(vq, head, (uint16_t)(table ? 1 : n), cookie, writable_len);
}

void vqdrv_split_publish(struct vqdrv *vq)
{
	/* Pairs with the device's acquire of avail.idx: descriptors, avail entries and data come
	 * first. */
	le16_store_release(&vq->split.avail->idx, vq->avail);
	vq->passed = vring_passed_add(vq->passed, (uint16_t)(vq->avail - vq->avail_shown));
	vq->avail_shown = vq->avail;
}

bool vqdrv_split_wanted(struct vqdrv *vq)
{
	/* Pairs with the full barrier of the device between asking for kicks and looking at
	 * avail.idx again. */
	barrier_full();
	if (vq->event_idx)
		return vring_split_crossed(vq->avail_shown, le16_read(vq->split.avail_event),
					   vq->passed);
	return !(le16_read(&vq->split.used->flags) & VIRTQ_USED_F_NO_NOTIFY);
}

int vqdrv_split_used(struct vqdrv *vq, struct vqdrv_used *u)
{
	const struct virtq_used_elem *e;

	if (vq->used_seen == vq->used) {
		/* Pairs with the device's release of used.idx: the entries and the data are there.
		 */
		uint16_t seen = le16_load_acquire(&vq->split.used->idx);

		if (unlikely((uint16_t)(seen - vq->used) > vq->chains - vq->unpublished))
			return vqdrv_fail(vq, "used index out of range");
		vq->used_seen = seen;
		if (seen == vq->used)
			return 0;
	}
	e = &vq->split.used->ring[vq->used & (vq->num - 1)];
	u->id = le32_read(&e->id);
	u->len = le32_read(&e->len);
	u->len_ignored = false;
	return 1;
}

void vqdrv_split_free(struct vqdrv *vq, uint16_t id)
{
	uint16_t n = vq->slots[id].entries, last = id;

	vq->used++;
	if (vq->in_order) {
		/* Chains lie one behind the other: the next oldest begins where this one ends. */
		vq->oldest = (uint16_t)((id + n) & (vq->num - 1));
	} else {
		for (uint16_t i = 1; i < n; i++)
			last = vq->slots[last].next;
		vq->slots[last].next = vq->free_head;
		vq->free_head = id;
	}
	vq->free_entries = (uint16_t)(vq->free_entries + n);
}

void vqdrv_split_ask(struct vqdrv *vq, bool calls)
{
	if (!vq->event_idx)
		le16_write(&vq->split.avail->flags,
			   (uint16_t)(calls ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT));
	else if (calls)
		le16_write(vq->split.used_event, vq->used);
}

bool vqdrv_split_waiting(const struct vqdrv *vq)
{
	return vq->used_seen != vq->used || le16_load_acquire(&vq->split.used->idx) != vq->used;
}
