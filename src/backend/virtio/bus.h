/* SPDX-License-Identifier: MIT */
/*
 * The virtio bus of a board: one slot, one device (the article's picture: virtio-blk-pci carries a
 * virtio bus, the bus carries virtio-blk).
 *
 * A transport (vhost-user, virtio-pci, vfio-user) embeds a struct virtio_bus and gives it its ops;
 * the device sees nothing of the transport but these.
 *
 * Threads: attach and detach on the control thread, while no queue runs.
 */
#ifndef BACKEND_VIRTIO_BUS_H
#define BACKEND_VIRTIO_BUS_H

#include "base/error.h"

#include <stdbool.h>

struct virtio_bus;
struct virtio_device;
struct virtio_queue;

struct virtio_bus_ops {
	/* A device sits down on the bus; a refusal leaves the slot empty.  Optional. */
	int (*plugged)(struct virtio_bus *bus, struct virtio_device *vdev, struct error *err);
	/* Tells the driver that used entries wait, where the queue has no call fd.  The queue's
	 * worker thread.  Optional. */
	void (*interrupt)(struct virtio_bus *bus, struct virtio_queue *q);
	/* The config space or the status changed: tell the driver.  Control thread.  Optional. */
	void (*config_changed)(struct virtio_bus *bus);
	/* The driver broke the rules on this queue, which has stopped.  Control thread, before
	 * config_changed.  Optional. */
	void (*queue_broken)(struct virtio_bus *bus, struct virtio_queue *q);
	/* A kick or call fd that a queue has let go of.  Control thread.  Optional: close(). */
	void (*close_fd)(struct virtio_bus *bus, int fd);
};

struct virtio_bus {
	const char *name; /* path of the board, for messages */
	const struct virtio_bus_ops *ops;
	bool takes_legacy;	     /* drivers that know no VERSION_1 are served too */
	bool foreign_fds;	     /* a peer holds the kick and call fds, too       */
	bool calls_at_start;	     /* a queue that starts to serve calls once         */
	struct virtio_device *child; /* NULL: the slot is empty */
};

int virtio_bus_attach(struct virtio_bus *bus, struct virtio_device *vdev, struct error *err);
/* Harmless when the slot is empty. */
void virtio_bus_detach(struct virtio_bus *bus);

#endif
