/* SPDX-License-Identifier: MIT */
#include "guest/selfcheck.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "guest/report.h"

#include <stdio.h>
#include <string.h>

/* Not known to the compiler, which would work it out itself. */
static volatile const struct {
	uint64_t n, d, quotient, rest;
} divisions[] = {
	{0, 1, 0, 0},
	{7, 7, 1, 0},
	{UINT64_MAX, 1, UINT64_MAX, 0},
	{UINT64_MAX, 10, 1844674407370955161, 5},
	{UINT64_C(0x123456789abcdef0), 1000, UINT64_C(1311768467463790), 320},
	{UINT32_MAX, UINT64_C(0x100000000), 0, UINT32_MAX},
	{UINT64_C(0x100000000), UINT32_MAX, 1, 1},
	{UINT64_MAX, UINT64_C(0x100000001), UINT32_MAX, 0},
	{UINT64_MAX, UINT64_C(0x8000000000000000), 1, INT64_MAX},
	{UINT64_C(0xfffffffffffffffe), UINT64_MAX, 0, UINT64_C(0xfffffffffffffffe)},
	{UINT64_C(5000000000000), UINT64_C(4999999999), 1000, 1000},
};

static bool arithmetic(void)
{
	static volatile const int64_t below = -1000000000007;
	static volatile uint64_t word;
	static volatile const uint64_t bits = UINT64_C(1) << 40 | UINT64_C(1) << 35;

	for (size_t i = 0; i < ARRAY_SIZE(divisions); i++)
		if (divisions[i].n / divisions[i].d != divisions[i].quotient ||
		    divisions[i].n % divisions[i].d != divisions[i].rest)
			return false;
	write_once(&word, UINT64_C(0x1122334455667788));
	return below / 1000 == -1000000000 && below % 1000 == -7 &&
	       read_once(&word) == UINT64_C(0x1122334455667788) && __builtin_ctzll(bits) == 35 &&
	       __builtin_clzll(bits) == 23;
}

static bool text(void)
{
	char line[64], cut[5];
	int n;

	n = snprintf(line, sizeof(line), "%d %u %02x %llu %5d|%s|%.2s|%c%%", -12, 4000000000u, 10,
		     UINT64_MAX, -3, "abc", "defg", '!');
	if (strcmp(line, "-12 4000000000 0a 18446744073709551615    -3|abc|de|!%") ||
	    n != (int)strlen(line))
		return false;
	n = snprintf(cut, sizeof(cut), "%s", "too long");
	return n == 8 && !strcmp(cut, "too ");
}

static bool memory(void)
{
	char a[] = "0123456789", b[16];

	memset(b, 'x', sizeof(b));
	memcpy(b + 1, a, 7);
	if (memcmp(b, "x0123456xxxxxxxx", sizeof(b)))
		return false;
	memmove(a + 2, a, 8);
	memmove(a, a + 1, 5);
	return !memcmp(a, "1012334567", 11) && memcmp("a", "b", 1) < 0;
}

void selfcheck_run(void)
{
	static const struct {
		const char *name;
		bool (*good)(void);
	} checks[] = {{"own_arithmetic", arithmetic}, {"own_text", text}, {"own_memory", memory}};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (checks[i].good())
			report_ok(checks[i].name);
		else
			report_bad(checks[i].name, "this program is not sound");
	}
}
