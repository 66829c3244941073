/* SPDX-License-Identifier: MIT */
#include "server/offer_vhost_user.h"

#include <errno.h>
#include <stdlib.h>

static struct vhost_user_offer *of(struct server_offer *o)
{
	return container_of(o, struct vhost_user_offer, base);
}

static void offer_refresh(struct server_offer *o)
{
	virtio_device_refresh(of(o)->vdev);
}

static void offer_stop(struct server_offer *o)
{
	vhost_user_export_stop(&of(o)->export);
}

static void offer_destroy(struct server_offer *o)
{
	struct virtio_device *vdev = of(o)->vdev;

	vhost_user_export_fini(&of(o)->export);
	vdev->cls->destroy(vdev);
	free(of(o));
}

static const struct server_offer_ops offer_ops = {
	.protocol = "vhost-user",
	.refresh = offer_refresh,
	.stop = offer_stop,
	.destroy = offer_destroy,
};

const struct vhost_user_offer *vhost_user_offer_of(const struct server_offer *o)
{
	return o->ops == &offer_ops ? container_of(o, const struct vhost_user_offer, base) : NULL;
}

static void offer_over(struct vhost_user_export *e)
{
	server_offer_over(&container_of(e, struct vhost_user_offer, export)->base);
}

int server_add_vhost_user(struct server *s, struct virtio_device *vdev,
			  const struct socket_place *where, struct error *err)
{
	struct vhost_user_offer *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return error_set(err, -ENOMEM, "cannot offer %s", vdev->path);
	o->vdev = vdev;
	rc = vhost_user_export_init(&o->export, vdev, where, server_home(s), offer_over, err);
	if (rc) {
		free(o);
		return rc;
	}
	o->export.connection.any_memory = server_any_memory(s);
	server_add_offer(s, &o->base, &offer_ops);
	return 0;
}
