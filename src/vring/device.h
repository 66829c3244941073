/* SPDX-License-Identifier: MIT */
/*
 * The device half of a virtqueue: takes chains that the driver made available, gives them back as used (virtio 1.4, 2.7 and 2.8).
 *
 * Invariants: every guest-written field is fetched once, into a local, and checked before it is used; a chain walk is bounded; a head that is in
 * flight is not handed out again; push prepares, publish makes visible; once broken, a queue stays broken until it is initialised anew.
 *
 * Threads: one thread at a time owns a struct vqdev; the other side of the ring is the guest, at any time.
 */
#ifndef VRING_DEVICE_H
#define VRING_DEVICE_H

#include "vring/vring.h"

struct vqdev; /* the fields stand in device.h for the inlined hot path; they are nobody else's business */

/* What must come back in vqdev_push(): kept by the request while the chain is in flight. */
struct vq_ticket {
	uint16_t id;	/* head index (split) or buffer id (packed) */
	uint16_t slots; /* ring entries the chain takes             */
	uint16_t seq;	/* order of popping, for IN_ORDER           */
};

struct vq_chain {
	struct vq_ticket ticket;
	/* Caller's array, set before vqdev_pop(): the slices, first those the device reads, then those it writes. */
	struct iovec *iov;
	int iov_max;
	int readable; /* slices the device reads: iov[0 .. readable)                    */
	int writable; /* slices the device writes: iov[readable .. readable + writable) */
	uint64_t readable_len; /* bytes */
	uint64_t writable_len;
};

/**
 * vqdev_init() - start a queue
 * @mem: stays valid until vqdev_fini() or the next vqdev_remap()
 * @chain_max: longest chain (descriptors in all) that is believed; at least @config->num is allowed in any case
 *
 * Return: 0; -EINVAL for a bad size or alignment; -EFAULT when a ring area is not inside one region of @mem; -ENOMEM.
 */
int vqdev_init(struct vqdev *vq, const struct vring_config *config, const struct gmem *mem,
	       unsigned chain_max, struct error *err);
void vqdev_fini(struct vqdev *vq);

/* New memory map, same guest addresses, nothing in flight: 0, or -EFAULT and the queue is broken. */
int vqdev_remap(struct vqdev *vq, const struct gmem *mem);

/**
 * vqdev_pop() - take the next chain the driver has made available
 *
 * Return: 1 - a chain was taken and must be pushed exactly once; 0 - nothing is waiting; -EPROTO - the driver broke the
 * ring rules, vqdev_why() says which: the queue is broken; -E2BIG - @chain->iov_max is too small: the chain stays where it was.
 * Context: does not sleep or allocate.
 */
int vqdev_pop(struct vqdev *vq, struct vq_chain *chain);

/* Gives a chain back with @len bytes written; seen by the driver after vqdev_publish(). */
void vqdev_push(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len);
/* Makes everything pushed so far visible, with one store the driver can see. */
void vqdev_publish(struct vqdev *vq);
/* After publish: does the driver want to be told? Answers for everything published since it was last asked. */
bool vqdev_needs_interrupt(struct vqdev *vq);

/* Asks for silence; a kick may still come. */
void vqdev_kicks_off(struct vqdev *vq);
/* Asks for kicks from now on, looks again behind a full barrier; true: something is waiting already (kicks are off again). */
bool vqdev_kicks_on(struct vqdev *vq);
/* Whether a chain seems to wait; no side effect on the queue's state. */
bool vqdev_waiting(const struct vqdev *vq);

bool vqdev_broken(const struct vqdev *vq);
/* Why, in a few words ("next index out of range"); NULL while not broken. */
const char *vqdev_why(const struct vqdev *vq);
/* Declares the queue broken from outside (memory lost). @why is a literal. */
void vqdev_break(struct vqdev *vq, const char *why);
/* Chains popped and not yet pushed. */
unsigned vqdev_in_flight(const struct vqdev *vq);
/* Where the ring stands, as GET_VRING_BASE reports it. Nothing may be in flight. */
uint32_t vqdev_base(const struct vqdev *vq);

/* struct vqdev and the inlined fast paths follow. */

#endif
