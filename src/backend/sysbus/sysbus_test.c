/* SPDX-License-Identifier: MIT */
/* The main system bus: who answers an access. */
#include "test.h"

#include "backend/sysbus/sysbus.h"

#include <string.h>

struct latch {
	struct sysbus_region region;
	uint64_t value, at;
	unsigned size;
};

static uint64_t latch_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct latch *l = container_of(r, struct latch, region);

	l->at = offset;
	l->size = size;
	return l->value;
}

static void latch_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct latch *l = container_of(r, struct latch, region);

	l->at = offset;
	l->value = value;
	l->size = size;
}

static const struct sysbus_region_ops latch_ops = {.read = latch_read, .write = latch_write};

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
	sysbus_write(&bus, SYSBUS_PORT, 0x107, 0x1234567890, 4);
	assert_int_equal(a.value, 0x34567890);
	assert_int_equal(a.at, 7);
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
	assert_int_equal(sysbus_read(&bus, SYSBUS_MEMORY, UINT64_MAX, 4), 0);
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
		cmocka_unit_test(nobody_answers_all_ones),
		cmocka_unit_test(the_one_mapped_last_wins),
	};

	return cmocka_run_group_tests_name("sysbus", tests, NULL, NULL);
}
