/* SPDX-License-Identifier: MIT */
#include "backend/machine/unpack.h"

#include "base/bits.h"
#include "base/endian.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM (4u << 20)

struct packing {
	const char *name;
	const char *magic;
	size_t n;
	const char *tool;    /* that unpacks it by hand */
	const char *library; /* that was missing at build time; NULL: no library would help */
	int (*unpack)(struct unpack_sink *sink, const uint8_t *from, size_t n);
};

#ifdef UNPACK_ZSTD
#define ZSTD unpack_zstd
#else
#define ZSTD NULL
#endif
#ifdef UNPACK_ZLIB
#define GZIP unpack_gzip
#else
#define GZIP NULL
#endif
#ifdef UNPACK_LZMA
#define LZMA unpack_lzma
#else
#define LZMA NULL
#endif
#ifdef UNPACK_LZ4
#define LZ4 unpack_lz4
#else
#define LZ4 NULL
#endif

static const struct packing packings[] = {
	{"zstd", "\x28\xb5\x2f\xfd", 4, "unzstd", "libzstd", ZSTD},
	{"gzip", "\x1f\x8b", 2, "gunzip", "zlib", GZIP},
	{"xz",
	 "\xfd"
	 "7zXZ",
	 6, "unxz", "liblzma", LZMA},
	{"lzma", "\x5d\0\0", 3, "unlzma", "liblzma", LZMA},
	{"lz4", "\x04\x22\x4d\x18", 4, "unlz4", "liblz4", LZ4},
	{"lz4", "\x02\x21\x4c\x18", 4, "unlz4", "liblz4", LZ4}, /* an older format of it */
	{"bzip2", "BZh", 3, "bunzip2", NULL, NULL},
	{"lzop", "\x89LZO", 4, "lzop -d", NULL, NULL},
};

static const struct packing *find_packing(const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(packings); i++)
		if (n > packings[i].n && !memcmp(data, packings[i].magic, packings[i].n))
			return &packings[i];
	return NULL;
}

int unpack_grow(struct unpack_sink *sink)
{
	size_t room = sink->room ? 2 * sink->room : FIRST_ROOM;
	uint8_t *data;

	if (sink->size < sink->room)
		return 0;
	if (sink->room >= sink->max)
		return -EFBIG;
	room = min_u64(room, sink->max);
	data = realloc(sink->data, room);
	if (!data)
		return -ENOMEM;
	sink->data = data;
	sink->room = room;
	return 0;
}

/* ---- an EFI program around it ---- */

/* "MZ", two bytes, "zimg", where the kernel begins, its size; four bytes more, how it is packed. */
#define ZBOOT_HEADER 56
#define ZBOOT_MAGIC  4
#define ZBOOT_OFFSET 8
#define ZBOOT_SIZE   12

/* The part of the file that is packed: all of it, or what a zboot header names. */
static int find_payload(const struct boot_file *f, const uint8_t **from, size_t *n,
			struct error *err)
{
	uint32_t offset, size;

	*from = f->data;
	*n = f->size;
	if (f->size < ZBOOT_HEADER || memcmp(f->data, "MZ", 2) ||
	    memcmp(f->data + ZBOOT_MAGIC, "zimg", 4))
		return 0;
	offset = le32_at(f->data + ZBOOT_OFFSET);
	size = le32_at(f->data + ZBOOT_SIZE);
	if (offset > f->size || size > f->size - offset)
		return error_set(err, -ENOEXEC,
				 "%s ends before the kernel in it does: it is cut off.", f->name);
	*from += offset;
	*n = size;
	return 0;
}

/* ---- all of it ---- */

static int refuse(const struct boot_file *f, const struct packing *p, int rc, struct error *err)
{
	switch (rc) {
	case -EFBIG:
		return error_set(
			err, rc,
			"%s is compressed by %s, and what is in it is too big for a kernel "
			"(%llu MiB at most).",
			f->name, p->name, (unsigned long long)(UNPACK_MAX >> 20));
	case -ENODATA:
		return error_set(err, -ENOEXEC, "%s is compressed by %s, and cut off.", f->name,
				 p->name);
	case -EBADMSG:
		return error_set(err, -ENOEXEC, "%s is compressed by %s, and damaged.", f->name,
				 p->name);
	default:
		return error_set(err, rc, "%s, compressed by %s, cannot be unpacked", f->name,
				 p->name);
	}
}

int boot_unpack(struct boot_file *f, struct error *err)
{
	struct unpack_sink sink = {.max = UNPACK_MAX};
	const struct packing *p;
	const uint8_t *from;
	size_t n;
	int rc = find_payload(f, &from, &n, err);

	if (rc)
		return rc;
	p = find_packing(from, n);
	if (!p && from == f->data)
		return 0;
	if (!p)
		return error_set(
			err, -ENOEXEC,
			"%s is an EFI program with a kernel that is packed in an unknown way.",
			f->name);
	if (!p->unpack && p->library)
		return error_set(err, -ENOEXEC,
				 "%s is compressed by %s, and this program was built without %s: "
				 "unpack it with %s.",
				 f->name, p->name, p->library, p->tool);
	if (!p->unpack)
		return error_set(err, -ENOEXEC, "%s is compressed by %s: unpack it with %s.",
				 f->name, p->name, p->tool);
	rc = p->unpack(&sink, from, n);
	if (!rc && !sink.size)
		rc = -ENODATA;
	if (rc) {
		free(sink.data);
		return refuse(f, p, rc, err);
	}
	free(f->data);
	f->data = sink.data;
	f->size = sink.size;
	return 0;
}
