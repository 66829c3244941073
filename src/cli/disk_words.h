/* SPDX-License-Identifier: MIT */
/*
 * --disk of `ringside pc`: words for the disk, as everywhere (disk/spec.h), and words for
 * the card that it is on.
 */
#ifndef CLI_DISK_WORDS_H
#define CLI_DISK_WORDS_H

#include "backend/virtio_pci/virtio_pci.h"
#include "disk/spec.h"

struct disk_words {
	struct disk_spec disk;
	struct virtio_pci_options board;
};

/* 0, or -EINVAL and a sentence; then there is nothing to fini. */
int disk_words_parse(const char *text, struct disk_words *words, struct error *err);
void disk_words_fini(struct disk_words *words);

#endif
