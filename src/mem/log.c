/* SPDX-License-Identifier: MIT */
#include "mem/log.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>

/* Never taken out while the log is there: whoever marks walks along them without a lock. */
struct log_piece {
	struct log_piece *next;
	uint64_t first, last; /* pages */
	uint64_t bits[];
};

struct gmem_log {
	uint32_t refs; /* atomic */
	uint32_t n;
	struct log_piece *pieces; /* released, acquired */
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
	while (log->pieces) {
		struct log_piece *piece = log->pieces;

		log->pieces = piece->next;
		free(piece);
	}
	free(log);
}

static struct log_piece *log_pieces(const struct gmem_log *log)
{
	return __atomic_load_n(&log->pieces, __ATOMIC_ACQUIRE);
}

int gmem_log_cover(struct gmem_log *log, uint64_t gpa, uint64_t size)
{
	uint64_t first = gpa / GMEM_LOG_PAGE, last = (gpa + (size - 1)) / GMEM_LOG_PAGE;
	struct log_piece *piece;

	for (piece = log_pieces(log); piece; piece = piece->next)
		if (piece->first <= first && last <= piece->last)
			return 0;
	if (log->n == GMEM_LOG_PIECES_MAX)
		return -ENOSPC;
	piece = calloc(1, sizeof(*piece) + ((last - first) / 64 + 1) * sizeof(piece->bits[0]));
	if (!piece)
		return -ENOMEM;
	piece->first = first;
	piece->last = last;
	piece->next = log->pieces;
	__atomic_store_n(&log->pieces, piece, __ATOMIC_RELEASE);
	log->n++;
	return 0;
}

/* The part of [*first, *last] that the piece has; false: none. */
static bool log_part(const struct log_piece *piece, uint64_t *first, uint64_t *last)
{
	*first = max_u64(*first, piece->first);
	*last = min_u64(*last, piece->last);
	return *first <= *last;
}

void gmem_log_mark(struct gmem_log *log, uint64_t gpa, uint64_t len)
{
	if (!len)
		return;
	for (struct log_piece *piece = log_pieces(log); piece; piece = piece->next) {
		uint64_t first = gpa / GMEM_LOG_PAGE, last = (gpa + (len - 1)) / GMEM_LOG_PAGE;

		if (!log_part(piece, &first, &last))
			continue;
		for (uint64_t page = first - piece->first; page <= last - piece->first; page++)
			__atomic_fetch_or(&piece->bits[page / 64], BIT64(page % 64),
					  __ATOMIC_SEQ_CST);
	}
}

/* The page at @offset from the beginning of the range is dirty. */
static void log_show(uint64_t offset, uint64_t len, uint64_t page_size, uint64_t *bitmap)
{
	uint64_t last = min_u64(offset + (GMEM_LOG_PAGE - 1), len - 1);

	for (uint64_t bit = offset / page_size; bit <= last / page_size; bit++)
		bitmap[bit / 64] |= BIT64(bit % 64);
}

void gmem_log_take(struct gmem_log *log, uint64_t gpa, uint64_t len, uint64_t page_size,
		   uint64_t *bitmap)
{
	for (struct log_piece *piece = log_pieces(log); piece; piece = piece->next) {
		uint64_t first = gpa / GMEM_LOG_PAGE, last = first + (len / GMEM_LOG_PAGE - 1);

		if (!log_part(piece, &first, &last))
			continue;
		for (uint64_t page = first; page <= last;) {
			uint64_t at = page - piece->first,
				 n = min_u64(64 - at % 64, last - page + 1);
			uint64_t mask = (n == 64 ? UINT64_MAX : BIT64(n) - 1) << at % 64;
			uint64_t *word = &piece->bits[at / 64], dirty = 0;

			/* Most are clean. */
			if (__atomic_load_n(word, __ATOMIC_RELAXED) & mask)
				dirty = __atomic_fetch_and(word, ~mask, __ATOMIC_SEQ_CST) & mask;
			for (; dirty; dirty &= dirty - 1) {
				unsigned bit = (unsigned)__builtin_ctzll(dirty);

				log_show((page - at % 64 + bit - gpa / GMEM_LOG_PAGE) *
						 GMEM_LOG_PAGE,
					 len, page_size, bitmap);
			}
			page += n;
		}
	}
}
