/* SPDX-License-Identifier: MIT */
/* The log of what the device writes to, as a client that moves its guest uses it. */
#include "server/vfio_user/driver_test.h"

#include "wire/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RW     (VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE)
#define PAGE   UINT64_C(4096)
#define PAGES  (RIG_MEM_SIZE / PAGE)
#define GET    VFIO_USER_FEATURE_GET
#define SET    VFIO_USER_FEATURE_SET
#define PROBE  VFIO_USER_FEATURE_PROBE
#define START  VFIO_USER_FEATURE_LOGGING_START
#define STOP   VFIO_USER_FEATURE_LOGGING_STOP
#define REPORT VFIO_USER_FEATURE_LOGGING_REPORT

static int feature(struct rig *r, uint32_t argsz, uint32_t flags, const void *data, uint32_t size)
{
	struct {
		struct vfio_user_feature head;
		uint8_t data[200];
	} m = {.head = {argsz, flags}};

	assert_in_range(size, 0, sizeof(m.data));
	if (size)
		memcpy(m.data, data, size);
	return rig_ask(r, VFIO_USER_DEVICE_FEATURE, &m, (uint32_t)sizeof(m.head) + size);
}

static int start(struct rig *r)
{
	struct vfio_user_logging_start s = {.page_size = 65536};
	int rc = feature(r, 24, START | SET, &s, sizeof(s));

	if (!rc) {
		/* Which granularity it has become is said. */
		memcpy(&s, r->body + sizeof(struct vfio_user_feature), sizeof(s));
		assert_int_equal(s.page_size, PAGE);
		assert_int_equal(r->h.size, sizeof(r->h) + 24);
	}
	return rc;
}

static int report(struct rig *r, uint64_t iova, uint64_t length, uint64_t page_size)
{
	struct vfio_user_logging_report q = {iova, length, page_size};

	return feature(r, VFIO_USER_BODY_MAX, REPORT | GET, &q, sizeof(q));
}

/* All of the rig's memory; bitmap[page]. */
static void take(struct rig *r, bool *dirty)
{
	uint64_t words[PAGES / 64];

	assert_int_equal(report(r, RIG_MEM_AT, RIG_MEM_SIZE, PAGE), 0);
	assert_int_equal(r->h.size, sizeof(r->h) + 32 + sizeof(words));
	assert_int_equal(((struct vfio_user_feature *)r->body)->argsz, 32 + sizeof(words));
	memcpy(words, r->body + 32, sizeof(words));
	for (uint64_t i = 0; i < PAGES; i++)
		dirty[i] = words[i / 64] >> i % 64 & 1;
}

static uint64_t page_of(uint64_t iova)
{
	return (iova - RIG_MEM_AT) / PAGE;
}

static void what_there_is(void **state)
{
	static const struct {
		uint32_t index, can;
	} features[] = {{START, SET}, {STOP, SET}, {REPORT, GET}, {0, 0},
			{3, 0},	      {9, 0},	   {0xffff, 0}};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		for (uint32_t how = 0; how < 4; how++) {
			uint32_t flags = (how & 1 ? GET : 0) | (how & 2 ? SET : 0);
			bool can = features[i].can && !(flags & ~features[i].can);

			assert_int_equal(feature(&r, 8, features[i].index | flags | PROBE, NULL, 0),
					 can ? 0 : ENOTTY);
			if (can)
				assert_int_equal(r.h.size, sizeof(r.h) + 8);
			else
				assert_int_equal(feature(&r, 8, features[i].index | flags, NULL, 0),
						 ENOTTY);
		}
	/* Neither to get nor to set; flags that there are not; no room for an answer. */
	assert_int_equal(feature(&r, 8, START, NULL, 0), EINVAL);
	assert_int_equal(feature(&r, 8, START | SET | 1u << 19, NULL, 0), EINVAL);
	assert_int_equal(feature(&r, 7, START | SET | PROBE, NULL, 0), EINVAL);
	rig_fini(&r);
}

static void questions_that_cannot_be(void **state)
{
	struct {
		struct vfio_user_logging_start s;
		struct vfio_user_logging_range ranges[2];
	} s = {.s = {.page_size = PAGE, .ranges = 2}, .ranges = {{0, PAGE}, {UINT64_MAX, 1}}};
	struct rig r;

	(void)state;
	rig_init(&r, "memory:1M");
	assert_int_equal(report(&r, RIG_MEM_AT, PAGE, PAGE), EINVAL); /* it does not run */
	assert_int_equal(feature(&r, 8, STOP | SET, NULL, 0), EALREADY);
	for (uint32_t size = 0; size < sizeof(s); size++)
		assert_int_equal(feature(&r, 100, START | SET, &s, size), EINVAL);
	for (unsigned i = 0; i < 6; i++) {
		s.s.page_size = i == 0 ? 0 : i == 1 ? 4097 : i == 2 ? UINT64_MAX : PAGE;
		s.ranges[1].length = i == 3 ? 0 : i == 4 ? 2 : 1;
		s.s.ranges = i == 5 ? UINT32_MAX : 2;
		assert_int_equal(feature(&r, 100, START | SET, &s, sizeof(s)), EINVAL);
	}
	s.s.ranges = 2;
	assert_int_equal(feature(&r, 100, START | SET, &s, sizeof(s)), 0);
	assert_int_equal(start(&r), EALREADY);
	for (uint32_t size = 0; size < 24; size++)
		assert_int_equal(feature(&r, 100, REPORT | GET, &s, size), EINVAL);
	assert_int_equal(report(&r, RIG_MEM_AT, 0, PAGE), EINVAL);
	assert_int_equal(report(&r, RIG_MEM_AT + 1, PAGE, PAGE), EINVAL);
	assert_int_equal(report(&r, RIG_MEM_AT, PAGE + 512, 512), EINVAL);
	assert_int_equal(report(&r, RIG_MEM_AT, PAGE, 0), EINVAL);
	assert_int_equal(report(&r, RIG_MEM_AT, PAGE, 3), EINVAL);
	assert_int_equal(report(&r, UINT64_MAX - PAGE + 1, 2 * PAGE, PAGE), EINVAL);
	/* More than a message holds; no room for it. */
	assert_int_equal(report(&r, 0, UINT64_MAX - PAGE + 1, PAGE), E2BIG);
	assert_int_equal(report(&r, 0, UINT64_MAX - PAGE + 1, 1), E2BIG);
	assert_int_equal(feature(&r, 39, REPORT | GET,
				 &(struct vfio_user_logging_report){RIG_MEM_AT, PAGE, PAGE}, 24),
			 EINVAL);
	/* And what can be. */
	assert_int_equal(report(&r, 0, UINT64_MAX - PAGE + 1, UINT64_C(1) << 63), 0);
	assert_int_equal(report(&r, 0, UINT64_MAX - PAGE + 1, UINT64_C(1) << 46), 0);
	assert_int_equal(report(&r, 0, UINT64_C(2) << 30, PAGE), 0);
	assert_int_equal(feature(&r, 8, STOP | SET, NULL, 0), 0);
	assert_int_equal(report(&r, RIG_MEM_AT, PAGE, PAGE), EINVAL);
	rig_fini(&r);
}

/* Data, status and ring: those pages that the device writes to, and no other. */
static void each_write_is_logged(void **state)
{
	const struct drv_request in = {
		.type = VIRTIO_BLK_T_IN,
		.header = DRV_DATA,
		.data = DRV_DATA + 3 * PAGE - 512,
		.len = 2 * PAGE,
		.status = DRV_DATA + 9 * PAGE,
	};
	const uint64_t data = page_of(in.data);

	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		const uint64_t used = page_of(packed ? DRV_RING(0) : DRV_DEVICE(0)),
			       events = page_of(DRV_DEVICE(0));
		struct drv_request what = in;
		bool dirty[PAGES];
		struct rig r;
		struct drv d;

		rig_init(&r, "memory:1M");
		assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
		drv_up(&d, &r, 1, packed, 0);
		assert_int_equal(drv_do(&d, &in), VIRTIO_BLK_S_OK);
		assert_int_equal(start(&r), 0);
		take(&r, dirty);
		for (unsigned round = 0; round < 6; round++) {
			bool reads = round % 3 == 0, id = round % 3 == 2;

			what.type = reads ? VIRTIO_BLK_T_IN
				    : id  ? VIRTIO_BLK_T_GET_ID
					  : VIRTIO_BLK_T_OUT;
			assert_int_equal(drv_do(&d, &what), VIRTIO_BLK_S_OK);
			take(&r, dirty);
			for (uint64_t i = 0; i < PAGES; i++) {
				bool want = i == used || i == page_of(what.status) ||
					    ((reads || id) && i >= data && i <= data + 2);

				/* Whether it has gone to sleep meanwhile is its own affair. */
				if (i != events || used == events)
					assert_int_equal(dirty[i], want);
			}
		}
		rig_fini(&r);
	}
}

/*
 * A guest is copied while its device works: in the end, with nothing in flight, the copy is the
 * memory.
 */
static void a_copy_that_follows_the_log(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		uint8_t *copy = malloc(RIG_MEM_SIZE);
		bool dirty[PAGES];
		unsigned seed = 7;
		struct rig r;
		struct drv d;

		rig_init(&r, "memory:1M,queues=2");
		assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
		drv_up(&d, &r, 2, packed, 0);
		for (unsigned i = 0; i < 128; i++) {
			/* What the disk holds differs from place to place. */
			struct drv_request fill = {.type = VIRTIO_BLK_T_OUT,
						   .sector = 8 * i,
						   .header = DRV_DATA,
						   .data = DRV_DATA + 16 * PAGE,
						   .len = 4096,
						   .status = DRV_DATA + PAGE};

			memset(drv_at(&d, fill.data), (int)i + 1, 4096);
			assert_int_equal(drv_do(&d, &fill), VIRTIO_BLK_S_OK);
		}
		assert_int_equal(start(&r), 0);
		memcpy(copy, r.mem, RIG_MEM_SIZE);
		for (unsigned round = 0; round < 60; round++) {
			uint32_t len;

			for (unsigned q = 0; q < 2; q++) {
				for (unsigned i = 0; i < DRV_REQUESTS_MAX; i++) {
					struct drv_request in = {
						.type = VIRTIO_BLK_T_IN,
						.sector = 8 * ((unsigned)rand_r(&seed) % 128),
						.header = DRV_DATA + 64 * q * DRV_REQUESTS_MAX +
							  64 * i,
						.data = DRV_DATA + PAGE * (16 + 80 * q + 3 * i),
						.len = 4096,
						.status = DRV_DATA + PAGE * (1 + q) + i};

					drv_offer(&d, q, i, &in);
				}
				drv_kick(&d, q);
			}
			while (d.q[0].out + d.q[1].out) {
				take(&r, dirty);
				for (uint64_t i = 0; i < PAGES; i++)
					if (dirty[i])
						memcpy(copy + i * PAGE, r.mem + i * PAGE, PAGE);
				for (unsigned q = 0; q < 2; q++)
					while (drv_take(&d, q, &len) >= 0)
						continue;
				rig_turn(&r, 0);
			}
		}
		/* The driver's own pages are the machine's affair. */
		for (unsigned q = 0; q < 2; q++)
			memcpy(copy + (DRV_RING(q) - RIG_MEM_AT), drv_at(&d, DRV_RING(q)),
			       2 * PAGE);
		memcpy(copy + (DRV_DATA - RIG_MEM_AT), drv_at(&d, DRV_DATA), PAGE);
		/* Moving all queues to another map is how they are known to stand still. */
		assert_int_equal(rig_map(&r, 0, PAGE, RW, 0, r.mem_fd), 0);
		take(&r, dirty);
		for (uint64_t i = 0; i < PAGES; i++)
			if (dirty[i])
				memcpy(copy + i * PAGE, r.mem + i * PAGE, PAGE);
		assert_memory_equal(copy, r.mem, RIG_MEM_SIZE);
		rig_fini(&r);
		free(copy);
	}
}

static void memory_that_changes_while_it_is_logged(void **state)
{
	const struct drv_request in = {.type = VIRTIO_BLK_T_IN,
				       .header = DRV_DATA,
				       .data = DRV_DATA + 4 * PAGE,
				       .len = 4096,
				       .status = DRV_DATA + PAGE};
	bool dirty[PAGES];
	struct rig r;
	struct drv d;

	(void)state;
	rig_init(&r, "memory:1M");
	assert_int_equal(start(&r), 0);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
	drv_up(&d, &r, 1, false, 0);
	assert_int_equal(drv_do(&d, &in), VIRTIO_BLK_S_OK);
	/* Taken out, all at once, and brought back: nothing of it is forgotten. */
	assert_int_equal(rig_unmap(&r, 0, 0, VFIO_USER_UNMAP_ALL), 0);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
	take(&r, dirty);
	assert_true(dirty[page_of(in.data)]);
	assert_true(dirty[page_of(in.status)]);
	assert_false(dirty[page_of(in.data) + 1]);
	assert_int_equal(drv_do(&d, &in), VIRTIO_BLK_S_OK);
	take(&r, dirty);
	assert_true(dirty[page_of(in.data)]);
	/* A reset of the device is no end of the log; the end of the client is. */
	assert_int_equal(rig_ask(&r, VFIO_USER_DEVICE_RESET, NULL, 0), 0);
	take(&r, dirty);
	rig_hang_up(&r);
	rig_connect(&r);
	assert_int_equal(rig_version(&r, 0, 1, NULL), 0);
	assert_int_equal(report(&r, RIG_MEM_AT, PAGE, PAGE), EINVAL);
	assert_int_equal(start(&r), 0);
	take(&r, dirty);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_false(dirty[i]);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_there_is),
		cmocka_unit_test(questions_that_cannot_be),
		cmocka_unit_test(each_write_is_logged),
		cmocka_unit_test(a_copy_that_follows_the_log),
		cmocka_unit_test(memory_that_changes_while_it_is_logged),
	};

	return cmocka_run_group_tests_name("server/vfio_user/logging", tests, NULL, NULL);
}
