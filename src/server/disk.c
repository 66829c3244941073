/* SPDX-License-Identifier: MIT */
#include "server/disk.h"

#include "server/offer_vhost_user.h"

#include <stdio.h>

static void disk_tick(struct virtio_device *vdev)
{
	virtio_blk_refresh(container_of(vdev, struct virtio_blk, vdev));
}

static void disk_destroy(struct virtio_device *vdev)
{
	struct virtio_blk *blk = container_of(vdev, struct virtio_blk, vdev);

	virtio_blk_destroy(&blk);
}

static const struct server_device_ops disk_ops = {
	.tick = disk_tick,
	.destroy = disk_destroy,
};

int server_add_disk(struct server *s, const struct disk_spec *spec,
		    const struct socket_place *where, struct error *err)
{
	struct virtio_blk *blk;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "disk%u", server_offers(s));
	rc = disk_from_spec(server_room(s), spec, name, &blk, err);
	if (rc)
		return rc;
	rc = server_add_vhost_user(s, &blk->vdev, &disk_ops, where, err);
	if (rc)
		virtio_blk_destroy(&blk);
	return rc;
}
