/* SPDX-License-Identifier: MIT */
/*
 * Whether an io_uring works, tried rather than concluded.
 *
 * io_uring may be refused in whole (no such system call, sysctl kernel.io_uring_disabled, a limit
 * of locked memory) or in part: a filter that lets io_uring_setup() pass and refuses
 * io_uring_enter(), a kernel without one of the operations, one that takes a flag and ignores it.
 * Which errno says so differs; so no errno is asked for.  A ring that is to be used does here, once,
 * each thing that the reactor will ask of it: a no-op, a wait that runs out, a poll that goes on
 * after the first event, a read, a write without a completion.  What does not work sends its user to
 * epoll and threads.
 *
 * The oldest kernel whose io_uring passes is 5.13 (polls that go on).  Before 5.17 each signal
 * costs a completion that nobody wants (@quiet).  A filter that kills for a system call cannot be
 * helped.
 */
#ifndef BASE_URING_TRIAL_H
#define BASE_URING_TRIAL_H

#include "base/error.h"

#include <liburing.h>
#include <stdbool.h>

/* What a ring that works may lack. */
struct uring_abilities {
	bool quiet; /* IOSQE_CQE_SKIP_SUCCESS: an entry may ask for no completion */
};

/* @ring is new, and as new afterwards.  0, or -errno with what was tried and what answered. */
int uring_trial(struct io_uring *ring, struct uring_abilities *able, struct error *err);

#endif
