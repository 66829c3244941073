/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own headers, as numbers: their names are the same as ours, so the two cannot meet in
 * one file.
 */
#include "wire/kernel_view_test.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stddef.h>

#define FIELD(field)                                        \
	{#field, offsetof(struct virtio_blk_config, field), \
	 sizeof(((struct virtio_blk_config *)0)->field)},

const struct kernel_field kernel_blk_fields[] = {
	KERNEL_BLK_FIELDS(FIELD) /* each with its comma */
	{NULL, 0, 0},
};

#undef FIELD
#define FIELD(field)                                        \
	{#field, offsetof(struct virtio_net_config, field), \
	 sizeof(((struct virtio_net_config *)0)->field)},

const struct kernel_field kernel_net_fields[] = {
	KERNEL_NET_FIELDS(FIELD) /* each with its comma */
	{NULL, 0, 0},
};

#define NUMBER(name) {#name, name},

const struct kernel_number kernel_numbers[] = {
	KERNEL_NUMBERS(NUMBER) /* each with its comma */
	{NULL, 0},
};
