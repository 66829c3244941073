/* SPDX-License-Identifier: MIT */
/*
 * A queue whose ring or buffers are in remote memory: moves the bytes of vring/remote.h's steps, one
 * after the other, on the queue's worker, by asking whoever stands behind the map.
 *
 * The device type and the rest of the queue do not notice: chains can be popped when they are there,
 * and count as in flight until the driver has them back.  "Nothing is in flight" (virtio_queue_stop()
 * and its like) includes that no byte is on its way and that nothing is left to be shown.
 *
 * Bytes that could not be moved break the queue: what was not fetched is never popped, so it is not
 * written to a disk, and what was not stored is never shown as used.
 *
 * Threads: the worker's.
 */
#ifndef BACKEND_VIRTIO_REMOTE_H
#define BACKEND_VIRTIO_REMOTE_H

#include <stdbool.h>

struct virtio_queue;
struct virtio_remote;

/* In a turn of a queue whose ring is not VQDEV_NEAR: what was done. */
unsigned virtio_remote_turn(struct virtio_queue *q);
/* Nothing more is to be popped: what was fetched in vain is put back. */
void virtio_remote_hush(struct virtio_queue *q);
/* Nothing is under way. */
bool virtio_remote_quiet(const struct virtio_queue *q);
/* Nothing is in flight; before the ring's end, or another map. */
void virtio_remote_end(struct virtio_queue *q);

#endif
