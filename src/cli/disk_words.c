/* SPDX-License-Identifier: MIT */
#include "cli/disk_words.h"

#include "backend/virtio_pci/words.h"

int disk_words_parse(const char *text, struct disk_words *words, struct error *err)
{
	const struct words_for card = {&virtio_pci_words, &words->board};
	int rc;

	virtio_pci_words_begin(&words->board);
	rc = disk_spec_parse_as(DISK_VIRTIO, text, &card, &words->disk, err);
	if (rc)
		return rc;
	rc = virtio_pci_words_end(&words->board, err);
	if (rc)
		disk_spec_fini(&words->disk);
	return rc;
}

void disk_words_fini(struct disk_words *words)
{
	disk_spec_fini(&words->disk);
}
