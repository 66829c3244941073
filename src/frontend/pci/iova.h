/* SPDX-License-Identifier: MIT */
/*
 * Addresses that a device behind an IOMMU may be given for our memory: which ones the IOMMU can
 * translate, and which are taken.
 *
 * Invariants: what is handed out lies in one allowed range, overlaps nothing that was handed out
 * before, and is never near 0, which some devices take for "nothing".
 *
 * Threads: the owner's.
 */
#ifndef FRONTEND_PCI_IOVA_H
#define FRONTEND_PCI_IOVA_H

#include <stdint.h>

#define IOVA_RANGES_MAX 32
#define IOVA_TAKEN_MAX	64

struct iova_range {
	uint64_t first, last; /* both inside */
};

struct iova_space {
	uint64_t page; /* everything starts and ends at a multiple of it */
	struct iova_range allowed[IOVA_RANGES_MAX];
	unsigned n_allowed;
	struct iova_range taken[IOVA_TAKEN_MAX];
	unsigned n_taken;
};

/* @page: a power of two.  Nothing is allowed yet. */
void iova_init(struct iova_space *s, uint64_t page);
/* What is beyond IOVA_RANGES_MAX, or no range at all, is left out. */
void iova_allow(struct iova_space *s, uint64_t first, uint64_t last);

/*
 * A free place for @size bytes, a multiple of the page.  -EINVAL: it is not;
 * -ENOSPC: there is none.
 */
int iova_take(struct iova_space *s, uint64_t size, uint64_t *at);
/* Gives back what iova_take() handed out. */
void iova_give(struct iova_space *s, uint64_t at);

#endif
