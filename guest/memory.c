/* SPDX-License-Identifier: MIT */
#include "guest/memory.h"

#include <string.h>

extern char guest_end[]; /* guest.ld */

static uintptr_t next, last;

void memory_init(uint32_t end)
{
	next = (uintptr_t)guest_end;
	last = end > next ? end : next;
}

size_t memory_left(void)
{
	return last - next;
}

void *memory_alloc(size_t size, size_t align)
{
	uintptr_t at = (next + align - 1) & ~(align - 1);

	if (at < next || at > last || size > last - at)
		return NULL;
	next = at + size;
	return memset((void *)at, 0, size);
}
