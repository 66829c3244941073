/* SPDX-License-Identifier: MIT */
/* Requests of zoned disks: their chains, their answers, and devices that answer what cannot be. */
#include "frontend/blk/mock_test.h"

#include <errno.h>
#include <string.h>

#define HAS(bit)     BIT64(VIRTIO_BLK_F_##bit)
#define ZONE_SECTORS 192u
#define ZONE	     (ZONE_SECTORS * 512u)
#define SECTORS	     2000u
#define LAST	     (SECTORS / ZONE_SECTORS) /* the short one */
#define GRANULARITY  1024u
#define APPEND_MAX   64u

/* A started host-managed disk with two buffers' worth of memory. */
struct zoned {
	struct mock m;
	struct ringside_disk *d;
	struct ringside_queue *q;
	uint8_t *mem;
};

static const struct ringside_options options = {.zoned = true};

static void zoned_init(struct mock *m)
{
	mock_init(m);
	m->offered |= HAS(ZONED);
	m->config[MOCK_FIELD(zone_model)] = VIRTIO_BLK_Z_HM;
	mock_config64(m, MOCK_FIELD(capacity), SECTORS);
	mock_config32(m, MOCK_FIELD(zone_sectors), ZONE_SECTORS);
	mock_config32(m, MOCK_FIELD(max_append_sectors), APPEND_MAX);
	mock_config32(m, MOCK_FIELD(write_granularity), GRANULARITY);
}

static void zoned_run(struct zoned *z, uint64_t more)
{
	zoned_init(&z->m);
	z->m.offered |= more;
	z->d = mock_run(&z->m, &options, 65536, &z->mem);
	z->q = ringside_queue(z->d, 0);
}

static struct virtio_blk_req header_of(const struct mock_chain *c)
{
	struct virtio_blk_req h;

	assert_int_equal(c->bufs[0].len, sizeof(h));
	memcpy(&h, c->bufs[0].p, sizeof(h));
	return h;
}

/* The chain of the only request there is. */
static struct mock_chain shown(struct zoned *z, uint32_t type, uint64_t sector)
{
	struct virtio_blk_req h;
	struct mock_chain c;

	ringside_commit(z->q);
	assert_true(mock_pop(&z->m, 0, &c));
	h = header_of(&c);
	assert_int_equal(le32_get(h.type), type);
	assert_int_equal(le64_get(h.sector), sector);
	assert_int_equal(c.bufs[c.n - 1].len, 1);
	return c;
}

static int answered(struct zoned *z, struct tried *t, const struct mock_chain *c, uint8_t status,
		    uint32_t len)
{
	*c->bufs[c->n - 1].p = status;
	mock_push(&z->m, 0, c->head, len);
	assert_int_equal(ringside_poll(z->q, 0), 1);
	assert_int_equal(t->times, 1);
	return t->result;
}

static int refused(struct zoned *z, struct tried *t)
{
	struct mock_chain c;

	ringside_commit(z->q);
	assert_false(mock_pop(&z->m, 0, &c));
	assert_int_equal(ringside_poll(z->q, 0), 1);
	assert_int_equal(t->times, 1);
	return t->result;
}

static struct virtio_blk_zone_descriptor descriptor(uint64_t index, uint8_t type, uint8_t state,
						    uint64_t capacity, uint64_t written)
{
	return (struct virtio_blk_zone_descriptor){
		.z_cap = le64_make(capacity),
		.z_start = le64_make(index * ZONE_SECTORS),
		.z_wp = le64_make(index * ZONE_SECTORS + written),
		.z_type = type,
		.z_state = state,
	};
}

static void put_report(const struct mock_chain *c, uint64_t nr,
		       const struct virtio_blk_zone_descriptor *zones, unsigned n)
{
	struct virtio_blk_zone_report h = {.nr_zones = le64_make(nr)};

	assert_true(c->bufs[1].len >= sizeof(h) + n * sizeof(*zones));
	memcpy(c->bufs[1].p, &h, sizeof(h));
	memcpy(c->bufs[1].p + sizeof(h), zones, n * sizeof(*zones));
}

static void blk_g_11_a_report_is_asked_within_the_first_zone_and_decoded(void **state)
{
	const struct virtio_blk_zone_descriptor told[] = {
		descriptor(LAST - 3, VIRTIO_BLK_ZT_CONV, VIRTIO_BLK_ZS_NOT_WP, ZONE_SECTORS, 7777),
		descriptor(LAST - 2, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_CLOSED, 100, 34),
		descriptor(LAST - 1, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_FULL, 100, 9999),
		descriptor(LAST, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_EMPTY, SECTORS % ZONE_SECTORS, 0),
	};
	struct ringside_zone zones[8]; /* plain memory */
	struct mock_chain c;
	struct zoned z;
	struct tried t;
	unsigned n = 5;

	(void)state;
	zoned_run(&z, 0);
	tried_init(&t);
	memset(zones, 0x77, sizeof(zones));
	ringside_zone_report(z.q, &t.req, (LAST - 3) * (uint64_t)ZONE + 4096, zones, &n);
	c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, (LAST - 3) * ZONE_SECTORS + 8);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.readable, 1);
	assert_int_equal(c.bufs[1].len, 64 * 6);
	put_report(&c, 4, told, 4);
	assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 64 * 5 + 1), 0);
	assert_int_equal(n, 4);
	assert_int_equal(zones[0].start, (LAST - 3) * ZONE);
	assert_int_equal(zones[0].size, ZONE);
	assert_int_equal(zones[0].type, RINGSIDE_ZONE_CONVENTIONAL);
	assert_int_equal(zones[0].state, RINGSIDE_ZONE_NOT_WP);
	assert_true(zones[0].write_pointer == RINGSIDE_ZONE_NO_POINTER);
	assert_int_equal(zones[1].start, (LAST - 2) * ZONE);
	assert_int_equal(zones[1].capacity, 100 * 512);
	assert_int_equal(zones[1].write_pointer, (LAST - 2) * ZONE + 34 * 512);
	assert_int_equal(zones[1].state, RINGSIDE_ZONE_CLOSED);
	assert_true(zones[2].write_pointer == RINGSIDE_ZONE_NO_POINTER);
	assert_int_equal(zones[3].size, SECTORS % ZONE_SECTORS * 512);
	assert_int_equal(zones[3].write_pointer, zones[3].start);
	assert_int_equal(zones[4].type, 0x77);
	mock_close(&z.m, &z.d);
}

static void a_report_that_cannot_be_is_no_report(void **state)
{
	const struct virtio_blk_zone_descriptor good = descriptor(
		0, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_EMPTY, ZONE_SECTORS, 0);
	static const struct {
		uint64_t nr;
		uint32_t used;
		unsigned left; /* of two that were asked for; 0: -EPROTO */
	} lengths[] = {
		{2, 64 * 3 + 1, 2}, {UINT64_MAX, 64 * 3 + 1, 2},
		{2, 64 * 3 - 1, 1}, {1, 64 * 3 + 1, 1},
		{2, 127, 0},	    {2, 64, 0},
		{2, 1, 0},	    {2, 0, 0},
		{0, 64 * 3 + 1, 0},
	};
	struct virtio_blk_zone_descriptor told[2], lies[5];
	struct ringside_zone zones[3];
	struct mock_chain c;
	struct zoned z;
	struct tried t;
	unsigned n;

	(void)state;
	zoned_run(&z, 0);
	told[0] = good;
	told[1] = descriptor(1, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_IOPEN, 100, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		tried_init(&t);
		memset(zones, 0x77, sizeof(zones));
		n = 2;
		ringside_zone_report(z.q, &t.req, 0, zones, &n);
		c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 0);
		put_report(&c, lengths[i].nr, told, 2);
		assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, lengths[i].used),
				 lengths[i].left ? 0 : -EPROTO);
		assert_int_equal(n, lengths[i].left ? lengths[i].left : 2);
		assert_int_equal(zones[lengths[i].left].type, 0x77);
	}

	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++)
		lies[i] = good;
	lies[0].z_start = le64_make(ZONE_SECTORS);
	lies[1].z_start = le64_make(UINT64_MAX);
	lies[2].z_cap = le64_make(ZONE_SECTORS + 1);
	lies[3].z_wp = le64_make(ZONE_SECTORS + 1);
	lies[4] = descriptor(0, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_CLOSED, 10, 11);
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		tried_init(&t);
		n = 1;
		ringside_zone_report(z.q, &t.req, 512, zones, &n);
		c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 1);
		put_report(&c, 1, &lies[i], 1);
		assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 129), -EPROTO);
		assert_int_equal(n, 1);
	}

	/* A zone behind the end. */
	tried_init(&t);
	n = 2;
	ringside_zone_report(z.q, &t.req, (SECTORS - 1) * 512, zones, &n);
	c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, SECTORS - 1);
	told[0] = descriptor(LAST, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_EMPTY, 80, 0);
	told[1] = descriptor(LAST + 1, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_EMPTY, 0, 0);
	put_report(&c, 2, told, 2);
	assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 64 * 3 + 1), -EPROTO);
	mock_close(&z.m, &z.d);
}

static void a_report_obeys_the_largest_buffer(void **state)
{
	struct ringside_zone zones[80];
	struct mock_chain c;
	struct zoned z;
	struct tried t;
	unsigned n = 80;

	(void)state;
	zoned_run(&z, 0);
	tried_init(&t);
	ringside_zone_report(z.q, &t.req, 0, zones, &n);
	c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 0);
	assert_int_equal(c.bufs[1].len, 64 * (1 + RINGSIDE_ZONES_MAX));
	answered(&z, &t, &c, VIRTIO_BLK_S_IOERR, 1);
	assert_int_equal(t.result, -EIO);
	assert_int_equal(n, 80);
	mock_close(&z.m, &z.d);

	for (uint32_t max = 64; max <= 256; max += 64) {
		zoned_init(&z.m);
		z.m.offered |= HAS(SIZE_MAX);
		mock_config32(&z.m, MOCK_FIELD(size_max), max + 63);
		z.d = mock_run(&z.m, &options, 4096, &z.mem);
		z.q = ringside_queue(z.d, 0);
		tried_init(&t);
		ringside_zone_report(z.q, &t.req, 0, zones, &n);
		if (max < 128) {
			assert_int_equal(refused(&z, &t), -EINVAL);
		} else {
			c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 0);
			assert_int_equal(c.bufs[1].len, max);
		}
		mock_close(&z.m, &z.d);
	}
}

static void reports_wait_for_a_buffer(void **state)
{
	const struct virtio_blk_zone_descriptor told[] = {
		descriptor(0, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_EMPTY, ZONE_SECTORS, 0)};
	struct ringside_zone zones[10];
	struct tried t[10];
	struct mock_chain c[10];
	struct zoned z;
	unsigned n[10], seen = 0, done = 0;

	(void)state;
	zoned_run(&z, BIT64(VIRTIO_F_INDIRECT_DESC));
	for (unsigned i = 0; i < 10; i++) {
		tried_init(&t[i]);
		n[i] = 1;
		ringside_zone_report(z.q, &t[i].req, 0, &zones[i], &n[i]);
	}
	ringside_commit(z.q);
	while (done < 10) {
		while (seen < 10 && mock_pop(&z.m, 0, &c[seen])) {
			for (unsigned i = done; i < seen; i++)
				assert_ptr_not_equal(c[i].bufs[1].p, c[seen].bufs[1].p);
			seen++;
		}
		assert_int_equal(seen, min_u64(done + DISK_REPORTS, 10));
		put_report(&c[done], 1, told, 1);
		answered(&z, &t[done], &c[done], VIRTIO_BLK_S_OK, 129);
		assert_int_equal(t[done].result, 0);
		done++;
	}
	mock_close(&z.m, &z.d);
}

typedef void command_fn(struct ringside_queue *q, struct ringside_request *req, uint64_t offset);

static const struct {
	command_fn *call;
	uint32_t type;
} commands[] = {
	{ringside_zone_open, VIRTIO_BLK_T_ZONE_OPEN},
	{ringside_zone_close, VIRTIO_BLK_T_ZONE_CLOSE},
	{ringside_zone_finish, VIRTIO_BLK_T_ZONE_FINISH},
	{ringside_zone_reset, VIRTIO_BLK_T_ZONE_RESET},
};

static void blk_g_11_commands_name_a_zone_by_its_first_sector(void **state)
{
	static const uint64_t wrong[] = {512,	     ZONE - 512,
					 ZONE + 512, (uint64_t)(LAST + 1) * ZONE,
					 UINT64_MAX, UINT64_MAX / ZONE * ZONE};
	struct mock_chain c;
	struct zoned z;
	struct tried t;

	(void)state;
	zoned_run(&z, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		tried_init(&t);
		commands[i].call(z.q, &t.req, LAST * (uint64_t)ZONE);
		c = shown(&z, commands[i].type, LAST * ZONE_SECTORS);
		assert_int_equal(c.n, 2);
		assert_int_equal(c.readable, 1);
		assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 1), 0);
		for (unsigned j = 0; j < ARRAY_SIZE(wrong); j++) {
			tried_init(&t);
			commands[i].call(z.q, &t.req, wrong[j]);
			assert_int_equal(refused(&z, &t), -EINVAL);
		}
	}
	tried_init(&t);
	ringside_zone_reset_all(z.q, &t.req);
	c = shown(&z, VIRTIO_BLK_T_ZONE_RESET_ALL, 0);
	assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 1), 0);
	mock_close(&z.m, &z.d);
}

static void answers_of_zones_are_told_apart(void **state)
{
	static const int results[] = {0,       -EIO,	      -ENOTSUP,	  -EBADRQC,
				      -ESPIPE, -ETOOMANYREFS, -EOVERFLOW, -EIO};
	struct mock_chain c;
	struct zoned z;
	struct tried t;

	(void)state;
	zoned_run(&z, 0);
	for (uint8_t status = 0; status < ARRAY_SIZE(results); status++) {
		tried_init(&t);
		ringside_zone_open(z.q, &t.req, 0);
		c = shown(&z, VIRTIO_BLK_T_ZONE_OPEN, 0);
		assert_int_equal(answered(&z, &t, &c, status, 1), results[status]);
		assert_int_equal(t.req.status, status);
		/* A plain write of a sequential zone has the same ones. */
		tried_init(&t);
		ringside_write(z.q, &t.req, 0, z.mem, 1024);
		c = shown(&z, VIRTIO_BLK_T_OUT, 0);
		assert_int_equal(answered(&z, &t, &c, status, 1), results[status]);
	}
	mock_close(&z.m, &z.d);
}

static void blk_g_11_an_append_is_framed_and_brings_its_place(void **state)
{
	static const uint64_t features[] = {0, BIT64(VIRTIO_F_INDIRECT_DESC)};
	struct iovec iov[7];
	struct mock_chain c;
	uint64_t place;
	struct zoned z;
	struct tried t;
	le64 at;

	(void)state;
	for (unsigned f = 0; f < 2; f++) {
		zoned_run(&z, features[f]);
		for (unsigned i = 0; i < 7; i++)
			iov[i] = (struct iovec){z.mem + 2048 * i, i ? 1024 : 512};
		iov[5].iov_len = 512;
		/* All segments that the device takes, and one buffer more. */
		for (unsigned n = 1; n <= 6; n += 5) {
			tried_init(&t);
			place = 1;
			ringside_zone_appendv(z.q, &t.req, ZONE, n == 6 ? iov : iov + 1, n, &place);
			c = shown(&z, VIRTIO_BLK_T_ZONE_APPEND, ZONE_SECTORS);
			assert_int_equal(c.n, n + 3);
			assert_int_equal(c.readable, n + 1);
			assert_int_equal(c.bufs[n + 1].len, 8);
			at = le64_make(ZONE_SECTORS + 182);
			memcpy(c.bufs[n + 1].p, &at, sizeof(at));
			assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 9), 0);
			assert_int_equal(place, ZONE + 182 * 512);
		}
		tried_init(&t);
		ringside_zone_appendv(z.q, &t.req, ZONE, iov, 7, &place);
		assert_int_equal(refused(&z, &t), -EINVAL);
		/* Nobody wants to know. */
		tried_init(&t);
		ringside_zone_append(z.q, &t.req, 0, z.mem, GRANULARITY, NULL);
		c = shown(&z, VIRTIO_BLK_T_ZONE_APPEND, 0);
		memset(c.bufs[2].p, 0, 8);
		assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, 9), 0);
		mock_close(&z.m, &z.d);
	}
}

static void an_append_keeps_to_the_limits(void **state)
{
	static const struct {
		uint64_t zone;
		size_t len;
	} wrong[] = {
		{512, 1024},
		{0, 0},
		{0, 512},
		{0, 1536},
		{0, (APPEND_MAX + 2) * 512},
		{(uint64_t)(LAST + 1) * ZONE, 1024},
	};
	struct zoned z;
	struct tried t;
	uint64_t place = 5;

	(void)state;
	zoned_run(&z, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		tried_init(&t);
		ringside_zone_append(z.q, &t.req, wrong[i].zone, z.mem, wrong[i].len, &place);
		assert_int_equal(refused(&z, &t), -EINVAL);
	}
	tried_init(&t);
	ringside_zone_append(z.q, &t.req, 0, &place, 1024, &place);
	assert_int_equal(refused(&z, &t), -EFAULT);
	assert_int_equal(place, 5);
	mock_close(&z.m, &z.d);
}

static void an_append_is_not_believed_a_place_outside_its_zone(void **state)
{
	static const struct {
		uint64_t at;
		uint32_t used;
		int result;
	} answers[] = {
		{ZONE_SECTORS, 9, 0},
		{2 * ZONE_SECTORS - 2, 9, 0},
		{2 * ZONE_SECTORS - 1, 9, -EPROTO},
		{2 * ZONE_SECTORS, 9, -EPROTO},
		{ZONE_SECTORS - 1, 9, -EPROTO},
		{0, 9, -EPROTO},
		{UINT64_MAX, 9, -EPROTO},
		{ZONE_SECTORS, 1, -EPROTO},
		{ZONE_SECTORS, 7, -EPROTO},
	};
	struct mock_chain c;
	struct zoned z;
	struct tried t;

	(void)state;
	zoned_run(&z, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(answers); i++) {
		uint64_t place = 5;
		le64 at = le64_make(answers[i].at);

		tried_init(&t);
		ringside_zone_append(z.q, &t.req, ZONE, z.mem, 1024, &place);
		c = shown(&z, VIRTIO_BLK_T_ZONE_APPEND, ZONE_SECTORS);
		memcpy(c.bufs[2].p, &at, sizeof(at));
		assert_int_equal(answered(&z, &t, &c, VIRTIO_BLK_S_OK, answers[i].used),
				 answers[i].result);
		assert_int_equal(place, answers[i].result ? 5 : answers[i].at * 512);
	}
	mock_close(&z.m, &z.d);
}

/* What the device has seen it may have done; what it has not seen goes out after all. */
static void an_append_is_never_sent_twice(void **state)
{
	struct tried append[8], raw, write;
	struct mock_chain c;
	struct iovec iov[2];
	struct zoned z;
	unsigned seen = 0, sent = 0;

	(void)state;
	zoned_run(&z, 0);
	tried_init(&raw);
	tried_init(&write);
	iov[0] = (struct iovec){z.mem, 1024};
	iov[1] = (struct iovec){z.mem + 4096, 8};
	ringside_raw(z.q, &raw.req, VIRTIO_BLK_T_ZONE_APPEND, 0, iov, 1, 1);
	ringside_write(z.q, &write.req, 0, z.mem, 1024);
	/* A ring of 16: not all of them fit. */
	for (unsigned i = 0; i < ARRAY_SIZE(append); i++) {
		tried_init(&append[i]);
		ringside_zone_append(z.q, &append[i].req, 0, z.mem, 1024, NULL);
	}
	ringside_commit(z.q);
	while (mock_pop(&z.m, 0, &c))
		seen++;
	assert_true(seen > 2 && seen < 2 + ARRAY_SIZE(append));
	assert_int_equal(ringside_reconnect(z.d, NULL), 0);
	assert_int_equal(ringside_poll(z.q, 0), seen - 1);
	assert_int_equal(raw.result, -EIO);
	assert_int_equal(raw.req.status, RINGSIDE_STATUS_NONE);
	assert_int_equal(write.times, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(append); i++) {
		assert_int_equal(append[i].times, i < seen - 2);
		if (append[i].times)
			assert_int_equal(append[i].result, -EIO);
	}
	while (mock_pop(&z.m, 0, &c)) {
		sent++;
		mock_answer(&z.m, 0, &c, 0, VIRTIO_BLK_S_OK);
		assert_int_equal(ringside_poll(z.q, 0), 1);
	}
	/* The write again, and each append that had waited. */
	assert_int_equal(sent, 1 + 2 + ARRAY_SIZE(append) - seen);
	assert_int_equal(write.result, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(append); i++)
		assert_int_equal(append[i].times, 1);
	mock_close(&z.m, &z.d);
}

/* Who had zones when the report was asked for, and is found again without. */
static void zones_that_are_gone_are_no_report(void **state)
{
	const struct virtio_blk_zone_descriptor told = descriptor(
		0, VIRTIO_BLK_ZT_SWR, VIRTIO_BLK_ZS_EMPTY, ZONE_SECTORS, 0);
	struct ringside_zone zone;
	struct mock_chain c;
	struct tried report, again;
	struct zoned z;
	unsigned n = 1;

	(void)state;
	zoned_run(&z, 0);
	tried_init(&report);
	ringside_zone_report(z.q, &report.req, 0, &zone, &n);
	shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 0);
	z.m.config[MOCK_FIELD(zone_model)] = VIRTIO_BLK_Z_NONE;
	mock_config32(&z.m, MOCK_FIELD(zone_sectors), 0);
	assert_int_equal(ringside_reconnect(z.d, NULL), 0);
	c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 0);
	put_report(&c, 1, &told, 1);
	assert_int_equal(answered(&z, &report, &c, VIRTIO_BLK_S_OK, 129), -EPROTO);
	tried_init(&again);
	ringside_zone_report(z.q, &again.req, 0, &zone, &n);
	assert_int_equal(refused(&z, &again), -ENOTSUP);
	mock_close(&z.m, &z.d);
}

static void zones_of_who_has_none(void **state)
{
	static const struct {
		uint64_t off;
		uint8_t model;
		uint32_t append;
		uint64_t more;
		int command, append_result, report;
	} disks[] = {
		/* Not agreed on; a disk that manages itself; a read-only one; one without appends. */
		{HAS(ZONED), VIRTIO_BLK_Z_HA, APPEND_MAX, 0, -ENOTSUP, -ENOTSUP, -ENOTSUP},
		{0, VIRTIO_BLK_Z_NONE, APPEND_MAX, 0, -ENOTSUP, -ENOTSUP, -ENOTSUP},
		{0, VIRTIO_BLK_Z_HM, APPEND_MAX, HAS(RO), -EROFS, -EROFS, 0},
		{0, VIRTIO_BLK_Z_HM, 0, 0, 0, -ENOTSUP, 0},
	};
	struct ringside_zone zone;
	struct mock_chain c;
	struct zoned z;
	struct tried t;
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		struct ringside_options o = {.zoned = true, .features_off = disks[i].off};

		zoned_init(&z.m);
		z.m.offered |= disks[i].more;
		z.m.config[MOCK_FIELD(zone_model)] = disks[i].model;
		mock_config32(&z.m, MOCK_FIELD(max_append_sectors), disks[i].append);
		z.d = mock_run(&z.m, &o, 4096, &z.mem);
		z.q = ringside_queue(z.d, 0);
		tried_init(&t);
		ringside_zone_append(z.q, &t.req, 0, z.mem, 1024, NULL);
		assert_int_equal(refused(&z, &t), disks[i].append_result);
		tried_init(&t);
		ringside_zone_reset_all(z.q, &t.req);
		if (disks[i].command) {
			assert_int_equal(refused(&z, &t), disks[i].command);
		} else {
			c = shown(&z, VIRTIO_BLK_T_ZONE_RESET_ALL, 0);
			answered(&z, &t, &c, VIRTIO_BLK_S_OK, 1);
		}
		tried_init(&t);
		n = 1;
		ringside_zone_report(z.q, &t.req, 0, &zone, &n);
		if (disks[i].report) {
			assert_int_equal(refused(&z, &t), disks[i].report);
		} else {
			c = shown(&z, VIRTIO_BLK_T_ZONE_REPORT, 0);
			answered(&z, &t, &c, VIRTIO_BLK_S_IOERR, 1);
		}
		/* No room, and behind the end. */
		tried_init(&t);
		n = 0;
		ringside_zone_report(z.q, &t.req, 0, &zone, &n);
		assert_int_equal(refused(&z, &t), disks[i].report ? disks[i].report : -EINVAL);
		tried_init(&t);
		n = 1;
		ringside_zone_report(z.q, &t.req, SECTORS * 512, &zone, &n);
		assert_int_equal(refused(&z, &t), disks[i].report ? disks[i].report : -EINVAL);
		mock_close(&z.m, &z.d);
	}
}

static void zones_that_cannot_be_are_no_disk(void **state)
{
	static const struct {
		uint8_t model;
		uint32_t sectors, granularity;
		int rc;
	} disks[] = {
		{3, ZONE_SECTORS, GRANULARITY, -EPROTO},
		{1, 0, GRANULARITY, -EPROTO},
		{1, ZONE_SECTORS, 513, -EPROTO},
		{2, 0, GRANULARITY, -EPROTO},
		{1, ZONE_SECTORS, 256, -EPROTO},
		{0, 0, 513, 0},
		{1, ZONE_SECTORS, 0, 0},
		{2, ZONE_SECTORS, GRANULARITY, 0},
	};
	struct ringside_info info;
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		zoned_init(&m);
		m.config[MOCK_FIELD(zone_model)] = disks[i].model;
		mock_config32(&m, MOCK_FIELD(zone_sectors), disks[i].sectors);
		mock_config32(&m, MOCK_FIELD(write_granularity), disks[i].granularity);
		assert_int_equal(mock_open(&m, &options, &d), disks[i].rc);
		if (disks[i].rc) {
			assert_null(m.breach);
			continue;
		}
		ringside_get_info(d, &info);
		assert_int_equal(info.zone_model, disks[i].model);
		if (info.zone_model)
			assert_int_equal(info.write_granularity,
					 disks[i].granularity ? disks[i].granularity : 512);
		mock_close(&m, &d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk_g_11_a_report_is_asked_within_the_first_zone_and_decoded),
		cmocka_unit_test(a_report_that_cannot_be_is_no_report),
		cmocka_unit_test(a_report_obeys_the_largest_buffer),
		cmocka_unit_test(reports_wait_for_a_buffer),
		cmocka_unit_test(blk_g_11_commands_name_a_zone_by_its_first_sector),
		cmocka_unit_test(answers_of_zones_are_told_apart),
		cmocka_unit_test(blk_g_11_an_append_is_framed_and_brings_its_place),
		cmocka_unit_test(an_append_keeps_to_the_limits),
		cmocka_unit_test(an_append_is_not_believed_a_place_outside_its_zone),
		cmocka_unit_test(an_append_is_never_sent_twice),
		cmocka_unit_test(zones_that_are_gone_are_no_report),
		cmocka_unit_test(zones_of_who_has_none),
		cmocka_unit_test(zones_that_cannot_be_are_no_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
