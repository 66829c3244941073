/* SPDX-License-Identifier: MIT */
/* The inside of src/mem. */
#ifndef MEM_GMEM_PRIV_H
#define MEM_GMEM_PRIV_H

#include "mem/gmem.h"

struct gmem_mapping {
	uint32_t refs; /* maps that hold it (atomic)                     */
	bool lost;     /* a page went away and was replaced; lineage lock */
	bool ours;     /* to be unmapped by us                           */
	uint8_t *base;
	size_t len;
	size_t page;	/* what goes away at once: a huge page, on hugetlbfs */
	uint32_t holes; /* pages that were replaced; under the lineage's lock */
};

/*
 * Maps made from one another.  Only they share mappings, and several of them may be in use at the
 * same time, while workers move from one to the next; when a page goes away under one of them, all
 * have to know.  The lock is taken in a signal handler: under it no guest memory is touched, so the
 * handler never waits for its own thread.
 */
struct gmem_lineage {
	uint32_t refs; /* maps; under the lock */
	bool locked;   /* a spin lock, held for a few instructions */
	struct list maps;
};
void gmem_lineage_lock(struct gmem_lineage *l);
void gmem_lineage_unlock(struct gmem_lineage *l);

#endif
