/* SPDX-License-Identifier: MIT */
/* The device half on a split ring (virtio 1.4, 2.7). */
#include "vring/device_walk.h"

static void split_read_desc(const struct virtq_desc *p, struct vq_desc *d)
{
	d->addr = le64_read(&p->addr);
	d->len = le32_read(&p->len);
	d->flags = le16_read(&p->flags);
	d->link = le16_read(&p->next);
}

/*
 * The table's chain starts at its first entry and may leave some out, so its size says little: at
 * most as many entries are followed as it has, and at most @budget.
 */
static int split_walk_table(struct vqdev *vq, struct vq_walk *w, const struct vq_table *t,
			    uint32_t budget)
{
	struct vq_desc d;
	uint32_t at = 0;

	for (uint32_t left = t->count < budget ? t->count : budget; left; left--) {
		int rc = vq_table_read(vq, t, at, &d, &d.flags, &d.link);

		if (rc)
			return rc;
		if (d.flags & VIRTQ_DESC_F_INDIRECT)
			return vq_fail(vq, "indirect descriptor in an indirect table");
		rc = vq_walk_add(vq, w, &d);
		if (rc)
			return rc;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		at = d.link;
		if (at >= t->count)
			return vq_fail(vq, "next index beyond the indirect table");
	}
	return vq_fail(vq, t->count <= budget ? "loop in an indirect table" : "chain too long");
}

static int split_walk(struct vqdev *vq, struct vq_walk *w, uint16_t head)
{
	uint16_t at = head;
	struct vq_table table;
	struct vq_desc d;

	/* The budget of a direct chain is the table's size: a longer one must come by the same
	 * place twice. */
	for (uint32_t n = 0; n < vq->num; n++) {
		int rc;

		split_read_desc(&vq->split.desc[at], &d);
		if (d.flags & VIRTQ_DESC_F_INDIRECT) {
			rc = vq_table_open(vq, &table, &d);
			return rc ? rc : split_walk_table(vq, w, &table, vq->chain_max - n);
		}
		rc = vq_walk_add(vq, w, &d);
		if (rc)
			return rc;
		if (!(d.flags & VIRTQ_DESC_F_NEXT))
			return 0;
		at = d.link;
		if (unlikely(at >= vq->num))
			return vq_fail(vq, "next index out of range");
	}
	return vq_fail(vq, "loop in a chain");
}

int vqdev_split_pop(struct vqdev *vq, struct vq_chain *chain)
{
	const struct virtq_avail *avail = vq->split.avail;
	struct vq_walk w;
	uint16_t head;
	int rc;

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
	vq_walk_init(&w, chain);
	rc = split_walk(vq, &w, head);
	if (unlikely(rc))
		return rc;
	vq->avail++;
	vq_walk_done(vq, &w, chain, head, 1);
	return 1;
}

int vqdev_split_pop_again(struct vqdev *vq, struct vq_chain *chain, uint16_t head)
{
	struct vq_walk w;
	int rc;

	vq_walk_init(&w, chain);
	rc = split_walk(vq, &w, head);
	if (rc)
		return rc;
	vq_walk_done(vq, &w, chain, head, 1);
	return 1;
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
