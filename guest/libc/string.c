/* SPDX-License-Identifier: MIT */
#include <string.h>

#include <stdint.h>
#include <stdio.h>

/* Whole words by one instruction: where instructions are emulated one by one, loops are dear. */

void *memcpy(void *to, const void *from, size_t n)
{
	void *p = to;
	size_t words = n / 4;

	__asm__ volatile("rep movsl" : "+D"(p), "+S"(from), "+c"(words) : : "memory");
	n %= 4;
	__asm__ volatile("rep movsb" : "+D"(p), "+S"(from), "+c"(n) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *p = to;
	const uint8_t *q = from;

	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(to, from, n);
	while (n--)
		p[n] = q[n];
	return to;
}

void *memset(void *to, int c, size_t n)
{
	void *p = to;
	uint32_t word = (uint8_t)c * 0x01010101u;
	size_t words = n / 4;

	__asm__ volatile("rep stosl" : "+D"(p), "+c"(words) : "a"(word) : "memory");
	n %= 4;
	__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(word) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *p = a, *q = b;

	for (size_t i = 0; i < n; i++)
		if (p[i] != q[i])
			return p[i] < q[i] ? -1 : 1;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i] || !a[i])
			return (uint8_t)a[i] - (uint8_t)b[i];
	return 0;
}

char *strerror(int number)
{
	static char text[24];

	snprintf(text, sizeof(text), "error %d", number);
	return text;
}
