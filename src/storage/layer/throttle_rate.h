/* SPDX-License-Identifier: MIT */
/*
 * How fast a group of disks may be: the accounting alone.  No clock, no threads: whoever asks says
 * what time it is.
 *
 * A meter says when the next unit is due if units come at exactly the limit.  Who comes earlier
 * waits; who comes later than that finds the meter at the present time: what was not used is lost,
 * but for a slack.  The slack is SLACK of time without bursts, so that requests that come together
 * need not be spread out; with bursts it is what a burst may take beyond the limit, and a second
 * meter keeps the burst itself to its own rate.
 *
 * A request larger than the slack passes when the meter is not ahead of the time, and those behind
 * it wait the longer.  So every request passes some time, whatever the limits are.
 */
#ifndef STORAGE_LAYER_THROTTLE_RATE_H
#define STORAGE_LAYER_THROTTLE_RATE_H

#include "storage/layers.h"

#include <stdbool.h>
#include <stdint.h>

/* Of time; less than 2 % of a second, with one request more. */
#define THROTTLE_SLACK_NS UINT64_C(10000000)
/* While requests wait or have just waited, so much of a delay of our own (a thread that came late)
 * is made up for. */
#define THROTTLE_LATE_NS UINT64_C(100000000)

enum throttle_direction {
	THROTTLE_READ,
	THROTTLE_WRITE,
	THROTTLE_DIRECTIONS,
};

struct throttle_meter {
	uint64_t rate; /* units a second; 0: no limit         */
	uint64_t slack_ns;
	uint64_t due_ns; /* when the next unit is due          */
	uint64_t rest;	 /* of a nanosecond, in units of 1/rate */
};

struct throttle_rate {
	/* Requests and bytes; both directions together, and each. */
	struct throttle_meter meters[2][THROTTLE_DIRECTIONS + 1];
	struct throttle_meter bursts[2][THROTTLE_DIRECTIONS + 1];
};

/* New limits count from @now on. */
void throttle_rate_set(struct throttle_rate *r, const struct storage_throttle_options *o,
		       uint64_t now);
bool throttle_rate_limits(const struct throttle_rate *r);
/* Until the next request may pass, in nanoseconds; 0: now. */
uint64_t throttle_rate_wait(const struct throttle_rate *r, enum throttle_direction dir,
			    uint64_t now);
/* It passes.  @late: there were requests all the time since the last one. */
void throttle_rate_take(struct throttle_rate *r, enum throttle_direction dir, uint64_t bytes,
			bool late, uint64_t now);
/* What passed beyond the limits delays others no longer than @ns. */
void throttle_rate_forgive(struct throttle_rate *r, uint64_t now, uint64_t ns);

#endif
