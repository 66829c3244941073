/* SPDX-License-Identifier: MIT */
/* The device half on a packed ring (virtio 1.4, 2.8). */
#include "vring/device_walk.h"

static int packed_walk_table(struct vqdev *vq, struct vq_walk *w, const struct vq_table *t)
{
	struct vq_desc d;

	/* All of it, in order; NEXT and id mean nothing here (2.8.7). */
	for (uint32_t i = 0; i < t->count; i++) {
		int rc = vq_table_read(vq, t, i, &d, &d.link, &d.flags);

		if (rc)
			return rc;
		if (d.flags & VIRTQ_DESC_F_INDIRECT)
			return vq_fail(vq, "indirect descriptor in an indirect table");
		rc = vq_walk_add(vq, w, &d);
		if (rc)
			return rc;
	}
	return 0;
}

/* The @n-th descriptor of a chain. */
static inline int packed_walk_desc(struct vqdev *vq, struct vq_walk *w, const struct vq_desc *d,
				   uint32_t n)
{
	struct vq_table table;
	int rc;

	if (!(d->flags & VIRTQ_DESC_F_INDIRECT))
		return vq_walk_add(vq, w, d);
	if (n)
		return vq_fail(vq, "indirect descriptor behind a direct one");
	rc = vq_table_open(vq, &table, d);
	if (rc)
		return rc;
	/* All of its entries count. */
	if (table.count > vq->chain_max)
		return vq_fail(vq, "indirect table too long");
	return packed_walk_table(vq, w, &table);
}

int vqdev_packed_pop(struct vqdev *vq, struct vq_chain *chain)
{
	/* Pairs with the driver's release of the head's flags: the rest of the chain is there when
	 * they are. */
	uint16_t flags = le16_load_acquire(&vq->packed.ring[vq->avail].flags);
	uint32_t room = vq->num - vq->slots_out;
	uint16_t at = vq->avail;
	bool wrap = vq->avail_wrap;
	struct vq_desc d;
	struct vq_walk w;
	uint32_t n = 0;
	int rc;

	if (!vq_packed_available(flags, wrap))
		return 0;
	vq_walk_init(&w, chain);
	do {
		const struct pvirtq_desc *p = &vq->packed.ring[at];

		if (unlikely(n == room))
			return vq_fail(vq, "chain longer than the room in the ring");
		if (n) {
			flags = le16_read(&p->flags);
			if (unlikely(!vq_packed_available(flags, wrap)))
				return vq_fail(
					vq, "chain runs into a descriptor that is not available");
		}
		d.addr = le64_read(&p->addr);
		d.len = le32_read(&p->len);
		d.link = le16_read(&p->id);
		d.flags = flags;
		rc = packed_walk_desc(vq, &w, &d, n);
		if (unlikely(rc))
			return rc;
		if (unlikely(vq->noted))
			vq->noted[n] = d;
		n++;
		if (++at == vq->num) {
			at = 0;
			wrap = !wrap;
		}
	} while (flags & VIRTQ_DESC_F_NEXT);

	/* The id that counts is the last descriptor's. */
	if (unlikely(vq_id_in_flight(vq, d.link)))
		return vq_fail(vq, "buffer id already in flight");
	vq->avail = at;
	vq->avail_wrap = wrap;
	vq->slots_out += n;
	vq_walk_done(vq, &w, chain, d.link, (uint16_t)n);
	return 1;
}

int vqdev_packed_pop_again(struct vqdev *vq, struct vq_chain *chain, const struct vq_desc *descs,
			   const uint16_t *next, uint16_t first, uint16_t n)
{
	struct vq_desc d = {0};
	struct vq_walk w;
	int rc;

	vq_walk_init(&w, chain);
	for (uint32_t i = 0, at = first; i < n; i++, at = next[at]) {
		d = descs[at];
		rc = packed_walk_desc(vq, &w, &d, i);
		if (rc)
			return rc;
	}
	if (vq_id_in_flight(vq, d.link))
		return vq_fail(vq, "buffer id already in flight");
	vq_walk_done(vq, &w, chain, d.link, n);
	return 1;
}

void vqdev_packed_fill(struct vqdev *vq, uint16_t id, uint16_t slots, uint32_t len)
{
	struct pvirtq_desc *p = &vq->packed.ring[vq->used];
	uint16_t flags = vq->used_wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0;
	uint32_t next = (uint32_t)vq->used + slots;

	if (len)
		flags |= VIRTQ_DESC_F_WRITE;
	le32_write(&p->len, len);
	le16_write(&p->id, id);
	if (vq->batch) {
		/* The driver looks at used entries in order, so the flags of the batch's first one
		 * guard these too. */
		le16_write(&p->flags, flags);
	} else {
		vq->batch = true;
		vq->batch_at = vq->used;
		vq->batch_flags = flags;
	}
	vq_dirty(vq, vq->config.desc, vq->used * sizeof(*p), sizeof(*p));
	vq->batch_slots += slots;
	vq->slots_out -= slots;
	if (next >= vq->num) {
		next -= vq->num;
		vq->used_wrap = !vq->used_wrap;
	}
	vq->used = (uint16_t)next;
}

void vqdev_packed_publish(struct vqdev *vq)
{
	struct pvirtq_desc *p = &vq->packed.ring[vq->batch_at];

	if (!vq->batch)
		return;
	/* Pairs with the driver's acquire of these flags: ids, lengths, data and the rest of the
	 * batch come first. */
	le16_store_release(&p->flags, vq->batch_flags);
	vq_dirty(vq, vq->config.desc, vq->batch_at * sizeof(*p), sizeof(*p));
	vq->passed = vring_passed_add(vq->passed, vq->batch_slots);
	vq->batch_slots = 0;
	vq->batch = false;
}

bool vqdev_packed_wanted(struct vqdev *vq)
{
	uint16_t next = vq->batch ? vq->batch_at : vq->used;
	bool wrap = vq->batch ? vq->batch_flags & VIRTQ_DESC_F_USED : vq->used_wrap;
	uint16_t flags;

	/* Pairs with the full barrier of the driver between asking for interrupts and looking at
	 * the ring again. */
	barrier_full();
	/* Pairs with the driver's release of these flags: the place belongs to them. */
	flags = le16_load_acquire(&vq->packed.driver->flags) & RING_EVENT_FLAGS_MASK;
	if (flags == RING_EVENT_FLAGS_DESC && vq->event_idx)
		return vring_packed_crossed(vq->num, next, wrap,
					    le16_read(&vq->packed.driver->off_wrap), vq->passed);
	/* What the driver may not say here counts as "enable": one interrupt too many harms nobody.
	 */
	return flags != RING_EVENT_FLAGS_DISABLE;
}

void vqdev_packed_ask(struct vqdev *vq, bool kicks)
{
	struct pvirtq_event *e = vq->packed.device;
	uint16_t flags = RING_EVENT_FLAGS_DISABLE;

	if (kicks && vq->event_idx) {
		le16_write(&e->off_wrap,
			   (uint16_t)(vq->avail | (vq->avail_wrap ? RING_EVENT_WRAP : 0)));
		flags = RING_EVENT_FLAGS_DESC;
	} else if (kicks) {
		flags = RING_EVENT_FLAGS_ENABLE;
	}
	/* Pairs with the driver's acquire of these flags in vqdrv_needs_kick(): the place comes
	 * first. */
	le16_store_release(&e->flags, flags);
	vq_dirty(vq, vq->config.device, 0, sizeof(*e));
}

bool vqdev_packed_waiting(const struct vqdev *vq)
{
	return vq_packed_available(le16_load_acquire(&vq->packed.ring[vq->avail].flags),
				   vq->avail_wrap);
}
