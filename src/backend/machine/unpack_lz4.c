/* SPDX-License-Identifier: MIT */
/*
 * lz4: its frames, and the older format that Linux' builds use ("legacy": blocks of up to 8 MiB, each
 * behind its length, without an end).
 */
#include "backend/machine/unpack.h"

#include "base/endian.h"

#include <errno.h>
#include <lz4.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <string.h>

#define LEGACY_MAGIC UINT32_C(0x184c2102)
#define LEGACY_BLOCK (8 << 20)

/* ---- frames ---- */

static int unpack_frame(LZ4F_dctx *ctx, struct unpack_sink *sink, const uint8_t *from, size_t n)
{
	for (;;) {
		size_t room, taken = n, left;
		int rc = unpack_grow(sink);

		if (rc)
			return rc;
		room = sink->room - sink->size;
		left = LZ4F_decompress(ctx, sink->data + sink->size, &room, from, &taken, NULL);
		if (LZ4F_isError(left))
			return -EBADMSG;
		sink->size += room;
		from += taken;
		n -= taken;
		if (!left)
			return 0;
		if (!n && sink->size < sink->room)
			return -ENODATA;
	}
}

static int unpack_frames(struct unpack_sink *sink, const uint8_t *from, size_t n)
{
	LZ4F_dctx *ctx;
	int rc;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION)))
		return -ENOMEM;
	rc = unpack_frame(ctx, sink, from, n);
	LZ4F_freeDecompressionContext(ctx);
	return rc;
}

/* ---- blocks ---- */

static int unpack_block(struct unpack_sink *sink, uint8_t *block, const uint8_t *from, size_t n)
{
	int len = LZ4_decompress_safe((const char *)from, (char *)block, (int)n, LEGACY_BLOCK);
	const uint8_t *rest = block;
	size_t left, here;
	int rc;

	if (len < 0)
		return -EBADMSG;
	for (left = (size_t)len; left; left -= here, rest += here) {
		rc = unpack_grow(sink);
		if (rc)
			return rc;
		here = sink->room - sink->size;
		here = here < left ? here : left;
		memcpy(sink->data + sink->size, rest, here);
		sink->size += here;
	}
	return 0;
}

/* A length that cannot be is where the blocks end: Linux' builds put the unpacked size there. */
static int unpack_blocks(struct unpack_sink *sink, uint8_t *block, const uint8_t *from, size_t n)
{
	while (n >= sizeof(uint32_t)) {
		uint32_t len = le32_at(from);
		int rc;

		from += sizeof(len);
		n -= sizeof(len);
		if (len == LEGACY_MAGIC)
			continue;
		if (!len || len > (uint32_t)LZ4_compressBound(LEGACY_BLOCK))
			return 0;
		if (len > n)
			return -ENODATA;
		rc = unpack_block(sink, block, from, len);
		if (rc)
			return rc;
		from += len;
		n -= len;
	}
	return 0;
}

int unpack_lz4(struct unpack_sink *sink, const uint8_t *from, size_t n)
{
	uint8_t *block;
	int rc;

	if (n < sizeof(uint32_t) || le32_at(from) != LEGACY_MAGIC)
		return unpack_frames(sink, from, n);
	block = malloc(LEGACY_BLOCK);
	if (!block)
		return -ENOMEM;
	rc = unpack_blocks(sink, block, from, n);
	free(block);
	return rc;
}
