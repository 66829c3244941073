/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own headers, as numbers: their names are the same as ours, so the two cannot meet in
 * one file.
 */
#include "wire/kernel_view_test.h"

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stddef.h>

#define FIELD(field)                                                   \
	{                                                              \
#field, offsetof(struct virtio_blk_config, field),     \
			sizeof(((struct virtio_blk_config *)0)->field) \
	}

const struct kernel_field kernel_blk_fields[] = {
	FIELD(capacity),
	FIELD(size_max),
	FIELD(seg_max),
	FIELD(blk_size),
	FIELD(physical_block_exp),
	FIELD(alignment_offset),
	FIELD(min_io_size),
	FIELD(opt_io_size),
	FIELD(num_queues),
	FIELD(max_discard_sectors),
	FIELD(max_discard_seg),
	FIELD(discard_sector_alignment),
	FIELD(max_write_zeroes_sectors),
	FIELD(max_write_zeroes_seg),
	FIELD(write_zeroes_may_unmap),
	FIELD(max_secure_erase_sectors),
	FIELD(max_secure_erase_seg),
	FIELD(secure_erase_sector_alignment),
	{NULL, 0, 0},
};

#define NUMBER(name)        \
	{                   \
#name, name \
	}

const struct kernel_number kernel_numbers[] = {
	NUMBER(VIRTIO_ID_NET),
	NUMBER(VIRTIO_ID_BLOCK),
	NUMBER(VIRTIO_BLK_F_SIZE_MAX),
	NUMBER(VIRTIO_BLK_F_SEG_MAX),
	NUMBER(VIRTIO_BLK_F_GEOMETRY),
	NUMBER(VIRTIO_BLK_F_RO),
	NUMBER(VIRTIO_BLK_F_BLK_SIZE),
	NUMBER(VIRTIO_BLK_F_TOPOLOGY),
	NUMBER(VIRTIO_BLK_F_MQ),
	NUMBER(VIRTIO_BLK_F_FLUSH),
	NUMBER(VIRTIO_BLK_F_CONFIG_WCE),
	NUMBER(VIRTIO_BLK_F_DISCARD),
	NUMBER(VIRTIO_BLK_F_WRITE_ZEROES),
	NUMBER(VIRTIO_BLK_F_SECURE_ERASE),
	NUMBER(VIRTIO_BLK_T_IN),
	NUMBER(VIRTIO_BLK_T_OUT),
	NUMBER(VIRTIO_BLK_T_FLUSH),
	NUMBER(VIRTIO_BLK_T_GET_ID),
	NUMBER(VIRTIO_BLK_T_DISCARD),
	NUMBER(VIRTIO_BLK_T_WRITE_ZEROES),
	NUMBER(VIRTIO_BLK_T_SECURE_ERASE),
	NUMBER(VIRTIO_BLK_S_OK),
	NUMBER(VIRTIO_BLK_S_IOERR),
	NUMBER(VIRTIO_BLK_S_UNSUPP),
	NUMBER(VIRTIO_BLK_ID_BYTES),
	NUMBER(VIRTIO_F_VERSION_1),
	NUMBER(VIRTIO_F_RING_PACKED),
	NUMBER(VIRTIO_F_ACCESS_PLATFORM),
	NUMBER(VIRTIO_F_IN_ORDER),
	NUMBER(VIRTIO_F_ORDER_PLATFORM),
	NUMBER(VIRTIO_F_SR_IOV),
	NUMBER(VIRTIO_F_RING_RESET),
	NUMBER(VIRTIO_F_NOTIFY_ON_EMPTY),
	NUMBER(VIRTIO_F_ANY_LAYOUT),
	{NULL, 0},
};
