/* SPDX-License-Identifier: MIT */
/* Sizes and numbers as people type them: "10G", "512". */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdint.h>

/**
 * size_parse() - read a size in bytes
 * @text: decimal digits, then at most one of K, M, G, T (powers of 1024, either case); nothing
 * else, no sign, no blank
 * @out:  written on success only
 *
 * Return: 0, -EINVAL (not a size), -ERANGE (does not fit 64 bits).
 */
int size_parse(const char *text, uint64_t *out);

/* The same without suffixes, and @text must lie in [@min, @max] (else -ERANGE). */
int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

#endif
