/* SPDX-License-Identifier: MIT */
#include "server/disk.h"

#include "server/offer_vhost_user.h"

int server_make_disk(struct server *s, const struct disk_spec *spec, const char *name,
		     struct virtio_blk **out, struct error *err)
{
	char own[SERVER_NAME_MAX + 1];
	int rc;

	if (!name)
		name = server_free_name(s, "disk", own);
	rc = server_judge_name(s, name, err);
	return rc ? rc : disk_from_spec(server_room(s), spec, name, out, err);
}

int server_add_disk(struct server *s, const struct disk_spec *spec, const char *name,
		    const struct socket_place *where, struct error *err)
{
	struct virtio_blk *blk;
	int rc = server_make_disk(s, spec, name, &blk, err);

	if (rc)
		return rc;
	rc = server_add_vhost_user(s, &blk->vdev, where, err);
	if (rc)
		virtio_blk_destroy(&blk);
	return rc;
}
