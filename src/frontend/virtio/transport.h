/* SPDX-License-Identifier: MIT */
/*
 * What carries a virtio device to its driver: vhost-user, PCI, the same process.  The driver side
 * of the virtio bus (vdriver.h) knows no more of it than this table.
 *
 * Memory: a region has to be added before an address in it is shown to the device.  The
 * device knows a byte of it under the address that we know it under, unless the
 * transport has an address op.
 *
 * Threads: the owner's; only kick (a queue's owner) and alive (anybody) may be called by others.
 */
#ifndef FRONTEND_VIRTIO_TRANSPORT_H
#define FRONTEND_VIRTIO_TRANSPORT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct transport;

/* Memory that the device may reach. */
struct dma_region {
	void *host;
	size_t size; /* 0: an empty place in a list */
	int fd;	     /* host is a shared mapping of it; -1: where no fd is needed */
	uint64_t offset;
	bool ours;	/* from vdriver_mem_alloc()                                  */
	uint64_t shift; /* what the device adds to host; kept by vdriver.h */
};

struct transport_queue {
	uint16_t index;
	uint16_t num;
	bool packed;
	void *desc, *driver, *device;
	int call_fd; /* an event (os.h) that stays the caller's; -1: no calls */
};

#define TRANSPORT_EVENT_CONFIG 1u /* configuration changed                                   */
#define TRANSPORT_EVENT_STATUS 2u /* look at the status: NEEDS_RESET may be set               */
#define TRANSPORT_EVENT_GONE   4u /* the device is not there any more                         */

struct transport_ops {
	const char *name;
	int (*get_features)(struct transport *t, uint64_t *features, struct error *err);
	int (*set_features)(struct transport *t, uint64_t features, struct error *err);
	int (*get_status)(struct transport *t, uint8_t *status, struct error *err);
	/* Writing 0 asks for a reset; it is done once the status reads 0. */
	int (*set_status)(struct transport *t, uint8_t status, struct error *err);
	/* Optional: the device has none. Changes whenever two reads may not belong together. */
	int (*config_generation)(struct transport *t, uint32_t *generation, struct error *err);
	int (*config_read)(struct transport *t, uint32_t offset, void *buf, uint32_t len,
			   struct error *err);
	int (*config_write)(struct transport *t, uint32_t offset, const void *buf, uint32_t len,
			    struct error *err);
	/* 0 in *max: there is no such queue. */
	int (*queue_max)(struct transport *t, uint16_t index, uint16_t *max, struct error *err);
	int (*queue_setup)(struct transport *t, const struct transport_queue *q, struct error *err);
	int (*queue_enable)(struct transport *t, uint16_t index, struct error *err);
	/* Optional (RING_RESET): returns once the device has let go of the queue. */
	int (*queue_reset)(struct transport *t, uint16_t index, struct error *err);
	void (*kick)(struct transport *t, uint16_t index, uint32_t value);
	int (*mem_add)(struct transport *t, const struct dma_region *r, struct error *err);
	int (*mem_remove)(struct transport *t, const struct dma_region *r, struct error *err);
	/* Optional: the address under which the device knows a byte of memory that was added. */
	uint64_t (*address)(const struct transport *t, const void *host);
	/* Optional: readable when process has something to say. */
	int (*event_fd)(const struct transport *t);
	/* Optional. TRANSPORT_EVENT_* */
	unsigned (*process)(struct transport *t);
	/* Optional: whether the device is still there, and an fd that hangs up when it goes. */
	bool (*alive)(const struct transport *t);
	int (*hangup_fd)(const struct transport *t);
	/* Optional: finds the device again, memory is told to it anew; it is as after a reset. */
	int (*reconnect)(struct transport *t, struct error *err);
	/* Lets go of the device for good, before all is freed: it cannot reach memory any more. */
	void (*disconnect)(struct transport *t);
	void (*destroy)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
	uint64_t can;		/* of the feature bits 24 to 43 those it can carry             */
	uint64_t must;		/* of them those without which it cannot carry the device      */
	uint32_t regions_max;	/* dma regions at a time                                       */
	uint32_t reset_ms;	/* how long a reset may take                                   */
	uint32_t config_size;	/* bytes that the driver will look at; the driver sets it      */
	bool mem_while_running; /* regions may come and go while queues are enabled            */
	/*
	 * 0: virtio 1.  Else a legacy device: it knows neither VERSION_1 nor FEATURES_OK; each of
	 * its rings lies in one piece on a multiple of this, in a layout that goes with it (virtio
	 * 1.4, 2.7.2), and has as many entries as the device says.
	 */
	uint32_t legacy_align;
	/*
	 * A device that does not offer VERSION_1 can be driven all the same: the transport hides
	 * how a legacy one differs, but for FEATURES_OK, which it is not asked, and the feature
	 * bits from 32 on, which it does not know.
	 */
	bool takes_legacy;
	bool no_calls; /* call fds are never signalled: who waits has to look         */
};

#endif
