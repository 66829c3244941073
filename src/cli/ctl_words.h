/* SPDX-License-Identifier: MIT */
/* From words on a command line to the parameters of a verb, by what the program says it takes. */
#ifndef CLI_CTL_WORDS_H
#define CLI_CTL_WORDS_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>

struct ctl_words {
	json_t *params; /* the caller's */
	bool json;	/* --json was among them */
	bool slow;	/* the answer may take long */
};

/*
 * @schema as the program sent it: whatever it is, nothing worse than a wrong question comes of it.
 * Of a verb that is not in it the words are passed on as they are, and the program will say so.
 * -EINVAL and a sentence.
 */
int ctl_words_parse(struct ctl_words *w, const json_t *schema, const char *verb, int argc,
		    char **argv, struct error *err);
/* The verbs of @schema, on standard output. */
void ctl_words_help(const json_t *schema);

#endif
