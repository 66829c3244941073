/* SPDX-License-Identifier: MIT */
/*
 * What a verified write puts into each sector of 512 bytes: where the sector belongs, who wrote it
 * and for the how-manyth time, a filling that depends on all three, and a checksum over it all.  So
 * a sector tells by itself whether it is whole and at its place, and to those who kept count
 * whether it is the last one written there.
 *
 *	word of 8 bytes, little-endian	0 magic  1 sector  2 run  3 generation  4-62 filling  63 checksum
 *
 * Threads: any; nothing is kept.
 */
#ifndef BENCH_STAMP_H
#define BENCH_STAMP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_SIZE 512u

struct stamp {
	uint64_t sector;
	uint64_t run;	     /* one program run has one number */
	uint64_t generation; /* from 1 */
};

void stamp_write(void *sector, const struct stamp *stamp);

/* Makes a sector unlike any stamped one, so that a read that brings nothing is seen. */
void stamp_spoil(void *sector);

enum stamp_state {
	STAMP_GOOD,
	STAMP_UNTOUCHED, /* still spoiled: the read brought nothing */
	STAMP_ZEROES,	 /* nothing but zeroes: never written, or lost */
	STAMP_NONE,	 /* no stamp at all */
	STAMP_DAMAGED,	 /* a stamp, but the checksum does not fit */
	STAMP_MISPLACED, /* whole, of another sector */
	STAMP_OTHER_RUN, /* whole, written by another run: an own write was lost */
	STAMP_OLD, /* whole, of an earlier generation: a write was lost or an old one repeated */
	STAMP_NEW, /* whole, of a generation that was never written */
};

/* @want: what has to be there; with @any_run run and generation are not looked at. */
enum stamp_state stamp_check(const void *sector, const struct stamp *want, bool any_run);

/* Says in @err what is wrong with the sector. */
void stamp_explain(const void *sector, const struct stamp *want, enum stamp_state state,
		   struct error *err);

#endif
