/* SPDX-License-Identifier: MIT */
/* Zoned disks: writes, appends, states and limits of zones (virtio 1.4, 5.2.6, 5.2.6.2). */
#include "conform/cases.h"

#include "conform/zones.h"

#include <string.h>

#define OPEN   VIRTIO_BLK_T_ZONE_OPEN
#define CLOSE  VIRTIO_BLK_T_ZONE_CLOSE
#define FINISH VIRTIO_BLK_T_ZONE_FINISH
#define RESET  VIRTIO_BLK_T_ZONE_RESET

/* A zone of more is not filled for a case. */
#define FILL_SECTORS 32768u

static uint64_t one_spare(struct zone_disk *z)
{
	uint64_t start[TRIAL_ZONES];

	zones_spare(z, 1, start);
	return start[0];
}

static uint32_t unit(const struct zone_disk *z)
{
	return z->granule * 512;
}

static void need_append(const struct zone_disk *z)
{
	if (!z->max_append)
		trial_skip(z->t, "the disk takes no appends");
	if (z->max_append < z->granule)
		trial_fail(z->t, "an append of the least write's size",
			   "max_append_sectors is %u, a write has %u", z->max_append, z->granule);
}

/* The capacity of a zone that can be filled. */
static uint64_t fillable(struct zone_disk *z, uint64_t start)
{
	uint64_t capacity = zone_look(z, start).capacity;

	if (capacity > FILL_SECTORS)
		trial_skip(z->t, "zones of %llu sectors take too long to fill",
			   (unsigned long long)capacity);
	return capacity / z->granule * z->granule;
}

/* ---- writes ---- */

static void write_at_pointer(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	expect_status(t, zone_write(&z, zone, 0x41, unit(&z)), VIRTIO_BLK_S_OK);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_IOPEN, z.granule,
		    "a write opens the zone and moves its pointer");
	expect_status(t, zone_write(&z, zone + z.granule, 0x42, 2 * unit(&z)), VIRTIO_BLK_S_OK);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_IOPEN, UINT64_C(3) * z.granule,
		    "a write moves the pointer by its length");
	blk_expect(z.r, zone, 0x41, unit(&z), "what was written is read back");
	blk_expect(z.r, zone + z.granule, 0x42, 2 * unit(&z), "what was written is read back");
}

static void write_elsewhere(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	/* Empty, then with two units in it. */
	for (unsigned i = 0; i < 2; i++) {
		uint64_t pointer = zone_look(&z, zone).pointer;

		for (uint64_t at = zone; at < zone + 4 * z.granule; at += z.granule)
			if (at != pointer)
				expect_status(t, zone_write(&z, at, 0x99, unit(&z)),
					      VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
		zone_expect(&z, zone, i ? VIRTIO_BLK_ZS_IOPEN : VIRTIO_BLK_ZS_EMPTY, pointer - zone,
			    "a write that is refused moves nothing");
		if (!i)
			expect_status(t, zone_write(&z, zone, 0x43, 2 * unit(&z)), VIRTIO_BLK_S_OK);
	}
	blk_expect(z.r, zone, 0x43, 2 * unit(&z), "a write that is refused writes nothing");
}

static void write_granule(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	if (z.granule == 1)
		trial_skip(t, "the least write is one sector");
	expect_status(t, zone_write(&z, zone, 0x44, 512), VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
	expect_status(t, zone_write(&z, zone, 0x44, unit(&z) + 512),
		      VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EMPTY, 0, "a write that is refused moves nothing");
}

static void write_full(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z), capacity = fillable(&z, zone);

	zone_fill(&z, zone, 0x45, capacity);
	zone_expect_state(&z, zone, VIRTIO_BLK_ZS_FULL,
			  "a zone that is written to its end is full");
	expect_not_ok(t, zone_write(&z, zone, 0x46, unit(&z)));
	if (z.max_append) {
		uint64_t sector;

		expect_not_ok(t, zone_append(&z, zone, 0x46, unit(&z), &sector));
	}
	blk_expect(z.r, zone, 0x45, z.longest, "a full zone is read as it was written");
}

static void over_capacity(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z), capacity = fillable(&z, zone), sector;

	zone_fill(&z, zone, 0x47, capacity - z.granule);
	/* One unit is left. */
	expect_status(t, zone_write(&z, zone + capacity - z.granule, 0x48, 2 * unit(&z)),
		      VIRTIO_BLK_S_ZONE_INVALID_CMD);
	if (z.max_append >= 2 * z.granule)
		expect_status(t, zone_append(&z, zone, 0x48, 2 * unit(&z), &sector),
			      VIRTIO_BLK_S_ZONE_INVALID_CMD);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_IOPEN, capacity - z.granule,
		    "a write that is refused moves nothing");
	expect_status(t, zone_write(&z, zone + capacity - z.granule, 0x48, unit(&z)),
		      VIRTIO_BLK_S_OK);
}

static void read_behind_pointer(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);
	uint8_t status[2];
	struct req q;

	expect_status(t, zone_write(&z, zone, 0x5a, 2 * unit(&z)), VIRTIO_BLK_S_OK);
	zone_do(&z, RESET, zone);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EMPTY, 0, "a zone that was reset is empty");
	for (unsigned i = 0; i < 2; i++) {
		q = req_make(t, VIRTIO_BLK_T_IN, zone, 2 * unit(&z));
		fill(t, q.data, i ? 0x5a : 0, q.len);
		status[i] = req_run(z.r, &q);
		/* It may be a read that fails, the same each time, or one that brings one byte over and over. */
		if (status[i] == VIRTIO_BLK_S_OK && !filled(t, q.data, byte_at(t, q.data), q.len))
			trial_fail(t, "sectors behind the pointer read as a fixed pattern",
				   "they differ");
		if (status[i] == VIRTIO_BLK_S_OK && byte_at(t, q.data) == 0x5a)
			trial_fail(t, "sectors behind the pointer read as a fixed pattern",
				   "what was written before the reset is there");
	}
	if (status[0] != status[1])
		trial_fail(t, "the same answer to the same read", "status %u, then %u", status[0],
			   status[1]);
}

/* ---- appends ---- */

static void append_position(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone, sector;

	need_append(&z);
	zone = one_spare(&z);
	for (unsigned i = 0; i < 4; i++) {
		expect_status(t, zone_append(&z, zone, (uint8_t)(0x61 + i), unit(&z), &sector),
			      VIRTIO_BLK_S_OK);
		if (sector != zone + i * z.granule)
			trial_fail(t, "append_sector is the first sector that was written",
				   "%llu instead of %llu", (unsigned long long)sector,
				   (unsigned long long)(zone + i * z.granule));
		blk_expect(z.r, sector, (uint8_t)(0x61 + i), unit(&z),
			   "what was appended is read back where it is said to lie");
	}
	zone_expect(&z, zone, VIRTIO_BLK_ZS_IOPEN, 4 * z.granule,
		    "an append opens the zone and moves its pointer");
}

#define AT_ONCE 15u

static void append_at_once(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t places[AT_ONCE], zone;
	bool there[AT_ONCE] = {false};
	struct req q[AT_ONCE];
	unsigned n = AT_ONCE;
	struct used u;

	need_append(&z);
	zone = one_spare(&z);
	n = (unsigned)min_u64(n, zone_look(&z, zone).capacity / z.granule);
	for (unsigned i = 0; i < n; i++) {
		q[i] = append_make(&z, zone, (uint8_t)(i + 1), unit(&z), &places[i]);
		append_add(&z, &q[i], places[i]);
	}
	trial_sent(t, "%u appends of %u bytes to the zone at sector %llu at once", n, unit(&z),
		   (unsigned long long)zone);
	ring_publish(z.r);
	ring_kick(z.r);
	for (unsigned i = 0; i < n; i++)
		ring_wait(z.r, &u);
	for (unsigned i = 0; i < n; i++) {
		uint64_t sector = append_place(t, places[i]), at = (sector - zone) / z.granule;

		expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
		if (sector < zone || (sector - zone) % z.granule || at >= n || there[at])
			trial_fail(t, "appends that lie one behind the other, each for itself",
				   "one is said to lie at sector %llu", (unsigned long long)sector);
		there[at] = true;
	}
	for (unsigned i = 0; i < n; i++)
		blk_expect(z.r, append_place(t, places[i]), (uint8_t)(i + 1), unit(&z),
			   "what was appended is read back where it is said to lie");
	zone_expect(&z, zone,
		    n * z.granule == zone_look(&z, zone).capacity ? VIRTIO_BLK_ZS_FULL
								  : VIRTIO_BLK_ZS_IOPEN,
		    n * z.granule, "appends move the pointer by what they wrote");
}

/* append_sector stands before the status, wherever the chain is cut. */
static void append_framing(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone, tail;
	static const uint32_t cuts[] = {9, 8, 5, 1};

	need_append(&z);
	zone = one_spare(&z);
	for (unsigned i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_ZONE_APPEND, zone, unit(&z));
		const struct seg segs[] = {{q.header, 16, 0},
					   {q.data, 512, 0},
					   {q.data + 512, q.len - 512, 0},
					   {0, cuts[i], F_WRITE},
					   {0, 9 - cuts[i], F_WRITE}};
		struct seg use[5];
		unsigned n = 0;
		le64 raw;

		tail = mem(t, 16);
		fill(t, q.data, (uint8_t)(0x71 + i), q.len);
		fill(t, tail, 0xee, 16);
		for (unsigned j = 0; j < 5; j++) {
			use[n] = segs[j];
			if (j > 2)
				use[n].addr = j == 3 ? tail : tail + cuts[i];
			n += segs[j].len != 0;
		}
		q.status = tail + 8;
		expect_status(t, req_run_segs(z.r, &q, use, n), VIRTIO_BLK_S_OK);
		memcpy(&raw, at(t, tail, 8), sizeof(raw));
		if (le64_get(raw) != zone + i * z.granule || !filled(t, tail + 9, 0xee, 7))
			trial_fail(t, "eight bytes of append_sector, then the status",
				   "with %u of these bytes in the first buffer: sector %llu "
				   "instead of "
				   "%llu",
				   cuts[i], (unsigned long long)le64_get(raw),
				   (unsigned long long)(zone + i * z.granule));
		if (q.used.len != 9)
			trial_fail(t, "a used length of 9", "%u", q.used.len);
	}
}

/* As Linux sends it: 16 bytes, of which the standard has 9. */
static void append_padded(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone, tail;
	struct req q;
	le64 raw;

	need_append(&z);
	zone = one_spare(&z);
	q = req_make(t, VIRTIO_BLK_T_ZONE_APPEND, zone, unit(&z));
	tail = mem(t, 16);
	fill(t, tail, 0xee, 16);
	q.status = tail + 15;
	expect_status(t,
		      req_run_segs(z.r, &q,
				   (const struct seg[]){{q.header, 16, 0},
							{q.data, q.len, 0},
							{tail, 16, F_WRITE}},
				   3),
		      VIRTIO_BLK_S_OK);
	memcpy(&raw, at(t, tail, sizeof(raw)), sizeof(raw));
	if (le64_get(raw) != zone)
		trial_fail(t, "append_sector in the first eight bytes, the status in the last one",
			   "sector %llu instead of %llu", (unsigned long long)le64_get(raw),
			   (unsigned long long)zone);
}

static void append_refused_status(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone, place;
	struct req q;

	need_append(&z);
	zone = one_spare(&z);
	q = append_make(&z, zone + z.granule, 0x33, unit(&z), &place);
	expect_not_ok(t, append_run(&z, &q, place));
	/* The place of one that failed is undefined, but not counted as written if it was not. */
	if (q.used.len > 1 && filled(t, place, 0xee, 8))
		trial_fail(t, "a used length of what was written", "%u, and append_sector was not",
			   q.used.len);
}

static void append_off_start(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone, sector;

	need_append(&z);
	zone = one_spare(&z);
	expect_status(t, zone_append(&z, zone + z.granule, 0x34, unit(&z), &sector),
		      VIRTIO_BLK_S_ZONE_INVALID_CMD);
	expect_status(t, zone_append(&z, zone + z.zone_sectors - 1, 0x34, unit(&z), &sector),
		      VIRTIO_BLK_S_ZONE_INVALID_CMD);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EMPTY, 0, "an append that is refused moves nothing");
}

static void append_granule(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone, sector;

	need_append(&z);
	if (z.granule == 1)
		trial_skip(t, "the least write is one sector");
	zone = one_spare(&z);
	expect_status(t, zone_append(&z, zone, 0x35, 512, &sector), VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EMPTY, 0, "an append that is refused moves nothing");
}

static void append_too_long(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z), sector;
	uint64_t len = ((uint64_t)z.max_append / z.granule + 1) * unit(&z);

	if (z.max_append && z.max_append < z.zone_sectors && len <= z.longest) {
		expect_status(t, zone_append(&z, zone, 0x36, (uint32_t)len, &sector),
			      VIRTIO_BLK_S_ZONE_INVALID_CMD);
	} else if (!z.max_append) {
		expect_status(t, zone_append(&z, zone, 0x36, unit(&z), &sector),
			      VIRTIO_BLK_S_UNSUPP);
	} else {
		/* The same memory over and over, as many buffers as it takes. */
		uint64_t place = mem(t, 8);
		struct req q = req_make(t, VIRTIO_BLK_T_ZONE_APPEND, zone, z.longest);
		struct seg segs[64] = {{q.header, 16, 0}};
		unsigned n = 1;

		for (uint64_t left = len; left; n++) {
			uint32_t part = (uint32_t)min_u64(left, z.longest);

			if (n + 2 >= ARRAY_SIZE(segs) || part < unit(&z))
				trial_skip(t, "max_append_sectors is more than fits a chain");
			segs[n] = (struct seg){q.data, part, 0};
			left -= part;
		}
		segs[n++] = (struct seg){place, 8, F_WRITE};
		segs[n++] = (struct seg){q.status, 1, F_WRITE};
		expect_status(t, req_run_segs(z.r, &q, segs, n), VIRTIO_BLK_S_ZONE_INVALID_CMD);
	}
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EMPTY, 0, "an append that is refused moves nothing");
}

static void over_border(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z), capacity = fillable(&z, zone);

	if (capacity != z.zone_sectors)
		trial_skip(t, "the capacity of a zone ends before the zone");
	zone_fill(&z, zone, 0x37, capacity - z.granule);
	expect_status(t, zone_write(&z, zone + capacity - z.granule, 0x38, 2 * unit(&z)),
		      VIRTIO_BLK_S_ZONE_INVALID_CMD);
	if (zone + z.zone_sectors < z.sectors)
		zone_expect_state(&z, zone, VIRTIO_BLK_ZS_IOPEN,
				  "a write that is refused moves nothing");
}

/* ---- states ---- */

/* How an empty zone comes into a state. */
static void bring(struct zone_disk *z, uint64_t zone, uint8_t state)
{
	zone_do(z, RESET, zone);
	if (state == VIRTIO_BLK_ZS_EMPTY)
		return;
	expect_status(z->t, zone_write(z, zone, 0x51, unit(z)), VIRTIO_BLK_S_OK);
	if (state == VIRTIO_BLK_ZS_EOPEN)
		zone_do(z, OPEN, zone);
	else if (state == VIRTIO_BLK_ZS_CLOSED)
		zone_do(z, CLOSE, zone);
	else if (state == VIRTIO_BLK_ZS_FULL)
		zone_do(z, FINISH, zone);
	zone_expect_state(z, zone, state, "the state that was asked for");
}

static void transitions(struct trial *t)
{
	/* What the standard lists; finishing an empty or a closed zone it leaves out. */
	static const struct {
		uint8_t from;
		uint32_t type;
		uint8_t to;
	} moves[] = {
		{VIRTIO_BLK_ZS_EMPTY, OPEN, VIRTIO_BLK_ZS_EOPEN},
		{VIRTIO_BLK_ZS_EMPTY, RESET, VIRTIO_BLK_ZS_EMPTY},
		{VIRTIO_BLK_ZS_IOPEN, OPEN, VIRTIO_BLK_ZS_EOPEN},
		{VIRTIO_BLK_ZS_IOPEN, CLOSE, VIRTIO_BLK_ZS_CLOSED},
		{VIRTIO_BLK_ZS_IOPEN, FINISH, VIRTIO_BLK_ZS_FULL},
		{VIRTIO_BLK_ZS_IOPEN, RESET, VIRTIO_BLK_ZS_EMPTY},
		{VIRTIO_BLK_ZS_EOPEN, OPEN, VIRTIO_BLK_ZS_EOPEN},
		{VIRTIO_BLK_ZS_EOPEN, CLOSE, VIRTIO_BLK_ZS_CLOSED},
		{VIRTIO_BLK_ZS_EOPEN, FINISH, VIRTIO_BLK_ZS_FULL},
		{VIRTIO_BLK_ZS_EOPEN, RESET, VIRTIO_BLK_ZS_EMPTY},
		{VIRTIO_BLK_ZS_CLOSED, OPEN, VIRTIO_BLK_ZS_EOPEN},
		{VIRTIO_BLK_ZS_CLOSED, CLOSE, VIRTIO_BLK_ZS_CLOSED},
		{VIRTIO_BLK_ZS_CLOSED, RESET, VIRTIO_BLK_ZS_EMPTY},
		{VIRTIO_BLK_ZS_FULL, FINISH, VIRTIO_BLK_ZS_FULL},
		{VIRTIO_BLK_ZS_FULL, RESET, VIRTIO_BLK_ZS_EMPTY},
	};
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	for (unsigned i = 0; i < ARRAY_SIZE(moves); i++) {
		bring(&z, zone, moves[i].from);
		zone_do(&z, moves[i].type, zone);
		zone_expect_state(&z, zone, moves[i].to, "the state that the command leads to");
	}
}

static void impossible(struct trial *t)
{
	static const struct {
		uint8_t from;
		uint32_t type;
	} moves[] = {
		{VIRTIO_BLK_ZS_FULL, OPEN},
		{VIRTIO_BLK_ZS_FULL, CLOSE},
		{VIRTIO_BLK_ZS_EMPTY, CLOSE},
	};
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	for (unsigned i = 0; i < ARRAY_SIZE(moves); i++) {
		bring(&z, zone, moves[i].from);
		expect_status(t, zone_command(&z, moves[i].type, zone),
			      VIRTIO_BLK_S_ZONE_INVALID_CMD);
		zone_expect_state(&z, zone, moves[i].from, "a refused command changes no state");
	}
}

static void close_unwritten(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	zone_do(&z, OPEN, zone);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EOPEN, 0, "an open zone with nothing in it");
	zone_do(&z, CLOSE, zone);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EMPTY, 0,
		    "an open zone with nothing in it is empty when it is closed");
}

static void write_opens_closed(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	bring(&z, zone, VIRTIO_BLK_ZS_CLOSED);
	expect_status(t, zone_write(&z, zone + z.granule, 0x52, unit(&z)), VIRTIO_BLK_S_OK);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_IOPEN, UINT64_C(2) * z.granule,
		    "a write opens a closed zone");
	bring(&z, zone, VIRTIO_BLK_ZS_EOPEN);
	expect_status(t, zone_write(&z, zone + z.granule, 0x52, unit(&z)), VIRTIO_BLK_S_OK);
	zone_expect(&z, zone, VIRTIO_BLK_ZS_EOPEN, UINT64_C(2) * z.granule,
		    "a zone that was opened stays so when it is written");
}

static void off_start(struct trial *t)
{
	static const uint32_t types[] = {OPEN, CLOSE, FINISH, RESET};
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = one_spare(&z);

	bring(&z, zone, VIRTIO_BLK_ZS_IOPEN);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		expect_not_ok(t, zone_command(&z, types[i], zone + 1));
	zone_expect(&z, zone, VIRTIO_BLK_ZS_IOPEN, z.granule,
		    "a command that names no zone changes none");
}

static void states_stay(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone[TRIAL_ZONES];

	zones_spare(&z, 2, zone);
	expect_status(t, zone_write(&z, zone[0], 0x53, 2 * unit(&z)), VIRTIO_BLK_S_OK);
	expect_status(t, zone_write(&z, zone[1], 0x54, unit(&z)), VIRTIO_BLK_S_OK);
	zone_do(&z, FINISH, zone[1]);
	redial(t);
	z = zones_up(t, (struct setup){0});
	if (zone_look(&z, zone[0]).pointer != zone[0] + UINT64_C(2) * z.granule)
		trial_fail(t, "the write pointer is where it was for the next front end",
			   "it is at sector %llu of the zone",
			   (unsigned long long)(zone_look(&z, zone[0]).pointer - zone[0]));
	zone_expect_state(&z, zone[1], VIRTIO_BLK_ZS_FULL,
			  "a full zone is full for the next front end");
}

/* ---- limits ---- */

static unsigned count(struct zone_disk *z, bool active)
{
	unsigned n = 0;

	for (uint64_t at = 0, i = 0; at < z->sectors && i < 4096; at += z->zone_sectors, i++) {
		uint8_t state = zone_look(z, at).state;

		n += state == VIRTIO_BLK_ZS_EOPEN ||
		     (active && (state == VIRTIO_BLK_ZS_IOPEN || state == VIRTIO_BLK_ZS_CLOSED));
	}
	return n;
}

/* Zones up to the limit, and the one that is too many. */
static unsigned up_to(struct zone_disk *z, uint32_t limit, bool active, uint64_t *zone)
{
	unsigned taken, n;

	if (!limit)
		trial_skip(z->t, "the disk has no such limit");
	taken = count(z, active);
	n = limit > taken ? limit - taken : 0;
	if (!n || n + 1 > TRIAL_ZONES)
		trial_skip(z->t, "%u zones are needed to come to the limit", n + 1);
	zones_spare(z, n + 1, zone);
	return n;
}

static void open_limit(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone[TRIAL_ZONES], sector;
	unsigned n = up_to(&z, z.max_open, false, zone);
	/* Whoever exceeds both is told the other one. */
	uint8_t wanted = z.max_active == z.max_open ? VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE
						    : VIRTIO_BLK_S_ZONE_OPEN_RESOURCE;

	for (unsigned i = 0; i < n; i++)
		zone_do(&z, OPEN, zone[i]);
	expect_status(t, zone_command(&z, OPEN, zone[n]), wanted);
	expect_status(t, zone_write(&z, zone[n], 0x55, unit(&z)), wanted);
	if (z.max_append)
		expect_status(t, zone_append(&z, zone[n], 0x55, unit(&z), &sector), wanted);
	zone_expect(&z, zone[n], VIRTIO_BLK_ZS_EMPTY, 0, "what exceeds a limit changes nothing");
	/* One less, and it goes. */
	zone_do(&z, RESET, zone[0]);
	zone_do(&z, OPEN, zone[n]);
}

static void active_limit(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone[TRIAL_ZONES];
	unsigned n = up_to(&z, z.max_active, true, zone);

	/* Closed: active, and not open. */
	for (unsigned i = 0; i < n; i++) {
		expect_status(t, zone_write(&z, zone[i], 0x56, unit(&z)), VIRTIO_BLK_S_OK);
		zone_do(&z, CLOSE, zone[i]);
	}
	expect_status(t, zone_write(&z, zone[n], 0x57, unit(&z)),
		      VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
	expect_status(t, zone_command(&z, OPEN, zone[n]), VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
	zone_expect(&z, zone[n], VIRTIO_BLK_ZS_EMPTY, 0, "what exceeds a limit changes nothing");
	/* A full zone is not active any more. */
	zone_do(&z, FINISH, zone[0]);
	expect_status(t, zone_write(&z, zone[n], 0x57, unit(&z)), VIRTIO_BLK_S_OK);
}

static void implicit_makes_room(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone[TRIAL_ZONES];
	unsigned n = up_to(&z, z.max_open, false, zone), open = 0;

	if (z.max_active && count(&z, true) + n + 1 > z.max_active)
		trial_skip(t, "no more zones can be active than open");
	for (unsigned i = 0; i <= n; i++)
		expect_status(t, zone_write(&z, zone[i], 0x58, unit(&z)), VIRTIO_BLK_S_OK);
	for (unsigned i = 0; i <= n; i++) {
		struct zone_told d = zone_look(&z, zone[i]);

		open += d.state == VIRTIO_BLK_ZS_IOPEN;
		if (d.pointer != zone[i] + z.granule)
			trial_fail(t, "a zone that is closed for another one keeps its data",
				   "its pointer is at sector %llu",
				   (unsigned long long)(d.pointer - zone[i]));
	}
	if (open > n)
		trial_fail(t, "no more zones open than max_open_zones", "%u of %u", open, n);
}

/* ---- all at once ---- */

static void reset_all(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone[TRIAL_ZONES];

	/* It would take data that is not the case's. */
	for (uint64_t at = 0, i = 0; at < z.sectors; at += z.zone_sectors, i++) {
		struct zone_told d = zone_look(&z, at);

		if (i == 4096 || (d.type != VIRTIO_BLK_ZT_CONV && d.state != VIRTIO_BLK_ZS_EMPTY))
			trial_skip(t,
				   "zones of the disk hold data, which a reset of all would take");
	}
	zones_spare(&z, 3, zone);
	bring(&z, zone[0], VIRTIO_BLK_ZS_FULL);
	bring(&z, zone[1], VIRTIO_BLK_ZS_CLOSED);
	bring(&z, zone[2], VIRTIO_BLK_ZS_EOPEN);
	zone_do(&z, VIRTIO_BLK_T_ZONE_RESET_ALL, 0);
	for (unsigned i = 0; i < 3; i++)
		zone_expect(&z, zone[i], VIRTIO_BLK_ZS_EMPTY, 0,
			    "a reset of all zones empties each of them");
}

static const struct conform_case cases[] = {
	{"BLK-Z.write", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A write at the pointer of an empty zone opens it and moves the pointer.",
	 write_at_pointer},
	{"BLK-Z.full", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A zone that is written to its capacity is full, and takes no more.", write_full},
	{"BLK-Z.closed", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A write opens a closed zone, and leaves one that was opened as it is.",
	 write_opens_closed},
	{"BLK-Z.close-empty", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "An open zone with nothing in it is empty when it is closed.", close_unwritten},
	{"BLK-Z.transitions", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "Commands lead from state to state as the standard lists.", transitions},
	{"BLK-Z.stay", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "Zones are for the next front end what they were.", states_stay},
	{"BLK-Z.off-start", "virtio 5.2.6.1", LEVEL_PRACTICE, CASE_WRITES,
	 "A command whose sector is not a zone's first one fails.", off_start},
	{"BLK-Z.append-framing", "virtio 2.7.4.2, 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "append_sector stands before the status, wherever the chain is cut.", append_framing},
	{"BLK-Z.append-padded", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "Where append_sector and status are padded, as Linux does it, the sector comes first.",
	 append_padded},
	{"BLK-Z.append-failed", "virtio 2.7.8.2", LEVEL_MUST, CASE_WRITES,
	 "An append that fails reports nothing as written that was not.", append_refused_status},
	{"BLK-Z.granule", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A write that is no multiple of write_granularity gets ZONE_UNALIGNED_WP.", write_granule},
	{"BLK-Z.append-granule", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "An append that is no multiple of write_granularity gets ZONE_UNALIGNED_WP.",
	 append_granule},
	{"BLK-Z.reset-all", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A reset of all zones empties each of them.", reset_all},
	{"BLK-Z.implicit", "virtio 5.2.6", LEVEL_PRACTICE, CASE_WRITES,
	 "At the limit of open zones a write closes one that a write had opened.",
	 implicit_makes_room},
	{"BLK-D-18.start", "virtio 5.2.6.2", LEVEL_SHOULD, CASE_WRITES,
	 "An append whose sector is not a zone's first one gets ZONE_INVALID_CMD.",
	 append_off_start},
	{"BLK-D-19.impossible", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "A command that a state does not allow gets ZONE_INVALID_CMD and changes nothing.",
	 impossible},
	{"BLK-D-20.open", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "One open zone too many gets ZONE_OPEN_RESOURCE and changes nothing.", open_limit},
	{"BLK-D-20.active", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "One active zone too many gets ZONE_ACTIVE_RESOURCE and changes nothing.", active_limit},
	{"BLK-D-21.capacity", "virtio 5.2.6.2", LEVEL_SHOULD, CASE_WRITES,
	 "What exceeds the rest of a zone's capacity gets ZONE_INVALID_CMD.", over_capacity},
	{"BLK-D-22.position", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "append_sector is the first sector that was written.", append_position},
	{"BLK-D-22.parallel", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "Appends that are under way together lie one behind the other.", append_at_once},
	{"BLK-D-23.length", "virtio 5.2.6.2", LEVEL_SHOULD, CASE_WRITES,
	 "An append of more than max_append_sectors gets ZONE_INVALID_CMD, or UNSUPP if that is 0.",
	 append_too_long},
	{"BLK-D-24.write", "virtio 5.2.6.2", LEVEL_SHOULD, CASE_WRITES,
	 "A write over the border of a sequential zone gets ZONE_INVALID_CMD.", over_border},
	{"BLK-D-25.pointer", "virtio 5.2.6.2", LEVEL_SHOULD, CASE_WRITES,
	 "A write that is not at the pointer gets ZONE_UNALIGNED_WP and writes nothing.",
	 write_elsewhere},
	{"BLK-D-27.behind", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "Sectors behind the pointer read as a fixed pattern, or not at all.", read_behind_pointer},
};
const struct case_table zone_write_cases = {"Zoned disks, what writes", cases, ARRAY_SIZE(cases),
					    BY_ANY};
