/* SPDX-License-Identifier: MIT */
/* zoned: what the standard (virtio 1.4, 5.2.6) says of zones, at the storage. */
#include "storage/layer/zoned_rig_test.h"

static void a_disk_of_zones_says_so(void **state)
{
	struct storage_zoned_options o = zoned_plain;
	struct storage_zone z[ZONES + 1];
	const struct storage_limits *l;
	struct rig rig;

	(void)state;
	o.max_open = 3;
	o.max_active = 5;
	zoned_open(&rig, &o);
	l = storage_limits(rig.s);
	assert_string_equal(storage_kind(rig.s), "zoned");
	assert_int_equal(l->zones.size, ZONE);
	assert_int_equal(l->zones.max_open, 3);
	assert_int_equal(l->zones.max_active, 5);
	assert_int_equal(l->zones.max_append, 4 * BLOCK);
	assert_int_equal(l->zones.write_granularity, BLOCK);
	assert_int_equal(l->max_discard, 0);
	assert_int_equal(zone_report(&rig, 0, z, ZONES + 1), ZONES);
	for (uint32_t i = 0; i < ZONES; i++) {
		bool last = i == ZONES - 1;

		assert_int_equal(z[i].start, at(i, 0));
		assert_int_equal(z[i].size, last ? ZONE - 6 * BLOCK : ZONE);
		assert_int_equal(z[i].capacity, i < FIRST ? ZONE : last ? 10 * BLOCK : CAP);
		assert_int_equal(z[i].type,
				 i < FIRST ? STORAGE_ZONE_CONVENTIONAL : STORAGE_ZONE_SEQUENTIAL);
		assert_int_equal(z[i].condition,
				 i < FIRST ? STORAGE_ZONE_NOT_WP : STORAGE_ZONE_EMPTY);
		if (i >= FIRST)
			assert_int_equal(z[i].wp, z[i].start);
	}
	assert_int_equal(zone_report(&rig, at(5, 1), z, 2), 2);
	assert_int_equal(z[0].start, at(5, 0));
	assert_int_equal(rig_do(&rig, STORAGE_DISCARD, 0, 0, ZONE), -EOPNOTSUPP);
	rig_close(&rig);
}

static void conventional_zones_are_as_any_disk(void **state)
{
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(zone_write(&rig, 0, 14, 4, 1), 0);
	assert_int_equal(zone_write(&rig, 0, 3, 2, 2), 0);
	zone_reads(&rig, 0, 14, 4, 1);
	zone_reads(&rig, 0, 3, 2, 2);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, at(0, 3), BLOCK), 0);
	zone_reads(&rig, 0, 3, 1, 0);
	/* BLK-D-24: out of them into another is a border as any. */
	assert_int_equal(zone_write(&rig, 1, 15, 2, 1), -STORAGE_EZONE_COMMAND);
	rig_close(&rig);
}

static void blk_d_25_writes_are_at_the_write_pointer(void **state)
{
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(zone_write(&rig, 2, 1, 1, 1), -STORAGE_EZONE_UNALIGNED);
	zone_is(&rig, 2, STORAGE_ZONE_EMPTY, 0);
	assert_int_equal(zone_write(&rig, 2, 0, 2, 1), 0);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 2);
	assert_int_equal(zone_write(&rig, 2, 0, 1, 1), -STORAGE_EZONE_UNALIGNED);
	assert_int_equal(zone_write(&rig, 2, 3, 1, 1), -STORAGE_EZONE_UNALIGNED);
	assert_int_equal(zone_write(&rig, 2, 2, 1, 2), 0);
	zone_reads(&rig, 2, 0, 2, 1);
	zone_reads(&rig, 2, 2, 1, 2);
	/* Zeroes are written, too. */
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, at(2, 1), BLOCK),
			 -STORAGE_EZONE_UNALIGNED);
	assert_int_equal(rig_do(&rig, STORAGE_WRITE_ZEROES, 0, at(2, 3), BLOCK), 0);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 4);
	rig_close(&rig);
}

static void blk_g_11_writes_are_whole_granules(void **state)
{
	static uint8_t buf[BLOCK];
	struct rig rig;
	uint64_t where;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, at(2, 0), buf, 512),
			 -STORAGE_EZONE_UNALIGNED);
	assert_int_equal(zone_append_to(&rig, at(2, 0), 512, 1, &where), -STORAGE_EZONE_UNALIGNED);
	zone_is(&rig, 2, STORAGE_ZONE_EMPTY, 0);
	rig_close(&rig);
}

static void blk_d_21_nothing_beyond_the_capacity(void **state)
{
	struct rig rig;
	uint64_t where;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(zone_write(&rig, 2, 0, 13, 1), -STORAGE_EZONE_COMMAND);
	zone_is(&rig, 2, STORAGE_ZONE_EMPTY, 0);
	assert_int_equal(zone_write(&rig, 2, 0, 10, 1), 0);
	assert_int_equal(zone_append_to(&rig, at(2, 0), 3 * BLOCK, 1, &where),
			 -STORAGE_EZONE_COMMAND);
	assert_int_equal(zone_write(&rig, 2, 10, 3, 1), -STORAGE_EZONE_COMMAND);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 10);
	assert_int_equal(zone_write(&rig, 2, 10, 2, 1), 0);
	zone_is(&rig, 2, STORAGE_ZONE_FULL, 0);
	assert_int_equal(zone_write(&rig, 2, 12, 1, 1), -STORAGE_EZONE_COMMAND);
	assert_int_equal(zone_append_to(&rig, at(2, 0), BLOCK, 1, &where), -STORAGE_EZONE_COMMAND);
	/* The last zone is shorter. */
	assert_int_equal(zone_write(&rig, 7, 0, 10, 1), 0);
	zone_is(&rig, 7, STORAGE_ZONE_FULL, 0);
	rig_close(&rig);
}

static void blk_d_24_nothing_crosses_a_border(void **state)
{
	static uint8_t buf[4 * BLOCK];
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at(2, 14), buf, 4 * BLOCK),
			 -STORAGE_EZONE_COMMAND);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at(1, 14), buf, 4 * BLOCK),
			 -STORAGE_EZONE_COMMAND);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at(0, 14), buf, 4 * BLOCK), 0);
	assert_int_equal(zone_write(&rig, 2, 14, 4, 1), -STORAGE_EZONE_COMMAND);
	rig_close(&rig);
}

static void blk_d_27_behind_the_write_pointer_are_zeroes(void **state)
{
	static uint8_t buf[6 * BLOCK];
	struct iovec iov[] = {{buf, 512}, {buf + 512, 3 * BLOCK - 512}, {buf + 3 * BLOCK, BLOCK}};
	const struct iovec was[] = {iov[0], iov[1], iov[2]};
	struct waited w = {.io = {.op = STORAGE_READ,
				  .offset = at(2, 1),
				  .len = 4 * BLOCK,
				  .iov = iov,
				  .iovcnt = 3}};
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	zone_reads(&rig, 2, 0, 16, 0);
	/* What is below is not what is read. */
	assert_int_equal(zone_write(&rig, 2, 0, 12, 7), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_RESET, 2), 0);
	zone_reads(&rig, 2, 0, 16, 0);
	assert_int_equal(zone_write(&rig, 2, 0, 3, 8), 0);
	memset(buf, 0x5a, sizeof(buf));
	rig_start(&rig, &w);
	assert_int_equal(rig_wait(&rig, &w), 0);
	assert_true(all_bytes_are(buf, 8, 2 * BLOCK));
	assert_true(all_bytes_are(buf + 2 * BLOCK, 0, 2 * BLOCK));
	assert_true(all_bytes_are(buf + 4 * BLOCK, 0x5a, 2 * BLOCK));
	assert_memory_equal(iov, was, sizeof(iov));
	/* A zone that was finished is no other. */
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_FINISH, 2), 0);
	zone_is(&rig, 2, STORAGE_ZONE_FULL, 0);
	zone_reads(&rig, 2, 0, 3, 8);
	zone_reads(&rig, 2, 3, 13, 0);
	rig_close(&rig);
}

static void blk_d_18_22_23_appends_say_where(void **state)
{
	struct storage_zoned_options o = zoned_plain;
	struct rig rig;
	uint64_t where;

	(void)state;
	zoned_open(&rig, &o);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(zone_append_to(&rig, at(3, 0), 4 * BLOCK, (int)i + 1, &where), 0);
		assert_int_equal(where, at(3, i * 4));
		zone_reads(&rig, 3, i * 4, 4, (int)i + 1);
	}
	zone_is(&rig, 3, STORAGE_ZONE_FULL, 0);
	assert_int_equal(zone_append_to(&rig, at(4, 1), BLOCK, 1, &where), -STORAGE_EZONE_COMMAND);
	assert_int_equal(zone_append_to(&rig, at(1, 0), BLOCK, 1, &where), -STORAGE_EZONE_COMMAND);
	assert_int_equal(zone_append_to(&rig, at(4, 0), 5 * BLOCK, 1, &where),
			 -STORAGE_EZONE_COMMAND);
	assert_int_equal(zone_append_to(&rig, at(4, 0), 0, 1, &where), -STORAGE_EZONE_COMMAND);
	rig_close(&rig);
}

/* ---- commands ---- */

/* Zone 2 in each condition that it can have; with how much in it. */
static uint32_t bring(struct rig *rig, uint8_t condition)
{
	struct zone_map *t = &zoned_of(rig->s)->zones;

	switch (condition) {
	case STORAGE_ZONE_EMPTY:
		return 0;
	case STORAGE_ZONE_IMPLICIT:
		assert_int_equal(zone_write(rig, 2, 0, 2, 1), 0);
		return 2;
	case STORAGE_ZONE_EXPLICIT:
		assert_int_equal(zone_do(rig, STORAGE_ZONE_OPEN, 2), 0);
		return 0;
	case STORAGE_ZONE_CLOSED:
		assert_int_equal(zone_write(rig, 2, 0, 2, 1), 0);
		assert_int_equal(zone_do(rig, STORAGE_ZONE_CLOSE, 2), 0);
		return 2;
	case STORAGE_ZONE_FULL:
		assert_int_equal(zone_do(rig, STORAGE_ZONE_FINISH, 2), 0);
		return 0;
	default:
		/* What a disk becomes by its age. */
		t->zone[2].condition = condition;
		return 0;
	}
}

#define NOT -STORAGE_EZONE_COMMAND

static void blk_d_17_19_26_each_command_in_each_condition(void **state)
{
	static const struct {
		uint8_t from;
		struct {
			int rc;
			uint8_t to;
		} open, close, finish, reset, write;
	} rows[] = {
		{STORAGE_ZONE_EMPTY,
		 {0, STORAGE_ZONE_EXPLICIT},
		 {NOT, STORAGE_ZONE_EMPTY},
		 {0, STORAGE_ZONE_FULL},
		 {0, STORAGE_ZONE_EMPTY},
		 {0, STORAGE_ZONE_IMPLICIT}},
		{STORAGE_ZONE_IMPLICIT,
		 {0, STORAGE_ZONE_EXPLICIT},
		 {0, STORAGE_ZONE_CLOSED},
		 {0, STORAGE_ZONE_FULL},
		 {0, STORAGE_ZONE_EMPTY},
		 {0, STORAGE_ZONE_IMPLICIT}},
		{STORAGE_ZONE_EXPLICIT,
		 {0, STORAGE_ZONE_EXPLICIT},
		 {0, STORAGE_ZONE_EMPTY}, /* nothing is in it */
		 {0, STORAGE_ZONE_FULL},
		 {0, STORAGE_ZONE_EMPTY},
		 {0, STORAGE_ZONE_EXPLICIT}},
		{STORAGE_ZONE_CLOSED,
		 {0, STORAGE_ZONE_EXPLICIT},
		 {0, STORAGE_ZONE_CLOSED},
		 {0, STORAGE_ZONE_FULL},
		 {0, STORAGE_ZONE_EMPTY},
		 {0, STORAGE_ZONE_IMPLICIT}},
		{STORAGE_ZONE_FULL,
		 {NOT, STORAGE_ZONE_FULL},
		 {NOT, STORAGE_ZONE_FULL},
		 {0, STORAGE_ZONE_FULL},
		 {0, STORAGE_ZONE_EMPTY},
		 {NOT, STORAGE_ZONE_FULL}},
		{STORAGE_ZONE_READONLY,
		 {NOT, STORAGE_ZONE_READONLY},
		 {NOT, STORAGE_ZONE_READONLY},
		 {NOT, STORAGE_ZONE_READONLY},
		 {NOT, STORAGE_ZONE_READONLY},
		 {NOT, STORAGE_ZONE_READONLY}},
		{STORAGE_ZONE_OFFLINE,
		 {NOT, STORAGE_ZONE_OFFLINE},
		 {NOT, STORAGE_ZONE_OFFLINE},
		 {NOT, STORAGE_ZONE_OFFLINE},
		 {NOT, STORAGE_ZONE_OFFLINE},
		 {NOT, STORAGE_ZONE_OFFLINE}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned what = 0; what < 5; what++) {
			struct storage_zone z;
			struct rig rig;
			uint32_t n;
			int rc, want;
			uint8_t to;

			zoned_open(&rig, &zoned_plain);
			n = bring(&rig, rows[i].from);
			zone_is(&rig, 2, rows[i].from, n);
#define DO(field, op) (rc = op, want = rows[i].field.rc, to = rows[i].field.to)
			if (what == 0)
				DO(open, zone_do(&rig, STORAGE_ZONE_OPEN, 2));
			else if (what == 1)
				DO(close, zone_do(&rig, STORAGE_ZONE_CLOSE, 2));
			else if (what == 2)
				DO(finish, zone_do(&rig, STORAGE_ZONE_FINISH, 2));
			else if (what == 3)
				DO(reset, zone_do(&rig, STORAGE_ZONE_RESET, 2));
			else
				DO(write, zone_write(&rig, 2, n, 1, 3));
#undef DO
			assert_int_equal(rc, want);
			zone_report(&rig, at(2, 0), &z, 1);
			assert_int_equal(z.condition, to);
			rc = rig_do(&rig, STORAGE_ZONE_OPEN, 0, at(1, 0), 0);
			assert_int_equal(rc, -STORAGE_EZONE_COMMAND);
			rig_close(&rig);
		}
	}
}

static void blk_d_17_not_on_conventional_zones_nor_inside(void **state)
{
	static const enum storage_op ops[] = {STORAGE_ZONE_OPEN, STORAGE_ZONE_CLOSE,
					      STORAGE_ZONE_FINISH, STORAGE_ZONE_RESET};
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		assert_int_equal(zone_do(&rig, ops[i], 0), -STORAGE_EZONE_COMMAND);
		assert_int_equal(rig_do(&rig, ops[i], 0, at(3, 1), 0), -STORAGE_EZONE_COMMAND);
		assert_int_equal(rig_do(&rig, ops[i], 0, DISK, 0), -STORAGE_EZONE_COMMAND);
		assert_int_equal(rig_do(&rig, ops[i], 0, DISK + ZONE, 0), -EINVAL);
		zone_is(&rig, 3, STORAGE_ZONE_EMPTY, 0);
	}
	/* Nobody owns a zone any more. */
	assert_int_equal(zone_write(&rig, 3, 0, 1, 1), 0);
	assert_int_equal(rig_do(&rig, STORAGE_ZONE_RESET_ALL, 0, 0, 0), 0);
	rig_close(&rig);
}

static void blk_d_26_an_offline_zone_is_not_read_either(void **state)
{
	static uint8_t buf[BLOCK];
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	bring(&rig, STORAGE_ZONE_OFFLINE);
	assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at(2, 0), buf, BLOCK),
			 -STORAGE_EZONE_COMMAND);
	assert_int_equal(rig_do(&rig, STORAGE_ZONE_RESET_ALL, 0, 0, 0), 0);
	zone_is(&rig, 2, STORAGE_ZONE_OFFLINE, 0);
	rig_close(&rig);
}

static void reset_all_takes_what_has_a_pointer(void **state)
{
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(zone_write(&rig, 0, 0, 4, 9), 0);
	assert_int_equal(zone_write(&rig, 2, 0, 4, 1), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_FINISH, 3), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 4), 0);
	assert_int_equal(rig_do(&rig, STORAGE_ZONE_RESET_ALL, 0, 0, 0), 0);
	for (uint32_t i = FIRST; i < ZONES; i++)
		zone_is(&rig, i, STORAGE_ZONE_EMPTY, 0);
	assert_int_equal(zoned_of(rig.s)->zones.active, 0);
	zone_reads(&rig, 0, 0, 4, 9);
	rig_close(&rig);
}

static void blk_d_20_open_and_active_zones_are_limited(void **state)
{
	struct storage_zoned_options o = zoned_plain;
	struct rig rig;
	uint64_t where;

	(void)state;
	o.max_open = 2;
	o.max_active = 3;
	zoned_open(&rig, &o);
	/* The oldest implicitly open zone makes room. */
	assert_int_equal(zone_write(&rig, 2, 0, 1, 1), 0);
	assert_int_equal(zone_write(&rig, 3, 0, 1, 1), 0);
	assert_int_equal(zone_write(&rig, 4, 0, 1, 1), 0);
	zone_is(&rig, 2, STORAGE_ZONE_CLOSED, 1);
	zone_is(&rig, 3, STORAGE_ZONE_IMPLICIT, 1);
	/* Three are active. */
	assert_int_equal(zone_write(&rig, 5, 0, 1, 1), -STORAGE_EZONE_ACTIVE);
	assert_int_equal(zone_append_to(&rig, at(5, 0), BLOCK, 1, &where), -STORAGE_EZONE_ACTIVE);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 5), -STORAGE_EZONE_ACTIVE);
	zone_is(&rig, 5, STORAGE_ZONE_EMPTY, 0);
	zone_is(&rig, 3, STORAGE_ZONE_IMPLICIT, 1);
	/* Two are open by name: nobody makes room. */
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 3), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 4), 0);
	assert_int_equal(zone_write(&rig, 2, 1, 1, 1), -STORAGE_EZONE_OPEN);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 2), -STORAGE_EZONE_OPEN);
	zone_is(&rig, 2, STORAGE_ZONE_CLOSED, 1);
	/* Both limits: the active ones are named. */
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 5), -STORAGE_EZONE_ACTIVE);
	/* A full zone and an empty one take up nothing. */
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_FINISH, 3), 0);
	assert_int_equal(zone_write(&rig, 2, 1, 1, 1), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_RESET, 2), 0);
	assert_int_equal(zone_write(&rig, 5, 0, 12, 1), 0);
	zone_is(&rig, 5, STORAGE_ZONE_FULL, 0);
	assert_int_equal(zone_write(&rig, 6, 0, 1, 1), 0);
	assert_int_equal(zoned_of(rig.s)->zones.active, 2);
	assert_int_equal(zoned_of(rig.s)->zones.open, 2);
	rig_close(&rig);
}

/* ---- several at once ---- */

struct batch {
	struct waited w[8];
	struct storage_zone_reply reply[8];
	struct iovec iov[8];
	uint8_t buf[8][BLOCK];
};

static void batch_start(struct rig *rig, struct batch *b, unsigned i, enum storage_op op,
			uint64_t offset, int value)
{
	memset(b->buf[i], value, BLOCK);
	b->iov[i] = (struct iovec){b->buf[i], BLOCK};
	b->w[i] = (struct waited){
		.io = {.op = op,
		       .offset = offset,
		       .len = op == STORAGE_APPEND || op == STORAGE_WRITE ? BLOCK : 0,
		       .iov = &b->iov[i],
		       .iovcnt = 1,
		       .zone = &b->reply[i]}};
	rig_start(rig, &b->w[i]);
}

/* Faults come late, so that more can be under way. */
static void open_slow(struct rig *rig, const char *rules)
{
	static char copy[256], target[32];

	snprintf(copy, sizeof(copy), "%s", rules);
	snprintf(target, sizeof(target), "memory:%u", DISK);
	zoned_open_on(rig, target, &zoned_plain, copy);
}

static void writes_follow_each_other_in_flight(void **state)
{
	static struct batch b;
	struct rig rig;

	(void)state;
	open_slow(&rig, "delay:op=write:ms=5");
	for (unsigned i = 0; i < 4; i++)
		batch_start(&rig, &b, i, STORAGE_WRITE, at(2, i), (int)i + 1);
	for (unsigned i = 4; i < 8; i++)
		batch_start(&rig, &b, i, STORAGE_APPEND, at(2, 0), (int)i + 1);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 8);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(rig_wait(&rig, &b.w[i]), 0);
		zone_reads(&rig, 2, i, 1, (int)i + 1);
		if (i >= 4)
			assert_int_equal(b.reply[i].position, at(2, i));
	}
	rig_close(&rig);
}

static void a_reset_waits_for_writes_and_they_for_it(void **state)
{
	static struct batch b;
	struct rig rig;

	(void)state;
	for (unsigned all = 0; all < 2; all++) {
		open_slow(&rig, "delay:op=write:ms=5;delay:op=discard:ms=5");
		batch_start(&rig, &b, 0, STORAGE_WRITE, at(2, 0), 1);
		batch_start(&rig, &b, 1, all ? STORAGE_ZONE_RESET_ALL : STORAGE_ZONE_RESET,
			    all ? 0 : at(2, 0), 0);
		batch_start(&rig, &b, 2, STORAGE_WRITE, at(2, 0), 2);
		batch_start(&rig, &b, 3, STORAGE_APPEND, at(2, 0), 3);
		batch_start(&rig, &b, 4, STORAGE_ZONE_FINISH, at(2, 0), 0);
		assert_false(b.w[0].over || b.w[1].over || b.w[2].over);
		for (unsigned i = 0; i < 5; i++)
			assert_int_equal(rig_wait(&rig, &b.w[i]), 0);
		assert_int_equal(b.reply[3].position, at(2, 1));
		zone_is(&rig, 2, STORAGE_ZONE_FULL, 0);
		zone_reads(&rig, 2, 0, 1, 2);
		zone_reads(&rig, 2, 1, 1, 3);
		zone_reads(&rig, 2, 2, 10, 0);
		rig_close(&rig);
	}
}

static void a_drain_ends_with_what_waits_for_a_zone(void **state)
{
	static struct batch b;
	struct rig rig;

	(void)state;
	open_slow(&rig, "hang:op=write");
	batch_start(&rig, &b, 0, STORAGE_WRITE, at(2, 0), 1);
	batch_start(&rig, &b, 1, STORAGE_ZONE_RESET, at(2, 0), 0);
	batch_start(&rig, &b, 2, STORAGE_WRITE, at(2, 0), 2);
	storage_drain(rig.ch, NULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(rig_wait(&rig, &b.w[i]), 0);
	zone_reads(&rig, 2, 0, 1, 2);
	rig_close(&rig);
}

static void a_write_that_fails_takes_its_pointer_back(void **state)
{
	static struct batch b;
	struct rig rig;
	uint64_t where;

	(void)state;
	open_slow(&rig, "error:op=write:times=1;torn:op=write:times=1:errno=ENOSPC");
	assert_int_equal(zone_append_to(&rig, at(2, 0), BLOCK, 1, &where), -EIO);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 0);
	assert_int_equal(zone_append_to(&rig, at(2, 0), 2 * BLOCK, 1, &where), -ENOSPC);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 0);
	zone_reads(&rig, 2, 0, 4, 0);
	assert_int_equal(zone_append_to(&rig, at(2, 0), BLOCK, 2, &where), 0);
	assert_int_equal(where, at(2, 0));
	rig_close(&rig);

	/* The pointer goes back at once, and the next one follows there. */
	open_slow(&rig, "error:op=write:after=1:times=1;delay:op=write:ms=5");
	for (unsigned i = 0; i < 3; i++)
		batch_start(&rig, &b, i, STORAGE_APPEND, at(2, 0), (int)i + 1);
	assert_int_equal(rig_wait(&rig, &b.w[0]), 0);
	assert_int_equal(rig_wait(&rig, &b.w[1]), -EIO);
	assert_int_equal(rig_wait(&rig, &b.w[2]), 0);
	assert_int_equal(b.reply[2].position, at(2, 1));
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 2);
	zone_reads(&rig, 2, 0, 1, 1);
	zone_reads(&rig, 2, 1, 1, 3);
	rig_close(&rig);

	/* All behind the first fail, the last one first: nothing is left of them. */
	open_slow(&rig, "delay:op=write:times=1:ms=5;error:op=write");
	for (unsigned i = 0; i < 3; i++)
		batch_start(&rig, &b, i, STORAGE_WRITE, at(2, i), (int)i + 1);
	assert_int_equal(rig_wait(&rig, &b.w[0]), 0);
	assert_int_not_equal(rig_wait(&rig, &b.w[1]), 0);
	assert_int_not_equal(rig_wait(&rig, &b.w[2]), 0);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 1);
	zone_reads(&rig, 2, 1, 4, 0);
	rig_close(&rig);
}

/* Three in a row end in each order, each well or not: nothing that succeeded lies behind the pointer,
 * and in the end nothing that failed in front of it, unless a success is behind that. */
static void the_pointer_tells_the_truth_after_each_end(void **state)
{
	static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
					     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

	(void)state;
	for (unsigned k = 0; k < 6 * 8; k++) {
		struct zone_map t = {.limits = {.size = ZONE, .write_granularity = BLOCK},
				     .disk_size = DISK,
				     .capacity = CAP,
				     .n = ZONES,
				     .conventional = FIRST};
		const uint8_t *order = orders[k / 8];
		struct zone_write w[3];
		uint64_t best = 0, done;
		uint32_t closed;
		uint8_t condition;

		assert_int_equal(zone_map_init(&t), 0);
		for (unsigned i = 0; i < 3; i++) {
			w[i] = (struct zone_write){
				.i = 2, .at = ZONES_APPEND, .len = (i + 1) * BLOCK};
			assert_int_equal(zone_map_write_begin(&t, &w[i], &closed), 0);
		}
		for (unsigned i = 0; i < 3; i++) {
			const struct zone_write *one = &w[order[i]];
			bool fails = k & 1u << order[i];

			if (!fails) {
				best = max_u64(best, one->at + one->len);
				zone_map_write_forecast(&t, one, &done, &condition);
				assert_int_equal(done, best);
			}
			zone_map_write_end(&t, one, fails ? -EIO : 0);
			assert_int_equal(t.zone[2].done, best);
			assert_true(t.zone[2].wp >= best);
		}
		assert_int_equal(t.zone[2].wp, best);
		assert_int_equal(t.zone[2].in_flight, 0);
		assert_int_equal(t.in_flight, 0);
		zone_map_fini(&t);
	}
}

static void what_comes_again_of_a_record_succeeds(void **state)
{
	static uint8_t buf[2 * BLOCK];
	struct rig rig;

	(void)state;
	zoned_open(&rig, &zoned_plain);
	assert_int_equal(zone_write(&rig, 2, 0, 4, 1), 0);
	memset(buf, 1, sizeof(buf));
	/* It was done already. */
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_AGAIN, at(2, 2), buf, 2 * BLOCK), 0);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 4);
	/* It was not. */
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_AGAIN, at(2, 4), buf, 2 * BLOCK), 0);
	zone_is(&rig, 2, STORAGE_ZONE_IMPLICIT, 6);
	assert_int_equal(rig_rw(&rig, STORAGE_WRITE, STORAGE_AGAIN, at(2, 5), buf, 2 * BLOCK),
			 -STORAGE_EZONE_UNALIGNED);
	zone_reads(&rig, 2, 0, 6, 1);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_OPEN, 3), 0);
	assert_int_equal(zone_do(&rig, STORAGE_ZONE_CLOSE, 3), 0);
	assert_int_equal(rig_do(&rig, STORAGE_ZONE_CLOSE, STORAGE_AGAIN, at(3, 0), 0), 0);
	rig_close(&rig);
}

/* ---- words ---- */

static void what_cannot_be_is_refused(void **state)
{
	static const struct {
		struct storage_zoned_options o;
		const char *target, *says;
	} bad[] = {
		{{.size = ZONE}, "memory:1M", "zoned=host-managed"},
		{{.model = 1, .size = ZONE, .conventional = 16}, "memory:1M", "at most 15"},
		{{.model = 1, .size = ZONE, .capacity = ZONE + BLOCK}, "memory:1M", "capacity"},
		{{.model = 1, .size = ZONE, .capacity = 512}, "memory:1M", "capacity"},
		{{.model = 1, .size = ZONE, .max_append = 2 * ZONE}, "memory:1M", "append"},
		{{.model = 1, .size = ZONE, .max_open = 3, .max_active = 2}, "memory:1M", "open"},
		{{.model = 1, .size = BLOCK}, "null:1T", "larger zone-size"},
		{{.model = 1, .state = (char *)"/nowhere/at/all"}, "memory:1M", "zone state"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct storage_options o = {.target = bad[i].target, .layers.zoned = bad[i].o};
		struct error err = {""};
		struct storage *s;

		assert_true(storage_open(&o, &s, &err) < 0);
		assert_null(s);
		if (!strstr(err.text, bad[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.text, bad[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_of_zones_says_so),
		cmocka_unit_test(conventional_zones_are_as_any_disk),
		cmocka_unit_test(blk_d_25_writes_are_at_the_write_pointer),
		cmocka_unit_test(blk_g_11_writes_are_whole_granules),
		cmocka_unit_test(blk_d_21_nothing_beyond_the_capacity),
		cmocka_unit_test(blk_d_24_nothing_crosses_a_border),
		cmocka_unit_test(blk_d_27_behind_the_write_pointer_are_zeroes),
		cmocka_unit_test(blk_d_18_22_23_appends_say_where),
		cmocka_unit_test(blk_d_17_19_26_each_command_in_each_condition),
		cmocka_unit_test(blk_d_17_not_on_conventional_zones_nor_inside),
		cmocka_unit_test(blk_d_26_an_offline_zone_is_not_read_either),
		cmocka_unit_test(reset_all_takes_what_has_a_pointer),
		cmocka_unit_test(blk_d_20_open_and_active_zones_are_limited),
		cmocka_unit_test(writes_follow_each_other_in_flight),
		cmocka_unit_test(a_reset_waits_for_writes_and_they_for_it),
		cmocka_unit_test(a_drain_ends_with_what_waits_for_a_zone),
		cmocka_unit_test(a_write_that_fails_takes_its_pointer_back),
		cmocka_unit_test(the_pointer_tells_the_truth_after_each_end),
		cmocka_unit_test(what_comes_again_of_a_record_succeeds),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests_name("storage/layer/zoned", tests, NULL, NULL);
}
