/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk, the device: a disk (struct storage) behind the virtio bus (virtio 1.4, 5.2).
 *
 *      request.c   what a chain asks for           pure
 *      perform.c   doing it and answering it       worker thread, one struct blk_queue per queue
 *      zones.c     the same for zoned disks        worker thread
 *      virtio_blk.c  features, config space, life  control thread
 *
 * Threads: control thread, unless a comment names the worker.
 */
#ifndef BACKEND_BLK_VIRTIO_BLK_H
#define BACKEND_BLK_VIRTIO_BLK_H

#include "backend/virtio/device.h"
#include "storage/storage.h"
#include "wire/virtio_blk.h"

#define BLK_QUEUES_MAX 256

/* Data segments in one request that the driver is told; fits a ring of 128 without indirect
 * descriptors. */
#define BLK_SEG_MAX 126

struct virtio_blk_options {
	const char *path;    /* name for messages: "disk0"                         */
	const char *serial;  /* what GET_ID answers, at most 20 bytes; NULL: empty */
	unsigned queues;     /* 1 .. BLK_QUEUES_MAX                                */
	unsigned queue_size; /* largest ring that is taken; 0: any                 */
	bool no_packed;	     /* do not offer packed rings                          */
	bool no_event_idx;   /* do not offer EVENT_IDX                             */
	bool write_through;  /* the cache mode at start; the driver may change it  */
};

struct virtio_blk {
	struct virtio_device vdev;
	struct storage *storage; /* ours from a successful create on */
	struct storage_watch watch;
	struct virtio_blk_config config;
	bool write_through_at_start;
	/*
	 * Atomic: workers read it with each write.  A driver that takes neither FLUSH nor CONFIG_WCE
	 * is served write-through whatever stands here, before the features above all: front ends
	 * read the mode then, and old drivers take no features at all.
	 */
	bool writeback;
	char serial[VIRTIO_BLK_ID_BYTES];
};

static inline struct virtio_blk *virtio_blk_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_blk, vdev);
}

/* Takes over @storage on success. */
int virtio_blk_create(struct virtio_blk **out, const struct virtio_blk_options *o,
		      struct storage *storage, struct reactor *home, struct worker *const *workers,
		      unsigned n_workers, unsigned first_worker, struct error *err);
/* All queues have stopped.  Closes the storage.  NULLs *blk. */
void virtio_blk_destroy(struct virtio_blk **blk);

/* Looks whether the image has a new size; if so the driver is told. */
void virtio_blk_refresh(struct virtio_blk *blk);

#endif
