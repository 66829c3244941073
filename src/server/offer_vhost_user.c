/* SPDX-License-Identifier: MIT */
#include "server/offer_vhost_user.h"

#include <errno.h>
#include <stdlib.h>

static struct vhost_user_offer *of(struct server_offer *o)
{
	return container_of(o, struct vhost_user_offer, base);
}

static struct virtio_device *offer_device(const struct server_offer *o)
{
	return vhost_user_offer_of(o)->vdev;
}

static void offer_refresh(struct server_offer *o)
{
	virtio_device_refresh(of(o)->vdev);
}

static int offer_serve(struct server_offer *o, int fd)
{
	return vhost_user_connection_serve(&of(o)->connection, fd);
}

static void offer_send_away(struct server_offer *o)
{
	vhost_user_connection_close(&of(o)->connection);
}

static void front_end_gone(struct vhost_user_connection *c)
{
	socket_door_free(&container_of(c, struct vhost_user_offer, connection)->base.door);
}

static void offer_destroy(struct server_offer *o)
{
	struct virtio_device *vdev = of(o)->vdev;

	vhost_user_connection_fini(&of(o)->connection);
	vdev->cls->destroy(vdev);
	free(of(o));
}

static const struct server_offer_ops offer_ops = {
	.protocol = "vhost-user",
	.device = offer_device,
	.refresh = offer_refresh,
	.serve = offer_serve,
	.send_away = offer_send_away,
	.destroy = offer_destroy,
};

const struct vhost_user_offer *vhost_user_offer_of(const struct server_offer *o)
{
	return o->ops == &offer_ops ? container_of(o, const struct vhost_user_offer, base) : NULL;
}

int server_add_vhost_user(struct server *s, struct virtio_device *vdev,
			  const struct socket_place *where, struct error *err)
{
	struct vhost_user_offer *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return error_set(err, -ENOMEM, "cannot offer %s", vdev->path);
	o->vdev = vdev;
	rc = vhost_user_connection_init(&o->connection, vdev, server_home(s), front_end_gone, err);
	if (rc)
		goto free_it;
	o->connection.any_memory = server_any_memory(s);
	rc = server_add_offer(s, &o->base, &offer_ops, vdev->path, where, err);
	if (!rc)
		return 0;
	vhost_user_connection_fini(&o->connection);
free_it:
	free(o);
	return rc;
}
