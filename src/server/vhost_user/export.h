/* SPDX-License-Identifier: MIT */
/*
 * A device on offer over vhost-user: one device, one socket, one front end at a time.
 *
 * Threads: control thread.
 */
#ifndef SERVER_VHOST_USER_EXPORT_H
#define SERVER_VHOST_USER_EXPORT_H

#include "server/socket/door.h"
#include "server/vhost_user/connection.h"

struct vhost_user_export {
	struct socket_door door;
	struct vhost_user_connection connection;
	/* socket_door_ops.over(), for the export. */
	void (*stopped)(struct vhost_user_export *e);
	char name[64]; /* of the device, for messages */
};

/*
 * @vdev has been initialised with @home as its control reactor; it stays the caller's and must
 * outlive the export.  Front ends are served from the reactor's next turn on.
 */
int vhost_user_export_init(struct vhost_user_export *e, struct virtio_device *vdev,
			   const struct socket_place *where, struct reactor *home,
			   void (*stopped)(struct vhost_user_export *e), struct error *err);

/* Takes nobody new, unlinks the socket, drains and closes what is served; then stopped() comes,
 * never from inside.  Once more is harmless. */
void vhost_user_export_stop(struct vhost_user_export *e);

/* After stopped() only. */
void vhost_user_export_fini(struct vhost_user_export *e);

/* What --print-capabilities prints (vhost-user back-end program conventions). */
const char *vhost_user_blk_capabilities(void);

#endif
