/* SPDX-License-Identifier: MIT */
#include "cli/net_words.h"

#include "backend/virtio_pci/words.h"

#include <stdlib.h>

int net_words_parse(const char *text, struct net_words *words, struct error *err)
{
	const struct words_for card = {&virtio_pci_words, &words->board};
	char *rest;
	int rc;

	*words = (struct net_words){0};
	virtio_pci_words_begin(&words->board);
	rc = words_set_some(text, &card, &rest, err);
	if (!rc)
		rc = virtio_pci_words_end(&words->board, err);
	if (!rc)
		rc = net_spec_parse(rest, &words->net, err);
	free(rest);
	return rc;
}
