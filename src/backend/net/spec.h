/* SPDX-License-Identifier: MIT */
/*
 * A network card as people write it: `--net user,hostfwd=tcp::8080-:80` or `tap=NAME,queues=2`,
 * in the manner of QEMU.
 *
 * Keys and values are split by commas; the first word says what the card is connected to.  What is
 * not understood is refused.
 */
#ifndef BACKEND_NET_SPEC_H
#define BACKEND_NET_SPEC_H

#include "backend/net/links.h"
#include "backend/net/virtio_net.h"

enum net_kind {
	NET_USER,
	NET_TAP,
	NET_SOCKET,
	NET_FD, /* a TAP interface or a socket, made by somebody else */
};

struct net_spec {
	enum net_kind kind;
	char target[109]; /* interface, path or @name; empty for NET_USER */
	int fd;
	bool has_mac;
	uint8_t mac[VIRTIO_NET_MAC_BYTES];
	uint16_t queues; /* pairs */
	uint16_t queue_size;
	uint16_t mtu;
	uint32_t speed;
	bool packed, event_idx, mrg_rxbuf, restricted;
	struct net_forward forwards[NET_FORWARDS_MAX];
	unsigned n_forwards;
};

/* 0, or -EINVAL and a sentence. */
int net_spec_parse(const char *text, struct net_spec *spec, struct error *err);

/*
 * Opens the link that it names.  In a file of its own (open.c), which is part of the command only:
 * the library is not linked with libslirp.
 */
int net_spec_open(const struct net_spec *spec, struct net_link **link, struct error *err);

/*
 * @path stays the caller's.  A card without mac= gets an address of its own by kind, target and
 * @path, always the same.
 */
struct virtio_net_options net_spec_options(const struct net_spec *spec, const char *path);

/* For help texts. */
extern const char net_spec_help[];

#endif
