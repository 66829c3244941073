/* SPDX-License-Identifier: MIT */
#include "server/offer_vfio_user.h"

#include "server/disk.h"

#include <errno.h>
#include <stdlib.h>

static struct vfio_user_offer *of(struct server_offer *o)
{
	return container_of(o, struct vfio_user_offer, base);
}

static void offer_refresh(struct server_offer *o)
{
	backplane_refresh(&of(o)->export.connection.device.plane);
}

static void offer_stop(struct server_offer *o)
{
	vfio_user_export_stop(&of(o)->export);
}

static void offer_destroy(struct server_offer *o)
{
	vfio_user_export_fini(&of(o)->export);
	free(of(o));
}

static const struct server_offer_ops offer_ops = {
	.protocol = "vfio-user",
	.refresh = offer_refresh,
	.stop = offer_stop,
	.destroy = offer_destroy,
};

const struct vfio_user_offer *vfio_user_offer_of(const struct server_offer *o)
{
	return o->ops == &offer_ops ? container_of(o, const struct vfio_user_offer, base) : NULL;
}

static void offer_over(struct vfio_user_export *e)
{
	server_offer_over(&container_of(e, struct vfio_user_offer, export)->base);
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
	rc = vfio_user_export_init(&o->export, vdev, board, where, server_home(s), offer_over, err);
	if (rc) {
		free(o);
		return rc;
	}
	server_add_offer(s, &o->base, &offer_ops);
	return 0;
}

int server_add_vfio_user_disk(struct server *s, const struct disk_spec *spec,
			      const struct virtio_pci_options *board,
			      const struct socket_place *where, struct error *err)
{
	struct virtio_blk *blk;
	int rc = server_make_disk(s, spec, &blk, err);

	return rc ? rc : server_add_vfio_user(s, &blk->vdev, board, where, err);
}
