/* SPDX-License-Identifier: MIT */
/*
 * Options as people write them: `vm.raw,readonly=on,serial=abc`, in the manner of QEMU.
 *
 * Words are split by commas; a literal comma is written twice.  What a word may be stands in a
 * table: whoever takes options has a table of his own, beside the code that obeys them, and
 * refuses what is not in it.  Help texts and sentences are made from the same tables.
 *
 * Nothing here knows what an option means.  Threads: any.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum word_kind {
	WORD_TEXT,   /* char *, owned                                         */
	WORD_CHOICE, /* one of a few values: bool, or an unsigned integer     */
	WORD_NUMBER, /* unsigned integer                                      */
	WORD_SIZE,   /* the same in bytes, with the suffixes of base/size.h   */
};

struct word_value {
	const char *name; /* NULL ends the list */
	uint8_t value;
};

struct word {
	const char *name;
	const char *same_as; /* another name for that word of the table; nothing else is filled */
	const char *sample;  /* for help: what stands for a value; NULL: by its kind            */
	const char *help;    /* one line, without the values                                    */
	enum word_kind kind;
	size_t at, size;		 /* of the field                                  */
	uint64_t min, max;		 /* TEXT: of its bytes; max 0: no upper limit     */
	bool pow2;			 /* NUMBER, SIZE: nothing but powers of two       */
	const struct word_value *values; /* CHOICE                                        */
};

#define WORD_FIELD(type, f) .at = offsetof(type, f), .size = sizeof(((type *)0)->f)
#define WORD_VALUES(...)                      \
	.values = (const struct word_value[]) \
	{                                     \
		__VA_ARGS__,                  \
		{                             \
			NULL, 0               \
		}                             \
	}
/* A bool that says yes, and one that says no. */
#define WORD_SWITCH(type, f) \
	.kind = WORD_CHOICE, WORD_VALUES({"on", 1}, {"off", 0}), WORD_FIELD(type, f)
#define WORD_NO_SWITCH(type, f) \
	.kind = WORD_CHOICE, WORD_VALUES({"on", 0}, {"off", 1}), WORD_FIELD(type, f)

struct words_table {
	const char *of; /* whose words they are, for sentences: "an image file" */
	const struct word *words;
	size_t n;
};

#define WORDS_TABLE(whose, list)                                                      \
	{                                                                             \
		.of = (whose), .words = (list), .n = sizeof(list) / sizeof((list)[0]) \
	}

/* ---- what was written ---- */

struct word_given {
	char *name;
	char *value; /* NULL: there was no "="      */
	bool taken;  /* by somebody who knew it     */
};

struct words {
	struct word_given *given;
	size_t n;
};

/*
 * Takes a text apart.  A first word that begins with a scheme ("nbd+unix://", letters, digits,
 * "+", "-", "." and a colon, before any "=") is one name without a value, whatever else is in it.
 * -EINVAL: an empty word; -ENOMEM.  On failure nothing is to be freed.
 */
int words_split(const char *text, struct words *w, struct error *err);
void words_fini(struct words *w);

/* ---- what it means ---- */

/* A table and the struct whose fields it names. */
struct words_for {
	const struct words_table *table;
	void *fields;
};

/* What may be written. */
struct words_rules {
	const char *of;			/* for sentences: "an IDE disk of null:"         */
	const struct words_for *tables; /* each word is looked for in them in turn       */
	size_t n;
	/* Words that are known but not taken here, for a better sentence.  NULL-ended; or NULL. */
	const struct words_table *const *foreign;
};

/*
 * Sets the fields of what is not taken yet.
 *
 * Return: 0; -EINVAL: not known, given twice, without a value, a value that cannot be; -ENOMEM.
 * Fields that have been set stay so: words_clear() frees their texts.
 */
int words_set(struct words *w, const struct words_rules *rules, struct error *err);

/*
 * Sets the fields of what @table knows, and joins the others again: *others is the caller's to
 * free; NULL on failure.
 */
int words_set_some(const char *text, const struct words_for *table, char **others,
		   struct error *err);

/* Frees the texts that @table's fields hold. */
void words_clear(const struct words_table *table, void *fields);

/*
 * After a struct was copied: the texts that @table's fields hold become copies, too.  -ENOMEM: the
 * rest of them is NULL.
 */
int words_copy(const struct words_table *table, void *fields);

/* NULL: the table has none of that name. */
const struct word *words_find(const struct words_table *table, const char *name);

/* What may stand behind the word: "on or off", "a number from 1 to 256". */
void word_describe(const struct word *word, char *text, size_t size);

/* Adds every name of the table, commas between, to what is in @text; cut at its end. */
void words_names(const struct words_table *table, char *text, size_t size);

/* ---- help ---- */

/* One line: "  queues=N    ...", its other names and whom it is for behind (NULL: everybody). */
void word_help(FILE *out, const struct words_table *table, const struct word *word,
	       const char *who);
void words_help(FILE *out, const struct words_table *table);

#endif
