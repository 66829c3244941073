/* SPDX-License-Identifier: MIT */
#include "storage/bounce.h"

#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

void bounce_init(struct bounce_pool *p, size_t align)
{
	*p = (struct bounce_pool){.align = align};
}

void bounce_fini(struct bounce_pool *p)
{
	while (p->nidle)
		free(p->idle[--p->nidle]);
}

void *bounce_get(struct bounce_pool *p)
{
	void *buf;

	if (p->nidle)
		return p->idle[--p->nidle];
	if (p->nmade == BOUNCE_MAX)
		return NULL;
	buf = aligned_alloc(p->align, BOUNCE_BYTES);
	if (buf)
		p->nmade++;
	return buf;
}

void bounce_put(struct bounce_pool *p, void *buf)
{
	p->idle[p->nidle++] = buf;
}

bool iov_is_aligned(const struct iovec *iov, int n, size_t addr_align, size_t len_align)
{
	uintptr_t addrs = 0;
	size_t lens = 0;

	for (int i = 0; i < n; i++) {
		addrs |= (uintptr_t)iov[i].iov_base;
		lens |= iov[i].iov_len;
	}
	return !(addrs & (addr_align - 1)) && !(lens & (len_align - 1));
}

/* The first piece of the vector behind @skip bytes, at most @len long; moves on past it.  0: the
 * vector has ended. */
static size_t next_piece(const struct iovec **iov, int *n, uint64_t *skip, size_t len, uint8_t **at)
{
	for (; *n; (*iov)++, (*n)--) {
		if (*skip < (*iov)->iov_len) {
			size_t size = min_u64((*iov)->iov_len - *skip, len);

			*at = (uint8_t *)(*iov)->iov_base + *skip;
			*skip += size;
			return size;
		}
		*skip -= (*iov)->iov_len;
	}
	return 0;
}

void iov_gather(const struct iovec *iov, int n, uint64_t skip, void *buf, size_t len)
{
	uint8_t *to = buf, *at;
	size_t size;

	for (; len && (size = next_piece(&iov, &n, &skip, len, &at)); len -= size, to += size)
		memcpy(to, at, size);
}

void iov_scatter(const struct iovec *iov, int n, uint64_t skip, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	uint8_t *at;
	size_t size;

	for (; len && (size = next_piece(&iov, &n, &skip, len, &at)); len -= size, from += size)
		memcpy(at, from, size);
}

static void iov_move(struct iovec *iov, int64_t by)
{
	iov->iov_base = (uint8_t *)iov->iov_base + by;
	iov->iov_len -= (size_t)by;
}

int iov_cut(struct iovec *iov, int n, uint64_t len)
{
	int i = 0;

	while (i < n && len >= iov[i].iov_len)
		len -= iov[i++].iov_len;
	if (i < n)
		iov_move(&iov[i], (int64_t)len);
	return i;
}

void iov_uncut(struct iovec *iov, int i, uint64_t len)
{
	for (int before = 0; before < i; before++)
		len -= iov[before].iov_len;
	if (len)
		iov_move(&iov[i], -(int64_t)len);
}

void iov_window_open(struct iov_window *w, struct iovec *iov, uint64_t skip, uint64_t len)
{
	int i = 0, last;
	uint64_t left;

	while (skip >= iov[i].iov_len)
		skip -= iov[i++].iov_len;
	left = skip + len;
	for (last = i; left > iov[last].iov_len; last++)
		left -= iov[last].iov_len;
	*w = (struct iov_window){
		.first = i, .last = last, .was_first = iov[i], .was_last = iov[last]};
	iov[last].iov_len = (size_t)left;
	iov_move(&iov[i], (int64_t)skip);
}

void iov_window_close(const struct iov_window *w, struct iovec *iov)
{
	iov[w->last] = w->was_last;
	iov[w->first] = w->was_first;
}
