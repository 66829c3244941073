/* SPDX-License-Identifier: MIT */
/*
 * The clock and its 128 bytes of CMOS memory (MC146818): the date is the host's, in UTC; firmware finds the size of the memory there.
 *
 * The guest may set the clock: it goes on from there until power is off.
 *
 * Its three interrupts (a period, an alarm, each second) share one line.  A timer runs only while one of them is enabled and none is
 * pending, so that a guest which does not look costs nothing; periods that go by meanwhile, or while the host was late, come as one.
 *
 * Threads: the machine lock.  The timer is the control thread's: who changes what it waits for posts a message there.
 */
#ifndef BACKEND_MACHINE_RTC_H
#define BACKEND_MACHINE_RTC_H

#include "backend/sysbus/sysbus.h"
#include "base/reactor.h"

#define RTC_BYTES 128
#define RTC_GSI	  8

struct rtc {
	struct sysbus_region region;
	struct sysbus *bus;
	uint8_t index;
	uint8_t cmos[RTC_BYTES];
	int64_t offset;	       /* of the guest's clock to the host's, seconds */
	uint64_t (*now)(void); /* the host's clock, nanoseconds since 1970; a test gives its own */

	uint64_t seen;	/* up to then, on the guest's clock, events have become flags */
	uint64_t alarm; /* the next one, in seconds of the guest's clock */
	struct reactor *home;
	struct reactor_msg plan; /* to the control thread, whose timer it is */
	bool planned;		 /* it is on its way */
	bool waiting;		 /* the timer runs */
	struct reactor_timer timer;
};

/* @memory: bytes of RAM; @low: those of them below 4 GiB.  @home: for the timer; NULL: there is none, somebody else calls rtc_look(). */
void rtc_init(struct rtc *rtc, struct sysbus *bus, struct reactor *home, uint64_t memory,
	      uint64_t low, unsigned cpus);
/* Harmless when zeroed. */
void rtc_fini(struct rtc *rtc);
/* The machine's reset: date and memory stay, interrupts are off. */
void rtc_reset(struct rtc *rtc);
/* What the timer does: looks what has happened by now. */
void rtc_look(struct rtc *rtc);

#endif
