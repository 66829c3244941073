/* SPDX-License-Identifier: MIT */
/*
 * The crossing rule of EVENT_IDX, the same for kicks and interrupts: the other side named a place
 * in the ring; was it among the places passed since it was last asked
 * (virtio 1.4, 2.7.7.1, 2.7.10.1 and 2.8.10)?
 *
 * "Passed" is counted in 32 bits, not taken as a difference of indexes, so that a side which is
 * asked seldom and went round the whole index space in between still notifies.
 */
#ifndef VRING_EVENT_H
#define VRING_EVENT_H

#include "wire/vring.h"

#include <stdbool.h>

/* More than any index space: from here on every event place counts as passed. */
#define VRING_PASSED_MAX (1u << 17)

static inline uint32_t vring_passed_add(uint32_t passed, uint32_t n)
{
	passed += n;
	return passed < VRING_PASSED_MAX ? passed : VRING_PASSED_MAX;
}

/* @next: the index after the last published entry. */
static inline bool vring_split_crossed(uint16_t next, uint16_t event, uint32_t passed)
{
	return (uint16_t)(next - event - 1) < passed;
}

/*
 * The places of two laps make one circle: a wrap counter of 1 is the even lap.  @next and @wrap:
 * the slot after the last published one. A place outside the ring is nobody's: notify rather than
 * sleep for ever.
 */
static inline bool vring_packed_crossed(uint16_t num, uint16_t next, bool wrap, uint16_t off_wrap,
					uint32_t passed)
{
	uint32_t off = off_wrap & (RING_EVENT_WRAP - 1);
	bool event_wrap = off_wrap & RING_EVENT_WRAP;
	uint32_t lap2 = 2u * num;
	uint32_t behind;

	if (off >= num)
		return true;
	behind = next + (event_wrap != wrap ? (uint32_t)num : 0) + lap2 - off - 1;
	return behind % lap2 < passed;
}

#endif
