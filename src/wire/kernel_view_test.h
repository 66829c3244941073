/* SPDX-License-Identifier: MIT */
/* What kernel_view_test.c found in the kernel's headers; both lists end in a NULL name. */
#ifndef WIRE_KERNEL_VIEW_TEST_H
#define WIRE_KERNEL_VIEW_TEST_H

#include <stddef.h>

struct kernel_field {
	const char *name;
	size_t offset, size;
};

struct kernel_number {
	const char *name;
	unsigned long value;
};

extern const struct kernel_field kernel_blk_fields[];
extern const struct kernel_number kernel_numbers[];

#endif
