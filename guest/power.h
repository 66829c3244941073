/* SPDX-License-Identifier: MIT */
/* The end of the machine. */
#ifndef GUEST_POWER_H
#define GUEST_POWER_H

#include <stdbool.h>

/*
 * Good: switches the power off.  Not: writes 1 to the exit ports 0xf4 and 0x501 first (the status
 * of `ringside pc`, or of QEMU with isa-debug-exit, is 3 then).
 */
void power_end(bool good) __attribute__((noreturn));

#endif
