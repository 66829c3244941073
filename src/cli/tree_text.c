/* SPDX-License-Identifier: MIT */
#include "cli/tree_text.h"

#include <stdint.h>
#include <stdio.h>

bool tree_text_is(const json_t *n)
{
	const json_t *at = json_object_get(n, "at"), *all = json_object_get(n, "properties");
	const json_t *children = json_object_get(n, "children");
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_string(json_object_get(n, "name")) || (at && !json_is_string(at)) ||
	    (all && !json_is_object(all)) || (children && !json_is_array(children)))
		return false;
	json_object_foreach((json_t *)(uintptr_t)all, key, value)
	{
		if (!json_is_string(value))
			return false;
	}
	json_array_foreach(children, i, value)
	{
		if (!tree_text_is(value))
			return false;
	}
	return true;
}

void tree_text_word(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

static void tree_text_node(const json_t *n, int depth)
{
	const char *at = json_string_value(json_object_get(n, "at")), *key;
	json_t *value;
	size_t i;

	printf("%*s", depth * 2, "");
	if (at) {
		tree_text_word(at);
		putchar(' ');
	}
	tree_text_word(json_string_value(json_object_get(n, "name")));
	i = 0;
	json_object_foreach(json_object_get(n, "properties"), key, value)
	{
		if (!*json_string_value(value))
			continue;
		fputs(i++ ? ", " : "  (", stdout);
		tree_text_word(key);
		putchar(' ');
		tree_text_word(json_string_value(value));
	}
	puts(i ? ")" : "");
	json_array_foreach(json_object_get(n, "children"), i, value)
		tree_text_node(value, depth + 1);
}

void tree_text_print(const json_t *root)
{
	tree_text_node(root, 0);
}
