/* SPDX-License-Identifier: MIT */
/* gzip (RFC 1952): members, one behind the other. */
#include "backend/machine/unpack.h"

#include <errno.h>
#include <zlib.h>

#define WITH_GZIP_HEADER (16 + MAX_WBITS)

static bool is_member(const z_stream *z)
{
	return z->avail_in > 2 && z->next_in[0] == 0x1f && z->next_in[1] == 0x8b;
}

static int unpack_members(z_stream *z, struct unpack_sink *sink)
{
	for (;;) {
		size_t room;
		int rc = unpack_grow(sink);

		if (rc)
			return rc;
		room = sink->room - sink->size;
		z->next_out = sink->data + sink->size;
		z->avail_out = (uInt)room;
		rc = inflate(z, Z_NO_FLUSH);
		sink->size += room - z->avail_out;
		if (rc == Z_MEM_ERROR)
			return -ENOMEM;
		if (rc == Z_STREAM_END) {
			if (!is_member(z))
				return 0;
			if (inflateReset(z) != Z_OK)
				return -EBADMSG;
		} else if (rc != Z_OK && rc != Z_BUF_ERROR) {
			return -EBADMSG;
		} else if (!z->avail_in && z->avail_out) {
			return -ENODATA;
		}
	}
}

/* A file of a kernel has at most 2 GiB, so its size fits. */
int unpack_gzip(struct unpack_sink *sink, const uint8_t *from, size_t n)
{
	z_stream z = {.next_in = (Bytef *)from, .avail_in = (uInt)n};
	int rc;

	if (inflateInit2(&z, WITH_GZIP_HEADER) != Z_OK)
		return -ENOMEM;
	rc = unpack_members(&z, sink);
	inflateEnd(&z);
	return rc;
}
