/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk driver at the client's end of a rig: brings the board up by its registers, writes rings
 * and requests into the rig's memory by hand, and looks at what comes back.  It never asks for
 * anything that it does not wait for, so what it does is the same at any speed.
 *
 * Queue q's ring lies at DRV_RING(q); request i of a queue has its header, data and status where the
 * test puts them.
 */
#ifndef SERVER_VFIO_USER_DRIVER_TEST_H
#define SERVER_VFIO_USER_DRIVER_TEST_H

#include "server/vfio_user/rig_test.h"

#define DRV_QUEUES_MAX	 4
#define DRV_NUM		 64
#define DRV_REQUESTS_MAX (DRV_NUM / 3)

/* Three areas, each on a page of its own. */
#define DRV_RING(q)   (RIG_MEM_AT + UINT64_C(0x4000) * (q))
#define DRV_DRIVER(q) (DRV_RING(q) + 0x1000)
#define DRV_DEVICE(q) (DRV_RING(q) + 0x2000)
/* Free for headers, data and status bytes. */
#define DRV_DATA (RIG_MEM_AT + UINT64_C(0x20000))

struct drv_queue {
	uint16_t avail, used; /* split: indexes; packed: slots */
	bool avail_wrap, used_wrap;
	unsigned out; /* offered and not come back */
	bool busy[DRV_REQUESTS_MAX];
};

struct drv {
	struct rig *r;
	bool packed;
	unsigned n_queues;
	struct drv_queue q[DRV_QUEUES_MAX];
};

/* A request: where its parts are, as the device is told. */
struct drv_request {
	uint32_t type;
	uint64_t sector;
	uint64_t header, data, status;
	uint32_t len; /* of the data; 0: none */
};

/* The rig's memory at that address of the device's. */
void *drv_at(struct drv *d, uint64_t iova);
/* @features beside VERSION_1 (and RING_PACKED).  DRIVER_OK, the rings in the rig's memory. */
void drv_up(struct drv *d, struct rig *r, unsigned queues, bool packed, uint64_t features);
/* Up to and without DRIVER_OK. */
void drv_prepare(struct drv *d, struct rig *r, unsigned queues, bool packed, uint64_t features);
uint8_t drv_status(struct drv *d);
void drv_set_status(struct drv *d, uint8_t status);

/* Request @i, which is not busy, is made available; no kick. */
void drv_offer(struct drv *d, unsigned q, unsigned i, const struct drv_request *what);
void drv_kick(struct drv *d, unsigned q);
/* The next one that comes back, *len bytes written; -1: none does, the device needs a reset. */
int drv_wait(struct drv *d, unsigned q, uint32_t *len);
/* One that is there already, or -1. */
int drv_take(struct drv *d, unsigned q, uint32_t *len);
/*
 * Offers request 0 on queue 0, kicks and waits: its status byte; 255: the device needs a reset.
 */
int drv_do(struct drv *d, const struct drv_request *what);

#endif
