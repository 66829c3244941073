/* SPDX-License-Identifier: MIT */
/*
 * What stands in a sector: its number, the seed, and 126 times a word made of both.  Nothing of it
 * is the same in the next sector, and a whole sector is filled and compared in two instructions.
 */
#ifndef GUEST_PATTERN_H
#define GUEST_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void pattern_fill(void *at, uint64_t sector, uint32_t n_sectors, uint32_t seed);

/* Byte of the first difference from the beginning, or -1: there is none. */
int64_t pattern_differs(const void *at, uint64_t sector, uint32_t n_sectors, uint32_t seed);
/* The same for all bytes equal to @byte. */
int64_t bytes_differ(const void *at, size_t n, uint8_t byte);

#endif
