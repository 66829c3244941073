/* SPDX-License-Identifier: MIT */
/*
 * A device on offer over vfio-user, its PCI board and all: one device, one socket, one client at a
 * time.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_EXPORT_H
#define SERVER_VFIO_USER_EXPORT_H

#include "server/socket/door.h"
#include "server/vfio_user/connection.h"

struct vfio_user_export {
	struct socket_door door;
	struct vfio_user_connection connection;
	/* socket_door_ops.over(), for the export. */
	void (*stopped)(struct vfio_user_export *e);
	char name[64]; /* of the device, for messages */
};

/* Takes over @vdev, whose home is @home, on failure too. */
int vfio_user_export_init(struct vfio_user_export *e, struct virtio_device *vdev,
			  const struct virtio_pci_options *board, const struct socket_place *where,
			  struct reactor *home, void (*stopped)(struct vfio_user_export *e),
			  struct error *err);

/* Takes nobody new, unlinks the socket, resets the device and sends its client away; then stopped()
 * comes, never from inside.  Once more is harmless. */
void vfio_user_export_stop(struct vfio_user_export *e);

/* After stopped() only.  Destroys the device. */
void vfio_user_export_fini(struct vfio_user_export *e);

#endif
