/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/bits.h"
#include "disk/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void defaults_are_those_of_the_help(void **state)
{
	struct disk_spec d;

	(void)state;
	assert_int_equal(disk_spec_parse("file=vm.raw", &d, NULL), 0);
	assert_string_equal(d.file, "vm.raw");
	assert_null(d.serial);
	assert_false(d.storage.readonly || d.storage.direct || d.storage.threads ||
		     d.storage.no_discard || d.storage.no_lock);
	assert_int_equal(d.queues, 1);
	assert_int_equal(d.queue_size, 0);
	assert_int_equal(d.storage.geometry.block_size, 0);
	assert_int_equal(d.storage.geometry.physical_block_size, 0);
	assert_true(d.packed && d.event_idx && d.wce);
	disk_spec_fini(&d);
	disk_spec_fini(&d);
}

static void every_word_is_taken(void **state)
{
	struct disk_spec d;

	(void)state;
	assert_int_equal(
		disk_spec_parse("serial=abc,readonly=on,cache=none,aio=threads,discard=ignore,"
				"locking=off,queues=4,queue-size=1024,packed=off,"
				"event-idx=off,wce=off,blk-size=4096,file=vm.raw",
				&d, NULL),
		0);
	assert_string_equal(d.file, "vm.raw");
	assert_string_equal(d.serial, "abc");
	assert_int_equal(d.queues, 4);
	assert_int_equal(d.queue_size, 1024);
	assert_int_equal(d.storage.geometry.block_size, 4096);
	assert_false(d.packed || d.event_idx || d.wce);
	assert_ptr_equal(d.storage.target, d.file);
	assert_true(d.storage.readonly && d.storage.direct && d.storage.threads &&
		    d.storage.no_lock && d.storage.no_discard);
	disk_spec_fini(&d);
}

static void the_other_values_too(void **state)
{
	struct disk_spec d;

	(void)state;
	assert_int_equal(
		disk_spec_parse("a,readonly=off,cache=writeback,aio=io_uring,discard=unmap,"
				"locking=on,num-queues=256,queue-size=32768,packed=on,"
				"event-idx=on,wce=on,blk-size=512,serial=",
				&d, NULL),
		0);
	assert_false(d.storage.readonly || d.storage.direct || d.storage.threads ||
		     d.storage.no_discard || d.storage.no_lock);
	assert_int_equal(d.queues, 256);
	assert_int_equal(d.queue_size, 32768);
	assert_true(d.packed && d.event_idx && d.wce);
	assert_string_equal(d.serial, "");
	disk_spec_fini(&d);
}

static void files_with_odd_names(void **state)
{
	static const struct {
		const char *text, *file;
	} names[] = {
		{"vm.raw", "vm.raw"},
		{"/dev/sda", "/dev/sda"},
		{"null:1G", "null:1G"},
		{"a,,b.raw", "a,b.raw"},
		{"file=a,,b", "a,b"},
		{"file=,,", ","},
		{"file=,,,,x,readonly=off", ",,x"},
		{"file=a=b", "a=b"},
		{"readonly=off,file=x", "x"},
		{"file=nbd://h,,p", "nbd://h,p"},
		{"nbd+unix:///e?socket=/a,,b", "nbd+unix:///e?socket=/a,b"},
		{"file=nbd+unix:///e?socket=/a,readonly=on", "nbd+unix:///e?socket=/a"},
		{"rbd:pool/image=1,readonly=on", "rbd:pool/image=1"},
		{"null:1G,readonly=on", "null:1G"},
		{"readonly=on,file=null:1G", "null:1G"},
		{"with space", "with space"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct disk_spec d;

		assert_int_equal(disk_spec_parse(names[i].text, &d, NULL), 0);
		assert_string_equal(d.file, names[i].file);
		disk_spec_fini(&d);
	}
}

/* Each sentence says what is wrong and what would be right. */
static void wrong_words_are_one_sentence(void **state)
{
	static const struct {
		const char *text, *must_say;
	} bad[] = {
		{"", "missing"},
		{",", "missing"},
		{"a,", "missing"},
		{"file=a,,", NULL}, /* a literal comma at the end is fine */
		{"file=", "a path, null:SIZE, memory:SIZE, nbd://HOST/EXPORT or rbd:POOL/IMAGE"},
		{"file", "a path, null:SIZE, memory:SIZE, nbd://HOST/EXPORT or rbd:POOL/IMAGE"},
		{"readonly=on,file",
		 "a path, null:SIZE, memory:SIZE, nbd://HOST/EXPORT or rbd:POOL/IMAGE"},
		{"null:1G,cache=none",
		 "null: has no option \"cache\", which is for an image file; it has readonly"},
		{"null:1G,cache=hot", "null: has no option \"cache\""},
		{"cache=none,file=null:1G", "null: has no option \"cache\""},
		{"memory:1M,aio=threads", "memory: has no option \"aio\""},
		{"memory:1M,locking=off", "memory: has no option \"locking\""},
		{"a,vectors=3", "no option \"vectors\""},
		{"readonly=on", "names no file"},
		{"=x", "missing"},
		{"file=a,colour=red",
		 "a virtio-blk disk of an image file has no option \"colour\"; it has readonly"},
		{"file=a,werror=stop", "report, retry, hold or enospc"},
		{"file=a,rerror=stop", "report, retry, hold or enospc"},
		{"file=a,format=qcow3", "raw, qcow2"},
		{"null:1G,format=qcow2", "no option \"format\""},
		{"file=a,nbd.reconnect=1", "no option \"nbd.reconnect\""},
		{"nbd://h/e,cache=none", "no option \"cache\""},
		{"rbd:p/i,nbd.reconnect=1", "no option \"nbd.reconnect\""},
		{"file=a,rbd.conf=b", "no option \"rbd.conf\""},
		{"file=a,FILE=b", "no option \"FILE\""},
		{"file=a,file=b", "file is given twice"},
		{"a,file=b", "file is given twice"},
		{"a,queues=1,num-queues=1", "queues is given twice"},
		{"a,readonly", "readonly needs a value: on, off or auto"},
		{"a,b", "no option \"b\""},
		{"a,readonly=yes", "on, off or auto"},
		{"a,readonly=", "on, off or auto"},
		{"a,cache=writethrough", "writeback or none"},
		{"a,aio=native", "io_uring or threads"},
		{"a,discard=on", "unmap or ignore"},
		{"a,locking=auto", "on or off"},
		{"a,secure-erase=on", "device, overwrite or off"},
		{"a,lifetime=on", "device, medium or off"},
		{"memory:1M,lifetime=medium", "memory: has no option \"lifetime\""},
		{"nbd://h/x,secure-erase=overwrite", "has no option \"secure-erase\""},
		{"a,queues=0", "a number from 1 to 256"},
		{"a,queues=257", "from 1 to 256"},
		{"a,queues=-1", "from 1 to 256"},
		{"a,queues=4294967297", "from 1 to 256"},
		{"a,queues=1K", "from 1 to 256"},
		{"a,queue-size=100", "a power of two from 2 to 32768"},
		{"a,queue-size=1", "power of two"},
		{"a,queue-size=65536", "power of two"},
		{"a,blk-size=513", "a power of two from 512 to 65536"},
		{"a,blk-size=256", "512"},
		{"a,physical-block-size=3000", "a power of two from 512"},
		{"a,opt-io-size=1.5M", "a size from 0"},
		{"a,discard-granularity=1", "a size from 512"},
		{"a,serial=123456789012345678901", "at most 20 bytes"},
		{"a, readonly=on", "no option \" readonly\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = {""};
		struct disk_spec d;
		int rc = disk_spec_parse(bad[i].text, &d, &err);

		if (!bad[i].must_say) {
			assert_int_equal(rc, 0);
			disk_spec_fini(&d);
			continue;
		}
		assert_int_equal(rc, -EINVAL);
		assert_null(d.file);
		if (!strstr(err.text, bad[i].must_say))
			fail_msg("\"%s\" gave: %s", bad[i].text, err.text);
		assert_null(strchr(err.text, '\n'));
	}
}

static void a_serial_of_twenty_bytes_fits(void **state)
{
	struct disk_spec d;

	(void)state;
	assert_int_equal(disk_spec_parse("a,serial=12345678901234567890", &d, NULL), 0);
	assert_int_equal(strlen(d.serial), DISK_SERIAL_MAX);
	disk_spec_fini(&d);
}

static void blocks_are_written_as_sizes(void **state)
{
	struct disk_spec d;

	(void)state;
	assert_int_equal(disk_spec_parse("a,blk-size=4K,physical-block-size=16k,opt-io-size=1M,"
					 "discard-granularity=65536",
					 &d, NULL),
			 0);
	assert_int_equal(d.storage.geometry.block_size, 4096);
	assert_int_equal(d.storage.geometry.physical_block_size, 16384);
	assert_int_equal(d.storage.geometry.opt_io_size, 1 << 20);
	assert_int_equal(d.storage.geometry.discard_granularity, 65536);
	disk_spec_fini(&d);
}

/* ---- every table, whatever is in it ---- */

struct table_case {
	const struct words_table *table;
	enum disk_kind kind;
	const char *target; /* of a disk to which the table belongs */
};

static const char *const targets[] = {"null:1G", "memory:1M", "nbd://h/e", "rbd:p/i", "vm.raw"};

static void engine_targets_are_all_there(void **state)
{
	unsigned n = 0;

	(void)state;
	while (storage_words_at(n))
		n++;
	assert_int_equal(n, ARRAY_SIZE(targets));
	for (unsigned i = 0; i < n; i++)
		assert_ptr_equal(storage_words(targets[i]), storage_words_at(i));
}

/* The tables of all engines and devices, each with a disk that has it. */
static unsigned all_tables(struct table_case *cases)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(targets); i++)
		cases[n++] = (struct table_case){storage_words(targets[i]), DISK_VIRTIO,
						 targets[i]};
	for (unsigned i = 0; storage_layer_words_at(i); i++)
		cases[n++] = (struct table_case){storage_layer_words_at(i), DISK_VIRTIO,
						 targets[i % ARRAY_SIZE(targets)]};
	for (enum disk_kind k = DISK_VIRTIO; k <= DISK_SCSI; k++)
		cases[n++] = (struct table_case){disk_device_words(k), k, targets[0]};
	return n;
}

#define TABLES_MAX 24

static const char *resolved(const struct word *w)
{
	return w->same_as ? w->same_as : w->name;
}

static int try_word(enum disk_kind kind, const char *target, const char *word, const char *value,
		    struct error *err)
{
	char text[1024];
	struct disk_spec d;
	int rc;

	snprintf(text, sizeof(text), "%s,%s=%s", target, word, value);
	rc = disk_spec_parse_as(kind, text, NULL, &d, err);
	if (!rc)
		disk_spec_fini(&d);
	return rc;
}

/* Values that the word may have, and after them (behind a NULL) some that it may not. */
static void values_of(const struct words_table *t, const struct word *w, char right[][32],
		      unsigned *n_right, char wrong[][32], unsigned *n_wrong)
{
	unsigned r = 0, x = 0;

	w = words_find(t, resolved(w));
	switch (w->kind) {
	case WORD_TEXT:
		snprintf(right[r++], 32, "a");
		if (w->max && w->max < 28) {
			snprintf(right[r++], 32, "%.*s", (int)w->max,
				 "aaaaaaaaaaaaaaaaaaaaaaaaaaaa");
			snprintf(wrong[x++], 32, "%.*s", (int)w->max + 1,
				 "aaaaaaaaaaaaaaaaaaaaaaaaaaaa");
		}
		break;
	case WORD_CHOICE:
		for (const struct word_value *v = w->values; v->name; v++)
			snprintf(right[r++], 32, "%s", v->name);
		snprintf(wrong[x++], 32, "neither");
		snprintf(wrong[x++], 32, "1");
		snprintf(wrong[x++], 32, "ON");
		snprintf(wrong[x++], 32, "%s ", w->values[0].name);
		break;
	case WORD_NUMBER:
	case WORD_SIZE:
		snprintf(right[r++], 32, "%llu", (unsigned long long)w->min);
		if (w->max) {
			snprintf(right[r++], 32, "%llu", (unsigned long long)w->max);
			snprintf(wrong[x++], 32, "%llu", (unsigned long long)w->max + 1);
		}
		if (w->min)
			snprintf(wrong[x++], 32, "%llu", (unsigned long long)w->min - 1);
		if (w->pow2)
			snprintf(wrong[x++], 32, "%llu", (unsigned long long)w->min * 3);
		snprintf(wrong[x++], 32, "-1");
		snprintf(wrong[x++], 32, "+4");
		snprintf(wrong[x++], 32, "0x10");
		snprintf(wrong[x++], 32, "1P");
		snprintf(wrong[x++], 32, "18446744073709551616");
		break;
	}
	if (w->kind != WORD_TEXT || w->min)
		wrong[x++][0] = '\0';
	*n_right = r;
	*n_wrong = x;
}

static void every_word_takes_its_values_and_no_others(void **state)
{
	struct table_case cases[TABLES_MAX];
	unsigned n = all_tables(cases);

	(void)state;
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < cases[i].table->n; k++) {
			const struct word *w = &cases[i].table->words[k];
			char right[16][32], wrong[16][32];
			unsigned n_right, n_wrong;
			struct error err = {""};

			values_of(cases[i].table, w, right, &n_right, wrong, &n_wrong);
			for (unsigned v = 0; v < n_right; v++)
				if (try_word(cases[i].kind, cases[i].target, w->name, right[v],
					     &err))
					fail_msg("%s=%s: %s", w->name, right[v], err.text);
			for (unsigned v = 0; v < n_wrong; v++) {
				assert_int_equal(try_word(cases[i].kind, cases[i].target, w->name,
							  wrong[v], &err),
						 -EINVAL);
				/* The sentence names the word and shows what is allowed. */
				assert_non_null(strstr(err.text, resolved(w)));
				assert_non_null(strstr(err.text, "cannot be: the value must be"));
			}
		}
}

static bool is_layer_word(const char *name)
{
	const struct words_table *t;

	for (unsigned i = 0; (t = storage_layer_words_at(i)); i++)
		if (words_find(t, name))
			return true;
	return false;
}

/* A word is taken where it stands in the table of the disk's engine or device, or of a layer; every other is
 * refused by a sentence that names both and what they know. */
static void every_engine_and_device_refuses_foreign_words(void **state)
{
	struct table_case cases[TABLES_MAX];
	unsigned n = all_tables(cases);

	(void)state;
	for (unsigned t = 0; t < ARRAY_SIZE(targets); t++)
		for (enum disk_kind kind = DISK_VIRTIO; kind <= DISK_SCSI; kind++)
			for (unsigned i = 0; i < n; i++)
				for (size_t k = 0; k < cases[i].table->n; k++) {
					const struct words_table *own[] = {
						storage_words(targets[t]), disk_device_words(kind)};
					const struct word *w = &cases[i].table->words[k];
					bool known = words_find(own[0], w->name) ||
						     words_find(own[1], w->name) ||
						     is_layer_word(w->name);
					char right[16][32], wrong[16][32];
					unsigned n_right, n_wrong;
					struct error err = {""};
					int rc;

					values_of(cases[i].table, w, right, &n_right, wrong,
						  &n_wrong);
					rc = try_word(kind, targets[t], w->name, right[0], &err);
					assert_int_equal(rc, known ? 0 : -EINVAL);
					if (known)
						continue;
					assert_non_null(strstr(err.text, own[0]->of));
					assert_non_null(strstr(err.text, own[1]->of));
					assert_non_null(strstr(err.text, "which is for"));
					for (unsigned o = 0; o < 2; o++)
						for (size_t m = 0; m < own[o]->n; m++)
							assert_non_null(strstr(
								err.text, own[o]->words[m].name));
				}
}

#define HELP_SIZE 16384

static void help_text(char *text)
{
	FILE *out = fmemopen(text, HELP_SIZE, "w");

	disk_spec_help(out);
	assert_int_equal(fclose(out), 0);
	assert_in_range(strlen(text), 100, HELP_SIZE - 2);
}

/* Every word of every table stands in the help once, and says something. */
static void help_has_every_word_once(void **state)
{
	struct table_case cases[TABLES_MAX];
	unsigned n = all_tables(cases);
	char help[HELP_SIZE];

	(void)state;
	help_text(help);
	for (unsigned i = 0; i < n; i++)
		for (size_t k = 0; k < cases[i].table->n; k++) {
			const struct word *w = &cases[i].table->words[k];
			char line[64];
			const char *at;

			snprintf(line, sizeof(line), w->same_as ? "also: %s)" : "  %s=", w->name);
			at = strstr(help, line);
			assert_non_null(at);
			assert_null(strstr(at + 1, line));
			assert_true(w->same_as || w->help);
		}
	assert_non_null(strstr(help, "  file=TARGET"));
}

/* And the help has no word that is not taken: each of its lines is tried on some disk. */
static void every_word_of_the_help_is_taken(void **state)
{
	char help[HELP_SIZE], *rest = help, *line;
	unsigned lines = 0;

	(void)state;
	help_text(help);
	while ((line = strsep(&rest, "\n")) && *line) {
		char word[64];
		bool known = false;

		/* The second line of a long one. */
		if (line[2] == ' ')
			continue;
		assert_int_equal(sscanf(line, "  %63[^=]=", word), 1);
		known = !strcmp(word, "file");
		for (unsigned t = 0; t < ARRAY_SIZE(targets); t++)
			known |= words_find(storage_words(targets[t]), word) != NULL;
		known |= words_find(disk_device_words(DISK_VIRTIO), word) != NULL;
		known |= is_layer_word(word);
		assert_true(known);
		lines++;
	}
	assert_true(lines > 10);
}

static void a_card_brings_its_own_words(void **state)
{
	static const struct word words[] = {
		{"slot", .kind = WORD_NUMBER, .max = 31, .at = 0, .size = sizeof(uint16_t)},
	};
	static const struct words_table table = WORDS_TABLE("a card", words);
	uint16_t slot = 0;
	const struct words_for card = {&table, &slot};
	struct error err = {""};
	struct disk_spec d;

	(void)state;
	assert_int_equal(disk_spec_parse_as(DISK_VIRTIO, "slot=7,file=a,queues=2", &card, &d, &err),
			 0);
	assert_int_equal(slot, 7);
	assert_int_equal(d.queues, 2);
	disk_spec_fini(&d);
	assert_int_equal(disk_spec_parse_as(DISK_VIRTIO, "a,slot=32", &card, &d, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0 to 31"));
	assert_int_equal(disk_spec_parse_as(DISK_VIRTIO, "a,slot=1,slot=2", &card, &d, &err),
			 -EINVAL);
	assert_int_equal(disk_spec_parse_as(DISK_VIRTIO, "a,solt=1", &card, &d, &err), -EINVAL);
	assert_non_null(strstr(err.text, "wce, slot"));
}

/* Whatever comes, it is taken or refused, and nothing is left behind. */
static void random_words_do_no_harm(void **state)
{
	static const char *const bits[] = {
		"file",	  "=", ",",	 ",,",	       "on",	     "off",
		"queues", "4", "serial", "a",	       "cache",	     "none",
		"packed", "-", "\xff",	 "queue-size", "num-queues", "99999999999999999999",
		" "};
	uint32_t seed = 12345;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		struct error err = {""};
		struct disk_spec d;
		char text[256] = "";

		for (unsigned k = 0; k < 12; k++) {
			seed = seed * 1664525 + 1013904223;
			strcat(text, bits[(seed >> 16) % ARRAY_SIZE(bits)]);
			if (strlen(text) > 200)
				break;
		}
		if (!disk_spec_parse(text, &d, &err)) {
			assert_non_null(d.file);
			assert_true(d.queues >= 1 && (!d.queue_size || is_pow2(d.queue_size)));
			disk_spec_fini(&d);
		} else {
			assert_true(strlen(err.text) > 0);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_help),
		cmocka_unit_test(every_word_is_taken),
		cmocka_unit_test(the_other_values_too),
		cmocka_unit_test(files_with_odd_names),
		cmocka_unit_test(wrong_words_are_one_sentence),
		cmocka_unit_test(a_serial_of_twenty_bytes_fits),
		cmocka_unit_test(blocks_are_written_as_sizes),
		cmocka_unit_test(engine_targets_are_all_there),
		cmocka_unit_test(every_word_takes_its_values_and_no_others),
		cmocka_unit_test(every_engine_and_device_refuses_foreign_words),
		cmocka_unit_test(help_has_every_word_once),
		cmocka_unit_test(every_word_of_the_help_is_taken),
		cmocka_unit_test(a_card_brings_its_own_words),
		cmocka_unit_test(random_words_do_no_harm),
	};

	return cmocka_run_group_tests_name("disk/spec", tests, NULL, NULL);
}
