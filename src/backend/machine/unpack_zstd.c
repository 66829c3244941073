/* SPDX-License-Identifier: MIT */
/* zstd (RFC 8878): frames, one behind the other. */
#include "backend/machine/unpack.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>

static bool is_frame(const ZSTD_inBuffer *in)
{
	static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd};

	return in->size - in->pos > sizeof(magic) &&
	       !memcmp((const uint8_t *)in->src + in->pos, magic, sizeof(magic));
}

/* A window above 128 MiB is refused by the library itself. */
static int unpack_frames(ZSTD_DStream *stream, struct unpack_sink *sink, ZSTD_inBuffer *in)
{
	for (;;) {
		ZSTD_outBuffer out;
		size_t left;
		int rc = unpack_grow(sink);

		if (rc)
			return rc;
		out = (ZSTD_outBuffer){.dst = sink->data + sink->size,
				       .size = sink->room - sink->size};
		left = ZSTD_decompressStream(stream, &out, in);
		if (ZSTD_isError(left))
			return -EBADMSG;
		sink->size += out.pos;
		if (!left && !is_frame(in))
			return 0;
		if (left && in->pos == in->size && out.pos < out.size)
			return -ENODATA;
	}
}

int unpack_zstd(struct unpack_sink *sink, const uint8_t *from, size_t n)
{
	ZSTD_inBuffer in = {.src = from, .size = n};
	ZSTD_DStream *stream = ZSTD_createDStream();
	int rc;

	if (!stream)
		return -ENOMEM;
	rc = unpack_frames(stream, sink, &in);
	ZSTD_freeDStream(stream);
	return rc;
}
