/* SPDX-License-Identifier: MIT */
/*
 * The clock and its 128 bytes of CMOS memory (MC146818): the date is the host's, in UTC; firmware
 * finds the size of the memory there.
 *
 *      rtc.c          registers, the date
 *      rtc_events.c   what happens by itself, and its interrupt: update, alarm, periodic tick
 *
 * The guest may set the clock: it goes on from there until power is off.  What it writes stays in
 * the bytes as it is, valid or not, until the second in which it was written is over: a date comes
 * byte by byte, and what is no date in between (31 February, on the way from 31 January to 28
 * February) must not become another one.  At the next second the bytes are read as one date, in the
 * form that register B then tells, and carried over.  While the clock stands still (register B's
 * SET, the divider held in reset) they stay for as long as that.  The alarm's bytes are never
 * touched.  The day of the week follows the date; one that the guest wrote moves its count.
 *
 * Flags of register C are
 * found out when somebody looks; a timer of the home reactor looks only for those that the guest
 * wants an interrupt for.  Its grain is a millisecond: periodic ticks that are closer come as one,
 * as they do on a machine that is slow to read register C.
 *
 * Threads: the machine lock; the home reactor's thread holds it.
 */
#ifndef BACKEND_MACHINE_RTC_H
#define BACKEND_MACHINE_RTC_H

#include "backend/sysbus/sysbus.h"
#include "base/reactor.h"

#include <time.h>

#define RTC_BYTES 128
#define RTC_GSI	  8

struct rtc {
	struct sysbus_region region;
	struct sysbus *bus;
	struct reactor *home;
	uint8_t index;
	uint8_t cmos[RTC_BYTES];
	int64_t offset;	      /* of the guest's clock to the host's, seconds */
	uint64_t written_ns;  /* the guest last wrote the date; bytes as it wrote them, if ... */
	bool written;	      /* ... they are not carried over yet                             */
	bool weekday_written; /* and this is one of them                                       */
	int weekday_shift;    /* of the guest's count to the calendar's, 0 to 6                */
	uint64_t (*now_ns)(void); /* the host's clock, since 1970; a test gives its own */

	uint64_t looked_ns; /* register C tells what happened until then */
	bool irq;
	struct reactor_timer timer;
	struct reactor_msg wake; /* the timer is to be set anew ... */
	bool waking;		 /* ... and that is on its way       */
};

/* @memory: bytes of RAM; @low: those of them below 4 GiB. */
void rtc_init(struct rtc *rtc, struct sysbus *bus, struct reactor *home, uint64_t memory,
	      uint64_t low, unsigned cpus);
/* On the home reactor's thread.  Harmless when zeroed. */
void rtc_fini(struct rtc *rtc);
/* The reset line: no interrupts; date and memory stay. */
void rtc_reset(struct rtc *rtc);

/* ---- between the files ---- */

enum {
	RTC_SECONDS = 0,
	RTC_ALARM_SECONDS = 1,
	RTC_MINUTES = 2,
	RTC_ALARM_MINUTES = 3,
	RTC_HOURS = 4,
	RTC_ALARM_HOURS = 5,
	RTC_WEEKDAY = 6,
	RTC_DAY = 7,
	RTC_MONTH = 8,
	RTC_YEAR = 9,
	RTC_A = 10,
	RTC_B = 11,
	RTC_C = 12,
	RTC_D = 13,
	RTC_CENTURY = 0x32,
};

#define RTC_A_UPDATING	0x80
#define RTC_A_DIVIDER	0x70
#define RTC_A_32KHZ	0x20 /* greater ones hold it in reset */
#define RTC_B_SET	0x80
#define RTC_B_PERIODIC	0x40 /* the same bits are flags in C */
#define RTC_B_ALARM	0x20
#define RTC_B_UPDATE	0x10
#define RTC_B_BINARY	0x04
#define RTC_B_24H	0x02
#define RTC_C_INTERRUPT 0x80

/* Whether the date goes on. */
static inline bool rtc_runs(const struct rtc *rtc)
{
	return !(rtc->cmos[RTC_B] & RTC_B_SET) && (rtc->cmos[RTC_A] & RTC_A_DIVIDER) <= RTC_A_32KHZ;
}
/* The guest's clock, in seconds since 1970, at a moment of the host's. */
int64_t rtc_seconds(const struct rtc *rtc, uint64_t at_ns);
/* A byte of date or alarm, as a number. */
int rtc_from_form(const struct rtc *rtc, uint8_t v);
int rtc_hour_from_form(const struct rtc *rtc, uint8_t v);

void rtc_events_init(struct rtc *rtc);
/* Before something changes that events depend on: what has happened by the old rules. */
void rtc_events_look(struct rtc *rtc);
/* After such a change. */
void rtc_events_changed(struct rtc *rtc);
/* Register A's bit. */
bool rtc_events_updating(const struct rtc *rtc);

#endif
