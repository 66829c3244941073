/* SPDX-License-Identifier: MIT */
/*
 * The device half where the ring, or a buffer, is in remote memory (mem/gmem.h): bytes are there when
 * somebody has fetched them, and are the driver's when somebody has taken them away.
 *
 * The queue works in a mirror: areas of our own that stand for the ring's, at which all the code for
 * split and packed rings looks as ever.  Chains are taken from the mirror ahead, get memory of their
 * own, and wait until their readable bytes are there: only then vqdev_pop() gives them out.  One that
 * is pushed stays in flight until its bytes are with the driver; then its used entry is filled in,
 * in the mirror, and the entry goes the same way, the index last.  So devices, and the order of
 * what a driver sees, are those of any queue, and no queue in mapped memory pays for it.
 *
 *      look   what the driver announces: split avail.idx, packed the next head's flags
 *      find   behind it, what that stands for: avail entries and descriptors, or the ring
 *      take   a chain, as if it were popped; an indirect table has to be fetched first
 *      fetch  its readable bytes; then it can be popped
 *      store  of one that was pushed, what the device wrote; then it is settled
 *      show   used entries, and behind them the index or the first one's flags
 *      event  behind these, whether the driver wants to be told
 *      ask    for kicks; and then look once more
 *
 * Here is what the bytes mean and which; backend/virtio/remote.c moves them, one step after the
 * other.  Each step's pieces are moved in their order: each is there before the next is begun.
 *
 * What a chain's device did not say to have written is not written: of the writable bytes those
 * that its length counts, and the last one, in which devices tell how it went (used.len is 0 for a
 * read that failed, docs/architecture.md).  Memory of a chain is zeroed: nothing of ours leaks.
 *
 * Where the ring is mapped and a buffer is remote, vqdev_pop() says -EREMOTE once, the queue
 * comes to rest, and goes on with a mirror.
 *
 * Threads: the queue's.
 */
#ifndef VRING_REMOTE_H
#define VRING_REMOTE_H

#include "base/list.h"
#include "vring/device.h"

/* Bytes to be moved, between the guest's memory and ours. */
struct vqdev_piece {
	uint64_t gpa;
	uint8_t *host;
	uint64_t len;
};

/* Bytes of all chains at hand; one more may be begun below it, of up to the second. */
#define VQDEV_REMOTE_HELD  (4u << 20)
#define VQDEV_REMOTE_CHAIN (64u << 20)

/* The most pieces that a step consists of, but for the chains'. */
#define VQDEV_REMOTE_PIECES 4

struct vqdev_remote_chain {
	struct list link;
	struct vq_ticket ticket;
	bool ready;   /* may be popped */
	bool dropped; /* nobody wants it any more; who moves its bytes frees it */
	uint32_t readable, writable, descs;
	uint64_t readable_len, writable_len;
	uint64_t bytes; /* of memory, for it */
	uint32_t len;	/* pushed: as its device said */
	uint8_t *memory;
	struct vqdev_piece pieces[]; /* readable ones, writable ones, and room for one more */
};

struct vqdev_remote {
	struct list taken;		   /* not popped yet, in order */
	struct list pushed;		   /* to be stored, in order  */
	struct vqdev_remote_chain **of;	   /* by id: popped and not pushed */
	uint64_t held;			   /* bytes of all chains */
	struct vqdev_remote_chain *moving; /* its bytes are on their way; set by who moves them */

	/* The mirror: vq->away. */
	struct vqdev_piece desc, driver, device;
	bool head; /* packed: the next head is available, and what it stands for is there */
	bool look; /* a look is due */
	bool asked;
	uint32_t asked_at; /* the place that was told with it */

	struct vqdev_piece table; /* wanted, or at hand (its len is 0: none) */
	bool table_here;
	uint64_t table_room;

	struct vqdev_piece *filled; /* used entries that the driver has not */
	uint32_t n_filled;

	struct iovec *scratch;
	unsigned scratch_max;
};

/* Whether the ring may lie there, in part remote; vqdev_areas_find() says where it is mapped. */
int vqdev_areas_check(const struct vring_config *config, const struct gmem *mem);

/* ---- modes; nothing is in flight ---- */

/* From now on with a mirror, which is empty.  -ENOMEM. */
int vqdev_remote_begin(struct vqdev *vq);
/*
 * Another map, whatever is in flight: chains have memory of their own.  0; -EFAULT: it lacks the ring;
 * -ENOMEM: the queue is broken.
 */
int vqdev_remote_follow(struct vqdev *vq, const struct gmem *mem);
/* The mirror goes; where the ring is then is the caller's. */
void vqdev_remote_end(struct vqdev *vq);

/* ---- steps: how many pieces, up to VQDEV_REMOTE_PIECES ---- */

unsigned vqdev_remote_look(struct vqdev *vq, struct vqdev_piece *p);
/* 0: nothing new is there. */
unsigned vqdev_remote_find(struct vqdev *vq, struct vqdev_piece *p);
/*
 * 1: a chain, on @taken; 0: none; -EAGAIN: vq->remote->table has to be fetched first, and
 * table_here be set; -EPROTO, -ENOMEM: the queue is broken.
 */
int vqdev_remote_take(struct vqdev *vq, struct vqdev_remote_chain **out);
/* What of a pushed chain goes to the driver; all 0 bytes are left out. */
unsigned vqdev_remote_stored(struct vqdev_remote_chain *c, struct vqdev_piece **p);
/* It is with the driver: fills in its used entry, and frees it. */
void vqdev_remote_settle(struct vqdev *vq, struct vqdev_remote_chain *c);
/* Behind vq->remote->filled; the entries count as shown. */
unsigned vqdev_remote_show(struct vqdev *vq, struct vqdev_piece *p);
unsigned vqdev_remote_event(struct vqdev *vq, struct vqdev_piece *p);
/* What they say. */
bool vqdev_remote_wanted(struct vqdev *vq);
/* 0: kicks are asked for as they should be. */
unsigned vqdev_remote_ask(struct vqdev *vq, struct vqdev_piece *p);

/* Chains that were taken and not popped are put back.  The one that is moving is not freed. */
void vqdev_remote_unwind(struct vqdev *vq);
/* The queue is broken: what was pushed is over. */
void vqdev_remote_drop(struct vqdev *vq);
void vqdev_remote_free(struct vqdev *vq, struct vqdev_remote_chain *c);

#endif
