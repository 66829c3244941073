/* SPDX-License-Identifier: MIT */
/* Kernels that are compressed: unpacked, cut off, damaged, or bigger than any kernel. */
#include "test.h"

#include "backend/machine/unpack.h"
#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifdef UNPACK_ZSTD
#include <zstd.h>
#endif
#ifdef UNPACK_ZLIB
#include <zlib.h>
#endif
#ifdef UNPACK_LZMA
#include <lzma.h>
#endif
#ifdef UNPACK_LZ4
#include <lz4.h>
#include <lz4frame.h>
#endif

#define PLAIN_MAX  (9u << 20) /* more than a block of lz4's, and than the first room */
#define PACKED_MAX (PLAIN_MAX + (1u << 20))

static uint8_t plain[PLAIN_MAX], packed[PACKED_MAX];

static void fill_plain(void)
{
	uint32_t random = 1;

	for (size_t i = 0; i < sizeof(plain); i++) {
		random = random * 1664525 + 1013904223;
		plain[i] = (uint8_t)(i % 7 ? random >> 29 : i >> 8);
	}
}

/* ---- packing ---- */

typedef size_t (*pack)(size_t n);
typedef int (*unpack)(struct unpack_sink *sink, const uint8_t *from, size_t n);

#ifdef UNPACK_ZSTD
static size_t by_zstd(size_t n)
{
	return ZSTD_compress(packed, sizeof(packed), plain, n, 1);
}
#endif

#ifdef UNPACK_ZLIB
static size_t by_gzip(size_t n)
{
	z_stream z = {.next_in = plain,
		      .avail_in = (uInt)n,
		      .next_out = packed,
		      .avail_out = sizeof(packed)};

	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}
#endif

#ifdef UNPACK_LZMA
static size_t by_xz(size_t n)
{
	size_t out = 0;

	assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, plain, n, packed, &out,
						 sizeof(packed)),
			 LZMA_OK);
	return out;
}

static size_t by_lzma(size_t n)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma o;
	size_t out;

	assert_false(lzma_lzma_preset(&o, 0));
	assert_int_equal(lzma_alone_encoder(&s, &o), LZMA_OK);
	s.next_in = plain;
	s.avail_in = n;
	s.next_out = packed;
	s.avail_out = sizeof(packed);
	assert_int_equal(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
	out = s.total_out;
	lzma_end(&s);
	return out;
}
#endif

#ifdef UNPACK_LZ4
static size_t by_lz4(size_t n)
{
	return LZ4F_compressFrame(packed, sizeof(packed), plain, n, NULL);
}

static void put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* As a kernel's build does it, with the unpacked size behind. */
static size_t by_old_lz4(size_t n)
{
	size_t at = 4, block;

	put32(packed, 0x184c2102);
	for (size_t from = 0; from < n; from += block) {
		int len;

		block = min_u64(n - from, 8 << 20);
		len = LZ4_compress_default((const char *)plain + from, (char *)packed + at + 4,
					   (int)block, (int)(sizeof(packed) - at - 4));
		assert_true(len > 0);
		put32(packed + at, (uint32_t)len);
		at += 4 + (size_t)len;
	}
	put32(packed + at, (uint32_t)n + (16 << 20));
	return at + 4;
}
#endif

static const struct {
	const char *name;
	pack pack;
	unpack unpack;
	bool tail; /* what stands behind the end belongs to it */
} kinds[] = {
#ifdef UNPACK_ZSTD
	{"zstd", by_zstd, unpack_zstd, false},
#endif
#ifdef UNPACK_ZLIB
	{"gzip", by_gzip, unpack_gzip, false},
#endif
#ifdef UNPACK_LZMA
	{"xz", by_xz, unpack_lzma, false},
	{"lzma", by_lzma, unpack_lzma, false},
#endif
#ifdef UNPACK_LZ4
	{"lz4", by_lz4, unpack_lz4, false},
	{"lz4", by_old_lz4, unpack_lz4, true},
#endif
	{"", NULL, NULL, false},
};

/* ---- files ---- */

static struct boot_file file_of(const uint8_t *data, size_t n)
{
	struct boot_file f = {.name = "vmlinuz", .data = malloc(n), .size = n};

	assert_non_null(f.data);
	memcpy(f.data, data, n);
	return f;
}

static void refused(struct boot_file f, int rc, const char *words)
{
	struct error err = {""};

	assert_int_equal(boot_unpack(&f, &err), rc);
	if (!strstr(err.text, words))
		fail_msg("'%s' does not say '%s'", err.text, words);
	boot_file_free(&f);
}

static void compressed_kernels_are_unpacked(void **state)
{
	static const size_t sizes[] = {1, 1000, 4 << 20, PLAIN_MAX};

	(void)state;
	for (size_t i = 0; kinds[i].pack; i++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			struct boot_file f = file_of(packed, kinds[i].pack(sizes[k]));
			struct error err = {""};

			if (boot_unpack(&f, &err))
				fail_msg("%s: %s", kinds[i].name, err.text);
			assert_int_equal(f.size, sizes[k]);
			assert_memory_equal(f.data, plain, f.size);
			boot_file_free(&f);
		}
}

static void what_is_not_compressed_is_left_alone(void **state)
{
	struct boot_file f = file_of(plain, 1000);

	(void)state;
	assert_int_equal(boot_unpack(&f, NULL), 0);
	assert_int_equal(f.size, 1000);
	assert_memory_equal(f.data, plain, 1000);
	boot_file_free(&f);
}

static void kernels_that_are_cut_off_are_said(void **state)
{
	(void)state;
	for (size_t i = 0; kinds[i].pack; i++) {
		size_t n = kinds[i].pack(100000) - (kinds[i].tail ? 4 : 0);

		for (size_t less = 1; less < n - 20; less = 3 * less + 7) {
			/* What is checked last of a format may be missing. */
			if (less > 16)
				refused(file_of(packed, n - less), -ENOEXEC, "cut off");
		}
	}
}

static void damaged_kernels_are_said(void **state)
{
	(void)state;
	for (size_t i = 0; kinds[i].pack; i++) {
		size_t n = kinds[i].pack(100000);
		unsigned damaged = 0;

		for (size_t at = 8; at < n; at += n / 50 + 1) {
			struct boot_file f = file_of(packed, n);
			struct error err;

			f.data[at] ^= 0x55;
			damaged += boot_unpack(&f, &err) != 0;
			boot_file_free(&f);
		}
		assert_true(damaged > 0);
	}
}

/* A little file with a lot in it: as much is taken as a kernel may have, and no more. */
static void a_bomb_is_refused(void **state)
{
	(void)state;
	memset(plain, 0, sizeof(plain));
	for (size_t i = 0; kinds[i].pack; i++) {
		struct unpack_sink sink = {.max = (4 << 20) + 5};

		assert_int_equal(kinds[i].unpack(&sink, packed, kinds[i].pack(PLAIN_MAX)), -EFBIG);
		assert_int_equal(sink.room, sink.max);
		free(sink.data);
	}
	fill_plain();
}

/* One frame behind the other, and something that is none behind them. */
static void several_frames_are_one_kernel(void **state)
{
	(void)state;
	for (size_t i = 0; kinds[i].pack; i++) {
		size_t n = kinds[i].pack(5000);
		struct boot_file f;

		if (strcmp(kinds[i].name, "zstd") && strcmp(kinds[i].name, "gzip"))
			continue;
		memcpy(packed + n, packed, n);
		memcpy(packed + 2 * n, "more", 4);
		f = file_of(packed, 2 * n + 4);
		assert_int_equal(boot_unpack(&f, NULL), 0);
		assert_int_equal(f.size, 10000);
		assert_memory_equal(f.data + 5000, plain, 5000);
		boot_file_free(&f);
	}
}

static void efi_programs_with_a_kernel_in_them(void **state)
{
	static uint8_t efi[PACKED_MAX + 512];
	struct boot_file f;
	size_t n;

	(void)state;
	if (!kinds[0].pack)
		skip();
	n = kinds[0].pack(100000);
	memset(efi, 0, sizeof(efi));
	memcpy(efi, "MZ\0\0zimg\0\2\0\0", 12);
	for (unsigned i = 0; i < 4; i++)
		efi[12 + i] = (uint8_t)(n >> 8 * i);
	memcpy(efi + 512, packed, n);
	f = file_of(efi, 512 + n);
	assert_int_equal(boot_unpack(&f, NULL), 0);
	assert_int_equal(f.size, 100000);
	assert_memory_equal(f.data, plain, f.size);
	boot_file_free(&f);
	refused(file_of(efi, 512 + n - 1), -ENOEXEC, "cut off");
	efi[512] ^= 1;
	refused(file_of(efi, 512 + n), -ENOEXEC, "EFI program");
	memset(efi + 8, 0xff, 8);
	refused(file_of(efi, 512 + n), -ENOEXEC, "cut off");
}

static void what_nothing_here_unpacks_is_said(void **state)
{
	(void)state;
	refused(file_of((const uint8_t *)"BZh91AY&SY", 10), -ENOEXEC, "bunzip2");
	refused(file_of((const uint8_t *)"\x89LZO\0\r\n\x1a\n.", 10), -ENOEXEC, "lzop");
#ifndef UNPACK_ZSTD
	refused(file_of((const uint8_t *)"\x28\xb5\x2f\xfd......", 10), -ENOEXEC,
		"without libzstd");
#endif
#ifndef UNPACK_LZ4
	refused(file_of((const uint8_t *)"\x04\x22\x4d\x18......", 10), -ENOEXEC, "without liblz4");
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compressed_kernels_are_unpacked),
		cmocka_unit_test(what_is_not_compressed_is_left_alone),
		cmocka_unit_test(kernels_that_are_cut_off_are_said),
		cmocka_unit_test(damaged_kernels_are_said),
		cmocka_unit_test(a_bomb_is_refused),
		cmocka_unit_test(several_frames_are_one_kernel),
		cmocka_unit_test(efi_programs_with_a_kernel_in_them),
		cmocka_unit_test(what_nothing_here_unpacks_is_said),
	};

	fill_plain();
	return cmocka_run_group_tests_name("unpack", tests, NULL, NULL);
}
