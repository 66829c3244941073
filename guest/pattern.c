/* SPDX-License-Identifier: MIT */
#include "guest/pattern.h"

#include "wire/virtio_blk.h"

#include <string.h>

#define WORDS (VIRTIO_BLK_SECTOR / 4)
#define HEAD  2 /* words with the number and the seed */

static uint32_t word_of(uint64_t sector, uint32_t seed)
{
	return ((uint32_t)sector + 1) * 2654435761u ^ seed * 2246822519u;
}

static const uint32_t *skip_same(const uint32_t *p, size_t n, uint32_t word)
{
	const uint32_t *end = p + n;
	bool same = true;

	__asm__ volatile("repe scasl" : "+D"(p), "+c"(n), "=@cce"(same) : "a"(word) : "memory");
	return same ? end : p - 1;
}

void pattern_fill(void *at, uint64_t sector, uint32_t n_sectors, uint32_t seed)
{
	uint32_t *p = at;

	for (; n_sectors--; sector++, p += WORDS) {
		uint32_t *to = p + HEAD;
		size_t n = WORDS - HEAD;

		p[0] = (uint32_t)sector;
		p[1] = seed;
		__asm__ volatile("rep stosl"
				 : "+D"(to), "+c"(n)
				 : "a"(word_of(sector, seed))
				 : "memory");
	}
}

static int64_t sector_differs(const uint32_t *p, uint64_t sector, uint32_t seed)
{
	const uint32_t *same;

	if (p[0] != (uint32_t)sector)
		return 0;
	if (p[1] != seed)
		return 4;
	same = skip_same(p + HEAD, WORDS - HEAD, word_of(sector, seed));
	return same == p + WORDS ? -1 : 4 * (same - p);
}

int64_t pattern_differs(const void *at, uint64_t sector, uint32_t n_sectors, uint32_t seed)
{
	const uint32_t *p = at;

	for (uint32_t i = 0; i < n_sectors; i++) {
		int64_t where = sector_differs(p + (size_t)i * WORDS, sector + i, seed);

		if (where >= 0)
			return (int64_t)i * VIRTIO_BLK_SECTOR + where;
	}
	return -1;
}

int64_t bytes_differ(const void *at, size_t n, uint8_t byte)
{
	const uint32_t *p = at, *same = skip_same(p, n / 4, byte * 0x01010101u);

	return same == p + n / 4 ? -1 : 4 * (same - p);
}
