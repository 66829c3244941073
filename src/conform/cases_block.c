/* SPDX-License-Identifier: MIT */
/* Block requests that change nothing: virtio 1.4, 5.2.6. */
#include "conform/cases.h"

#include "conform/blk.h"

#include <string.h>

static void read_all_zeros(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req a = req_make(t, VIRTIO_BLK_T_IN, 0, 4096),
		   b = req_make(t, VIRTIO_BLK_T_IN, 0, 4096);

	fill(t, a.data, 0x11, 4096);
	fill(t, b.data, 0x22, 4096);
	req_ok(r, &a);
	req_ok(r, &b);
	if (memcmp(at(t, a.data, 4096), at(t, b.data, 4096), 4096))
		trial_fail(t, "the same 8 sectors twice, and all of them written into the buffer",
			   "two reads differ");
}

static void read_pieces(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t sectors = min_u64(capacity(t), 64);
	struct req whole = blk_read(r, 0, (uint32_t)sectors * 512);

	for (uint64_t s = 0; s < sectors; s++) {
		struct req q = blk_read(r, s, 512);

		if (memcmp(at(t, q.data, 512), at(t, whole.data + s * 512, 512), 512))
			trial_fail(t, "sector by sector the same as in one read",
				   "sector %llu differs", (unsigned long long)s);
	}
}

static void bounds_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t area = mem(t, 3 * 4096);
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	fill(t, area, 0x99, 3 * 4096);
	q.data = area + 4096;
	q.status = area + 4096 + 512 + 64;
	req_header(t, &q);
	req_ok(r, &q);
	if (!filled(t, area, 0x99, 4096) || !filled(t, q.data + 512, 0x99, 64) ||
	    !filled(t, q.status + 1, 0x99, 4096))
		trial_fail(t, "512 bytes and one status byte are written",
			   "bytes around the buffers changed");
}

static void last_sector(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t sectors = capacity(t);

	if (!sectors)
		trial_fail(t, "a disk of at least one sector", "capacity 0");
	blk_read(r, sectors - 1, 512);
	if (sectors >= 8)
		blk_read(r, sectors - 8, 4096);
}

static void many_sizes(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint32_t max = 1u << 20;

	if (offered(t, VIRTIO_BLK_F_SIZE_MAX) && le32_get(t->config.size_max) < max)
		max = le32_get(t->config.size_max);
	/* No request goes over the border of a zone. */
	if (host_managed(t))
		max = (uint32_t)min_u64(max, le32_get(t->config.zone_sectors) * UINT64_C(512));
	for (uint32_t len = 512; len <= max && len / 512 <= capacity(t); len *= 2) {
		struct req q = blk_read(r, 0, len);

		t->next_gpa = q.header;
	}
}

static void deep(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 256});
	struct req q[85];
	struct used u;

	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = req_make(t, VIRTIO_BLK_T_IN, i % min_u64(capacity(t), 64), 512);
		req_add(r, &q[i]);
	}
	trial_sent(t, "85 reads at once in a ring of 256");
	ring_publish(r);
	ring_kick(r);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		ring_wait(r, &u);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
}

static void flush_ok(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(FLUSH)});
	struct req q = req_make(t, VIRTIO_BLK_T_FLUSH, 0, 0);

	req_ok(r, &q);
}

static void flush_many(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(FLUSH)});
	struct req q[20];
	struct used u;

	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = i % 2 ? req_make(t, VIRTIO_BLK_T_FLUSH, 0, 0)
			     : req_make(t, VIRTIO_BLK_T_IN, 0, 512);
		req_add(r, &q[i]);
	}
	trial_sent(t, "10 reads and 10 flushes at once");
	ring_publish(r);
	ring_kick(r);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		ring_wait(r, &u);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
}

static void get_id(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, VIRTIO_BLK_T_GET_ID, 0, 20);
	char first[21] = "", second[21] = "";

	expect_status(t, req_run(r, &q), VIRTIO_BLK_S_OK);
	memcpy(first, at(t, q.data, 20), 20);
	q = req_make(t, VIRTIO_BLK_T_GET_ID, 0, 20);
	fill(t, q.data, 0x5a, 20);
	req_ok(r, &q);
	memcpy(second, at(t, q.data, 20), 20);
	if (strcmp(first, second))
		trial_fail(t, "the same id each time", "first \"%s\", then \"%s\"", first, second);
}

static void id_padding(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, VIRTIO_BLK_T_GET_ID, 0, 20);
	const uint8_t *id = at(t, q.data, 20);
	bool ended = false;

	req_ok(r, &q);
	for (unsigned i = 0; i < 20; i++) {
		if (ended && id[i])
			trial_fail(t, "20 bytes, a string padded with zeros",
				   "byte %u, behind the first zero, is 0x%02x", i, id[i]);
		ended |= !id[i];
	}
}

static void get_lifetime(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(LIFETIME)});
	struct req q = req_make(t, VIRTIO_BLK_T_GET_LIFETIME, 0, 6);
	const uint8_t *b;

	req_ok(r, &q);
	b = at(t, q.data, 6);
	if (b[1] || b[3] || b[5] || b[0] > 3 || b[2] > 11 || b[4] > 11)
		trial_fail(t, "pre_eol_info 0 to 3, both estimates 0 to 11",
			   "%02x%02x %02x%02x %02x%02x", b[1], b[0], b[3], b[2], b[5], b[4]);
}

static struct ring *without_zones(struct trial *t)
{
	dial(t);
	if (offered(t, VIRTIO_BLK_F_ZONED)) {
		read_config(t);
		if (host_managed(t))
			trial_skip(t, "a disk with host-managed zones works with ZONED only");
	}
	return disk_up(t, (struct setup){.without = BLK(ZONED)});
}

static void zone_report(struct trial *t)
{
	struct ring *r = without_zones(t);
	struct req q = req_make(t, VIRTIO_BLK_T_ZONE_REPORT, 0, 4096);

	expect_status(t, req_run(r, &q), VIRTIO_BLK_S_UNSUPP);
}

/* A device that carries them out loses data: these count as writes. */
static void zone_commands(struct trial *t)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_ZONE_OPEN, VIRTIO_BLK_T_ZONE_CLOSE,
					 VIRTIO_BLK_T_ZONE_FINISH, VIRTIO_BLK_T_ZONE_RESET,
					 VIRTIO_BLK_T_ZONE_RESET_ALL};
	struct ring *r = without_zones(t);

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		struct req q = req_make(t, types[i], 0, 0);

		expect_status(t, req_run(r, &q), VIRTIO_BLK_S_UNSUPP);
	}
}

static void zone_append(struct trial *t)
{
	struct ring *r = without_zones(t);
	struct req q = req_make(t, VIRTIO_BLK_T_ZONE_APPEND, scratch(t, 1), 512);
	uint64_t place = mem(t, 8);

	req_header(t, &q);
	expect_status(t,
		      req_run_segs(r, &q,
				   (const struct seg[]){{q.header, 16, 0},
							{q.data, 512, 0},
							{place, 8, F_WRITE},
							{q.status, 1, F_WRITE}},
				   4),
		      VIRTIO_BLK_S_UNSUPP);
}

static void unknown_type(struct trial *t)
{
	static const uint32_t types[] = {0x7f, 0xff, 0x1234, 0x7fffffff, 0xffffffff};
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		struct req q = req_make(t, types[i], 0, 0);

		expect_status(t, req_run(r, &q), VIRTIO_BLK_S_UNSUPP);
	}
}

static void unknown_answered(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, 0x7f, 0, 512);

	expect_not_ok(t, req_run(r, &q));
}

static void beyond_end(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t sectors = capacity(t);
	const uint64_t starts[] = {
		sectors,	sectors - 1,	   sectors + 1000,	   UINT64_MAX,
		UINT64_MAX - 1, UINT64_C(1) << 55, (UINT64_C(1) << 55) - 1};

	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_IN, starts[i], 1024);

		expect_status(t, req_run(r, &q), VIRTIO_BLK_S_IOERR);
	}
}

static void odd_length(struct trial *t)
{
	static const uint32_t lengths[] = {1, 511, 513, 1000};
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, lengths[i]);

		expect_status(t, req_run(r, &q), VIRTIO_BLK_S_IOERR);
	}
}

static void two_queues(struct trial *t)
{
	disk_up(t, (struct setup){.wish = BLK(MQ), .queues = 2});
	for (unsigned i = 0; i < 32; i++) {
		struct req a = blk_read(&t->rings[0], 0, 512), b = blk_read(&t->rings[1], 0, 512);

		if (memcmp(at(t, a.data, 512), at(t, b.data, 512), 512))
			trial_fail(t, "the same sector through both queues", "other bytes");
	}
}

static void every_queue(struct trial *t)
{
	struct ring *r;
	unsigned n;

	dial(t);
	n = (unsigned)min_u64(t->queues, TRIAL_RINGS);
	if (offered(t, VIRTIO_BLK_F_MQ)) {
		read_config(t);
		n = (unsigned)min_u64(n, le16_get(t->config.num_queues));
	} else {
		n = 1;
	}
	n = n ? n : 1;
	r = disk_up(t, (struct setup){.wish = BLK(MQ), .queues = n});
	for (unsigned i = n; i-- > 0;)
		blk_read(&r[i], 0, 512);
	/* Together. */
	for (unsigned round = 0; round < 10; round++) {
		struct req q[TRIAL_RINGS];

		for (unsigned i = 0; i < n; i++) {
			q[i] = req_make(t, VIRTIO_BLK_T_IN, 0, 4096);
			req_add(&r[i], &q[i]);
			ring_publish(&r[i]);
			ring_kick(&r[i]);
		}
		for (unsigned i = 0; i < n; i++)
			expect_status(t, req_finish(&r[i], &q[i]), VIRTIO_BLK_S_OK);
	}
}

static const struct conform_case cases[] = {
	{"BLK-R.read", "virtio 5.2.6", LEVEL_MUST, 0,
	 "A read fills its whole buffer with what the disk holds.", read_all_zeros},
	{"BLK-R.place", "virtio 5.2.6", LEVEL_MUST, 0,
	 "Sectors are units of 512 bytes, wherever a read begins.", read_pieces},
	{"BLK-R.bounds", "virtio 2.7.5.1, 5.2.6", LEVEL_MUST, 0,
	 "A read writes its buffer and one status byte, nothing else.", bounds_kept},
	{"BLK-R.last", "virtio 5.2.4, 5.2.6", LEVEL_MUST, 0,
	 "The last sector of the capacity can be read.", last_sector},
	{"BLK-R.sizes", "virtio 5.2.6", LEVEL_MUST, 0,
	 "Reads from 512 bytes to 1 MiB work, as far as size_max allows.", many_sizes},
	{"BLK-R.deep", "virtio 5.2.6", LEVEL_MUST, 0, "85 reads in flight are all completed.",
	 deep},
	{"BLK-R.flush", "virtio 5.2.6", LEVEL_MUST, 0, "A flush is completed with OK.", flush_ok},
	{"BLK-R.flush-mix", "virtio 5.2.6", LEVEL_MUST, 0, "Flushes among reads are completed.",
	 flush_many},
	{"BLK-R.id", "virtio 5.2.6", LEVEL_MUST, 0, "GET_ID returns the disk's id.", get_id},
	{"BLK-R.id-padding", "virtio 5.2.6", LEVEL_PRACTICE, 0,
	 "The id is padded with zeros to 20 bytes.", id_padding},
	{"BLK-R.two-queues", "virtio 5.2.2", LEVEL_MUST, 0, "Two queues lead to the same disk.",
	 two_queues},
	{"BLK-R.every-queue", "virtio 5.2.2", LEVEL_MUST, 0,
	 "Every queue up to num_queues is served.", every_queue},
	{"BLK-D-15.lifetime", "virtio 5.2.6.2", LEVEL_MUST, 0,
	 "GET_LIFETIME returns no reserved value.", get_lifetime},
	{"BLK-D-16.report", "virtio 5.2.6.2", LEVEL_MUST, 0,
	 "Without ZONED, zone report is refused with UNSUPP.", zone_report},
	{"BLK-D-16.zones", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "Without ZONED, zone commands are refused with UNSUPP.", zone_commands},
	{"BLK-D-16.append", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "Without ZONED, zone append is refused with UNSUPP.", zone_append},
	{"BLK-D-29.unknown", "virtio 5.2.6", LEVEL_PRACTICE, 0,
	 "A request of unknown type gets UNSUPP.", unknown_type},
	{"BLK-D-29.unknown-data", "practice", LEVEL_PRACTICE, 0,
	 "A request of unknown type with data is answered, and not with OK.", unknown_answered},
	{"BLK-D-29.beyond", "practice", LEVEL_PRACTICE, 0, "A read beyond the capacity gets IOERR.",
	 beyond_end},
	{"BLK-D-29.length", "practice", LEVEL_PRACTICE, 0,
	 "A read whose length is no multiple of 512 gets IOERR.", odd_length},
};
const struct case_table block_cases = {"Block requests that change nothing", cases,
				       ARRAY_SIZE(cases), BY_ANY};
