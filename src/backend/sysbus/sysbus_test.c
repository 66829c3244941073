/* SPDX-License-Identifier: MIT */
/* The main system bus: who answers an access. */
#include "test.h"

#include "backend/sysbus/sysbus.h"

#include <string.h>

struct latch {
	struct sysbus_region region;
	uint64_t value, at;
	unsigned size, accesses;
	uint8_t bytes[16];
};

static uint64_t latch_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct latch *l = container_of(r, struct latch, region);

	l->at = offset;
	l->size = size;
	l->accesses++;
	return l->value;
}

static void latch_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct latch *l = container_of(r, struct latch, region);

	l->at = offset;
	l->value = value;
	l->size = size;
}

static const struct sysbus_region_ops latch_ops = {
	.sizes = SYSBUS_ANY_SIZE,
	.unaligned = true,
	.read = latch_read,
	.write = latch_write,
};

/* Registers of a byte each; handlers that notice an access which leaves them. */
static uint64_t bytes_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct latch *l = container_of(r, struct latch, region);
	uint64_t v = 0;

	l->accesses++;
	l->size = size;
	assert_true(offset + size <= r->size);
	assert_true(r->ops->sizes & size);
	assert_true(r->ops->unaligned || !((r->base + offset) % size));
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)l->bytes[offset + i] << 8 * i;
	return v | (size < 8 ? UINT64_MAX << 8 * size : 0); /* what is above is nobody's business */
}

static void bytes_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct latch *l = container_of(r, struct latch, region);

	(void)bytes_read(r, offset, size);
	assert_true(size == 8 || !(value >> 8 * size));
	for (unsigned i = 0; i < size; i++)
		l->bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

static struct latch registers(enum sysbus_space space, uint64_t size,
			      const struct sysbus_region_ops *ops)
{
	return (struct latch){
		.region = {.name = "registers", .space = space, .size = size, .ops = ops}};
}

static struct latch latch(enum sysbus_space space, uint64_t size)
{
	return (struct latch){
		.region = {.name = "latch", .space = space, .size = size, .ops = &latch_ops}};
}

static void an_access_reaches_its_region(void **state)
{
	struct latch a = latch(SYSBUS_PORT, 8), b = latch(SYSBUS_MEMORY, 8);
	struct sysbus bus;

	(void)state;
	sysbus_init(&bus, NULL);
	sysbus_map(&bus, &a.region, 0x100);
	sysbus_map(&bus, &b.region, 0x100);
	sysbus_write(&bus, SYSBUS_PORT, 0x103, 0x1234567890, 4);
	assert_int_equal(a.value, 0x34567890);
	assert_int_equal(a.at, 3);
	assert_int_equal(a.size, 4);
	assert_int_equal(b.value, 0);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x100, 1), 0x90);
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, 0x100, 8), 0);
}

static bool whole_read(struct sysbus_region *r, uint64_t offset, uint8_t *data, unsigned size,
		       uint32_t count)
{
	(void)r;
	if (offset)
		return false;
	memset(data, 0x77, (size_t)size * count);
	return true;
}

static bool whole_write(struct sysbus_region *r, uint64_t offset, const uint8_t *data,
			unsigned size, uint32_t count)
{
	struct latch *l = container_of(r, struct latch, region);

	if (offset)
		return false;
	l->size = size * count;
	l->value = data[size * count - 1];
	return true;
}

/* A device takes a string whole, or one by one; the bytes stand in the order of addresses. */
static void strings(void **state)
{
	static const struct sysbus_region_ops ops = {
		.sizes = SYSBUS_BYTE | SYSBUS_WORD,
		.read = latch_read,
		.write = latch_write,
		.read_string = whole_read,
		.write_string = whole_write,
	};
	struct latch a = latch(SYSBUS_PORT, 8), b = latch(SYSBUS_PORT, 8);
	const uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
	struct sysbus bus;
	uint8_t data[6];

	(void)state;
	sysbus_init(&bus, NULL);
	b.region.ops = &ops;
	sysbus_map(&bus, &a.region, 0x100);
	sysbus_map(&bus, &b.region, 0x200);
	sysbus_write_string(&bus, 0x102, bytes, 2, 3);
	assert_int_equal(a.value, 0x0605);
	assert_int_equal(a.size, 2);
	sysbus_read_string(&bus, 0x102, data, 2, 3);
	assert_memory_equal(data, "\5\6\5\6\5\6", 6);
	sysbus_write_string(&bus, 0x200, bytes, 2, 3);
	assert_int_equal(b.value, 6);
	assert_int_equal(b.size, 6);
	sysbus_read_string(&bus, 0x200, data, 1, 6);
	assert_int_equal(data[5], 0x77);
	sysbus_write_string(&bus, 0x201, bytes, 1, 6);
	assert_int_equal(b.value, 6);
	assert_int_equal(b.size, 1);
	sysbus_read_string(&bus, 0x300, data, 2, 3);
	assert_int_equal(data[5], 0xff);
	/* Not taken as they are: not whole either, whatever the device could do with them. */
	b.accesses = 0;
	sysbus_read_string(&bus, 0x200, data, 4, 1);
	assert_int_equal(b.accesses, 2);
	sysbus_write_string(&bus, 0x1ff, bytes, 2, 3);
	assert_int_equal(b.value, 6);
	assert_int_equal(b.size, 1);
	assert_int_equal(b.at, 0);
}

/* On the ISA bus a wide access to two devices of 8 bits is two accesses. */
static void each_byte_reaches_the_port_that_it_has(void **state)
{
	static const struct sysbus_region_ops byte_ops = {
		.sizes = SYSBUS_BYTE, .read = bytes_read, .write = bytes_write};
	struct latch a = registers(SYSBUS_PORT, 1, &byte_ops),
		     b = registers(SYSBUS_PORT, 2, &byte_ops);
	struct sysbus bus;
	const uint8_t string[] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t data[8];

	(void)state;
	sysbus_init(&bus, NULL);
	sysbus_map(&bus, &a.region, 0x60);
	sysbus_map(&bus, &b.region, 0x61);
	sysbus_write(&bus, SYSBUS_PORT, 0x60, 0x44332211, 4);
	assert_int_equal(a.bytes[0], 0x11);
	assert_memory_equal(b.bytes, "\x22\x33", 2);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x60, 2), 0x2211);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x60, 4), 0xff332211);
	/* Begun where nobody is. */
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x5f, 2), 0x11ff);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x5d, 4), 0x11ffffff);
	sysbus_write(&bus, SYSBUS_PORT, 0x5e, 0x88776655, 4);
	assert_int_equal(a.bytes[0], 0x77);
	assert_int_equal(b.bytes[0], 0x88);
	/* Strings, too: each access of them. */
	sysbus_write_string(&bus, 0x61, string, 2, 4);
	assert_memory_equal(b.bytes, "\7\10", 2);
	sysbus_read_string(&bus, 0x60, data, 4, 2);
	assert_memory_equal(data, "\x77\7\10\377\x77\7\10\377", 8);
}

static void the_largest_pieces_that_a_region_takes(void **state)
{
	static const struct sysbus_region_ops dword_ops = {
		.sizes = SYSBUS_UP_TO_DWORD, .read = bytes_read, .write = bytes_write};
	struct latch a = registers(SYSBUS_MEMORY, 16, &dword_ops);
	struct sysbus bus;

	(void)state;
	sysbus_init(&bus, NULL);
	sysbus_map(&bus, &a.region, 0x1000);
	sysbus_write(&bus, SYSBUS_MEMORY, 0x1008, 0x8877665544332211, 8);
	assert_int_equal(a.accesses, 2);
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, 0x1008, 8), 0x8877665544332211);
	assert_int_equal(a.size, 4);
	a.accesses = 0; /* a byte, a word, a byte */
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, 0x1009, 4), 0x55443322);
	assert_int_equal(a.accesses, 3);
	a.accesses = 0; /* lengths that are no power of two, as a hypervisor hands them over */
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, 0x1008, 7), 0x77665544332211);
	assert_int_equal(a.accesses, 3);
	/* Past its end, below its begin: its own part of the access. */
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, 0x100e, 4), 0xffff8877);
	sysbus_write(&bus, SYSBUS_MEMORY, 0xffe, 0xddccbbaa, 4);
	assert_memory_equal(a.bytes, "\xcc\xdd\0", 3);
	/* Everything that can be asked stays inside: bytes_read() checks. */
	for (uint64_t at = 0xff0; at < 0x1020; at++)
		for (unsigned size = 1; size <= 8; size++) {
			sysbus_write(&bus, SYSBUS_MEMORY, at, UINT64_MAX, size);
			sysbus_read(&bus, SYSBUS_MEMORY, at, size);
		}
}

/* A register that is one word: parts of it go to whoever else lives there, or nowhere. */
static void what_a_region_does_not_take_is_nobodys(void **state)
{
	static const struct sysbus_region_ops word_ops = {
		.sizes = SYSBUS_DWORD, .read = bytes_read, .write = bytes_write};
	static const struct sysbus_region_ops byte_ops = {
		.sizes = SYSBUS_BYTE, .read = bytes_read, .write = bytes_write};
	struct latch a = registers(SYSBUS_PORT, 4, &word_ops),
		     b = registers(SYSBUS_PORT, 1, &byte_ops);
	struct sysbus bus;

	(void)state;
	sysbus_init(&bus, NULL);
	sysbus_map(&bus, &a.region, 0xcf8);
	sysbus_map(&bus, &b.region, 0xcf9);
	sysbus_write(&bus, SYSBUS_PORT, 0xcf8, 0x80001234, 4);
	assert_int_equal(b.bytes[0], 0);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0xcf8, 4), 0x80001234);
	sysbus_write(&bus, SYSBUS_PORT, 0xcf8, 0x5678, 2);
	assert_int_equal(b.bytes[0], 0x56);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0xcf8, 2), 0x56ff);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0xcf8, 4), 0x80001234);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0xcfa, 4), 0xffffffff);
}

static void nobody_answers_all_ones(void **state)
{
	struct latch a = latch(SYSBUS_MEMORY, 16);
	struct sysbus bus;

	(void)state;
	sysbus_init(&bus, NULL);
	sysbus_map(&bus, &a.region, UINT64_MAX - 15);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0, 1), 0xff);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0, 2), 0xffff);
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, 0, 8), UINT64_MAX);
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, UINT64_MAX, 4), 0xffffff00);
	sysbus_write(&bus, SYSBUS_MEMORY, 5, 1, 1);
	assert_int_equal(a.value, 0);
	sysbus_unmap(&a.region);
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, UINT64_MAX, 4), 0xffffffff);
	sysbus_unmap(&a.region);
}

static void the_one_mapped_last_wins(void **state)
{
	struct latch a = latch(SYSBUS_MEMORY, 16), b = latch(SYSBUS_MEMORY, 16);
	struct sysbus bus;

	(void)state;
	sysbus_init(&bus, NULL);
	sysbus_map(&bus, &a.region, 0x1000);
	sysbus_map(&bus, &b.region, 0x1008);
	sysbus_write(&bus, SYSBUS_MEMORY, 0x1008, 7, 4);
	assert_int_equal(b.value, 7);
	sysbus_map(&bus, &a.region, 0x1000); /* again: moved to the front */
	sysbus_write(&bus, SYSBUS_MEMORY, 0x1008, 9, 4);
	assert_int_equal(a.value, 9);
	assert_int_equal(b.value, 7);
	sysbus_unmap(&a.region);
	sysbus_write(&bus, SYSBUS_MEMORY, 0x1008, 11, 4);
	assert_int_equal(b.value, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_reaches_its_region),
		cmocka_unit_test(strings),
		cmocka_unit_test(each_byte_reaches_the_port_that_it_has),
		cmocka_unit_test(the_largest_pieces_that_a_region_takes),
		cmocka_unit_test(what_a_region_does_not_take_is_nobodys),
		cmocka_unit_test(nobody_answers_all_ones),
		cmocka_unit_test(the_one_mapped_last_wins),
	};

	return cmocka_run_group_tests_name("sysbus", tests, NULL, NULL);
}
