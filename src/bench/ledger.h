/* SPDX-License-Identifier: MIT */
/*
 * What --verify knows about its share of the disk: for each unit (the greatest size that divides
 * all of the job's block sizes) how often it was written, whether that is known, and whether a
 * request on it is under way.  Requests on one unit never overlap in time, so what must be there is
 * known exactly.
 *
 * Threads: its queue's owner.
 */
#ifndef BENCH_LEDGER_H
#define BENCH_LEDGER_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger {
	uint64_t begin, end; /* bytes */
	uint32_t unit;
	uint64_t units;
	uint32_t *state; /* private; one per unit */
};

/* The share is [begin, end), a whole number of units. */
int ledger_init(struct ledger *l, uint64_t begin, uint64_t end, uint32_t unit, struct error *err);
void ledger_fini(struct ledger *l);

/* Offsets and lengths are whole units inside the share. */

/* Marks a range as under way; false, and nothing is marked, when a part of it is already. */
bool ledger_take(struct ledger *l, uint64_t offset, uint32_t len);
void ledger_give(struct ledger *l, uint64_t offset, uint32_t len);
/* How often the unit was written; 0: never, or not known. */
uint32_t ledger_generation(const struct ledger *l, uint64_t offset);
/* What the next write of the unit has to carry. */
uint32_t ledger_next(const struct ledger *l, uint64_t offset);
/* A write is done: each of its units now holds what ledger_next() said. */
void ledger_wrote(struct ledger *l, uint64_t offset, uint32_t len);
/* Each unit is now what @generation says, and the next ones what its successors say; false: one of
 * them was known already. */
bool ledger_put(struct ledger *l, uint64_t offset, uint32_t len, uint32_t generation);
#define LEDGER_GENERATIONS ((UINT32_C(1) << 30) - 1) /* the greatest one */
/* Nobody knows any more: discarded, or a write failed half-way. */
void ledger_forget(struct ledger *l, uint64_t offset, uint32_t len);

/* The next range of known units from @*pos on, at most @max bytes; false at the end.  Moves @*pos
 * behind it. */
bool ledger_scan(const struct ledger *l, uint64_t *pos, uint32_t max, uint64_t *offset,
		 uint32_t *len);

#endif
