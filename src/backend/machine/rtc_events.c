/* SPDX-License-Identifier: MIT */
#include "backend/machine/rtc.h"

#include "base/clock.h"

#define DAY	       86400u
#define NEVER	       UINT64_MAX
#define UPDATING_NS    (244 * NSEC_PER_USEC) /* before each second's end */
#define LONGEST_WAIT   (60 * NSEC_PER_SEC)   /* the host's clock may be set meanwhile */
#define RATE(a)	       ((a)&15u)
#define OSCILLATOR_HZ  32768u
#define ANY	       0xc0 /* in a byte of the alarm: at every one */
#define ALL_INTERRUPTS (RTC_B_PERIODIC | RTC_B_ALARM | RTC_B_UPDATE)

/* ---- the alarm ---- */

static bool matches(uint8_t byte, int is, unsigned wanted)
{
	return (byte & ANY) == ANY || is == (int)wanted;
}

/*
 * Seconds from second @of_day on until it rings, 0: at that one; NEVER when its bytes are no time
 * of day.
 */
static uint64_t until_alarm(const struct rtc *rtc, unsigned of_day)
{
	const uint8_t *c = rtc->cmos;
	int hour = rtc_hour_from_form(rtc, c[RTC_ALARM_HOURS]);
	int minute = rtc_from_form(rtc, c[RTC_ALARM_MINUTES]);
	int second = rtc_from_form(rtc, c[RTC_ALARM_SECONDS]);

	for (unsigned n = 0; n < DAY;) {
		unsigned at = (of_day + n) % DAY;

		if (!matches(c[RTC_ALARM_HOURS], hour, at / 3600))
			n += 3600 - at % 3600;
		else if (!matches(c[RTC_ALARM_MINUTES], minute, at / 60 % 60))
			n += 60 - at % 60;
		else if (!matches(c[RTC_ALARM_SECONDS], second, at % 60))
			n++;
		else
			return n;
	}
	return NEVER;
}

/* The same from the second after that of @at_ns. */
static uint64_t alarm_after(const struct rtc *rtc, uint64_t at_ns)
{
	int64_t next = (rtc_seconds(rtc, at_ns) + 1) % DAY;

	return until_alarm(rtc, (unsigned)(next < 0 ? next + DAY : next));
}

/* ---- what has happened ---- */

/* 0: there are no periodic ticks. */
static uint64_t period_ns(const struct rtc *rtc)
{
	unsigned rate = RATE(rtc->cmos[RTC_A]);

	if (!rate)
		return 0;
	if (rate < 3)
		rate += 7;
	return (NSEC_PER_SEC << (rate - 1)) / OSCILLATOR_HZ;
}

static void update_irq(struct rtc *rtc)
{
	bool level = rtc->cmos[RTC_B] & rtc->cmos[RTC_C] & ALL_INTERRUPTS;

	rtc->cmos[RTC_C] = (uint8_t)((rtc->cmos[RTC_C] & ALL_INTERRUPTS) |
				     (level ? RTC_C_INTERRUPT : 0));
	if (level == rtc->irq)
		return;
	rtc->irq = level;
	sysbus_irq_set(rtc->bus, RTC_GSI, level);
}

void rtc_events_look(struct rtc *rtc)
{
	uint64_t now = rtc->now_ns(), then = rtc->looked_ns, period = period_ns(rtc);
	uint64_t seconds = now / NSEC_PER_SEC - then / NSEC_PER_SEC;

	rtc->looked_ns = now;
	if (now < then) /* the host's clock was set back */
		return;
	if (period && now / period != then / period)
		rtc->cmos[RTC_C] |= RTC_B_PERIODIC;
	if (seconds && rtc_runs(rtc)) {
		rtc->cmos[RTC_C] |= RTC_B_UPDATE;
		if (alarm_after(rtc, then) < seconds)
			rtc->cmos[RTC_C] |= RTC_B_ALARM;
	}
	update_irq(rtc);
}

bool rtc_events_updating(const struct rtc *rtc)
{
	return rtc_runs(rtc) && rtc->now_ns() % NSEC_PER_SEC >= NSEC_PER_SEC - UPDATING_NS;
}

/* ---- what will happen ---- */

/* How long until the guest wants to be interrupted; NEVER: by nothing, or it is already. */
static uint64_t until_event(const struct rtc *rtc)
{
	uint64_t now = rtc->looked_ns, period = period_ns(rtc), wait = NEVER, alarm;
	uint64_t second = NSEC_PER_SEC - now % NSEC_PER_SEC;
	uint8_t wanted = rtc->cmos[RTC_B];

	if (rtc->irq)
		return NEVER;
	if ((wanted & RTC_B_PERIODIC) && period)
		wait = period - now % period;
	if ((wanted & RTC_B_UPDATE) && rtc_runs(rtc))
		wait = min_u64(wait, second);
	if ((wanted & RTC_B_ALARM) && rtc_runs(rtc)) {
		alarm = alarm_after(rtc, now);
		if (alarm != NEVER)
			wait = min_u64(wait, second + alarm * NSEC_PER_SEC);
	}
	return wait;
}

static void set_timer(struct rtc *rtc)
{
	uint64_t wait = until_event(rtc);

	if (wait == NEVER)
		reactor_timer_stop(rtc->home, &rtc->timer);
	else
		reactor_timer_start(rtc->home, &rtc->timer, min_u64(wait, LONGEST_WAIT));
}

static void expired(struct reactor_timer *t)
{
	struct rtc *rtc = container_of(t, struct rtc, timer);

	rtc_events_look(rtc);
	set_timer(rtc);
}

static void woken(struct reactor_msg *msg)
{
	struct rtc *rtc = container_of(msg, struct rtc, wake);

	rtc->waking = false;
	rtc_events_look(rtc);
	set_timer(rtc);
}

/* A virtual CPU holds the lock, but the timer is the home reactor's, which may be asleep. */
void rtc_events_changed(struct rtc *rtc)
{
	update_irq(rtc);
	if (rtc->waking || until_event(rtc) == NEVER)
		return;
	rtc->waking = true;
	reactor_post(rtc->home, &rtc->wake);
}

void rtc_events_init(struct rtc *rtc)
{
	rtc->looked_ns = rtc->now_ns();
	rtc->wake.run = woken;
	reactor_timer_init(&rtc->timer, expired);
}
