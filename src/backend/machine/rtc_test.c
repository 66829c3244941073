/* SPDX-License-Identifier: MIT */
/* The clock as a guest sees it: date, CMOS memory, update, alarm and periodic interrupts. */
#include "test.h"

#include "backend/machine/rtc.h"
#include "base/clock.h"

#include <poll.h>
#include <string.h>

#define START	 UINT64_C(1709208245) /* 2024-02-29 12:04:05, a Thursday */
#define ALARM	 0x20
#define UPDATE	 0x10
#define PERIODIC 0x40
#define IRQF	 0x80

struct board {
	struct sysbus bus;
	struct reactor *home;
	struct rtc rtc;
	bool line;
	unsigned rises;
};

/* The host's clock as it is told to the machine under test. */
static uint64_t host_ns;

static uint64_t now_ns(void)
{
	return host_ns;
}

static void irq_set(struct sysbus *bus, unsigned gsi, bool level)
{
	struct board *b = container_of(bus, struct board, bus);

	assert_int_equal(gsi, 8);
	assert_true(b->line != level);
	b->line = level;
	b->rises += level;
}

static const struct sysbus_host_ops host = {.irq_set = irq_set};

static struct board B;

static int set_up(void **state)
{
	struct reactor_config epoll = {.uring = false};

	(void)state;
	memset(&B, 0, sizeof(B));
	host_ns = START * NSEC_PER_SEC;
	sysbus_init(&B.bus, &host);
	assert_int_equal(reactor_create(&B.home, &epoll, NULL), 0);
	rtc_init(&B.rtc, &B.bus, B.home, UINT64_C(5) << 30, UINT64_C(3) << 30, 4);
	B.rtc.now_ns = now_ns;
	B.rtc.looked_ns = host_ns;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	rtc_fini(&B.rtc);
	reactor_destroy(&B.home);
	return 0;
}

static uint8_t cmos(uint8_t index)
{
	sysbus_write(&B.bus, SYSBUS_PORT, 0x70, index, 1);
	return (uint8_t)sysbus_read(&B.bus, SYSBUS_PORT, 0x71, 1);
}

static void set_cmos(uint8_t index, uint8_t v)
{
	sysbus_write(&B.bus, SYSBUS_PORT, 0x70, index, 1);
	sysbus_write(&B.bus, SYSBUS_PORT, 0x71, v, 1);
}

static void pump(void)
{
	struct pollfd p = {.fd = reactor_fd(B.home), .events = POLLIN};
	int ms = reactor_timeout_ms(B.home);

	poll(&p, 1, ms < 0 || ms > 1 ? 1 : ms);
	reactor_process(B.home);
}

/*
 * The guest is about to wait: the timer is set; then time goes on, and it expires if it was set for
 * that.
 */
static void wait_for_line(uint64_t ns)
{
	uint64_t end = clock_ns() + 20 * NSEC_PER_SEC;

	pump();
	host_ns += ns;
	while (!B.line) {
		assert_true(clock_ns() < end);
		pump();
	}
}

static void no_line(uint64_t ns)
{
	pump();
	host_ns += ns;
	for (unsigned i = 0; i < 20; i++)
		pump();
	assert_false(B.line);
}

/* ---- date and memory ---- */

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

static void an_update_is_announced(void **state)
{
	(void)state;
	assert_int_equal(cmos(10) & 0x80, 0);
	host_ns += NSEC_PER_SEC - 100 * NSEC_PER_USEC;
	assert_int_equal(cmos(10) & 0x80, 0x80);
	host_ns += 100 * NSEC_PER_USEC;
	assert_int_equal(cmos(10) & 0x80, 0);
}

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

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_clock_tells_the_date),
		T(the_clock_knows_binary_and_twelve_hours),
		T(the_guest_sets_the_clock),
		T(firmware_finds_the_memory_in_cmos),
		T(an_update_is_announced),
		T(flags_are_there_without_interrupts),
		T(registers_c_and_d_cannot_be_written),
		T(an_update_interrupts_until_it_is_acknowledged),
		T(an_alarm_rings_once_at_its_time),
		T(an_alarm_may_leave_parts_open),
		T(an_alarm_rings_after_midnight),
		T(an_alarm_at_no_time_of_day_never_rings),
		T(periodic_ticks_interrupt),
		T(setting_the_clock_stops_updates),
		T(a_flag_that_is_there_interrupts_when_it_is_enabled),
		T(a_reset_ends_interrupts),
		T(the_hosts_clock_may_step_back),
		T(random_accesses_do_no_harm),
	};

	return cmocka_run_group_tests_name("rtc", tests, NULL, NULL);
}
