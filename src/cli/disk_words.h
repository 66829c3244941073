/* SPDX-License-Identifier: MIT */
/*
 * --disk of `ringside pc`: words for the disk, as everywhere (storage/spec.h), and words for
 * the card that it is on.
 */
#ifndef CLI_DISK_WORDS_H
#define CLI_DISK_WORDS_H

#include "backend/virtio_pci/virtio_pci.h"
#include "storage/spec.h"

struct disk_words {
	struct disk_spec disk;
	struct virtio_pci_options board;
};

/*
 * Takes the words that speak of the card; the others, joined again, are the caller's to
 * free, on failure too.
 */
int card_words_parse(const char *text, struct virtio_pci_options *board, char **others,
		     struct error *err);

/* 0, or -EINVAL and a sentence; then there is nothing to fini. */
int disk_words_parse(const char *text, struct disk_words *words, struct error *err);
void disk_words_fini(struct disk_words *words);

/* For help texts, behind disk_spec_help. */
extern const char disk_words_help[];

#endif
