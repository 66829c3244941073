/* SPDX-License-Identifier: MIT */
/*
 * Zones of the disk under test.  Cases write only to zones that are empty and lie wholly in the part
 * that may be written; the runner resets them afterwards, which makes them what they were.
 */
#ifndef CONFORM_ZONES_H
#define CONFORM_ZONES_H

#include "conform/blk.h"

struct zone_disk {
	struct trial *t;
	struct ring *r;
	uint64_t sectors;      /* of the disk */
	uint32_t zone_sectors; /* of a zone */
	uint32_t max_open, max_active, max_append;
	uint32_t granule; /* sectors of the least write */
	uint32_t longest; /* bytes of one buffer, at least a granule */
};

/* Brought up with ZONED; skips a disk that has no zones. */
struct zone_disk zones_up(struct trial *t, struct setup s);
/* The fields alone, with the device as it is before its rings. */
void zones_config(struct trial *t);
/* So many empty zones, which the case may fill; skips where there are fewer. */
void zones_spare(struct zone_disk *z, unsigned n, uint64_t *starts);

/* One zone, as the report tells it. */
struct zone_told {
	uint64_t start, capacity, pointer;
	uint8_t type, state;
};
/* A report into @len bytes: its status, and how many descriptors it says there are. */
uint8_t zone_report(struct zone_disk *z, struct req *q, uint64_t sector, uint32_t len, uint64_t *n);
struct zone_told zone_told(struct trial *t, const struct req *q, unsigned i);
/* The zone that holds @sector. */
struct zone_told zone_look(struct zone_disk *z, uint64_t sector);
const char *zone_state_name(uint8_t state);
/* The case fails unless the zone is in that state, and its pointer so far behind its start. */
void zone_expect(struct zone_disk *z, uint64_t start, uint8_t state, uint64_t written,
		 const char *expected);
/* ... whatever its pointer. */
void zone_expect_state(struct zone_disk *z, uint64_t start, uint8_t state, const char *expected);

uint8_t zone_command(struct zone_disk *z, uint32_t type, uint64_t start);
/* Fails the case unless it is OK. */
void zone_do(struct zone_disk *z, uint32_t type, uint64_t start);
uint8_t zone_write(struct zone_disk *z, uint64_t sector, uint8_t value, uint32_t len);
/* At the pointer of a zone, up to @to sectors of it. */
void zone_fill(struct zone_disk *z, uint64_t start, uint8_t value, uint64_t to);
/* @place: of the sector that the device tells, 8 bytes. */
struct req append_make(struct zone_disk *z, uint64_t start, uint8_t value, uint32_t len,
		       uint64_t *place);
void append_add(struct zone_disk *z, struct req *q, uint64_t place);
uint8_t append_run(struct zone_disk *z, struct req *q, uint64_t place);
uint64_t append_place(struct trial *t, uint64_t place);
uint8_t zone_append(struct zone_disk *z, uint64_t start, uint8_t value, uint32_t len,
		    uint64_t *sector);

#endif
