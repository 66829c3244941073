/* SPDX-License-Identifier: MIT */
#include "mem/log.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>

/*
 * A group of pages has a bit, too, which is set behind its pages' bits and cleared before they are
 * looked at: most are clean, and a look at a large range costs little.
 */
#define GROUP UINT64_C(4096)

/* Never taken out while the log is there: whoever marks looks at them without a lock. */
struct log_piece {
	uint64_t first, last; /* pages */
	uint64_t *groups;     /* behind the pages' bits */
	uint64_t bits[];
};

/* Sorted; no page is in two of them. */
struct log_pieces {
	struct log_pieces *before; /* as they were: somebody may still look there */
	uint32_t n;
	struct log_piece *at[];
};

struct gmem_log {
	uint32_t refs; /* atomic */
	uint64_t pages;
	struct log_pieces *pieces; /* released, acquired; NULL: none */
};

struct gmem_log *gmem_log_new(void)
{
	struct gmem_log *log = calloc(1, sizeof(*log));

	if (log)
		log->refs = 1;
	return log;
}

struct gmem_log *gmem_log_get(struct gmem_log *log)
{
	__atomic_add_fetch(&log->refs, 1, __ATOMIC_RELAXED);
	return log;
}

void gmem_log_put(struct gmem_log *log)
{
	if (!log || __atomic_sub_fetch(&log->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (uint32_t i = 0; log->pieces && i < log->pieces->n; i++)
		free(log->pieces->at[i]);
	while (log->pieces) {
		struct log_pieces *all = log->pieces;

		log->pieces = all->before;
		free(all);
	}
	free(log);
}

/* ---- pieces ---- */

static const struct log_pieces *log_pieces(const struct gmem_log *log)
{
	static const struct log_pieces none;
	const struct log_pieces *all = __atomic_load_n(&log->pieces, __ATOMIC_ACQUIRE);

	return all ? all : &none;
}

/* The first that ends at @page or behind it; their number: none. */
static uint32_t log_find(const struct log_pieces *all, uint64_t page)
{
	uint32_t low = 0, high = all->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (all->at[mid]->last < page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static struct log_piece *log_piece_new(uint64_t first, uint64_t last)
{
	uint64_t words = (last - first) / 64 + 1, groups = (last - first) / GROUP / 64 + 1;
	struct log_piece *piece = calloc(1, sizeof(*piece) + (words + groups) * sizeof(uint64_t));

	if (!piece)
		return NULL;
	piece->first = first;
	piece->last = last;
	piece->groups = piece->bits + words;
	return piece;
}

/* One more, in front of number @at. */
static int log_add(struct gmem_log *log, uint32_t at, uint64_t first, uint64_t last)
{
	const struct log_pieces *all = log_pieces(log);
	struct log_pieces *next;

	if (all->n == GMEM_LOG_PIECES_MAX || last - first >= GMEM_LOG_PAGES_MAX - log->pages)
		return -ENOSPC;
	next = malloc(sizeof(*next) + (all->n + 1) * sizeof(next->at[0]));
	if (!next)
		return -ENOMEM;
	next->at[at] = log_piece_new(first, last);
	if (!next->at[at]) {
		free(next);
		return -ENOMEM;
	}
	next->before = log->pieces;
	next->n = all->n + 1;
	for (uint32_t i = 0; i < all->n; i++)
		next->at[i < at ? i : i + 1] = all->at[i];
	log->pages += last - first + 1;
	__atomic_store_n(&log->pieces, next, __ATOMIC_RELEASE);
	return 0;
}

int gmem_log_cover(struct gmem_log *log, uint64_t gpa, uint64_t size)
{
	uint64_t first = gpa / GMEM_LOG_PAGE, last = (gpa + (size - 1)) / GMEM_LOG_PAGE;

	/* The gaps between those that there are. */
	for (;;) {
		const struct log_pieces *all = log_pieces(log);
		uint32_t at = log_find(all, first);
		const struct log_piece *next = at < all->n ? all->at[at] : NULL;

		if (!next || next->first > first) {
			uint64_t end = next ? min_u64(last, next->first - 1) : last;
			int rc = log_add(log, at, first, end);

			if (rc || end == last)
				return rc;
			first = end + 1;
		} else if (next->last >= last) {
			return 0;
		} else {
			first = next->last + 1;
		}
	}
}

/* The part of [first, last] that the piece has, from its beginning. */
struct log_part {
	uint64_t first, last;
};

static struct log_part log_part(const struct log_piece *piece, uint64_t first, uint64_t last)
{
	return (struct log_part){max_u64(first, piece->first) - piece->first,
				 min_u64(last, piece->last) - piece->first};
}

/* The bits of [page, ...] in one word, as far as @last; how many. */
static uint64_t log_mask(uint64_t page, uint64_t last, uint64_t *n)
{
	*n = min_u64(64 - page % 64, last - page + 1);
	return (*n == 64 ? UINT64_MAX : BIT64(*n) - 1) << page % 64;
}

/* ---- marks ---- */

static void log_mark(struct log_piece *piece, struct log_part part)
{
	uint64_t n;

	for (uint64_t page = part.first; page <= part.last; page += n)
		__atomic_fetch_or(&piece->bits[page / 64], log_mask(page, part.last, &n),
				  __ATOMIC_SEQ_CST);
	for (uint64_t g = part.first / GROUP; g <= part.last / GROUP; g++)
		__atomic_fetch_or(&piece->groups[g / 64], BIT64(g % 64), __ATOMIC_SEQ_CST);
}

void gmem_log_mark(struct gmem_log *log, uint64_t gpa, uint64_t len)
{
	const struct log_pieces *all = log_pieces(log);
	uint64_t first = gpa / GMEM_LOG_PAGE, last = (gpa + (len - 1)) / GMEM_LOG_PAGE;

	if (!len)
		return;
	for (uint32_t i = log_find(all, first); i < all->n && all->at[i]->first <= last; i++)
		log_mark(all->at[i], log_part(all->at[i], first, last));
}

/* ---- taking ---- */

/* The page at @offset from the beginning of the range is dirty. */
static void log_show(uint64_t offset, uint64_t len, uint64_t page_size, uint64_t *bitmap)
{
	uint64_t last = min_u64(offset + (GMEM_LOG_PAGE - 1), len - 1);

	for (uint64_t bit = offset / page_size; bit <= last / page_size; bit++)
		bitmap[bit / 64] |= BIT64(bit % 64);
}

/* What is asked for, from page @first on. */
struct log_question {
	uint64_t first, len, page_size;
	uint64_t *bitmap;
};

static void log_take_word(struct log_piece *piece, uint64_t page, uint64_t mask,
			  const struct log_question *q)
{
	uint64_t *word = &piece->bits[page / 64], dirty = 0;

	if (__atomic_load_n(word, __ATOMIC_RELAXED) & mask)
		dirty = __atomic_fetch_and(word, ~mask, __ATOMIC_SEQ_CST) & mask;
	for (; dirty; dirty &= dirty - 1) {
		unsigned bit = (unsigned)__builtin_ctzll(dirty);

		log_show((piece->first + align_down(page, 64) + bit - q->first) * GMEM_LOG_PAGE,
			 q->len, q->page_size, q->bitmap);
	}
}

/* The part of it that lies in group @g, which may be dirty. */
static void log_take_group(struct log_piece *piece, uint64_t g, struct log_part part,
			   const struct log_question *q)
{
	uint64_t *word = &piece->groups[g / 64], n;
	uint64_t first = max_u64(part.first, g * GROUP),
		 last = min_u64(part.last, g * GROUP + (GROUP - 1));

	__atomic_fetch_and(word, ~BIT64(g % 64), __ATOMIC_SEQ_CST);
	for (uint64_t page = first; page <= last; page += n)
		log_take_word(piece, page, log_mask(page, last, &n), q);
	/* The rest of it has not been looked at. */
	if (last - first < GROUP - 1)
		__atomic_fetch_or(word, BIT64(g % 64), __ATOMIC_SEQ_CST);
}

static void log_take(struct log_piece *piece, struct log_part part, const struct log_question *q)
{
	for (uint64_t g = part.first / GROUP; g <= part.last / GROUP;) {
		uint64_t dirty = __atomic_load_n(&piece->groups[g / 64], __ATOMIC_RELAXED) >>
				 g % 64;

		if (dirty & 1)
			log_take_group(piece, g, part, q);
		g += dirty ? 1 : 64 - g % 64;
	}
}

void gmem_log_take(struct gmem_log *log, uint64_t gpa, uint64_t len, uint64_t page_size,
		   uint64_t *bitmap)
{
	const struct log_pieces *all = log_pieces(log);
	uint64_t first = gpa / GMEM_LOG_PAGE, last = first + (len / GMEM_LOG_PAGE - 1);
	const struct log_question q = {first, len, page_size, bitmap};

	for (uint32_t i = log_find(all, first); i < all->n && all->at[i]->first <= last; i++)
		log_take(all->at[i], log_part(all->at[i], first, last), &q);
}
