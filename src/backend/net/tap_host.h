/* SPDX-License-Identifier: MIT */
/*
 * What the host knows of a TAP interface, and why one cannot be used.
 *
 * Nothing is told that may be another interface's: the descriptor can come from another network
 * namespace, where a name means something else, so an interface found by name counts only if it has
 * the descriptor's hardware address, too.  The speed is not told: the kernel makes it up.
 *
 * Threads: any.
 */
#ifndef BACKEND_NET_TAP_HOST_H
#define BACKEND_NET_TAP_HOST_H

#include "base/error.h"
#include "wire/virtio_net.h"

#include <stdbool.h>

struct tap_facts {
	uint16_t mtu; /* 0: not known */
	bool has_mac;
	uint8_t mac[VIRTIO_NET_MAC_BYTES]; /* of the host's end */
};

/* Of the interface behind a descriptor. */
struct tap_facts tap_host_facts(int fd);

/*
 * Why TUNSETIFF failed with @rc for the interface @name and so many pairs: in @err, with the
 * remedy.  Returns @rc.
 */
int tap_host_refusal(const char *name, unsigned pairs, int rc, struct error *err);

#endif
