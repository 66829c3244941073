/* SPDX-License-Identifier: MIT */
#include "conform/zones.h"

#include <stdio.h>
#include <string.h>

#define CHUNK 65536u

/* So many descriptors in one report of the search. */
#define SEARCH 64

void zones_config(struct trial *t)
{
	if (t->config_len < sizeof(t->config))
		trial_skip(t, "the fields of zones cannot be read");
	if (t->config.zone_model == VIRTIO_BLK_Z_NONE)
		trial_skip(t, "the disk manages its zones itself");
}

struct zone_disk zones_up(struct trial *t, struct setup s)
{
	struct zone_disk z = {.t = t};

	dial(t);
	need_feature(t, VIRTIO_BLK_F_ZONED);
	s.want |= BLK(ZONED);
	z.r = disk_up(t, s);
	zones_config(t);
	z.sectors = le64_get(t->config.capacity);
	z.zone_sectors = le32_get(t->config.zone_sectors);
	z.max_open = le32_get(t->config.max_open_zones);
	z.max_active = le32_get(t->config.max_active_zones);
	z.max_append = le32_get(t->config.max_append_sectors);
	z.granule = le32_get(t->config.write_granularity) / 512;
	if (!z.zone_sectors || !z.granule)
		trial_skip(t, "zones or writes of no sectors, which BLK-D-07 tells");
	z.longest = CHUNK;
	if (offered(t, VIRTIO_BLK_F_SIZE_MAX) && le32_get(t->config.size_max))
		z.longest = (uint32_t)min_u64(z.longest, le32_get(t->config.size_max));
	z.longest = (uint32_t)max_u64(align_down(z.longest, z.granule * UINT64_C(512)),
				      z.granule * UINT64_C(512));
	return z;
}

/* ---- reports ---- */

uint8_t zone_report(struct zone_disk *z, struct req *q, uint64_t sector, uint32_t len, uint64_t *n)
{
	struct virtio_blk_zone_report h;
	uint8_t status;

	*q = req_make(z->t, VIRTIO_BLK_T_ZONE_REPORT, sector, len);
	status = req_run(z->r, q);
	*n = 0;
	if (status == VIRTIO_BLK_S_OK && len >= sizeof(h)) {
		memcpy(&h, at(z->t, q->data, sizeof(h)), sizeof(h));
		*n = le64_get(h.nr_zones);
	}
	return status;
}

struct zone_told zone_told(struct trial *t, const struct req *q, unsigned i)
{
	const uint64_t from = q->data + sizeof(struct virtio_blk_zone_report) +
			      i * sizeof(struct virtio_blk_zone_descriptor);
	struct virtio_blk_zone_descriptor d;

	memcpy(&d, at(t, from, sizeof(d)), sizeof(d));
	return (struct zone_told){.start = le64_get(d.z_start),
				  .capacity = le64_get(d.z_cap),
				  .pointer = le64_get(d.z_wp),
				  .type = d.z_type,
				  .state = d.z_state};
}

struct zone_told zone_look(struct zone_disk *z, uint64_t sector)
{
	char sent[sizeof(z->t->sent)];
	struct zone_told told;
	struct req q;
	uint64_t n;

	/* What is in question is what was sent before. */
	memcpy(sent, z->t->sent, sizeof(sent));
	expect_status(z->t, zone_report(z, &q, sector, 128, &n), VIRTIO_BLK_S_OK);
	memcpy(z->t->sent, sent, sizeof(sent));
	if (n != 1)
		trial_fail(z->t, "a report with room for one zone brings one",
			   "it says that there are %llu", (unsigned long long)n);
	told = zone_told(z->t, &q, 0);
	z->t->next_gpa = q.header;
	return told;
}

const char *zone_state_name(uint8_t state)
{
	switch (state) {
	case VIRTIO_BLK_ZS_NOT_WP:
		return "no write pointer";
	case VIRTIO_BLK_ZS_EMPTY:
		return "empty";
	case VIRTIO_BLK_ZS_IOPEN:
		return "implicitly open";
	case VIRTIO_BLK_ZS_EOPEN:
		return "explicitly open";
	case VIRTIO_BLK_ZS_CLOSED:
		return "closed";
	case VIRTIO_BLK_ZS_RDONLY:
		return "read-only";
	case VIRTIO_BLK_ZS_FULL:
		return "full";
	case VIRTIO_BLK_ZS_OFFLINE:
		return "offline";
	default:
		return "no state of the standard";
	}
}

void zone_expect_state(struct zone_disk *z, uint64_t start, uint8_t state, const char *expected)
{
	struct zone_told told = zone_look(z, start);

	if (told.state != state)
		trial_fail(z->t, expected,
			   "the zone at sector %llu is in state %u (%s), not %u (%s)",
			   (unsigned long long)start, told.state, zone_state_name(told.state),
			   state, zone_state_name(state));
}

void zone_expect(struct zone_disk *z, uint64_t start, uint8_t state, uint64_t written,
		 const char *expected)
{
	struct zone_told told = zone_look(z, start);

	zone_expect_state(z, start, state, expected);
	if (told.pointer != start + written)
		trial_fail(z->t, expected, "the write pointer is at sector %llu, not %llu",
			   (unsigned long long)told.pointer, (unsigned long long)(start + written));
}

void zones_spare(struct zone_disk *z, unsigned n, uint64_t *starts)
{
	struct trial *t = z->t;
	uint64_t first = (t->o->offset + 511) / 512, found;
	uint64_t end = min_u64((t->o->offset + t->o->size) / 512, z->sectors);
	struct req q;

	if (offered(t, VIRTIO_BLK_F_RO))
		trial_skip(t, "the disk is read-only");
	for (uint64_t at = align_up(first, 1) / z->zone_sectors * z->zone_sectors;
	     at < end && t->n_zones < n;) {
		expect_status(t, zone_report(z, &q, at, 64 * (1 + SEARCH), &found),
			      VIRTIO_BLK_S_OK);
		t->next_gpa = q.header;
		if (!found || found > SEARCH)
			trial_fail(t, "a report brings one zone or more, and no more than fit",
				   "%llu", (unsigned long long)found);
		for (unsigned i = 0; i < found && t->n_zones < n; i++) {
			struct zone_told told = zone_told(t, &q, i);

			if (told.type == VIRTIO_BLK_ZT_SWR && told.state == VIRTIO_BLK_ZS_EMPTY &&
			    told.start >= first && told.start + z->zone_sectors <= end &&
			    t->n_zones < TRIAL_ZONES)
				starts[t->n_zones] = t->zones[t->n_zones] = told.start,
				t->n_zones++;
		}
		at += found * z->zone_sectors;
	}
	if (t->n_zones < n) {
		t->n_zones = 0;
		trial_skip(t,
			   "fewer than %u zones are empty in the part of the disk that may be "
			   "written (--offset, --size)",
			   n);
	}
}

/* ---- commands ---- */

uint8_t zone_command(struct zone_disk *z, uint32_t type, uint64_t start)
{
	struct req q = req_make(z->t, type, start, 0);
	uint8_t status = req_run(z->r, &q);

	z->t->next_gpa = q.header;
	return status;
}

void zone_do(struct zone_disk *z, uint32_t type, uint64_t start)
{
	expect_status(z->t, zone_command(z, type, start), VIRTIO_BLK_S_OK);
}

uint8_t zone_write(struct zone_disk *z, uint64_t sector, uint8_t value, uint32_t len)
{
	struct req q = req_make(z->t, VIRTIO_BLK_T_OUT, sector, len);
	uint8_t status;

	fill(z->t, q.data, value, len);
	status = req_run(z->r, &q);
	z->t->next_gpa = q.header;
	return status;
}

void zone_fill(struct zone_disk *z, uint64_t start, uint8_t value, uint64_t to)
{
	for (uint64_t at = zone_look(z, start).pointer - start; at < to;) {
		uint32_t len = (uint32_t)min_u64((to - at) * 512, z->longest);

		expect_status(z->t, zone_write(z, start + at, value, len), VIRTIO_BLK_S_OK);
		at += len / 512;
	}
}

struct req append_make(struct zone_disk *z, uint64_t start, uint8_t value, uint32_t len,
		       uint64_t *place)
{
	struct req q = req_make(z->t, VIRTIO_BLK_T_ZONE_APPEND, start, len);

	*place = mem(z->t, sizeof(le64));
	fill(z->t, q.data, value, len);
	fill(z->t, *place, 0xee, sizeof(le64));
	return q;
}

void append_add(struct zone_disk *z, struct req *q, uint64_t place)
{
	q->id = ring_add(z->r,
			 (const struct seg[]){{q->header, sizeof(struct virtio_blk_req), 0},
					      {q->data, q->len, 0},
					      {place, sizeof(le64), F_WRITE},
					      {q->status, 1, F_WRITE}},
			 4);
}

uint8_t append_run(struct zone_disk *z, struct req *q, uint64_t place)
{
	return req_run_segs(z->r, q,
			    (const struct seg[]){{q->header, sizeof(struct virtio_blk_req), 0},
						 {q->data, q->len, 0},
						 {place, sizeof(le64), F_WRITE},
						 {q->status, 1, F_WRITE}},
			    4);
}

uint64_t append_place(struct trial *t, uint64_t place)
{
	le64 raw;

	memcpy(&raw, at(t, place, sizeof(raw)), sizeof(raw));
	return le64_get(raw);
}

uint8_t zone_append(struct zone_disk *z, uint64_t start, uint8_t value, uint32_t len,
		    uint64_t *sector)
{
	uint64_t place;
	struct req q = append_make(z, start, value, len, &place);
	uint8_t status = append_run(z, &q, place);

	*sector = append_place(z->t, place);
	z->t->next_gpa = q.header;
	return status;
}
