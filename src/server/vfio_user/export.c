/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/export.h"

#include <stdio.h>
#include <string.h>

static struct vfio_user_export *export_of(struct socket_door *door)
{
	return container_of(door, struct vfio_user_export, door);
}

static int export_serve(struct socket_door *door, int fd)
{
	return vfio_user_connection_serve(&export_of(door)->connection, fd);
}

static void export_send_away(struct socket_door *door)
{
	vfio_user_connection_close(&export_of(door)->connection);
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

static void client_gone(struct vfio_user_connection *c)
{
	socket_door_free(&container_of(c, struct vfio_user_export, connection)->door);
}

int vfio_user_export_init(struct vfio_user_export *e, struct virtio_device *vdev,
			  const struct virtio_pci_options *board, const struct socket_place *where,
			  struct reactor *home, void (*stopped)(struct vfio_user_export *e),
			  struct error *err)
{
	int rc;

	memset(e, 0, sizeof(*e));
	snprintf(e->name, sizeof(e->name), "%s", vdev->path);
	e->stopped = stopped;
	rc = vfio_user_connection_init(&e->connection, e->name, vdev, board, home, client_gone,
				       err);
	if (rc)
		return rc;
	rc = socket_door_open(&e->door, &door_ops, e->name, where, home, err);
	if (rc)
		vfio_user_connection_fini(&e->connection);
	return rc;
}

void vfio_user_export_stop(struct vfio_user_export *e)
{
	socket_door_stop(&e->door);
}

void vfio_user_export_fini(struct vfio_user_export *e)
{
	vfio_user_connection_fini(&e->connection);
}
