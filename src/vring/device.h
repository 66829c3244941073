/* SPDX-License-Identifier: MIT */
/*
 * The device half of a virtqueue: takes chains that the driver made available, gives them back as
 * used (virtio 1.4, 2.7 and 2.8).
 *
 * Invariants: every guest-written field is fetched once, into a local, and checked before it is
 * used; a chain walk is bounded; a head that is in flight is not handed out again; push prepares,
 * publish makes visible; once broken, a queue stays broken until it is initialised anew.
 *
 * Barriers, each with its partner in the driver (here: driver_split.c, driver_packed.c; elsewhere:
 * any guest):
 *
 *   pop              acquires avail.idx or the head's flags
 *                    <- the driver's release of them in vqdrv_publish()
 *   publish          releases used.idx or the first used flags
 *                    -> the driver's acquire of them in vqdrv_reap()
 *   needs_interrupt  full barrier between publishing and reading what the driver asked for
 *                    <> the driver's, between asking and looking again (vqdrv_calls_on)
 *   kicks_on         full barrier between asking for kicks and looking again
 *                    <> the driver's, between publishing and reading (vqdrv_needs_kick)
 *
 * Of two sides that each write one thing and then read the other's, with full barriers between, at
 * least one sees the other's write: so either the sleeper sees the work or the worker sees that it
 * must wake the sleeper.
 *
 * Threads: one thread at a time owns a struct vqdev; the other side of the ring is the guest, at
 * any time.
 */
#ifndef VRING_DEVICE_H
#define VRING_DEVICE_H

#include "vring/vring.h"

struct vqdev; /* the fields stand in device.h for the inlined hot path; they are nobody else's
		 business */

/* What must come back in vqdev_push(): kept by the request while the chain is in flight. */
struct vq_ticket {
	uint16_t id;	/* head index (split, below num); buffer id (packed: any 16 bits, so index
			   nothing by it) */
	uint16_t slots; /* ring entries that a used entry for it advances: split 1, packed the
			   chain's length     */
	uint16_t seq;	/* place in the order of popping, for IN_ORDER   */
};

struct vq_chain {
	struct vq_ticket ticket;
	/* Caller's array, set before vqdev_pop(): the slices, first those the device reads, then
	 * those it writes. */
	struct iovec *iov;
	int iov_max;
	int readable;	       /* slices the device reads: iov[0 .. readable)                    */
	int writable;	       /* slices the device writes: iov[readable .. readable + writable) */
	uint64_t readable_len; /* bytes */
	uint64_t writable_len;
	uint32_t descs; /* descriptors read for it: what it cost to take */
	bool again;	/* of the record: it was in flight before; caller's false at the start */
};

/* A ring's areas in our memory. */
struct vqdev_areas {
	const void *desc; /* split: only read     */
	void *ring;	  /* packed: the same place */
	const void *driver;
	void *device;
};

/*
 * Where @mem has them, each in one piece and such that the device may use it as it has to: 0 or
 * -EFAULT.
 */
int vqdev_areas_find(const struct vring_config *config, const struct gmem *mem,
		     struct vqdev_areas *areas);

/**
 * vqdev_init() - start a queue, with kicks on
 * @config: its base says where; split: also where the used index goes on, so nothing may be in
 * flight there, which holds for a fresh ring and after a drained GET_VRING_BASE
 * @mem: stays valid until vqdev_fini() or the next vqdev_remap()
 *
 * Return: 0; -EINVAL for a bad size, alignment or base; -EFAULT when a ring area is not inside one
 * region of @mem that may be used so; -ENOMEM.
 */
int vqdev_init(struct vqdev *vq, const struct vring_config *config, const struct gmem *mem,
	       struct error *err);

/*
 * A part of vhost-user's in-flight region: inflight_bytes(@entries, packed) bytes at @at, aligned
 * to 64, zeroed when new.  Other processes may write there; they can break this queue only.
 */
struct vqdev_record {
	void *at;
	uint16_t entries; /* at least the ring's */
};

/**
 * vqdev_init_recorded() - the same, with a record of what is in flight kept from here on
 *
 * A record that was in use says where the ring goes on, whatever @config's base is; what was in
 * flight then is popped again, before anything new and in the same order.
 *
 * Return: as vqdev_init(); also -EINVAL when the record is too small or of another kind, and
 * -EPROTO when it is damaged, so that nobody can say what was in flight.
 */
int vqdev_init_recorded(struct vqdev *vq, const struct vring_config *config, const struct gmem *mem,
			const struct vqdev_record *record, struct error *err);
void vqdev_fini(struct vqdev *vq);

/*
 * New memory map, same guest addresses, nothing in flight.  Where it lacks the ring the queue finds
 * nothing to do until a further map has the ring again: machines take memory away and put it back in
 * other pieces while they run.  -ENOMEM: the queue is broken.
 */
int vqdev_remap(struct vqdev *vq, const struct gmem *mem);
/* Whether the map lacks the ring. */
bool vqdev_away(const struct vqdev *vq);

/**
 * vqdev_pop() - take the next chain the driver has made available
 *
 * Return: 1 - a chain was taken and must be pushed exactly once; 0 - nothing is waiting; -EPROTO -
 * the driver broke the ring rules, vqdev_why() says which: the queue is broken; -E2BIG -
 * @chain->iov_max is too small: the chain stays where it was; -EREMOTE - it is in remote memory, the
 * chain stays, too, and the queue has to go on as vring/remote.h says. Context: does not sleep or allocate.
 */
int vqdev_pop(struct vqdev *vq, struct vq_chain *chain);

/*
 * Gives a chain back with @len bytes written; seen by the driver after vqdev_publish().  With
 * IN_ORDER it is held until those popped before it are given back.  On a broken queue it is only
 * counted: the ring is not touched any more.
 */
void vqdev_push(struct vqdev *vq, const struct vq_ticket *ticket, uint32_t len);
/*
 * Puts the chain that was popped last, and not put back, back: as if it had not been popped.  For a
 * queue without a record.
 */
void vqdev_unpop(struct vqdev *vq, const struct vq_ticket *ticket);
/* Makes everything pushed so far visible, with one store the driver can see. */
void vqdev_publish(struct vqdev *vq);
/*
 * After publish: does the driver want to be told? Answers for everything published since it was
 * last asked; false when that is nothing.  Broken: true if something was, without reading the ring.
 */
bool vqdev_needs_interrupt(struct vqdev *vq);

/* Asks for silence; a kick may still come. */
void vqdev_kicks_off(struct vqdev *vq);
/* Asks for kicks from now on, looks again behind a full barrier; true: something is waiting already
 * (kicks are off again). */
bool vqdev_kicks_on(struct vqdev *vq);
/* Whether a chain seems to wait; no side effect on the queue's state. */
bool vqdev_waiting(const struct vqdev *vq);

bool vqdev_broken(const struct vqdev *vq);
/* Why, in a few words ("next index out of range"); NULL while not broken. */
const char *vqdev_why(const struct vqdev *vq);
/* Declares the queue broken from outside (memory lost). @why is a literal. */
void vqdev_break(struct vqdev *vq, const char *why);
/* Chains popped and not yet pushed, and those to be popped again. */
unsigned vqdev_in_flight(const struct vqdev *vq);
/* Chains that the record had in flight and that have not been popped again yet. */
unsigned vqdev_again(const struct vqdev *vq);
/* The record was in use: what was published last may never have been told to the driver. */
bool vqdev_resumed(const struct vqdev *vq);
/* Where the ring stands, as GET_VRING_BASE reports it. Nothing may be in flight. */
uint32_t vqdev_base(const struct vqdev *vq);

/* ---- the inside: nobody else's business ---- */

/* IN_ORDER: one per chain popped, a circle in the order of popping. */
struct vqdev_held {
	uint32_t len;
	uint16_t id;
	uint16_t slots;
	bool done; /* pushed, and waiting for one popped before it */
};

/* How a queue reaches its memory. */
enum vqdev_reach {
	VQDEV_NEAR,    /* all of it is mapped                                   */
	VQDEV_LEAVING, /* a chain is remote: a mirror when nothing is in flight */
	VQDEV_REMOTE,  /* by a mirror: remote.h                                 */
};

struct vqdev {
	/* Fixed while the queue runs. */
	const struct gmem *mem;
	union {
		struct {
			const struct virtq_desc *desc;
			const struct virtq_avail *avail;
			const le16 *used_event;
			struct virtq_used *used;
			le16 *avail_event;
		} split;
		struct {
			struct pvirtq_desc *ring;
			const struct pvirtq_event *driver;
			struct pvirtq_event *device;
		} packed;
	};
	struct vring_config config;
	uint32_t chain_max;
	uint16_t num;
	bool is_packed, event_idx, indirect, in_order;
	uint8_t reach; /* enum vqdev_reach */
	bool special;  /* broken, or more is to be done for each chain than to fill in an entry */

	/* Where we are.  Split: avail and used are indexes that run freely; packed: slots, each
	 * with its lap's wrap counter. */
	bool avail_wrap, used_wrap;
	bool kicks;	      /* the driver has been asked to kick                             */
	bool batch;	      /* packed: a first entry's flags are held back                   */
	uint16_t avail;	      /* next to pop                                                   */
	uint16_t avail_seen;  /* split: avail.idx as last read                                 */
	uint16_t used;	      /* next to fill                                                  */
	uint16_t used_shown;  /* split: used.idx as last published                             */
	uint16_t batch_at;    /* packed: that first entry ...                                  */
	uint16_t batch_flags; /* ... and its flags                                             */
	uint32_t batch_slots; /* packed: slots passed by entries not yet published             */
	uint32_t passed;      /* published since needs_interrupt was last asked                */
	uint32_t slots_out;   /* packed: slots of chains popped whose used entry is not filled */
	uint32_t in_flight;   /* chains popped and not pushed                                  */
	const struct gmem_region *near; /* gmem_near() of @mem */
	struct gmem_hint hint, table_hint;
	const char *why; /* broken, and why */

	struct vqdev_log *log;	     /* NULL: the map has none: device_log.c */
	struct vring_inflight *rec;  /* NULL: no record is kept: device_record.c */
	struct vq_desc *noted;	     /* packed, with a record: the chain's descriptors as read */
	struct vqdev_remote *remote; /* NULL: not VQDEV_REMOTE: device_remote.c */
	bool *ids;		     /* by id: in flight */
	void *away; /* stands for the ring while the map lacks it, or it is remote */
	struct vqdev_held *held;
	uint16_t seq_pop, seq_push; /* IN_ORDER: next place to hand out, to complete */
};

/* Room for the slices of any chain that is believed, buffers across regions' borders included. */
static inline unsigned vqdev_slices_max(const struct vqdev *vq)
{
	return vq->chain_max + 64;
}

#endif
