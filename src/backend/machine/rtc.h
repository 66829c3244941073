/* SPDX-License-Identifier: MIT */
/*
 * The clock and its 128 bytes of CMOS memory (MC146818): the date is the host's, in UTC; firmware finds the size of the memory there.
 *
 * The guest may set the clock: it goes on from there until power is off.  Alarm and periodic interrupts are not raised.
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_MACHINE_RTC_H
#define BACKEND_MACHINE_RTC_H

#include "backend/sysbus/sysbus.h"

#include <time.h>

#define RTC_BYTES 128

struct rtc {
	struct sysbus_region region;
	uint8_t index;
	uint8_t cmos[RTC_BYTES];
	int64_t offset;	     /* of the guest's clock to the host's, seconds */
	time_t (*now)(void); /* the host's clock; a test gives its own */
};

/* @memory: bytes of RAM; @low: those of them below 4 GiB. */
void rtc_init(struct rtc *rtc, struct sysbus *bus, uint64_t memory, uint64_t low, unsigned cpus);
void rtc_fini(struct rtc *rtc);

#endif
