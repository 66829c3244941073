/* SPDX-License-Identifier: MIT */
/* The device half on a split ring (virtio 1.4, 2.7). */
#include "vring/device_walk.h"

VQ_INLINE int split_walk_done(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
			      uint16_t head)
{
	int rc = vq_walk_done(vq, w, chain, head, 1);

	if (likely(rc > 0))
		vq->avail++;
	return rc;
}

/*
 * The table's chain starts at its first entry and may leave some out, so its size says little: at
 * most as many entries are followed as it has, and at most what a chain may have.
 */
static int split_walk_table(struct vqdev *vq, struct vq_walk *w, struct vq_chain *chain,
			    uint16_t head, const struct vq_desc *from)
{
	uint32_t budget = vq->chain_max - w->descs, at = 0;
	struct vq_table t;
	struct vq_desc d;
	int rc = vq_table_open(vq, &t, from);

	if (rc)
		return rc;
	for (uint32_t left = t.count < budget ? t.count : budget; left; left--) {
		rc = vq_table_read(vq, &t, at, &d, &d.flags, &d.link);
		if (rc)
			return rc;
		if (d.flags & VIRTQ_DESC_F_INDIRECT)
			return vq_fail(vq, "indirect descriptor in an indirect table");
		rc = vq_walk_add(vq, w, chain, d.addr, d.len, d.flags);
		if (rc)
			return rc;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return split_walk_done(vq, w, chain, head);
		at = d.link;
		if (at >= t.count)
			return vq_fail(vq, "next index beyond the indirect table");
	}
	return vq_fail(vq, t.count <= budget ? "loop in an indirect table" : "chain too long");
}

static inline struct vq_desc split_read_desc(const struct vqdev *vq, uint32_t at)
{
	const struct virtq_desc *p = &vq->split.desc[at];

	return (struct vq_desc){le64_read(&p->addr), le32_read(&p->len), le16_read(&p->flags),
				le16_read(&p->next)};
}

/* From the descriptor @d on, which has been read. */
static __attribute__((noinline)) int split_walk_long(struct vqdev *vq, struct vq_chain *chain,
						     uint16_t head, struct vq_walk w,
						     struct vq_desc d)
{
	int rc;

	vq_walk_lengthen(&w, chain);
	/* The budget of a direct chain is the table's size: a longer one must come by the same
	 * place twice. */
	while (w.descs < vq->num) {
		if (d.flags & VIRTQ_DESC_F_INDIRECT)
			return split_walk_table(vq, &w, chain, head, &d);
		rc = vq_walk_add(vq, &w, chain, d.addr, d.len, d.flags);
		if (rc)
			return rc;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return split_walk_done(vq, &w, chain, head);
		if (d.link >= vq->num)
			return vq_fail(vq, "next index out of range");
		d = split_read_desc(vq, d.link);
	}
	return vq_fail(vq, "loop in a chain");
}

static int split_walk(struct vqdev *vq, struct vq_chain *chain, uint16_t head)
{
	struct vq_walk w = vq_walk_begin(chain, vq->num);
	uint32_t at = head;

	for (;;) {
		const struct virtq_desc *p = &vq->split.desc[at];
		uint64_t addr = le64_read(&p->addr);
		uint32_t len = le32_read(&p->len), flags = le16_read(&p->flags);

		at = le16_read(&p->next);
		if (unlikely(!vq_walk_hit(vq, &w, chain, addr, len, flags)))
			return split_walk_long(
				vq, chain, head, w,
				(struct vq_desc){addr, len, (uint16_t)flags, (uint16_t)at});
		if (!(flags & VIRTQ_DESC_F_NEXT))
			break;
		if (unlikely(at >= vq->num))
			return vq_fail(vq, "next index out of range");
	}
	w.descs = (uint32_t)(w.iov - chain->iov);
	return split_walk_done(vq, &w, chain, head);
}

int vqdev_split_pop(struct vqdev *vq, struct vq_chain *chain)
{
	const struct virtq_avail *avail = vq->split.avail;
	uint16_t head;

	/* The shared line is touched only when everything seen before is taken. */
	if (vq->avail_seen == vq->avail) {
		/* Pairs with the driver's release of avail.idx: what it says is there, is there. */
		uint16_t seen = le16_load_acquire(&avail->idx);

		/* Each chain, waiting or in flight, holds at least one of num descriptors.
		 * Backwards is far ahead. */
		if (unlikely((uint16_t)(seen - vq->avail) + vq->in_flight > vq->num))
			return vq_fail(vq, "avail index out of range");
		vq->avail_seen = seen;
		if (seen == vq->avail)
			return 0;
	}
	head = le16_read(&avail->ring[vq->avail & (vq->num - 1)]);
	if (unlikely(head >= vq->num))
		return vq_fail(vq, "head index out of range");
	if (unlikely(vq_id_in_flight(vq, head)))
		return vq_fail(vq, "head already in flight");
	return split_walk(vq, chain, head);
}

int vqdev_split_pop_again(struct vqdev *vq, struct vq_chain *chain, uint16_t head)
{
	int rc = split_walk(vq, chain, head);

	/* Its place in the ring was passed long ago. */
	if (rc > 0)
		vq->avail--;
	return rc;
}

void vqdev_split_fill(struct vqdev *vq, uint16_t id, uint32_t len)
{
	uint16_t at = vq->used & (uint16_t)(vq->num - 1);
	struct virtq_used_elem *e = &vq->split.used->ring[at];

	le32_write(&e->id, id);
	le32_write(&e->len, len);
	vq_dirty(vq, vq->config.device, sizeof(struct virtq_used) + at * sizeof(*e), sizeof(*e));
	vq->used++;
}

void vqdev_split_publish(struct vqdev *vq)
{
	uint16_t n = (uint16_t)(vq->used - vq->used_shown);

	if (!n)
		return;
	/* Pairs with the driver's acquire of used.idx: the entries, and the data they stand for,
	 * come first. */
	le16_store_release(&vq->split.used->idx, vq->used);
	vq_dirty(vq, vq->config.device, offsetof(struct virtq_used, idx), sizeof(le16));
	vq->passed = vring_passed_add(vq->passed, n);
	vq->used_shown = vq->used;
}

bool vqdev_split_wanted(struct vqdev *vq)
{
	/* Pairs with the full barrier of the driver between asking for interrupts and looking at
	 * used.idx again. */
	barrier_full();
	if (vq->event_idx)
		return vring_split_crossed(vq->used_shown, le16_read(vq->split.used_event),
					   vq->passed);
	return !(le16_read(&vq->split.avail->flags) & VIRTQ_AVAIL_F_NO_INTERRUPT);
}

void vqdev_split_ask(struct vqdev *vq, bool kicks)
{
	struct virtq_used *used = vq->split.used;

	if (!vq->event_idx) {
		le16_write(&used->flags, (uint16_t)(kicks ? 0 : VIRTQ_USED_F_NO_NOTIFY));
		vq_dirty(vq, vq->config.device, offsetof(struct virtq_used, flags), sizeof(le16));
	} else if (kicks) {
		/* Silence needs no store: an avail_event that lies behind is not crossed again. */
		le16_write(vq->split.avail_event, vq->avail);
		vq_dirty(vq, vq->config.device, vring_device_bytes(&vq->config) - sizeof(le16),
			 sizeof(le16));
	}
}

bool vqdev_split_waiting(const struct vqdev *vq)
{
	return vq->avail_seen != vq->avail || le16_load_acquire(&vq->split.avail->idx) != vq->avail;
}
