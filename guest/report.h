/* SPDX-License-Identifier: MIT */
/* What was checked and how it went: lines "ok NAME", "not ok NAME: why", "skip NAME: why". */
#ifndef GUEST_REPORT_H
#define GUEST_REPORT_H

#include <stdbool.h>

void report_ok(const char *name);
void report_bad(const char *name, const char *why, ...) __attribute__((format(printf, 2, 3)));
void report_skip(const char *name, const char *why);
/* No "not ok" so far, and at least one "ok". */
bool report_good(void);

#endif
