/* SPDX-License-Identifier: MIT */
/* Arrays that grow with what is put into them: no table of a fixed size for what a user may have
 * as many of as there are files or memory for. */
#ifndef BASE_GROW_H
#define BASE_GROW_H

#include <stddef.h>
#include <stdlib.h>

/*
 * @array with room for one more behind its @n elements of @size bytes.  It is moved when @n is a
 * power of two.  NULL: no memory, and @array is as it was.
 */
static inline void *grow_for_one(void *array, unsigned n, size_t size)
{
	return n & (n - 1) ? array : reallocarray(array, n ? 2 * (size_t)n : 1, size);
}

#endif
