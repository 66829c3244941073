/* SPDX-License-Identifier: MIT */
/* Firmware's tables as a reader takes them: numbers of any width, and sums. */
#ifndef BACKEND_MACHINE_TABLE_TEST_H
#define BACKEND_MACHINE_TABLE_TEST_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << i * 8;
	return v;
}

/* 0, if the table's checksum is right. */
static inline uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

#endif
