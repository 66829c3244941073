/* SPDX-License-Identifier: MIT */
/* The device half on a packed ring (virtio 1.4, 2.8). */
#include "vring/device_walk.h"

/* The id that counts is the last descriptor's. */
VQ_INLINE int packed_walk_done(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
			       uint16_t id, uint16_t slots)
{
	if (unlikely(vq_id_in_flight(vq, id)))
		return vq_fail(vq, "buffer id already in flight");
	return vq_walk_done(vq, w, chain, id, slots);
}

/* The same, and the chain's slots are passed. */
VQ_INLINE int packed_walk_taken(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
				uint16_t id, uint16_t slots)
{
	uint32_t next = (uint32_t)vq->avail + slots;
	int rc = packed_walk_done(vq, w, chain, id, slots);

	if (unlikely(rc < 0))
		return rc;
	vq->slots_out += slots;
	if (next >= vq->num) {
		next -= vq->num;
		vq->avail_wrap = !vq->avail_wrap;
	}
	vq->avail = (uint16_t)next;
	return rc;
}

/* The table that a chain's only descriptor points at. */
static int packed_walk_table(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
			     const struct vq_desc *from)
{
	struct vq_table t;
	struct vq_desc d;
	int rc = vq_table_open(vq, &t, from);

	if (rc)
		return rc;
	/* All of its entries count, in order; NEXT and id mean nothing here (2.8.7). */
	if (t.count > vq->chain_max)
		return vq_fail(vq, "indirect table too long");
	for (uint32_t i = 0; i < t.count; i++) {
		rc = vq_table_read(vq, &t, i, &d, &d.link, &d.flags);
		if (rc)
			return rc;
		if (d.flags & VIRTQ_DESC_F_INDIRECT)
			return vq_fail(vq, "indirect descriptor in an indirect table");
		rc = vq_walk_add(vq, w, chain, d.addr, d.len, d.flags);
		if (rc)
			return rc;
	}
	return 0;
}

static inline struct vq_desc packed_read_desc(const struct vqdev *vq, uint32_t at, uint32_t flags)
{
	const struct pvirtq_desc *p = &vq->packed.ring[at];

	return (struct vq_desc){le64_read(&p->addr), le32_read(&p->len), (uint16_t)flags,
				le16_read(&p->id)};
}

/* The flags of the head, if it is available; 0. */
static inline uint32_t packed_head(const struct vqdev *vq)
{
	/* Pairs with the driver's release of them: the rest of the chain is there when they are. */
	uint32_t flags = le16_load_acquire(&vq->packed.ring[vq->avail].flags);

	return vq_packed_available(flags, vq->avail_wrap) ? flags : 0;
}

/* From the descriptor @d on, which has been read. */
static __attribute__((noinline)) int packed_walk_long(struct vqdev *vq, struct vq_chain *chain,
						      struct vq_walk w, struct vq_desc d)
{
	uint32_t room = vq->num - vq->slots_out, at, flags;
	int rc;

	vq_walk_lengthen(&w, chain);
	while (w.descs < room) {
		if (vq->noted)
			vq->noted[w.descs] = d;
		if (d.flags & VIRTQ_DESC_F_INDIRECT) {
			if (w.descs)
				return vq_fail(vq, "indirect descriptor behind a direct one");
			rc = packed_walk_table(vq, &w, chain, &d);
			return rc ? rc : packed_walk_taken(vq, &w, chain, d.link, 1);
		}
		rc = vq_walk_add(vq, &w, chain, d.addr, d.len, d.flags);
		if (rc)
			return rc;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return packed_walk_taken(vq, &w, chain, d.link, (uint16_t)w.descs);
		if (w.descs == room)
			break;
		at = vq->avail + w.descs;
		at -= at < vq->num ? 0 : vq->num;
		flags = le16_read(&vq->packed.ring[at].flags);
		if (!vq_packed_available(flags, vq->avail_wrap != (at < vq->avail)))
			return vq_fail(vq, "chain runs into a descriptor that is not available");
		d = packed_read_desc(vq, at, flags);
	}
	return vq_fail(vq, "chain longer than the room in the ring");
}

int vqdev_packed_pop_noting(struct vqdev *vq, struct vq_chain *chain)
{
	uint32_t flags = packed_head(vq);

	if (!flags)
		return 0;
	return packed_walk_long(vq, chain, vq_walk_begin(chain, 0),
				packed_read_desc(vq, vq->avail, flags));
}

int vqdev_packed_pop(struct vqdev *vq, struct vq_chain *chain)
{
	const struct pvirtq_desc *ring = vq->packed.ring, *end = ring + vq->num;
	const struct pvirtq_desc *p = ring + vq->avail;
	uint32_t flags = packed_head(vq), lap = flags & VQ_PACKED_LAP;
	struct vq_walk w;

	if (!flags)
		return 0;
	w = vq_walk_begin(chain, vq->num - vq->slots_out);
	for (;;) {
		uint64_t addr = le64_read(&p->addr);
		uint32_t len = le32_read(&p->len);

		if (unlikely(!vq_walk_hit(vq, &w, chain, addr, len, flags)))
			return packed_walk_long(
				vq, chain, w,
				(struct vq_desc){addr, len, (uint16_t)flags, le16_read(&p->id)});
		if (!(flags & VIRTQ_DESC_F_NEXT))
			break;
		if (unlikely(++p == end)) {
			p = ring;
			lap ^= VQ_PACKED_LAP;
		}
		flags = le16_read(&p->flags);
		if (unlikely((flags & VQ_PACKED_LAP) != lap))
			return vq_fail(vq, "chain runs into a descriptor that is not available");
	}
	w.descs = (uint32_t)(w.iov - chain->iov);
	return packed_walk_taken(vq, &w, chain, le16_read(&p->id), (uint16_t)w.descs);
}

int vqdev_packed_pop_again(struct vqdev *vq, struct vq_chain *chain, const struct vq_desc *descs,
			   const uint16_t *next, uint16_t first, uint16_t n)
{
	struct vq_walk w = vq_walk_begin(chain, UINT32_MAX);
	uint16_t at = first;
	int rc = 0;

	if (descs[at].flags & VIRTQ_DESC_F_INDIRECT && n == 1) {
		rc = packed_walk_table(vq, &w, chain, &descs[at]);
		return rc ? rc : packed_walk_done(vq, &w, chain, descs[at].link, n);
	}
	for (uint32_t i = 0; i < n && !rc; i++) {
		if (i)
			at = next[at];
		if (descs[at].flags & VIRTQ_DESC_F_INDIRECT)
			return vq_fail(vq, "indirect descriptor in a chain");
		rc = vq_walk_add(vq, &w, chain, descs[at].addr, descs[at].len, descs[at].flags);
	}
	return rc ? rc : packed_walk_done(vq, &w, chain, descs[at].link, n);
}

void vqdev_packed_fill(struct vqdev *vq, uint16_t id, uint16_t slots, uint32_t len)
{
	struct pvirtq_desc *p = &vq->packed.ring[vq->used];
	uint32_t next = (uint32_t)vq->used + slots;
	uint32_t flags = (vq->used_wrap ? VQ_PACKED_LAP : 0) | (len ? VIRTQ_DESC_F_WRITE : 0);

	le32_write(&p->len, len);
	le16_write(&p->id, id);
	if (likely(vq->batch)) {
		/* The driver looks at used entries in order, so the flags of the batch's first one
		 * guard these too. */
		le16_write(&p->flags, (uint16_t)flags);
	} else {
		vq->batch = true;
		vq->batch_at = vq->used;
		vq->batch_flags = (uint16_t)flags;
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
