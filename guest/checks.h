/* SPDX-License-Identifier: MIT */
/* What a disk has to do. */
#ifndef GUEST_CHECKS_H
#define GUEST_CHECKS_H

#include "guest/io.h"

/* Of a disk that runs; the pattern is on it afterwards (but for write=off, where it was before). */
void checks_run(struct io *io);

#endif
