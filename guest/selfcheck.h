/* SPDX-License-Identifier: MIT */
/* Tests of what everything else stands on: guest/libc, as compiler, driver and report use it. */
#ifndef GUEST_SELFCHECK_H
#define GUEST_SELFCHECK_H

void selfcheck_run(void);

#endif
