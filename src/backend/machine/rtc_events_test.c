/* SPDX-License-Identifier: MIT */
/* What the clock does by itself: update, alarm and periodic interrupts. */
#include "backend/machine/rtc_test.h"

/* ---- flags, for those who look ---- */

static void flags_are_there_without_interrupts(void **state)
{
	(void)state;
	cmos(12);
	assert_int_equal(cmos(12), 0);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ~PERIODIC, UPDATE);
	assert_int_equal(cmos(12), 0);
	host_ns += NSEC_PER_SEC / 512;
	assert_int_equal(cmos(12), PERIODIC);
	set_cmos(5, 0x12);
	set_cmos(3, 0x04);
	set_cmos(1, 0x07);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ~PERIODIC, UPDATE | ALARM);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ~PERIODIC, UPDATE);
	no_line(0);
}

static void registers_c_and_d_cannot_be_written(void **state)
{
	(void)state;
	set_cmos(12, 0xff);
	set_cmos(13, 0);
	assert_int_equal(cmos(12) & ~PERIODIC, 0);
	assert_int_equal(cmos(13), 0x80);
	assert_false(B.line);
}

/* ---- interrupts ---- */

static void an_update_interrupts_until_it_is_acknowledged(void **state)
{
	(void)state;
	host_ns += NSEC_PER_SEC - 2 * NSEC_PER_MSEC;
	set_cmos(11, 0x02 | UPDATE);
	for (unsigned i = 1; i <= 3; i++) {
		wait_for_line(2 * NSEC_PER_MSEC);
		assert_int_equal(B.rises, i);
		assert_int_equal(cmos(12) & ~PERIODIC, IRQF | UPDATE);
		assert_false(B.line);
		host_ns += NSEC_PER_SEC - 2 * NSEC_PER_MSEC;
	}
	set_cmos(11, 0x02);
	no_line(NSEC_PER_SEC);
}

static void an_alarm_rings_once_at_its_time(void **state)
{
	(void)state;
	set_cmos(1, 0x08);
	set_cmos(3, 0x04);
	set_cmos(5, 0x12);
	cmos(12);
	set_cmos(11, 0x02 | ALARM);
	no_line(2 * NSEC_PER_SEC);
	host_ns += NSEC_PER_SEC - 2 * NSEC_PER_MSEC;
	set_cmos(11, 0x02 | ALARM); /* the test's time jumps: the timer is set anew */
	wait_for_line(2 * NSEC_PER_MSEC);
	assert_int_equal(cmos(12) & (IRQF | ALARM), IRQF | ALARM);
	no_line(NSEC_PER_SEC);
	/* It rings again a day later. */
	host_ns += 86400 * NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, ALARM);
}

static void an_alarm_may_leave_parts_open(void **state)
{
	(void)state;
	set_cmos(1, 0x00);
	set_cmos(3, 0xff);
	set_cmos(5, 0xc0);
	cmos(12);
	for (unsigned i = 0; i < 3; i++) {
		host_ns += 54 * NSEC_PER_SEC;
		assert_int_equal(cmos(12) & ALARM, 0);
		host_ns += NSEC_PER_SEC;
		assert_int_equal(cmos(12) & ALARM, ALARM);
		host_ns += 5 * NSEC_PER_SEC;
		assert_int_equal(cmos(12) & ALARM, 0);
	}
	set_cmos(1, 0xff);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, ALARM);
}

static void an_alarm_rings_after_midnight(void **state)
{
	(void)state;
	set_cmos(11, 0x80);
	set_cmos(4, 0x11 | 0x80);
	set_cmos(2, 0x59);
	set_cmos(0, 0x58);
	set_cmos(11, 0x00); /* twelve hours */
	set_cmos(5, 0x12);
	set_cmos(3, 0x00);
	set_cmos(1, 0x01);
	cmos(12);
	host_ns += 2 * NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, 0);
	assert_int_equal(cmos(4), 0x12);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, ALARM);
}

static void an_alarm_at_no_time_of_day_never_rings(void **state)
{
	(void)state;
	set_cmos(1, 0x75);
	set_cmos(3, 0xff);
	set_cmos(5, 0xff);
	cmos(12);
	set_cmos(11, 0x02 | ALARM);
	for (unsigned i = 0; i < 10; i++) {
		host_ns += 10000 * NSEC_PER_SEC;
		assert_int_equal(cmos(12) & ALARM, 0);
	}
	no_line(86400 * NSEC_PER_SEC);
}

static void periodic_ticks_interrupt(void **state)
{
	(void)state;
	set_cmos(10, 0x26); /* 1024 Hz */
	set_cmos(11, 0x02 | PERIODIC);
	for (unsigned i = 1; i <= 5; i++) {
		wait_for_line(NSEC_PER_MSEC);
		assert_int_equal(cmos(12) & (IRQF | PERIODIC), IRQF | PERIODIC);
		assert_false(B.line);
		assert_int_equal(B.rises, i);
	}
	set_cmos(10, 0x20); /* none */
	no_line(NSEC_PER_SEC / 2);
	/* Two of the fifteen rates stand outside the row. */
	set_cmos(10, 0x21);
	cmos(12);
	host_ns += NSEC_PER_SEC / 256;
	assert_int_equal(cmos(12) & PERIODIC, PERIODIC);
}

static void every_rate_has_its_period(void **state)
{
	static const unsigned hz[] = {256, 128, 8192, 4096, 2048, 1024, 512, 256,
				      128, 64,	32,   16,   8,	  4,	2};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(hz); i++) {
		uint64_t period = NSEC_PER_SEC / hz[i];

		set_cmos(10, (uint8_t)(0x20 | (i + 1)));
		host_ns = host_ns / period * period;
		cmos(12);
		host_ns += period - 1;
		assert_int_equal(cmos(12) & PERIODIC, 0);
		host_ns += 1;
		assert_int_equal(cmos(12) & PERIODIC, PERIODIC);
	}
}

/* The home reactor wakes up for what is wanted, and sleeps otherwise. */
static void the_timer_is_set_for_what_is_wanted(void **state)
{
	static const struct {
		uint8_t wanted;
		int ms; /* from half a second on; a slow test may find up to four seconds gone */
	} waits[] = {
		{0, -1}, {UPDATE, 500}, {ALARM, 9500}, {ALARM | UPDATE, 500}, {PERIODIC, 500},
	};

	(void)state;
	set_cmos(10, 0x2f);
	set_cmos(1, 0x15);
	set_cmos(3, 0x04);
	set_cmos(5, 0x12);
	host_ns += NSEC_PER_SEC / 2;
	cmos(12);
	for (unsigned i = 0; i < ARRAY_SIZE(waits); i++) {
		int ms;

		set_cmos(11, 0x02 | waits[i].wanted);
		reactor_process(B.home);
		ms = reactor_timeout_ms(B.home);
		assert_true(ms <= waits[i].ms + 1);
		assert_true(ms >= waits[i].ms - 4000);
		assert_true((ms < 0) == (waits[i].ms < 0));
		/* Not wanted any more: it goes off once, in vain. */
		set_cmos(11, 0x02);
	}
	set_cmos(5, 0x13); /* in an hour: the host's clock may be set meanwhile */
	set_cmos(11, 0x02 | ALARM);
	reactor_process(B.home);
	assert_true(reactor_timeout_ms(B.home) <= 60000);
	assert_true(reactor_timeout_ms(B.home) > 50000);
	/* A clock that stands still has no alarm. */
	set_cmos(11, 0x82 | ALARM);
	host_ns += 3600 * NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, 0);
}

static void an_alarm_rings_before_1970(void **state)
{
	(void)state;
	set_cmos(0x32, 0x19);
	set_cmos(9, 0x59);
	set_cmos(1, 0x04);
	set_cmos(3, 0x05);
	set_cmos(5, 0x12);
	cmos(12);
	host_ns += 58 * NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, 0);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & ALARM, ALARM);
	assert_int_equal(cmos(9), 0x59);
}

static void setting_the_clock_stops_updates(void **state)
{
	(void)state;
	set_cmos(11, 0x02 | UPDATE);
	set_cmos(11, 0x82 | UPDATE);
	assert_int_equal(cmos(11), 0x82);
	no_line(2 * NSEC_PER_SEC);
	assert_int_equal(cmos(12) & (UPDATE | ALARM), 0);
	host_ns += NSEC_PER_SEC - 1;
	assert_int_equal(cmos(10) & 0x80, 0);
}

static void a_flag_that_is_there_interrupts_when_it_is_enabled(void **state)
{
	(void)state;
	host_ns += NSEC_PER_SEC;
	set_cmos(11, 0x02);
	assert_false(B.line);
	set_cmos(11, 0x02 | UPDATE);
	assert_true(B.line);
	set_cmos(11, 0x02);
	assert_false(B.line);
}

static void a_reset_ends_interrupts(void **state)
{
	(void)state;
	set_cmos(0x40, 0x5a);
	host_ns += NSEC_PER_SEC;
	set_cmos(11, 0x02 | UPDATE | ALARM | PERIODIC);
	assert_true(B.line);
	rtc_reset(&B.rtc);
	assert_false(B.line);
	assert_int_equal(cmos(11), 0x02);
	assert_int_equal(cmos(0x40), 0x5a);
	no_line(2 * NSEC_PER_SEC);
}

static void the_hosts_clock_may_step_back(void **state)
{
	(void)state;
	cmos(12);
	host_ns -= 3600 * NSEC_PER_SEC;
	assert_int_equal(cmos(12), 0);
	assert_int_equal(cmos(4), 0x11);
	host_ns += NSEC_PER_SEC;
	assert_int_equal(cmos(12) & UPDATE, UPDATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(flags_are_there_without_interrupts),
		T(registers_c_and_d_cannot_be_written),
		T(an_update_interrupts_until_it_is_acknowledged),
		T(an_alarm_rings_once_at_its_time),
		T(an_alarm_may_leave_parts_open),
		T(an_alarm_rings_after_midnight),
		T(an_alarm_at_no_time_of_day_never_rings),
		T(periodic_ticks_interrupt),
		T(every_rate_has_its_period),
		T(the_timer_is_set_for_what_is_wanted),
		T(an_alarm_rings_before_1970),
		T(setting_the_clock_stops_updates),
		T(a_flag_that_is_there_interrupts_when_it_is_enabled),
		T(a_reset_ends_interrupts),
		T(the_hosts_clock_may_step_back),
	};

	return cmocka_run_group_tests_name("rtc_events", tests, NULL, NULL);
}
