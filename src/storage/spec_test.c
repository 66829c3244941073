/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "base/bits.h"
#include "storage/spec.h"

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
	assert_false(d.readonly || d.direct || d.threads || d.ignore_discard || d.no_lock);
	assert_int_equal(d.queues, 1);
	assert_int_equal(d.queue_size, 0);
	assert_int_equal(d.geometry.block_size, 0);
	assert_int_equal(d.geometry.physical_block_size, 0);
	assert_true(d.packed && d.event_idx && d.wce);
	disk_spec_fini(&d);
	disk_spec_fini(&d);
}

static void every_word_is_taken(void **state)
{
	struct storage_options o;
	struct disk_spec d;

	(void)state;
	assert_int_equal(
		disk_spec_parse("serial=abc,readonly=on,cache=none,aio=threads,discard=ignore,"
				"locking=off,queues=4,queue-size=1024,packed=off,"
				"event-idx=off,wce=off,blk-size=4096,file=memory:64M",
				&d, NULL),
		0);
	assert_string_equal(d.file, "memory:64M");
	assert_string_equal(d.serial, "abc");
	assert_int_equal(d.queues, 4);
	assert_int_equal(d.queue_size, 1024);
	assert_int_equal(d.geometry.block_size, 4096);
	assert_false(d.packed || d.event_idx || d.wce);
	o = disk_spec_storage(&d);
	assert_ptr_equal(o.target, d.file);
	assert_true(o.readonly && o.direct && o.threads && o.no_lock && o.no_discard);
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
	assert_false(d.readonly || d.direct || d.threads || d.ignore_discard || d.no_lock);
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
		{"file=", "a path, null:SIZE or memory:SIZE"},
		{"readonly=on", "names no file"},
		{"=x", "missing"},
		{"file=a,colour=red", "no option \"colour\"; it has file, serial"},
		{"file=a,werror=stop", "no option \"werror\""},
		{"file=a,rerror=stop", "no option \"rerror\""},
		{"file=a,format=qcow2", "no option \"format\""},
		{"file=a,FILE=b", "no option \"FILE\""},
		{"file=a,file=b", "file is given twice"},
		{"a,file=b", "file is given twice"},
		{"a,queues=1,num-queues=1", "queues is given twice"},
		{"a,readonly", "readonly needs a value: on or off"},
		{"a,b", "no option \"b\""},
		{"a,readonly=yes", "on or off"},
		{"a,readonly=", "on or off"},
		{"a,cache=writethrough", "none or writeback"},
		{"a,aio=native", "threads or io_uring"},
		{"a,discard=on", "ignore or unmap"},
		{"a,locking=auto", "off or on"},
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
		{"a,opt-io-size=1.5M", "a number from 0"},
		{"a,discard-granularity=1", "a number from 512"},
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

static void help_names_every_key(void **state)
{
	static const char *const names[] = {"file=",
					    "serial=",
					    "readonly=",
					    "cache=",
					    "aio=",
					    "discard=",
					    "locking=",
					    "queues=",
					    "num-queues",
					    "queue-size=",
					    "blk-size=",
					    "packed=",
					    "event-idx=",
					    "wce=",
					    "physical-block-size=",
					    "opt-io-size=",
					    "discard-granularity="};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(strstr(disk_spec_help, names[i]));
}

static void blocks_are_written_as_sizes(void **state)
{
	struct disk_spec d;
	struct storage_options o;

	(void)state;
	assert_int_equal(disk_spec_parse("a,blk-size=4K,physical-block-size=16k,opt-io-size=1M,"
					 "discard-granularity=65536",
					 &d, NULL),
			 0);
	o = disk_spec_storage(&d);
	assert_int_equal(o.geometry.block_size, 4096);
	assert_int_equal(o.geometry.physical_block_size, 16384);
	assert_int_equal(o.geometry.opt_io_size, 1 << 20);
	assert_int_equal(o.geometry.discard_granularity, 65536);
	disk_spec_fini(&d);
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
		cmocka_unit_test(help_names_every_key),
		cmocka_unit_test(blocks_are_written_as_sizes),
		cmocka_unit_test(random_words_do_no_harm),
	};

	return cmocka_run_group_tests_name("storage/spec", tests, NULL, NULL);
}
