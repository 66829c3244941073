/* SPDX-License-Identifier: MIT */
/*
 * Doing what requests ask: one struct blk_queue per running queue, worker thread only.
 *
 * Invariant: every chain that was popped is pushed exactly once, whatever the storage says and
 * whenever. Nothing is allocated per request, but for a chain of more segments than any driver was
 * told it may send.
 *
 * Memory of a running queue is bounded, however large its ring and however long its chains: 1,024
 * requests in flight of 296 bytes; 32,768 slices of 16 bytes beside them and one chain more; room
 * for one chain.  That is 0.8 MiB with rings of up to 1,024 entries, 2 MiB with the largest ring.
 * It is taken as it is needed: an idle queue has a few pages.  At the bound nothing more is popped until
 * a request completes; what waits, waits in the ring, and costs nothing.
 */
#ifndef BACKEND_BLK_PERFORM_H
#define BACKEND_BLK_PERFORM_H

#include "backend/blk/virtio_blk.h"

int blk_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err);
void blk_queue_stop(struct virtio_device *vdev, struct virtio_queue *q);
/* What the storage's layers keep back is kept back no longer. */
void blk_queue_let_go(struct virtio_device *vdev, struct virtio_queue *q);
int blk_queue_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget);

#endif
