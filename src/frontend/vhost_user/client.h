/* SPDX-License-Identifier: MIT */
/*
 * The vhost-user transport, the front end's half: a device behind a unix socket.
 *
 * The device's answers and its requests on the channel back are checked; whatever does not fit ends
 * the connection (channel.h).  Where the back end has no device status (protocol feature STATUS),
 * it is kept here: FEATURES_OK is SET_FEATURES, reset is stopping every ring and RESET_DEVICE where
 * that is offered.  No in-flight area is asked for: client_reconnect() starts with fresh rings, and
 * what was outstanding is put into them again by the driver above.
 *
 * Threads: as in transport.h.
 */
#ifndef FRONTEND_VHOST_USER_CLIENT_H
#define FRONTEND_VHOST_USER_CLIENT_H

#include "frontend/virtio/transport.h"

struct vhost_user_options {
	uint32_t timeout_ms; /* for each answer */
	bool no_mem_slots;   /* SET_MEM_TABLE although single regions are offered */
};

/* Connects to the socket at @path. The transport ends with ops->destroy. */
int vhost_user_connect(const char *path, const struct vhost_user_options *o, struct transport **out,
		       struct error *err);
/* The same over a connected socket, which is taken over, on failure too. */
int vhost_user_adopt(int fd, const struct vhost_user_options *o, struct transport **out,
		     struct error *err);

#endif
