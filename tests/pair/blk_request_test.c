/* SPDX-License-Identifier: MIT */
/*
 * Block requests as a driver sees them: the rules (BLK-D-*) and the bad requests (B-*), whatever
 * way they are cut.
 */
#include "test.h"

#include "rig.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DISK (1u << 20)
#define LAST (DISK / 512 - 1)

static const struct rig_options plain;

/* ---- requests ---- */

static void check_all_types(const struct rig_options *o)
{
	struct rig rig;
	struct rig_io io = {0};
	uint8_t *data;

	rig_init(&rig, rig_memory(DISK), o);
	for (unsigned q = 0; q < rig.dev.n_queues; q++)
		assert_true(rig_healthy(&rig, q));
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, 8, 8192, false), 0);
	assert_int_equal(io.used_len, 8193);
	data = rig_at(&rig, io.data);
	memset(data, 0xa5, 8192);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 8, 8192, true), 0);
	assert_int_equal(io.used_len, 1);
	memset(data, 0, 8192);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, 9, 512, false), 0);
	assert_int_equal(data[0], 0xa5);
	assert_int_equal(data[512], 0);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_FLUSH, 0, 0, true), 0);
	assert_int_equal(io.used_len, 1);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_FLUSH_OUT, 0, 0, true), 0);
	rig_fini(&rig);
}

static void all_layouts_serve_all_types(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 32; bits++) {
		struct rig_options o = {.queues = 2, .num = 16};

		o.without = (bits & 1 ? BIT64(VIRTIO_F_RING_PACKED) : 0) |
			    (bits & 2 ? BIT64(VIRTIO_F_EVENT_IDX) : 0) |
			    (bits & 4 ? BIT64(VIRTIO_F_INDIRECT_DESC) : 0) |
			    (bits & 8 ? BIT64(VIRTIO_F_IN_ORDER) : 0);
		o.no_uring = bits & 16;
		check_all_types(&o);
	}
}

/* One request of 16 + 1024 bytes of data + 1, cut in the given ways. */
static void vq_d_01_b_02_any_framing(void **state)
{
	static const uint32_t cuts[][20] = {
		{16},
		{1, 15},
		{3, 13},
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		{16 + 1024},
		{16 + 512, 512},
		{15, 1 + 1023, 1},
	};
	struct rig rig;
	struct rig_options o = {.num = 256};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &o);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct virtio_blk_req header = {le32_make(VIRTIO_BLK_T_OUT), {0}, le64_make(i * 2)};
		uint64_t at = rig_alloc(&rig, 16 + 1024 + 1, 1);
		struct rig_io io = {.status = at + 1040}, back = {0};
		struct vqdrv_buf bufs[24];
		uint64_t pos = at;
		unsigned n = 0;

		memcpy(rig_at(&rig, at), &header, 16);
		memset(rig_at(&rig, at + 16), (int)(i + 1), 1024);
		for (unsigned k = 0; cuts[i][k]; k++, n++) {
			bufs[n] = (struct vqdrv_buf){pos, cuts[i][k]};
			pos += cuts[i][k];
		}
		if (pos < at + 1040)
			bufs[n++] = (struct vqdrv_buf){pos, (uint32_t)(at + 1040 - pos)};
		bufs[n] = (struct vqdrv_buf){at + 1040, 1};
		rig_submit_bufs(&rig, 0, &io, bufs, n, 1);
		assert_true(rig_finish(&rig, 0, &io));
		assert_int_equal(rig_status(&rig, &io), 0);
		assert_int_equal(rig_do(&rig, 0, &back, VIRTIO_BLK_T_IN, i * 2, 1024, false), 0);
		assert_memory_equal(rig_at(&rig, back.data), rig_at(&rig, at + 16), 1024);
	}
	rig_fini(&rig);
}

/* Read data in one-byte pieces, the status byte in the same descriptor as the last of them. */
static void vq_d_01_status_shares_the_data_descriptor(void **state)
{
	struct rig rig;
	struct rig_options o = {.num = 1024};
	struct virtio_blk_req header = {le32_make(VIRTIO_BLK_T_IN), {0}, le64_make(0)};
	struct vqdrv_buf bufs[520];
	struct rig_io io = {0};
	uint64_t at;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &o);
	at = rig_alloc(&rig, 16 + 513, 1);
	memcpy(rig_at(&rig, at), &header, 16);
	memset(rig_at(&rig, at + 16), 0xff, 513);
	bufs[0] = (struct vqdrv_buf){at, 16};
	bufs[1] = (struct vqdrv_buf){at + 16, 513};
	io.status = at + 16 + 512;
	rig_submit_bufs(&rig, 0, &io, bufs, 1, 1);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), 0);
	assert_int_equal(io.used_len, 513);
	assert_int_equal(*(uint8_t *)rig_at(&rig, at + 16 + 511), 0);

	memset(rig_at(&rig, at + 16), 0xff, 513); /* B-11: far more pieces than seg_max */
	for (uint32_t i = 0; i < 513; i++)
		bufs[1 + i] = (struct vqdrv_buf){at + 16 + i, 1};
	rig_submit_bufs(&rig, 0, &io, bufs, 1, 513);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), 0);
	assert_int_equal(io.used_len, 513);
	rig_fini(&rig);
}

static void b_01_kb_43_no_byte_for_the_status(void **state)
{
	struct rig rig;
	struct rig_options o = {.queues = 2};
	struct rig_io io = {0};
	struct vqdrv_buf buf;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &o);
	buf = (struct vqdrv_buf){rig_alloc(&rig, 16, 16), 16};
	rig_submit_bufs(&rig, 0, &io, &buf, 1, 0);
	while (!rig.dev.broken)
		rig_pump(&rig);
	assert_true(rig.blk->vdev.status & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(rig.dev.config_changes, 1); /* ST-D-03 */
	assert_true(rig_healthy(&rig, 1));	     /* everybody else goes on */

	/* A reset heals it. */
	virtio_device_reset(&rig.blk->vdev, rig_waiter(&rig));
	assert_int_equal(rig_wait(&rig), 0);
	assert_int_equal(rig.blk->vdev.status, 0);
	virtio_device_set_features(&rig.blk->vdev, rig.blk->vdev.offered);
	virtio_device_set_status(&rig.blk->vdev, 15);
	for (unsigned i = 0; i < 2; i++) {
		virtio_queue_set_enabled(&rig.blk->vdev.queues[i], true, NULL);
		dr_start_queue(&rig.dev, i, 64, 0);
		assert_true(rig_healthy(&rig, i));
	}
	rig_fini(&rig);
}

static void b_02_header_cut_short(void **state)
{
	struct rig rig;
	struct rig_io io = {0};
	struct vqdrv_buf bufs[2];

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	bufs[0] = (struct vqdrv_buf){rig_alloc(&rig, 16, 16), 15};
	io.status = rig_alloc(&rig, 1, 1);
	bufs[1] = (struct vqdrv_buf){io.status, 1};
	rig_submit_bufs(&rig, 0, &io, bufs, 1, 1);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), VIRTIO_BLK_S_IOERR);
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void b_03_unknown_types_are_unsupported(void **state)
{
	static const uint32_t types[] = {2,  3,	   6,		7,	     9,		10,
					 12, 14,   15,		16,	     18,	26,
					 27, 1000, 0x80000000u, 0x80000001u, UINT32_MAX};
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		assert_int_equal(rig_do(&rig, 0, &io, types[i], 0, 512, false),
				 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(io.used_len, 0); /* VQ-D-10: the data in front was not written */
		assert_int_equal(rig_do(&rig, 0, &io, types[i], 0, 512, true), VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(io.used_len, 1);
	}
	rig_fini(&rig);
}

static void b_04_length_no_multiple_of_512(void **state)
{
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	for (uint64_t len = 1; len < 1024; len += 93) {
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, len, false),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(io.used_len, 0);
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, len, true),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void b_05_kb_36_37_capacity(void **state)
{
	static const uint64_t beyond[] = {LAST + 1,	    LAST + 2,	      UINT64_MAX,
					  UINT64_MAX - 1,   UINT64_MAX / 512, UINT64_C(1) << 55,
					  UINT64_C(1) << 63};
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, beyond[i], 512, false),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, beyond[i], 512, true),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, LAST, 1024, true),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, LAST, 512, true), 0);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, LAST, 512, false), 0);
	rig_fini(&rig);
}

static void b_06_blk_d_09_read_only_disk(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	d->storage.readonly = true;
	rig_init(&rig, &d->storage, &plain);
	assert_true(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_RO));
	assert_false(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, 512, true), VIRTIO_BLK_S_IOERR);
	assert_int_not_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_DISCARD, 0, 16, true), 0);
	assert_int_not_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, true), 0);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, false), 0);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_FLUSH, 0, 0, true), 0);
	assert_int_equal(d->rest + d->fua, 0); /* nothing that writes reached the disk */
	rig_fini(&rig);
}

static void b_07_data_of_the_wrong_direction(void **state)
{
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_IN, 0, 512, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_OUT, 0, 512, false), VIRTIO_BLK_S_IOERR);
	assert_int_equal(io.used_len, 0);
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void b_08_kb_47_get_id_into_any_buffer(void **state)
{
	static const struct {
		uint64_t len;
		uint32_t used;
	} cases[] = {{0, 1}, {1, 2}, {19, 20}, {20, 21}, {21, 20}, {4096, 20}};
	static const char id[20] = "ringside-rig";
	struct rig rig;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig_io io = {0};
		uint64_t len = cases[i].len;

		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_ID, 0, len, false), 0);
		assert_int_equal(io.used_len, cases[i].used);
		assert_memory_equal(rig_at(&rig, io.data), id, len < 20 ? len : 20);
	}
	rig_fini(&rig);
}

static void b_09_blk_d_10_11_ranges(void **state)
{
	struct held_disk *d = held_disk_new(DISK);
	struct rig rig;
	struct rig_io io = {0};
	uint32_t max;

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	max = le32_get(rig.blk->config.max_discard_sectors);
	for (int zeroes = 0; zeroes < 2; zeroes++) {
		uint32_t type = zeroes ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD;

		for (unsigned bit = 1; bit < 32; bit++)
			assert_int_equal(rig_range(&rig, &io, type, 0, 8, 1u << bit),
					 VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(rig_range(&rig, &io, type, 0, 8, 1),
				 zeroes ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(rig_range(&rig, &io, type, LAST, 2, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_range(&rig, &io, type, UINT64_MAX, 2, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_range(&rig, &io, type, UINT64_MAX - 1, UINT32_MAX, 0),
				 VIRTIO_BLK_S_IOERR); /* KB-38 */
		assert_int_equal(rig_range(&rig, &io, type, 0, max + 1, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_range(&rig, &io, type, 0, 0, 0), 0);
		assert_int_equal(rig_range(&rig, &io, type, LAST, 1, 0), 0);
		assert_int_equal(rig_do(&rig, 0, &io, type, 0, 0, true), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_do(&rig, 0, &io, type, 0, 15, true), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_do(&rig, 0, &io, type, 0, 24, true), VIRTIO_BLK_S_IOERR);
		memset(rig_at(&rig, io.data), 0,
		       4096); /* KB-39: one more than max_*_seg, all of no sectors */
		assert_int_equal(rig_do(&rig, 0, &io, type, 0, 33 * 16, true), VIRTIO_BLK_S_IOERR);
		assert_int_equal(rig_do(&rig, 0, &io, type, 0, 32 * 16, true), 0);
	}
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void b_09_a_bad_range_leaves_the_good_ones_undone(void **state)
{
	struct rig rig;
	struct rig_io w = {0}, io = {0};
	struct virtio_blk_range *r;

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	w.data = rig_alloc(&rig, 4096, 512);
	w.len = 4096;
	memset(rig_at(&rig, w.data), 0x33, 4096);
	assert_int_equal(rig_do(&rig, 0, &w, VIRTIO_BLK_T_OUT, 0, 4096, true), 0);
	io.data = rig_alloc(&rig, 4096, 16);
	io.len = 4096;
	r = rig_at(&rig, io.data);
	for (unsigned bad = 0; bad < 2; bad++) {
		r[!bad] = (struct virtio_blk_range){le64_make(0), le32_make(4), le32_make(0)};
		r[bad] = (struct virtio_blk_range){le64_make(LAST), le32_make(4), le32_make(0)};
		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, true),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(rig_do(&rig, 0, &w, VIRTIO_BLK_T_IN, 0, 4096, false), 0);
	for (int i = 0; i < 4096; i++)
		assert_int_equal(((uint8_t *)rig_at(&rig, w.data))[i], 0x33);

	/* BLK-D-12: two good ranges, one of them touching a single sector. */
	r[0] = (struct virtio_blk_range){le64_make(1), le32_make(1), le32_make(0)};
	r[1] = (struct virtio_blk_range){le64_make(4), le32_make(2), le32_make(1)};
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_WRITE_ZEROES, 0, 32, true), 0);
	assert_int_equal(rig_do(&rig, 0, &w, VIRTIO_BLK_T_IN, 0, 4096, false), 0);
	for (int i = 0; i < 4096; i++) {
		int s = i / 512;
		int want = s == 1 || s == 4 || s == 5 ? 0 : 0x33;

		assert_int_equal(((uint8_t *)rig_at(&rig, w.data))[i], want);
	}
	rig_fini(&rig);
}

static void b_10_flush_with_data_and_sector(void **state)
{
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_FLUSH, 77, 512, true), 0);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_FLUSH, UINT64_MAX, 512, false), 0);
	rig_fini(&rig);
}

static void b_12_one_mib_requests_in_flight(void **state)
{
	struct rig rig;
	struct rig_options o = {.num = 64};
	static struct rig_io io[48];

	(void)state;
	memset(io, 0, sizeof(io));
	rig_init(&rig, rig_memory(DISK), &o);
	for (size_t i = 0; i < ARRAY_SIZE(io); i++)
		rig_submit(&rig, 0, &io[i], i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, DISK,
			   i % 2);
	for (size_t i = 0; i < ARRAY_SIZE(io); i++) {
		assert_true(rig_finish(&rig, 0, &io[i]));
		assert_int_equal(rig_status(&rig, &io[i]), 0);
		assert_int_equal(io[i].used_len, i % 2 ? 1 : DISK + 1);
	}
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
		cmocka_unit_test(all_layouts_serve_all_types),
		cmocka_unit_test(vq_d_01_b_02_any_framing),
		cmocka_unit_test(vq_d_01_status_shares_the_data_descriptor),
		cmocka_unit_test(b_01_kb_43_no_byte_for_the_status),
		cmocka_unit_test(b_02_header_cut_short),
		cmocka_unit_test(b_03_unknown_types_are_unsupported),
		cmocka_unit_test(b_04_length_no_multiple_of_512),
		cmocka_unit_test(b_05_kb_36_37_capacity),
		cmocka_unit_test(b_06_blk_d_09_read_only_disk),
		cmocka_unit_test(b_07_data_of_the_wrong_direction),
		cmocka_unit_test(b_08_kb_47_get_id_into_any_buffer),
		cmocka_unit_test(b_09_blk_d_10_11_ranges),
		cmocka_unit_test(b_09_a_bad_range_leaves_the_good_ones_undone),
		cmocka_unit_test(b_10_flush_with_data_and_sector),
		cmocka_unit_test(b_12_one_mib_requests_in_flight),
	};

	log_setup(LOG_LEVEL_ERR, quiet_log, NULL);
	return cmocka_run_group_tests_name("blk requests", tests, NULL, NULL);
}
