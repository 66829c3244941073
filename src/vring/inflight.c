/* SPDX-License-Identifier: MIT */
#include "vring/inflight.h"

#include <stdlib.h>

/* ---- taking ---- */

static void inflight_take_packed(struct vring_inflight *rec, uint16_t id,
				 const struct vq_desc *descs, uint32_t n)
{
	uint16_t first = rec->free_head, last = first;
	struct inflight_packed_desc *p;

	/* There is an entry for each of the ring's slots, so the list does not end here. */
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			last = rec->next[last];
		p = &rec->packed->desc[last];
		write_once(&p->id, descs[i].link);
		write_once(&p->flags, descs[i].flags);
		write_once(&p->len, descs[i].len);
		write_once(&p->addr, descs[i].addr);
	}
	p = &rec->packed->desc[first];
	write_once(&p->last, last);
	write_once(&p->num, (uint16_t)n);
	write_once(&p->counter, rec->counter++);
	store_release(&p->inflight, 1);
	rec->last[first] = last;
	rec->entry_of[id] = first;
	rec->free_head = rec->next[last];
	rec->heads.free_head = rec->heads.old_free_head = rec->free_head;
	store_release(&rec->packed->heads.word, rec->heads.word);
}

void vring_inflight_take(struct vring_inflight *rec, uint16_t id, const struct vq_desc *descs,
			 uint32_t n)
{
	struct inflight_split_desc *p;

	if (rec->is_packed) {
		inflight_take_packed(rec, id, descs, n);
		return;
	}
	p = &rec->split->desc[id];
	write_once(&p->counter, rec->counter++);
	store_release(&p->inflight, 1);
}

/* ---- giving back ---- */

static void inflight_link_split(struct vring_inflight *rec)
{
	uint16_t before = 0; /* what lies behind the batch is never followed */

	for (uint32_t i = 0; i < rec->n_batch; i++) {
		store_release(&rec->split->desc[rec->batch[i]].next, before);
		before = rec->batch[i];
	}
	store_release(&rec->split->last_batch_head, before);
}

static void inflight_link_packed(struct vring_inflight *rec, uint16_t used, bool wrap)
{
	for (uint32_t i = 0; i < rec->n_batch; i++) {
		uint16_t first = rec->entry_of[rec->batch[i]], last = rec->last[first];

		rec->next[last] = rec->free_head;
		store_release(&rec->packed->desc[last].next, rec->free_head);
		rec->free_head = first;
	}
	rec->heads.free_head = rec->free_head;
	rec->places.used_idx = used;
	rec->places.used_wrap = wrap;
	/* The list first: a new place says that there is one. */
	store_release(&rec->packed->heads.word, rec->heads.word);
	store_release(&rec->packed->places.word, rec->places.word);
}

void vring_inflight_publishing(struct vring_inflight *rec, uint16_t used, bool wrap)
{
	if (!rec->n_batch)
		return;
	if (rec->is_packed)
		inflight_link_packed(rec, used, wrap);
	else
		inflight_link_split(rec);
}

void vring_inflight_published(struct vring_inflight *rec, uint16_t used, bool wrap)
{
	if (!rec->n_batch)
		return;
	for (uint32_t i = 0; i < rec->n_batch; i++) {
		uint16_t id = rec->batch[i];

		if (rec->is_packed)
			store_release(&rec->packed->desc[rec->entry_of[id]].inflight, 0);
		else
			store_release(&rec->split->desc[id].inflight, 0);
	}
	rec->n_batch = 0;
	if (!rec->is_packed) {
		store_release(&rec->split->used_idx, used);
		return;
	}
	rec->heads.old_free_head = rec->free_head;
	rec->places.old_used_idx = used;
	rec->places.old_used_wrap = wrap;
	store_release(&rec->packed->heads.word, rec->heads.word);
	store_release(&rec->packed->places.word, rec->places.word);
}

/* ---- life ---- */

static void inflight_fresh_split(struct vring_inflight *rec, const struct vqdev *vq)
{
	for (uint32_t i = 0; i < rec->entries; i++)
		write_once(&rec->split->desc[i].inflight, 0);
	write_once(&rec->split->features, 0);
	write_once(&rec->split->desc_num, rec->entries);
	write_once(&rec->split->last_batch_head, 0);
	write_once(&rec->split->used_idx, vq->used);
	store_release(&rec->split->version, INFLIGHT_VERSION);
}

static void inflight_fresh_packed(struct vring_inflight *rec, const struct vqdev *vq)
{
	for (uint32_t i = 0; i < rec->entries; i++) {
		rec->next[i] = (uint16_t)(i + 1);
		write_once(&rec->packed->desc[i].inflight, 0);
		write_once(&rec->packed->desc[i].next, rec->next[i]);
	}
	rec->free_head = 0;
	rec->places = (union inflight_packed_places){
		.used_idx = vq->used,
		.old_used_idx = vq->used,
		.used_wrap = vq->used_wrap,
		.old_used_wrap = vq->used_wrap,
	};
	rec->heads = (union inflight_packed_heads){
		.version = INFLIGHT_VERSION,
		.desc_num = rec->entries,
	};
	write_once(&rec->packed->features, 0);
	store_release(&rec->packed->places.word, rec->places.word);
	store_release(&rec->packed->heads.word, rec->heads.word);
}

static int inflight_alloc(struct vring_inflight *rec)
{
	size_t n = rec->entries;

	rec->batch = calloc(n, sizeof(*rec->batch));
	rec->again = calloc(n, sizeof(*rec->again));
	if (!rec->batch || !rec->again)
		return -ENOMEM;
	if (!rec->is_packed)
		return 0;
	rec->next = calloc(n, sizeof(*rec->next));
	rec->last = calloc(n, sizeof(*rec->last));
	rec->num = calloc(n, sizeof(*rec->num));
	rec->descs = calloc(n, sizeof(*rec->descs));
	rec->entry_of = calloc(65536, sizeof(*rec->entry_of));
	return rec->next && rec->last && rec->num && rec->descs && rec->entry_of ? 0 : -ENOMEM;
}

int vring_inflight_open(struct vqdev *vq, const struct vqdev_record *where, struct error *err)
{
	struct vring_inflight *rec;
	uint16_t version;
	int rc;

	if (where->entries < vq->num)
		return error_set(err, -EINVAL,
				 "an in-flight record of %u entries is too small for a ring of %u",
				 where->entries, vq->num);
	rec = calloc(1, sizeof(*rec));
	if (!rec)
		return error_set(err, -ENOMEM, "no memory for an in-flight record");
	rec->is_packed = vq->is_packed;
	rec->entries = where->entries;
	if (rec->is_packed)
		rec->packed = where->at;
	else
		rec->split = where->at;
	rc = inflight_alloc(rec);
	if (rc) {
		error_set(err, rc, "no memory for an in-flight record");
		goto close;
	}
	version = rec->is_packed ? load_acquire(&rec->packed->heads.version)
				 : load_acquire(&rec->split->version);
	if (version == INFLIGHT_VERSION) {
		rec->resumed = true;
		rc = rec->is_packed ? vring_inflight_recover_packed(vq, rec, err)
				    : vring_inflight_recover_split(vq, rec, err);
		if (rc)
			goto close;
	} else if (version) {
		rc = error_set(err, -EINVAL, "an in-flight record of version %u", version);
		goto close;
	} else if (rec->is_packed) {
		inflight_fresh_packed(rec, vq);
	} else {
		inflight_fresh_split(rec, vq);
	}
	vq->rec = rec;
	return 0;
close:
	vring_inflight_close(rec);
	return rc;
}

void vring_inflight_close(struct vring_inflight *rec)
{
	if (!rec)
		return;
	free(rec->entry_of);
	free(rec->descs);
	free(rec->num);
	free(rec->last);
	free(rec->next);
	free(rec->again);
	free(rec->batch);
	free(rec);
}
