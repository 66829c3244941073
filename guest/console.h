/* SPDX-License-Identifier: MIT */
/* The report: text on the first serial port. */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdarg.h>

void console_init(void);
/* A line; its end is added. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vsay(const char *prefix, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

#endif
