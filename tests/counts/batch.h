/* SPDX-License-Identifier: MIT */
/* Reads of 4 KiB from a null disk, BATCH at a time, for what is counted per request. */
#ifndef TESTS_COUNTS_BATCH_H
#define TESTS_COUNTS_BATCH_H

#include "pair/rig.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 32

struct batch {
	struct rig rig;
	struct vqdrv_buf bufs[BATCH][3];
};

static inline struct vqdrv *batch_drv(struct batch *b)
{
	return &b->rig.dev.queues[0].drv;
}

static inline struct virtio_queue *batch_queue(struct batch *b)
{
	return &b->rig.blk->vdev.queues[0];
}

/* 0 or -errno. */
static inline int batch_init(struct batch *b, const struct rig_options *o)
{
	struct storage_options null = {.target = "null:64M"};
	struct storage *storage;
	int rc = storage_open(&null, &storage, NULL);

	if (rc)
		return rc;
	rig_init(&b->rig, storage, o);
	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t header = rig_alloc(&b->rig, 16, 16);
		uint64_t data = rig_alloc(&b->rig, 4096, 4096);
		const struct virtio_blk_req h = {le32_make(VIRTIO_BLK_T_IN), le32_make(0),
						 le64_make(i * 8)};

		memcpy(rig_at(&b->rig, header), &h, sizeof(h));
		b->bufs[i][0] = (struct vqdrv_buf){header, 16};
		b->bufs[i][1] = (struct vqdrv_buf){data, 4096};
		b->bufs[i][2] = (struct vqdrv_buf){rig_alloc(&b->rig, 1, 1), 1};
	}
	return 0;
}

/* Makes all available; true: the device wants a kick. */
static inline bool batch_submit(struct vqdrv *drv, struct batch *b)
{
	for (unsigned i = 0; i < BATCH; i++)
		if (vqdrv_add(drv, b->bufs[i], 1, 2, b->bufs[i]))
			abort();
	vqdrv_publish(drv);
	return vqdrv_needs_kick(drv);
}

/* How many have come back. */
static inline unsigned batch_reap(struct vqdrv *drv)
{
	unsigned n = 0;
	uint32_t len;
	void *cookie;

	while (vqdrv_reap(drv, &cookie, &len) > 0)
		n++;
	return n;
}

#endif
