/* SPDX-License-Identifier: MIT */
/*
 * The in-flight region of vhost-user: memory that outlives the back end and says which chains it
 * had taken and not yet given back.  One part per queue, one behind the other, each rounded up to
 * INFLIGHT_ALIGN bytes.  In host byte order; read by back ends only, maybe others than this one.
 *
 * What is zero has never been used: @version says whether the rest means anything.
 */
#ifndef WIRE_VHOST_USER_INFLIGHT_H
#define WIRE_VHOST_USER_INFLIGHT_H

#include <stddef.h>
#include <stdint.h>

#define INFLIGHT_ALIGN	 64
#define INFLIGHT_VERSION 1

struct inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;	  /* of the last batch: the head before */
	uint64_t counter; /* order of taking */
};

struct inflight_split {
	uint64_t features; /* 0 */
	uint16_t version;
	uint16_t desc_num;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct inflight_split_desc desc[]; /* by head index */
};

struct inflight_packed_desc {
	uint8_t inflight; /* of a chain's first entry */
	uint8_t padding;
	uint16_t next;
	uint16_t last; /* of a chain's first entry: its last one ... */
	uint16_t num;  /* ... and how many it has */
	uint64_t counter;
	/* The descriptor, because its place in the ring is overwritten by used ones */
	uint16_t id;
	uint16_t flags;
	uint32_t len;
	uint64_t addr;
};

/* Those that change together lie in one word, so that one store can change them. */
union inflight_packed_heads {
	struct {
		uint16_t version;
		uint16_t desc_num;
		uint16_t free_head;
		uint16_t old_free_head;
	};
	uint64_t word;
};

union inflight_packed_places {
	struct {
		uint16_t used_idx;
		uint16_t old_used_idx;
		uint8_t used_wrap;
		uint8_t old_used_wrap;
		uint8_t padding[2];
	};
	uint64_t word;
};

struct inflight_packed {
	uint64_t features; /* 0 */
	union inflight_packed_heads heads;
	union inflight_packed_places places;
	uint64_t padding;
	struct inflight_packed_desc desc[]; /* a list of free ones, and one for each chain */
};

_Static_assert(sizeof(struct inflight_split_desc) == 16, "in flight, split");
_Static_assert(offsetof(struct inflight_split_desc, next) == 6, "in flight, split");
_Static_assert(offsetof(struct inflight_split_desc, counter) == 8, "in flight, split");
_Static_assert(offsetof(struct inflight_split, version) == 8, "in flight, split");
_Static_assert(offsetof(struct inflight_split, used_idx) == 14, "in flight, split");
_Static_assert(offsetof(struct inflight_split, desc) == 16, "in flight, split");
_Static_assert(sizeof(struct inflight_packed_desc) == 32, "in flight, packed");
_Static_assert(offsetof(struct inflight_packed_desc, counter) == 8, "in flight, packed");
_Static_assert(offsetof(struct inflight_packed_desc, addr) == 24, "in flight, packed");
_Static_assert(offsetof(struct inflight_packed, heads.old_free_head) == 14, "in flight, packed");
_Static_assert(offsetof(struct inflight_packed, places.used_idx) == 16, "in flight, packed");
_Static_assert(offsetof(struct inflight_packed, places.old_used_wrap) == 21, "in flight, packed");
_Static_assert(offsetof(struct inflight_packed, desc) == 32, "in flight, packed");

/* Bytes of one queue's part with @entries entries. */
static inline uint64_t inflight_bytes(uint16_t entries, int packed)
{
	uint64_t n = packed ? sizeof(struct inflight_packed) +
				      (uint64_t)entries * sizeof(struct inflight_packed_desc)
			    : sizeof(struct inflight_split) +
				      (uint64_t)entries * sizeof(struct inflight_split_desc);

	return (n + INFLIGHT_ALIGN - 1) / INFLIGHT_ALIGN * INFLIGHT_ALIGN;
}

#endif
