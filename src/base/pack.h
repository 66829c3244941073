/* SPDX-License-Identifier: MIT */
/*
 * Numbers and bytes one after the other, little-endian: for state that another program will read.
 *
 * Writing past the end of the room and reading past the end of what there is are noted and do
 * nothing else (reads give zeroes), so a caller asks once, at the end.
 */
#ifndef BASE_PACK_H
#define BASE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct pack {
	uint8_t *to;
	size_t n, room;
	bool full; /* something did not fit */
};

static inline void pack_bytes(struct pack *p, const void *from, size_t n)
{
	if (n > p->room - p->n) {
		p->full = true;
		return;
	}
	if (n)
		memcpy(p->to + p->n, from, n);
	p->n += n;
}

static inline void pack_number(struct pack *p, uint64_t v, size_t bytes)
{
	uint8_t b[8];

	for (size_t i = 0; i < bytes; i++)
		b[i] = (uint8_t)(v >> 8 * i);
	pack_bytes(p, b, bytes);
}

static inline void pack_8(struct pack *p, uint8_t v)
{
	pack_number(p, v, 1);
}
static inline void pack_16(struct pack *p, uint16_t v)
{
	pack_number(p, v, 2);
}
static inline void pack_32(struct pack *p, uint32_t v)
{
	pack_number(p, v, 4);
}
static inline void pack_64(struct pack *p, uint64_t v)
{
	pack_number(p, v, 8);
}

struct unpack {
	const uint8_t *from;
	size_t left;
	bool bad; /* there was less than was asked for */
};

static inline void unpack_bytes(struct unpack *u, void *to, size_t n)
{
	if (n > u->left) {
		u->bad = true;
		u->left = 0;
		memset(to, 0, n);
		return;
	}
	if (n)
		memcpy(to, u->from, n);
	u->from += n;
	u->left -= n;
}

static inline uint64_t unpack_number(struct unpack *u, size_t bytes)
{
	uint8_t b[8] = {0};
	uint64_t v = 0;

	unpack_bytes(u, b, bytes);
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)b[i] << 8 * i;
	return v;
}

static inline uint8_t unpack_8(struct unpack *u)
{
	return (uint8_t)unpack_number(u, 1);
}
static inline uint16_t unpack_16(struct unpack *u)
{
	return (uint16_t)unpack_number(u, 2);
}
static inline uint32_t unpack_32(struct unpack *u)
{
	return (uint32_t)unpack_number(u, 4);
}
static inline uint64_t unpack_64(struct unpack *u)
{
	return unpack_number(u, 8);
}

/* CRC-32 as in Ethernet and zlib. */
static inline uint32_t pack_crc(const void *from, size_t n)
{
	const uint8_t *at = from;
	uint32_t crc = UINT32_MAX;

	for (; n; n--, at++) {
		crc ^= *at;
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

#endif
