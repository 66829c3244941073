/* SPDX-License-Identifier: MIT */
/*
 * The driver half on a packed ring (virtio 1.4, 2.8).
 *
 * Entries are taken in ring order; buffer ids come from a free list through the private slots,
 * which with IN_ORDER is the plain circle 0, 1, 2 ... and never relinked.
 */
#include "vring/driver_priv.h"

/* AVAIL and USED of a descriptor that is made available in a lap. */
static uint16_t packed_lap_flags(bool wrap)
{
	return wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
}

static void write_desc(struct pvirtq_desc *d, const struct vqdrv_buf *b, uint16_t id)
{
	le64_write(&d->addr, b->addr);
	le32_write(&d->len, b->len);
	le16_write(&d->id, id);
}

/* The flags of the first head of a batch are written last, by publish: it guards all that follows.
 */
static void packed_show(struct vqdrv *vq, uint16_t at, uint16_t flags)
{
	if (vq->batch) {
		le16_write(&vq->packed.ring[at].flags, flags);
		return;
	}
	vq->batch = true;
	vq->batch_at = at;
	vq->batch_flags = flags;
}

static void packed_step(struct vqdrv *vq)
{
	vq->batch_slots++;
	if (++vq->avail == vq->num) {
		vq->avail = 0;
		vq->avail_wrap = !vq->avail_wrap;
	}
}

void vqdrv_packed_init(struct vqdrv *vq, const struct vqdrv_config *c)
{
	vq->packed.ring = c->desc;
	vq->packed.driver = c->driver;
	vq->packed.device = c->device;
	vq->avail_wrap = vq->used_wrap = true;
}

void vqdrv_packed_add(struct vqdrv *vq, const struct vqdrv_buf *bufs, unsigned readable, unsigned n,
		      bool table, void *cookie, uint64_t writable_len)
{
	uint16_t id = vq->free_head;

	vq->free_head = vq->slots[id].next;
	if (table) {
		struct pvirtq_desc *t = vqdrv_table(vq, id);
		const struct vqdrv_buf whole = {vqdrv_table_addr(vq, id),
						(uint32_t)(n * sizeof(*t))};

		for (unsigned i = 0; i < n; i++) {
			write_desc(&t[i], &bufs[i], 0);
			le16_write(&t[i].flags, i < readable ? 0 : VIRTQ_DESC_F_WRITE);
		}
		write_desc(&vq->packed.ring[vq->avail], &whole, id);
		packed_show(vq, vq->avail,
			    (uint16_t)(VIRTQ_DESC_F_INDIRECT | packed_lap_flags(vq->avail_wrap)));
		packed_step(vq);
	} else {
		uint16_t head = vq->avail, head_flags = 0;

		for (unsigned i = 0; i < n; i++) {
			uint16_t flags = (uint16_t)((i < readable ? 0 : VIRTQ_DESC_F_WRITE) |
						    (i + 1 < n ? VIRTQ_DESC_F_NEXT : 0) |
						    packed_lap_flags(vq->avail_wrap));

			write_desc(&vq->packed.ring[vq->avail], &bufs[i], id);
			if (i)
				le16_write(&vq->packed.ring[vq->avail].flags, flags);
			else
				head_flags = flags;
			packed_step(vq);
		}
		packed_show(vq, head, head_flags);
	}
	vqdrv_slot_set(vq, id, (uint16_t)(table ? 1 : n), cookie, writable_len);
}

void vqdrv_packed_publish(struct vqdrv *vq)
{
	/* Pairs with the device's acquire of these flags: the rest of the batch and the data come
	 * first. */
	le16_store_release(&vq->packed.ring[vq->batch_at].flags, vq->batch_flags);
	vq->passed = vring_passed_add(vq->passed, vq->batch_slots);
	vq->batch_slots = 0;
	vq->batch = false;
}

bool vqdrv_packed_wanted(struct vqdrv *vq)
{
	uint16_t next = vq->batch ? vq->batch_at : vq->avail;
	bool wrap = vq->batch ? vq->batch_flags & VIRTQ_DESC_F_AVAIL : vq->avail_wrap;
	uint16_t flags;

	/* Pairs with the full barrier of the device between asking for kicks and looking at the
	 * ring again. */
	barrier_full();
	/* Pairs with the device's release of these flags: the place belongs to them. */
	flags = le16_load_acquire(&vq->packed.device->flags) & RING_EVENT_FLAGS_MASK;
	if (flags == RING_EVENT_FLAGS_DESC && vq->event_idx)
		return vring_packed_crossed(vq->num, next, wrap,
					    le16_read(&vq->packed.device->off_wrap), vq->passed);
	return flags != RING_EVENT_FLAGS_DISABLE;
}

static bool is_used(const struct vqdrv *vq, uint16_t flags)
{
	bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;

	return avail == vq->used_wrap && used == vq->used_wrap;
}

int vqdrv_packed_used(struct vqdrv *vq, struct vqdrv_used *u)
{
	const struct pvirtq_desc *d = &vq->packed.ring[vq->used];
	/* Pairs with the device's release of these flags: id, length and data are there. */
	uint16_t flags = le16_load_acquire(&d->flags);

	if (!is_used(vq, flags))
		return 0;
	u->id = le16_read(&d->id);
	u->len = le32_read(&d->len);
	u->len_ignored = !(flags & VIRTQ_DESC_F_WRITE);
	return 1;
}

void vqdrv_packed_free(struct vqdrv *vq, uint16_t id)
{
	uint16_t n = vq->slots[id].entries;
	uint32_t used = (uint32_t)vq->used + n;

	if (used >= vq->num) {
		used -= vq->num;
		vq->used_wrap = !vq->used_wrap;
	}
	vq->used = (uint16_t)used;
	vq->free_entries = (uint16_t)(vq->free_entries + n);
	if (vq->in_order) {
		vq->oldest = vq->slots[id].next;
	} else {
		vq->slots[id].next = vq->free_head;
		vq->free_head = id;
	}
}

void vqdrv_packed_ask(struct vqdrv *vq, bool calls)
{
	struct pvirtq_event *e = vq->packed.driver;
	uint16_t flags = RING_EVENT_FLAGS_DISABLE;

	if (calls && vq->event_idx) {
		le16_write(&e->off_wrap,
			   (uint16_t)(vq->used | (vq->used_wrap ? RING_EVENT_WRAP : 0)));
		flags = RING_EVENT_FLAGS_DESC;
	} else if (calls) {
		flags = RING_EVENT_FLAGS_ENABLE;
	}
	/* Pairs with the device's acquire of these flags: the place comes first. */
	le16_store_release(&e->flags, flags);
}

bool vqdrv_packed_waiting(const struct vqdrv *vq)
{
	return is_used(vq, le16_load_acquire(&vq->packed.ring[vq->used].flags));
}
