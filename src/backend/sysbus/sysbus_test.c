/* SPDX-License-Identifier: MIT */
/* The main system bus: who answers an access. */
#include "test.h"

#include "backend/sysbus/sysbus.h"

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
		cmocka_unit_test(nobody_answers_all_ones),
		cmocka_unit_test(the_one_mapped_last_wins),
	};

	return cmocka_run_group_tests_name("sysbus", tests, NULL, NULL);
}
