/* SPDX-License-Identifier: MIT */
#ifndef GUEST_TIME_H
#define GUEST_TIME_H

struct timespec {
	long tv_sec;
	long tv_nsec;
};

/* The only clock there is: since the guest began. */
#define CLOCK_MONOTONIC 1
int clock_gettime(int clock, struct timespec *now);

#endif
