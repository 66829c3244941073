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
		host_ns += NSEC_PER_SEC;
		set_cmos(11, 0x04);
		assert_int_equal(cmos(4), half);
		set_cmos(4, 0x05);
		set_cmos(4, half);
		host_ns += NSEC_PER_SEC;
		set_cmos(11, 0x06);
		assert_int_equal(cmos(4), hour);
	}
}

static void set_date(uint8_t year, uint8_t month, uint8_t day)
{
	set_cmos(9, year);
	set_cmos(8, month);
	set_cmos(7, day);
}

static void date_is(uint8_t year, uint8_t month, uint8_t day)
{
	assert_int_equal(cmos(9), year);
	assert_int_equal(cmos(8), month);
	assert_int_equal(cmos(7), day);
}

/* From 31 January to 28 February by way of 31 February, the clock running. */
static void bytes_stay_as_they_are_written_until_the_next_second(void **state)
{
	(void)state;
	set_date(0x26, 0x01, 0x31);
	host_ns += NSEC_PER_SEC;
	set_cmos(8, 0x02);
	date_is(0x26, 0x02, 0x31);
	set_cmos(7, 0x28);
	date_is(0x26, 0x02, 0x28);
	host_ns += NSEC_PER_SEC;
	date_is(0x26, 0x02, 0x28);
	/* What is no date when the second is over is carried over. */
	set_cmos(7, 0x31);
	set_cmos(0, 0x75);
	date_is(0x26, 0x02, 0x31);
	assert_int_equal(cmos(0), 0x75);
	host_ns += NSEC_PER_SEC;
	date_is(0x26, 0x03, 0x03);
	assert_int_equal(cmos(0), 0x16);
	assert_int_equal(cmos(2), 0x05);
}

static void every_byte_of_the_date_stays_as_it_is_written(void **state)
{
	static const uint8_t dates[] = {0, 2, 4, 6, 7, 8, 9, 0x32};

	(void)state;
	for (unsigned b = 0; b < 0x08; b += 2) /* every form */
		for (unsigned i = 0; i < ARRAY_SIZE(dates); i++)
			for (unsigned v = 0; v < 256; v++) {
				set_cmos(11, (uint8_t)b);
				set_cmos(dates[i], (uint8_t)v);
				assert_int_equal(cmos(dates[i]), v);
				set_cmos(11, (uint8_t)b);
				assert_int_equal(cmos(dates[i]), v);
				host_ns += NSEC_PER_SEC;
				cmos(0);
			}
	/* The alarm's, for as long as it takes. */
	for (unsigned i = 1; i <= 5; i += 2) {
		set_cmos((uint8_t)i, 0xa7);
		host_ns += 100000 * NSEC_PER_SEC;
		set_cmos(11, 0x06);
		assert_int_equal(cmos((uint8_t)i), 0xa7);
	}
}

/* A second that ends between two bytes of one date. */
static void a_date_written_across_the_end_of_a_second_is_whole(void **state)
{
	(void)state;
	set_date(0x26, 0x01, 0x31);
	host_ns += 2 * NSEC_PER_SEC - NSEC_PER_MSEC;
	set_cmos(8, 0x02);
	host_ns += 2 * NSEC_PER_MSEC;
	set_cmos(7, 0x28);
	set_cmos(11, 0x02);
	host_ns += NSEC_PER_SEC;
	date_is(0x26, 0x02, 0x28);
}

/* Bytes first, their form afterwards; or the other way round. */
static void bytes_are_meant_in_the_form_that_holds_when_they_are_carried(void **state)
{
	(void)state;
	set_cmos(0, 58);
	set_cmos(4, 11 | 0x80);
	set_cmos(2, 59);
	set_cmos(11, 0x04);
	assert_int_equal(cmos(0), 58);
	assert_int_equal(cmos(4), 11 | 0x80);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(0), 59);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(0), 0);
	assert_int_equal(cmos(4), 12);
	set_cmos(11, 0x06);
	assert_int_equal(cmos(4), 0);
}

static void the_clock_stands_still_while_it_is_set(void **state)
{
	static const uint8_t stops[][3] = {{11, 0x82, 0x02}, {10, 0x76, 0x26}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(stops); i++) {
		set_cmos(stops[i][0], stops[i][1]);
		set_cmos(7, 0x31);
		set_cmos(8, 0x04);
		set_cmos(0, 0x10);
		host_ns += 300 * NSEC_PER_SEC + 7;
		assert_int_equal(cmos(7), 0x31);
		assert_int_equal(cmos(10) & 0x80, 0);
		set_cmos(8, 0x05);
		host_ns += 300 * NSEC_PER_SEC;
		set_cmos(stops[i][0], stops[i][2]);
		assert_int_equal(cmos(7), 0x31);
		assert_int_equal(cmos(8), 0x05);
		assert_int_equal(cmos(0), 0x10);
		host_ns += NSEC_PER_SEC;
		assert_int_equal(cmos(0), 0x11);
		assert_int_equal(cmos(7), 0x31);
	}
	/* Nothing written: it goes on where it stood. */
	set_cmos(11, 0x82);
	host_ns += 300 * NSEC_PER_SEC;
	set_cmos(11, 0x02);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(0), 0x12);
}

static void the_guest_may_count_the_days_of_the_week_its_own_way(void **state)
{
	(void)state;
	assert_int_equal(cmos(6), 5); /* a Thursday, from Sunday on */
	set_cmos(6, 4);		      /* from Monday on */
	assert_int_equal(cmos(6), 4);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(6), 4);
	host_ns += 3 * 86400 * NSEC_PER_SEC;
	assert_int_equal(cmos(6), 7);
	host_ns += 86400 * NSEC_PER_SEC;
	assert_int_equal(cmos(6), 1);
	/* Another date: it follows. */
	set_date(0x26, 0x11, 0x30);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(6), 1);
}

/* What is due follows the clock as it was set, at once. */
static void an_alarm_follows_bytes_that_are_not_carried_yet(void **state)
{
	(void)state;
	set_cmos(5, 0x23);
	set_cmos(3, 0x00);
	set_cmos(1, 0x01);
	set_cmos(4, 0x23);
	set_cmos(2, 0x00);
	set_cmos(0, 0x00);
	cmos(12);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, ALARM);
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
		T(bytes_stay_as_they_are_written_until_the_next_second),
		T(every_byte_of_the_date_stays_as_it_is_written),
		T(a_date_written_across_the_end_of_a_second_is_whole),
		T(bytes_are_meant_in_the_form_that_holds_when_they_are_carried),
		T(the_clock_stands_still_while_it_is_set),
		T(the_guest_may_count_the_days_of_the_week_its_own_way),
		T(an_alarm_follows_bytes_that_are_not_carried_yet),
		T(an_update_is_announced),
		T(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
