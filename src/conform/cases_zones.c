/* SPDX-License-Identifier: MIT */
/* Zoned disks, what changes nothing: features, configuration, reports (virtio 1.4, 5.2.5, 5.2.6). */
#include "conform/cases.h"

#include "conform/board.h"
#include "conform/zones.h"

#include <string.h>

/* ---- features and configuration ---- */

/* A driver that does not take ZONED. */
static void declined(struct trial *t)
{
	uint64_t bits;

	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(STATUS);
	dial(t);
	need_feature(t, VIRTIO_BLK_F_ZONED);
	read_config(t);
	if (!host_managed(t))
		trial_skip(t, "the disk is not host-managed, or does not tell");
	if (t->o->pci) {
		board_reset(t);
		board_set_status(t, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
		trial_sent(t, "features without ZONED, then FEATURES_OK");
		vpci_set_features(&t->board.v, board_least_features(t) & ~BLK(ZONED));
		board_set_status(t, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
					    VIRTIO_STATUS_FEATURES_OK);
		if (board_status(t) & VIRTIO_STATUS_FEATURES_OK)
			trial_fail(t, "FEATURES_OK does not stay", "it is set");
		return;
	}
	bits = t->peer.offered & FEAT_LEAST & ~BLK(ZONED);
	trial_sent(t, "SET_FEATURES without ZONED, then FEATURES_OK");
	if (!(t->peer.proto & (PROTO(REPLY_ACK) | PROTO(STATUS))))
		trial_skip(t, "the back end has no way to refuse features");
	if (tell(t, VHOST_USER_SET_FEATURES, &bits, sizeof(bits), -1))
		return;
	if (t->peer.proto & PROTO(STATUS)) {
		bits = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK;
		tell(t, VHOST_USER_SET_STATUS, &bits, sizeof(bits), -1);
		if (!(ask_u64(t, VHOST_USER_GET_STATUS) & VIRTIO_STATUS_FEATURES_OK))
			return;
	}
	trial_fail(t, "SET_FEATURES is refused, or FEATURES_OK does not stay", "both are taken");
}

static void declined_fields(struct trial *t)
{
	static const uint8_t
		zero[sizeof(t->config) - offsetof(struct virtio_blk_config, zone_sectors)];

	dial(t);
	need_feature(t, VIRTIO_BLK_F_ZONED);
	read_config(t);
	if (host_managed(t))
		trial_skip(t, "a disk with host-managed zones works with ZONED only");
	disk_up(t, (struct setup){.without = BLK(ZONED), .stopped = true});
	read_config(t);
	if (t->config_len == sizeof(t->config) &&
	    memcmp(&t->config.zone_sectors, zero, sizeof(zero)) != 0)
		trial_fail(t, "without ZONED the fields of zones are 0", "they are not");
}

static void no_discard(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_ZONED);
	read_config(t);
	if (!host_managed(t))
		trial_skip(t, "the disk is not host-managed, or does not tell");
	if (offered(t, VIRTIO_BLK_F_DISCARD))
		trial_fail(t, "no DISCARD beside host-managed zones", "both are offered");
}

static void legacy_face(struct trial *t)
{
	if (!t->o->pci)
		trial_skip(t, "no legacy interface here");
	board_legacy(t);
	if (vpci_features(&t->board.v) & BLK(ZONED))
		trial_fail(t, "ZONED is not offered through the legacy interface", "it is");
}

/* With features agreed on, and no rings. */
static void fields(struct trial *t)
{
	dial(t);
	need_feature(t, VIRTIO_BLK_F_ZONED);
	disk_up(t, (struct setup){.want = BLK(ZONED), .stopped = true});
	read_config(t);
}

static void model(struct trial *t)
{
	fields(t);
	if (t->config_len < sizeof(t->config))
		trial_fail(t, "a configuration with the fields of ZONED, which is offered",
			   "it ends after %u bytes", t->config_len);
	if (t->config.zone_model > VIRTIO_BLK_Z_HA)
		trial_fail(t, "a zone model from 0 to 2", "%u", t->config.zone_model);
}

static void padding(struct trial *t)
{
	fields(t);
	if (t->config.unused2[0] || t->config.unused2[1] || t->config.unused2[2])
		trial_fail(t, "unused2 is 0", "%02x %02x %02x", t->config.unused2[0],
			   t->config.unused2[1], t->config.unused2[2]);
}

static void size(struct trial *t)
{
	fields(t);
	zones_config(t);
	if (!le32_get(t->config.zone_sectors))
		trial_fail(t, "the size of a zone in sectors", "zone_sectors is 0");
}

static void granularity(struct trial *t)
{
	uint32_t bytes, zone;

	fields(t);
	zones_config(t);
	bytes = le32_get(t->config.write_granularity);
	zone = le32_get(t->config.zone_sectors);
	if (!bytes || bytes % 512 || (zone && zone * UINT64_C(512) % bytes))
		trial_fail(t, "a write granularity of whole sectors, which divides a zone",
			   "write_granularity %u, zone_sectors %u", bytes, zone);
}

static void append_limit(struct trial *t)
{
	uint64_t sectors, segments;

	fields(t);
	zones_config(t);
	sectors = le32_get(t->config.max_append_sectors);
	if (sectors > le32_get(t->config.zone_sectors))
		trial_fail(t, "no append larger than a zone", "max_append_sectors is %llu",
			   (unsigned long long)sectors);
	if (!offered(t, VIRTIO_BLK_F_SEG_MAX) || !offered(t, VIRTIO_BLK_F_SIZE_MAX))
		return;
	segments = (uint64_t)le32_get(t->config.seg_max) * le32_get(t->config.size_max);
	if (sectors * 512 > segments)
		trial_fail(t, "max_append_sectors is at most seg_max * size_max",
			   "%llu sectors, and %llu bytes", (unsigned long long)sectors,
			   (unsigned long long)segments);
}

static void limits(struct trial *t)
{
	uint32_t open, active;

	fields(t);
	zones_config(t);
	open = le32_get(t->config.max_open_zones);
	active = le32_get(t->config.max_active_zones);
	/* An open zone is an active one. */
	if (active && open > active)
		trial_fail(t, "no more zones can be open than active",
			   "max_open_zones %u, max_active_zones %u", open, active);
}

static void erase_units(struct trial *t)
{
	uint32_t zone, align, most;

	fields(t);
	zones_config(t);
	if (!offered(t, VIRTIO_BLK_F_SECURE_ERASE))
		trial_skip(t, "SECURE_ERASE is not offered");
	zone = le32_get(t->config.zone_sectors);
	align = le32_get(t->config.secure_erase_sector_alignment);
	most = le32_get(t->config.max_secure_erase_sectors);
	if (zone && (align % zone || most % zone))
		trial_fail(t, "alignment and size of a secure erase are multiples of zone_sectors",
			   "alignment %u, size %u, zone_sectors %u", align, most, zone);
}

/* ---- reports ---- */

static void check_zone(struct zone_disk *z, const struct zone_told *d, uint64_t start)
{
	uint64_t sectors = min_u64(z->zone_sectors, z->sectors - start);
	bool conventional = d->type == VIRTIO_BLK_ZT_CONV;
	unsigned long long at = start;

	if (d->start != start)
		trial_fail(z->t, "descriptors of the zones one behind the other",
			   "sector %llu instead of %llu", (unsigned long long)d->start, at);
	if (d->type < VIRTIO_BLK_ZT_CONV || d->type > VIRTIO_BLK_ZT_SWP)
		trial_fail(z->t, "a zone type from 1 to 3", "the zone at sector %llu has %u", at,
			   d->type);
	if (!strcmp(zone_state_name(d->state), "no state of the standard"))
		trial_fail(z->t, "a zone state of the standard", "the zone at sector %llu has %u",
			   at, d->state);
	if (conventional != (d->state == VIRTIO_BLK_ZS_NOT_WP))
		trial_fail(z->t, "conventional zones, and no others, have no write pointer",
			   "the zone at sector %llu has type %u and state %u", at, d->type,
			   d->state);
	if (d->capacity > sectors || (!d->capacity && d->state != VIRTIO_BLK_ZS_OFFLINE))
		trial_fail(z->t, "a capacity of at most a zone's size",
			   "the zone at sector %llu has %llu of %llu", at,
			   (unsigned long long)d->capacity, (unsigned long long)sectors);
	if (d->state < VIRTIO_BLK_ZS_EMPTY || d->state > VIRTIO_BLK_ZS_CLOSED)
		return;
	if (d->pointer < start || d->pointer > start + d->capacity)
		trial_fail(z->t, "a write pointer within the zone's capacity",
			   "the zone at sector %llu has it at %llu", at,
			   (unsigned long long)d->pointer);
	if (d->state == VIRTIO_BLK_ZS_EMPTY && d->pointer != start)
		trial_fail(z->t, "the write pointer of an empty zone is at its start",
			   "the zone at sector %llu has it at %llu", at,
			   (unsigned long long)d->pointer);
}

/* Reports look at a few thousand zones of a disk, not at more. */
#define REPORTS 64
#define ROOM	63

static void report_all(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t sector = 0;

	for (unsigned i = 0; i < REPORTS && sector < z.sectors; i++) {
		uint64_t left = (z.sectors - sector + z.zone_sectors - 1) / z.zone_sectors, n;
		struct req q;

		expect_status(t, zone_report(&z, &q, sector, 64 * (1 + ROOM), &n), VIRTIO_BLK_S_OK);
		if (!n || n > min_u64(left, ROOM))
			trial_fail(t, "nr_zones tells how many descriptors were transferred",
				   "%llu, with room for %u and %llu zones left",
				   (unsigned long long)n, ROOM, (unsigned long long)left);
		for (unsigned j = 0; j < n; j++) {
			struct zone_told d = zone_told(t, &q, j);

			check_zone(&z, &d, sector + j * (uint64_t)z.zone_sectors);
		}
		if (!filled(t, q.data + 64 * (1 + n), 0xa5, (uint32_t)(64 * (ROOM - n))))
			trial_fail(t, "nothing is written behind the last descriptor", "it is");
		sector += n * z.zone_sectors;
		t->next_gpa = q.header;
	}
}

static void report_length(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});

	for (uint32_t room = 0; room < 4; room++) {
		struct req q;
		uint64_t n, zones = (z.sectors + z.zone_sectors - 1) / z.zone_sectors;

		/* A part of a descriptor is none. */
		expect_status(t, zone_report(&z, &q, 0, 64 * (1 + room) + 40, &n), VIRTIO_BLK_S_OK);
		if (n > min_u64(room, zones) || (room && !n))
			trial_fail(t, "as many whole descriptors as there is room for",
				   "%llu, with room for %u", (unsigned long long)n, room);
		/* The status is the last byte: what is before it and was not written must not count. */
		if (q.used.len < 64 * (1 + n))
			trial_fail(t, "a used length that has header and descriptors in it",
				   "%u bytes for %llu descriptors", q.used.len,
				   (unsigned long long)n);
	}
}

static void report_inside(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t last = (z.sectors - 1) / z.zone_sectors * z.zone_sectors;
	const uint64_t sectors[] = {0, 1, z.zone_sectors - 1, last, z.sectors - 1};

	for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
		uint64_t start = sectors[i] / z.zone_sectors * z.zone_sectors;
		struct zone_told d = zone_look(&z, sectors[i]);

		if (sectors[i] < z.sectors)
			check_zone(&z, &d, start);
	}
}

static void report_pieces(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	struct req whole, q = req_make(t, VIRTIO_BLK_T_ZONE_REPORT, 0, 64 * 4);
	uint64_t n;

	expect_status(t, zone_report(&z, &whole, 0, 64 * 4, &n), VIRTIO_BLK_S_OK);
	expect_status(t,
		      req_run_segs(z.r, &q,
				   (const struct seg[]){{q.header, 16, 0},
							{q.data, 7, F_WRITE},
							{q.data + 7, 90, F_WRITE},
							{q.data + 97, 256 - 97, F_WRITE},
							{q.status, 1, F_WRITE}},
				   5),
		      VIRTIO_BLK_S_OK);
	if (memcmp(at(t, whole.data, 64 * (1 + n)), at(t, q.data, 64 * (1 + n)), 64 * (1 + n)) != 0)
		trial_fail(t, "the same report, however its buffer is cut", "it differs");
}

static void report_beyond(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	const uint64_t sectors[] = {z.sectors, z.sectors + z.zone_sectors, UINT64_MAX,
				    UINT64_C(1) << 55};

	for (unsigned i = 0; i < ARRAY_SIZE(sectors); i++) {
		struct req q;
		uint64_t n;
		uint8_t status = zone_report(&z, &q, sectors[i], 128, &n);

		if (status == VIRTIO_BLK_S_OK && n)
			trial_fail(t, "no zone from beyond the end", "%llu of them",
				   (unsigned long long)n);
	}
}

static void report_short(struct trial *t)
{
	static const uint32_t lengths[] = {1, 8, 63};
	struct zone_disk z = zones_up(t, (struct setup){0});

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct req q;
		uint64_t n;

		expect_not_ok(t, zone_report(&z, &q, 0, lengths[i], &n));
	}
}

/* ---- reads and commands that are refused ---- */

/* The first sequential zone that has a neighbour; skips a disk of one zone. */
static uint64_t sequential(struct zone_disk *z)
{
	for (uint64_t at = 0, n = 0; at + z->zone_sectors < z->sectors && n < 4096;
	     at += z->zone_sectors, n++)
		if (zone_look(z, at).type == VIRTIO_BLK_ZT_SWR)
			return at;
	trial_skip(z->t, "the disk has no two zones, one to be written sequentially");
}

static uint64_t conventional(struct zone_disk *z)
{
	for (uint64_t at = 0, n = 0; at < z->sectors && n < 4096; at += z->zone_sectors, n++)
		if (zone_look(z, at).type == VIRTIO_BLK_ZT_CONV)
			return at;
	trial_skip(z->t, "the disk has no conventional zone");
}

static void read_over_border(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t at = sequential(&z) + z.zone_sectors - 8;
	struct req q = req_make(t, VIRTIO_BLK_T_IN, at, 8192);

	if (z.sectors < at + 16)
		trial_skip(t, "the next zone is too short");
	blk_read(z.r, at, 4096);
	expect_status(t, req_run(z.r, &q), VIRTIO_BLK_S_ZONE_INVALID_CMD);
}

static const uint32_t commands[] = {VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
				    VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET};

/* A device that carries them out loses data: these count as writes. */
static void conventional_commands(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = conventional(&z);

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		expect_status(t, zone_command(&z, commands[i], zone),
			      VIRTIO_BLK_S_ZONE_INVALID_CMD);
}

static void conventional_append(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t zone = conventional(&z), sector;

	if (!z.max_append)
		trial_skip(t, "the disk takes no appends");
	expect_status(t, zone_append(&z, zone, 0x11, z.granule * 512, &sector),
		      VIRTIO_BLK_S_ZONE_INVALID_CMD);
}

static void commands_beyond(struct trial *t)
{
	struct zone_disk z = zones_up(t, (struct setup){0});
	uint64_t end = (z.sectors + z.zone_sectors - 1) / z.zone_sectors * z.zone_sectors;

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		expect_not_ok(t, zone_command(&z, commands[i], end));
		expect_not_ok(t, zone_command(&z, commands[i], UINT64_MAX));
	}
}

static const struct conform_case cases[] = {
	{"BLK-D-03.zones", "virtio 5.2.5.2", LEVEL_MUST, 0, "The padding byte unused2 is 0.",
	 padding},
	{"BLK-D-04.discard", "virtio 5.2.5.1", LEVEL_MUST, 0,
	 "A host-managed disk offers no DISCARD.", no_discard},
	{"BLK-D-04.legacy", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "ZONED is not offered through the legacy interface.", legacy_face},
	{"BLK-D-05.declined", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "A host-managed disk refuses a driver that does not take ZONED.", declined},
	{"BLK-D-05.fields", "virtio 5.2.5.2", LEVEL_SHOULD, 0,
	 "Without ZONED other disks go on with the fields of zones 0.", declined_fields},
	{"BLK-D-06.model", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "The zone model is none, managed or aware.", model},
	{"BLK-D-07.size", "virtio 5.2.5.2", LEVEL_MUST, 0, "zone_sectors is the size of a zone.",
	 size},
	{"BLK-D-07.granularity", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "write_granularity is whole sectors, and divides a zone.", granularity},
	{"BLK-D-07.append", "virtio 5.2.5.2", LEVEL_MUST, 0,
	 "max_append_sectors is at most seg_max * size_max, and a zone.", append_limit},
	{"BLK-D-07.limits", "practice", LEVEL_PRACTICE, 0, "No more zones can be open than active.",
	 limits},
	{"BLK-D-28.units", "virtio 5.2.6.2", LEVEL_MUST, 0,
	 "Secure erase is aligned to zones, and by whole zones.", erase_units},
	{"BLK-Z.report", "virtio 5.2.6", LEVEL_MUST, 0,
	 "Reports tell of each zone, with what can be of it.", report_all},
	{"BLK-Z.report-inside", "virtio 5.2.6.1", LEVEL_MUST, 0,
	 "A report begins with the zone that contains its sector.", report_inside},
	{"BLK-Z.report-length", "virtio 5.2.6", LEVEL_MUST, 0,
	 "nr_zones counts whole descriptors, and the used length has them in it.", report_length},
	{"BLK-Z.report-pieces", "virtio 2.7.4.2", LEVEL_MUST, 0,
	 "A report is the same however its buffer is cut.", report_pieces},
	{"BLK-Z.report-beyond", "practice", LEVEL_PRACTICE, 0,
	 "No zone is reported from beyond the capacity.", report_beyond},
	{"BLK-Z.report-short", "practice", LEVEL_PRACTICE, 0,
	 "A report with no room for its header fails.", report_short},
	{"BLK-D-24.read", "virtio 5.2.6.2", LEVEL_SHOULD, 0,
	 "A read over the border of a sequential zone gets ZONE_INVALID_CMD.", read_over_border},
	{"BLK-D-17.commands", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "Commands to a conventional zone get ZONE_INVALID_CMD.", conventional_commands},
	{"BLK-D-18.conventional", "virtio 5.2.6.2", LEVEL_SHOULD, CASE_WRITES,
	 "An append to a conventional zone gets ZONE_INVALID_CMD.", conventional_append},
	{"BLK-Z.command-beyond", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "Commands beyond the capacity fail.", commands_beyond},
};
const struct case_table zone_cases = {"Zoned disks, what changes nothing", cases, ARRAY_SIZE(cases),
				      BY_ANY};
