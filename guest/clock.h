/* SPDX-License-Identifier: MIT */
/*
 * Time by the processor's counter of cycles, whose speed is measured once against the timer chip.
 */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdint.h>

void clock_init(void);
uint32_t clock_mhz(void);

#endif
