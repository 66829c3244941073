/* SPDX-License-Identifier: MIT */
/* xz, and the older lzma. */
#include "backend/machine/unpack.h"

#include <errno.h>
#include <lzma.h>

/* What unpacking may take: twice what `xz -9` makes it take. */
#define MEMORY_MAX (UINT64_C(128) << 20)

static int unpack_stream(lzma_stream *s, struct unpack_sink *sink)
{
	for (;;) {
		lzma_ret ret;
		size_t room;
		int rc = unpack_grow(sink);

		if (rc)
			return rc;
		room = sink->room - sink->size;
		s->next_out = sink->data + sink->size;
		s->avail_out = room;
		ret = lzma_code(s, LZMA_RUN);
		sink->size += room - s->avail_out;
		if (ret == LZMA_STREAM_END)
			return 0;
		if (ret == LZMA_MEM_ERROR || ret == LZMA_MEMLIMIT_ERROR)
			return -ENOMEM;
		if (ret == LZMA_BUF_ERROR || (ret == LZMA_OK && !s->avail_in && s->avail_out))
			return -ENODATA;
		if (ret != LZMA_OK)
			return -EBADMSG;
	}
}

int unpack_lzma(struct unpack_sink *sink, const uint8_t *from, size_t n)
{
	lzma_stream s = LZMA_STREAM_INIT;
	int rc;

	if (lzma_auto_decoder(&s, MEMORY_MAX, 0) != LZMA_OK)
		return -ENOMEM;
	s.next_in = from;
	s.avail_in = n;
	rc = unpack_stream(&s, sink);
	lzma_end(&s);
	return rc;
}
