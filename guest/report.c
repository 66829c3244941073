/* SPDX-License-Identifier: MIT */
#include "guest/report.h"

#include "guest/console.h"

#include <stdio.h>

static unsigned good, bad;

void report_ok(const char *name)
{
	good++;
	say("ok %s", name);
}

void report_bad(const char *name, const char *why, ...)
{
	char prefix[64];
	va_list ap;

	bad++;
	snprintf(prefix, sizeof(prefix), "not ok %s: ", name);
	va_start(ap, why);
	vsay(prefix, why, ap);
	va_end(ap);
}

void report_skip(const char *name, const char *why)
{
	say("skip %s: %s", name, why);
}

bool report_good(void)
{
	return good && !bad;
}
