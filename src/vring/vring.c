/* SPDX-License-Identifier: MIT */
#include "vring/vring.h"

#include <errno.h>

uint64_t vring_desc_bytes(const struct vring_config *c)
{
	return vring_desc_size(c->num);
}

uint64_t vring_driver_bytes(const struct vring_config *c)
{
	return vring_driver_size(c->num, c->packed);
}

uint64_t vring_device_bytes(const struct vring_config *c)
{
	return vring_device_size(c->num, c->packed);
}

int vring_config_check(const struct vring_config *c)
{
	uint64_t driver_align = c->packed ? 4 : 2;

	if (!vring_num_ok(c->num, c->packed))
		return -EINVAL;
	if (c->desc.v % 16 || c->driver.v % driver_align || c->device.v % 4)
		return -EINVAL;
	return 0;
}
