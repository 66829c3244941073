/* SPDX-License-Identifier: MIT */
/*
 * The header of a frame, checked: nothing that the other side wrote goes on to a link or to a
 * driver unless it holds for this frame.  Pure.
 *
 * virtio 1.4, 5.1.6.2 and 5.1.6.4.
 */
#ifndef BACKEND_NET_HEADER_H
#define BACKEND_NET_HEADER_H

#include "wire/virtio_net.h"

#include <stdbool.h>

/* What a frame on its way may leave to the other side. */
struct net_offloads {
	bool csum; /* its checksum */
	bool tso4, tso6, ecn, uso4, uso6;
};

/* On the way out, by what the driver has accepted; on the way in. */
struct net_offloads net_offloads_out(uint64_t features);
struct net_offloads net_offloads_in(uint64_t features);

/* Feature bits of struct net_offloads in each direction. */
uint64_t net_offload_bits_out(void);
uint64_t net_offload_bits_in(void);

/*
 * Makes a fresh header of the fields that count and hold for a frame of @len bytes; bits
 * nobody knows are left out.  -EINVAL: the frame cannot be as the header says, or needs
 * what was not agreed on.
 */
int net_header_check(struct virtio_net_hdr *h, const struct net_offloads *may, size_t len);

#endif
