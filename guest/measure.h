/* SPDX-License-Identifier: MIT */
/*
 * How long requests take, how many kicks and interrupts they cost: one at a time, and in batches.
 */
#ifndef GUEST_MEASURE_H
#define GUEST_MEASURE_H

#include "guest/io.h"

void measure_run(struct io *io);

#endif
