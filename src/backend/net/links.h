/* SPDX-License-Identifier: MIT */
/* The links there are, and how each is opened. */
#ifndef BACKEND_NET_LINKS_H
#define BACKEND_NET_LINKS_H

#include "backend/net/link.h"

#include <netinet/in.h>

/* No cable: nothing comes and nothing goes. */
int net_none_open(struct net_link **out, unsigned pairs, struct error *err);

/*
 * A TAP interface of the host, which is made if it is not there and may be: @pairs file descriptors
 * for as many pairs.  Offloads as the kernel has them; the kernel steers flows to pairs.  One pair
 * does with an interface of many queues.  What the host knows of it, its MTU above all, is in the
 * link.
 */
int net_tap_open(struct net_link **out, const char *name, unsigned pairs, struct error *err);
/*
 * The same on a descriptor that somebody else has opened with IFF_VNET_HDR, for one pair.  Takes it
 * over on success, and makes it non-blocking.
 */
int net_tap_adopt(struct net_link **out, int fd, struct error *err);

/*
 * Another machine, over a UNIX socket that keeps messages apart (SOCK_SEQPACKET): one message, one
 * frame, without a header and with its checksums.  Who comes first at @path waits there, the other
 * connects; when one goes the link is down until somebody comes again.  What the other does not
 * take in time is lost.
 */
int net_socket_open(struct net_link **out, const char *path, struct error *err);
/* On a connected socket, taken over on success; down for good when the other side goes. */
int net_socket_adopt(struct net_link **out, int fd, struct error *err);

#define NET_FORWARDS_MAX 16

/* A port of the host that leads to one of the guest. */
struct net_forward {
	bool udp;
	struct in_addr host, guest;	/* guest 0: the address that DHCP gives first */
	uint16_t host_port, guest_port; /* host_port 0: a free one, which is told */
};

struct net_user_options {
	uint16_t mtu;	 /* 0: 1500 */
	bool restricted; /* no way out but to what is forwarded */
	const struct net_forward *forwards;
	unsigned n_forwards;
};

/*
 * TCP, UDP, DHCP and DNS by libslirp, as an unprivileged process can: the guest is behind 10.0.2.2,
 * which stands for the host.  IPv4 only.  -ENOTSUP: this program was built without libslirp.
 *
 * libslirp is used by one thread at a time: the one of the pair's queues.
 */
int net_user_open(struct net_link **out, const struct net_user_options *o, struct error *err);

#endif
