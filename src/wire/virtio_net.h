/* SPDX-License-Identifier: MIT */
/*
 * The network device: feature bits, config space, the header of each frame, control
 * commands (virtio 1.4, 5.1).
 */
#ifndef WIRE_VIRTIO_NET_H
#define WIRE_VIRTIO_NET_H

#include "base/endian.h"

#include <stddef.h>

/* 5.1.3; numbers, not masks */
#define VIRTIO_NET_F_CSUM		 0
#define VIRTIO_NET_F_GUEST_CSUM		 1
#define VIRTIO_NET_F_CTRL_GUEST_OFFLOADS 2
#define VIRTIO_NET_F_MTU		 3
#define VIRTIO_NET_F_MAC		 5
#define VIRTIO_NET_F_GUEST_TSO4		 7
#define VIRTIO_NET_F_GUEST_TSO6		 8
#define VIRTIO_NET_F_GUEST_ECN		 9
#define VIRTIO_NET_F_GUEST_UFO		 10
#define VIRTIO_NET_F_HOST_TSO4		 11
#define VIRTIO_NET_F_HOST_TSO6		 12
#define VIRTIO_NET_F_HOST_ECN		 13
#define VIRTIO_NET_F_HOST_UFO		 14
#define VIRTIO_NET_F_MRG_RXBUF		 15
#define VIRTIO_NET_F_STATUS		 16
#define VIRTIO_NET_F_CTRL_VQ		 17
#define VIRTIO_NET_F_CTRL_RX		 18
#define VIRTIO_NET_F_CTRL_VLAN		 19
#define VIRTIO_NET_F_CTRL_RX_EXTRA	 20
#define VIRTIO_NET_F_GUEST_ANNOUNCE	 21
#define VIRTIO_NET_F_MQ			 22
#define VIRTIO_NET_F_CTRL_MAC_ADDR	 23
#define VIRTIO_NET_F_GUEST_USO4		 54
#define VIRTIO_NET_F_GUEST_USO6		 55
#define VIRTIO_NET_F_HOST_USO		 56
#define VIRTIO_NET_F_HASH_REPORT	 57
#define VIRTIO_NET_F_GUEST_HDRLEN	 59
#define VIRTIO_NET_F_RSS		 60
#define VIRTIO_NET_F_RSC_EXT		 61
#define VIRTIO_NET_F_STANDBY		 62
#define VIRTIO_NET_F_SPEED_DUPLEX	 63

#define VIRTIO_NET_MAC_BYTES		 6

/* 5.1.4; what stands behind duplex belongs to features that nobody here offers. */
struct virtio_net_config {
	uint8_t mac[VIRTIO_NET_MAC_BYTES];
	le16 status;
	le16 max_virtqueue_pairs;
	le16 mtu;
	le32 speed; /* Mbit/s */
	uint8_t duplex;
	uint8_t rss_max_key_size;
	le16 rss_max_indirection_table_length;
	le32 supported_hash_types;
};
_Static_assert(sizeof(struct virtio_net_config) == 24, "virtio 1.4, 5.1.4");
_Static_assert(offsetof(struct virtio_net_config, max_virtqueue_pairs) == 8, "virtio 1.4, 5.1.4");
_Static_assert(offsetof(struct virtio_net_config, speed) == 12, "virtio 1.4, 5.1.4");
_Static_assert(offsetof(struct virtio_net_config, supported_hash_types) == 20, "virtio 1.4, 5.1.4");

#define VIRTIO_NET_S_LINK_UP	 1u
#define VIRTIO_NET_S_ANNOUNCE	 2u

#define VIRTIO_NET_PAIRS_MAX	 0x8000u
#define VIRTIO_NET_MTU_MIN	 68u
#define VIRTIO_NET_SPEED_MAX	 0x7fffffffu
#define VIRTIO_NET_SPEED_UNKNOWN 0xffffffffu
#define VIRTIO_NET_DUPLEX_FULL	 1u
#define VIRTIO_NET_DUPLEX_NONE	 0xffu

/* 5.1.6: in front of each frame. */
struct virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	le16 hdr_len;
	le16 gso_size;
	le16 csum_start;
	le16 csum_offset;
	le16 num_buffers; /* legacy without MRG_RXBUF: not there */
};
_Static_assert(sizeof(struct virtio_net_hdr) == 12, "virtio 1.4, 5.1.6");
_Static_assert(offsetof(struct virtio_net_hdr, csum_start) == 6, "virtio 1.4, 5.1.6");
#define VIRTIO_NET_HDR_LEGACY_BYTES 10u

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_F_DATA_VALID 2u
#define VIRTIO_NET_HDR_F_RSC_INFO   4u

#define VIRTIO_NET_HDR_GSO_NONE	    0u
#define VIRTIO_NET_HDR_GSO_TCPV4    1u
#define VIRTIO_NET_HDR_GSO_UDP	    3u
#define VIRTIO_NET_HDR_GSO_TCPV6    4u
#define VIRTIO_NET_HDR_GSO_UDP_L4   5u
#define VIRTIO_NET_HDR_GSO_ECN	    0x80u

/*
 * 5.1.6.5: the control queue; class and command, then the command's own data, and a
 * byte for the answer.
 */
struct virtio_net_ctrl {
	uint8_t class;
	uint8_t command;
};
_Static_assert(sizeof(struct virtio_net_ctrl) == 2, "virtio 1.4, 5.1.6.5");

#define VIRTIO_NET_OK			   0
#define VIRTIO_NET_ERR			   1

#define VIRTIO_NET_CTRL_RX		   0
#define VIRTIO_NET_CTRL_RX_PROMISC	   0
#define VIRTIO_NET_CTRL_RX_ALLMULTI	   1
#define VIRTIO_NET_CTRL_RX_ALLUNI	   2
#define VIRTIO_NET_CTRL_RX_NOMULTI	   3
#define VIRTIO_NET_CTRL_RX_NOUNI	   4
#define VIRTIO_NET_CTRL_RX_NOBCAST	   5
#define VIRTIO_NET_CTRL_MAC		   1
#define VIRTIO_NET_CTRL_MAC_TABLE_SET	   0
#define VIRTIO_NET_CTRL_MAC_ADDR_SET	   1
#define VIRTIO_NET_CTRL_VLAN		   2
#define VIRTIO_NET_CTRL_VLAN_ADD	   0
#define VIRTIO_NET_CTRL_VLAN_DEL	   1
#define VIRTIO_NET_CTRL_ANNOUNCE	   3
#define VIRTIO_NET_CTRL_ANNOUNCE_ACK	   0
#define VIRTIO_NET_CTRL_MQ		   4
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET	   0
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS	   5
#define VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET 0

#endif
