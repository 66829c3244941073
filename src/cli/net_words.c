/* SPDX-License-Identifier: MIT */
#include "cli/net_words.h"

#include "cli/disk_words.h"

#include <stdlib.h>

int net_words_parse(const char *text, struct net_words *words, struct error *err)
{
	char *rest;
	int rc;

	*words = (struct net_words){0};
	rc = card_words_parse(text, &words->board, &rest, err);
	if (!rc)
		rc = net_spec_parse(rest, &words->net, err);
	free(rest);
	return rc;
}
