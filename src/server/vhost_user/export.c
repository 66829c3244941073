/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/export.h"

#include <stdio.h>
#include <string.h>

static struct vhost_user_export *export_of(struct socket_door *door)
{
	return container_of(door, struct vhost_user_export, door);
}

static int export_serve(struct socket_door *door, int fd)
{
	return vhost_user_connection_serve(&export_of(door)->connection, fd);
}

static void export_send_away(struct socket_door *door)
{
	vhost_user_connection_close(&export_of(door)->connection);
}

static void export_over(struct socket_door *door)
{
	export_of(door)->stopped(export_of(door));
}

static const struct socket_door_ops door_ops = {
	.serve = export_serve,
	.send_away = export_send_away,
	.over = export_over,
};

static void front_end_gone(struct vhost_user_connection *c)
{
	socket_door_free(&container_of(c, struct vhost_user_export, connection)->door);
}

int vhost_user_export_init(struct vhost_user_export *e, struct virtio_device *vdev,
			   const struct socket_place *where, struct reactor *home,
			   void (*stopped)(struct vhost_user_export *e), struct error *err)
{
	int rc;

	memset(e, 0, sizeof(*e));
	snprintf(e->name, sizeof(e->name), "%s", vdev->path);
	e->stopped = stopped;
	rc = vhost_user_connection_init(&e->connection, e->name, vdev, home, front_end_gone, err);
	if (rc)
		return rc;
	rc = socket_door_open(&e->door, &door_ops, e->name, where, home, err);
	if (rc)
		vhost_user_connection_fini(&e->connection);
	return rc;
}

void vhost_user_export_stop(struct vhost_user_export *e)
{
	socket_door_stop(&e->door);
}

void vhost_user_export_fini(struct vhost_user_export *e)
{
	vhost_user_connection_fini(&e->connection);
}

const char *vhost_user_blk_capabilities(void)
{
	return "{\n"
	       "  \"type\": \"block\",\n"
	       "  \"features\": [\"read-only\", \"blk-file\"]\n"
	       "}\n";
}
