/* SPDX-License-Identifier: MIT */
/*
 * What the device may write to on behalf of chains in flight, so that it is marked in the map's log
 * when a chain is given back: by then it has been written, whether by us or by the kernel.
 *
 * All of a chain's writable bytes count as written: the device types need not know that there is a
 * log.  Memory is taken for each chain; this is for the time of a migration.
 */
#include "vring/device_walk.h"

#include <stdlib.h>

struct log_range {
	uint64_t gpa;
	uint32_t len;
};

/* Of one chain. */
struct log_note {
	uint32_t n, room;
	struct log_range at[];
};

struct vqdev_log {
	struct log_note *at_hand; /* of the chain that is being read */
	size_t ids;
	struct log_note *of[]; /* by id, of chains in flight; NULL: nothing is written for it */
};

int vqdev_log_open(struct vqdev *vq)
{
	size_t ids = vq->is_packed ? 65536 : vq->num;

	if (!vq->mem->log)
		return 0;
	vq->log = calloc(1, sizeof(*vq->log) + ids * sizeof(vq->log->of[0]));
	if (!vq->log)
		return -ENOMEM;
	vq->log->ids = ids;
	return 0;
}

void vqdev_log_close(struct vqdev *vq)
{
	if (!vq->log)
		return;
	free(vq->log->at_hand);
	for (size_t i = 0; i < vq->log->ids; i++)
		free(vq->log->of[i]);
	free(vq->log);
	vq->log = NULL;
}

void vqdev_log_begin(struct vqdev *vq)
{
	if (vq->log->at_hand)
		vq->log->at_hand->n = 0;
}

int vqdev_log_note(struct vqdev *vq, uint64_t gpa, uint32_t len)
{
	struct log_note *note = vq->log->at_hand;
	uint32_t room = note ? note->room : 0, n = note ? note->n : 0;

	if (n == room) {
		room = room ? 2 * room : 4;
		note = realloc(note, sizeof(*note) + room * sizeof(note->at[0]));
		if (!note)
			return -ENOMEM;
		vq->log->at_hand = note;
		note->n = n;
		note->room = room;
	}
	note->at[note->n++] = (struct log_range){gpa, len};
	return 0;
}

void vqdev_log_popped(struct vqdev *vq, uint16_t id)
{
	struct vqdev_log *log = vq->log;

	free(log->of[id]);
	log->of[id] = log->at_hand;
	log->at_hand = NULL;
}

void vqdev_log_pushed(struct vqdev *vq, uint16_t id)
{
	const struct log_note *note = vq->log->of[id];

	for (uint32_t i = 0; note && i < note->n; i++)
		gmem_wrote(vq->mem, gpa(note->at[i].gpa), note->at[i].len);
	vqdev_log_unpopped(vq, id);
}

void vqdev_log_unpopped(struct vqdev *vq, uint16_t id)
{
	free(vq->log->of[id]);
	vq->log->of[id] = NULL;
}
