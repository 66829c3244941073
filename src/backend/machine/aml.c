/* SPDX-License-Identifier: MIT */
#include "backend/machine/aml.h"

#include <string.h>

enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_EXT = 0x5b,
	OP_EXT_DEVICE = 0x82,
	DUAL_NAME = 0x2e,
};

#define PKG_LENGTH_MAX 4

void aml_byte(struct aml *a, uint8_t v)
{
	aml_bytes(a, &v, 1);
}

void aml_bytes(struct aml *a, const void *bytes, size_t n)
{
	if (a->full || n > a->max - a->n) {
		a->full = true;
		return;
	}
	memcpy(a->at + a->n, bytes, n);
	a->n += n;
}

void aml_le(struct aml *a, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		aml_byte(a, (uint8_t)(v >> i * 8));
}

/* ---- lengths: 1 to 4 bytes, which count themselves ---- */

uint8_t aml_checksum(const void *table, size_t n)
{
	const uint8_t *p = table;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

size_t aml_begin(struct aml *a)
{
	static const uint8_t room[PKG_LENGTH_MAX];
	size_t mark = a->n;

	aml_bytes(a, room, sizeof(room));
	return mark;
}

void aml_end(struct aml *a, size_t mark)
{
	uint8_t code[PKG_LENGTH_MAX];
	size_t body, length;
	unsigned n = 1;

	if (a->full)
		return;
	body = a->n - mark - PKG_LENGTH_MAX;
	if (body + 1 >= 64)
		for (n = 2; body + n >= (size_t)1 << (4 + 8 * (n - 1)); n++)
			;
	length = body + n;
	if (n == 1) {
		code[0] = (uint8_t)length;
	} else {
		code[0] = (uint8_t)((n - 1) << 6 | (length & 15));
		for (unsigned i = 1; i < n; i++)
			code[i] = (uint8_t)(length >> (4 + 8 * (i - 1)));
	}
	memmove(a->at + mark + n, a->at + mark + PKG_LENGTH_MAX, body);
	memcpy(a->at + mark, code, n);
	a->n = mark + length;
}

/* ---- names ---- */

static void name(struct aml *a, const char *text)
{
	size_t len;

	if (*text == '\\') {
		aml_byte(a, '\\');
		text++;
	}
	len = strlen(text);
	if (len > 4)
		aml_byte(a, DUAL_NAME);
	aml_bytes(a, text, len);
	for (; len % 4; len++)
		aml_byte(a, '_');
}

size_t aml_scope(struct aml *a, const char *text)
{
	size_t mark;

	aml_byte(a, OP_SCOPE);
	mark = aml_begin(a);
	name(a, text);
	return mark;
}

size_t aml_device(struct aml *a, const char *text)
{
	size_t mark;

	aml_byte(a, OP_EXT);
	aml_byte(a, OP_EXT_DEVICE);
	mark = aml_begin(a);
	name(a, text);
	return mark;
}

size_t aml_package(struct aml *a, uint8_t elements)
{
	size_t mark;

	aml_byte(a, OP_PACKAGE);
	mark = aml_begin(a);
	aml_byte(a, elements);
	return mark;
}

void aml_name(struct aml *a, const char *text)
{
	aml_byte(a, OP_NAME);
	name(a, text);
}

void aml_integer(struct aml *a, uint64_t v)
{
	unsigned bytes = v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;

	if (v <= 1) {
		aml_byte(a, v ? OP_ONE : OP_ZERO);
		return;
	}
	aml_byte(a, bytes == 1 ? OP_BYTE : bytes == 2 ? OP_WORD : bytes == 4 ? OP_DWORD : OP_QWORD);
	aml_le(a, v, bytes);
}

void aml_name_integer(struct aml *a, const char *text, uint64_t v)
{
	aml_name(a, text);
	aml_integer(a, v);
}

static uint32_t hex(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* Three letters of five bits, four hexadecimal digits, most significant byte first. */
void aml_name_eisa(struct aml *a, const char *text, const char *id)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < 3; i++)
		v = v << 5 | (uint32_t)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		v = v << 4 | hex(id[i]);
	aml_name(a, text);
	aml_byte(a, OP_DWORD);
	aml_le(a, __builtin_bswap32(v), 4);
}

/* ---- resource templates ---- */

void aml_crs_begin(struct aml *a, struct aml_resources *r)
{
	aml_name(a, "_CRS");
	aml_byte(a, OP_BUFFER);
	r->buffer = aml_begin(a);
	aml_byte(a, OP_WORD);
	r->size_at = a->n;
	aml_le(a, 0, 2);
	r->first = a->n;
}

void aml_crs_end(struct aml *a, struct aml_resources *r)
{
	aml_le(a, 0x0079, 2); /* end tag, checksum not used */
	if (!a->full) {
		a->at[r->size_at] = (uint8_t)(a->n - r->first);
		a->at[r->size_at + 1] = (uint8_t)((a->n - r->first) >> 8);
	}
	aml_end(a, r->buffer);
}

void aml_crs_io(struct aml *a, uint16_t port, uint8_t length)
{
	aml_byte(a, 0x47);
	aml_byte(a, 1); /* decodes 16 bits */
	aml_le(a, port, 2);
	aml_le(a, port, 2);
	aml_byte(a, 1);
	aml_byte(a, length);
}

void aml_crs_irq(struct aml *a, unsigned irq)
{
	aml_byte(a, 0x22);
	aml_le(a, 1u << irq, 2);
}

static void window(struct aml *a, uint8_t tag, unsigned bytes, uint8_t type, uint8_t flags,
		   uint32_t first, uint32_t last)
{
	aml_byte(a, tag);
	aml_le(a, 3 + 5 * bytes, 2);
	aml_byte(a, type);
	aml_byte(a, 0x0c); /* fixed ends, produced, decoded positively */
	aml_byte(a, flags);
	aml_le(a, 0, bytes);
	aml_le(a, first, bytes);
	aml_le(a, last, bytes);
	aml_le(a, 0, bytes);
	aml_le(a, (uint64_t)last - first + 1, bytes);
}

void aml_crs_bus_numbers(struct aml *a, uint16_t first, uint16_t last)
{
	window(a, 0x88, 2, 2, 0, first, last);
}

void aml_crs_io_window(struct aml *a, uint16_t first, uint16_t last)
{
	window(a, 0x88, 2, 1, 3, first, last);
}

void aml_crs_memory_window(struct aml *a, uint32_t first, uint32_t last)
{
	window(a, 0x87, 4, 0, 1, first, last);
}
