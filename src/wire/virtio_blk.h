/* SPDX-License-Identifier: MIT */
/* The block device: feature bits, config space and requests (virtio 1.4, 5.2). */
#ifndef WIRE_VIRTIO_BLK_H
#define WIRE_VIRTIO_BLK_H

#include "base/endian.h"

#include <stddef.h>

#define VIRTIO_BLK_SECTOR 512u

/* 5.2.3; numbers, not masks */
#define VIRTIO_BLK_F_SIZE_MAX	  1
#define VIRTIO_BLK_F_SEG_MAX	  2
#define VIRTIO_BLK_F_GEOMETRY	  4
#define VIRTIO_BLK_F_RO		  5
#define VIRTIO_BLK_F_BLK_SIZE	  6
#define VIRTIO_BLK_F_FLUSH	  9
#define VIRTIO_BLK_F_TOPOLOGY	  10
#define VIRTIO_BLK_F_CONFIG_WCE	  11
#define VIRTIO_BLK_F_MQ		  12
#define VIRTIO_BLK_F_DISCARD	  13
#define VIRTIO_BLK_F_WRITE_ZEROES 14
#define VIRTIO_BLK_F_LIFETIME	  15
#define VIRTIO_BLK_F_SECURE_ERASE 16
#define VIRTIO_BLK_F_ZONED	  17

/* 5.2.4 */
struct virtio_blk_config {
	le64 capacity; /* 512-byte sectors */
	le32 size_max;
	le32 seg_max;
	le16 cylinders;
	uint8_t heads;
	uint8_t sectors;
	le32 blk_size;
	uint8_t physical_block_exp; /* of logical blocks */
	uint8_t alignment_offset;
	le16 min_io_size;
	le32 opt_io_size;
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
	le32 max_secure_erase_sectors;
	le32 max_secure_erase_seg;
	le32 secure_erase_sector_alignment;
	le32 zone_sectors;
	le32 max_open_zones;
	le32 max_active_zones;
	le32 max_append_sectors;
	le32 write_granularity;
	uint8_t zone_model;
	uint8_t unused2[3];
} __attribute__((packed, aligned(8)));
_Static_assert(sizeof(struct virtio_blk_config) == 96, "virtio 1.4, 5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, writeback) == 32, "virtio 1.4, 5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, write_zeroes_may_unmap) == 56,
	       "virtio 1.4, 5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, zone_model) == 92, "virtio 1.4, 5.2.4");

/* 5.2.6: request types */
#define VIRTIO_BLK_T_IN		  0u
#define VIRTIO_BLK_T_OUT	  1u
#define VIRTIO_BLK_T_FLUSH	  4u
#define VIRTIO_BLK_T_FLUSH_OUT	  5u /* legacy */
#define VIRTIO_BLK_T_GET_ID	  8u
#define VIRTIO_BLK_T_GET_LIFETIME 10u
#define VIRTIO_BLK_T_DISCARD	  11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u
#define VIRTIO_BLK_T_SECURE_ERASE 14u
/* ... with ZONED */
#define VIRTIO_BLK_T_ZONE_APPEND    15u
#define VIRTIO_BLK_T_ZONE_REPORT    16u
#define VIRTIO_BLK_T_ZONE_OPEN	    18u
#define VIRTIO_BLK_T_ZONE_CLOSE	    20u
#define VIRTIO_BLK_T_ZONE_FINISH    22u
#define VIRTIO_BLK_T_ZONE_RESET	    24u
#define VIRTIO_BLK_T_ZONE_RESET_ALL 26u

/* What stands in front of every request's data. */
struct virtio_blk_req {
	le32 type;
	le32 reserved;
	le64 sector;
};
_Static_assert(sizeof(struct virtio_blk_req) == 16, "virtio 1.4, 5.2.6");

/* One range of DISCARD, WRITE_ZEROES, SECURE_ERASE. */
struct virtio_blk_range {
	le64 sector;
	le32 num_sectors;
	le32 flags;
};
_Static_assert(sizeof(struct virtio_blk_range) == 16, "virtio 1.4, 5.2.6");
#define VIRTIO_BLK_RANGE_UNMAP 1u

/* What GET_LIFETIME answers. */
struct virtio_blk_lifetime {
	le16 pre_eol_info;
	le16 device_lifetime_est_typ_a;
	le16 device_lifetime_est_typ_b;
};
_Static_assert(sizeof(struct virtio_blk_lifetime) == 6, "virtio 1.4, 5.2.6");

#define VIRTIO_BLK_ID_BYTES 20

/* The status byte */
#define VIRTIO_BLK_S_OK	    0
#define VIRTIO_BLK_S_IOERR  1
#define VIRTIO_BLK_S_UNSUPP 2
/* ... with ZONED */
#define VIRTIO_BLK_S_ZONE_INVALID_CMD	  3
#define VIRTIO_BLK_S_ZONE_UNALIGNED_WP	  4
#define VIRTIO_BLK_S_ZONE_OPEN_RESOURCE	  5
#define VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE 6

/* zone_model */
#define VIRTIO_BLK_Z_NONE 0
#define VIRTIO_BLK_Z_HM	  1 /* host-managed */
#define VIRTIO_BLK_Z_HA	  2 /* host-aware */

/* What ZONE_REPORT brings: the header, then nr_zones descriptors. */
struct virtio_blk_zone_report {
	le64 nr_zones;
	uint8_t reserved[56];
};
_Static_assert(sizeof(struct virtio_blk_zone_report) == 64, "virtio 1.4, 5.2.6");

struct virtio_blk_zone_descriptor {
	le64 z_cap;
	le64 z_start;
	le64 z_wp; /* no meaning in NOT_WP, RDONLY, FULL and OFFLINE */
	uint8_t z_type;
	uint8_t z_state;
	uint8_t reserved[38];
};
_Static_assert(sizeof(struct virtio_blk_zone_descriptor) == 64, "virtio 1.4, 5.2.6");

#define VIRTIO_BLK_ZT_CONV    1 /* conventional */
#define VIRTIO_BLK_ZT_SWR     2 /* sequential write required */
#define VIRTIO_BLK_ZT_SWP     3 /* sequential write preferred */

#define VIRTIO_BLK_ZS_NOT_WP  0
#define VIRTIO_BLK_ZS_EMPTY   1
#define VIRTIO_BLK_ZS_IOPEN   2
#define VIRTIO_BLK_ZS_EOPEN   3
#define VIRTIO_BLK_ZS_CLOSED  4
#define VIRTIO_BLK_ZS_RDONLY  13
#define VIRTIO_BLK_ZS_FULL    14
#define VIRTIO_BLK_ZS_OFFLINE 15

#endif
