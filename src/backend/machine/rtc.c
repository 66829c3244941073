/* SPDX-License-Identifier: MIT */
#include "backend/machine/rtc.h"

#include "base/clock.h"

#include <time.h>

enum {
	REG_SECONDS = 0,
	REG_SECONDS_ALARM = 1,
	REG_MINUTES = 2,
	REG_MINUTES_ALARM = 3,
	REG_HOURS = 4,
	REG_HOURS_ALARM = 5,
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

#define A_DEFAULT   0x26 /* 32768 Hz, no update under way */
#define A_RATE	    0x0f
#define A_UPDATING  0x80
#define B_BINARY    0x04
#define B_24H	    0x02
#define B_SET	    0x80
#define C_PENDING   0x80 /* one of the three below is, and enabled by the same bit of B */
#define C_PERIOD    0x40
#define C_ALARM	    0x20
#define C_UPDATE    0x10
#define C_ALL	    (C_PERIOD | C_ALARM | C_UPDATE)
#define D_BATTERY   0x80
#define HOUR_PM	    0x80
#define ANY	    0xc0 /* an alarm's byte from here on matches always */

#define NEVER	    UINT64_MAX
#define TICK_HZ	    32768
#define ALARM_STEPS 300
#define UPDATE_NS   244000 /* how long before a second the update is announced */

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

static uint64_t guest_now(const struct rtc *rtc)
{
	return rtc->now() + (uint64_t)rtc->offset * NSEC_PER_SEC;
}

static bool is_date(uint8_t index)
{
	return index == REG_SECONDS || index == REG_MINUTES || index == REG_HOURS ||
	       (index >= REG_WEEKDAY && index <= REG_YEAR) || index == REG_CENTURY;
}

/* While the guest sets the clock, it stands still in the bytes. */
static void refresh(struct rtc *rtc)
{
	time_t t = (time_t)(guest_now(rtc) / NSEC_PER_SEC);
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

	rtc->offset = (int64_t)timegm(&tm) - (int64_t)(rtc->now() / NSEC_PER_SEC);
	rtc->seen = guest_now(rtc);
}

/* ---- interrupts ---- */

/* The clock's ticks of 1/32768 s in one period; 0: there is none. */
static uint64_t period(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[REG_A] & A_RATE;

	/* The two fastest are not: they repeat others. */
	if (rate == 1 || rate == 2)
		rate += 7;
	return rate ? UINT64_C(1) << (rate - 1) : 0;
}

static uint64_t ticks(uint64_t ns)
{
	return ns / NSEC_PER_SEC * TICK_HZ + ns % NSEC_PER_SEC * TICK_HZ / NSEC_PER_SEC;
}

/* Of a tick, rounded up: at that time it has come. */
static uint64_t tick_ns(uint64_t tick)
{
	return tick / TICK_HZ * NSEC_PER_SEC +
	       (tick % TICK_HZ * NSEC_PER_SEC + TICK_HZ - 1) / TICK_HZ;
}

static bool alarm_matches(const struct rtc *rtc, uint8_t index, uint64_t value)
{
	uint8_t v = rtc->cmos[index];

	if (v >= ANY)
		return true;
	return value ==
	       (uint64_t)(index == REG_HOURS_ALARM ? hour_from_form(rtc, v) : from_form(rtc, v));
}

/*
 * The first second after @from that the alarm's bytes name.  To the end of the minute, of the hour, of the day, and on to the hour, the minute, the
 * second: fewer steps than ALARM_STEPS, or it is none that there is.
 */
static uint64_t next_alarm(const struct rtc *rtc, uint64_t from)
{
	uint64_t t = from + 1;

	for (unsigned i = 0; i < ALARM_STEPS; i++) {
		if (!alarm_matches(rtc, REG_HOURS_ALARM, t / 3600 % 24))
			t = (t / 3600 + 1) * 3600;
		else if (!alarm_matches(rtc, REG_MINUTES_ALARM, t / 60 % 60))
			t = (t / 60 + 1) * 60;
		else if (!alarm_matches(rtc, REG_SECONDS_ALARM, t % 60))
			t++;
		else
			return t;
	}
	return NEVER;
}

/* Turns what has happened since the last look into flags. */
static void account(struct rtc *rtc)
{
	uint64_t now = guest_now(rtc), p = period(rtc);
	uint8_t *flags = &rtc->cmos[REG_C];

	if (p && ticks(now) / p != ticks(rtc->seen) / p)
		*flags |= C_PERIOD;
	if (!(rtc->cmos[REG_B] & B_SET) && now / NSEC_PER_SEC != rtc->seen / NSEC_PER_SEC) {
		*flags |= C_UPDATE;
		if (now / NSEC_PER_SEC >= rtc->alarm) {
			*flags |= C_ALARM;
			rtc->alarm = next_alarm(rtc, now / NSEC_PER_SEC);
		}
	}
	rtc->seen = now;
}

/* When the next event comes that would raise the line. */
static uint64_t next_event(const struct rtc *rtc)
{
	uint8_t wanted = rtc->cmos[REG_B] & C_ALL;
	uint64_t p = period(rtc), next = NEVER;

	if (rtc->cmos[REG_C] & C_PENDING)
		return NEVER;
	if ((wanted & C_PERIOD) && p)
		next = tick_ns((ticks(rtc->seen) / p + 1) * p);
	if (wanted & C_UPDATE)
		next = min_u64(next, (rtc->seen / NSEC_PER_SEC + 1) * NSEC_PER_SEC);
	if ((wanted & C_ALARM) && rtc->alarm < NEVER / NSEC_PER_SEC)
		next = min_u64(next, rtc->alarm * NSEC_PER_SEC);
	return next;
}

/* Control thread. */
static void plan(struct reactor_msg *msg)
{
	struct rtc *rtc = container_of(msg, struct rtc, plan);
	uint64_t now = guest_now(rtc), next = next_event(rtc);

	rtc->planned = false;
	reactor_timer_stop(rtc->home, &rtc->timer);
	rtc->waiting = next != NEVER;
	if (rtc->waiting)
		reactor_timer_start(rtc->home, &rtc->timer, next > now ? next - now : 0);
}

/* The line follows the flags. */
static void settle(struct rtc *rtc)
{
	uint8_t wanted = rtc->cmos[REG_B] & C_ALL;
	bool pending = rtc->cmos[REG_C] & wanted;

	rtc->cmos[REG_C] = (uint8_t)((rtc->cmos[REG_C] & C_ALL) | (pending ? C_PENDING : 0));
	rtc->bus->host->irq_set(rtc->bus, RTC_GSI, pending);
	if (!rtc->home || rtc->planned || !(wanted || rtc->waiting))
		return;
	rtc->planned = true;
	reactor_post(rtc->home, &rtc->plan);
}

void rtc_look(struct rtc *rtc)
{
	account(rtc);
	settle(rtc);
}

static void expired(struct reactor_timer *t)
{
	rtc_look(container_of(t, struct rtc, timer));
}

/* ---- registers ---- */

static bool is_alarm(uint8_t index)
{
	return index == REG_SECONDS_ALARM || index == REG_MINUTES_ALARM || index == REG_HOURS_ALARM;
}

static uint8_t read_a(const struct rtc *rtc)
{
	bool soon = guest_now(rtc) % NSEC_PER_SEC >= NSEC_PER_SEC - UPDATE_NS;

	return rtc->cmos[REG_A] | (soon && !(rtc->cmos[REG_B] & B_SET) ? A_UPDATING : 0);
}

/* Reading is the acknowledgement. */
static uint8_t read_c(struct rtc *rtc)
{
	uint8_t v;

	rtc_look(rtc);
	v = rtc->cmos[REG_C];
	rtc->cmos[REG_C] = 0;
	settle(rtc);
	return v;
}

static uint64_t rtc_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct rtc *rtc = container_of(r, struct rtc, region);

	if (offset != 1 || size != 1)
		return UINT64_MAX;
	if (rtc->index == REG_A)
		return read_a(rtc);
	if (rtc->index == REG_C)
		return read_c(rtc);
	if (is_date(rtc->index))
		refresh(rtc);
	return rtc->cmos[rtc->index];
}

/* What happened until now happened by the old rules. */
static void write_control(struct rtc *rtc, uint8_t v)
{
	account(rtc);
	if (rtc->index == REG_A) {
		rtc->cmos[REG_A] = v & (uint8_t)~A_UPDATING;
	} else if (rtc->index == REG_B) {
		refresh(rtc);
		rtc->cmos[REG_B] = v;
	} else {
		rtc->cmos[rtc->index] = v;
	}
	rtc->alarm = next_alarm(rtc, rtc->seen / NSEC_PER_SEC);
	settle(rtc);
}

static void rtc_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct rtc *rtc = container_of(r, struct rtc, region);
	uint8_t v = (uint8_t)value;

	(void)size;
	if (!offset) {
		rtc->index = v % RTC_BYTES;
	} else if (rtc->index == REG_A || rtc->index == REG_B || is_alarm(rtc->index)) {
		write_control(rtc, v);
	} else if (is_date(rtc->index)) {
		account(rtc);
		refresh(rtc);
		rtc->cmos[rtc->index] = v;
		take_date(rtc);
		rtc->alarm = next_alarm(rtc, rtc->seen / NSEC_PER_SEC);
		settle(rtc);
	} else if (rtc->index != REG_C && rtc->index != REG_D) {
		rtc->cmos[rtc->index] = v;
	}
}

static const struct sysbus_region_ops rtc_ops = {
	.read = rtc_read,
	.write = rtc_write,
};

/* ---- life ---- */

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
		.now = host_now,
		.alarm = NEVER,
		.home = home,
		.plan.run = plan,
	};
	reactor_timer_init(&rtc->timer, expired);
	rtc->seen = guest_now(rtc);
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
	if (!rtc->bus)
		return;
	if (rtc->home)
		reactor_timer_stop(rtc->home, &rtc->timer);
	sysbus_unmap(&rtc->region);
}

void rtc_reset(struct rtc *rtc)
{
	rtc->cmos[REG_B] &= (uint8_t)~C_ALL;
	rtc->cmos[REG_C] = 0;
	settle(rtc);
}
