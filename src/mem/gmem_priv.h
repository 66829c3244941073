/* SPDX-License-Identifier: MIT */
/* The inside of src/mem. */
#ifndef MEM_GMEM_PRIV_H
#define MEM_GMEM_PRIV_H

#include "mem/gmem.h"

#define GMEM_LOG_PAGE 4096

struct gmem_mapping {
	uint32_t refs; /* maps that hold it (atomic)                */
	bool lost;     /* a page went away and was replaced (atomic) */
	bool ours;     /* to be unmapped by us                      */
	uint8_t *base;
	size_t len;
};

/* One bit per page of guest memory; shared with whoever migrates the guest. */
struct gmem_log {
	uint8_t *bits;
	uint64_t size; /* bytes of @bits */
};

#endif
