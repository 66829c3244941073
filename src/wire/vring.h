/* SPDX-License-Identifier: MIT */
/*
 * Rings as they lie in memory: split (virtio 1.4, 2.7) and packed (2.8).  Everything is
 * little-endian.  Field access goes through the accessors of base/atomic.h, because the other side
 * writes at the same time.
 */
#ifndef WIRE_VRING_H
#define WIRE_VRING_H

#include "base/endian.h"

#include <stddef.h>

/* Descriptor flags (2.7.5, 2.8.8); the last two exist in packed rings only. */
#define VIRTQ_DESC_F_NEXT     0x0001u
#define VIRTQ_DESC_F_WRITE    0x0002u
#define VIRTQ_DESC_F_INDIRECT 0x0004u
#define VIRTQ_DESC_F_AVAIL    0x0080u
#define VIRTQ_DESC_F_USED     0x8000u

/* 2.7.6: virtq_avail.flags; 2.7.8: virtq_used.flags. */
#define VIRTQ_AVAIL_F_NO_INTERRUPT 0x0001u
#define VIRTQ_USED_F_NO_NOTIFY	   0x0001u

/* 2.8.14: pvirtq_event.flags, its low two bits. */
#define RING_EVENT_FLAGS_ENABLE	 0u
#define RING_EVENT_FLAGS_DISABLE 1u
#define RING_EVENT_FLAGS_DESC	 2u
#define RING_EVENT_FLAGS_MASK	 3u
/* 2.8.14: pvirtq_event.off_wrap, the wrap counter. */
#define RING_EVENT_WRAP 0x8000u

/* 2.7.5: descriptor table and indirect tables of a split ring; aligned to 16 (a table in memory: to
 * nothing). */
struct virtq_desc {
	le64 addr;
	le32 len;
	le16 flags;
	le16 next;
};

/* 2.7.6: available ring, aligned to 2. Behind ring[num] stands le16 used_event. */
struct virtq_avail {
	le16 flags;
	le16 idx;
	le16 ring[];
};

struct virtq_used_elem {
	le32 id;
	le32 len;
};

/* 2.7.8: used ring, aligned to 4. Behind ring[num] stands le16 avail_event. */
struct virtq_used {
	le16 flags;
	le16 idx;
	struct virtq_used_elem ring[];
};

/* 2.8.13: descriptor ring and indirect tables of a packed ring; aligned to 16. */
struct pvirtq_desc {
	le64 addr;
	le32 len;
	le16 id;
	le16 flags;
};

/* 2.8.14: event suppression, one written by each side; aligned to 4. */
struct pvirtq_event {
	le16 off_wrap;
	le16 flags;
};

_Static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");
_Static_assert(offsetof(struct virtq_desc, len) == 8, "2.7.5");
_Static_assert(offsetof(struct virtq_desc, flags) == 12, "2.7.5");
_Static_assert(offsetof(struct virtq_desc, next) == 14, "2.7.5");
_Static_assert(sizeof(struct virtq_avail) == 4, "2.7.6");
_Static_assert(offsetof(struct virtq_avail, idx) == 2, "2.7.6");
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "2.7.6");
_Static_assert(sizeof(struct virtq_used_elem) == 8, "2.7.8");
_Static_assert(offsetof(struct virtq_used_elem, len) == 4, "2.7.8");
_Static_assert(sizeof(struct virtq_used) == 4, "2.7.8");
_Static_assert(offsetof(struct virtq_used, idx) == 2, "2.7.8");
_Static_assert(offsetof(struct virtq_used, ring) == 4, "2.7.8");
_Static_assert(sizeof(struct pvirtq_desc) == 16, "2.8.13");
_Static_assert(offsetof(struct pvirtq_desc, len) == 8, "2.8.13");
_Static_assert(offsetof(struct pvirtq_desc, id) == 12, "2.8.13");
_Static_assert(offsetof(struct pvirtq_desc, flags) == 14, "2.8.13");
_Static_assert(sizeof(struct pvirtq_event) == 4, "2.8.14");
_Static_assert(offsetof(struct pvirtq_event, flags) == 2, "2.8.14");

#endif
