/* SPDX-License-Identifier: MIT */
/*
 * What compilers call for 64-bit integers on a 32-bit processor, elsewhere found in libgcc and
 * libatomic.
 */
#include <stdint.h>

uint64_t __udivmoddi4(uint64_t n, uint64_t d, uint64_t *rest);
uint64_t __udivdi3(uint64_t n, uint64_t d);
uint64_t __umoddi3(uint64_t n, uint64_t d);
int64_t __divdi3(int64_t n, int64_t d);
int64_t __moddi3(int64_t n, int64_t d);
int __ctzdi2(uint64_t v);
int __clzdi2(uint64_t v);
uint64_t __atomic_load_8(const volatile void *p, int order);
void __atomic_store_8(volatile void *p, uint64_t v, int order);

/* @high is less than @d, so the quotient fits. */
static uint32_t div_step(uint32_t high, uint32_t low, uint32_t d, uint32_t *rest)
{
	uint32_t quotient;

	__asm__("divl %4" : "=a"(quotient), "=d"(*rest) : "a"(low), "d"(high), "r"(d) : "cc");
	return quotient;
}

uint64_t __udivmoddi4(uint64_t n, uint64_t d, uint64_t *rest)
{
	uint64_t quotient = 0;
	uint32_t high, low, r;
	int shift;

	if (!(d >> 32)) {
		high = div_step(0, (uint32_t)(n >> 32), (uint32_t)d, &r);
		low = div_step(r, (uint32_t)n, (uint32_t)d, &r);
		*rest = r;
		return (uint64_t)high << 32 | low;
	}
	/* Digit by digit: of the quotient there are at most 32. */
	shift = n ? __builtin_clzll(d) - __builtin_clzll(n) : -1;
	for (; shift >= 0; shift--) {
		quotient <<= 1;
		if (n >= d << shift) {
			n -= d << shift;
			quotient |= 1;
		}
	}
	*rest = n;
	return quotient;
}

uint64_t __udivdi3(uint64_t n, uint64_t d)
{
	uint64_t rest;

	return __udivmoddi4(n, d, &rest);
}

uint64_t __umoddi3(uint64_t n, uint64_t d)
{
	uint64_t rest;

	__udivmoddi4(n, d, &rest);
	return rest;
}

static uint64_t magnitude(int64_t v)
{
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

int64_t __divdi3(int64_t n, int64_t d)
{
	uint64_t q = __udivdi3(magnitude(n), magnitude(d));

	return (int64_t)((n < 0) != (d < 0) ? -q : q);
}

int64_t __moddi3(int64_t n, int64_t d)
{
	uint64_t rest = __umoddi3(magnitude(n), magnitude(d));

	return (int64_t)(n < 0 ? -rest : rest);
}

int __ctzdi2(uint64_t v)
{
	return (uint32_t)v ? __builtin_ctz((uint32_t)v) : 32 + __builtin_ctz((uint32_t)(v >> 32));
}

int __clzdi2(uint64_t v)
{
	return v >> 32 ? __builtin_clz((uint32_t)(v >> 32)) : 32 + __builtin_clz((uint32_t)v);
}

/* Compared with whatever, exchanged for the same: a load that cannot be cut in two. */
uint64_t __atomic_load_8(const volatile void *p, int order)
{
	volatile uint64_t *from = (volatile uint64_t *)(uintptr_t)p;
	uint64_t v = 0;

	(void)order;
	__asm__ volatile("lock cmpxchg8b %1"
			 : "+A"(v), "+m"(*from)
			 : "b"(0), "c"(0)
			 : "cc", "memory");
	return v;
}

void __atomic_store_8(volatile void *p, uint64_t v, int order)
{
	volatile uint64_t *to = p;
	uint64_t old = *to;

	(void)order;
	__asm__ volatile("1: lock cmpxchg8b %1; jne 1b"
			 : "+A"(old), "+m"(*to)
			 : "b"((uint32_t)v), "c"((uint32_t)(v >> 32))
			 : "cc", "memory");
}
