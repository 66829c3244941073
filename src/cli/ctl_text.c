/* SPDX-License-Identifier: MIT */
#include "cli/ctl_text.h"

#include "cli/tree_text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ctl_text_json(const json_t *result, int indent)
{
	json_dumpf(result, stdout,
		   JSON_ENCODE_ANY | (indent ? JSON_INDENT((size_t)indent) : JSON_COMPACT));
	putchar('\n');
}

/* One value in a cell; the caller's. */
static char *cell(const json_t *value)
{
	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "yes" : "no");
	return json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
}

/* How wide it is on a terminal: characters, not bytes. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void put_cell(const char *text, size_t columns)
{
	tree_text_word(text);
	for (size_t i = width(text); i < columns; i++)
		putchar(' ');
}

static bool is_flat(const json_t *value)
{
	return !json_is_object(value) && !json_is_array(value);
}

/* All are objects, and none of their members is one, or an array. */
static bool is_table(const json_t *rows)
{
	const char *key;
	json_t *value;

	for (size_t i = 0; i < json_array_size(rows); i++) {
		json_t *row = json_array_get(rows, i);

		if (!json_is_object(row))
			return false;
		json_object_foreach(row, key, value)
		{
			if (!is_flat(value))
				return false;
		}
	}
	return json_array_size(rows);
}

/* The columns of all rows, with how wide each is; the caller's. */
static json_t *columns_of(const json_t *rows)
{
	json_t *columns = json_object(), *value;
	const char *key;

	for (size_t i = 0; i < json_array_size(rows); i++)
		json_object_foreach(json_array_get(rows, i), key, value)
		{
			char *text = cell(value);
			size_t n = text ? width(text) : 0;
			size_t was = (size_t)json_integer_value(json_object_get(columns, key));

			if (n < width(key))
				n = width(key);
			json_object_set_new(columns, key,
					    json_integer((json_int_t)(n > was ? n : was)));
			free(text);
		}
	return columns;
}

static void print_table(const json_t *rows, int depth)
{
	json_t *columns = columns_of(rows), *columns_width;
	const char *key;

	printf("%*s", depth * 2, "");
	json_object_foreach(columns, key, columns_width)
	{
		char head[64];

		snprintf(head, sizeof(head), "%s", key);
		for (char *c = head; *c; c++)
			if (*c >= 'a' && *c <= 'z')
				*c = (char)(*c - 'a' + 'A');
		put_cell(head, (size_t)json_integer_value(columns_width) + 2);
	}
	putchar('\n');
	for (size_t i = 0; i < json_array_size(rows); i++) {
		printf("%*s", depth * 2, "");
		json_object_foreach(columns, key, columns_width)
		{
			const json_t *value = json_object_get(json_array_get(rows, i), key);
			char *text = value ? cell(value) : NULL;

			put_cell(text ? text : "", (size_t)json_integer_value(columns_width) + 2);
			free(text);
		}
		putchar('\n');
	}
	json_decref(columns);
}

/* Buses and devices, as `ringside tree` prints them. */
static bool is_tree(const json_t *value)
{
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		if (strcmp(key, "name") && strcmp(key, "at") && strcmp(key, "properties") &&
		    strcmp(key, "children"))
			return false;
	}
	return json_object_size(value) > 1 && tree_text_is(value);
}

static void print_value(const json_t *value, int depth);

static void print_member(const char *key, const json_t *value, int depth)
{
	printf("%*s", depth * 2, "");
	tree_text_word(key);
	if (is_flat(value) || (!json_array_size(value) && !json_object_size(value))) {
		char *text = cell(value);

		fputs(": ", stdout);
		tree_text_word(text ? text : "");
		putchar('\n');
		free(text);
		return;
	}
	puts(":");
	print_value(value, depth + 1);
}

static void print_value(const json_t *value, int depth)
{
	const char *key;
	json_t *member;

	if (is_tree(value)) {
		tree_text_print(value);
	} else if (is_table(value)) {
		print_table(value, depth);
	} else if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, key, member)
			print_member(key, member, depth);
	} else if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++) {
			const json_t *one = json_array_get(value, i);
			const char *name = json_string_value(json_object_get(one, "name"));
			char place[24];

			snprintf(place, sizeof(place), "%zu", i);
			print_member(name ? name : place, one, depth);
		}
	} else {
		print_member("answer", value, depth);
	}
}

void ctl_text_print(const json_t *result)
{
	/* Done, and nothing to say. */
	if (json_is_true(result) || json_is_null(result))
		return;
	print_value(result, 0);
}

void ctl_text_event(const json_t *params)
{
	const char *event = json_string_value(json_object_get(params, "event")), *key;
	json_t *value;

	tree_text_word(event ? event : "");
	json_object_foreach((json_t *)(uintptr_t)params, key, value)
	{
		char *text = strcmp(key, "event") ? cell(value) : NULL;

		if (!text)
			continue;
		putchar(' ');
		tree_text_word(key);
		putchar('=');
		tree_text_word(text);
		free(text);
	}
	putchar('\n');
}
