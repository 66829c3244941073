/* SPDX-License-Identifier: MIT */
/* The words of an NBD disk, the same in a build without libnbd, and who has them. */
#ifndef STORAGE_NBD_WORDS_H
#define STORAGE_NBD_WORDS_H

#include "storage/engine.h"

#include <string.h>

static inline bool nbd_claims(const char *target)
{
	static const char *const schemes[] = {"nbd://", "nbds://", "nbd+unix://", "nbds+unix://"};

	for (unsigned i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (!strncmp(target, schemes[i], strlen(schemes[i])))
			return true;
	return false;
}

static const struct word nbd_words[] = {
	STORAGE_WORD_READONLY,
	STORAGE_WORD_DISCARD,
	{"nbd.reconnect", .kind = WORD_NUMBER, .max = 1000000, .sample = "SECONDS",
	 .help = "how long requests wait for a server that is away, then they fail; default 30",
	 WORD_FIELD(struct storage_options, nbd_reconnect)},
	{"nbd.timeout", .kind = WORD_NUMBER, .max = 1000000, .sample = "SECONDS",
	 .help = "a server that answers nothing for so long counts as gone; default 0: never",
	 WORD_FIELD(struct storage_options, nbd_timeout)},
};

#define NBD_WORDS WORDS_TABLE("nbd:", nbd_words)

#endif
