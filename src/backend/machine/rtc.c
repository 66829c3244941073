/* SPDX-License-Identifier: MIT */
#include "backend/machine/rtc.h"

#include <string.h>

enum {
	REG_SECONDS = 0,
	REG_MINUTES = 2,
	REG_HOURS = 4,
	REG_WEEKDAY = 6,
	REG_DAY = 7,
	REG_MONTH = 8,
	REG_YEAR = 9,
	REG_A = 10,
	REG_B = 11,
	REG_C = 12,
	REG_D = 13,
	REG_CENTURY = 0x32,
};

#define A_DEFAULT 0x26 /* 32768 Hz, no update under way */
#define B_BINARY  0x04
#define B_24H	  0x02
#define B_SET	  0x80
#define D_BATTERY 0x80
#define HOUR_PM	  0x80

static uint8_t to_form(const struct rtc *rtc, int v)
{
	return (uint8_t)(rtc->cmos[REG_B] & B_BINARY ? v : v / 10 << 4 | v % 10);
}

static int from_form(const struct rtc *rtc, uint8_t v)
{
	return rtc->cmos[REG_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 15);
}

static uint8_t hour_to_form(const struct rtc *rtc, int hour)
{
	if (rtc->cmos[REG_B] & B_24H)
		return to_form(rtc, hour);
	return (uint8_t)(to_form(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0));
}

static int hour_from_form(const struct rtc *rtc, uint8_t v)
{
	if (rtc->cmos[REG_B] & B_24H)
		return from_form(rtc, v);
	return from_form(rtc, v & 0x7f) % 12 + (v & HOUR_PM ? 12 : 0);
}

static bool is_date(uint8_t index)
{
	return index == REG_SECONDS || index == REG_MINUTES || index == REG_HOURS ||
	       (index >= REG_WEEKDAY && index <= REG_YEAR) || index == REG_CENTURY;
}

/* While the guest sets the clock, it stands still in the bytes. */
static void refresh(struct rtc *rtc)
{
	time_t t = rtc->now() + (time_t)rtc->offset;
	struct tm tm;

	if ((rtc->cmos[REG_B] & B_SET) || !gmtime_r(&t, &tm))
		return;
	rtc->cmos[REG_SECONDS] = to_form(rtc, tm.tm_sec);
	rtc->cmos[REG_MINUTES] = to_form(rtc, tm.tm_min);
	rtc->cmos[REG_HOURS] = hour_to_form(rtc, tm.tm_hour);
	rtc->cmos[REG_WEEKDAY] = to_form(rtc, tm.tm_wday + 1);
	rtc->cmos[REG_DAY] = to_form(rtc, tm.tm_mday);
	rtc->cmos[REG_MONTH] = to_form(rtc, tm.tm_mon + 1);
	rtc->cmos[REG_YEAR] = to_form(rtc, (tm.tm_year + 1900) % 100);
	rtc->cmos[REG_CENTURY] = to_form(rtc, (tm.tm_year + 1900) / 100 % 100);
}

static void take_date(struct rtc *rtc)
{
	const uint8_t *c = rtc->cmos;
	struct tm tm = {
		.tm_sec = from_form(rtc, c[REG_SECONDS]),
		.tm_min = from_form(rtc, c[REG_MINUTES]),
		.tm_hour = hour_from_form(rtc, c[REG_HOURS]),
		.tm_mday = from_form(rtc, c[REG_DAY]),
		.tm_mon = from_form(rtc, c[REG_MONTH]) - 1,
		.tm_year = from_form(rtc, c[REG_CENTURY]) * 100 + from_form(rtc, c[REG_YEAR]) -
			   1900,
	};

	rtc->offset = (int64_t)timegm(&tm) - rtc->now();
}

static uint64_t rtc_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct rtc *rtc = container_of(r, struct rtc, region);

	if (offset != 1 || size != 1)
		return UINT64_MAX;
	if (is_date(rtc->index))
		refresh(rtc);
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
	switch (rtc->index) {
	case REG_A:
		rtc->cmos[REG_A] = v & 0x7f;
		break;
	case REG_B:
		refresh(rtc);
		rtc->cmos[REG_B] = v;
		break;
	case REG_C:
	case REG_D:
		break;
	default:
		if (is_date(rtc->index))
			refresh(rtc);
		rtc->cmos[rtc->index] = v;
		if (is_date(rtc->index))
			take_date(rtc);
		break;
	}
}

static const struct sysbus_region_ops rtc_ops = {
	.read = rtc_read,
	.write = rtc_write,
};

static void put16(uint8_t *to, uint64_t v)
{
	v = min_u64(v, 0xffff);
	to[0] = (uint8_t)v;
	to[1] = (uint8_t)(v >> 8);
}

static time_t host_now(void)
{
	return time(NULL);
}

void rtc_init(struct rtc *rtc, struct sysbus *bus, uint64_t memory, uint64_t low, unsigned cpus)
{
	uint64_t above_1m = (low - (1 << 20)) >> 10, above_16m = 0, above_4g = (memory - low) >> 16;

	*rtc = (struct rtc){
		.region = {.name = "rtc", .space = SYSBUS_PORT, .size = 2, .ops = &rtc_ops},
		.now = host_now,
	};
	if (low > 16 << 20)
		above_16m = (low - (16 << 20)) >> 16;
	rtc->cmos[REG_A] = A_DEFAULT;
	rtc->cmos[REG_B] = B_24H;
	rtc->cmos[REG_D] = D_BATTERY;
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
	sysbus_unmap(&rtc->region);
}
