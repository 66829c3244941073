/* SPDX-License-Identifier: MIT */
#include "guest/clock.h"

#include "guest/cpu.h"

#include <errno.h>
#include <time.h>

#define TIMER_HZ      1193182u
#define TIMER_COUNT   0x40
#define TIMER_CONTROL 0x43
#define RATE	      0x34 /* channel 0, low and high byte, counts down and begins anew */
#define LATCH	      0x00

/* Of the timer's: 10 ms. */
#define STRETCH (TIMER_HZ / 100)

static uint32_t mhz = 1;
static uint64_t began;

static uint16_t timer(void)
{
	uint8_t low;

	port_out8(TIMER_CONTROL, LATCH);
	low = port_in8(TIMER_COUNT);
	return (uint16_t)(low | port_in8(TIMER_COUNT) << 8);
}

void clock_init(void)
{
	uint32_t passed;
	uint64_t cycles;
	uint16_t first;

	port_out8(TIMER_CONTROL, RATE);
	port_out8(TIMER_COUNT, 0);
	port_out8(TIMER_COUNT, 0);
	first = timer();
	began = cpu_cycles();
	do
		passed = (uint16_t)(first - timer());
	while (passed < STRETCH);
	cycles = cpu_cycles() - began;
	mhz = (uint32_t)(cycles * (TIMER_HZ / 1000) / passed / 1000);
	if (!mhz)
		mhz = 1;
}

uint32_t clock_mhz(void)
{
	return mhz;
}

int clock_gettime(int clock, struct timespec *now)
{
	uint64_t us = (cpu_cycles() - began) / mhz;

	if (clock != CLOCK_MONOTONIC)
		return -EINVAL;
	now->tv_sec = (long)(us / 1000000);
	now->tv_nsec = (long)(us % 1000000 * 1000);
	return 0;
}
