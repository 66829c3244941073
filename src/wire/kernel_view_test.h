/* SPDX-License-Identifier: MIT */
/* What kernel_view_test.c found in the kernel's headers; both lists end in a NULL name. */
#ifndef WIRE_KERNEL_VIEW_TEST_H
#define WIRE_KERNEL_VIEW_TEST_H

#include <stddef.h>

/* What is compared; one list for both views. */
/* clang-format off */
#define KERNEL_BLK_FIELDS(X) \
	X(capacity) \
	X(size_max) \
	X(seg_max) \
	X(blk_size) \
	X(physical_block_exp) \
	X(alignment_offset) \
	X(min_io_size) \
	X(opt_io_size) \
	X(num_queues) \
	X(max_discard_sectors) \
	X(max_discard_seg) \
	X(discard_sector_alignment) \
	X(max_write_zeroes_sectors) \
	X(max_write_zeroes_seg) \
	X(write_zeroes_may_unmap) \
	X(max_secure_erase_sectors) \
	X(max_secure_erase_seg) \
	X(secure_erase_sector_alignment)

#define KERNEL_NET_FIELDS(X) \
	X(mac) \
	X(status) \
	X(max_virtqueue_pairs) \
	X(mtu) \
	X(speed) \
	X(duplex)

#define KERNEL_NUMBERS(X) \
	X(VIRTIO_NET_F_CSUM) \
	X(VIRTIO_NET_F_GUEST_CSUM) \
	X(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) \
	X(VIRTIO_NET_F_MTU) \
	X(VIRTIO_NET_F_MAC) \
	X(VIRTIO_NET_F_GUEST_TSO4) \
	X(VIRTIO_NET_F_GUEST_TSO6) \
	X(VIRTIO_NET_F_GUEST_ECN) \
	X(VIRTIO_NET_F_HOST_TSO4) \
	X(VIRTIO_NET_F_HOST_TSO6) \
	X(VIRTIO_NET_F_HOST_ECN) \
	X(VIRTIO_NET_F_MRG_RXBUF) \
	X(VIRTIO_NET_F_STATUS) \
	X(VIRTIO_NET_F_CTRL_VQ) \
	X(VIRTIO_NET_F_CTRL_RX) \
	X(VIRTIO_NET_F_CTRL_VLAN) \
	X(VIRTIO_NET_F_CTRL_RX_EXTRA) \
	X(VIRTIO_NET_F_GUEST_ANNOUNCE) \
	X(VIRTIO_NET_F_MQ) \
	X(VIRTIO_NET_F_CTRL_MAC_ADDR) \
	X(VIRTIO_NET_F_SPEED_DUPLEX) \
	X(VIRTIO_NET_S_LINK_UP) \
	X(VIRTIO_NET_S_ANNOUNCE) \
	X(VIRTIO_NET_HDR_F_NEEDS_CSUM) \
	X(VIRTIO_NET_HDR_F_DATA_VALID) \
	X(VIRTIO_NET_HDR_GSO_TCPV4) \
	X(VIRTIO_NET_HDR_GSO_TCPV6) \
	X(VIRTIO_NET_HDR_GSO_ECN) \
	X(VIRTIO_NET_CTRL_RX_PROMISC) \
	X(VIRTIO_NET_CTRL_RX_NOBCAST) \
	X(VIRTIO_NET_CTRL_MAC) \
	X(VIRTIO_NET_CTRL_MAC_ADDR_SET) \
	X(VIRTIO_NET_CTRL_VLAN) \
	X(VIRTIO_NET_CTRL_ANNOUNCE) \
	X(VIRTIO_NET_CTRL_MQ) \
	X(VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET) \
	X(VIRTIO_NET_CTRL_GUEST_OFFLOADS) \
	X(VIRTIO_ID_NET) \
	X(VIRTIO_ID_BLOCK) \
	X(VIRTIO_BLK_F_SIZE_MAX) \
	X(VIRTIO_BLK_F_SEG_MAX) \
	X(VIRTIO_BLK_F_GEOMETRY) \
	X(VIRTIO_BLK_F_RO) \
	X(VIRTIO_BLK_F_BLK_SIZE) \
	X(VIRTIO_BLK_F_TOPOLOGY) \
	X(VIRTIO_BLK_F_MQ) \
	X(VIRTIO_BLK_F_FLUSH) \
	X(VIRTIO_BLK_F_CONFIG_WCE) \
	X(VIRTIO_BLK_F_DISCARD) \
	X(VIRTIO_BLK_F_WRITE_ZEROES) \
	X(VIRTIO_BLK_F_SECURE_ERASE) \
	X(VIRTIO_BLK_T_IN) \
	X(VIRTIO_BLK_T_OUT) \
	X(VIRTIO_BLK_T_FLUSH) \
	X(VIRTIO_BLK_T_GET_ID) \
	X(VIRTIO_BLK_T_DISCARD) \
	X(VIRTIO_BLK_T_WRITE_ZEROES) \
	X(VIRTIO_BLK_T_SECURE_ERASE) \
	X(VIRTIO_BLK_S_OK) \
	X(VIRTIO_BLK_S_IOERR) \
	X(VIRTIO_BLK_S_UNSUPP) \
	X(VIRTIO_BLK_ID_BYTES) \
	X(VIRTIO_F_VERSION_1) \
	X(VIRTIO_F_RING_PACKED) \
	X(VIRTIO_F_ACCESS_PLATFORM) \
	X(VIRTIO_F_IN_ORDER) \
	X(VIRTIO_F_ORDER_PLATFORM) \
	X(VIRTIO_F_SR_IOV) \
	X(VIRTIO_F_RING_RESET) \
	X(VIRTIO_F_NOTIFY_ON_EMPTY) \
	X(VIRTIO_F_ANY_LAYOUT)
/* clang-format on */

struct kernel_field {
	const char *name;
	size_t offset, size;
};

struct kernel_number {
	const char *name;
	unsigned long value;
};

extern const struct kernel_field kernel_blk_fields[], kernel_net_fields[];
extern const struct kernel_number kernel_numbers[];

#endif
