/* SPDX-License-Identifier: MIT */
/*
 * Which request of a faulty disk fails, and how.
 *
 *	RULES	RULE[;RULE]...		the first one that a request meets counts
 *	RULE	KIND[:FIELD=VALUE]...
 *
 *	error	it is not carried out, and answered by an error
 *	short	a part at its front is; answered by an error
 *	torn	a write: some of its sectors are written, others are not; answered by an error
 *	lost	a change or a flush is answered as if it had been done, and has not been
 *	delay	it is carried out later
 *	hang	it stays until the rules change or the disk is to be quiet, and then goes on
 *
 *	op=read|write|flush|discard|zeroes|erase|lifetime|change|any
 *				change: write, discard, zeroes and erase
 *	offset=SIZE length=SIZE	what touches that part of the disk; not for flushes and lifetime
 *	after=N			not the first N that would meet it
 *	times=N			no more than N
 *	percent=N		each by chance, by the seed
 *	from=MS until=MS	since the disk was opened
 *	errno=NAME		EIO (the default), ENOSPC, ...; none: as if it had been done
 *	ms=N			of a delay
 *
 * Pure: the time is told by whoever asks.
 */
#ifndef STORAGE_LAYER_FAULTY_RULES_H
#define STORAGE_LAYER_FAULTY_RULES_H

#include "storage/storage.h"

#define FAULTY_RULES_MAX 16

enum faulty_kind {
	FAULTY_NONE,
	FAULTY_ERROR,
	FAULTY_SHORT,
	FAULTY_TORN,
	FAULTY_LOST,
	FAULTY_DELAY,
	FAULTY_HANG,
};

struct faulty_rule {
	enum faulty_kind kind;
	unsigned ops; /* 1 << enum storage_op */
	uint64_t offset, length;
	bool placed;
	uint64_t after, times, percent;
	uint64_t from_ms, until_ms;
	uint64_t delay_ms;
	int err; /* 0 or -errno */

	uint64_t met, applied;
};

struct faulty_rules {
	struct faulty_rule rules[FAULTY_RULES_MAX];
	unsigned n;
	uint64_t random; /* never 0 */
};

/* -EINVAL and a sentence. */
int faulty_rules_parse(struct faulty_rules *r, const char *text, uint32_t seed, struct error *err);
/* NULL: the request is well. */
const struct faulty_rule *faulty_rules_meet(struct faulty_rules *r, const struct storage_io *io,
					    uint64_t ms);
uint32_t faulty_random(uint64_t *state);

#endif
