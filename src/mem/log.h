/* SPDX-License-Identifier: MIT */
/*
 * The dirty log: one bit for each page of guest memory that a device has written to, for whoever
 * moves the guest.
 *
 * A log covers the memory of all maps that had it (gmem_with_log()), also what has been taken out of
 * them since.  Bits are set by whoever writes, behind the write: the mover takes a bit first and
 * copies the page then, so a bit that is set before the write is lost with it.
 *
 * What is covered and what is asked for is a stranger's choice.  So no page has two bits, however
 * memory is taken out and brought back in other pieces, a piece is found by a binary search, and a
 * look at a range costs what is dirty in it, and next to nothing for what is clean.
 *
 * Threads: marking from any; everything else on the control thread.
 */
#ifndef MEM_LOG_H
#define MEM_LOG_H

#include <stdint.h>

#define GMEM_LOG_PAGE UINT64_C(4096)

/* Pieces of memory, and pages in all of them (64 TiB: bits of 2 GiB, if all is written to); more
 * are refused. */
#define GMEM_LOG_PIECES_MAX 1024
#define GMEM_LOG_PAGES_MAX  (UINT64_C(1) << 34)

struct gmem_log;

/* NULL: no memory. */
struct gmem_log *gmem_log_new(void);
struct gmem_log *gmem_log_get(struct gmem_log *log);
void gmem_log_put(struct gmem_log *log);

/* From now on it has bits for that range.  0, -ENOMEM, -ENOSPC. */
int gmem_log_cover(struct gmem_log *log, uint64_t gpa, uint64_t size);

/* Pages that are not covered are passed over. */
void gmem_log_mark(struct gmem_log *log, uint64_t gpa, uint64_t len);

/*
 * Takes the bits of a range, which is in whole pages, out of the log: @bitmap, zeroed, gets one bit
 * for each @page_size bytes, a power of two, from @gpa on.
 */
void gmem_log_take(struct gmem_log *log, uint64_t gpa, uint64_t len, uint64_t page_size,
		   uint64_t *bitmap);

#endif
