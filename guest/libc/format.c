/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct text {
	char *to;
	size_t size, n;
};

static void format_put(struct text *t, char c)
{
	if (t->n + 1 < t->size)
		t->to[t->n] = c;
	t->n++;
}

static void put_padded(struct text *t, const char *s, size_t n, unsigned width, char pad)
{
	for (size_t i = n; i < width; i++)
		format_put(t, pad);
	while (n--)
		format_put(t, *s++);
}

static void put_number(struct text *t, uint64_t v, bool negative, unsigned base, unsigned width,
		       char pad)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (negative)
		digits[--at] = '-';
	put_padded(t, digits + at, sizeof(digits) - at, width, pad);
}

/* "l" and "z" are as wide as an int here. */
static uint64_t number(va_list *ap, bool wide, bool is_signed, bool *negative)
{
	int64_t v;

	*negative = false;
	if (!is_signed)
		return wide ? va_arg(*ap, uint64_t) : va_arg(*ap, uint32_t);
	v = wide ? va_arg(*ap, int64_t) : va_arg(*ap, int32_t);
	*negative = v < 0;
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

static unsigned count(const char **fmt)
{
	unsigned n = 0;

	while (**fmt >= '0' && **fmt <= '9')
		n = 10 * n + (unsigned)(*(*fmt)++ - '0');
	return n;
}

static size_t length(const char *s, unsigned most)
{
	size_t n = 0;

	while (n < most && s[n])
		n++;
	return n;
}

static const char *put_argument(struct text *t, const char *fmt, va_list *ap)
{
	char pad = *fmt == '0' ? '0' : ' ';
	unsigned width = count(&fmt), most = UINT32_MAX, ls = 0;
	bool negative;
	const char *s;
	uint64_t v;

	if (*fmt == '.') {
		fmt++;
		most = count(&fmt);
	}
	for (; *fmt == 'l' || *fmt == 'z'; fmt++)
		ls += *fmt == 'l';
	switch (*fmt) {
	case 'd':
	case 'u':
	case 'x':
		v = number(ap, ls == 2, *fmt == 'd', &negative);
		put_number(t, v, negative, *fmt == 'x' ? 16 : 10, width, pad);
		break;
	case 's':
		s = va_arg(*ap, const char *);
		put_padded(t, s, length(s, most), width, ' ');
		break;
	case 'c':
		format_put(t, (char)va_arg(*ap, int));
		break;
	case '\0':
		return fmt;
	default:
		format_put(t, *fmt);
	}
	return fmt + 1;
}

int vsnprintf(char *to, size_t size, const char *fmt, va_list ap)
{
	struct text t = {.to = to, .size = size};
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		if (*fmt == '%')
			fmt = put_argument(&t, fmt + 1, &args);
		else
			format_put(&t, *fmt++);
	}
	va_end(args);
	if (size)
		to[t.n < size ? t.n : size - 1] = '\0';
	return (int)t.n;
}

int snprintf(char *to, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(to, size, fmt, ap);
	va_end(ap);
	return n;
}
