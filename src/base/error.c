/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include "base/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int error_set(struct error *err, int rc, const char *fmt, ...)
{
	char reason[128];
	va_list ap;
	size_t n;

	if (!err)
		return rc;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);

	n = strlen(err->text);
	if (n && err->text[n - 1] == '.')
		err->text[n - 1] = '\0';
	else if (rc)
		snprintf(err->text + n, sizeof(err->text) - n, ": %s",
			 limits_reason(rc, reason, sizeof(reason)));
	return rc;
}
