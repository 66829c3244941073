/* SPDX-License-Identifier: MIT */
/* Block requests that write, discard or zero: virtio 1.4, 5.2.6. */
#include "conform/cases.h"

#include "conform/blk.h"

#include <string.h>

#define DISCARD	     VIRTIO_BLK_T_DISCARD
#define WRITE_ZEROES VIRTIO_BLK_T_WRITE_ZEROES
#define SECURE_ERASE VIRTIO_BLK_T_SECURE_ERASE

static void write_read(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t s = scratch(t, 16);

	blk_write(r, s, 0x5a, 8192);
	blk_expect(r, s, 0x5a, 8192, "what was written is read back");
	blk_write(r, s + 3, 0xc3, 512);
	blk_expect(r, s, 0x5a, 3 * 512, "sectors before a write are as they were");
	blk_expect(r, s + 3, 0xc3, 512, "what was written is read back");
	blk_expect(r, s + 4, 0x5a, 12 * 512, "sectors behind a write are as they were");
}

static void write_places(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t s = scratch(t, 32);

	for (unsigned i = 0; i < 32; i++)
		blk_write(r, s + i, (uint8_t)(i + 1), 512);
	for (unsigned i = 0; i < 32; i++)
		blk_expect(r, s + i, (uint8_t)(i + 1), 512,
			   "each sector has what was written to it");
}

static void write_big(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t s = scratch(t, 1024);
	uint32_t max = 1024 * 512;

	if (offered(t, VIRTIO_BLK_F_SIZE_MAX) && le32_get(t->config.size_max))
		max = (uint32_t)min_u64(max, align_down(le32_get(t->config.size_max), 512));
	blk_write(r, s, 0x6b, max);
	blk_expect(r, s, 0x6b, max, "what was written is read back");
}

static void write_then_flush(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(FLUSH)});
	uint64_t s = scratch(t, 8);
	struct req q;

	blk_write(r, s, 0x2f, 4096);
	q = req_make(t, VIRTIO_BLK_T_FLUSH, 0, 0);
	req_ok(r, &q);
	redial(t);
	r = disk_up(t, (struct setup){0});
	blk_expect(r, s, 0x2f, 4096,
		   "what was written and flushed is there for the next front end");
}

static void write_through(struct trial *t)
{
	struct ring *r;
	uint64_t s;

	dial(t);
	need_feature(t, VIRTIO_BLK_F_FLUSH);
	r = disk_up(t, (struct setup){.without = BLK(FLUSH)});
	s = scratch(t, 8);
	blk_write(r, s, 0x2e, 4096);
	redial(t);
	r = disk_up(t, (struct setup){0});
	blk_expect(r, s, 0x2e, 4096,
		   "a completed write without FLUSH accepted is there for the next front end");
}

static void durable(struct trial *t)
{
	trial_skip(t, "whether data survives a power failure cannot be seen through a ring");
}

/* Read-only disks */

static void read_only_disk(struct trial *t, uint64_t wish)
{
	disk_up(t, (struct setup){.want = BLK(RO), .wish = wish});
}

static void ro_write(struct trial *t)
{
	struct ring *r;
	struct req before, after, q;

	read_only_disk(t, 0);
	r = &t->rings[0];
	before = blk_read(r, 0, 512);
	q = req_make(t, VIRTIO_BLK_T_OUT, 0, 512);
	for (unsigned i = 0; i < 512; i++)
		*(uint8_t *)at(t, q.data + i, 1) = (uint8_t) ~*(uint8_t *)at(t, before.data + i, 1);
	expect_status(t, req_run(r, &q), VIRTIO_BLK_S_IOERR);
	after = blk_read(r, 0, 512);
	if (memcmp(at(t, before.data, 512), at(t, after.data, 512), 512))
		trial_fail(t, "nothing is written to a read-only disk", "sector 0 changed");
}

static void ro_unaccepted(struct trial *t)
{
	struct ring *r;
	struct req q;

	dial(t);
	need_feature(t, VIRTIO_BLK_F_RO);
	r = disk_up(t, (struct setup){.without = BLK(RO)});
	q = req_make(t, VIRTIO_BLK_T_OUT, 0, 512);
	expect_status(t, req_run(r, &q), VIRTIO_BLK_S_IOERR);
}

static void ro_ranges(struct trial *t)
{
	static const struct {
		uint32_t type, bit;
	} kinds[] = {{DISCARD, VIRTIO_BLK_F_DISCARD},
		     {WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES},
		     {SECURE_ERASE, VIRTIO_BLK_F_SECURE_ERASE}};
	struct req before, after;
	struct ring *r;

	read_only_disk(t, BLK(DISCARD) | BLK(WRITE_ZEROES) | BLK(SECURE_ERASE));
	r = &t->rings[0];
	before = blk_read(r, 0, 4096);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct req q = range_make(t, kinds[i].type, 0, 8, 0);

		if (t->peer.acked & BIT64(kinds[i].bit))
			expect_not_ok(t, req_run(r, &q));
	}
	after = blk_read(r, 0, 4096);
	if (memcmp(at(t, before.data, 4096), at(t, after.data, 4096), 4096))
		trial_fail(t, "nothing is changed on a read-only disk", "the first 4 KiB changed");
}

/* Ranges */

static void unknown_flags(struct trial *t, uint32_t type, uint64_t feature)
{
	struct ring *r = disk_up(t, (struct setup){.want = feature});
	uint64_t s = scratch(t, 8);

	blk_write(r, s, 0x4d, 4096);
	for (unsigned bit = 1; bit < 32; bit++) {
		struct req q = range_make(t, type, s, 8, 1u << bit);
		uint8_t status = req_run(r, &q);

		trial_sent(t, "request of type %u with flags 0x%x", type, 1u << bit);
		expect_status(t, status, VIRTIO_BLK_S_UNSUPP);
	}
	blk_expect(r, s, 0x4d, 4096, "a refused request changes nothing");
}

static void discard_flags(struct trial *t)
{
	unknown_flags(t, DISCARD, BLK(DISCARD));
}

static void zeroes_flags(struct trial *t)
{
	unknown_flags(t, WRITE_ZEROES, BLK(WRITE_ZEROES));
}

static void erase_flags(struct trial *t)
{
	unknown_flags(t, SECURE_ERASE, BLK(SECURE_ERASE));
}

/* Practice: unmap is a flag of WRITE_ZEROES alone. */
static void erase_unmap(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(SECURE_ERASE)});
	uint64_t s = scratch(t, 8);
	struct req q;

	blk_write(r, s, 0x4c, 4096);
	q = range_make(t, SECURE_ERASE, s, 8, VIRTIO_BLK_RANGE_UNMAP);
	expect_status(t, req_run(r, &q), VIRTIO_BLK_S_UNSUPP);
	blk_expect(r, s, 0x4c, 4096, "a refused request changes nothing");
}

static void discard_unmap(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(DISCARD)});
	struct req q = range_make(t, DISCARD, scratch(t, 8), 8, VIRTIO_BLK_RANGE_UNMAP);
	uint8_t status = req_run(r, &q);

	trial_sent(t, "DISCARD of one range with the unmap flag");
	expect_status(t, status, VIRTIO_BLK_S_UNSUPP);
}

static uint64_t aligned_at(struct trial *t, uint64_t sectors, uint64_t align)
{
	uint64_t s = scratch(t, sectors);

	if (align <= 1)
		return s;
	s = (s + align - 1) / align * align;
	if (s + sectors > (t->o->offset + t->o->size) / 512)
		trial_skip(t, "ranges are aligned to %llu sectors: no such range may be written",
			   (unsigned long long)align);
	return s;
}

static uint64_t discard_at(struct trial *t, uint64_t sectors)
{
	return aligned_at(t, sectors,
			  t->config_len >= 48 ? le32_get(t->config.discard_sector_alignment) : 1);
}

/* Two ranges if the device takes so many, with as much between them and behind. */
static void erase_ok(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(SECURE_ERASE)});
	const struct virtio_blk_config *c = &t->config;
	uint32_t unit, ranges;
	struct req q;
	uint64_t s;

	if (t->config_len < 72)
		trial_skip(t, "the limits of SECURE_ERASE cannot be read");
	unit = (uint32_t)max_u64(le32_get(c->secure_erase_sector_alignment), 8);
	ranges = le32_get(c->max_secure_erase_seg) > 1 ? 2 : 1;
	if (unit > 2048 || unit > le32_get(c->max_secure_erase_sectors))
		trial_skip(t, "secure_erase_sector_alignment is %u", unit);
	s = aligned_at(t, 4 * unit, unit);
	blk_write(r, s, 0x4b, 4 * unit * 512);
	q = req_make(t, SECURE_ERASE, 0, ranges * 16);
	for (unsigned i = 0; i < ranges; i++)
		range_set(t, &q, i, s + 2 * i * unit, unit, 0);
	req_ok(r, &q);
	blk_expect(r, s + unit, 0x4b, unit * 512,
		   "sectors behind the erased ones are as they were");
	blk_expect(r, s + 3 * unit, 0x4b, unit * 512,
		   "sectors behind the last range are as they were");
	blk_read(r, s, 512);
}

static void erase_unaccepted(struct trial *t)
{
	struct ring *r;
	struct req q;
	uint64_t s;

	dial(t);
	r = disk_up(t, (struct setup){.without = BLK(SECURE_ERASE)});
	s = scratch(t, 8);
	blk_write(r, s, 0x4a, 4096);
	q = range_make(t, SECURE_ERASE, s, 8, 0);
	expect_status(t, req_run(r, &q), VIRTIO_BLK_S_UNSUPP);
	blk_expect(r, s, 0x4a, 4096, "a refused request changes nothing");
}

static void discard_ok(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(DISCARD)});
	uint64_t s = discard_at(t, 64);
	struct req q;

	blk_write(r, s, 0x4e, 64 * 512);
	blk_write(r, s + 64, 0x4f, 512);
	q = range_make(t, DISCARD, s, 64, 0);
	req_ok(r, &q);
	blk_expect(r, s + 64, 0x4f, 512, "sectors behind the discarded ones are as they were");
	blk_read(r, s, 512);
}

static void zeroes(struct trial *t, uint32_t flags)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(WRITE_ZEROES)});
	uint64_t s = scratch(t, 64);
	static const struct {
		unsigned at, n;
	} ranges[] = {{8, 8}, {17, 1}, {21, 30}, {0, 3}};
	bool zero[64] = {0};

	if (t->config_len >= 52 && le32_get(t->config.max_write_zeroes_sectors) < 30)
		trial_skip(t, "max_write_zeroes_sectors is only %u",
			   le32_get(t->config.max_write_zeroes_sectors));
	blk_write(r, s, 0x71, 64 * 512);
	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct req q = range_make(t, WRITE_ZEROES, s + ranges[i].at, ranges[i].n, flags);
		uint8_t status = req_run(r, &q);

		trial_sent(t, "WRITE_ZEROES of %u sectors, flags %u", ranges[i].n, flags);
		expect_status(t, status, VIRTIO_BLK_S_OK);
		for (unsigned k = 0; k < ranges[i].n; k++)
			zero[ranges[i].at + k] = true;
	}
	for (unsigned i = 0; i < 64; i++)
		blk_expect(r, s + i, zero[i] ? 0 : 0x71, 512,
			   zero[i] ? "zeroed sectors read as zeros"
				   : "sectors outside the ranges are as they were");
}

static void zeroes_plain(struct trial *t)
{
	zeroes(t, 0);
}

static void zeroes_unmap(struct trial *t)
{
	zeroes(t, VIRTIO_BLK_RANGE_UNMAP);
}

static void zeroes_segments(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(WRITE_ZEROES)});
	uint64_t s = scratch(t, 64);
	struct req q;

	if (t->config_len < 56 || le32_get(t->config.max_write_zeroes_seg) < 2)
		trial_skip(t, "max_write_zeroes_seg is less than 2");
	blk_write(r, s, 0x72, 32 * 512);
	q = req_make(t, WRITE_ZEROES, 0, 32);
	range_set(t, &q, 0, s, 4, 0);
	range_set(t, &q, 1, s + 10, 2, 0);
	req_ok(r, &q);
	blk_expect(r, s, 0, 4 * 512, "the first range reads as zeros");
	blk_expect(r, s + 4, 0x72, 6 * 512, "sectors between the ranges are as they were");
	blk_expect(r, s + 10, 0, 2 * 512, "the second range reads as zeros");
	blk_expect(r, s + 12, 0x72, 20 * 512, "sectors behind the ranges are as they were");
}

static void ranges_beyond(struct trial *t)
{
	static const struct {
		uint32_t type, bit;
		const char *name;
	} kinds[] = {{DISCARD, VIRTIO_BLK_F_DISCARD, "DISCARD"},
		     {WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES, "WRITE_ZEROES"},
		     {SECURE_ERASE, VIRTIO_BLK_F_SECURE_ERASE, "SECURE_ERASE"}};
	const uint64_t all = BLK(DISCARD) | BLK(WRITE_ZEROES) | BLK(SECURE_ERASE);
	struct ring *r = disk_up(t, (struct setup){.wish = all});
	uint64_t end = capacity(t);
	const struct {
		uint64_t sector;
		uint32_t n;
	} ranges[] = {{end, 1},
		      {end + 100, 8},
		      {UINT64_MAX, 1},
		      {UINT64_MAX - 6, 8},
		      {UINT64_C(1) << 55, 8}};

	scratch(t, 1);
	if (!(t->peer.acked & all))
		trial_skip(t, "the back end offers neither DISCARD nor WRITE_ZEROES nor "
			      "SECURE_ERASE");
	for (unsigned kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
			struct req q = range_make(t, kinds[kind].type, ranges[i].sector,
						  ranges[i].n, 0);
			uint8_t status;

			if (!(t->peer.acked & BIT64(kinds[kind].bit)))
				continue;
			status = req_run(r, &q);
			trial_sent(t, "%s of %u sectors at sector %llu of %llu", kinds[kind].name,
				   ranges[i].n, (unsigned long long)ranges[i].sector,
				   (unsigned long long)end);
			expect_not_ok(t, status);
		}
	if (capacity(t) != end)
		trial_fail(t, "the disk keeps its size", "the capacity changed");
}

static void write_beyond(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t end = capacity(t);
	const uint64_t starts[] = {end, end - 1, UINT64_MAX, UINT64_C(1) << 55};
	struct req before, after;

	scratch(t, 1);
	before = blk_read(r, end - 1, 512);
	for (unsigned i = 0; i < ARRAY_SIZE(starts); i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_OUT, starts[i], 1024);

		/* What would land on the last sector is what is there. */
		memcpy(at(t, q.data, 512), at(t, before.data, 512), 512);
		expect_status(t, req_run(r, &q), VIRTIO_BLK_S_IOERR);
	}
	after = blk_read(r, end - 1, 512);
	if (memcmp(at(t, before.data, 512), at(t, after.data, 512), 512))
		trial_fail(t, "the last sector is as it was", "it changed");
}

static void odd_write(struct trial *t)
{
	static const uint32_t lengths[] = {1, 511, 513, 1000};
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t s = scratch(t, 8);

	blk_write(r, s, 0x33, 4096);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_OUT, s, lengths[i]);

		fill(t, q.data, 0x44, lengths[i]);
		expect_status(t, req_run(r, &q), VIRTIO_BLK_S_IOERR);
	}
	blk_expect(r, s, 0x33, 4096, "a refused write changes nothing");
}

static void same_sectors(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 128});
	uint64_t s = scratch(t, 8);
	struct req q[20], got;
	struct used u;
	const uint8_t *b;

	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = req_make(t, VIRTIO_BLK_T_OUT, s, 512);
		fill(t, q[i].data, (uint8_t)(i + 1), 512);
		req_add(r, &q[i]);
	}
	trial_sent(t, "20 writes of one sector at once, each with another byte in it");
	ring_publish(r);
	ring_kick(r);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		ring_wait(r, &u);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
	got = blk_read(r, s, 512);
	b = at(t, got.data, 512);
	if (b[0] < 1 || b[0] > 20 || !filled(t, got.data, b[0], 512))
		trial_fail(t, "the sector holds one of the writes, whole",
			   "it begins with 0x%02x and is mixed", b[0]);
}

static const struct conform_case cases[] = {
	{"BLK-W.write", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A write changes its sectors and no others, and is read back.", write_read},
	{"BLK-W.place", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "Each sector keeps what was written to it.", write_places},
	{"BLK-W.big", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "A write of 512 KiB, or of size_max, is read back.", write_big},
	{"BLK-W.flush", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "What was written and flushed is there for the next front end.", write_then_flush},
	{"BLK-W.through", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "Without FLUSH accepted, what was written is there for the next front end.",
	 write_through},
	{"BLK-W.overlap", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "Of writes to one sector at once, one wins as a whole.", same_sectors},
	{"BLK-D-09.write", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "A write to a read-only disk gets IOERR and writes nothing.", ro_write},
	{"BLK-D-09.unaccepted", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "That holds also when the driver did not accept RO.", ro_unaccepted},
	{"BLK-D-09.ranges", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "A read-only disk is not discarded, zeroed or erased either.", ro_ranges},
	{"BLK-D-10.discard", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "DISCARD with an unknown flag gets UNSUPP.", discard_flags},
	{"BLK-D-10.zeroes", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "WRITE_ZEROES with an unknown flag gets UNSUPP.", zeroes_flags},
	{"BLK-D-10.erase", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "SECURE_ERASE with an unknown flag gets UNSUPP.", erase_flags},
	{"BLK-D-11.unmap", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "DISCARD with the unmap flag gets UNSUPP.", discard_unmap},
	{"BLK-D-11.discard", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "DISCARD is completed with OK and leaves other sectors alone.", discard_ok},
	{"BLK-D-12.zeroes", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "After WRITE_ZEROES its sectors, and no others, read as zeros.", zeroes_plain},
	{"BLK-D-12.unmap", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "After WRITE_ZEROES with unmap, too.", zeroes_unmap},
	{"BLK-D-12.segments", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "Every segment of WRITE_ZEROES is zeroed.", zeroes_segments},
	{"BLK-D-14.durable", "virtio 5.2.6.2", LEVEL_MUST, CASE_WRITES,
	 "A flushed write survives a power failure.", durable},
	{"BLK-D-29.write-beyond", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "A write beyond the capacity gets IOERR and writes nothing.", write_beyond},
	{"BLK-D-29.ranges-beyond", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "DISCARD, WRITE_ZEROES and SECURE_ERASE beyond the capacity are refused.", ranges_beyond},
	{"BLK-D-29.erase", "virtio 5.2.6", LEVEL_MUST, CASE_WRITES,
	 "SECURE_ERASE is completed with OK and leaves other sectors alone.", erase_ok},
	{"BLK-D-29.erase-unmap", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "SECURE_ERASE with the unmap flag gets UNSUPP.", erase_unmap},
	{"BLK-D-29.erase-unaccepted", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "SECURE_ERASE gets UNSUPP when its feature was not accepted.", erase_unaccepted},
	{"BLK-D-29.write-length", "practice", LEVEL_PRACTICE, CASE_WRITES,
	 "A write whose length is no multiple of 512 gets IOERR and writes nothing.", odd_write},
};
const struct case_table block_write_cases = {"Block requests that write", cases, ARRAY_SIZE(cases),
					     BY_ANY};
