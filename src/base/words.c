/* SPDX-License-Identifier: MIT */
#include "base/words.h"

#include "base/bits.h"
#include "base/grow.h"
#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The column at which a help line's explanation begins. */
#define HELP_COLUMN 26

/* ---- splitting ---- */

/* Copies the next word to @word, ",," as ",".  Returns what follows the comma behind it, NULL at
 * the end. */
static const char *words_next(const char *text, char *word)
{
	for (; *text; text++) {
		if (*text == ',') {
			if (text[1] != ',')
				break;
			text++;
		}
		*word++ = *text;
	}
	*word = '\0';
	return *text ? text + 1 : NULL;
}

static bool has_scheme(const char *word)
{
	size_t n = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789+-.");

	return n && word[n] == ':';
}

static int words_add(struct words *w, const char *word, struct error *err)
{
	struct word_given *all, *g;
	char *eq;

	if (!*word || *word == '=')
		return error_set(err, -EINVAL,
				 "an option is missing at a comma; a comma in a value is written "
				 "twice.");
	all = grow_for_one(w->given, (unsigned)w->n, sizeof(*all));
	if (!all)
		return error_set(err, -ENOMEM, "cannot read the options");
	w->given = all;
	g = &all[w->n];
	*g = (struct word_given){.name = strdup(word)};
	if (!g->name)
		return error_set(err, -ENOMEM, "cannot read the options");
	eq = w->n || !has_scheme(word) ? strchr(g->name, '=') : NULL;
	if (eq) {
		*eq = '\0';
		g->value = eq + 1;
	}
	w->n++;
	return 0;
}

int words_split(const char *text, struct words *w, struct error *err)
{
	char *word = malloc(strlen(text) + 1);
	const char *rest = text;
	int rc = 0;

	*w = (struct words){0};
	if (!word)
		return error_set(err, -ENOMEM, "cannot read the options");
	while (rest && !rc) {
		rest = words_next(rest, word);
		rc = words_add(w, word, err);
	}
	free(word);
	if (rc)
		words_fini(w);
	return rc;
}

void words_fini(struct words *w)
{
	for (size_t i = 0; i < w->n; i++)
		free(w->given[i].name);
	free(w->given);
	*w = (struct words){0};
}

/* ---- tables ---- */

const struct word *words_find(const struct words_table *table, const char *name)
{
	for (size_t i = 0; i < table->n; i++)
		if (!strcmp(table->words[i].name, name))
			return &table->words[i];
	return NULL;
}

/* The word itself for one of its other names. */
static const struct word *words_named(const struct words_table *table, const char *name)
{
	const struct word *word = words_find(table, name);

	return word && word->same_as ? words_find(table, word->same_as) : word;
}

/* Behind what is in @text already; cut at its end. */
static void text_add(char *text, size_t size, const char *more)
{
	size_t n = strlen(text);

	snprintf(text + n, size - n, "%s", more);
}

/* "file, serial (also: ...)": every name, its commas between. */
void words_names(const struct words_table *table, char *text, size_t size)
{
	bool first = !*text;

	for (size_t i = 0; i < table->n; i++) {
		text_add(text, size, first ? "" : ", ");
		text_add(text, size, table->words[i].name);
		first = false;
	}
}

void word_describe(const struct word *k, char *text, size_t size)
{
	unsigned long long min = k->min, max = k->max;

	*text = '\0';
	switch (k->kind) {
	case WORD_TEXT:
		if (k->max)
			snprintf(text, size, "a text of at most %llu bytes", max);
		else
			snprintf(text, size, "%s", k->min ? "a text that is not empty" : "a text");
		break;
	case WORD_CHOICE:
		for (const struct word_value *v = k->values; v->name; v++) {
			text_add(text, size, v == k->values ? "" : v[1].name ? ", " : " or ");
			text_add(text, size, v->name);
		}
		break;
	case WORD_NUMBER:
	case WORD_SIZE:
		snprintf(text, size, "a %s from %llu to %llu",
			 k->pow2		  ? "power of two"
			 : k->kind == WORD_NUMBER ? "number"
						  : "size",
			 min, max ? max : (unsigned long long)UINT64_MAX);
		break;
	}
}

/* ---- values ---- */

static int word_refuse(const struct word *k, const char *value, struct error *err)
{
	char allowed[160];

	word_describe(k, allowed, sizeof(allowed));
	return error_set(err, -EINVAL, "\"%s=%s\" cannot be: the value must be %s.", k->name, value,
			 allowed);
}

static int word_set_text(const struct word *k, const char *value, char **field, struct error *err)
{
	size_t n = strlen(value);

	if (n < k->min || (k->max && n > k->max))
		return word_refuse(k, value, err);
	*field = strdup(value);
	return *field ? 0 : error_set(err, -ENOMEM, "cannot keep the option %s", k->name);
}

static void word_store(const struct word *k, uint64_t v, void *field)
{
	switch (k->size) {
	case 1:
		*(uint8_t *)field = (uint8_t)v;
		break;
	case 2:
		*(uint16_t *)field = (uint16_t)v;
		break;
	case 4:
		*(uint32_t *)field = (uint32_t)v;
		break;
	default:
		*(uint64_t *)field = v;
	}
}

static int word_set_number(const struct word *k, const char *value, void *field, struct error *err)
{
	uint64_t max = k->max ? k->max : UINT64_MAX, v;
	int rc;

	if (k->kind == WORD_NUMBER)
		rc = number_parse(value, k->min, max, &v);
	else
		rc = size_parse(value, &v);
	if (rc || v < k->min || v > max || (k->pow2 && !is_pow2(v)))
		return word_refuse(k, value, err);
	word_store(k, v, field);
	return 0;
}

static int word_set_choice(const struct word *k, const char *value, void *field, struct error *err)
{
	for (const struct word_value *v = k->values; v->name; v++)
		if (!strcmp(v->name, value)) {
			word_store(k, v->value, field);
			return 0;
		}
	return word_refuse(k, value, err);
}

static int word_set(const struct word *k, const char *value, void *fields, struct error *err)
{
	void *field = (char *)fields + k->at;

	switch (k->kind) {
	case WORD_TEXT:
		return word_set_text(k, value, field, err);
	case WORD_CHOICE:
		return word_set_choice(k, value, field, err);
	case WORD_NUMBER:
	case WORD_SIZE:
		return word_set_number(k, value, field, err);
	}
	return -EINVAL;
}

/* ---- words and tables together ---- */

static int words_unknown(const struct words_rules *rules, const char *name, struct error *err)
{
	char known[320] = "";

	for (size_t i = 0; i < rules->n; i++)
		words_names(rules->tables[i].table, known, sizeof(known));
	for (const struct words_table *const *f = rules->foreign; f && *f; f++)
		if (words_find(*f, name))
			return error_set(err, -EINVAL,
					 "%s has no option \"%s\", which is for %s; it has %s.",
					 rules->of, name, (*f)->of, known);
	return error_set(err, -EINVAL, "%s has no option \"%s\"; it has %s.", rules->of, name,
			 known);
}

/* Whether the word, by whatever name, stands among those before it. */
static bool given_before(const struct words *w, const struct word_given *g,
			 const struct words_table *table, const struct word *k)
{
	for (const struct word_given *before = w->given; before != g; before++)
		if (words_named(table, before->name) == k)
			return true;
	return false;
}

static int words_set_one(const struct words *w, struct word_given *g, const struct words_for *table,
			 const struct word *k, struct error *err)
{
	char allowed[160];

	if (!g->value) {
		word_describe(k, allowed, sizeof(allowed));
		return error_set(err, -EINVAL, "the option %s needs a value: %s.", g->name,
				 allowed);
	}
	if (given_before(w, g, table->table, k))
		return error_set(err, -EINVAL, "the option %s is given twice.", k->name);
	g->taken = true;
	return word_set(k, g->value, table->fields, err);
}

int words_set(struct words *w, const struct words_rules *rules, struct error *err)
{
	int rc = 0;

	for (struct word_given *g = w->given; !rc && g != w->given + w->n; g++) {
		const struct word *k = NULL;
		size_t i;

		if (g->taken)
			continue;
		for (i = 0; i < rules->n && !k; i++)
			k = words_named(rules->tables[i].table, g->name);
		rc = k ? words_set_one(w, g, &rules->tables[i - 1], k, err)
		       : words_unknown(rules, g->name, err);
	}
	return rc;
}

/* The word as it was written, at @to; returns its end. */
static char *write_again(char *to, const char *text)
{
	for (; *text; text++) {
		*to++ = *text;
		if (*text == ',')
			*to++ = ',';
	}
	*to = '\0';
	return to;
}

int words_set_some(const char *text, const struct words_for *table, char **others,
		   struct error *err)
{
	struct words w;
	char *rest, *to;
	int rc = words_split(text, &w, err);

	*others = NULL;
	if (rc)
		return rc;
	to = rest = calloc(1, strlen(text) + 1);
	if (!rest)
		rc = error_set(err, -ENOMEM, "cannot read the options");
	for (struct word_given *g = w.given; !rc && g != w.given + w.n; g++) {
		const struct word *k = words_named(table->table, g->name);

		if (k) {
			rc = words_set_one(&w, g, table, k, err);
			continue;
		}
		if (to != rest)
			*to++ = ',';
		to = write_again(to, g->name);
		if (g->value) {
			*to++ = '=';
			to = write_again(to, g->value);
		}
	}
	words_fini(&w);
	if (rc)
		free(rest);
	else
		*others = rest;
	return rc;
}

void words_clear(const struct words_table *table, void *fields)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct word *k = &table->words[i];
		char **text = (char **)(void *)((char *)fields + k->at);

		if (k->kind != WORD_TEXT || k->same_as)
			continue;
		free(*text);
		*text = NULL;
	}
}

int words_copy(const struct words_table *table, void *fields)
{
	int rc = 0;

	for (size_t i = 0; i < table->n; i++) {
		const struct word *k = &table->words[i];
		char **text = (char **)(void *)((char *)fields + k->at);

		if (k->kind != WORD_TEXT || k->same_as || !*text)
			continue;
		*text = rc ? NULL : strdup(*text);
		if (!*text)
			rc = -ENOMEM;
	}
	return rc;
}

/* ---- help ---- */

static void print_values(FILE *out, const struct word *k, int *column)
{
	static const char *const samples[] = {
		[WORD_TEXT] = "TEXT", [WORD_NUMBER] = "N", [WORD_SIZE] = "SIZE"};

	if (k->sample || k->kind != WORD_CHOICE) {
		*column += fprintf(out, "%s", k->sample ? k->sample : samples[k->kind]);
		return;
	}
	for (const struct word_value *v = k->values; v->name; v++)
		*column += fprintf(out, "%s%s", v == k->values ? "" : "|", v->name);
}

static void print_range(FILE *out, const struct word *k)
{
	unsigned long long min = k->min, max = k->max;

	if (k->kind == WORD_TEXT && max)
		fprintf(out, "at most %llu bytes%s", max, k->help ? "; " : "");
	if ((k->kind == WORD_NUMBER || k->kind == WORD_SIZE) && max)
		fprintf(out, "%s%llu to %llu%s", k->pow2 ? "a power of two, " : "", min, max,
			k->help ? "; " : "");
}

void word_help(FILE *out, const struct words_table *table, const struct word *k, const char *who)
{
	int column;

	if (k->same_as)
		return;
	column = fprintf(out, "  %s=", k->name);
	print_values(out, k, &column);
	if (column >= HELP_COLUMN) {
		putc('\n', out);
		column = 0;
	}
	fprintf(out, "%*s", HELP_COLUMN - column, "");
	print_range(out, k);
	fputs(k->help ? k->help : "", out);
	for (size_t i = 0; i < table->n; i++)
		if (table->words[i].same_as && !strcmp(table->words[i].same_as, k->name))
			fprintf(out, " (also: %s)", table->words[i].name);
	if (who)
		fprintf(out, "; only for %s", who);
	putc('\n', out);
}

void words_help(FILE *out, const struct words_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		word_help(out, table, &table->words[i], NULL);
}
