/* SPDX-License-Identifier: MIT */
/*
 * A queue whose chains in flight are recorded: the only place where the device half and its record
 * meet.  A chain is recorded before it is handed out; what is published is noted around the one
 * store that shows it to the driver (inflight.h says why in this order).
 */
#include "vring/inflight.h"

#include <stdlib.h>

int vqdev_record_open(struct vqdev *vq, const struct vqdev_record *record, struct error *err)
{
	int rc;

	if (vq->is_packed) {
		vq->noted = calloc(vq->num, sizeof(*vq->noted));
		if (!vq->noted)
			return error_set(err, -ENOMEM, "no memory for an in-flight record");
	}
	rc = vring_inflight_open(vq, record, err);
	if (rc)
		vqdev_record_close(vq);
	return rc;
}

void vqdev_record_close(struct vqdev *vq)
{
	vring_inflight_close(vq->rec);
	free(vq->noted);
	vq->rec = NULL;
	vq->noted = NULL;
}

static int vqdev_recorded_pop_again(struct vqdev *vq, struct vq_chain *chain)
{
	struct vring_inflight *rec = vq->rec;
	uint16_t at = rec->again[rec->again_at];
	int rc = vq->is_packed ? vqdev_packed_pop_again(vq, chain, rec->descs, rec->next, at,
							rec->num[at])
			       : vqdev_split_pop_again(vq, chain, at);

	if (rc == 1)
		rec->again_at++;
	chain->again = true;
	return rc;
}

int vqdev_recorded_pop(struct vqdev *vq, struct vq_chain *chain)
{
	int rc;

	if (vring_inflight_again(vq->rec))
		return vqdev_recorded_pop_again(vq, chain);
	chain->again = false;
	rc = vq->is_packed ? vqdev_packed_pop_noting(vq, chain) : vqdev_split_pop(vq, chain);
	if (rc == 1)
		vring_inflight_take(vq->rec, chain->ticket.id, vq->noted, chain->ticket.slots);
	return rc;
}

void vqdev_recorded_filled(struct vqdev *vq, uint16_t id)
{
	vring_inflight_filled(vq->rec, id);
}

void vqdev_recorded_publish(struct vqdev *vq)
{
	vring_inflight_publishing(vq->rec, vq->used, vq->used_wrap);
	if (vq->is_packed)
		vqdev_packed_publish(vq);
	else
		vqdev_split_publish(vq);
	vring_inflight_published(vq->rec, vq->used, vq->used_wrap);
}

unsigned vqdev_again(const struct vqdev *vq)
{
	/* A broken queue pops nothing. */
	return vq->rec && !vq->why ? vring_inflight_again(vq->rec) : 0;
}

bool vqdev_resumed(const struct vqdev *vq)
{
	return vq->rec && vq->rec->resumed;
}
