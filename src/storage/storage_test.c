/* SPDX-License-Identifier: MIT */
/* What holds for every storage, shown on memory: and null:. */
#include "storage/storage_test.h"

#include <errno.h>

#define MIB (UINT64_C(1) << 20)

static void sizes_of_null_and_memory(void **state)
{
	static const struct {
		const char *target;
		uint64_t size;
	} good[] = {
		{"null:512", 512},     {"null:1G", 1024 * MIB}, {"null:16T", UINT64_C(16) << 40},
		{"memory:64k", 65536}, {"memory:1M", MIB},	{"memory:1536", 1536},
	};
	static const char *const bad[] = {"null:",	     "null:0",
					  "null:511",	     "null:-1",
					  "null:1X",	     "memory:",
					  "memory:0",	     "memory:100",
					  "memory:1P",	     "null:9999999999999999999999",
					  "memory:16777215T"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct storage_options o = {.target = good[i].target};
		struct storage *s;

		assert_int_equal(storage_open(&o, &s, NULL), 0);
		assert_true(storage_size(s) == good[i].size);
		assert_int_equal(storage_refresh(s), 0);
		assert_true(storage_limits(s)->block_size >= 512);
		storage_close(&s);
		assert_null(s);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct storage_options o = {.target = bad[i]};
		struct error err = {""};
		struct storage *s;

		assert_true(storage_open(&o, &s, &err) < 0);
		assert_null(s);
		assert_non_null(strstr(err.text, bad[i]));
	}
}

static void no_target_is_one_sentence(void **state)
{
	struct storage_options o = {.target = ""};
	struct error err = {""};
	struct storage *s;

	(void)state;
	assert_int_equal(storage_open(&o, &s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "give a path"));
}

static void b_05_out_of_range_is_einval(void **state)
{
	struct storage_options o = {.target = "memory:1M"};
	uint8_t buf[1024] = {0};
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, MIB, buf, 512), -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, MIB - 512, buf, 1024), -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, UINT64_MAX & ~UINT64_C(511), buf, 1024),
			 -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, UINT64_MAX & ~UINT64_C(511), buf, 512),
			 -EINVAL);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 512, MIB), -EINVAL);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 512, UINT64_MAX & ~UINT64_C(511)),
			 -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 1, buf, 512), -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 511), -EINVAL);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, MIB - 512, buf, 512), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, MIB - 512, buf, 512), 0);
	rig_close(&rig);
}

static void longer_than_the_limit_is_einval(void **state)
{
	struct storage_options o = {.target = "memory:4G"};
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(
		rig_do(&rig, STORAGE_DISCARD, 0, 0, storage_limits(rig.s)->max_discard + 512),
		-EINVAL);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0,
				storage_limits(rig.s)->max_write_zeroes + 512),
			 -EINVAL);
	rig_close(&rig);
}

static void zero_length_is_done(void **state)
{
	struct storage_options o = {.target = "memory:1M"};
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_do(&rig, STORAGE_READ, 0, 0, 0), 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE, 0, MIB, 0), 0);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 512, 0), 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 512, 0), 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE, 0, MIB + 512, 0), -EINVAL);
	rig_close(&rig);
}

static void b_06_readonly_takes_no_change(void **state)
{
	static const char *const targets[] = {"memory:1M", "null:1M"};
	uint8_t buf[512] = {1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct storage_options o = {.target = targets[i], .readonly = true};
		struct rig rig;

		assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
		assert_true(storage_readonly(rig.s));
		assert_true(storage_limits(rig.s)->max_discard == 0);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, 512), -EROFS);
		assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, 512), -EROFS);
		assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0, 512), -EROFS);
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
		rig_close(&rig);
	}
}

static void no_discard_is_not_offered(void **state)
{
	struct storage_options o = {.target = "memory:1M", .no_discard = true};
	struct rig rig;

	(void)state;
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_true(storage_limits(rig.s)->max_discard == 0);
	assert_false(storage_limits(rig.s)->write_zeroes_unmaps);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, 512), -EOPNOTSUPP);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, STORAGE_UNMAP, 0, 512), 0);
	rig_close(&rig);
}

static void null_leaves_the_buffer_as_it_is(void **state)
{
	struct storage_options o = {.target = "null:1M"};
	uint8_t buf[512];
	struct rig rig;

	(void)state;
	memset(buf, 0x5a, sizeof(buf));
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, 512), 0);
	assert_true(all_bytes_are(buf, 0x5a, sizeof(buf)));
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_FUA, 0, buf, 512), 0);
	assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, MIB), 0);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, 0, MIB), -EOPNOTSUPP);
	rig_close(&rig);
}

static void memory_keeps_what_is_written(void **state)
{
	struct storage_options o = {.target = "memory:1M"};
	struct storage_channel *second;
	uint8_t a[512], b[1536], back[2048];
	struct iovec iov[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
	struct waited w = {
		.io = {.op = STORAGE_WRITE, .offset = 4096, .len = 2048, .iov = iov, .iovcnt = 2}};
	struct rig rig;

	(void)state;
	memset(a, 1, sizeof(a));
	memset(b, 2, sizeof(b));
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	rig_start(&rig, &w);
	assert_true(w.over);
	assert_int_equal(w.err, 0);

	/* Channels see the same bytes. */
	assert_int_equal(storage_channel_open(rig.s, rig.r, &second, NULL), 0);
	storage_channel_close(&rig.ch);
	rig.ch = second;
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 4096, back, sizeof(back)), 0);
	assert_true(all_bytes_are(back, 1, 512));
	assert_true(all_bytes_are(back + 512, 2, 1536));
	rig_close(&rig);
}

static void memory_zeroes_and_discards(void **state)
{
	static const struct {
		uint64_t offset, len;
	} ranges[] = {{0, MIB},	    {512, 512},		{512, 8192},
		      {4096, 4096}, {8192 - 512, 1024}, {MIB - 512, 512}};
	struct storage_options o = {.target = "memory:1M"};
	uint8_t *buf = malloc(MIB);
	struct rig rig;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(rig_open(&rig, &o, false, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		for (unsigned way = 0; way < 3; way++) {
			uint64_t at = ranges[i].offset, len = ranges[i].len;

			memset(buf, 7, MIB);
			assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, MIB), 0);
			assert_int_equal(rig_do(&rig,
						way == 2 ? STORAGE_DISCARD : STORAGE_WRITE_ZEROES,
						way == 1 ? STORAGE_UNMAP : 0, at, len),
					 0);
			assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, 0, buf, MIB), 0);
			assert_true(all_bytes_are(buf, 7, at));
			assert_true(all_bytes_are(buf + at, 0, len));
			assert_true(all_bytes_are(buf + at + len, 7, MIB - at - len));
		}
	}
	rig_close(&rig);
	free(buf);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_of_null_and_memory),
		cmocka_unit_test(no_target_is_one_sentence),
		cmocka_unit_test(b_05_out_of_range_is_einval),
		cmocka_unit_test(longer_than_the_limit_is_einval),
		cmocka_unit_test(zero_length_is_done),
		cmocka_unit_test(b_06_readonly_takes_no_change),
		cmocka_unit_test(no_discard_is_not_offered),
		cmocka_unit_test(null_leaves_the_buffer_as_it_is),
		cmocka_unit_test(memory_keeps_what_is_written),
		cmocka_unit_test(memory_zeroes_and_discards),
	};

	return cmocka_run_group_tests_name("storage/storage", tests, NULL, NULL);
}
