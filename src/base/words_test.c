/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/bits.h"
#include "base/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum colour { RED, GREEN, BLUE = 7 };

struct paint {
	char *name;
	enum colour colour;
	bool wet, no_smell;
	uint16_t coats;
	uint64_t litres;
};

static const struct word paint_words[] = {
	{"name", .kind = WORD_TEXT, .min = 1, .help = "of it", WORD_FIELD(struct paint, name)},
	{"colour", .kind = WORD_CHOICE, WORD_VALUES({"red", RED}, {"green", GREEN}, {"blue", BLUE}),
	 .help = "default red", WORD_FIELD(struct paint, colour)},
	{"wet", WORD_SWITCH(struct paint, wet)},
	{"smell", WORD_NO_SWITCH(struct paint, no_smell)},
	{"coats", .kind = WORD_NUMBER, .min = 1, .max = 9, .help = "default 1",
	 WORD_FIELD(struct paint, coats)},
	{"layers", .same_as = "coats"},
	{"litres", .kind = WORD_SIZE, .sample = "L", WORD_FIELD(struct paint, litres)},
};

static const struct words_table paint_table = WORDS_TABLE("a paint", paint_words);

static int parse(const char *text, struct paint *p, struct error *err)
{
	const struct words_for tables[] = {{&paint_table, p}};
	const struct words_rules rules = {.of = "a paint", .tables = tables, .n = 1};
	struct words w;
	int rc = words_split(text, &w, err);

	*p = (struct paint){0};
	if (rc)
		return rc;
	rc = words_set(&w, &rules, err);
	words_fini(&w);
	return rc;
}

static void each_kind_reaches_its_field(void **state)
{
	struct paint p;

	(void)state;
	assert_int_equal(
		parse("name=a,,b,colour=blue,wet=on,smell=off,coats=9,litres=2M", &p, NULL), 0);
	assert_string_equal(p.name, "a,b");
	assert_int_equal(p.colour, BLUE);
	assert_true(p.wet && p.no_smell);
	assert_int_equal(p.coats, 9);
	assert_int_equal(p.litres, 2 << 20);
	words_clear(&paint_table, &p);
	assert_null(p.name);
	words_clear(&paint_table, &p);
	assert_int_equal(parse("wet=off,smell=on,layers=3,litres=18446744073709551615", &p, NULL),
			 0);
	assert_false(p.wet || p.no_smell);
	assert_int_equal(p.coats, 3);
	assert_int_equal(p.litres, UINT64_MAX);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *must_say;
	} bad[] = {
		{"", "missing at a comma"},
		{"wet=on,,", "on or off"},
		{"wet=on,", "missing at a comma"},
		{"=on", "missing at a comma"},
		{"wet", "the option wet needs a value: on or off"},
		{"wet=", "on or off"},
		{"colour=pink", "red, green or blue"},
		{"coats=0", "a number from 1 to 9"},
		{"litres=1X", "a size from 0 to 18446744073709551615"},
		{"name=", "a text that is not empty"},
		{"coats=1,layers=2", "coats is given twice"},
		{"layers=1,coats=2", "coats is given twice"},
		{"layers=1,layers=2", "coats is given twice"},
		{"dry=on", "a paint has no option \"dry\"; it has name, colour"},
		{"dry", "no option \"dry\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {""};
		struct paint p = {0};

		assert_int_equal(parse(bad[i].text, &p, &err), -EINVAL);
		if (!strstr(err.text, bad[i].must_say))
			fail_msg("\"%s\" gave: %s", bad[i].text, err.text);
		words_clear(&paint_table, &p);
	}
}

/* The others stay as they were written, and can be read by somebody else. */
static void some_are_taken_and_the_others_joined_again(void **state)
{
	static const struct {
		const char *text, *others;
	} list[] = {
		{"wet=on", ""},
		{"a", "a"},
		{"a,,b=1,wet=on,c=,,x", "a,,b=1,c=,,x"},
		{"wet=on,user,coats=2,hostfwd=tcp::1-:2", "user,hostfwd=tcp::1-:2"},
		{"nbd://x?wet=on,b", "nbd://x?wet=on,b"},
	};
	struct error err = {""};
	struct paint p = {0};
	const struct words_for table = {&paint_table, &p};
	char *others;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		assert_int_equal(words_set_some(list[i].text, &table, &others, &err), 0);
		assert_string_equal(others, list[i].others);
		free(others);
	}
	assert_int_equal(words_set_some("a,wet=yes", &table, &others, &err), -EINVAL);
	assert_null(others);
	assert_int_equal(words_set_some("wet=on,wet=on", &table, &others, &err), -EINVAL);
}

static void help_is_made_of_the_table(void **state)
{
	size_t size = 0;
	char *text = NULL;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	words_help(out, &paint_table);
	fclose(out);
	assert_string_equal(text, "  name=TEXT               of it\n"
				  "  colour=red|green|blue   default red\n"
				  "  wet=on|off              \n"
				  "  smell=on|off            \n"
				  "  coats=N                 1 to 9; default 1 (also: layers)\n"
				  "  litres=L                \n");
	free(text);
}

/* A line of a hundred thousand words ends at the first that comes twice. */
static void many_words_take_no_time(void **state)
{
	size_t n = 100000, size = n * 7;
	char *text = malloc(size + 1);
	struct error err = {""};
	struct paint p;

	(void)state;
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * 7, "wet=on,", 7);
	text[size - 1] = '\0';
	assert_int_equal(parse(text, &p, &err), -EINVAL);
	free(text);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_reaches_its_field),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(some_are_taken_and_the_others_joined_again),
		cmocka_unit_test(help_is_made_of_the_table),
		cmocka_unit_test(many_words_take_no_time),
	};

	return cmocka_run_group_tests_name("base/words", tests, NULL, NULL);
}
