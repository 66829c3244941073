/* SPDX-License-Identifier: MIT */
/* Requests of a zoned disk as a driver sees them (virtio 1.4, 5.2.6): the rules BLK-D-*. */
#include "test.h"

#include "rig.h"

#include "storage/layer/zoned.h"
#include "wire/virtio.h"

#include <errno.h>
#include <string.h>

#define ZONE	 (64u << 10)
#define ZONES	 16u
#define DISK	 (ZONES * ZONE)
#define SECTORS	 (ZONE / 512)
#define APPENDED (16u << 10)

static struct storage *zoned_memory(uint32_t max_open)
{
	struct storage_options o = {.target = "memory:1M",
				    .layers.zoned = {.model = 1,
						     .size = ZONE,
						     .conventional = 1,
						     .max_append = APPENDED,
						     .max_open = max_open,
						     .max_active = max_open ? max_open + 1 : 0}};
	struct error err = {""};
	struct storage *s;

	if (storage_open(&o, &s, &err))
		fail_msg("%s", err.text);
	return s;
}

static void blk_d_06_07_the_config_space_tells_of_zones(void **state)
{
	struct virtio_blk_config c;
	struct rig rig;
	struct rig_options o = {0};

	(void)state;
	rig_init(&rig, zoned_memory(3), &o);
	assert_true(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_ZONED));
	assert_false(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(virtio_device_config_read(&rig.blk->vdev, 0, &c, sizeof(c)), 0);
	assert_int_equal(le32_get(c.zone_sectors), SECTORS);
	assert_int_equal(le32_get(c.max_open_zones), 3);
	assert_int_equal(le32_get(c.max_active_zones), 4);
	assert_int_equal(le32_get(c.max_append_sectors), APPENDED / 512);
	assert_int_equal(le32_get(c.write_granularity), 4096);
	assert_int_equal(c.zone_model, VIRTIO_BLK_Z_HM);
	assert_int_equal(c.unused2[0] | c.unused2[1] | c.unused2[2], 0);
	rig_fini(&rig);
}

static void blk_d_04_05_features(void **state)
{
	struct rig_options o = {0};
	struct virtio_device *vdev;
	struct rig rig;

	(void)state;
	rig_init(&rig, zoned_memory(0), &o);
	vdev = &rig.blk->vdev;
	dr_reset(&rig.dev);
	/* Declined: refused; never shown to a legacy driver, who cannot be. */
	assert_int_equal(virtio_device_set_features(vdev, BIT64(VIRTIO_F_VERSION_1)), -EINVAL);
	assert_int_equal(virtio_device_set_features(vdev, BIT64(VIRTIO_F_VERSION_1) |
								  BIT64(VIRTIO_BLK_F_ZONED)),
			 0);
	assert_false(virtio_device_legacy_offer(vdev) & BIT64(VIRTIO_BLK_F_ZONED));
	assert_int_equal(virtio_device_set_features(vdev, BIT64(VIRTIO_BLK_F_ZONED)), 0);
	assert_false(virtio_device_has(vdev, VIRTIO_BLK_F_ZONED));
	rig_fini(&rig);
	rig_init(&rig, rig_memory(DISK), &o);
	assert_false(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_ZONED));
	rig_fini(&rig);
}

static void blk_d_16_without_zones_their_types_are_unknown(void **state)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_ZONE_APPEND,   VIRTIO_BLK_T_ZONE_REPORT,
					 VIRTIO_BLK_T_ZONE_OPEN,     VIRTIO_BLK_T_ZONE_CLOSE,
					 VIRTIO_BLK_T_ZONE_FINISH,   VIRTIO_BLK_T_ZONE_RESET,
					 VIRTIO_BLK_T_ZONE_RESET_ALL};
	struct rig_options o = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &o);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct rig_io io = {0};

		assert_int_equal(rig_do(&rig, 0, &io, types[i], 0, 4096, false),
				 VIRTIO_BLK_S_UNSUPP);
	}
	rig_fini(&rig);
}

/* An append of @len bytes; @cut: the position's bytes come one by one.  The status. */
static int append(struct rig *rig, uint64_t sector, uint32_t len, bool cut, struct rig_io *io,
		  uint64_t *where)
{
	const struct virtio_blk_req header = {
		le32_make(VIRTIO_BLK_T_ZONE_APPEND), {0}, le64_make(sector)};
	uint64_t at = rig_alloc(rig, 16 + len + 16, 16), pos = at + 16 + len;
	struct vqdrv_buf bufs[12] = {{at, 16}, {at + 16, len}};
	unsigned n = len ? 2 : 1, writable = 0;
	le64 value;

	memcpy(rig_at(rig, at), &header, sizeof(header));
	memset(rig_at(rig, at + 16), (int)(len / 4096), len + 16);
	*io = (struct rig_io){.status = pos + 8};
	if (cut)
		for (; writable < 8; writable++)
			bufs[n + writable] = (struct vqdrv_buf){pos + writable, 1};
	else
		bufs[n + writable++] = (struct vqdrv_buf){pos, 8};
	bufs[n + writable++] = (struct vqdrv_buf){pos + 8, 1};
	rig_submit_bufs(rig, 0, io, bufs, n, writable);
	assert_true(rig_finish(rig, 0, io));
	memcpy(&value, rig_at(rig, pos), sizeof(value));
	*where = le64_get(value);
	return rig_status(rig, io);
}

static void blk_d_18_22_23_append(void **state)
{
	struct rig_options o = {0};
	struct rig_io io;
	struct rig rig;
	uint64_t where;

	(void)state;
	rig_init(&rig, zoned_memory(0), &o);
	assert_int_equal(append(&rig, SECTORS, 4096, false, &io, &where), 0);
	assert_int_equal(where, SECTORS);
	assert_int_equal(io.used_len, 9);
	assert_int_equal(append(&rig, SECTORS, 8192, true, &io, &where), 0);
	assert_int_equal(where, SECTORS + 8);
	assert_int_equal(io.used_len, 9);
	/* Not where a zone begins, a conventional one, too long, beyond the disk. */
	assert_int_equal(append(&rig, SECTORS + 8, 4096, false, &io, &where),
			 VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(io.used_len, 0);
	assert_int_equal(append(&rig, 0, 4096, false, &io, &where), VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(&rig, SECTORS, APPENDED + 4096, false, &io, &where),
			 VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(&rig, ZONES * SECTORS, 4096, false, &io, &where),
			 VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(&rig, UINT64_MAX - 7, 4096, false, &io, &where),
			 VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(append(&rig, SECTORS, 512, false, &io, &where),
			 VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
	assert_int_equal(append(&rig, SECTORS, 100, false, &io, &where), VIRTIO_BLK_S_IOERR);
	/* No room for the position. */
	memset(&io, 0, sizeof(io));
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_ZONE_APPEND, SECTORS, 4096, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(append(&rig, SECTORS, 4096, false, &io, &where), 0);
	assert_int_equal(where, SECTORS + 24);
	rig_fini(&rig);
}

static void the_errors_of_zones_reach_the_driver(void **state)
{
	struct rig_options o = {0};
	struct rig_io io = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, zoned_memory(2), &o);
#define ZONE_DO(type, zone) rig_do(&rig, 0, &io, VIRTIO_BLK_T_ZONE_##type, (zone)*SECTORS, 0, false)
#define WRITE(zone, sector) \
	rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, (zone)*SECTORS + (sector), 4096, true)
	assert_int_equal(WRITE(1u, 8), VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
	assert_int_equal(WRITE(1u, 0), 0);
	assert_int_equal(ZONE_DO(OPEN, 1u), 0);
	assert_int_equal(ZONE_DO(OPEN, 2u), 0);
	assert_int_equal(io.used_len, 1);
	assert_int_equal(ZONE_DO(OPEN, 3u), VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
	assert_int_equal(WRITE(3u, 0), VIRTIO_BLK_S_ZONE_OPEN_RESOURCE);
	assert_int_equal(ZONE_DO(CLOSE, 1u), 0);
	assert_int_equal(WRITE(3u, 0), 0);
	assert_int_equal(WRITE(4u, 0), VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE);
	assert_int_equal(ZONE_DO(FINISH, 1u), 0);
	assert_int_equal(ZONE_DO(OPEN, 1u), VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(ZONE_DO(RESET, 1u), 0);
	assert_int_equal(ZONE_DO(RESET, 0u), VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(ZONE_DO(RESET, ZONES), VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(ZONE_DO(RESET_ALL, 0u), 0);
	assert_int_equal(WRITE(3u, 0), 0);
	/* BLK-D-24 */
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, 2 * SECTORS - 8, 8192, false),
			 VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(io.used_len, 0);
	rig_fini(&rig);
}

/* The report of a buffer of @len bytes from @sector on. */
static void check_report(struct rig *rig, uint64_t sector, uint32_t len)
{
	const struct virtio_blk_zone_report *head;
	const struct virtio_blk_zone_descriptor *d;
	struct rig_io io = {0};
	uint32_t first = (uint32_t)(sector / SECTORS);
	uint32_t n = (uint32_t)min_u64(len / 64 - 1, ZONES - first), written = 64 + n * 64;

	assert_int_equal(rig_do(rig, 0, &io, VIRTIO_BLK_T_ZONE_REPORT, sector, len, false), 0);
	assert_int_equal(io.used_len, written == len ? written + 1 : written);
	head = rig_at(rig, io.data);
	d = (const void *)(head + 1);
	assert_int_equal(le64_get(head->nr_zones), n);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t zone = first + i;

		assert_int_equal(le64_get(d[i].z_start), zone * SECTORS);
		assert_int_equal(le64_get(d[i].z_cap), SECTORS);
		assert_int_equal(d[i].z_type, zone ? VIRTIO_BLK_ZT_SWR : VIRTIO_BLK_ZT_CONV);
		assert_int_equal(d[i].z_state, !zone	   ? VIRTIO_BLK_ZS_NOT_WP
					       : zone == 5 ? VIRTIO_BLK_ZS_IOPEN
					       : zone == 6 ? VIRTIO_BLK_ZS_FULL
							   : VIRTIO_BLK_ZS_EMPTY);
		if (zone == 5)
			assert_int_equal(le64_get(d[i].z_wp), zone * SECTORS + 8);
	}
}

static void reports_of_every_length(void **state)
{
	struct rig_options o = {0};
	struct rig_io io = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, zoned_memory(0), &o);
	assert_int_equal(WRITE(5u, 0), 0);
	assert_int_equal(ZONE_DO(FINISH, 6u), 0);
	for (uint32_t len = 64; len <= 64 * (ZONES + 3); len += 32)
		check_report(&rig, 0, len);
	check_report(&rig, 5 * SECTORS + 17, 64 * 4);
	check_report(&rig, ZONES * SECTORS - 1, 64 * 4);
	check_report(&rig, 0, 1u << 20);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_ZONE_REPORT, 0, 63, false),
			 VIRTIO_BLK_S_ZONE_INVALID_CMD);
	assert_int_equal(
		rig_do(&rig, 0, &io, VIRTIO_BLK_T_ZONE_REPORT, ZONES * SECTORS, 4096, false),
		VIRTIO_BLK_S_ZONE_INVALID_CMD);
	rig_fini(&rig);
}

/* A report in pieces of odd sizes, the status among them. */
static void a_report_may_be_cut_anywhere(void **state)
{
	const struct virtio_blk_req header = {le32_make(VIRTIO_BLK_T_ZONE_REPORT), {0}, {0}};
	struct rig_options o = {.num = 256};
	struct vqdrv_buf bufs[120];
	uint32_t len = 64 * (ZONES + 1) + 1, done = 0;
	struct rig_io io = {0}, whole = {0};
	struct rig rig;
	unsigned n = 0;
	uint64_t at;

	(void)state;
	rig_init(&rig, zoned_memory(0), &o);
	at = rig_alloc(&rig, 16 + len, 1);
	memcpy(rig_at(&rig, at), &header, 16);
	bufs[0] = (struct vqdrv_buf){at, 16};
	while (done < len) {
		uint32_t here = (uint32_t)min_u64(1 + n % 23, len - done);

		bufs[++n] = (struct vqdrv_buf){at + 16 + done, here};
		done += here;
	}
	io.status = at + 16 + len - 1;
	rig_submit_bufs(&rig, 0, &io, bufs, 1, n);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), 0);
	assert_int_equal(io.used_len, len);
	assert_int_equal(rig_do(&rig, 0, &whole, VIRTIO_BLK_T_ZONE_REPORT, 0, len - 1, false), 0);
	assert_memory_equal(rig_at(&rig, at + 16), rig_at(&rig, whole.data), len - 1);
	rig_fini(&rig);
}

/* BLK-D-22: each has a place of its own, whatever queue it came by. */
static void appends_of_several_queues_do_not_meet(void **state)
{
	enum { QUEUES = 3, EACH = 5 };
	struct rig_options o = {.queues = QUEUES, .workers = 2};
	struct rig_io io[QUEUES][EACH];
	bool taken[QUEUES * EACH] = {0};
	struct rig rig;

	(void)state;
	rig_init(&rig, zoned_memory(0), &o);
	for (unsigned i = 0; i < EACH; i++) {
		for (unsigned q = 0; q < QUEUES; q++) {
			const struct virtio_blk_req header = {
				le32_make(VIRTIO_BLK_T_ZONE_APPEND), {0}, le64_make(SECTORS)};
			uint64_t at = rig_alloc(&rig, 16 + 4096 + 16, 16);
			struct vqdrv_buf bufs[] = {{at, 16}, {at + 16, 4096}, {at + 16 + 4096, 9}};

			memcpy(rig_at(&rig, at), &header, 16);
			memset(rig_at(&rig, at + 16), (int)(1 + q * EACH + i), 4096);
			io[q][i] = (struct rig_io){.data = at + 16 + 4096,
						   .status = at + 16 + 4096 + 8};
			rig_submit_bufs(&rig, q, &io[q][i], bufs, 2, 1);
		}
	}
	for (unsigned q = 0; q < QUEUES; q++) {
		for (unsigned i = 0; i < EACH; i++) {
			struct rig_io back = {0};
			uint64_t place;
			le64 where;

			assert_true(rig_finish(&rig, q, &io[q][i]));
			assert_int_equal(rig_status(&rig, &io[q][i]), 0);
			memcpy(&where, rig_at(&rig, io[q][i].data), sizeof(where));
			place = (le64_get(where) - SECTORS) / 8;
			assert_true(place < QUEUES * EACH && !taken[place]);
			taken[place] = true;
			assert_int_equal(rig_do(&rig, 0, &back, VIRTIO_BLK_T_IN, le64_get(where),
						4096, false),
					 0);
			assert_int_equal(*(uint8_t *)rig_at(&rig, back.data), 1 + q * EACH + i);
		}
	}
	rig_fini(&rig);
}

/* ---- a server that was killed ---- */

static uint64_t in_flight(struct storage *s)
{
	struct zoned *d = zoned_of(s);
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->zones.in_flight;
	pthread_mutex_unlock(&d->lock);
	return n;
}

/* Starts the queue over the ring that is there, as the next server does. */
static void start_over(struct rig *rig)
{
	struct device_rig *d = &rig->dev;

	assert_int_equal(virtio_device_set_features(d->vdev, dr_features(d->vdev, 0, 0)), 0);
	virtio_device_set_status(d->vdev, 15);
	virtio_queue_set_enabled(&d->vdev->queues[0], true, NULL);
	assert_int_equal(
		virtio_queue_start(&d->vdev->queues[0], &d->queues[0].config, d->mem, dr_waiter(d)),
		0);
	assert_int_equal(dr_wait(d), 0);
}

/* The guest's memory as it is between two turns of the worker, which writes to it. */
struct picture {
	struct rig *rig;
	uint8_t *bytes;
	uint64_t n;
};

static void picture_take(void *arg)
{
	struct picture *p = arg;

	memcpy(p->bytes, rig_at(p->rig, DR_BASE), p->n);
}

/*
 * An append and a write are in flight, with a record; the memory as it is then is what a killed server
 * leaves behind, and both have reached the disk.  The write comes again and is no error, though
 * it is in front of the write pointer; the append is one, and is not written twice.
 */
static void what_was_in_flight_at_a_kill(void **state)
{
	struct storage_options o = {.target = "memory:1M",
				    .layers.zoned = {.model = 1, .size = ZONE},
				    .layers.faulty.rules = (char *)"hang:op=write:times=2"};
	const struct virtio_blk_req header = {
		le32_make(VIRTIO_BLK_T_ZONE_APPEND), {0}, le64_make(SECTORS)};
	struct rig_options options = {0};
	struct rig_io write = {0}, append_io = {0}, back = {0};
	struct vqdev_record record = {.entries = 64};
	struct vqdrv_buf bufs[3];
	struct rig rig;
	struct storage *s;
	struct picture killed = {.rig = &rig};
	uint64_t at;

	(void)state;
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	rig_init(&rig, s, &options);
	dr_reset(&rig.dev);
	record.at = rig_at(&rig, rig_alloc(&rig, 64 << 10, 4096));
	virtio_queue_set_record(&rig.blk->vdev.queues[0], rig.dev.mem, &record);
	dr_drive(&rig.dev, dr_features(&rig.blk->vdev, 0, 0), 64, 0);

	at = rig_alloc(&rig, 16 + 4096 + 16, 16);
	memcpy(rig_at(&rig, at), &header, 16);
	memset(rig_at(&rig, at + 16), 7, 4096);
	bufs[0] = (struct vqdrv_buf){at, 16};
	bufs[1] = (struct vqdrv_buf){at + 16, 4096};
	bufs[2] = (struct vqdrv_buf){at + 16 + 4096, 9};
	append_io.status = at + 16 + 4096 + 8;
	rig_submit_bufs(&rig, 0, &append_io, bufs, 2, 1);
	write.data = rig_alloc(&rig, 4096, 4096);
	write.len = 4096;
	write.header = rig_alloc(&rig, 16, 16);
	write.status = rig_alloc(&rig, 1, 1);
	memset(rig_at(&rig, write.data), 8, 4096);
	rig_submit(&rig, 0, &write, VIRTIO_BLK_T_OUT, 2 * SECTORS, 4096, true);
	while (in_flight(s) != 2)
		rig_pump(&rig);
	killed.n = rig_alloc(&rig, 1, 1) - DR_BASE;
	killed.bytes = malloc(killed.n);
	assert_non_null(killed.bytes);
	worker_call(rig.dev.workers[0], picture_take, &killed);

	dr_reset(&rig.dev);
	assert_int_equal(in_flight(s), 0);
	memcpy(rig_at(&rig, DR_BASE), killed.bytes, killed.n);
	free(killed.bytes);
	start_over(&rig);
	assert_true(rig_finish(&rig, 0, &append_io));
	assert_int_equal(rig_status(&rig, &append_io), VIRTIO_BLK_S_IOERR);
	assert_true(rig_finish(&rig, 0, &write));
	assert_int_equal(rig_status(&rig, &write), VIRTIO_BLK_S_OK);
	/* The append was done once, by the one that died. */
	assert_int_equal(zoned_of(s)->zones.zone[1].wp, 4096);
	assert_int_equal(zoned_of(s)->zones.zone[2].wp, 4096);
	assert_int_equal(rig_do(&rig, 0, &back, VIRTIO_BLK_T_IN, 2 * SECTORS, 4096, false), 0);
	assert_int_equal(*(uint8_t *)rig_at(&rig, back.data), 8);
	/* What is new is new. */
	assert_int_equal(rig_do(&rig, 0, &write, VIRTIO_BLK_T_OUT, 2 * SECTORS, 4096, true),
			 VIRTIO_BLK_S_ZONE_UNALIGNED_WP);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blk_d_06_07_the_config_space_tells_of_zones),
		cmocka_unit_test(blk_d_04_05_features),
		cmocka_unit_test(blk_d_16_without_zones_their_types_are_unknown),
		cmocka_unit_test(blk_d_18_22_23_append),
		cmocka_unit_test(the_errors_of_zones_reach_the_driver),
		cmocka_unit_test(reports_of_every_length),
		cmocka_unit_test(a_report_may_be_cut_anywhere),
		cmocka_unit_test(appends_of_several_queues_do_not_meet),
		cmocka_unit_test(what_was_in_flight_at_a_kill),
	};

	return cmocka_run_group_tests_name("pair/blk_zones", tests, NULL, NULL);
}
