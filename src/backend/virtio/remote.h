/* SPDX-License-Identifier: MIT */
/*
 * A queue whose ring or buffers are in remote memory: moves the bytes of vring/remote.h's steps, one
 * after the other, on the queue's worker, by asking whoever stands behind the map.
 *
 * The device type and the rest of the queue do not notice: chains can be popped when they are there,
 * and count as in flight until the driver has them back.  "Nothing is in flight" (virtio_queue_stop()
 * and its like) includes that no byte is on its way and that nothing is left to be shown.
 *
 * A new map is followed at once while anything is in flight, since nothing of ours points into the old
 * one, and a client that takes memory back may not serve us before it is answered.  Where the new
 * map lacks the ring all waits for one that has it.
 *
 * Bytes that could not be moved break the queue: what was not fetched is never popped, so it is not
 * written to a disk, and what was not stored is never shown as used.
 *
 * Threads: the worker's.
 */
#ifndef BACKEND_VIRTIO_REMOTE_H
#define BACKEND_VIRTIO_REMOTE_H

#include <stdbool.h>

struct gmem;
struct virtio_queue;

/* In a turn of a queue whose ring is not VQDEV_NEAR: what was done. */
unsigned virtio_remote_turn(struct virtio_queue *q);
/* Nothing more is to be popped: what was fetched in vain is put back. */
void virtio_remote_hush(struct virtio_queue *q);
/* Nothing is under way. */
bool virtio_remote_quiet(const struct virtio_queue *q);
/*
 * Whether @mem need not wait until nothing is in flight ...  The map that it has already is given to a
 * queue to have it drain (backend/virtio_pci/status.c).
 */
bool virtio_remote_follows(const struct virtio_queue *q, const struct gmem *mem);
/* ... and then: it is the queue's from now on.  @mem: as q->mem. */
void virtio_remote_follow(struct virtio_queue *q, struct gmem *mem);
/* Nothing is in flight; before the ring's end, or another map. */
void virtio_remote_end(struct virtio_queue *q);

#endif
