/* SPDX-License-Identifier: MIT */
/*
 * The inside of a queue: the orders that the control thread gives to its worker.
 *
 * Every queue has its orders from the beginning, one of each kind, so that giving one needs no
 * memory and cannot fail: memory that is taken back *is* taken back.  An order of a kind that is
 * under way already is parked behind it, and one parked before gives way to it: the last word
 * holds.  So what a queue can have under way is bounded, however long its worker stands still, and
 * whatever a peer sends meanwhile.
 *
 *      free --give--> under way --carried out--> back at the control thread --> free
 *                        |                          ^ |
 *                        +--give--> (one parked) ---+ +--> under way again, if one is parked
 *
 * What a worker lets go of (fds, maps) goes back with the order and is let go of by the control
 * thread: closing a peer's fd may take time that a worker does not have.
 */
#ifndef BACKEND_VIRTIO_QUEUE_PRIV_H
#define BACKEND_VIRTIO_QUEUE_PRIV_H

#include "backend/virtio/device.h"

enum virtio_order_kind {
	VIRTIO_ORDER_START,
	VIRTIO_ORDER_STOP,
	VIRTIO_ORDER_SET_ENABLED,
	VIRTIO_ORDER_SET_KICK,
	VIRTIO_ORDER_SET_CALL,
	VIRTIO_ORDER_SET_MEM,
	VIRTIO_ORDER_KICK,
	VIRTIO_ORDER_KINDS
};

/*
 * Each who waits has one place in an order, however often it asks, so this bounds those who wait at
 * all: a device's reset, the connection of a front end, or of a board the queue's start and its stop,
 * bus mastering and a new memory map.
 */
#define VIRTIO_ORDER_WAITERS 8

struct virtio_order_text {
	int fd; /* -1: none.  Carried out: the one to be closed */
	bool flag;
	struct gmem *mem; /* carried out: the one to be let go of */
	struct virtio_waiter *waiters[VIRTIO_ORDER_WAITERS];
	unsigned n_waiters;
};

struct virtio_order {
	struct reactor_msg msg; /* to the worker, and back */
	struct list link;	/* on q->orders while it waits for nothing in flight */
	struct virtio_orders *all;
	bool under_way; /* control thread */
	bool again;	/* control thread: @parked follows */
	int rc;
	struct virtio_order_text text, parked;
};

struct virtio_orders {
	struct virtio_queue *q; /* NULL: it has gone, the last order to come back frees this */
	struct virtio_order of[VIRTIO_ORDER_KINDS];
	/* Of the start: */
	struct vring_config config;
	struct gmem *record_mem;
	struct vqdev_record record;
	uint32_t life;
	struct error err;
};

/* 0 or -ENOMEM. */
int virtio_orders_create(struct virtio_queue *q);
/* Everything that was given has been carried out, though it may not have come back yet. */
void virtio_orders_release(struct virtio_queue *q);

/* Worker: carries out what waited until nothing is in flight, if that is so. */
void virtio_orders_run_quiet(struct virtio_queue *q);

/* Worker: tells the driver that used entries wait. */
void virtio_queue_interrupt(struct virtio_queue *q);

#endif
