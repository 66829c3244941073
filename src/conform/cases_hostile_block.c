/* SPDX-License-Identifier: MIT */
/* Block requests that make no sense; health is checked by the runner behind every case. */
#include "conform/cases.h"

#include "conform/blk.h"

#include <string.h>
#include <unistd.h>

/* A chain that the device may refuse in any way but OK, or not answer at all. */
static void refuse(struct trial *t, struct req *q, const struct seg *segs, unsigned n,
		   const char *what)
{
	struct ring *r = t->n_rings ? &t->rings[0] : disk_up(t, (struct setup){0});
	struct used u;

	ring_add(r, segs, n);
	ring_publish(r);
	ring_kick(r);
	trial_sent(t, "%s", what);
	if (ring_poll(r, &u, t->o->quiet_ms) && byte_at(t, q->status) == VIRTIO_BLK_S_OK)
		trial_fail(t, "no answer, or a status other than OK", "status 0 (OK)");
}

static void no_status(struct trial *t)
{
	struct req q;

	disk_up(t, (struct setup){0});
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	refuse(t, &q, (const struct seg[]){{q.header, 16, 0}}, 1, "a request of a header only");
}

static void status_readable(struct trial *t)
{
	struct req q;

	disk_up(t, (struct setup){0});
	q = req_make(t, VIRTIO_BLK_T_FLUSH, 0, 0);
	refuse(t, &q, (const struct seg[]){{q.header, 16, 0}, {q.status, 1, 0}}, 2,
	       "a flush whose status byte is readable only");
	if (byte_at(t, q.status) != BLK_NO_STATUS)
		trial_fail(t, "a readable descriptor is not written",
			   "the status was written there");
}

static void short_header(struct trial *t)
{
	struct req q;

	disk_up(t, (struct setup){0});
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	refuse(t, &q,
	       (const struct seg[]){
		       {q.header, 8, 0}, {q.data, 512, F_WRITE}, {q.status, 1, F_WRITE}},
	       3, "a header of 8 bytes");
}

static void header_writable(struct trial *t)
{
	struct req q;

	disk_up(t, (struct setup){0});
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	refuse(t, &q,
	       (const struct seg[]){
		       {q.header, 16, F_WRITE}, {q.data, 512, F_WRITE}, {q.status, 1, F_WRITE}},
	       3, "a request without any readable descriptor");
}

static void in_readable(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	struct used u;

	ring_add(r,
		 (const struct seg[]){{q.header, 16, 0}, {q.data, 512, 0}, {q.status, 1, F_WRITE}},
		 3);
	trial_sent(t, "a read whose data descriptor is readable only");
	ring_publish(r);
	ring_kick(r);
	ring_poll(r, &u, t->o->quiet_ms);
	if (!filled(t, q.data, 0xa5, 512))
		trial_fail(t, "a readable descriptor is not written", "it was written");
}

static void out_writable(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t s = scratch(t, 1);
	struct req q;
	struct used u;

	blk_write(r, s, 0x55, 512);
	q = req_make(t, VIRTIO_BLK_T_OUT, s, 512);
	ring_add(r,
		 (const struct seg[]){
			 {q.header, 16, 0}, {q.data, 512, F_WRITE}, {q.status, 1, F_WRITE}},
		 3);
	trial_sent(t, "a write whose data descriptor is writable");
	ring_publish(r);
	ring_kick(r);
	ring_poll(r, &u, t->o->quiet_ms);
	redial(t);
	r = disk_up(t, (struct setup){0});
	blk_expect(r, s, 0x55, 512, "nothing is written by it");
}

static void id_lengths(struct trial *t)
{
	static const uint32_t lengths[] = {0, 1, 19, 21, 4096};
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_GET_ID, 0, lengths[i]);

		req_run(r, &q);
		if (q.used.len > lengths[i] + 1)
			trial_fail(t, "len is at most what the writable buffers hold",
				   "len %u of %u", q.used.len, lengths[i] + 1);
	}
}

static void ranges(struct trial *t, uint32_t type, uint64_t feature)
{
	static const uint32_t lengths[] = {0, 8, 15, 17, 24};
	struct ring *r = disk_up(t, (struct setup){.want = feature});
	uint64_t s = scratch(t, 8);

	blk_write(r, s, 0x4a, 4096);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct req q = req_make(t, type, 0, 64);

		range_set(t, &q, 0, s, 0, 0);
		range_set(t, &q, 1, s, 8, 0);
		q.len = lengths[i];
		req_run(r, &q);
	}
	trial_sent(t, "requests of type %u with 0, 8, 15, 17 and 24 bytes of ranges", type);
	blk_expect(r, s, 0x4a, 4096, "ranges that are cut off change nothing");
}

static void discard_cut(struct trial *t)
{
	ranges(t, VIRTIO_BLK_T_DISCARD, BLK(DISCARD));
}

static void zeroes_cut(struct trial *t)
{
	ranges(t, VIRTIO_BLK_T_WRITE_ZEROES, BLK(WRITE_ZEROES));
}

static void many_ranges(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(WRITE_ZEROES)});
	uint64_t s = scratch(t, 8);
	const unsigned n = 65536;
	struct req q = req_make(t, VIRTIO_BLK_T_WRITE_ZEROES, 0, n * 16);

	for (unsigned i = 0; i < n; i++)
		range_set(t, &q, i, s, 0, 0);
	trial_sent(t, "WRITE_ZEROES of 65536 empty ranges, the limit being %u",
		   le32_get(t->config.max_write_zeroes_seg));
	req_run(r, &q);
}

static void long_range(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(WRITE_ZEROES)});
	uint32_t max;
	struct req q;

	scratch(t, 1);
	if (t->config_len < 52)
		trial_skip(t, "the limits cannot be read");
	max = le32_get(t->config.max_write_zeroes_sectors);
	if (max == UINT32_MAX || max < capacity(t))
		trial_skip(t,
			   "a range over the limit of %u sectors would fit on the disk, or cannot "
			   "be named",
			   max);
	q = range_make(t, VIRTIO_BLK_T_WRITE_ZEROES, scratch(t, 1), max + 1, 0);
	expect_not_ok(t, req_run(r, &q));
}

static void flush_odd(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = BLK(FLUSH)});
	struct req q = req_make(t, VIRTIO_BLK_T_FLUSH, 12345, 512);

	req_run(r, &q);
	q = req_make(t, VIRTIO_BLK_T_FLUSH, UINT64_MAX, 0);
	req_run(r, &q);
}

static void old_types(struct trial *t)
{
	static const uint32_t types[] = {2, 3, 0x80000000, 5, 0x80000001};
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < 3; i++) {
		struct req q = req_make(t, types[i], 0, 0);

		req_run(r, &q);
	}
}

static void many_segments(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.want = FEAT(INDIRECT_DESC), .num = 1024});
	struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 512 * 1000);
	uint64_t table = mem(t, 1002 * 16);

	table_desc(t, table, 0, q.header, 16, F_NEXT, 1);
	for (unsigned i = 0; i < 1000; i++)
		table_desc(t, table, i + 1, q.data + i * 512, 512, F_NEXT | F_WRITE,
			   (uint16_t)(i + 2));
	table_desc(t, table, 1001, q.status, 1, F_WRITE, 0);
	ring_add(r, &(const struct seg){table, 1002 * 16, F_INDIRECT}, 1);
	trial_sent(t, "a read in 1000 segments");
	ring_publish(r);
	ring_kick(r);
	ring_poll(r, &q.used, t->o->quiet_ms);
}

static void much(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){.num = 256});
	struct req q[80];
	struct used u;
	uint64_t data = mem(t, 1 << 20);
	uint32_t len = 1 << 20;

	if (offered(t, VIRTIO_BLK_F_SIZE_MAX) && le32_get(t->config.size_max))
		len = (uint32_t)min_u64(len, align_down(le32_get(t->config.size_max), 512));
	if (capacity(t) < len / 512)
		trial_skip(t, "the disk is smaller than 1 MiB");
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = req_make(t, VIRTIO_BLK_T_IN, 0, 0);
		ring_add(r,
			 (const struct seg[]){{q[i].header, 16, 0},
					      {data, len, F_WRITE},
					      {q[i].status, 1, F_WRITE}},
			 3);
	}
	trial_sent(t, "80 reads of 1 MiB at once");
	ring_publish(r);
	ring_kick(r);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		ring_wait(r, &u);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		expect_status(t, byte_at(t, q[i].status), VIRTIO_BLK_S_OK);
}

/* The front end vanishes with requests in flight. */
static void vanish(struct trial *t)
{
	for (unsigned i = 0; i < 30; i++) {
		struct ring *r = disk_up(t, (struct setup){.num = 128});

		for (unsigned n = 0; n < 40; n++) {
			struct req q = req_make(t, VIRTIO_BLK_T_IN, 0, 65536);

			req_add(r, &q);
		}
		ring_publish(r);
		ring_kick(r);
		if (i % 2)
			usleep(200 * i);
		r->told = false; /* no GET_VRING_BASE */
		redial(t);
		trial_sent(t,
			   "40 reads, and the connection closed without waiting for them; time %u",
			   i + 1);
	}
}

#define PRACTICE "practice", LEVEL_PRACTICE

static const struct conform_case cases[] = {
	{"B-01.no-status", PRACTICE, 0, "A request without a status byte does no harm.", no_status},
	{"B-01.status-readable", "virtio 2.7.5.1", LEVEL_MUST, 0,
	 "A readable status byte is not written.", status_readable},
	{"B-02.short-header", PRACTICE, 0, "A header cut short is refused.", short_header},
	{"B-02.no-header", PRACTICE, 0, "A request without readable parts is refused.",
	 header_writable},
	{"B-03.old-types", PRACTICE, 0, "Requests of legacy devices do no harm.", old_types},
	{"B-07.in", "virtio 2.7.5.1", LEVEL_MUST, 0, "A read does not write a readable buffer.",
	 in_readable},
	{"B-07.out", PRACTICE, CASE_WRITES, "A write without readable data writes nothing.",
	 out_writable},
	{"B-08.id", "virtio 2.7.8.2", LEVEL_MUST, 0,
	 "GET_ID stays within its buffer, and its length too.", id_lengths},
	{"B-09.discard", PRACTICE, CASE_WRITES, "DISCARD with a range cut off changes nothing.",
	 discard_cut},
	{"B-09.zeroes", PRACTICE, CASE_WRITES, "WRITE_ZEROES with a range cut off changes nothing.",
	 zeroes_cut},
	{"B-09.many", PRACTICE, CASE_WRITES, "65536 ranges do no harm.", many_ranges},
	{"B-09.long", PRACTICE, CASE_WRITES, "A range over the limit is refused.", long_range},
	{"B-10.flush", PRACTICE, 0, "FLUSH with data or a sector does no harm.", flush_odd},
	{"B-11.segments", PRACTICE, 0, "1000 segments do no harm.", many_segments},
	{"B-12.much", PRACTICE, 0, "80 reads of 1 MiB at once are served.", much},
	{"B-13.vanish", PRACTICE, 0,
	 "A front end that vanishes with requests in flight does no harm.", vanish},
};
const struct case_table hostile_block_cases = {"Hostile block requests", cases, ARRAY_SIZE(cases),
					       BY_ANY};
