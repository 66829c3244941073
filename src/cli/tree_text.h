/* SPDX-License-Identifier: MIT */
/* What came over a control socket, for people: on standard output. */
#ifndef CLI_TREE_TEXT_H
#define CLI_TREE_TEXT_H

#include <jansson.h>
#include <stdbool.h>

/* Names and properties are texts, children are such nodes again (cli/tree.h). */
bool tree_text_is(const json_t *n);
void tree_text_print(const json_t *root);

/* A file's name may be anything, and must not command the terminal. */
void tree_text_word(const char *text);

#endif
