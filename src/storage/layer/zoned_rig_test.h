/* SPDX-License-Identifier: MIT */
/* What the tests of zoned disks share: a disk of small zones, and requests to it. */
#ifndef STORAGE_LAYER_ZONED_RIG_TEST_H
#define STORAGE_LAYER_ZONED_RIG_TEST_H

#include "storage/layer/faulty.h"
#include "storage/layer/zoned.h"
#include "storage/storage_test.h"

#include <errno.h>

#define BLOCK 4096u
#define ZONE  (16 * BLOCK)
#define CAP   (12 * BLOCK)
/* Two conventional zones, six sequential ones, the last one shorter. */
#define ZONES 8u
#define FIRST 2u
#define DISK  (ZONES * ZONE - 6 * BLOCK)

static const struct storage_zoned_options zoned_plain = {
	.model = 1, .size = ZONE, .capacity = CAP, .conventional = FIRST, .max_append = 4 * BLOCK};

/* On @target, perhaps with faults. */
static inline void zoned_open_on(struct rig *rig, const char *target,
				 const struct storage_zoned_options *z, char *rules)
{
	struct storage_options o = {
		.target = target, .disk = "disk7", .layers = {.zoned = *z, .faulty.rules = rules}};
	struct error err = {""};

	if (rig_open(rig, &o, false, &err))
		fail_msg("%s", err.text);
}

static inline void zoned_open(struct rig *rig, const struct storage_zoned_options *z)
{
	char target[32];

	snprintf(target, sizeof(target), "memory:%u", DISK);
	zoned_open_on(rig, target, z, NULL);
}

static inline uint64_t at(uint32_t zone, uint32_t block)
{
	return (uint64_t)zone * ZONE + (uint64_t)block * BLOCK;
}

static inline int zone_do(struct rig *rig, enum storage_op op, uint32_t zone)
{
	return rig_do(rig, op, 0, at(zone, 0), 0);
}

static inline int zone_write(struct rig *rig, uint32_t zone, uint32_t block, uint32_t n, int value)
{
	static uint8_t buf[2 * ZONE];

	memset(buf, value, n * BLOCK);
	return rig_rw(rig, STORAGE_WRITE, 0, at(zone, block), buf, n * BLOCK);
}

static inline int zone_append_to(struct rig *rig, uint64_t offset, uint64_t len, int value,
				 uint64_t *where)
{
	static uint8_t buf[2 * ZONE];
	struct iovec iov = {buf, len};
	struct storage_zone_reply reply = {.position = UINT64_MAX};
	struct waited w = {.io = {.op = STORAGE_APPEND,
				  .offset = offset,
				  .len = len,
				  .iov = &iov,
				  .iovcnt = 1,
				  .zone = &reply}};
	int rc;

	memset(buf, value, len);
	rig_start(rig, &w);
	rc = rig_wait(rig, &w);
	*where = reply.position;
	return rc;
}

static inline uint32_t zone_report(struct rig *rig, uint64_t offset, struct storage_zone *zones,
				   uint32_t max)
{
	struct storage_zone_reply reply = {.zones = zones, .max = max};
	struct waited w = {.io = {.op = STORAGE_ZONE_REPORT, .offset = offset, .zone = &reply}};

	rig_start(rig, &w);
	assert_int_equal(rig_wait(rig, &w), 0);
	return reply.n;
}

static inline void zone_is(struct rig *rig, uint32_t zone, uint8_t condition, uint32_t blocks)
{
	struct storage_zone z;

	assert_int_equal(zone_report(rig, at(zone, 3), &z, 1), 1);
	assert_int_equal(z.start, at(zone, 0));
	assert_int_equal(z.condition, condition);
	if (condition != STORAGE_ZONE_FULL)
		assert_int_equal(z.wp, at(zone, blocks));
}

/* [block, block + n) of the zone are of one value. */
static inline void zone_reads(struct rig *rig, uint32_t zone, uint32_t block, uint32_t n, int value)
{
	static uint8_t buf[ZONE];

	memset(buf, 0x5a, sizeof(buf));
	assert_int_equal(rig_rw(rig, STORAGE_READ, 0, at(zone, block), buf, n * BLOCK), 0);
	assert_true(all_bytes_are(buf, (uint8_t)value, n * BLOCK));
}

#endif
