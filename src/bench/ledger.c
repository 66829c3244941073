/* SPDX-License-Identifier: MIT */
#include "bench/ledger.h"

#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define BUSY	   (UINT32_C(1) << 31)
#define UNKNOWN	   (UINT32_C(1) << 30)
#define GENERATION (UNKNOWN - 1)

int ledger_init(struct ledger *l, uint64_t begin, uint64_t end, uint32_t unit, struct error *err)
{
	*l = (struct ledger){
		.begin = begin, .end = end, .unit = unit, .units = (end - begin) / unit};
	l->state = calloc(l->units, sizeof(*l->state));
	if (!l->state)
		return error_set(err, -ENOMEM,
				 "cannot keep account of %" PRIu64
				 " blocks for --verify; give a smaller --size or a larger --bs.",
				 l->units);
	return 0;
}

void ledger_fini(struct ledger *l)
{
	free(l->state);
	l->state = NULL;
}

static uint32_t *unit_at(const struct ledger *l, uint64_t offset)
{
	return &l->state[(offset - l->begin) / l->unit];
}

bool ledger_take(struct ledger *l, uint64_t offset, uint32_t len)
{
	uint32_t *u = unit_at(l, offset), n = len / l->unit;

	for (uint32_t i = 0; i < n; i++) {
		if (u[i] & BUSY)
			return false;
	}
	for (uint32_t i = 0; i < n; i++)
		u[i] |= BUSY;
	return true;
}

void ledger_give(struct ledger *l, uint64_t offset, uint32_t len)
{
	uint32_t *u = unit_at(l, offset), n = len / l->unit;

	for (uint32_t i = 0; i < n; i++)
		u[i] &= ~BUSY;
}

uint32_t ledger_generation(const struct ledger *l, uint64_t offset)
{
	uint32_t v = *unit_at(l, offset);

	return v & UNKNOWN ? 0 : v & GENERATION;
}

uint32_t ledger_next(const struct ledger *l, uint64_t offset)
{
	return (*unit_at(l, offset) & GENERATION) + 1;
}

void ledger_wrote(struct ledger *l, uint64_t offset, uint32_t len)
{
	uint32_t *u = unit_at(l, offset), n = len / l->unit;

	for (uint32_t i = 0; i < n; i++)
		u[i] = (u[i] & BUSY) | (((u[i] & GENERATION) + 1) & GENERATION);
}

bool ledger_put(struct ledger *l, uint64_t offset, uint32_t len, uint32_t generation)
{
	uint32_t *u = unit_at(l, offset), n = len / l->unit;
	bool fresh = true;

	_Static_assert(LEDGER_GENERATIONS == GENERATION, "as many as there are bits");
	for (uint32_t i = 0; i < n; i++) {
		fresh &= u[i] & UNKNOWN || !(u[i] & GENERATION);
		u[i] = (u[i] & BUSY) | ((generation + i) & GENERATION);
	}
	return fresh;
}

void ledger_forget(struct ledger *l, uint64_t offset, uint32_t len)
{
	uint32_t *u = unit_at(l, offset), n = len / l->unit;

	/*
	 * Counted on: what was under way may be there or not, and is not to look like the next one.
	 */
	for (uint32_t i = 0; i < n; i++)
		u[i] = (u[i] & BUSY) | UNKNOWN | (((u[i] & GENERATION) + 1) & GENERATION);
}

bool ledger_scan(const struct ledger *l, uint64_t *pos, uint32_t max, uint64_t *offset,
		 uint32_t *len)
{
	uint64_t at = *pos;

	while (at < l->end && !ledger_generation(l, at))
		at += l->unit;
	*offset = at;
	for (*len = 0; at < l->end && *len + l->unit <= max && ledger_generation(l, at);
	     at += l->unit)
		*len += l->unit;
	*pos = at;
	return *len != 0;
}
