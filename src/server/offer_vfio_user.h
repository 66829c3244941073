/* SPDX-License-Identifier: MIT */
/*
 * A device on offer over vfio-user.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_OFFER_VFIO_USER_H
#define SERVER_OFFER_VFIO_USER_H

#include "disk/spec.h"
#include "server/server.h"
#include "server/vfio_user/connection.h"

struct vfio_user_offer {
	struct server_offer base;
	struct vfio_user_connection connection;
};

/* Takes over @vdev, on failure too. */
int server_add_vfio_user(struct server *s, struct virtio_device *vdev,
			 const struct virtio_pci_options *board, const struct socket_place *where,
			 struct error *err);

/* With server_make_disk(). */
int server_add_vfio_user_disk(struct server *s, const struct disk_spec *spec, const char *name,
			      const struct virtio_pci_options *board,
			      const struct socket_place *where, struct error *err);

/* NULL: it speaks another protocol. */
const struct vfio_user_offer *vfio_user_offer_of(const struct server_offer *o);

#endif
