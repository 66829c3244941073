/* SPDX-License-Identifier: MIT */
/*
 * A queue of a virtio device: the ring's device half, the worker it belongs to, its kick and its
 * call.
 *
 *        control thread                    worker thread
 *      ---------------------------------------------------------------------------------
 *      virtio_queue_start()   ------->     ring set up; polled once without being kicked
 *      ... set_kick, set_call ------->     swapped between two turns
 *                                          turn: kicks off, pop, start, push, publish, one call
 *                                          idle: kicks on, look again, sleep
 *      ... set_mem, stop      ------->     no more popping; when nothing is in flight: done
 *      waiter's done()        <-------
 *
 * A queue belongs to exactly one worker from init to fini: no lock on the way of a request.  The
 * control thread tells the worker what to do by messages and learns the outcome by a message back;
 * it never waits.
 */
#ifndef BACKEND_VIRTIO_QUEUE_H
#define BACKEND_VIRTIO_QUEUE_H

#include "base/log.h"
#include "base/notifier.h"
#include "base/worker.h"
#include "vring/device.h"

struct virtio_device;

/*
 * Waits for any number of orders given to queues.  Zero @pending and set @done, hand it to as many
 * calls as wanted; when the last of them has been carried out @done comes on the control thread,
 * never from inside a call.  @rc is the first failure.
 */
struct virtio_waiter {
	unsigned pending;
	int rc;
	struct error err;
	void (*done)(struct virtio_waiter *waiter);
};

struct virtio_queue {
	struct virtio_device *vdev;
	unsigned index;
	struct worker *worker;
	struct reactor *reactor; /* the worker's */
	char path[80];

	/* Control thread: */
	bool started;	/* a start was ordered and no stop since */
	uint32_t lives; /* starts ordered so far */
	uint32_t base;	/* where it stopped, valid once stop is done */
	struct virtio_orders *own_orders;
	struct gmem *record_mem; /* for starts to come; NULL: no record is kept */
	struct vqdev_record record;

	/* Worker thread: */
	uint32_t life;	      /* which of the starts it runs since */
	uint32_t failed_life; /* atomic: the one that broke last */
	bool running;
	bool enabled;
	bool silenced;	      /* kicks are off                           */
	bool failed;	      /* broken, and the control thread was told */
	bool resting;	      /* the device type wants no kicks: virtio_queue_rest() */
	bool leaving;	      /* remote.h: quiet is waited for, to go on with a mirror */
	unsigned quiescing;   /* orders that wait for nothing in flight  */
	struct list orders;   /* those orders                            */
	unsigned pushed;      /* not yet published                       */
	uint64_t spent_bytes; /* in this turn: virtio_queue_spend()    */
	struct vqdev ring;
	struct virtio_remote *remote; /* NULL: all that was met so far is mapped */
	struct gmem *mem;
	struct gmem_guard guard;
	struct gmem *kept; /* the record's memory; NULL: none is kept */
	struct gmem_guard kept_guard;
	struct reactor_poller poller;
	struct reactor_watch kick;
	int kick_fd;
	struct notifier call;
	void *device; /* the device type's own, per queue */
	struct log_limit complaints;
	struct reactor_msg broken; /* to the control thread */

	/* Counters; written by the worker, read by anybody. */
	uint64_t kicks;
	uint64_t requests;
	uint64_t calls;
};

/* 0 or -ENOMEM. */
int virtio_queue_init(struct virtio_queue *q, struct virtio_device *vdev, unsigned index,
		      struct worker *worker);
/* Stopped, and nobody waits for an order.  Closes the fds it still has. */
void virtio_queue_fini(struct virtio_queue *q);

/*
 * Orders.  Giving one needs no memory: none can fail to be given, but for a start.  Of each kind
 * one is under way at a time; one more waits behind it and is replaced by the next, whose waiters
 * join.  @waiter may be NULL for "do not tell me".  fds are taken over; what the queue lets go of is
 * closed by the bus (bus.h).
 */

/*
 * Sets the ring up in @mem (a reference is taken) and polls it once; failures (bad size, address
 * outside memory) come in the waiter.  0; -EBUSY: a start is under way already.
 */
int virtio_queue_start(struct virtio_queue *q, const struct vring_config *config, struct gmem *mem,
		       struct virtio_waiter *waiter);
/*
 * From the next start on the queue keeps a record of what it has in flight (vring/device.h):
 * @record lies in @mem, to which a reference is taken.  A record that was in use is gone on from,
 * and the driver interrupted.  NULL, NULL: no record.
 */
void virtio_queue_set_record(struct virtio_queue *q, struct gmem *mem,
			     const struct vqdev_record *record);
/* Pops no more, waits for what is in flight; afterwards no byte of guest memory is touched and
 * q->base tells where it stands. */
void virtio_queue_stop(struct virtio_queue *q, struct virtio_waiter *waiter);
/* A disabled queue leaves its ring untouched; what is in flight is completed. */
void virtio_queue_set_enabled(struct virtio_queue *q, bool enabled, struct virtio_waiter *waiter);
/* -1: none (the ring is then polled only when virtio_queue_kick() says so). */
void virtio_queue_set_kick(struct virtio_queue *q, int fd, struct virtio_waiter *waiter);
/* The new fd is signalled once, since a call may have gone to the old one just before the swap. */
void virtio_queue_set_call(struct virtio_queue *q, int fd, struct virtio_waiter *waiter);
/* Waits until nothing is in flight, goes on in the new map. */
void virtio_queue_set_mem(struct virtio_queue *q, struct gmem *mem, struct virtio_waiter *waiter);
/* A kick that came by another way than the kick fd. */
void virtio_queue_kick(struct virtio_queue *q);

/* ---- for the device type, on the worker ---- */

/*
 * What a turn may cost, so that the other queues of the worker need not wait: bytes moved and
 * descriptors read, since one chain may have 4 GiB of the ones and 32,768 of the others; a descriptor
 * counts as much as so many bytes.  A queue that has spent them pops no more in this turn; the last
 * chain may go beyond.
 */
#define VIRTIO_TURN_BYTES (256u << 10)
#define VIRTIO_DESC_BYTES 256u

static inline void virtio_queue_spend(struct virtio_queue *q, const struct vq_chain *chain)
{
	q->spent_bytes += chain->readable_len + chain->writable_len +
			  (uint64_t)chain->descs * VIRTIO_DESC_BYTES;
}
static inline bool virtio_queue_spent(const struct virtio_queue *q)
{
	return q->spent_bytes >= VIRTIO_TURN_BYTES;
}

/* Gives a chain back; the driver sees it at the end of the turn. */
static inline void virtio_queue_push(struct virtio_queue *q, const struct vq_ticket *ticket,
				     uint32_t len)
{
	vqdev_push(&q->ring, ticket, len);
	q->pushed++;
	reactor_poller_activate(q->reactor, &q->poller);
}

/*
 * From inside process: what waits in the ring is for later, and kicks are not wanted.  process does
 * not come again before virtio_queue_wake() (or a kick that came all the same).
 */
static inline void virtio_queue_rest(struct virtio_queue *q)
{
	q->resting = true;
}
void virtio_queue_wake(struct virtio_queue *q);

#endif
