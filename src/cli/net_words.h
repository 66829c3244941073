/* SPDX-License-Identifier: MIT */
/*
 * --net of `ringside pc`: words for the network card (backend/net/spec.h) and for the
 * virtio-pci card that it is.
 */
#ifndef CLI_NET_WORDS_H
#define CLI_NET_WORDS_H

#include "backend/net/spec.h"
#include "backend/virtio_pci/virtio_pci.h"

struct net_words {
	struct net_spec net;
	struct virtio_pci_options board;
};

/* 0, or -EINVAL and a sentence. */
int net_words_parse(const char *text, struct net_words *words, struct error *err);

#endif
