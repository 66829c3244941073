/* SPDX-License-Identifier: MIT */
/*
 * A device on offer over vhost-user.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_OFFER_VHOST_USER_H
#define SERVER_OFFER_VHOST_USER_H

#include "server/server.h"
#include "server/vhost_user/connection.h"

struct vhost_user_offer {
	struct server_offer base;
	struct virtio_device *vdev;
	struct vhost_user_connection connection;
};

/*
 * Offers @vdev on a vhost-user socket.  The device becomes the server's, and is destroyed by
 * server_destroy(), on success only.
 */
int server_add_vhost_user(struct server *s, struct virtio_device *vdev,
			  const struct socket_place *where, struct error *err);

/* NULL: it speaks another protocol. */
const struct vhost_user_offer *vhost_user_offer_of(const struct server_offer *o);

#endif
