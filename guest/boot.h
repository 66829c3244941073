/* SPDX-License-Identifier: MIT */
/* What the loader left for us. */
#ifndef GUEST_BOOT_H
#define GUEST_BOOT_H

#include <stdint.h>

struct boot {
	const char *way;    /* how we were started; NULL: by nobody known */
	char cmdline[1024]; /* without the program's own name */
	uint32_t memory;    /* where the piece of memory that we are in ends */
};

/* To be called first, while what the loader left is still there. */
void boot_read(struct boot *b, uint32_t magic, uint32_t info);

#endif
