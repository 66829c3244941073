/* SPDX-License-Identifier: MIT */
/* The block driver's rules, and a device that lies about itself. */
#include "frontend/blk/mock_test.h"

#include <errno.h>
#include <string.h>

#define HAS(bit) BIT64(VIRTIO_BLK_F_##bit)

/* Submits, lets the device serve, polls: the outcome. */
#define TRY(m, q, t, call)                                                                     \
	(tried_init(t), (call), ringside_commit(q), mock_serve((m), 0), ringside_poll((q), 0), \
	 assert_int_equal((t)->times, 1), (t)->result)

static uint32_t type_of(const struct mock_chain *c)
{
	struct virtio_blk_req h;

	assert_int_equal(c->bufs[0].len, sizeof(h));
	memcpy(&h, c->bufs[0].p, sizeof(h));
	assert_int_equal(le32_get(h.reserved), 0);
	return le32_get(h.type);
}

static uint64_t sector_of(const struct mock_chain *c)
{
	struct virtio_blk_req h;

	memcpy(&h, c->bufs[0].p, sizeof(h));
	return le64_get(h.sector);
}

static void blk_g_01_write_back_is_assumed_without_a_switch(void **state)
{
	struct ringside_disk *d;
	struct ringside_info info;
	struct mock m;

	(void)state;
	mock_init(&m);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	ringside_get_info(d, &info);
	assert_true(info.writeback);
	assert_int_equal(ringside_set_writeback(d, false), -ENOTSUP);
	mock_close(&m, &d);
}

static void blk_g_01_without_flush_writes_are_durable(void **state)
{
	struct ringside_options o = {.features_off = HAS(FLUSH)};
	struct ringside_disk *d;
	struct ringside_info info;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, &o, 4096, &mem);
	ringside_get_info(d, &info);
	assert_false(info.writeback);
	tried_init(&t);
	ringside_flush(ringside_queue(d, 0), &t.req);
	ringside_commit(ringside_queue(d, 0));
	assert_int_equal(t.times, 0);
	assert_int_equal(mock_avail_idx(&m, 0), 0);
	assert_int_equal(ringside_poll(ringside_queue(d, 0), 0), 1);
	assert_int_equal(t.result, 0);
	mock_close(&m, &d);
}

static void blk_g_02_writeback_is_read_after_features_ok(void **state)
{
	struct ringside_disk *d;
	struct ringside_info info;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(CONFIG_WCE);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	ringside_get_info(d, &info);
	assert_false(info.writeback);
	assert_true(mock_find(&m, ACT_CONFIG_READ, 32) > 0);
	mock_close(&m, &d);
}

static void blk_g_03_host_managed_disk_only_for_who_can(void **state)
{
	struct ringside_options zoned = {.zoned = true};
	struct ringside_disk *d;
	struct ringside_info info;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(ZONED) | HAS(DISCARD);
	m.config[MOCK_FIELD(zone_model)] = 1;
	assert_int_equal(mock_open(&m, NULL, &d), -ENOTSUP);
	assert_true(m.status & VIRTIO_STATUS_FAILED);
	assert_false(m.status & VIRTIO_STATUS_FEATURES_OK);
	assert_null(m.breach);

	mock_init(&m);
	m.offered |= HAS(ZONED) | HAS(DISCARD);
	m.config[MOCK_FIELD(zone_model)] = 1;
	mock_config32(&m, MOCK_FIELD(zone_sectors), 256);
	assert_int_equal(mock_open(&m, &zoned, &d), 0);
	assert_int_equal(m.accepted & (HAS(ZONED) | HAS(DISCARD)), HAS(ZONED));
	ringside_get_info(d, &info);
	assert_int_equal(info.zone_model, 1);
	assert_int_equal(info.zone_sectors, 256);
	mock_close(&m, &d);

	/* A host-aware one may be used as a plain disk. */
	mock_init(&m);
	m.offered |= HAS(ZONED);
	m.config[MOCK_FIELD(zone_model)] = 2;
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_int_equal(m.accepted & HAS(ZONED), 0);
	mock_close(&m, &d);
}

static void blk_g_04_capacity_is_read_again(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct ringside_info info;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	mock_config64(&m, MOCK_FIELD(capacity), 4096);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 2048 * 512, mem, 512)), -EINVAL);
	m.next_events = TRANSPORT_EVENT_CONFIG;
	assert_int_equal(ringside_process(d), RINGSIDE_EVENT_CONFIG);
	assert_int_equal(ringside_process(d), 0);
	ringside_get_info(d, &info);
	assert_int_equal(info.capacity, 4096 * 512);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 2048 * 512, mem, 512)), 0);
	/* And smaller. */
	mock_config64(&m, MOCK_FIELD(capacity), 8);
	m.next_events = TRANSPORT_EVENT_CONFIG;
	assert_int_equal(ringside_process(d), RINGSIDE_EVENT_CONFIG);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 8 * 512, mem, 512)), -EINVAL);
	mock_close(&m, &d);
}

static void blk_g_04_read_only_disk(void **state)
{
	struct ringside_range r = {0, 8};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(RO) | HAS(DISCARD) | HAS(WRITE_ZEROES) | HAS(SECURE_ERASE);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_true(m.accepted & HAS(RO));
	assert_int_equal(TRY(&m, q, &t, ringside_write(q, &t.req, 0, mem, 512)), -EROFS);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, &r, 1)), -EROFS);
	assert_int_equal(TRY(&m, q, &t, ringside_write_zeroes(q, &t.req, &r, 1, true)), -EROFS);
	assert_int_equal(TRY(&m, q, &t, ringside_secure_erase(q, &t.req, &r, 1)), -EROFS);
	assert_int_equal(mock_avail_idx(&m, 0), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, 512)), 0);
	mock_close(&m, &d);
}

static void blk_g_05_nothing_beyond_the_capacity(void **state)
{
	static const struct {
		uint64_t offset;
		size_t len;
	} bad[] = {
		{2048 * 512, 512},	  {2047 * 512, 1024}, {UINT64_MAX - 511, 512},
		{UINT64_MAX - 511, 4096}, {0, 2049 * 512},    {UINT64_C(1) << 63, 512},
	};
	struct ringside_range r = {2040, 9}, wrap = {UINT64_MAX, 2}, last = {2040, 8};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(DISCARD) | HAS(WRITE_ZEROES);
	d = mock_run(&m, NULL, 2u << 20, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			TRY(&m, q, &t, ringside_read(q, &t.req, bad[i].offset, mem, bad[i].len)),
			-EINVAL);
		assert_int_equal(
			TRY(&m, q, &t, ringside_write(q, &t.req, bad[i].offset, mem, bad[i].len)),
			-EINVAL);
	}
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, &r, 1)), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, &wrap, 1)), -EINVAL);
	assert_int_equal(mock_avail_idx(&m, 0), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, &last, 1)), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 2047 * 512, mem, 512)), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, 2048 * 512)), 0);
	mock_close(&m, &d);
}

static void blk_g_06_flush_has_sector_0_and_no_data(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 4096, mem, 512)), 0);
	tried_init(&t);
	ringside_flush(q, &t.req);
	ringside_commit(q);
	assert_true(mock_pop(&m, 0, &c));
	assert_int_equal(c.n, 2);
	assert_int_equal(c.readable, 1);
	assert_int_equal(type_of(&c), VIRTIO_BLK_T_FLUSH);
	assert_int_equal(sector_of(&c), 0);
	assert_int_equal(c.bufs[1].len, 1);
	mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
	assert_int_equal(ringside_poll(q, 0), 1);
	mock_close(&m, &d);
}

static void blk_g_07_lengths(void **state)
{
	static const size_t bad[] = {0, 1, 511, 513, 1023};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct ringside_range r[3] = {{0, 1}, {8, 2}, {16, 3}};
	struct mock_chain c;
	struct virtio_blk_range wire;
	struct iovec iov[2];
	struct tried t;
	struct mock m;
	uint8_t *mem;
	char id[21];

	(void)state;
	mock_init(&m);
	m.offered |= HAS(DISCARD);
	mock_config32(&m, MOCK_FIELD(max_discard_seg), 3);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, bad[i])), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 1, mem, 512)), -EINVAL);
	/* Only the whole has to be sectors. */
	iov[0] = (struct iovec){mem, 100};
	iov[1] = (struct iovec){mem + 512, 412};
	assert_int_equal(TRY(&m, q, &t, ringside_readv(q, &t.req, 0, iov, 2)), 0);

	ringside_discard(q, &t.req, r, 3);
	ringside_commit(q);
	assert_true(mock_pop(&m, 0, &c));
	assert_int_equal(c.readable, 2);
	assert_int_equal(c.bufs[1].len, 48);
	memcpy(&wire, c.bufs[1].p + 32, sizeof(wire));
	assert_int_equal(le64_get(wire.sector), 16);
	assert_int_equal(le32_get(wire.num_sectors), 3);
	mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
	ringside_poll(q, 0);

	tried_init(&t);
	ringside_get_id(q, &t.req, id);
	ringside_commit(q);
	assert_true(mock_pop(&m, 0, &c));
	assert_int_equal(c.n, 3);
	assert_int_equal(c.bufs[1].len, 20);
	mock_answer(&m, 0, &c, 'x', VIRTIO_BLK_S_OK);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(strlen(id), 20);
	mock_close(&m, &d);
}

static void blk_g_08_not_more_ranges_than_the_device_takes(void **state)
{
	struct ringside_range r[RINGSIDE_RANGES_MAX + 1] = {{0, 1}};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(r); i++)
		r[i] = (struct ringside_range){i, 1};
	mock_init(&m);
	m.offered |= HAS(DISCARD) | HAS(WRITE_ZEROES) | HAS(SECURE_ERASE);
	mock_config32(&m, MOCK_FIELD(max_discard_seg), 2);
	mock_config32(&m, MOCK_FIELD(max_discard_sectors), 100);
	mock_config32(&m, MOCK_FIELD(max_write_zeroes_seg), 3);
	mock_config32(&m, MOCK_FIELD(max_secure_erase_seg), 4000000000u);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, r, 2)), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, r, 3)), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, r, 0)), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_write_zeroes(q, &t.req, r, 3, false)), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_write_zeroes(q, &t.req, r, 4, false)), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_secure_erase(q, &t.req, r, RINGSIDE_RANGES_MAX)),
			 0);
	assert_int_equal(
		TRY(&m, q, &t, ringside_secure_erase(q, &t.req, r, RINGSIDE_RANGES_MAX + 1)),
		-EINVAL);
	r[0].sectors = 101;
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, r, 1)), -EINVAL);
	mock_close(&m, &d);
}

static void blk_g_09_switching_the_cache_off_is_no_flush(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct ringside_info info;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(CONFIG_WCE);
	m.config[MOCK_FIELD(writeback)] = 1;
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(ringside_set_writeback(d, false), 0);
	assert_int_equal(m.config[MOCK_FIELD(writeback)], 0);
	ringside_get_info(d, &info);
	assert_false(info.writeback);
	/* So a flush still goes to the device. */
	assert_int_equal(TRY(&m, q, &t, ringside_flush(q, &t.req)), 0);
	assert_int_equal(mock_avail_idx(&m, 0), 1);
	mock_close(&m, &d);
}

static void blk_g_10_discard_never_carries_unmap(void **state)
{
	struct ringside_range r = {0, 8};
	struct virtio_blk_range wire;
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t;
	struct mock m;
	uint8_t *mem;
	unsigned flags[3];

	(void)state;
	mock_init(&m);
	m.offered |= HAS(DISCARD) | HAS(WRITE_ZEROES) | HAS(SECURE_ERASE);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 3; i++) {
		tried_init(&t);
		if (i == 0)
			ringside_discard(q, &t.req, &r, 1);
		else if (i == 1)
			ringside_secure_erase(q, &t.req, &r, 1);
		else
			ringside_write_zeroes(q, &t.req, &r, 1, true);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		memcpy(&wire, c.bufs[1].p, sizeof(wire));
		flags[i] = le32_get(wire.flags);
		mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
		assert_int_equal(ringside_poll(q, 0), 1);
	}
	assert_int_equal(flags[0], 0);
	assert_int_equal(flags[1], 0);
	assert_int_equal(flags[2], VIRTIO_BLK_RANGE_UNMAP);
	mock_close(&m, &d);
}

static void what_is_not_offered_is_not_asked_for(void **state)
{
	struct ringside_range r = {0, 8};
	struct ringside_lifetime life;
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(TRY(&m, q, &t, ringside_discard(q, &t.req, &r, 1)), -ENOTSUP);
	assert_int_equal(TRY(&m, q, &t, ringside_write_zeroes(q, &t.req, &r, 1, false)), -ENOTSUP);
	assert_int_equal(TRY(&m, q, &t, ringside_secure_erase(q, &t.req, &r, 1)), -ENOTSUP);
	assert_int_equal(TRY(&m, q, &t, ringside_get_lifetime(q, &t.req, &life)), -ENOTSUP);
	assert_int_equal(mock_avail_idx(&m, 0), 0);
	mock_close(&m, &d);
}

static void lifetime_comes_as_three_numbers(void **state)
{
	static const uint8_t told[6] = {2, 0, 5, 0, 11, 0};
	struct ringside_lifetime life;
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(LIFETIME);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	tried_init(&t);
	ringside_get_lifetime(q, &t.req, &life);
	ringside_commit(q);
	assert_true(mock_pop(&m, 0, &c));
	assert_int_equal(c.bufs[1].len, 6);
	mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
	memcpy(c.bufs[1].p, told, sizeof(told));
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(life.pre_eol_info, 2);
	assert_int_equal(life.typ_a, 5);
	assert_int_equal(life.typ_b, 11);
	mock_close(&m, &d);
}

static void blk_g_11_zone_requests_go_raw_with_their_status(void **state)
{
	static const struct {
		uint8_t status;
		int result;
	} answers[] = {
		{0, 0},		 {1, -EIO},    {2, -ENOTSUP},
		{3, -EBADRQC},	 {4, -ESPIPE}, {5, -ETOOMANYREFS},
		{6, -EOVERFLOW}, {77, -EIO},   {0xff, -EIO},
	};
	struct ringside_options o = {.zoned = true};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct iovec iov[2];
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(ZONED);
	d = mock_run(&m, &o, 8192, &mem);
	q = ringside_queue(d, 0);
	/* Append: data out, eight bytes in. */
	iov[0] = (struct iovec){mem, 4096};
	iov[1] = (struct iovec){mem + 4096, 8};
	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		tried_init(&t);
		ringside_raw(q, &t.req, 15, 256, iov, 1, 1);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		assert_int_equal(type_of(&c), 15);
		assert_int_equal(sector_of(&c), 256);
		assert_int_equal(c.readable, 2);
		assert_int_equal(c.n, 4);
		assert_int_equal(c.bufs[2].len, 8);
		mock_answer(&m, 0, &c, 7, answers[i].status);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t.result, answers[i].result);
		assert_int_equal(t.req.status, answers[i].status);
		assert_int_equal(t.req.used_len, 9);
	}
	mock_close(&m, &d);
}

static void segments_are_counted_and_measured(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct iovec iov[7];
	struct ringside_info info;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(SIZE_MAX) | BIT64(VIRTIO_F_INDIRECT_DESC);
	mock_config32(&m, MOCK_FIELD(size_max), 1024);
	d = mock_run(&m, NULL, 8192, &mem);
	q = ringside_queue(d, 0);
	ringside_get_info(d, &info);
	assert_int_equal(info.max_segments, 6);
	assert_int_equal(info.max_segment_bytes, 1024);
	for (unsigned i = 0; i < 7; i++)
		iov[i] = (struct iovec){mem + i * 1024, 512};
	assert_int_equal(TRY(&m, q, &t, ringside_readv(q, &t.req, 0, iov, 6)), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_readv(q, &t.req, 0, iov, 7)), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_readv(q, &t.req, 0, iov, 0)), -EINVAL);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, 1024)), 0);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, 1536)), -EINVAL);
	mock_close(&m, &d);
}

static void only_registered_memory(void **state)
{
	static uint8_t foreign[512];
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct iovec iov[2];
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, foreign, 512)), -EFAULT);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, NULL, 512)), -EFAULT);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem + 3584, 1024)), -EFAULT);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem - 512, 1024)), -EFAULT);
	iov[0] = (struct iovec){mem, 256};
	iov[1] = (struct iovec){foreign, 256};
	assert_int_equal(TRY(&m, q, &t, ringside_readv(q, &t.req, 0, iov, 2)), -EFAULT);
	assert_int_equal(TRY(&m, q, &t, ringside_raw(q, &t.req, 0, 0, iov, 0, 2)), -EFAULT);
	assert_int_equal(mock_avail_idx(&m, 0), 0);
	mock_close(&m, &d);
}

/* Opens with one field set to a value: the return code. */
static int lie(uint64_t feature, size_t at, uint64_t value, unsigned bytes)
{
	struct ringside_disk *d;
	struct mock m;
	uint8_t *mem;
	struct tried t;
	int rc;

	mock_init(&m);
	m.offered |= feature;
	if (bytes == 8)
		mock_config64(&m, at, value);
	else if (bytes == 4)
		mock_config32(&m, at, (uint32_t)value);
	else
		memcpy(m.config + at, &value, bytes);
	rc = mock_open(&m, NULL, &d);
	if (rc) {
		assert_true(m.status & VIRTIO_STATUS_FAILED);
		assert_true(m.destroyed);
		return rc;
	}
	void *p;

	assert_int_equal(ringside_mem_alloc(d, 4096, &p, NULL), 0);
	assert_int_equal(ringside_start(d, NULL), 0);
	mem = p;
	/* And it works within what it said. */
	struct ringside_queue *q = ringside_queue(d, 0);

	(void)TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, 512));
	mock_close(&m, &d);
	return t.result;
}

static void kb_94_a_configuration_that_lies(void **state)
{
	(void)state;
	assert_int_equal(lie(0, MOCK_FIELD(seg_max), 0, 4), 0);
	assert_int_equal(lie(0, MOCK_FIELD(seg_max), UINT32_MAX, 4), 0);
	assert_int_equal(lie(HAS(SIZE_MAX), MOCK_FIELD(size_max), 0, 4), 0);
	assert_int_equal(lie(HAS(SIZE_MAX), MOCK_FIELD(size_max), UINT32_MAX, 4), 0);
	assert_int_equal(lie(HAS(SIZE_MAX), MOCK_FIELD(size_max), 1, 4), -EINVAL);
	assert_int_equal(lie(HAS(BLK_SIZE), MOCK_FIELD(blk_size), 0, 4), -EPROTO);
	assert_int_equal(lie(HAS(BLK_SIZE), MOCK_FIELD(blk_size), 3, 4), -EPROTO);
	assert_int_equal(lie(HAS(BLK_SIZE), MOCK_FIELD(blk_size), 256, 4), -EPROTO);
	assert_int_equal(lie(HAS(BLK_SIZE), MOCK_FIELD(blk_size), 1u << 31, 4), -EPROTO);
	assert_int_equal(lie(HAS(BLK_SIZE), MOCK_FIELD(blk_size), 4096, 4), 0);
	assert_int_equal(lie(0, MOCK_FIELD(capacity), 0, 8), -EINVAL);
	assert_int_equal(lie(0, MOCK_FIELD(capacity), UINT64_C(1) << 63, 8), -EPROTO);
	assert_int_equal(lie(0, MOCK_FIELD(capacity), UINT64_MAX, 8), -EPROTO);
	assert_int_equal(lie(0, MOCK_FIELD(capacity), UINT64_MAX >> 9, 8), 0);
	assert_int_equal(lie(HAS(MQ), MOCK_FIELD(num_queues), 0, 2), 0);
	assert_int_equal(lie(HAS(MQ), MOCK_FIELD(num_queues), 65535, 2), 0);
	assert_int_equal(lie(HAS(TOPOLOGY), MOCK_FIELD(physical_block_exp), 255, 1), 0);
	assert_int_equal(lie(HAS(TOPOLOGY), MOCK_FIELD(opt_io_size), UINT32_MAX, 4), 0);
	assert_int_equal(lie(HAS(DISCARD), MOCK_FIELD(max_discard_seg), UINT32_MAX, 4), 0);
}

static void kb_94_queue_sizes(void **state)
{
	static const uint16_t sizes[] = {0, 1, 2, 3, 4, 15, 65535};
	struct ringside_disk *d;
	struct ringside_info info;
	struct mock m;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		mock_init(&m);
		m.queue_size = sizes[i];
		if (mock_open(&m, NULL, &d)) {
			assert_true(sizes[i] < 4);
			assert_true(m.status & VIRTIO_STATUS_FAILED);
			continue;
		}
		assert_true(sizes[i] >= 4);
		ringside_get_info(d, &info);
		assert_true(info.queue_size <= sizes[i]);
		assert_true(info.max_segments + 2 <= info.queue_size);
		mock_close(&m, &d);
	}
}

static void kb_94_configuration_that_starts_to_lie_later(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct ringside_info info;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	mock_config64(&m, MOCK_FIELD(capacity), UINT64_MAX);
	mock_config32(&m, MOCK_FIELD(seg_max), UINT32_MAX);
	m.next_events = TRANSPORT_EVENT_CONFIG;
	assert_int_equal(ringside_process(d), -EPROTO);
	ringside_get_info(d, &info);
	assert_int_equal(info.capacity, 2048 * 512);
	/* More segments than the rings were made for are not taken either. */
	mock_config64(&m, MOCK_FIELD(capacity), 2048);
	m.next_events = TRANSPORT_EVENT_CONFIG;
	assert_int_equal(ringside_process(d), RINGSIDE_EVENT_CONFIG);
	ringside_get_info(d, &info);
	assert_int_equal(info.max_segments, 6);
	assert_int_equal(TRY(&m, q, &t, ringside_read(q, &t.req, 0, mem, 512)), 0);
	mock_close(&m, &d);
}

static void queues_as_many_as_wanted_and_offered(void **state)
{
	struct ringside_options o = {.queues = 3, .queue_size = 8};
	struct ringside_disk *d;
	struct ringside_info info;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= HAS(MQ);
	m.n_queues = 4;
	m.config[MOCK_FIELD(num_queues)] = 4;
	d = mock_run(&m, &o, 4096, &mem);
	ringside_get_info(d, &info);
	assert_int_equal(info.queues, 3);
	assert_int_equal(info.queue_size, 8);
	assert_non_null(ringside_queue(d, 2));
	assert_null(ringside_queue(d, 3));
	assert_int_equal(mock_count(&m, ACT_QUEUE_ENABLE), 3);
	mock_close(&m, &d);

	mock_init(&m);
	m.n_queues = 4;
	d = mock_run(&m, &o, 4096, &mem);
	ringside_get_info(d, &info);
	assert_int_equal(info.queues, 1);
	mock_close(&m, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk_g_01_write_back_is_assumed_without_a_switch),
		cmocka_unit_test(blk_g_01_without_flush_writes_are_durable),
		cmocka_unit_test(blk_g_02_writeback_is_read_after_features_ok),
		cmocka_unit_test(blk_g_03_host_managed_disk_only_for_who_can),
		cmocka_unit_test(blk_g_04_capacity_is_read_again),
		cmocka_unit_test(blk_g_04_read_only_disk),
		cmocka_unit_test(blk_g_05_nothing_beyond_the_capacity),
		cmocka_unit_test(blk_g_06_flush_has_sector_0_and_no_data),
		cmocka_unit_test(blk_g_07_lengths),
		cmocka_unit_test(blk_g_08_not_more_ranges_than_the_device_takes),
		cmocka_unit_test(blk_g_09_switching_the_cache_off_is_no_flush),
		cmocka_unit_test(blk_g_10_discard_never_carries_unmap),
		cmocka_unit_test(what_is_not_offered_is_not_asked_for),
		cmocka_unit_test(lifetime_comes_as_three_numbers),
		cmocka_unit_test(blk_g_11_zone_requests_go_raw_with_their_status),
		cmocka_unit_test(segments_are_counted_and_measured),
		cmocka_unit_test(only_registered_memory),
		cmocka_unit_test(kb_94_a_configuration_that_lies),
		cmocka_unit_test(kb_94_queue_sizes),
		cmocka_unit_test(kb_94_configuration_that_starts_to_lie_later),
		cmocka_unit_test(queues_as_many_as_wanted_and_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
