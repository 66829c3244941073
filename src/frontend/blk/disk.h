/* SPDX-License-Identifier: MIT */
/*
 * The virtio-blk driver: a disk with its queues, over any transport (virtio 1.4, 5.2).  What it
 * does is said in include/ringside/driver.h; this is the inside.
 *
 * A request's way:  submit -> [held, while the ring is full] -> ring -> reaped -> done
 *                         \-> failed (never shown to the device) ---------/
 *
 * Invariants: a request is in exactly one of the ring, the held list and the failed list until its
 * done is called; once a queue is broken or its device gone, nothing is taken back before the
 * device was reset or disconnected.
 */
#ifndef FRONTEND_BLK_DISK_H
#define FRONTEND_BLK_DISK_H

#include "frontend/virtio/vqueue.h"
#include "wire/virtio_blk.h"

#include <ringside/driver.h>

/* Open over a transport, which becomes the disk's, on failure too. */
int disk_open(struct transport *t, const struct ringside_options *o, struct ringside_disk **out,
	      struct error *err);

/* The caller's error as ours. */
static inline struct error *disk_error(struct ringside_error *err)
{
	_Static_assert(sizeof(struct error) == sizeof(struct ringside_error), "the same text");
	return (struct error *)(void *)err;
}

/* What stands in shared memory for each request in the ring. */
struct disk_slot {
	struct virtio_blk_req header;
	uint8_t status;
	uint8_t pad[7];
	uint8_t data[40]; /* GET_ID, GET_LIFETIME */
};
_Static_assert(sizeof(struct disk_slot) == 64, "one cache line each");

struct disk_slot_ranges {
	struct virtio_blk_range r[RINGSIDE_RANGES_MAX];
};

/* What is in a request, private to the driver. */
enum kind {
	KIND_READ,
	KIND_WRITE,
	KIND_FLUSH,
	KIND_RANGES,
	KIND_ID,
	KIND_LIFETIME,
	KIND_ZONE,
	KIND_REPORT,
	KIND_APPEND,
	KIND_RAW,
	KIND_CHAIN,
};

/*
 * Where the device writes a zone report; a queue of a zoned disk has DISK_REPORTS of them, and a
 * report for which none is free waits as for room in the ring.  It is decoded from here, so that
 * what the caller gets cannot change under him.
 */
struct disk_report {
	struct virtio_blk_zone_report header;
	struct virtio_blk_zone_descriptor zones[RINGSIDE_ZONES_MAX];
};
_Static_assert(sizeof(struct disk_report) == 4096, "one page each");
#define DISK_REPORTS 4

struct disk_list {
	struct ringside_request *head, *tail;
};

struct ringside_queue {
	struct vqueue vq;
	struct ringside_disk *disk;
	struct disk_slot *slots;
	struct disk_slot_ranges *ranges;
	struct disk_report *reports; /* NULL: not a zoned disk */
	uint16_t *free_slots;	     /* a stack */
	uint16_t n_free;
	uint8_t free_reports;	 /* a bit each */
	unsigned hint;		 /* where the last buffer lay */
	uint64_t shift;		 /* from an address of slots, ranges and reports to the device's */
	struct vqdrv_buf *bufs;	 /* num of them, to build a chain in */
	struct disk_list held;	 /* waiting for room */
	struct disk_list failed; /* waiting for the next poll only */
	unsigned pending;
	unsigned idle_polls;
	int sleeper; /* -1: none yet; wakes for calls and the loss of the connection */
	bool polling;
	uint64_t submitted, completed;
} __attribute__((aligned(128))); /* each its owner's: no line, nor its neighbour, in common */

struct disk_limits {
	/* Atomic: queues read it while the disk's thread may change it. */
	_Alignas(8) uint64_t sectors;
	/* What queues read of it changes only while they stand still. */
	struct ringside_info info;
};

struct ringside_disk {
	struct vdriver v;
	struct disk_limits limits;
	struct ringside_options options;
	/* Atomic. 0: requests flow; -ENODEV: the device has stopped answering for good. */
	int halt;
	bool started; /* queues are the device's: to be reset before anything is taken back */
	bool settled; /* features were agreed on once: they stay */
	uint16_t n_queues;
	struct ringside_queue *queues;
	void *shared;
};

/* config.c: features to accept, and the configuration after they were. */
int disk_want(struct ringside_disk *d, uint64_t *want, struct error *err);
/* Fills all of @i that the device tells. */
int disk_read_config(struct vdriver *v, struct ringside_info *i, uint16_t *num_queues,
		     struct error *err);

/* queue.c */
int disk_queue_init(struct ringside_queue *q, struct ringside_disk *d, uint16_t index, uint16_t num,
		    uint16_t table_len, uint8_t *shared, struct error *err);
void disk_queue_fini(struct ringside_queue *q);
uint64_t disk_queue_bytes(const struct vdriver *v, uint16_t num, uint16_t table_len);
/* A fresh ring with nothing in it. */
int disk_queue_start(struct ringside_queue *q, struct error *err);
/* Puts what is in the ring in front of what is held; the device has let go of it. */
void disk_queue_take_back(struct ringside_queue *q);
/* Completes all that is held or failed, the held with @result. */
void disk_queue_cancel(struct ringside_queue *q, int result);
void disk_queue_refill(struct ringside_queue *q);

/* For those who make requests. @rc: 0, or why it is not to be sent; it is completed in any case. */
void disk_queue_submit(struct ringside_queue *q, struct ringside_request *req, int rc);
/* Buffers that the device can reach, no more and none larger than it takes; their sum in @total. */
int disk_check_iovs(struct ringside_queue *q, const struct iovec *iov, unsigned n, size_t max,
		    uint64_t *total);
void disk_request_simple(struct ringside_request *req, enum kind kind, uint32_t type, void *out);

/* zones.c.  The device wrote @len bytes, its status among them; into the request's result. */
void disk_take_report(struct ringside_queue *q, struct ringside_request *req, uint32_t len);
void disk_take_append(struct ringside_queue *q, struct ringside_request *req, uint32_t len);

#endif
