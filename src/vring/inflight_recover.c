/* SPDX-License-Identifier: MIT */
/* What a record says that was left behind, by whomever. */
#include "vring/inflight.h"

#include <stdlib.h>
#include <string.h>

static int inflight_damaged(struct error *err, const char *how)
{
	return error_set(err, -EPROTO, "the in-flight record is damaged: %s", how);
}

/* One chain that was in flight. */
struct left {
	uint64_t counter;
	uint16_t at;
};

static int by_counter(const void *a, const void *b)
{
	const struct left *x = a, *y = b;

	if (x->counter != y->counter)
		return x->counter < y->counter ? -1 : 1;
	return x->at < y->at ? -1 : 1;
}

static void inflight_hand_out_again(struct vring_inflight *rec, struct left *left, uint32_t n)
{
	qsort(left, n, sizeof(*left), by_counter);
	for (uint32_t i = 0; i < n; i++)
		rec->again[i] = left[i].at;
	rec->n_again = n;
	rec->counter = n ? left[n - 1].counter + 1 : 0;
}

/* ---- split ---- */

/*
 * Clears the marks of the last batch in @desc, the private copy: the driver was shown it, but the
 * marks may not all have gone.
 */
static int inflight_drop_last_batch(struct inflight_split_desc *desc, uint32_t entries,
				    uint16_t head, uint16_t n, struct error *err)
{
	if (n > entries)
		return inflight_damaged(err, "its used index does not fit the ring's.");
	for (uint16_t i = 0; i < n; i++) {
		/* @padding of the copy is ours: a mark against coming by twice. */
		if (head >= entries || desc[head].padding[0])
			return inflight_damaged(err, "the list of its last batch is broken.");
		desc[head].inflight = 0;
		desc[head].padding[0] = 1;
		head = desc[head].next;
	}
	return 0;
}

int vring_inflight_recover_split(struct vqdev *vq, struct vring_inflight *rec, struct error *err)
{
	struct inflight_split *r = rec->split;
	uint16_t used = le16_read(&vq->split.used->idx), n_last;
	uint32_t n = 0;
	struct inflight_split_desc *desc;
	struct left *left;
	int rc;

	if (read_once(&r->desc_num) != rec->entries)
		return inflight_damaged(err, "it has another size.");
	desc = calloc(rec->entries, sizeof(*desc));
	left = calloc(rec->entries, sizeof(*left));
	if (!desc || !left) {
		rc = error_set(err, -ENOMEM, "no memory for an in-flight record");
		goto out;
	}
	for (uint32_t i = 0; i < rec->entries; i++) {
		desc[i].inflight = read_once(&r->desc[i].inflight);
		desc[i].next = read_once(&r->desc[i].next);
		desc[i].counter = read_once(&r->desc[i].counter);
	}
	n_last = (uint16_t)(used - read_once(&r->used_idx));
	rc = inflight_drop_last_batch(desc, rec->entries, read_once(&r->last_batch_head), n_last,
				      err);
	if (rc)
		goto out;
	for (uint32_t i = 0; i < rec->entries; i++) {
		if (!desc[i].inflight)
			continue;
		if (i >= vq->num) {
			rc = inflight_damaged(err, "a head lies outside the ring.");
			goto out;
		}
		left[n++] = (struct left){desc[i].counter, (uint16_t)i};
	}
	inflight_hand_out_again(rec, left, n);
	/* Each step leaves a record that is read the same way once more. */
	for (uint32_t i = 0; i < rec->entries; i++)
		if (desc[i].padding[0])
			store_release(&r->desc[i].inflight, 0);
	store_release(&r->used_idx, used);
	vq->used = vq->used_shown = used;
	vq->avail = vq->avail_seen = (uint16_t)(used + n);
out:
	free(left);
	free(desc);
	return rc;
}

/* ---- packed ---- */

enum whose { LOST, FREE, TAKEN }; /* of an entry */

/*
 * Where the ring stood: what was noted last, if the driver was shown it, or else what was settled.
 * A place changes when the batch behind it is shown, by its first descriptor: that one is not an
 * available one any more.
 */
static int settle(const struct vqdev *vq, struct vring_inflight *rec, struct error *err)
{
	union inflight_packed_heads *h = &rec->heads;
	union inflight_packed_places *p = &rec->places;

	h->word = load_acquire(&rec->packed->heads.word);
	p->word = read_once(&rec->packed->places.word);
	if (h->desc_num != rec->entries)
		return inflight_damaged(err, "it has another size.");
	if (p->used_idx >= vq->num || p->old_used_idx >= vq->num || p->used_wrap > 1 ||
	    p->old_used_wrap > 1)
		return inflight_damaged(err, "its used index lies outside the ring.");
	if ((p->used_idx != p->old_used_idx || p->used_wrap != p->old_used_wrap) &&
	    !vq_packed_available(le16_read(&vq->packed.ring[p->old_used_idx].flags),
				 p->old_used_wrap)) {
		h->old_free_head = h->free_head;
		p->old_used_idx = p->used_idx;
		p->old_used_wrap = p->used_wrap;
	} else {
		h->free_head = h->old_free_head;
		p->used_idx = p->old_used_idx;
		p->used_wrap = p->old_used_wrap;
	}
	rec->free_head = h->free_head;
	return 0;
}

/* The entries' private copies, and the free list. Returns its length, or -EPROTO. */
static int inflight_read_free(struct vring_inflight *rec, uint8_t *whose, struct error *err)
{
	int n = 0;

	for (uint32_t i = 0; i < rec->entries; i++) {
		const struct inflight_packed_desc *p = &rec->packed->desc[i];

		rec->next[i] = read_once(&p->next);
		rec->last[i] = read_once(&p->last);
		rec->num[i] = read_once(&p->num);
		rec->descs[i] = (struct vq_desc){
			.addr = read_once(&p->addr),
			.len = read_once(&p->len),
			.flags = read_once(&p->flags),
			.link = read_once(&p->id),
		};
	}
	for (uint32_t at = rec->free_head; at < rec->entries; at = rec->next[at]) {
		if (whose[at] == FREE)
			return inflight_damaged(err, "its free list is a loop.");
		whose[at] = FREE;
		n++;
	}
	return n;
}

/* The entries of the chain that begins at @first are its own. */
static int inflight_read_chain(struct vring_inflight *rec, uint8_t *whose, uint16_t first,
			       struct error *err)
{
	uint32_t at = first, last = first;

	if (!rec->num[first])
		return inflight_damaged(err, "a chain is empty.");
	for (uint32_t n = rec->num[first]; n; n--) {
		if (at >= rec->entries || whose[at] != LOST)
			return inflight_damaged(err, "a chain shares its entries.");
		whose[at] = TAKEN;
		last = at;
		at = rec->next[at];
	}
	if (last != rec->last[first])
		return inflight_damaged(err, "a chain ends elsewhere.");
	rec->entry_of[rec->descs[last].link] = first;
	return 0;
}

/*
 * Slots between the used place and the avail place are the device's, but used descriptors may stand
 * in them that their batch never showed: the driver would see them as soon as it comes by.
 */
static void inflight_hide_unpublished(struct vqdev *vq, uint32_t slots)
{
	uint32_t at = vq->used;
	bool wrap = vq->used_wrap;

	for (; slots; slots--) {
		struct pvirtq_desc *p = &vq->packed.ring[at];
		uint16_t flags = le16_read(&p->flags);

		if (!vq_packed_available(flags, wrap)) {
			flags &= (uint16_t) ~(VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
			flags |= wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED;
			le16_store_release(&p->flags, flags);
			vq_dirty(vq, vq->config.desc, at * sizeof(*p), sizeof(*p));
		}
		if (++at == vq->num) {
			at = 0;
			wrap = !wrap;
		}
	}
}

static void inflight_set_places(struct vqdev *vq, const struct vring_inflight *rec, uint32_t slots)
{
	uint32_t avail = rec->places.used_idx + slots;

	vq->used = rec->places.used_idx;
	vq->used_wrap = rec->places.used_wrap;
	vq->avail_wrap = vq->used_wrap;
	if (avail >= vq->num) {
		avail -= vq->num;
		vq->avail_wrap = !vq->used_wrap;
	}
	vq->avail = (uint16_t)avail;
	vq->slots_out = slots;
}

int vring_inflight_recover_packed(struct vqdev *vq, struct vring_inflight *rec, struct error *err)
{
	struct inflight_packed *r = rec->packed;
	uint32_t n = 0, slots = 0, i;
	uint8_t *whose;
	struct left *left;
	int rc, n_free;

	rc = settle(vq, rec, err);
	if (rc)
		return rc;
	whose = calloc(rec->entries, 1);
	left = calloc(rec->entries, sizeof(*left));
	if (!whose || !left) {
		rc = error_set(err, -ENOMEM, "no memory for an in-flight record");
		goto out;
	}
	rc = n_free = inflight_read_free(rec, whose, err);
	if (rc < 0)
		goto out;
	for (i = 0; i < rec->entries; i++) {
		if (whose[i] == FREE || !read_once(&r->desc[i].inflight))
			continue;
		rc = inflight_read_chain(rec, whose, (uint16_t)i, err);
		if (rc)
			goto out;
		slots += rec->num[i];
		left[n++] = (struct left){read_once(&r->desc[i].counter), (uint16_t)i};
	}
	if (slots > vq->num || slots + (uint32_t)n_free != rec->entries) {
		rc = inflight_damaged(err, "its entries do not add up.");
		goto out;
	}
	inflight_hand_out_again(rec, left, n);
	/* Each step leaves a record that is read the same way once more. */
	for (i = 0; i < rec->entries; i++)
		if (whose[i] == FREE)
			store_release(&r->desc[i].inflight, 0);
	store_release(&r->heads.word, rec->heads.word);
	store_release(&r->places.word, rec->places.word);
	inflight_set_places(vq, rec, slots);
	inflight_hide_unpublished(vq, slots);
	rc = 0;
out:
	free(left);
	free(whose);
	return rc;
}
