/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk over time: durability, features and config space (BLK-D-*, ST-D-*), stopping,
 * resetting and swapping with requests in flight.
 */
#include "test.h"

#include "rig.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISK (1u << 20)
#define LAST (DISK / 512 - 1)

static const struct rig_options plain;

/* ---- durability ---- */

/* BLK-D-14: in which of the negotiations is each write made stable by itself? */
static void blk_d_14_cache_modes(void **state)
{
	const uint64_t flush = BIT64(VIRTIO_BLK_F_FLUSH), wce = BIT64(VIRTIO_BLK_F_CONFIG_WCE);
	const struct {
		uint64_t without;
		bool write_through_option, stable;
	} cases[] = {
		{flush | wce, false, true}, {flush, false, true}, {wce, false, false},
		{0, false, false},	    {0, true, true},	  {wce, true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct held_disk *d = held_disk_new(DISK);
		struct rig_options o = {.without = cases[i].without,
					.write_through = cases[i].write_through_option};
		struct rig_io io = {0};
		struct rig rig;

		rig_init(&rig, &d->storage, &o);
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, 512, true), 0);
		assert_int_equal(rig_range(&rig, &io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), 0);
		assert_int_equal(d->fua, cases[i].stable ? 2 : 0);
		assert_int_equal(d->rest, cases[i].stable ? 0 : 2);
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_FLUSH, 0, 0, true), 0);
		assert_int_equal(d->flushes, 1);
		rig_fini(&rig);
	}
}

/* As SeaBIOS does by the legacy interface: nothing is negotiated, so nobody could ever flush. */
static void blk_d_14_a_driver_that_takes_no_features_is_served_write_through(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_io io = {0};
	struct rig rig;
	uint8_t mode = 9;

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(dr_reset(&rig.dev), 0);
		/* What a front end finds before there is a driver. */
		assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 32, &mode, 1), 0);
		assert_int_equal(mode, 1);
		virtio_queue_set_enabled(&rig.blk->vdev.queues[0], true, NULL);
		dr_start_queue(&rig.dev, 0, 64, 0);
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, 512, true), 0);
		assert_int_equal(rig_range(&rig, &io, VIRTIO_BLK_T_DISCARD, 0, 1, 0),
				 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(d->fua, i + 1);
		assert_int_equal(d->rest, 0);
	}
	rig_fini(&rig);
}

static void blk_d_14_the_driver_changes_the_cache_mode(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct virtio_device *vdev;
	struct rig_io io = {0};
	struct rig rig;
	uint8_t mode = 9;

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	vdev = &rig.blk->vdev;
	assert_int_equal(virtio_device_config_read(vdev, 32, &mode, 1), 0);
	assert_int_equal(mode, 1);
	for (mode = 0; mode < 2; mode++) {
		assert_int_equal(virtio_device_config_write(vdev, 32, &mode, 1), 0);
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, 512, true), 0);
	}
	assert_int_equal(d->fua, 1);
	assert_int_equal(d->rest, 1);
	mode = 2;
	assert_int_equal(virtio_device_config_write(vdev, 32, &mode, 1), -EINVAL);
	rig_fini(&rig);
}

static void blk_d_02_wce_without_flush_starts_write_through(void **state)
{
	struct rig_options o = {.without = BIT64(VIRTIO_BLK_F_FLUSH)};
	struct rig rig;
	uint8_t mode = 9;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &o);
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 32, &mode, 1), 0);
	assert_int_equal(mode, 0);
	rig_fini(&rig);
}

/* ---- features, config, status ---- */

static void st_d_04_05_feature_subsets(void **state)
{
	struct virtio_device *vdev;
	struct rig rig;
	uint64_t offered;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	vdev = &rig.blk->vdev;
	offered = vdev->offered;
	assert_int_equal(virtio_features_grounded(offered), offered);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t one = BIT64(bit);

		if (!(offered & one)) {
			assert_int_equal(virtio_device_set_features(vdev, offered | one), -EINVAL);
			assert_int_equal(vdev->features, offered);
			continue;
		}
		if (bit == VIRTIO_F_VERSION_1) {
			assert_int_equal(virtio_device_set_features(vdev, offered & ~one), -EINVAL);
			continue; /* packed rings stand on it */
		}
		assert_int_equal(virtio_device_set_features(vdev, offered & ~one), 0);
		assert_int_equal(virtio_device_set_features(vdev, offered), 0);
	}
	rig_fini(&rig);
}

static void blk_d_01_03_config_space(void **state)
{
	struct virtio_blk_config c;
	struct rig rig;
	uint8_t byte = 1;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &(struct rig_options){.queues = 3});
	assert_true(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_FLUSH));
	assert_false(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_ZONED));
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 0, &c, sizeof(c)), 0);
	assert_int_equal(le64_get(c.capacity), DISK / 512);
	assert_int_equal(le16_get(c.num_queues), 3);
	assert_int_equal(le32_get(c.blk_size), 512);
	assert_true(le32_get(c.seg_max) >= 1);
	assert_true(le32_get(c.max_discard_sectors) > 0);
	assert_int_equal(c.unused0 | c.unused1[0] | c.unused1[1] | c.unused1[2], 0);
	/*
	 * KB-45: partial reads are fine, leaving the space is not, and most fields are not the
	 * driver's.
	 */
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 95, &byte, 1), 0);
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 96, &byte, 0), 0);
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 96, &byte, 1), -EINVAL);
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, UINT64_MAX, &byte, 1), -EINVAL);
	for (uint64_t at = 0; at < 96; at++)
		assert_int_equal(virtio_device_config_write(&rig.blk->vdev, at, &byte, 1),
				 at == 32 ? 0 : -EPERM);
	assert_int_equal(virtio_device_config_write(&rig.blk->vdev, 32, &byte, 0), 0);
	assert_int_equal(virtio_device_config_write(&rig.blk->vdev, UINT64_MAX, &byte, 1), -EINVAL);
	rig_fini(&rig);
}

static void st_d_05_features_ok_needs_version_1(void **state)
{
	struct virtio_device *vdev;
	struct rig rig;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	vdev = &rig.blk->vdev;
	virtio_device_reset(vdev, rig_waiter(&rig));
	rig_wait(&rig);
	virtio_device_set_status(vdev, 3);
	assert_int_equal(virtio_device_set_features(vdev, BIT64(VIRTIO_BLK_F_FLUSH)), 0);
	virtio_device_set_status(vdev, 11);
	assert_int_equal(vdev->status, 3);
	assert_int_equal(virtio_device_set_features(vdev, BIT64(VIRTIO_F_VERSION_1)), 0);
	virtio_device_set_status(vdev, 11);
	assert_int_equal(vdev->status, 11);
	virtio_device_set_status(vdev, 1); /* ST-G-01 from the other side: bits stay */
	assert_int_equal(vdev->status, 11);
	rig_fini(&rig);
}

static void a_bus_has_one_slot(void **state)
{
	struct rig rig;
	struct error err;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	assert_int_equal(virtio_bus_attach(&rig.dev.bus, &rig.blk->vdev, &err), -EBUSY);
	assert_string_equal(err.text, "rig already holds a virtio-blk: Device or resource busy");
	rig_fini(&rig);
}

/* ---- stopping, resetting, swapping, with requests in flight ---- */

static void b_13_st_d_09_kb_56_reset_with_requests_in_flight(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_io io[32];
	struct rig rig;
	uint8_t *before;

	(void)state;
	memset(io, 0, sizeof(io));
	d->hold = true;
	rig_init(&rig, &d->storage, &plain);
	for (size_t i = 0; i < ARRAY_SIZE(io); i++)
		rig_submit(&rig, 0, &io[i], VIRTIO_BLK_T_IN, i, 512, false);
	held_disk_wait(d, ARRAY_SIZE(io));
	virtio_device_reset(&rig.blk->vdev, rig_waiter(&rig));
	for (int i = 0; i < 5; i++)
		rig_pump(&rig);
	assert_false(rig.dev.waiter_done); /* it waits for what is in flight ... */
	assert_int_not_equal(rig.blk->vdev.status, 0);
	rig_release(&rig, d, 0);
	assert_int_equal(rig_wait(&rig), 0);
	assert_int_equal(rig.blk->vdev.status, 0);
	/* ... and afterwards touches nothing any more, kicked or not. */
	before = malloc(rig.dev.ram_size);
	memset(rig.dev.ram, 0x5a, rig.dev.used);
	memcpy(before, rig.dev.ram, rig.dev.used);
	assert_int_equal(write(rig.dev.queues[0].kick, &(uint64_t){1}, 8), 8);
	usleep(20000);
	assert_memory_equal(before, rig.dev.ram, rig.dev.used);
	free(before);
	rig_fini(&rig);
}

static void st_d_10_11_12_a_stopped_queue_starts_elsewhere(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_options o = {.queues = 2, .num = 16};
	struct rig_io io = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, &d->storage, &o);
	assert_true(rig_healthy(&rig, 0));
	virtio_queue_stop(&rig.blk->vdev.queues[0], rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
	assert_true(rig_healthy(&rig, 1)); /* the other one keeps running */
	assert_int_equal(rig_status(&rig, &io), 0xff);
	dr_start_queue(&rig.dev, 0, 128, 0); /* other size, other memory */
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

/*
 * GET_VRING_BASE and a start from there: what was made available and not popped is served then,
 * nothing twice.
 */
static void a_queue_goes_on_where_it_stopped(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct rig_options o = {.num = 8,
					.without = packed ? 0 : BIT64(VIRTIO_F_RING_PACKED)};
		struct held_disk *d = held_disk_new(DISK);
		struct rig rig;

		rig_init(&rig, &d->storage, &o);
		for (int round = 0; round < 20; round++) {
			struct virtio_queue *q = &rig.blk->vdev.queues[0];
			struct rig_io io = {0};
			struct vring_config c;

			assert_true(rig_healthy(&rig, 0));
			virtio_queue_stop(q, rig_waiter(&rig));
			assert_int_equal(rig_wait(&rig), 0);
			rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
			c = rig.dev.queues[0].config;
			c.base = q->base;
			assert_int_equal(virtio_queue_start(q, &c, rig.dev.mem, rig_waiter(&rig)),
					 0);
			assert_int_equal(rig_wait(&rig), 0);
			assert_true(rig_finish(&rig, 0, &io));
		}
		rig_fini(&rig);
	}
}

static void st_d_01_kb_70_a_disabled_queue_is_left_alone(void **state)
{
	struct rig rig;
	struct rig_io io = {0};
	struct virtio_queue *q;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	q = &rig.blk->vdev.queues[0];
	virtio_queue_set_enabled(q, false, rig_waiter(&rig));
	rig_wait(&rig);
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
	usleep(10000);
	assert_int_equal(rig_status(&rig, &io), 0xff);
	/* The kick came long ago and does not come again. */
	virtio_queue_set_enabled(q, true, NULL);
	assert_true(rig_finish(&rig, 0, &io));
	rig_fini(&rig);
}

static void the_map_is_replaced_when_nothing_is_in_flight(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_io io = {0};
	struct gmem *next;
	struct rig rig;
	char extra[4096];

	(void)state;
	d->hold = true;
	rig_init(&rig, &d->storage, &plain);
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
	held_disk_wait(d, 1);
	assert_int_equal(gmem_with_host(rig.dev.mem, 0, sizeof(extra), 0, extra, &next, NULL), 0);
	virtio_queue_set_mem(&rig.blk->vdev.queues[0], next, rig_waiter(&rig));
	for (int i = 0; i < 5; i++)
		rig_pump(&rig);
	assert_false(rig.dev.waiter_done);
	d->hold = false;
	rig_release(&rig, d, 0);
	assert_int_equal(rig_wait(&rig), 0);
	assert_true(rig_finish(&rig, 0, &io));
	assert_true(rig_healthy(&rig, 0));
	gmem_put(next);
	rig_fini(&rig);
}

static void rings_outside_the_new_map_wait_for_one_that_has_them(void **state)
{
	struct rig_options o = {.queues = 1};
	struct gmem *empty = gmem_new();
	struct rig_io io = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &o);
	virtio_queue_set_mem(&rig.blk->vdev.queues[0], empty, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
	usleep(10000);
	rig_pump(&rig);
	assert_int_equal(rig_status(&rig, &io), 0xff);
	assert_false(rig.dev.broken);
	virtio_queue_set_mem(&rig.blk->vdev.queues[0], rig.dev.mem, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	assert_true(rig_finish(&rig, 0, &io));
	assert_true(rig_healthy(&rig, 0));
	/* And one that is stopped while it waits. */
	virtio_queue_set_mem(&rig.blk->vdev.queues[0], empty, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	gmem_put(empty);
	rig_fini(&rig);
}

static void the_new_call_fd_is_signalled_once(void **state)
{
	struct rig rig;
	int fd = dup(0);
	uint64_t n;

	(void)state;
	close(fd);
	rig_init(&rig, rig_memory(DISK), &plain);
	virtio_queue_set_call(&rig.blk->vdev.queues[0], dup(rig.dev.queues[0].call),
			      rig_waiter(&rig));
	rig_wait(&rig);
	while (read(rig.dev.queues[0].call, &n, sizeof(n)) != sizeof(n))
		usleep(100);
	assert_true(n >= 1);
	rig_fini(&rig);
}

static void h_02_errors_of_the_host_reach_the_guest(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig_io io = {0};
	struct rig rig;

	(void)state;
	d->hold = true;
	rig_init(&rig, &d->storage, &plain);
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false);
	held_disk_wait(d, 1);
	rig_release(&rig, d, -ENOSPC);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), VIRTIO_BLK_S_IOERR);
	assert_int_equal(io.used_len, 0);
	d->hold = false;
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void blk_d_08_a_new_size_is_told(void **state)
{
	struct rig rig;
	struct rig_io io = {0};
	char path[] = "/tmp/ringside-blk-XXXXXX";
	struct storage_options o = {.target = path};
	struct storage *s;
	uint64_t capacity;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(ftruncate(fd, DISK), 0);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	rig_init(&rig, s, &plain);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, LAST + 1, 512, false),
			 VIRTIO_BLK_S_IOERR);
	virtio_blk_refresh(rig.blk);
	assert_int_equal(rig.dev.config_changes, 0);
	assert_int_equal(ftruncate(fd, 2 * DISK), 0);
	virtio_blk_refresh(rig.blk);
	assert_int_equal(rig.dev.config_changes, 1);
	assert_int_equal(rig.blk->vdev.generation, 1);
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 0, &capacity, 8), 0);
	assert_int_equal(le64toh(capacity), 2 * DISK / 512);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, LAST + 1, 512, false), 0);
	rig_fini(&rig);
	close(fd);
	unlink(path);
}

/* VQ-D-12, R-18 */
static void r_18_kick_storm_on_an_empty_queue(void **state)
{
	struct rig rig;
	uint64_t one = 1;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	for (int i = 0; i < 200000; i++)
		assert_int_equal(write(rig.dev.queues[0].kick, &one, 8), 8);
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void quiet_log(void *opaque, enum log_level level, const char *line)
{
	(void)opaque;
	(void)level;
	(void)line;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk_d_14_cache_modes),
		cmocka_unit_test(blk_d_14_a_driver_that_takes_no_features_is_served_write_through),
		cmocka_unit_test(blk_d_14_the_driver_changes_the_cache_mode),
		cmocka_unit_test(blk_d_02_wce_without_flush_starts_write_through),
		cmocka_unit_test(st_d_04_05_feature_subsets),
		cmocka_unit_test(blk_d_01_03_config_space),
		cmocka_unit_test(st_d_05_features_ok_needs_version_1),
		cmocka_unit_test(a_bus_has_one_slot),
		cmocka_unit_test(b_13_st_d_09_kb_56_reset_with_requests_in_flight),
		cmocka_unit_test(st_d_10_11_12_a_stopped_queue_starts_elsewhere),
		cmocka_unit_test(a_queue_goes_on_where_it_stopped),
		cmocka_unit_test(st_d_01_kb_70_a_disabled_queue_is_left_alone),
		cmocka_unit_test(the_map_is_replaced_when_nothing_is_in_flight),
		cmocka_unit_test(rings_outside_the_new_map_wait_for_one_that_has_them),
		cmocka_unit_test(the_new_call_fd_is_signalled_once),
		cmocka_unit_test(h_02_errors_of_the_host_reach_the_guest),
		cmocka_unit_test(blk_d_08_a_new_size_is_told),
		cmocka_unit_test(r_18_kick_storm_on_an_empty_queue),
	};

	log_setup(LOG_LEVEL_ERR, quiet_log, NULL);
	return cmocka_run_group_tests_name("blk life", tests, NULL, NULL);
}
