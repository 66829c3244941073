/* SPDX-License-Identifier: MIT */
/*
 * Text of numbers and strings: %d %u %x %s %c %%, with a width, a leading 0, a precision for %s,
 * and l, ll, z.
 */
#ifndef GUEST_STDIO_H
#define GUEST_STDIO_H

#include <stdarg.h>
#include <stddef.h>

/* Both end the text with a NUL, and return how long it would have been. */
int vsnprintf(char *to, size_t size, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
int snprintf(char *to, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
