/* SPDX-License-Identifier: MIT */
#include "backend/net/header.h"

#include "base/bits.h"

#include <errno.h>

#define ETHERNET_BYTES 14
#define TCP_BYTES      20
#define UDP_BYTES      8

static bool has(uint64_t features, unsigned bit)
{
	return features & BIT64(bit);
}

struct net_offloads net_offloads_out(uint64_t f)
{
	bool uso = has(f, VIRTIO_NET_F_HOST_USO);

	return (struct net_offloads){
		.csum = has(f, VIRTIO_NET_F_CSUM),
		.tso4 = has(f, VIRTIO_NET_F_HOST_TSO4),
		.tso6 = has(f, VIRTIO_NET_F_HOST_TSO6),
		.ecn = has(f, VIRTIO_NET_F_HOST_ECN),
		.uso4 = uso,
		.uso6 = uso,
	};
}

struct net_offloads net_offloads_in(uint64_t f)
{
	return (struct net_offloads){
		.csum = has(f, VIRTIO_NET_F_GUEST_CSUM),
		.tso4 = has(f, VIRTIO_NET_F_GUEST_TSO4),
		.tso6 = has(f, VIRTIO_NET_F_GUEST_TSO6),
		.ecn = has(f, VIRTIO_NET_F_GUEST_ECN),
		.uso4 = has(f, VIRTIO_NET_F_GUEST_USO4),
		.uso6 = has(f, VIRTIO_NET_F_GUEST_USO6),
	};
}

uint64_t net_offload_bits_out(void)
{
	return BIT64(VIRTIO_NET_F_CSUM) | BIT64(VIRTIO_NET_F_HOST_TSO4) |
	       BIT64(VIRTIO_NET_F_HOST_TSO6) | BIT64(VIRTIO_NET_F_HOST_ECN) |
	       BIT64(VIRTIO_NET_F_HOST_USO);
}

uint64_t net_offload_bits_in(void)
{
	return BIT64(VIRTIO_NET_F_GUEST_CSUM) | BIT64(VIRTIO_NET_F_GUEST_TSO4) |
	       BIT64(VIRTIO_NET_F_GUEST_TSO6) | BIT64(VIRTIO_NET_F_GUEST_ECN) |
	       BIT64(VIRTIO_NET_F_GUEST_USO4) | BIT64(VIRTIO_NET_F_GUEST_USO6);
}

/*
 * How long the transport header in front of the payload is at least; 0: this
 * kind was not agreed on.
 */
static unsigned gso_header(uint8_t type, const struct net_offloads *may)
{
	switch (type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return may->tso4 ? TCP_BYTES : 0;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return may->tso6 ? TCP_BYTES : 0;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return may->uso4 || may->uso6 ? UDP_BYTES : 0;
	default:
		return 0;
	}
}

int net_header_check(struct virtio_net_hdr *h, const struct net_offloads *may, size_t len)
{
	const struct virtio_net_hdr told = *h;
	uint8_t type = told.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	bool ecn = told.gso_type & VIRTIO_NET_HDR_GSO_ECN;
	size_t start = le16_get(told.csum_start), at = start + le16_get(told.csum_offset);
	size_t header = le16_get(told.hdr_len);
	unsigned transport;

	*h = (struct virtio_net_hdr){0};
	if (!(told.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		if (type != VIRTIO_NET_HDR_GSO_NONE)
			return -EINVAL;
		if (may->csum)
			h->flags = told.flags & VIRTIO_NET_HDR_F_DATA_VALID;
		return 0;
	}
	if (!may->csum || start < ETHERNET_BYTES || at + sizeof(uint16_t) > len)
		return -EINVAL;
	h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->csum_start = told.csum_start;
	h->csum_offset = told.csum_offset;
	if (type == VIRTIO_NET_HDR_GSO_NONE)
		return 0;
	transport = gso_header(type, may);
	if (!transport || start + transport >= len || !le16_get(told.gso_size) ||
	    (ecn && (!may->ecn || type == VIRTIO_NET_HDR_GSO_UDP_L4)))
		return -EINVAL;
	/* 5.1.6.2.2: a hint at most; it has to cover what it must and end with the frame. */
	header = max_u64(header, max_u64(start + transport, at + sizeof(uint16_t)));
	h->hdr_len = le16_make((uint16_t)min_u64(header, min_u64(len, UINT16_MAX)));
	h->gso_type = told.gso_type;
	h->gso_size = told.gso_size;
	return 0;
}
