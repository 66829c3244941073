/* SPDX-License-Identifier: MIT */
#include "backend/machine/rtc.h"

#include "base/clock.h"

#include <string.h>

#define A_DEFAULT 0x26 /* 32768 Hz, 1024 ticks */
#define D_BATTERY 0x80
#define HOUR_PM	  0x80
/* Writes that are closer than this set one date. */
#define ONE_DATE_NS (100 * NSEC_PER_MSEC)

static uint8_t to_form(const struct rtc *rtc, int v)
{
	return (uint8_t)(rtc->cmos[RTC_B] & RTC_B_BINARY ? v : v / 10 << 4 | v % 10);
}

int rtc_from_form(const struct rtc *rtc, uint8_t v)
{
	return rtc->cmos[RTC_B] & RTC_B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t hour_to_form(const struct rtc *rtc, int hour)
{
	if (rtc->cmos[RTC_B] & RTC_B_24H)
		return to_form(rtc, hour);
	return (uint8_t)(to_form(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0));
}

int rtc_hour_from_form(const struct rtc *rtc, uint8_t v)
{
	if (rtc->cmos[RTC_B] & RTC_B_24H)
		return rtc_from_form(rtc, v);
	return rtc_from_form(rtc, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static uint8_t weekday_to_form(const struct rtc *rtc, const struct tm *tm)
{
	return to_form(rtc, (tm->tm_wday + rtc->weekday_shift) % 7 + 1);
}

static bool is_date(uint8_t index)
{
	return index == RTC_SECONDS || index == RTC_MINUTES || index == RTC_HOURS ||
	       (index >= RTC_WEEKDAY && index <= RTC_YEAR) || index == RTC_CENTURY;
}

static bool is_alarm(uint8_t index)
{
	return index == RTC_ALARM_SECONDS || index == RTC_ALARM_MINUTES || index == RTC_ALARM_HOURS;
}

int64_t rtc_seconds(const struct rtc *rtc, uint64_t at_ns)
{
	return (int64_t)(at_ns / NSEC_PER_SEC) + rtc->offset;
}

/* The bytes are as the guest wrote them, and the second in which it did so is not over. */
static bool just_written(const struct rtc *rtc)
{
	return rtc->written && rtc->now_ns() / NSEC_PER_SEC == rtc->written_ns / NSEC_PER_SEC;
}

/* Carries the bytes over to this second. */
static void refresh(struct rtc *rtc)
{
	time_t t = (time_t)rtc_seconds(rtc, rtc->now_ns());
	struct tm tm;

	if (!rtc_runs(rtc) || just_written(rtc) || !gmtime_r(&t, &tm))
		return;
	rtc->written = rtc->weekday_written = false;
	rtc->cmos[RTC_SECONDS] = to_form(rtc, tm.tm_sec);
	rtc->cmos[RTC_MINUTES] = to_form(rtc, tm.tm_min);
	rtc->cmos[RTC_HOURS] = hour_to_form(rtc, tm.tm_hour);
	rtc->cmos[RTC_WEEKDAY] = weekday_to_form(rtc, &tm);
	rtc->cmos[RTC_DAY] = to_form(rtc, tm.tm_mday);
	rtc->cmos[RTC_MONTH] = to_form(rtc, tm.tm_mon + 1);
	rtc->cmos[RTC_YEAR] = to_form(rtc, (tm.tm_year + 1900) % 100);
	rtc->cmos[RTC_CENTURY] = to_form(rtc, (tm.tm_year + 1900) / 100 % 100);
}

/*
 * Before a write: a date that is being written is left whole when a second ends in the midst of it;
 * the clock loses that second.
 */
static void refresh_before_write(struct rtc *rtc)
{
	if (!rtc->written || rtc->now_ns() - rtc->written_ns > ONE_DATE_NS)
		refresh(rtc);
}

/* The clock goes on from what the bytes say. */
static void take_date(struct rtc *rtc)
{
	const uint8_t *c = rtc->cmos;
	struct tm tm = {
		.tm_sec = rtc_from_form(rtc, c[RTC_SECONDS]),
		.tm_min = rtc_from_form(rtc, c[RTC_MINUTES]),
		.tm_hour = rtc_hour_from_form(rtc, c[RTC_HOURS]),
		.tm_mday = rtc_from_form(rtc, c[RTC_DAY]),
		.tm_mon = rtc_from_form(rtc, c[RTC_MONTH]) - 1,
		.tm_year = rtc_from_form(rtc, c[RTC_CENTURY]) * 100 +
			   rtc_from_form(rtc, c[RTC_YEAR]) - 1900,
	};

	rtc->written = true;
	rtc->written_ns = rtc->now_ns();
	rtc->offset = 0;
	rtc->offset = (int64_t)timegm(&tm) - rtc_seconds(rtc, rtc->written_ns);
	/* timegm() has told the calendar's day of the week. */
	if (rtc->weekday_written)
		rtc->weekday_shift = (rtc_from_form(rtc, c[RTC_WEEKDAY]) - 1 - tm.tm_wday + 14) % 7;
	else if (rtc_runs(rtc))
		rtc->cmos[RTC_WEEKDAY] = weekday_to_form(rtc, &tm);
}

static void write_date(struct rtc *rtc, uint8_t index, uint8_t v)
{
	refresh_before_write(rtc);
	rtc->cmos[index] = v;
	rtc->weekday_written |= index == RTC_WEEKDAY;
	take_date(rtc);
}

/* Registers A and B, which stop the clock and tell the form of the date. */
static void write_control(struct rtc *rtc, uint8_t index, uint8_t v)
{
	bool ran = rtc_runs(rtc);

	refresh_before_write(rtc);
	/* Who sets the clock is not told of updates. */
	if (index == RTC_B && (v & RTC_B_SET))
		v &= (uint8_t)~RTC_B_UPDATE;
	rtc->cmos[index] = index == RTC_A ? v & (uint8_t)~RTC_A_UPDATING : v;
	/* Bytes that the guest has written are from now on meant in this form. */
	if (rtc_runs(rtc) && (!ran || just_written(rtc)))
		take_date(rtc);
}

/* Reading is the acknowledgement. */
static uint8_t read_flags(struct rtc *rtc)
{
	uint8_t flags;

	rtc_events_look(rtc);
	flags = rtc->cmos[RTC_C];
	rtc->cmos[RTC_C] = 0;
	rtc_events_changed(rtc);
	return flags;
}

static uint64_t rtc_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct rtc *rtc = container_of(r, struct rtc, region);

	(void)size;
	if (!offset) /* the index is not read back */
		return UINT64_MAX;
	if (is_date(rtc->index))
		refresh(rtc);
	if (rtc->index == RTC_A && rtc_events_updating(rtc))
		return rtc->cmos[RTC_A] | RTC_A_UPDATING;
	if (rtc->index == RTC_C)
		return read_flags(rtc);
	return rtc->cmos[rtc->index];
}

static void rtc_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct rtc *rtc = container_of(r, struct rtc, region);
	uint8_t v = (uint8_t)value;

	(void)size;
	if (!offset) {
		rtc->index = v % RTC_BYTES;
		return;
	}
	if (rtc->index == RTC_C || rtc->index == RTC_D)
		return;
	rtc_events_look(rtc);
	if (is_date(rtc->index))
		write_date(rtc, rtc->index, v);
	else if (rtc->index == RTC_A || rtc->index == RTC_B)
		write_control(rtc, rtc->index, v);
	else
		rtc->cmos[rtc->index] = v;
	if (is_date(rtc->index) || is_alarm(rtc->index) || rtc->index == RTC_A ||
	    rtc->index == RTC_B)
		rtc_events_changed(rtc);
}

static const struct sysbus_region_ops rtc_ops = {
	.sizes = SYSBUS_BYTE,
	.read = rtc_read,
	.write = rtc_write,
};

static void put16(uint8_t *to, uint64_t v)
{
	v = min_u64(v, 0xffff);
	to[0] = (uint8_t)v;
	to[1] = (uint8_t)(v >> 8);
}

static uint64_t host_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

void rtc_init(struct rtc *rtc, struct sysbus *bus, struct reactor *home, uint64_t memory,
	      uint64_t low, unsigned cpus)
{
	uint64_t above_1m = (low - (1 << 20)) >> 10, above_16m = 0, above_4g = (memory - low) >> 16;

	*rtc = (struct rtc){
		.region = {.name = "rtc", .space = SYSBUS_PORT, .size = 2, .ops = &rtc_ops},
		.bus = bus,
		.home = home,
		.now_ns = host_now,
	};
	rtc_events_init(rtc);
	if (low > 16 << 20)
		above_16m = (low - (16 << 20)) >> 16;
	rtc->cmos[RTC_A] = A_DEFAULT;
	rtc->cmos[RTC_B] = RTC_B_24H;
	rtc->cmos[RTC_D] = D_BATTERY;
	put16(rtc->cmos + 0x15, 640);
	put16(rtc->cmos + 0x17, above_1m);
	put16(rtc->cmos + 0x30, above_1m);
	put16(rtc->cmos + 0x34, above_16m);
	put16(rtc->cmos + 0x5b, above_4g);
	rtc->cmos[0x5d] = (uint8_t)(above_4g >> 16);
	rtc->cmos[0x5f] = (uint8_t)(cpus - 1);
	rtc->cmos[0x3d] = 0x02; /* boot from the first disk */
	sysbus_map(bus, &rtc->region, 0x70);
}

void rtc_fini(struct rtc *rtc)
{
	if (!rtc->bus)
		return;
	reactor_timer_stop(rtc->home, &rtc->timer);
	sysbus_unmap(&rtc->region);
}

void rtc_reset(struct rtc *rtc)
{
	rtc->cmos[RTC_B] &= (uint8_t) ~(RTC_B_PERIODIC | RTC_B_ALARM | RTC_B_UPDATE);
	rtc->cmos[RTC_C] = 0;
	rtc_events_changed(rtc);
}
