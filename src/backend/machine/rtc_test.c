/* SPDX-License-Identifier: MIT */
/* The clock as a guest sees it: date, CMOS memory. */
#include "backend/machine/rtc_test.h"

static void the_clock_tells_the_date(void **state)
{
	(void)state;
	assert_int_equal(cmos(0), 0x05);
	assert_int_equal(cmos(2), 0x04);
	assert_int_equal(cmos(4), 0x12);
	assert_int_equal(cmos(6), 5);
	assert_int_equal(cmos(7), 0x29);
	assert_int_equal(cmos(8), 0x02);
	assert_int_equal(cmos(9), 0x24);
	assert_int_equal(cmos(0x32), 0x20);
	assert_int_equal(cmos(13), 0x80);
}

static void the_clock_knows_binary_and_twelve_hours(void **state)
{
	(void)state;
	set_cmos(11, 0x04);
	assert_int_equal(cmos(7), 29);
	assert_int_equal(cmos(4), 12 | 0x80);
	set_cmos(11, 0x00);
	assert_int_equal(cmos(4), 0x12 | 0x80);
}

static void the_guest_sets_the_clock(void **state)
{
	(void)state;
	set_cmos(11, 0x82);
	set_cmos(9, 0x30);
	set_cmos(4, 0x23);
	set_cmos(11, 0x02);
	assert_int_equal(cmos(9), 0x30);
	assert_int_equal(cmos(4), 0x23);
	assert_int_equal(cmos(2), 0x04);
	host_ns += 60 * NSEC_PER_SEC;
	assert_int_equal(cmos(2), 0x05);
}

static void firmware_finds_the_memory_in_cmos(void **state)
{
	(void)state;
	assert_int_equal(cmos(0x34) | cmos(0x35) << 8, (0xc0000000 - 0x1000000) >> 16);
	assert_int_equal(cmos(0x5b) | cmos(0x5c) << 8, 0x8000);
	assert_int_equal(cmos(0x5f), 3);
	assert_int_equal(cmos(0x15) | cmos(0x16) << 8, 640);
}

static void firmware_finds_little_and_much_memory(void **state)
{
	static const struct {
		uint64_t memory, low;
		unsigned above_1m, above_16m, above_4g;
	} sizes[] = {
		{UINT64_C(8) << 20, UINT64_C(8) << 20, 7 << 10, 0, 0},
		{UINT64_C(16) << 20, UINT64_C(16) << 20, 15 << 10, 0, 0},
		{UINT64_C(17) << 20, UINT64_C(17) << 20, 16 << 10, 16, 0},
		{UINT64_C(3) << 30, UINT64_C(3) << 30, 0xffff, 0xbf00, 0},
		{(UINT64_C(3) << 30) + (UINT64_C(0x12345) << 16), UINT64_C(3) << 30, 0xffff, 0xbf00,
		 0xffff},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		rtc_fini(&B.rtc);
		rtc_init(&B.rtc, &B.bus, B.home, sizes[i].memory, sizes[i].low, 1);
		assert_int_equal(cmos(0x17) | cmos(0x18) << 8, sizes[i].above_1m);
		assert_int_equal(cmos(0x30) | cmos(0x31) << 8, sizes[i].above_1m);
		assert_int_equal(cmos(0x34) | cmos(0x35) << 8, sizes[i].above_16m);
		assert_int_equal(cmos(0x5b) | cmos(0x5c) << 8, sizes[i].above_4g);
		assert_int_equal(cmos(0x5d), sizes[i].above_4g ? 1 : 0);
		assert_int_equal(cmos(0x5f), 0);
		assert_int_equal(cmos(0x3d), 2);
		assert_int_equal(cmos(0x80 | 10) & 0x7f, 0x26); /* bit 7 is not of the index */
		assert_int_equal(cmos(11), 0x02);
	}
	assert_int_equal(sysbus_read(&B.bus, SYSBUS_PORT, 0x70, 1), 0xff);
	assert_int_equal(sysbus_read(&B.bus, SYSBUS_PORT, 0x71, 2), 0xff02);
	assert_int_equal(sysbus_read(&B.bus, SYSBUS_PORT, 0x70, 2), 0x02ff);
}

static void the_last_second_of_a_century(void **state)
{
	static const struct {
		uint8_t index, set, then;
	} bytes[] = {
		{0x32, 0x19, 0x20}, {9, 0x99, 0x00}, {8, 0x12, 0x01}, {7, 0x31, 0x01},
		{4, 0x23, 0x00},    {2, 0x59, 0x00}, {0, 0x59, 0x00}, {6, 0, 7},
	};

	(void)state;
	set_cmos(11, 0x82);
	for (unsigned i = 0; i < ARRAY_SIZE(bytes) - 1; i++)
		set_cmos(bytes[i].index, bytes[i].set);
	/* It stands still until it is let go. */
	assert_int_equal(cmos(0), 0x59);
	set_cmos(11, 0x02);
	assert_int_equal(cmos(6), 6); /* a Friday */
	host_ns += NSEC_PER_SEC;
	for (unsigned i = 0; i < ARRAY_SIZE(bytes); i++)
		assert_int_equal(cmos(bytes[i].index), bytes[i].then);
}

static void twelve_hours_twice_a_day(void **state)
{
	(void)state;
	for (unsigned hour = 0; hour < 24; hour++) {
		uint8_t half = (uint8_t)((hour % 12 ? hour % 12 : 12) | (hour < 12 ? 0 : 0x80));

		set_cmos(11, 0x06);
		set_cmos(4, (uint8_t)hour);
		set_cmos(11, 0x04);
		assert_int_equal(cmos(4), half);
		set_cmos(4, 0x05);
		set_cmos(4, half);
		set_cmos(11, 0x06);
		assert_int_equal(cmos(4), hour);
	}
}

static void an_update_is_announced(void **state)
{
	(void)state;
	assert_int_equal(cmos(10) & 0x80, 0);
	host_ns += NSEC_PER_SEC - 100 * NSEC_PER_USEC;
	assert_int_equal(cmos(10) & 0x80, 0x80);
	host_ns += 100 * NSEC_PER_USEC;
	assert_int_equal(cmos(10) & 0x80, 0);
}

static void random_accesses_do_no_harm(void **state)
{
	uint32_t random = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		random = random * 1664525 + 1013904223;
		if (random >> 31)
			set_cmos((uint8_t)(random >> 8), (uint8_t)(random >> 16));
		else
			cmos((uint8_t)(random >> 8));
		host_ns += (random >> 4) % (3 * NSEC_PER_SEC);
		if (!(random >> 24))
			pump();
	}
	rtc_reset(&B.rtc);
	assert_false(B.line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_clock_tells_the_date),
		T(the_clock_knows_binary_and_twelve_hours),
		T(the_guest_sets_the_clock),
		T(firmware_finds_the_memory_in_cmos),
		T(firmware_finds_little_and_much_memory),
		T(the_last_second_of_a_century),
		T(twelve_hours_twice_a_day),
		T(an_update_is_announced),
		T(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
