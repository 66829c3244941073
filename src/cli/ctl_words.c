/* SPDX-License-Identifier: MIT */
#include "cli/ctl_words.h"

#include "cli/tree_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static bool is_option(const json_t *param)
{
	return json_is_true(json_object_get(param, "option"));
}

static const json_t *find_verb(const json_t *schema, const char *name)
{
	const json_t *all = json_object_get(schema, "verbs");

	for (size_t i = 0; i < json_array_size(all); i++)
		if (!strcmp(text_of(json_array_get(all, i), "name"), name))
			return json_array_get(all, i);
	return NULL;
}

/* ---- what a verb takes, for people ---- */

static void print_param(const json_t *param)
{
	bool optional = json_is_true(json_object_get(param, "optional"));
	const char *name = text_of(param, "name"), *type = text_of(param, "type");

	fputs(optional ? " [" : " ", stdout);
	if (is_option(param)) {
		fputs("--", stdout);
		tree_text_word(name);
		if (strcmp(type, "boolean"))
			fputs(" VALUE", stdout);
	} else {
		for (; *name; name++)
			putchar(*name >= 'a' && *name <= 'z' ? *name - 'a' + 'A' : '-');
		if (!strcmp(type, "strings"))
			fputs("...", stdout);
	}
	if (optional)
		putchar(']');
}

void ctl_words_help(const json_t *schema)
{
	const json_t *all = json_object_get(schema, "verbs");

	for (size_t i = 0; i < json_array_size(all); i++) {
		const json_t *verb = json_array_get(all, i), *params;

		fputs("  ", stdout);
		tree_text_word(text_of(verb, "name"));
		params = json_object_get(verb, "params");
		for (size_t p = 0; p < json_array_size(params); p++)
			print_param(json_array_get(params, p));
		fputs("\n        ", stdout);
		tree_text_word(text_of(verb, "text"));
		putchar('\n');
	}
}

/* ---- words ---- */

static json_t *value_of(const json_t *param, const char *word, struct error *err)
{
	char *end;
	long long n;

	if (strcmp(text_of(param, "type"), "number")) {
		json_t *text = json_string(word);

		if (!text)
			error_set(err, -EINVAL, "'%s' is no text.", word);
		return text;
	}
	errno = 0;
	n = strtoll(word, &end, 10);
	if (errno || end == word || *end || n < 0) {
		error_set(err, -EINVAL, "'%s' is no number.", word);
		return NULL;
	}
	return json_integer(n);
}

/* The parameter that is written --NAME; NULL: there is none. */
static const json_t *find_option(const json_t *params, const char *name, size_t n)
{
	for (size_t i = 0; i < json_array_size(params); i++) {
		const json_t *param = json_array_get(params, i);

		if (is_option(param) && strlen(text_of(param, "name")) == n &&
		    !strncmp(text_of(param, "name"), name, n))
			return param;
	}
	return NULL;
}

/* The parameter whose place comes after @*i. */
static const json_t *next_place(const json_t *params, size_t *i)
{
	while (*i < json_array_size(params)) {
		const json_t *param = json_array_get(params, (*i)++);

		if (!is_option(param))
			return param;
	}
	return NULL;
}

static int take(json_t *to, const json_t *param, const char *word, struct error *err)
{
	json_t *value = value_of(param, word, err), *list;

	if (!value)
		return -EINVAL;
	if (strcmp(text_of(param, "type"), "strings"))
		return json_object_set_new(to, text_of(param, "name"), value);
	list = json_object_get(to, text_of(param, "name"));
	if (!list) {
		list = json_array();
		json_object_set_new(to, text_of(param, "name"), list);
	}
	return json_array_append_new(list, value);
}

/* One --NAME; *used: how many words it took. */
static int take_option(struct ctl_words *w, const json_t *verb, char **argv, int argc, int *used,
		       struct error *err)
{
	const char *name = argv[0] + 2, *value = strchr(name, '=');
	size_t n = value ? (size_t)(value - name) : strlen(name);
	const json_t *param = find_option(json_object_get(verb, "params"), name, n);

	*used = 1;
	if (!strcmp(argv[0], "--json")) {
		w->json = true;
		return 0;
	}
	if (!param)
		return error_set(err, -EINVAL, "%s is no option of %s.", argv[0],
				 text_of(verb, "name"));
	if (!strcmp(text_of(param, "type"), "boolean"))
		return json_object_set_new(w->params, text_of(param, "name"), json_true());
	if (!value && argc < 2)
		return error_set(err, -EINVAL, "%s needs a value.", argv[0]);
	if (!value)
		*used = 2;
	return take(w->params, param, value ? value + 1 : argv[1], err);
}

static int take_words(struct ctl_words *w, const json_t *verb, int argc, char **argv,
		      struct error *err)
{
	const json_t *params = json_object_get(verb, "params"), *place = NULL;
	size_t next = 0;

	for (int i = 0, used; i < argc; i += used) {
		int rc;

		used = 1;
		if (!strncmp(argv[i], "--", 2)) {
			rc = take_option(w, verb, argv + i, argc - i, &used, err);
		} else {
			if (!place || strcmp(text_of(place, "type"), "strings"))
				place = next_place(params, &next);
			rc = place ? take(w->params, place, argv[i], err)
				   : error_set(err, -EINVAL, "%s has nothing to do with '%s'.",
					       text_of(verb, "name"), argv[i]);
		}
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < json_array_size(params); i++) {
		const json_t *param = json_array_get(params, i);

		if (!json_is_true(json_object_get(param, "optional")) &&
		    !json_object_get(w->params, text_of(param, "name")))
			return error_set(err, -EINVAL, "%s needs %s%s, %s.", text_of(verb, "name"),
					 is_option(param) ? "--" : "", text_of(param, "name"),
					 text_of(param, "text"));
	}
	return 0;
}

int ctl_words_parse(struct ctl_words *w, const json_t *schema, const char *verb, int argc,
		    char **argv, struct error *err)
{
	const json_t *known = find_verb(schema, verb);
	int rc;

	*w = (struct ctl_words){.params = known ? json_object() : json_array()};
	if (!known) {
		for (int i = 0; i < argc; i++)
			json_array_append_new(w->params, json_string(argv[i]));
		return 0;
	}
	w->slow = json_is_true(json_object_get(known, "slow"));
	rc = take_words(w, known, argc, argv, err);
	if (rc) {
		json_decref(w->params);
		w->params = NULL;
	}
	return rc;
}
