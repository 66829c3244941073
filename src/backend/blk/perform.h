/* SPDX-License-Identifier: MIT */
/*
 * Doing what requests ask: one struct blk_queue per running queue, worker thread only.
 *
 * Invariant: every chain that was popped is pushed exactly once, whatever the storage says and
 * whenever. Nothing is allocated per request, but for a chain of more segments than any driver was
 * told it may send.
 */
#ifndef BACKEND_BLK_PERFORM_H
#define BACKEND_BLK_PERFORM_H

#include "backend/blk/virtio_blk.h"

int blk_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err);
void blk_queue_stop(struct virtio_device *vdev, struct virtio_queue *q);
int blk_queue_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget);

#endif
