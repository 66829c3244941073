/* SPDX-License-Identifier: MIT */
/*
 * A ring written by hand.  For good chains of either layout there are ring_add() and ring_take();
 * for bad ones the entries can be written one by one.  The device is watched, not believed: what it
 * wrote is read as it stands.
 */
#ifndef CONFORM_RING_H
#define CONFORM_RING_H

#include "wire/vring.h"

#include <stdbool.h>
#include <stdint.h>

struct trial;

#define RING_NUM_MAX 1024

struct ring {
	struct trial *t;
	unsigned index;
	uint16_t num;
	bool packed, event_idx;
	bool told, enabled;
	uint64_t desc, driver, device; /* guest addresses */
	struct virtq_desc *table;      /* split */
	struct virtq_avail *avail;
	struct virtq_used *used;
	struct pvirtq_desc *slots; /* packed */
	struct pvirtq_event *driver_event, *device_event;
	int kick, call, err;

	/* Split: next descriptor to write, avail.idx and used.idx as far as we are. */
	uint16_t next_desc, avail_idx, used_idx;
	/* Packed: where the next descriptor goes and the next used one comes; entries of each id. */
	uint16_t avail_slot, used_slot;
	bool avail_wrap, used_wrap;
	uint16_t entries[RING_NUM_MAX];
	uint16_t next_id;
	/* Packed: the head of what is not yet published. */
	bool held;
	uint16_t held_slot, held_flags;
};

/* A descriptor's worth of a chain. */
struct seg {
	uint64_t addr;
	uint32_t len;
	uint16_t flags; /* VIRTQ_DESC_F_WRITE, _INDIRECT */
};

struct used {
	uint32_t id, len;
	uint16_t flags; /* packed */
};

#define F_NEXT	   VIRTQ_DESC_F_NEXT
#define F_WRITE	   VIRTQ_DESC_F_WRITE
#define F_INDIRECT VIRTQ_DESC_F_INDIRECT

/* Memory for a ring, cleared. */
void ring_alloc(struct ring *r, struct trial *t, unsigned index, uint16_t num, bool packed);
void ring_clear(struct ring *r);
void ring_close(struct ring *r);

/* Writes a chain; split: the head's number, packed: the id.  ring_publish() makes it visible. */
uint16_t ring_add(struct ring *r, const struct seg *segs, unsigned n);
void ring_publish(struct ring *r);
void ring_kick(struct ring *r);

/* The next used entry, if there is one. */
bool ring_take(struct ring *r, struct used *u);
/* Packed: @n entries more behind the last one taken (a batch of IN_ORDER has one entry for all). */
void ring_skip(struct ring *r, uint16_t n);
/* ... waits for it; fails the case when none comes. */
void ring_wait(struct ring *r, struct used *u);
/* ... waits; false when none comes within @ms. */
bool ring_poll(struct ring *r, struct used *u, int ms);
/* Fails the case if something is used within the quiet time. */
void ring_expect_nothing(struct ring *r, const char *expected);

/* Interrupts since the last look (0: none); waits up to @ms for the first. */
uint64_t ring_calls(struct ring *r, int ms);
/* Waits for one; fails the case when none comes. */
void ring_expect_call(struct ring *r, const char *expected);

/* Split, by hand. */
void ring_desc(struct ring *r, unsigned i, uint64_t addr, uint32_t len, unsigned flags,
	       uint16_t next);
/* Entry of an indirect table in memory. */
void table_desc(struct trial *t, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
		unsigned flags, uint16_t next);
/* A head into the available ring; ring_publish() makes it visible. */
void ring_offer(struct ring *r, uint16_t head);
/* Packed, by hand: the next slot, available at once. */
void ring_put(struct ring *r, uint64_t addr, uint32_t len, unsigned flags, uint16_t id);

/* Which used entries interrupt; set before publishing. Split: EVENT_IDX's used_event. */
void ring_used_event(struct ring *r, uint16_t idx);
/* avail.flags, or the driver's event flags. */
void ring_driver_flags(struct ring *r, uint16_t flags);

#endif
