/* SPDX-License-Identifier: MIT */
/* The config space, read and written by the front end for its driver. */
#include "server/vhost_user/connection_priv.h"

#include <errno.h>
#include <string.h>

int vhost_user_get_config(struct vhost_user_connection *c, struct vhost_user_message *m,
			  struct error *err)
{
	struct virtio_device *vdev = vhost_user_device(c);
	struct vhost_user_config *config = &m->payload.config;
	uint32_t offset = config->offset, size = config->size, end;
	uint32_t have = (uint32_t)vdev->cls->config_size;

	(void)err;
	/* No payload says that it cannot be had. */
	if (!size || offset > VHOST_USER_CONFIG_MAX || size > VHOST_USER_CONFIG_MAX - offset) {
		m->header.size = 0;
		return VHOST_USER_ANSWER;
	}
	/* Front ends know different lengths of it; what lies behind ours is zero. */
	memset(config->data, 0, sizeof(config->data));
	end = offset + size < have ? offset + size : have;
	if (offset < end)
		virtio_device_config_read(vdev, offset, config->data, end - offset);
	m->header.size = VHOST_USER_CONFIG_HEADER + size;
	return VHOST_USER_ANSWER;
}

int vhost_user_set_config(struct vhost_user_connection *c, struct vhost_user_message *m,
			  struct error *err)
{
	const struct vhost_user_config *config = &m->payload.config;
	uint32_t there = m->header.size - VHOST_USER_CONFIG_HEADER;
	int rc;

	if (!config->size || config->size > there)
		return error_set(err, -EINVAL, "%u bytes are announced, %u came.", config->size,
				 there);
	rc = virtio_device_config_write(vhost_user_device(c), config->offset, config->data,
					config->size);
	/* A migrated front end brings the whole space along: the disk here knows better. */
	if (rc == -EPERM && config->flags)
		return 0;
	if (rc)
		return error_set(err, rc, "%u bytes at offset %u of the config space", config->size,
				 config->offset);
	return 0;
}
