/* SPDX-License-Identifier: MIT */
#include "server/offer_vfio_user.h"

#include "server/disk.h"

#include <errno.h>
#include <stdlib.h>

static struct vfio_user_offer *of(struct server_offer *o)
{
	return container_of(o, struct vfio_user_offer, base);
}

static struct virtio_device *offer_device(const struct server_offer *o)
{
	return vfio_user_offer_of(o)->connection.device.card->vdev;
}

static void offer_refresh(struct server_offer *o)
{
	backplane_refresh(&of(o)->connection.device.plane);
}

static int offer_serve(struct server_offer *o, int fd)
{
	return vfio_user_connection_serve(&of(o)->connection, fd);
}

static void offer_send_away(struct server_offer *o)
{
	vfio_user_connection_close(&of(o)->connection);
}

static void client_gone(struct vfio_user_connection *c)
{
	socket_door_free(&container_of(c, struct vfio_user_offer, connection)->base.door);
}

static void offer_destroy(struct server_offer *o)
{
	vfio_user_connection_fini(&of(o)->connection);
	free(of(o));
}

static const struct server_offer_ops offer_ops = {
	.protocol = "vfio-user",
	.device = offer_device,
	.refresh = offer_refresh,
	.serve = offer_serve,
	.send_away = offer_send_away,
	.destroy = offer_destroy,
};

const struct vfio_user_offer *vfio_user_offer_of(const struct server_offer *o)
{
	return o->ops == &offer_ops ? container_of(o, const struct vfio_user_offer, base) : NULL;
}

int server_add_vfio_user(struct server *s, struct virtio_device *vdev,
			 const struct virtio_pci_options *board, const struct socket_place *where,
			 struct error *err)
{
	struct vfio_user_offer *o = calloc(1, sizeof(*o));
	int rc;

	if (!o) {
		rc = error_set(err, -ENOMEM, "cannot offer %s", vdev->path);
		vdev->cls->destroy(vdev);
		return rc;
	}
	rc = vfio_user_connection_init(&o->connection, vdev, board, server_home(s), client_gone,
				       err);
	if (rc)
		goto free_it;
	rc = server_add_offer(s, &o->base, &offer_ops, vdev->path, where, err);
	if (!rc)
		return 0;
	vfio_user_connection_fini(&o->connection);
free_it:
	free(o);
	return rc;
}

int server_add_vfio_user_disk(struct server *s, const struct disk_spec *spec, const char *name,
			      const struct virtio_pci_options *board,
			      const struct socket_place *where, struct error *err)
{
	struct virtio_blk *blk;
	int rc = server_make_disk(s, spec, name, &blk, err);

	return rc ? rc : server_add_vfio_user(s, &blk->vdev, board, where, err);
}
