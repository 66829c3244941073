/* SPDX-License-Identifier: MIT */
#include "server/disk.h"

#include "backend/blk/options.h"

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
	struct storage_options so = disk_spec_storage(spec);
	unsigned queues, disks = server_offers(s, &queues), n_workers;
	struct worker *const *workers = server_workers(s, &n_workers);
	char path[32];
	struct virtio_blk_options bo;
	struct storage *storage;
	struct virtio_blk *blk;
	int rc;

	snprintf(path, sizeof(path), "disk%u", disks);
	bo = virtio_blk_options_from(spec, path);
	rc = storage_open(&so, &storage, err);
	if (rc)
		return rc;
	rc = virtio_blk_create(&blk, &bo, storage, server_home(s), workers, n_workers,
			       queues % n_workers, err);
	if (rc) {
		storage_close(&storage);
		return rc;
	}
	rc = server_add_vhost_user(s, &blk->vdev, &disk_ops, where, err);
	if (rc)
		virtio_blk_destroy(&blk);
	return rc;
}
