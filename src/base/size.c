/* SPDX-License-Identifier: MIT */
#include "base/size.h"

#include <errno.h>

/* Reads the digits; *end is what follows them. */
static int digits(const char *text, uint64_t *out, const char **end)
{
	const char *p = text;
	uint64_t v = 0;
	int rc = 0;

	for (; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
			rc = -ERANGE; /* read on: junk behind it is the worse mistake */
	}
	*end = p;
	*out = v;
	return p == text ? -EINVAL : rc;
}

static int suffix_shift(char c)
{
	switch (c) {
	case 'k':
	case 'K':
		return 10;
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	case 't':
	case 'T':
		return 40;
	default:
		return -EINVAL;
	}
}

int size_parse(const char *text, uint64_t *out)
{
	const char *end;
	uint64_t v;
	int shift = 0;
	int rc;

	rc = digits(text, &v, &end);
	if (rc == -EINVAL)
		return rc;
	if (*end) {
		shift = suffix_shift(*end);
		if (shift < 0 || end[1])
			return -EINVAL;
	}
	if (rc)
		return rc;
	if (v > UINT64_MAX >> shift)
		return -ERANGE;
	*out = v << shift;
	return 0;
}

int number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	const char *end;
	uint64_t v;
	int rc;

	rc = digits(text, &v, &end);
	if (rc == -EINVAL || *end)
		return -EINVAL;
	if (rc)
		return rc;
	if (v < min || v > max)
		return -ERANGE;
	*out = v;
	return 0;
}
