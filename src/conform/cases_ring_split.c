/* SPDX-License-Identifier: MIT */
/* Split rings: virtio 1.4, 2.7. */
#include "conform/cases.h"

#include "base/atomic.h"
#include "conform/blk.h"

#include <string.h>

/* Message framing */

static void read_framed(struct trial *t, const uint32_t *header, unsigned n_header,
			const uint32_t *data, unsigned n_data, bool shared_status)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req plain = blk_read(r, 0, 512);
	uint64_t area = mem(t, 513 + 64);
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	struct seg segs[64];
	unsigned n = 0;
	uint32_t done = 0;

	q.data = area;
	q.status = shared_status ? area + 512 : q.status;
	fill(t, q.data, 0xa5, 512);
	fill(t, q.status, BLK_NO_STATUS, 1);
	for (unsigned i = 0; i < n_header; i++) {
		segs[n++] = (struct seg){q.header + done, header[i], 0};
		done += header[i];
	}
	done = 0;
	for (unsigned i = 0; i < n_data; i++) {
		segs[n++] = (struct seg){q.data + done, data[i], F_WRITE};
		done += data[i];
	}
	if (!shared_status)
		segs[n++] = (struct seg){q.status, 1, F_WRITE};
	expect_status(t, req_run_segs(r, &q, segs, n), VIRTIO_BLK_S_OK);
	if (memcmp(at(t, q.data, 512), at(t, plain.data, 512), 512))
		trial_fail(t, "the sector that a plain read returns", "other bytes");
}

static const uint32_t whole_header[] = {16}, whole_data[] = {512};

static void header_1_15(struct trial *t)
{
	read_framed(t, (const uint32_t[]){1, 15}, 2, whole_data, 1, false);
}

static void header_3_13(struct trial *t)
{
	read_framed(t, (const uint32_t[]){3, 13}, 2, whole_data, 1, false);
}

static void header_bytes(struct trial *t)
{
	static const uint32_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

	read_framed(t, ones, 16, whole_data, 1, false);
}

static void data_pieces(struct trial *t)
{
	read_framed(t, whole_header, 1, (const uint32_t[]){1, 2, 3, 250, 255, 1}, 6, false);
}

static void status_with_data(struct trial *t)
{
	read_framed(t, whole_header, 1, (const uint32_t[]){513}, 1, true);
}

static void header_with_data(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t sector = scratch(t, 1);
	struct req q = req_make(t, VIRTIO_BLK_T_OUT, sector, 0);

	q.header = mem(t, 16 + 512);
	req_header(t, &q);
	fill(t, q.header + 16, 0x3c, 512);
	blk_write(r, sector, 0, 512);
	expect_status(
		t,
		req_run_segs(r, &q,
			     (const struct seg[]){{q.header, 16 + 512, 0}, {q.status, 1, F_WRITE}},
			     2),
		VIRTIO_BLK_S_OK);
	blk_expect(r, sector, 0x3c, 512,
		   "the data that followed the header in its descriptor is on the disk");
}

static void uneven_write(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t sector = scratch(t, 2);
	struct req q = req_make(t, VIRTIO_BLK_T_OUT, sector, 1024);

	fill(t, q.data, 0x3d, 1024);
	blk_write(r, sector, 0, 1024);
	expect_status(t,
		      req_run_segs(r, &q,
				   (const struct seg[]){{q.header, 10, 0},
							{q.header + 10, 6, 0},
							{q.data, 1, 0},
							{q.data + 1, 700, 0},
							{q.data + 701, 323, 0},
							{q.status, 1, F_WRITE}},
				   6),
		      VIRTIO_BLK_S_OK);
	blk_expect(r, sector, 0x3d, 1024, "what was written in uneven pieces is on the disk");
}

/* The descriptor table */

static void readable_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t sector = scratch(t, 8);
	struct req q = req_make(t, VIRTIO_BLK_T_OUT, sector, 4096);
	struct virtio_blk_req before, after;

	fill(t, q.data, 0x77, 4096);
	memcpy(&before, at(t, q.header, sizeof(before)), sizeof(before));
	req_ok(r, &q);
	memcpy(&after, at(t, q.header, sizeof(after)), sizeof(after));
	if (memcmp(&before, &after, sizeof(before)))
		trial_fail(t, "the request header as it was", "the device changed it");
	if (!filled(t, q.data, 0x77, 4096))
		trial_fail(t, "the readable data as it was", "the device changed it");
}

static void header_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 4096);
	struct virtio_blk_req before, after;

	memcpy(&before, at(t, q.header, sizeof(before)), sizeof(before));
	req_ok(r, &q);
	memcpy(&after, at(t, q.header, sizeof(after)), sizeof(after));
	if (memcmp(&before, &after, sizeof(before)))
		trial_fail(t, "the request header as it was", "the device changed it");
}

static void table_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct virtq_desc before[16];

	for (unsigned i = 0; i < 10; i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

		req_add(r, &q);
		memcpy(before, r->table, sizeof(before));
		ring_publish(r);
		ring_kick(r);
		expect_status(t, req_finish(r, &q), VIRTIO_BLK_S_OK);
		for (unsigned d = 0; d < 16; d++)
			if (memcmp(&before[d], &r->table[d], sizeof(before[d])))
				trial_fail(t, "the descriptor table as it was", "entry %u changed",
					   d);
	}
}

static void avail_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 8});
	uint8_t before[4 + 2 * 8 + 2];

	for (unsigned i = 0; i < 10; i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

		req_add(r, &q);
		ring_publish(r);
		memcpy(before, r->avail, sizeof(before));
		ring_kick(r);
		expect_status(t, req_finish(r, &q), VIRTIO_BLK_S_OK);
		if (memcmp(before, r->avail, sizeof(before)))
			trial_fail(t, "the available ring as it was; only the driver writes it",
				   "it changed");
	}
}

/* Indirect descriptors */

static struct req indirect_read(struct trial *t, struct ring *r, uint64_t table, unsigned flags)
{
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);

	table_desc(t, table, 0, q.header, 16, F_NEXT, 1);
	table_desc(t, table, 1, q.data, 512, F_NEXT | F_WRITE, 2);
	table_desc(t, table, 2, q.status, 1, F_WRITE, 0);
	expect_status(t,
		      req_run_segs(r, &q,
				   &(const struct seg){table, 48, (uint16_t)(F_INDIRECT | flags)},
				   1),
		      VIRTIO_BLK_S_OK);
	return q;
}

static void indirect_plain(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC)});

	for (unsigned i = 0; i < 100; i++)
		indirect_read(t, r, mem(t, 48), 0);
}

static void indirect_write_flag(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC)});

	indirect_read(t, r, mem(t, 48), F_WRITE);
}

static void indirect_after_direct(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC)});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint64_t table = mem(t, 32);

	table_desc(t, table, 0, q.data, 512, F_NEXT | F_WRITE, 1);
	table_desc(t, table, 1, q.status, 1, F_WRITE, 0);
	expect_status(t,
		      req_run_segs(r, &q,
				   (const struct seg[]){{q.header, 16, 0}, {table, 32, F_INDIRECT}},
				   2),
		      VIRTIO_BLK_S_OK);
}

static void indirect_order(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC)});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint64_t table = mem(t, 5 * 16);

	/* Entries out of order, with holes between them: next rules, not the place. */
	fill(t, table, 0xff, 5 * 16);
	table_desc(t, table, 0, q.header, 16, F_NEXT, 4);
	table_desc(t, table, 4, q.data, 512, F_NEXT | F_WRITE, 2);
	table_desc(t, table, 2, q.status, 1, F_WRITE, 0);
	expect_status(t, req_run_segs(r, &q, &(const struct seg){table, 5 * 16, F_INDIRECT}, 1),
		      VIRTIO_BLK_S_OK);
}

static void indirect_table_kept(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC)});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	uint64_t table = mem(t, 48);
	uint8_t before[48];

	table_desc(t, table, 0, q.header, 16, F_NEXT, 1);
	table_desc(t, table, 1, q.data, 512, F_NEXT | F_WRITE, 2);
	table_desc(t, table, 2, q.status, 1, F_WRITE, 0);
	memcpy(before, at(t, table, 48), 48);
	expect_status(t, req_run_segs(r, &q, &(const struct seg){table, 48, F_INDIRECT}, 1),
		      VIRTIO_BLK_S_OK);
	if (memcmp(before, at(t, table, 48), 48))
		trial_fail(t, "the indirect table as it was", "it changed");
}

static void indirect_unaligned(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC)});

	indirect_read(t, r, mem(t, 64) + 4, 0);
}

static void indirect_full(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC), .num = 8});
	struct req q[8];
	bool seen[8] = {0};
	struct used u;

	for (unsigned round = 0; round < 3; round++) {
		memset(seen, 0, sizeof(seen));
		for (unsigned i = 0; i < 8; i++) {
			uint64_t table = mem(t, 48);

			q[i] = req_make(t, VIRTIO_BLK_T_IN, i % 2, 512);
			table_desc(t, table, 0, q[i].header, 16, F_NEXT, 1);
			table_desc(t, table, 1, q[i].data, 512, F_NEXT | F_WRITE, 2);
			table_desc(t, table, 2, q[i].status, 1, F_WRITE, 0);
			q[i].id = ring_add(r, &(const struct seg){table, 48, F_INDIRECT}, 1);
		}
		trial_sent(t, "8 reads, each behind one indirect descriptor, in a ring of 8");
		ring_publish(r);
		ring_kick(r);
		for (unsigned i = 0; i < 8; i++) {
			ring_wait(r, &u);
			if (u.id >= 8 || seen[u.id])
				trial_fail(t, "each of the 8 heads used once", "head %u once more",
					   u.id);
			seen[u.id] = true;
		}
		for (unsigned i = 0; i < 8; i++)
			expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
	}
}

/* The used ring */

static void once_each(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 64});
	struct req q[16];

	for (unsigned round = 0; round < 20; round++) {
		bool seen[16] = {0};

		trial_sent(t, "16 reads of 4 KiB at once, round %u", round + 1);
		blk_read_at_once(r, q, 16, 4096, 4096);
		for (unsigned n = 0; n < 16; n++) {
			struct used u;
			unsigned i;

			ring_wait(r, &u);
			for (i = 0; i < 16 && q[i].id != u.id; i++)
				;
			if (i == 16 || seen[i])
				trial_fail(t, "each head is used exactly once", "head %u %s", u.id,
					   i == 16 ? "was never made available" : "a second time");
			seen[i] = true;
			if (byte_at(t, q[i].status) != VIRTIO_BLK_S_OK)
				trial_fail(t, "status and data are there when the entry is used",
					   "the status byte of head %u is %u (%s)", u.id,
					   byte_at(t, q[i].status),
					   status_name(byte_at(t, q[i].status)));
		}
		t->next_gpa = q[0].header;
	}
	ring_expect_nothing(r, "nothing more is used than was made available");
}

/*
 * How many bytes of a buffer the device wrote from its start on.  @q was run with
 * the data full of 0xa5.
 */
static uint32_t written(struct trial *t, const struct req *q)
{
	const uint8_t *b = at(t, q->data, q->len);
	uint32_t n = q->len;

	while (n && b[n - 1] == 0xa5)
		n--;
	return n;
}

static void len_honest(struct trial *t, uint32_t type, uint64_t sector, uint32_t len)
{
	struct ring *r = t->n_rings ? &t->rings[0] : disk_up(t, (struct setup){0});
	struct req q = req_make(t, type, sector, len);

	req_run(r, &q);
	if (q.used.len > len + 1)
		trial_fail(t, "len is at most what the writable buffers hold", "len %u of %u",
			   q.used.len, len + 1);
	if (q.used.len <= 1 || written(t, &q) >= min_u64(q.used.len, len))
		return;
	/* Written, or did it hold these bytes by chance? */
	fill(t, q.data, 0x5a, len);
	req_header(t, &q);
	req_run(r, &q);
	if (q.used.len > 1 && byte_at(t, q.data + min_u64(q.used.len, len) - 1) == 0x5a)
		trial_fail(t, "the first len bytes of the writable buffers have been written",
			   "len %u, status %u, but byte %llu is as it was", q.used.len,
			   byte_at(t, q.status), (unsigned long long)min_u64(q.used.len, len) - 1);
}

static void len_read(struct trial *t)
{
	len_honest(t, VIRTIO_BLK_T_IN, 0, 512);
	len_honest(t, VIRTIO_BLK_T_IN, 0, 4096);
}

static void len_id(struct trial *t)
{
	len_honest(t, VIRTIO_BLK_T_GET_ID, 0, 20);
}

static void len_failed_read(struct trial *t)
{
	disk_up(t, (struct setup){0});
	len_honest(t, VIRTIO_BLK_T_IN, UINT64_C(1) << 50, 4096);
}

static void len_unknown(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, 0x1234, 0, 512);

	q.in = true;
	fill(t, q.data, 0xa5, 512);
	req_run(r, &q);
	if (q.used.len > 1 && written(t, &q) < min_u64(q.used.len, 512))
		trial_fail(t, "the first len bytes of the writable buffers have been written",
			   "len %u, but the buffer is as it was", q.used.len);
}

static void len_exact(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	for (uint32_t len = 512; len <= 8192; len *= 2) {
		struct req q = blk_read(r, 0, len);

		if (q.used.len != len + 1)
			trial_fail(t, "len counts the data and the status byte",
				   "len %u for %u + 1 bytes", q.used.len, len);
	}
	if (offered(t, VIRTIO_BLK_F_FLUSH)) {
		struct req q = req_make(t, VIRTIO_BLK_T_FLUSH, 0, 0);

		req_ok(r, &q);
		if (q.used.len != 1)
			trial_fail(t, "len 1: the status byte", "len %u", q.used.len);
	}
}

static void len_write(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, VIRTIO_BLK_T_OUT, scratch(t, 8), 4096);

	fill(t, q.data, 1, 4096);
	req_ok(r, &q);
	if (q.used.len > 1)
		trial_fail(t, "len at most 1: only the status byte is writable", "len %u",
			   q.used.len);
}

static void wrap(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 8, .idle = true});
	uint16_t from = 65536 - 20;

	ring_restart_at(r, from);
	for (unsigned i = 0; i < 60; i++) {
		struct req q = blk_read(r, 0, 512);

		t->next_gpa = q.header;
	}
}

static void sizes(struct trial *t)
{
	static const uint16_t nums[] = {4, 8, 16, 32, 64, 128, 256};

	for (unsigned i = 0; i < ARRAY_SIZE(nums); i++) {
		struct ring *r = disk_up(t, (struct setup){.num = nums[i]});

		for (unsigned n = 0; n < 2u * nums[i]; n++) {
			struct req q = blk_read(r, 0, 512);

			t->next_gpa = q.header;
		}
		redial(t);
	}
}

static void long_chain(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 16});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 14 * 512);
	struct seg segs[16];

	if (offered(t, VIRTIO_BLK_F_SEG_MAX) && t->config_len >= 16 &&
	    le32_get(t->config.seg_max) < 14)
		trial_skip(t, "seg_max is only %u", le32_get(t->config.seg_max));
	segs[0] = (struct seg){q.header, 16, 0};
	for (unsigned i = 0; i < 14; i++)
		segs[1 + i] = (struct seg){q.data + i * 512, 512, F_WRITE};
	segs[15] = (struct seg){q.status, 1, F_WRITE};
	expect_status(t, req_run_segs(r, &q, segs, 16), VIRTIO_BLK_S_OK);
}

static void in_order(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(IN_ORDER)});
	struct req q[15];

	for (unsigned round = 0; round < 20; round++) {
		unsigned next = 0;

		/* With IN_ORDER descriptors are used in ring order: a round begins at 0. */
		trial_sent(t, "15 reads of 512 bytes and 64 KiB at once, IN_ORDER, round %u",
			   round + 1);
		blk_read_at_once(r, q, 15, 512, 65536);
		while (next < 15) {
			struct used u;
			unsigned i;

			ring_wait(r, &u);
			for (i = next; i < 15 && q[i].id != u.id; i++)
				;
			if (i == 15)
				trial_fail(t,
					   "heads are used in the order in which they were made "
					   "available",
					   "head %u after head %u", u.id,
					   next ? q[next - 1].id : 0u);
			for (; next <= i; next++)
				expect_status(t, byte_at(t, q[next].status), VIRTIO_BLK_S_OK);
		}
		t->next_gpa = q[0].header;
	}
}

static const struct conform_case cases[] = {
	{"VQ-D-01.header-1-15", "virtio 2.7.4.1", LEVEL_MUST, 0,
	 "A request header cut into 1 and 15 bytes is a request header.", header_1_15},
	{"VQ-D-01.header-3-13", "virtio 2.7.4.1", LEVEL_MUST, 0,
	 "A request header cut into 3 and 13 bytes is a request header.", header_3_13},
	{"VQ-D-01.header-bytes", "virtio 2.7.4.1", LEVEL_MUST, 0,
	 "A request header in 16 descriptors of one byte is a request header.", header_bytes},
	{"VQ-D-01.data-pieces", "virtio 2.7.4.1", LEVEL_MUST, 0,
	 "Data may be cut into pieces of any size.", data_pieces},
	{"VQ-D-01.status-with-data", "virtio 2.7.4.1", LEVEL_MUST, 0,
	 "The status byte may share a descriptor with the data.", status_with_data},
	{"VQ-D-01.header-with-data", "virtio 2.7.4.1", LEVEL_MUST, CASE_WRITES,
	 "The header may share a descriptor with the data of a write.", header_with_data},
	{"VQ-D-01.uneven-write", "virtio 2.7.4.1", LEVEL_MUST, CASE_WRITES,
	 "A write may be cut anywhere.", uneven_write},
	{"VQ-D-02.header", "virtio 2.7.5.1", LEVEL_MUST, 0,
	 "The device does not write the request header.", header_kept},
	{"VQ-D-02.data", "virtio 2.7.5.1", LEVEL_MUST, CASE_WRITES,
	 "The device does not write into the data of a write.", readable_kept},
	{"VQ-D-03.table", "virtio 2.7.5.1", LEVEL_MUST, 0,
	 "The device does not write the descriptor table.", table_kept},
	{"VQ-D-03.indirect-table", "virtio 2.7.5.1", LEVEL_MUST, 0,
	 "The device does not write an indirect table.", indirect_table_kept},
	{"VQ-D-03.avail", "virtio 2.7.6", LEVEL_MUST, 0,
	 "The device does not write the available ring.", avail_kept},
	{"VQ-D-04.indirect", "virtio 2.7.5.3", LEVEL_MUST, 0,
	 "A request in an indirect table is served like any other.", indirect_plain},
	{"VQ-D-04.write-flag", "virtio 2.7.5.3.2", LEVEL_MUST, 0,
	 "WRITE on the descriptor of an indirect table means nothing.", indirect_write_flag},
	{"VQ-D-04.next", "virtio 2.7.5.3", LEVEL_MUST, 0,
	 "Entries of an indirect table are followed by next, not by their place.", indirect_order},
	{"VQ-D-04.unaligned", "practice", LEVEL_PRACTICE, 0,
	 "An indirect table that is not aligned to 16 is read all the same.", indirect_unaligned},
	{"VQ-D-05.direct-then-indirect", "virtio 2.7.5.3.2", LEVEL_MUST, 0,
	 "A chain may begin with direct descriptors and end in an indirect table.",
	 indirect_after_direct},
	{"VQ-D-09.full", "virtio 2.7.6", LEVEL_MUST, 0,
	 "A completely full available ring is served completely.", indirect_full},
	{"VQ-D-09.once", "virtio 2.7.8", LEVEL_MUST, 0,
	 "Each head is used exactly once, with status and length in place.", once_each},
	{"VQ-D-09.index-wrap", "virtio 2.7.6, 2.7.8", LEVEL_MUST, 0,
	 "The indexes run over from 65535 to 0.", wrap},
	{"VQ-D-09.long-chain", "virtio 2.7.5", LEVEL_MUST, 0,
	 "A chain may be as long as the queue.", long_chain},
	{"VQ-D-09.sizes", "virtio 2.7", LEVEL_PRACTICE, 0, "Rings of 4 to 256 entries work.",
	 sizes},
	{"VQ-D-10.read", "virtio 2.7.8.2", LEVEL_MUST, 0,
	 "The device wrote at least the len bytes that it reports, when all is well.", len_read},
	{"VQ-D-10.id", "virtio 2.7.8.2", LEVEL_MUST, 0,
	 "The device wrote at least the len bytes that it reports for GET_ID.", len_id},
	{"VQ-D-10.failed-read", "virtio 2.7.8.2", LEVEL_MUST, 0,
	 "The device wrote at least the len bytes that it reports, when a read fails.",
	 len_failed_read},
	{"VQ-D-10.unknown", "virtio 2.7.8.2", LEVEL_MUST, 0,
	 "The device wrote at least the len bytes that it reports, for a request that it does not "
	 "know.",
	 len_unknown},
	{"VQ-D-10.write", "virtio 2.7.8.2", LEVEL_MUST, CASE_WRITES,
	 "Of a write at most the status byte is reported as written.", len_write},
	{"VQ-D-10.exact", "practice", LEVEL_PRACTICE, 0,
	 "A successful request reports data and status byte as written.", len_exact},
	{"ST-D-21.split", "virtio 2.7.9, 6.2", LEVEL_MUST, 0,
	 "With IN_ORDER, heads are used in the order in which they were made available.", in_order},
};
const struct case_table ring_split_cases = {"Split rings", cases, ARRAY_SIZE(cases), BY_ANY};
