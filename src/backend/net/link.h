/* SPDX-License-Identifier: MIT */
/*
 * A link: where a network device's frames go and come from.  A TAP interface, the user-mode stack
 * of libslirp, a socket to another machine; tests make their own.
 *
 * Sending never waits: what the link cannot take now is lost, as on a wire, and counted by the
 * device.  Receiving is asked for: the device takes a frame when it has looked for room, and a link
 * whose frames nobody takes holds a bounded number of them.
 *
 * Every frame goes with a struct virtio_net_hdr of 12 bytes.  Towards the link it has been checked
 * (header.h); from the link the device checks it.  A link that cannot do offloads offers no
 * features for them and sees headers of zeros.
 *
 * Threads: a pair's receive half belongs to the worker of its receive queue, its send half to that
 * of its transmit queue.  A link that is one_thread has all of them on one worker.  The rest is the
 * control thread's, except where a comment says otherwise.
 */
#ifndef BACKEND_NET_LINK_H
#define BACKEND_NET_LINK_H

#include "base/atomic.h"
#include "base/error.h"
#include "wire/virtio_net.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct reactor;
struct net_link;

/*
 * A frame without a checksum of its own: Ethernet header, a VLAN tag, 40 bytes of IPv6 header,
 * 65535 bytes (virtio 1.4, 5.1.6.3).
 */
#define NET_FRAME_MAX 65593u
#define NET_FRAME_MIN 14u

/* The device, as the link knows it. */
struct net_link_client {
	/*
	 * Frames may wait for @pair.  Its receive half's thread; from inside send, too, where
	 * both are one thread.
	 */
	void (*arrived)(struct net_link_client *client, unsigned pair);
	/* The cable was plugged in or pulled out.  Any thread. */
	void (*carrier)(struct net_link_client *client, bool up);
};

struct net_link_ops {
	const char *name;
	/* The receive half of @pair works on @r from now on; frames that wait already are told of. */
	int (*receive_start)(struct net_link *l, unsigned pair, struct reactor *r,
			     struct error *err);
	void (*receive_stop)(struct net_link *l, unsigned pair, struct reactor *r);
	/*
	 * The next frame, of at most @size bytes, and its header.  Returns its length; 0:
	 * none, arrived() comes with the next; -errno: one was lost (too long for @size, or
	 * the link is broken).
	 */
	ssize_t (*receive)(struct net_link *l, unsigned pair, struct virtio_net_hdr *hdr, void *buf,
			   size_t size);
	/* A frame of @len bytes in @n pieces.  0, or -errno: it is lost. */
	int (*send)(struct net_link *l, unsigned pair, const struct virtio_net_hdr *hdr,
		    const struct iovec *iov, int n, size_t len);
	/*
	 * Feature bits GUEST_* that received frames may make use of.  Control thread or the
	 * control queue's.  Optional.
	 */
	int (*set_offloads)(struct net_link *l, uint64_t features);
	/* Frames may come for the first @n pairs.  Control thread or the control queue's.  Optional. */
	int (*set_pairs)(struct net_link *l, unsigned n);
	/* Nothing is running any more. */
	void (*close)(struct net_link *l);
};

struct net_link {
	const struct net_link_ops *ops;
	struct net_link_client *client; /* set before the first receive_start */
	uint64_t offloads; /* feature bits that it can do: CSUM, GUEST_CSUM, HOST_*, GUEST_* */
	unsigned pairs;	   /* that it can tell apart */
	bool one_thread;
	/* It reads frames itself where others leave that to the kernel: it is given one piece, and no
	 * guest memory, which may go away under whoever reads it. */
	bool copies;
	uint16_t mtu; /* that the host's end has; 0: not known */
	bool has_mac;
	uint8_t mac
		[VIRTIO_NET_MAC_BYTES]; /* the host's end's own: the card must not have it, too */
	bool up;			/* atomic: has a carrier */
	uint64_t lost;			/* frames for the driver that found no place to wait */
};

/* NULLs *l; NULL is allowed. */
static inline void net_link_close(struct net_link **l)
{
	if (*l)
		(*l)->ops->close(*l);
	*l = NULL;
}

#endif
