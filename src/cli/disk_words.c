/* SPDX-License-Identifier: MIT */
#include "cli/disk_words.h"

#include "base/bits.h"
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char disk_words_help[] =
	"  disable-legacy=on    the card has no legacy interface\n"
	"  disable-modern=on    the card has nothing else\n"
	"  ioeventfd=off        a guest's kick leaves to user space\n"
	"  irqfd=off            an interrupt is sent by a system call\n"
	"  vectors=N            MSI-X vectors, 0: none; default: one per queue and one more\n";

#define VECTORS_MAX 2048

static int take_switch(const char *key, const char *value, bool for_on, bool *out,
		       struct error *err)
{
	if (strcmp(value, "on") && strcmp(value, "off"))
		return error_set(err, -EINVAL, "%s=%s: say on or off.", key, value);
	*out = !strcmp(value, "on") == for_on;
	return 0;
}

static int take_vectors(const char *value, struct virtio_pci_options *board, struct error *err)
{
	uint64_t n;

	if (number_parse(value, 0, VECTORS_MAX, &n))
		return error_set(err, -EINVAL, "vectors=%s: give 0 to %d.", value, VECTORS_MAX);
	board->vectors = (unsigned)n;
	board->no_msix = !n;
	return 0;
}

/* 1: the word is the card's, and done; 0: it is not; or -EINVAL. */
static int take_word(const char *word, struct virtio_pci_options *board, struct error *err)
{
	const struct {
		const char *key;
		bool for_on;
		bool *out;
	} switches[] = {
		{"disable-legacy", true, &board->no_legacy},
		{"disable-modern", true, &board->no_modern},
		{"ioeventfd", false, &board->no_ioeventfd},
		{"irqfd", false, &board->no_irqfd},
	};
	const char *value = strchr(word, '=');
	size_t key = value ? (size_t)(value - word) : 0;
	int rc;

	if (!value)
		return 0;
	value++;
	if (key == strlen("vectors") && !strncmp(word, "vectors", key)) {
		rc = take_vectors(value, board, err);
		return rc ? rc : 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (key != strlen(switches[i].key) || strncmp(word, switches[i].key, key))
			continue;
		rc = take_switch(switches[i].key, value, switches[i].for_on, switches[i].out, err);
		return rc ? rc : 1;
	}
	return 0;
}

/* The end of a word: a comma, but two of them are a literal one. */
static char *word_end(char *p)
{
	while (*p && (*p != ',' || p[1] == ','))
		p += *p == ',' ? 2 : 1;
	return p;
}

int card_words_parse(const char *text, struct virtio_pci_options *board, char **others,
		     struct error *err)
{
	char *copy = strdup(text), *rest = calloc(1, strlen(text) + 1), *to = rest;
	int rc = 0;

	if (!copy || !rest)
		rc = error_set(err, -ENOMEM, "out of memory.");
	for (char *word = copy, *end; !rc && word; word = end) {
		char last;

		end = word_end(word);
		last = *end;
		*end = '\0';
		rc = take_word(word, board, err);
		if (!rc) {
			if (to != rest)
				*to++ = ',';
			to = stpcpy(to, word);
		}
		rc = rc > 0 ? 0 : rc;
		end = last ? end + 1 : NULL;
	}
	if (!rc && board->no_legacy && board->no_modern)
		rc = error_set(err, -EINVAL,
			       "disable-legacy=on,disable-modern=on: nothing is left.");
	free(copy);
	*others = rest;
	return rc;
}

int disk_words_parse(const char *text, struct disk_words *words, struct error *err)
{
	char *rest;
	int rc;

	*words = (struct disk_words){0};
	rc = card_words_parse(text, &words->board, &rest, err);
	if (!rc)
		rc = disk_spec_parse(rest, &words->disk, err);
	free(rest);
	return rc;
}

void disk_words_fini(struct disk_words *words)
{
	disk_spec_fini(&words->disk);
}
