/* SPDX-License-Identifier: MIT */
/* Whether the floor bears: what the compiler, the driver and the report lean on in guest/libc. */
#ifndef GUEST_SELFCHECK_H
#define GUEST_SELFCHECK_H

void selfcheck_run(void);

#endif
