/* SPDX-License-Identifier: MIT */
/*
 * A virtio device in one process, of whatever type: guest memory, the driver half of each ring,
 * kick and call eventfds, and workers for the device.  The test's thread is guest and control
 * thread at once.  rig.h puts a disk here, net_rig.h a network card:
 *
 *      dr_init()  (the device is created)    dr_attach()  dr_drive()
 *      dr_reset()  dr_detach()  (the device is destroyed)  dr_fini()
 */
#ifndef TESTS_PAIR_DEVICE_RIG_H
#define TESTS_PAIR_DEVICE_RIG_H

#include "backend/virtio/device.h"
#include "vring/driver.h"

#define DR_BASE	  UINT64_C(0x100000) /* where guest memory begins */
#define DR_QUEUES 16

struct dr_queue {
	struct vqdrv drv;
	struct vring_config config;
	void *state;
	int kick, call;
};

struct device_rig {
	struct reactor *home;
	struct worker *workers[DR_QUEUES];
	unsigned n_workers, n_queues;
	struct virtio_device *vdev;
	struct virtio_bus bus;
	struct gmem *mem;
	uint8_t *ram;
	uint64_t ram_size, used;
	uint16_t table_len; /* entries of an indirect table */
	struct dr_queue queues[DR_QUEUES];
	struct virtio_waiter waiter;
	bool waiter_done;
	unsigned config_changes, broken;
};

/* Memory of @ram bytes, the control thread's reactor and @workers workers. */
void dr_init(struct device_rig *d, const char *name, uint64_t ram, unsigned workers, bool uring);
/* Puts @vdev on the bus, with eventfds for @queues queues. */
void dr_attach(struct device_rig *d, struct virtio_device *vdev, unsigned queues);
/* Takes @features, DRIVER_OK; starts and enables all queues.  @base: dr_start_queue()'s. */
void dr_drive(struct device_rig *d, uint64_t features, uint16_t num, uint32_t base);
/* What a driver takes that takes @wanted (0: everything) of what is offered, but for @without. */
uint64_t dr_features(const struct virtio_device *vdev, uint64_t wanted, uint64_t without);
/* Makes a new ring for queue @i and starts it there, at @base; 0: the initial one. */
void dr_start_queue(struct device_rig *d, unsigned i, uint16_t num, uint32_t base);
/* Resets the device; what the waiter was told. */
int dr_reset(struct device_rig *d);
void dr_detach(struct device_rig *d);
void dr_fini(struct device_rig *d);

/* Guest memory: @bytes, zeroed, for good. */
uint64_t dr_alloc(struct device_rig *d, uint64_t bytes, uint64_t align);
void *dr_at(struct device_rig *d, uint64_t at);

/* Lets the control thread do what has come in. */
void dr_pump(struct device_rig *d);
/* A waiter for orders; dr_wait() runs the control thread until it is done and returns its rc. */
struct virtio_waiter *dr_waiter(struct device_rig *d);
int dr_wait(struct device_rig *d);

/* Adds a chain and kicks. */
void dr_add(struct device_rig *d, unsigned queue, const struct vqdrv_buf *bufs, unsigned readable,
	    unsigned writable, void *cookie);

#endif
