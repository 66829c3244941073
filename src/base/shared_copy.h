/* SPDX-License-Identifier: MIT */
/*
 * Copies of memory that somebody else uses at the same time by loads and stores of single fields:
 * whatever is aligned to its size of 2, 4 or 8 bytes is taken or put by one access, so that no field
 * is ever half old, half new.  Behind a copy from there nothing older is read; a copy to there is not
 * seen before what was written in front of it.
 */
#ifndef BASE_SHARED_COPY_H
#define BASE_SHARED_COPY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The largest power of two up to 8 that @left holds and @at is a multiple of. */
static inline size_t shared_copy_step(uintptr_t at, size_t left)
{
	size_t step = 8;

	while (step > left || at % step)
		step /= 2;
	return step;
}

static inline void shared_copy_from(void *to, const void *shared, size_t len)
{
	const uint8_t *from = shared;
	uint8_t *out = to;

	for (size_t n; len; len -= n, from += n, out += n) {
		n = shared_copy_step((uintptr_t)from, len);
		if (n == 8) {
			uint64_t v = __atomic_load_n((const uint64_t *)(const void *)from,
						     __ATOMIC_ACQUIRE);
			memcpy(out, &v, sizeof(v));
		} else if (n == 4) {
			uint32_t v = __atomic_load_n((const uint32_t *)(const void *)from,
						     __ATOMIC_ACQUIRE);
			memcpy(out, &v, sizeof(v));
		} else if (n == 2) {
			uint16_t v = __atomic_load_n((const uint16_t *)(const void *)from,
						     __ATOMIC_ACQUIRE);
			memcpy(out, &v, sizeof(v));
		} else {
			*out = __atomic_load_n(from, __ATOMIC_ACQUIRE);
		}
	}
}

static inline void shared_copy_to(void *shared, const void *from, size_t len)
{
	const uint8_t *in = from;
	uint8_t *to = shared;

	for (size_t n; len; len -= n, to += n, in += n) {
		n = shared_copy_step((uintptr_t)to, len);
		if (n == 8) {
			uint64_t v;

			memcpy(&v, in, sizeof(v));
			__atomic_store_n((uint64_t *)(void *)to, v, __ATOMIC_RELEASE);
		} else if (n == 4) {
			uint32_t v;

			memcpy(&v, in, sizeof(v));
			__atomic_store_n((uint32_t *)(void *)to, v, __ATOMIC_RELEASE);
		} else if (n == 2) {
			uint16_t v;

			memcpy(&v, in, sizeof(v));
			__atomic_store_n((uint16_t *)(void *)to, v, __ATOMIC_RELEASE);
		} else {
			__atomic_store_n(to, *in, __ATOMIC_RELEASE);
		}
	}
}

#endif
