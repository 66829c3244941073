/* SPDX-License-Identifier: MIT */
/*
 * The words of a virtio-pci card, whatever device is on it: what is written behind --disk and --net
 * of `ringside pc` besides the device's own words.
 */
#ifndef BACKEND_VIRTIO_PCI_WORDS_H
#define BACKEND_VIRTIO_PCI_WORDS_H

#include "backend/virtio_pci/virtio_pci.h"
#include "base/words.h"

/* Its fields are those of struct virtio_pci_options, between begin and end. */
extern const struct words_table virtio_pci_words;

void virtio_pci_words_begin(struct virtio_pci_options *o);
/* -EINVAL: words that do not go together. */
int virtio_pci_words_end(struct virtio_pci_options *o, struct error *err);

#endif
