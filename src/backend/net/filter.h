/* SPDX-License-Identifier: MIT */
/*
 * Which received frames a driver wants: modes, MAC table, VLANs (virtio 1.4, 5.1.6.5.1 to
 * 5.1.6.5.3).  Pure; plain data, to be copied.
 */
#ifndef BACKEND_NET_FILTER_H
#define BACKEND_NET_FILTER_H

#include "wire/virtio_net.h"

#include <stdbool.h>

/* Addresses of each kind that the table holds; with more, every frame of that kind passes. */
#define NET_FILTER_MACS	 64u
#define NET_FILTER_VLANS 4096u

struct net_macs {
	bool overflow;
	uint8_t n;
	uint8_t at[NET_FILTER_MACS][VIRTIO_NET_MAC_BYTES];
};

struct net_filter {
	bool promisc, allmulti, alluni, nomulti, nouni, nobcast;
	bool by_vlan; /* tagged frames pass only if their VLAN is in the table */
	struct net_macs unicast, multicast;
	uint64_t vlans[NET_FILTER_VLANS / 64];
};

/* A MAC address as a number: its first byte is the lowest. */
static inline uint64_t net_mac_number(const uint8_t mac[VIRTIO_NET_MAC_BYTES])
{
	uint64_t n = 0;

	for (unsigned i = 0; i < VIRTIO_NET_MAC_BYTES; i++)
		n |= (uint64_t)mac[i] << 8 * i;
	return n;
}

/* @frame is at least an Ethernet header. */
bool net_filter_accepts(const struct net_filter *f, uint64_t mac, const uint8_t *frame, size_t len);

#endif
