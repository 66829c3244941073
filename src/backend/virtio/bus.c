/* SPDX-License-Identifier: MIT */
#include "backend/virtio/bus.h"

#include "backend/virtio/device.h"

#include <errno.h>

int virtio_bus_attach(struct virtio_bus *bus, struct virtio_device *vdev, struct error *err)
{
	int rc;

	if (bus->child)
		return error_set(err, -EBUSY, "%s already holds a %s", bus->name,
				 bus->child->cls->name);
	if (vdev->bus)
		return error_set(err, -EBUSY, "%s already sits on %s", vdev->path, vdev->bus->name);
	/* What the bus gives the device while it is plugged in is given as of this bus. */
	vdev->bus = bus;
	if (bus->ops->plugged) {
		rc = bus->ops->plugged(bus, vdev, err);
		if (rc) {
			vdev->bus = NULL;
			return rc;
		}
	}
	bus->child = vdev;
	return 0;
}

void virtio_bus_detach(struct virtio_bus *bus)
{
	if (!bus->child)
		return;
	bus->child->bus = NULL;
	bus->child = NULL;
}
