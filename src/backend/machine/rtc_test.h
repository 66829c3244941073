/* SPDX-License-Identifier: MIT */
/* A clock on a bus, with a host whose time the test makes. */
#ifndef BACKEND_MACHINE_RTC_TEST_H
#define BACKEND_MACHINE_RTC_TEST_H

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
	struct sysbus_host host;
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

static void irq_set(struct sysbus_host *h, unsigned gsi, bool level)
{
	struct board *b = container_of(h, struct board, host);

	assert_int_equal(gsi, 8);
	assert_true(b->line != level);
	b->line = level;
	b->rises += level;
}

static const struct sysbus_host_ops host_ops = {.irq_set = irq_set};

static struct board B;

static inline int set_up(void **state)
{
	struct reactor_config epoll = {.uring = false};

	(void)state;
	memset(&B, 0, sizeof(B));
	host_ns = START * NSEC_PER_SEC;
	B.host.ops = &host_ops;
	sysbus_init(&B.bus, &B.host);
	assert_int_equal(reactor_create(&B.home, &epoll, NULL), 0);
	rtc_init(&B.rtc, &B.bus, B.home, UINT64_C(5) << 30, UINT64_C(3) << 30, 4);
	B.rtc.now_ns = now_ns;
	B.rtc.looked_ns = host_ns;
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	rtc_fini(&B.rtc);
	reactor_destroy(&B.home);
	return 0;
}

static inline uint8_t cmos(uint8_t index)
{
	sysbus_write(&B.bus, SYSBUS_PORT, 0x70, index, 1);
	return (uint8_t)sysbus_read(&B.bus, SYSBUS_PORT, 0x71, 1);
}

static inline void set_cmos(uint8_t index, uint8_t v)
{
	sysbus_write(&B.bus, SYSBUS_PORT, 0x70, index, 1);
	sysbus_write(&B.bus, SYSBUS_PORT, 0x71, v, 1);
}

static inline void pump(void)
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
static inline void wait_for_line(uint64_t ns)
{
	uint64_t end = clock_ns() + 20 * NSEC_PER_SEC;

	pump();
	host_ns += ns;
	while (!B.line) {
		assert_true(clock_ns() < end);
		pump();
	}
}

static inline void no_line(uint64_t ns)
{
	pump();
	host_ns += ns;
	for (unsigned i = 0; i < 20; i++)
		pump();
	assert_false(B.line);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
