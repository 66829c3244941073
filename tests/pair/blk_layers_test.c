/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk on storage with layers, which keep requests back: resets, stops, new memory maps and
 * the end of the device come all the same, and each request is answered once.
 */
#include "test.h"

#include "rig.h"

#include "base/endian.h"
#include "storage/engine.h"
#include "wire/vhost_user_inflight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 24

/* In order, nobody would be told of anything behind a request that waits. */
static const struct rig_options two_queues = {
	.queues = 2, .workers = 2, .without = BIT64(VIRTIO_F_IN_ORDER)};

static struct storage *open_disk(const struct storage_options *o)
{
	struct error err = {""};
	struct storage *s;

	if (storage_open(o, &s, &err))
		fail_msg("%s", err.text);
	return s;
}

static void wait_for_state(struct rig *rig, const char *want)
{
	char state[200];

	do {
		usleep(100);
		storage_describe(rig->blk->storage, state, sizeof(state));
	} while (!strstr(state, want));
}

/* One request an hour, and a queue's worth of them on each queue. */
static void rig_with_waiting(struct rig *rig, struct rig_io *ios)
{
	const struct storage_options o = {
		.target = "memory:1M",
		.layers.throttle = {.bps = 1},
	};
	char want[20];

	rig_init(rig, open_disk(&o), &two_queues);
	for (unsigned i = 0; i < 2 * MANY; i++)
		rig_submit(rig, i % 2, &ios[i], VIRTIO_BLK_T_IN, i, 512, false);
	/* All but the first. */
	snprintf(want, sizeof(want), "%d waiting", 2 * MANY - 1);
	wait_for_state(rig, want);
}

static void a_reset_does_not_wait_for_a_throttle(void **state)
{
	static struct rig_io ios[2 * MANY];
	struct rig rig;

	(void)state;
	memset(ios, 0, sizeof(ios));
	rig_with_waiting(&rig, ios);
	assert_int_equal(dr_reset(&rig.dev), 0);
	rig_fini(&rig);
}

static void a_device_ends_with_requests_that_wait(void **state)
{
	static struct rig_io ios[2 * MANY];
	struct rig rig;

	(void)state;
	memset(ios, 0, sizeof(ios));
	rig_with_waiting(&rig, ios);
	rig_fini(&rig);
}

static void a_new_memory_map_does_not_wait_for_a_throttle(void **state)
{
	static struct rig_io ios[2 * MANY];
	struct rig rig;

	(void)state;
	memset(ios, 0, sizeof(ios));
	rig_with_waiting(&rig, ios);
	for (unsigned q = 0; q < 2; q++)
		virtio_queue_set_mem(&rig.blk->vdev.queues[q], rig.dev.mem, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	for (unsigned i = 0; i < 2 * MANY; i++) {
		assert_true(rig_finish(&rig, i % 2, &ios[i]));
		assert_int_equal(rig_status(&rig, &ios[i]), VIRTIO_BLK_S_OK);
	}
	rig_fini(&rig);
}

/* Held for lack of space, on two queues. */
static void rig_with_held(struct rig *rig, struct rig_io *ios)
{
	char rules[] = "error:op=write:errno=ENOSPC";
	const struct storage_options o = {
		.target = "memory:1M",
		.disk = "disk0",
		.layers = {.errors.werror = STORAGE_ENOSPC, .faulty.rules = rules},
	};
	char want[20];

	rig_init(rig, open_disk(&o), &two_queues);
	for (unsigned i = 0; i < 2 * MANY; i++)
		rig_submit(rig, i % 2, &ios[i], VIRTIO_BLK_T_OUT, i, 512, true);
	snprintf(want, sizeof(want), "%d held", 2 * MANY);
	wait_for_state(rig, want);
}

static void a_reset_ends_what_is_held(void **state)
{
	static struct rig_io ios[2 * MANY];
	struct rig rig;

	(void)state;
	memset(ios, 0, sizeof(ios));
	rig_with_held(&rig, ios);
	assert_int_equal(dr_reset(&rig.dev), 0);
	wait_for_state(&rig, "0 held");
	rig_fini(&rig);

	memset(ios, 0, sizeof(ios));
	rig_with_held(&rig, ios);
	rig_fini(&rig);
}

/*
 * The first range is held, and succeeds when it is let go; between it and the second one, which
 * would be held, too, the storage is quiet.
 */
static void a_reset_ends_all_ranges_of_a_request(void **state)
{
	char rules[] = "error:op=zeroes:offset=0:length=512:errno=ENOSPC:times=1;"
		       "error:op=zeroes:offset=4096:length=512:errno=ENOSPC";
	const struct storage_options o = {
		.target = "memory:1M",
		.disk = "disk0",
		.layers = {.errors.werror = STORAGE_ENOSPC, .faulty.rules = rules},
	};
	struct rig rig;
	struct rig_io io = {.len = 4096};
	struct virtio_blk_range r[2] = {
		{le64_make(0), le32_make(1), le32_make(0)},
		{le64_make(8), le32_make(1), le32_make(0)},
	};

	(void)state;
	rig_init(&rig, open_disk(&o), &two_queues);
	io.data = rig_alloc(&rig, 4096, 16);
	memcpy(rig_at(&rig, io.data), r, sizeof(r));
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_WRITE_ZEROES, 0, sizeof(r), true);
	wait_for_state(&rig, "1 held");
	alarm(60);
	assert_int_equal(dr_reset(&rig.dev), 0);
	alarm(0);
	wait_for_state(&rig, "0 held");
	rig_fini(&rig);
}

/* The first chain that the driver has published. */
static uint16_t rig_head(struct rig *rig)
{
	const struct vring_config *c = &rig->dev.queues[0].config;

	return le16_get(*(const le16 *)rig_at(rig, c->driver.v + 4));
}

/*
 * A queue that goes on where a killed server left it, and is stopped before it has begun with what
 * was in flight there: that comes behind the stop's let_go.
 */
static void a_stop_ends_what_comes_again(void **state)
{
	char rules[] = "error:op=write:errno=ENOSPC";
	const struct storage_options o = {
		.target = "memory:1M",
		.disk = "disk0",
		.layers = {.errors.werror = STORAGE_ENOSPC, .faulty.rules = rules},
	};
	struct rig_options one = {
		.num = 8, .without = BIT64(VIRTIO_F_IN_ORDER) | BIT64(VIRTIO_F_RING_PACKED)};
	struct vqdev_record record = {.entries = 8};
	struct inflight_split *left;
	struct virtio_queue *q;
	struct rig_io io = {.len = 0};
	struct rig rig;

	(void)state;
	rig_init(&rig, open_disk(&o), &one);
	q = &rig.blk->vdev.queues[0];
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, 512, true);
	wait_for_state(&rig, "1 held");
	virtio_queue_stop(q, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	/* As if it had been killed instead: nothing is used, and the chain is in flight. */
	memset(rig_at(&rig, rig.dev.queues[0].config.device.v), 0, 4);
	record.at = rig_at(&rig, rig_alloc(&rig, 4096, 64));
	left = record.at;
	left->version = INFLIGHT_VERSION;
	left->desc_num = 8;
	left->desc[rig_head(&rig)].inflight = 1;
	virtio_queue_set_record(q, rig.dev.mem, &record);
	rig.dev.queues[0].config.base = 1;
	assert_int_equal(virtio_queue_start(q, &rig.dev.queues[0].config, rig.dev.mem, NULL), 0);
	virtio_queue_stop(q, rig_waiter(&rig));
	alarm(60);
	assert_int_equal(rig_wait(&rig), 0);
	alarm(0);
	assert_int_equal(left->desc[rig_head(&rig)].inflight, 0);
	rig_fini(&rig);
}

static void what_is_held_goes_on_when_the_operator_says_so(void **state)
{
	static struct rig_io ios[2 * MANY];
	struct error err;
	struct rig rig;

	(void)state;
	memset(ios, 0, sizeof(ios));
	rig_with_held(&rig, ios);
	/* Others are served meanwhile. */
	assert_int_equal(rig_do(&rig, 0, &(struct rig_io){0}, VIRTIO_BLK_T_IN, 0, 512, false), 0);
	assert_int_equal(storage_resume(rig.blk->storage), 2 * MANY);
	assert_int_equal(storage_set_options(rig.blk->storage, "faulty.rules=", &err), 0);
	wait_for_state(&rig, "held");
	storage_resume(rig.blk->storage);
	for (unsigned i = 0; i < 2 * MANY; i++) {
		/* The first resume may have met the rules still, and be on its way. */
		assert_true(rig_finish(&rig, i % 2, &ios[i]));
		assert_int_equal(rig_status(&rig, &ios[i]), VIRTIO_BLK_S_OK);
	}
	assert_true(rig_healthy(&rig, 1));
	rig_fini(&rig);
}

/* A map of the same memory: they are tried once more, and told. */
static void a_new_memory_map_has_what_is_held_told(void **state)
{
	static struct rig_io ios[2 * MANY];
	struct rig rig;

	(void)state;
	memset(ios, 0, sizeof(ios));
	rig_with_held(&rig, ios);
	for (unsigned q = 0; q < 2; q++)
		virtio_queue_set_mem(&rig.blk->vdev.queues[q], rig.dev.mem, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	for (unsigned i = 0; i < 2 * MANY; i++) {
		assert_true(rig_finish(&rig, i % 2, &ios[i]));
		assert_int_equal(rig_status(&rig, &ios[i]), VIRTIO_BLK_S_IOERR);
	}
	rig_fini(&rig);
}

static uint64_t capacity(struct rig *rig)
{
	le64 sectors;

	assert_int_equal(virtio_device_config_read(&rig->blk->vdev, 0, &sectors, 8), 0);
	return le64_get(sectors);
}

/* By whoever learns of it first, through all layers, without anybody looking. */
static void a_new_size_is_pushed_to_the_driver(void **state)
{
	char path[] = "/tmp/blk-layers-XXXXXX";
	int fd = mkstemp(path);
	const struct storage_options o = {
		.target = path,
		.layers.throttle = {.iops = 1000000},
	};
	struct storage *s;
	struct rig rig;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	s = open_disk(&o);
	rig_init(&rig, s, &two_queues);
	assert_int_equal(capacity(&rig), 2048);
	assert_int_equal(ftruncate(fd, 2 << 20), 0);
	storage_changed(storage_below(s));
	storage_changed(storage_below(s));
	rig_pump(&rig);
	assert_int_equal(rig.dev.config_changes, 1);
	assert_int_equal(capacity(&rig), 4096);
	assert_true(rig_healthy(&rig, 1));
	/* One that is under way when the disk goes. */
	storage_changed(storage_below(s));
	rig_fini(&rig);
	close(fd);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_does_not_wait_for_a_throttle),
		cmocka_unit_test(a_device_ends_with_requests_that_wait),
		cmocka_unit_test(a_new_memory_map_does_not_wait_for_a_throttle),
		cmocka_unit_test(a_reset_ends_what_is_held),
		cmocka_unit_test(a_reset_ends_all_ranges_of_a_request),
		cmocka_unit_test(a_stop_ends_what_comes_again),
		cmocka_unit_test(what_is_held_goes_on_when_the_operator_says_so),
		cmocka_unit_test(a_new_memory_map_has_what_is_held_told),
		cmocka_unit_test(a_new_size_is_pushed_to_the_driver),
	};

	return cmocka_run_group_tests_name("pair/blk_layers", tests, NULL, NULL);
}
