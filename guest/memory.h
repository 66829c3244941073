/* SPDX-License-Identifier: MIT */
/* Physical memory, which is all there is: pieces are handed out and never come back. */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define MEMORY_PAGE 4096u

/* What lies between the program and @end. */
void memory_init(uint32_t end);
/* Zeroed; NULL: there is no more. @align is a power of two. */
void *memory_alloc(size_t size, size_t align);
size_t memory_left(void);

#endif
