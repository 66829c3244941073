/* SPDX-License-Identifier: MIT */
#include "server/disk.h"

#include "server/offer_vhost_user.h"

#include <stdio.h>

int server_make_disk(struct server *s, const struct disk_spec *spec, struct virtio_blk **out,
		     struct error *err)
{
	char name[32];

	snprintf(name, sizeof(name), "disk%u", server_offers(s));
	return disk_from_spec(server_room(s), spec, name, out, err);
}

int server_add_disk(struct server *s, const struct disk_spec *spec,
		    const struct socket_place *where, struct error *err)
{
	struct virtio_blk *blk;
	int rc = server_make_disk(s, spec, &blk, err);

	if (rc)
		return rc;
	rc = server_add_vhost_user(s, &blk->vdev, where, err);
	if (rc)
		virtio_blk_destroy(&blk);
	return rc;
}
