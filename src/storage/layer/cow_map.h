/* SPDX-License-Identifier: MIT */
/*
 * Which sectors of a disk are in its overlay: the map of the cow layer, in memory.
 *
 * Each sector of 512 bytes is in one of three states; none ever goes back to COW_BASE:
 *
 *	COW_BASE --> COW_DATA <--> COW_ZERO
 *	    `------------------------^
 *
 * A sector is the smallest thing that is written, so nothing is ever copied up from the base, and
 * no two requests have to wait for each other.
 *
 * @now is what holds; it is changed by every request.  The overlay has it twice, and of each there is
 * an image in memory, which is what is there or, of a page that is FLYING, what is on its way:
 *
 *	COW_RECENT	what has been done: it counts when this program was killed
 *	COW_STABLE	what is stable, and whose data are: it counts when the host has failed
 *
 * Of each image a page of 4096 bytes is
 *
 *	DIRTY	@now may say something else
 *	FLYING	taken from @now, and not known to have arrived
 *
 *	cow_map_set()    the sectors in @now, then DIRTY, unless the image has them and does not fly
 *	cow_map_take()   FLYING, then not DIRTY, then @now is copied to the image
 *	cow_map_landed() what flew has arrived;  cow_map_lost(): it is DIRTY again, and still FLYING
 *
 * What is set is either in the copy, or makes the page DIRTY behind it: a setter that finds a page
 * that does not fly has set its sectors before the next cow_map_take() reads them.  So does one who
 * finds his sectors set already: who did it may not have come to DIRTY yet.  What an image says has
 * arrived if its page flies neither before nor behind that look.  All of these accesses are of one
 * order (SEQ_CST).
 *
 * Threads: any for set, run and has; of each image take, landed and lost one at a time.  No locks.
 */
#ifndef STORAGE_LAYER_COW_MAP_H
#define STORAGE_LAYER_COW_MAP_H

#include "base/endian.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COW_SECTOR   512u
#define COW_PAGE     4096u
#define COW_WORDS    63u /* of 32 states each, in a sector of the map; the 64th is its sum */
#define COW_PER_MAP  ((uint64_t)COW_WORDS * 32) /* sectors, by a sector of the map */
#define COW_PER_PAGE ((uint64_t)(COW_PAGE / COW_SECTOR) * COW_PER_MAP) /* by a page             */

enum cow_state {
	COW_BASE = 0,
	COW_DATA = 1,
	COW_ZERO = 2,
};

enum cow_which {
	COW_RECENT,
	COW_STABLE,
	COW_IMAGES,
};

struct cow_image {
	uint64_t *words;	  /* atomic, as they are in the overlay; read by I/O, too */
	uint64_t *dirty, *flying; /* atomic; a bit for each page                          */
};

struct cow_map {
	uint64_t sectors; /* of the disk */
	uint64_t pages;	  /* of the map  */
	uint8_t id[16];	  /* goes into the sums: a sector of another overlay is none of ours */
	uint64_t *now;	  /* atomic words */
	struct cow_image image[COW_IMAGES];
	uint64_t in_state[3]; /* atomic: sectors; that of COW_BASE is not kept */
};

/* Pages of the map of a disk. */
static inline uint64_t cow_map_pages(uint64_t sectors)
{
	return (sectors + COW_PER_PAGE - 1) / COW_PER_PAGE;
}

/* All of it is base.  -ENOMEM.  Memory comes as the disk is written to. */
int cow_map_init(struct cow_map *m, uint64_t sectors, const uint8_t *id);
/* Harmless when zeroed. */
void cow_map_fini(struct cow_map *m);

/* What protects sectors of the map and the overlay's header: of @n words, for place @index. */
uint64_t cow_sum(const uint8_t *id, uint64_t index, const void *words, size_t n);

/*
 * Takes over a page of an image as it was read, before anything else is done: first those of
 * COW_STABLE, then those of COW_RECENT, whose sectors that were written count instead.  -EBADMSG:
 * sector *bad of the map is not as it was written.
 */
int cow_map_load(struct cow_map *m, enum cow_which which, uint64_t page, const void *bytes,
		 uint64_t *bad);

/* How many sectors from @from on, no more than @most, are in the same state, and which. */
uint64_t cow_map_run(const struct cow_map *m, uint64_t from, uint64_t most, enum cow_state *state);
/* Whether one of the sectors was in COW_DATA. */
bool cow_map_set(struct cow_map *m, uint64_t from, uint64_t n, enum cow_state state);
/* Whether all of them are in that state in what has arrived. */
bool cow_map_has(const struct cow_map *m, enum cow_which which, uint64_t from, uint64_t n,
		 enum cow_state state);

/*
 * Takes the next pages that are dirty, no more than @most, from page *at on; *at moves behind them,
 * m->pages at the end.  How many.
 */
uint64_t cow_map_take(struct cow_map *m, enum cow_which which, uint64_t *at, uint64_t most);
/* The next run of pages that fly, of [*at, end), no more than @most; *at is where it begins. 0: none. */
uint64_t cow_map_flying(const struct cow_map *m, enum cow_which which, uint64_t *at, uint64_t end,
			uint64_t most);
void cow_map_landed(struct cow_map *m, enum cow_which which);
void cow_map_lost(struct cow_map *m, enum cow_which which);

#endif
