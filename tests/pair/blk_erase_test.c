/* SPDX-License-Identifier: MIT */
/* SECURE_ERASE and GET_LIFETIME as a driver sees them: virtio 1.4, 5.2.6. */
#include "test.h"

#include "rig.h"

#include <errno.h>
#include <string.h>

#define DISK (1u << 20)
#define LAST (DISK / 512 - 1)

static const struct rig_options plain;

static struct held_disk *erasing_disk(void)
{
	struct held_disk *d = held_disk_new(DISK);

	d->storage.limits.max_secure_erase = 256 * 512;
	d->storage.limits.erase_alignment = 4096;
	return d;
}

static struct held_disk *ageing_disk(void)
{
	struct held_disk *d = held_disk_new(DISK);

	d->storage.limits.lifetime = true;
	d->life = (struct storage_lifetime){.pre_eol = 2, .a = 3, .b = 11};
	return d;
}

/* ---- offered or not ---- */

static void what_the_storage_cannot_is_not_offered(void **state)
{
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, rig_memory(DISK), &plain);
	assert_false(rig.blk->vdev.offered &
		     (BIT64(VIRTIO_BLK_F_SECURE_ERASE) | BIT64(VIRTIO_BLK_F_LIFETIME)));
	assert_int_equal(le32_get(rig.blk->config.max_secure_erase_sectors), 0);
	assert_int_equal(le32_get(rig.blk->config.max_secure_erase_seg), 0);
	assert_int_equal(rig_range(&rig, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	memset(&io, 0, sizeof(io));
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, 6, false),
			 VIRTIO_BLK_S_UNSUPP);
	rig_fini(&rig);
}

static void what_was_not_accepted_is_refused(void **state)
{
	const struct rig_options o = {.without = BIT64(VIRTIO_BLK_F_SECURE_ERASE) |
						 BIT64(VIRTIO_BLK_F_LIFETIME)};
	struct held_disk *d = erasing_disk();
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	d->storage.limits.lifetime = true;
	rig_init(&rig, &d->storage, &o);
	assert_true(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_SECURE_ERASE));
	assert_true(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_LIFETIME));
	assert_int_equal(rig_range(&rig, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 8, 0),
			 VIRTIO_BLK_S_UNSUPP);
	memset(&io, 0, sizeof(io));
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, 6, false),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(d->rest + d->fua, 0);
	rig_fini(&rig);
}

static void blk_d_09_a_read_only_disk_tells_its_life_alone(void **state)
{
	struct held_disk *d = erasing_disk();
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	d->storage.readonly = true;
	d->storage.limits.lifetime = true;
	rig_init(&rig, &d->storage, &plain);
	assert_false(rig.blk->vdev.offered & BIT64(VIRTIO_BLK_F_SECURE_ERASE));
	assert_int_not_equal(rig_range(&rig, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 8, 0), 0);
	memset(&io, 0, sizeof(io));
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, 6, false), 0);
	assert_int_equal(d->rest + d->fua, 0);
	rig_fini(&rig);
}

/* ---- secure erase ---- */

static void the_limits_are_in_the_configuration(void **state)
{
	struct held_disk *d = erasing_disk();
	struct rig rig;

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	assert_int_equal(le32_get(rig.blk->config.max_secure_erase_sectors), 256);
	assert_int_equal(le32_get(rig.blk->config.max_secure_erase_seg), 32);
	assert_int_equal(le32_get(rig.blk->config.secure_erase_sector_alignment), 8);
	rig_fini(&rig);
}

/* 5.2.6.2: any flag, unmap too, is unsupported; the rest as for the other requests of ranges. */
static void blk_d_10_29_ranges(void **state)
{
	const uint32_t type = VIRTIO_BLK_T_SECURE_ERASE;
	struct held_disk *d = erasing_disk();
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	memset(d->bytes, 0x55, DISK);
	rig_init(&rig, &d->storage, &plain);
	for (unsigned bit = 0; bit < 32; bit++)
		assert_int_equal(rig_range(&rig, &io, type, 0, 8, 1u << bit), VIRTIO_BLK_S_UNSUPP);
	/* The flags decide first. */
	assert_int_equal(rig_range(&rig, &io, type, LAST, 2, 2), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(rig_range(&rig, &io, type, LAST, 2, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_range(&rig, &io, type, LAST + 1, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_range(&rig, &io, type, UINT64_MAX, 2, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_range(&rig, &io, type, UINT64_MAX - 1, UINT32_MAX, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_range(&rig, &io, type, 0, 257, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_do(&rig, 0, &io, type, 0, 0, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_do(&rig, 0, &io, type, 0, 15, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(rig_do(&rig, 0, &io, type, 0, 24, true), VIRTIO_BLK_S_IOERR);
	memset(rig_at(&rig, io.data), 0, 4096);
	assert_int_equal(rig_do(&rig, 0, &io, type, 0, 33 * 16, true), VIRTIO_BLK_S_IOERR);
	assert_int_equal(d->rest + d->fua, 0);
	for (unsigned i = 0; i < DISK; i++)
		assert_int_equal(d->bytes[i], 0x55);

	assert_int_equal(rig_do(&rig, 0, &io, type, 0, 32 * 16, true), 0);
	assert_int_equal(rig_range(&rig, &io, type, 0, 0, 0), 0);
	assert_int_equal(rig_range(&rig, &io, type, 0, 256, 0), 0);
	assert_int_equal(rig_range(&rig, &io, type, LAST, 1, 0), 0);
	assert_int_equal(io.used_len, 1);
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void all_ranges_of_a_request_are_erased_and_nothing_else(void **state)
{
	struct held_disk *d = erasing_disk();
	struct rig rig;
	struct rig_io io = {0};
	struct virtio_blk_range *r;

	(void)state;
	memset(d->bytes, 0x66, DISK);
	rig_init(&rig, &d->storage, &plain);
	io.data = rig_alloc(&rig, 4096, 16);
	io.len = 4096;
	r = rig_at(&rig, io.data);
	for (unsigned i = 0; i < 32; i++)
		r[i] = (struct virtio_blk_range){.sector = le64_make(i * 20),
						 .num_sectors = le32_make(i % 4)};
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 32 * 16, true), 0);
	for (unsigned s = 0; s <= LAST; s++) {
		bool erased = s / 20 < 32 && s % 20 < s / 20 % 4;

		assert_int_equal(d->bytes[s * 512], erased ? 0 : 0x66);
	}
	/* A range that cannot be leaves those in front of it undone. */
	memset(d->bytes, 0x66, DISK);
	r[31].sector = le64_make(LAST);
	r[31].num_sectors = le32_make(2);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 32 * 16, true),
			 VIRTIO_BLK_S_IOERR);
	for (unsigned i = 0; i < DISK; i++)
		assert_int_equal(d->bytes[i], 0x66);
	rig_fini(&rig);
}

/* As Linux sends it, from 6.1 on: the type is even, so the ranges go where answers would. */
static void ranges_of_linux_lie_in_writable_buffers(void **state)
{
	struct held_disk *d = erasing_disk();
	struct rig rig;
	struct rig_io io = {0};
	struct virtio_blk_range *r;

	(void)state;
	memset(d->bytes, 0x66, DISK);
	rig_init(&rig, &d->storage, &plain);
	io.data = rig_alloc(&rig, 4096, 16);
	io.len = 4096;
	r = rig_at(&rig, io.data);
	r[0] = (struct virtio_blk_range){.sector = le64_make(8), .num_sectors = le32_make(8)};
	r[1] = (struct virtio_blk_range){.sector = le64_make(LAST), .num_sectors = le32_make(1)};
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 32, false), 0);
	/* Nothing was written in front of the status byte. */
	assert_int_equal(io.used_len, 0);
	for (unsigned s = 0; s <= LAST; s++)
		assert_int_equal(d->bytes[s * 512], (s >= 8 && s < 16) || s == LAST ? 0 : 0x66);
	r[1].flags = le32_make(1);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 32, false),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 15, false),
			 VIRTIO_BLK_S_IOERR);
	rig_fini(&rig);
}

/* The first range that fails ends the request; it is answered once. */
static void a_range_that_fails_is_the_answer(void **state)
{
	struct held_disk *d = erasing_disk();
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	d->hold = true;
	rig_init(&rig, &d->storage, &plain);
	io.data = rig_alloc(&rig, 4096, 16);
	io.len = 4096;
	for (unsigned i = 0; i < 3; i++)
		((struct virtio_blk_range *)rig_at(&rig, io.data))[i] = (struct virtio_blk_range){
			.sector = le64_make(i * 8), .num_sectors = le32_make(8)};
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_SECURE_ERASE, 0, 3 * 16, true);
	held_disk_wait(d, 1);
	held_disk_release(d, rig.dev.workers[0], 0);
	held_disk_wait(d, 1);
	held_disk_release(d, rig.dev.workers[0], -EREMOTEIO);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), VIRTIO_BLK_S_IOERR);
	assert_int_equal(io.used_len, 1);
	assert_int_equal(d->n, 0);
	d->hold = false;
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

/* ---- lifetime ---- */

static void three_numbers_in_little_endian(void **state)
{
	static const uint8_t told[] = {2, 0, 3, 0, 11, 0};
	struct held_disk *d = ageing_disk();
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, 6, false), 0);
	assert_int_equal(io.used_len, 7);
	assert_memory_equal(rig_at(&rig, io.data), told, 6);
	rig_fini(&rig);
}

static void lifetime_into_any_buffer(void **state)
{
	static const uint8_t told[] = {2, 0, 3, 0, 11, 0};
	struct held_disk *d = ageing_disk();
	struct rig rig;

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	for (uint64_t len = 0; len < 9; len++) {
		struct rig_io io = {0};
		int status = rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, len, false);

		assert_int_equal(status, len < 6 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
		/* The status byte counts where nothing is missing in front of it. */
		assert_int_equal(io.used_len, len < 6 ? !len : len == 6 ? 7 : 6);
		if (len >= 6)
			assert_memory_equal(rig_at(&rig, io.data), told, 6);
	}
	/* Nothing to write it to. */
	for (uint64_t len = 0; len < 9; len++) {
		struct rig_io io = {0};

		assert_int_equal(rig_do(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, len, true),
				 VIRTIO_BLK_S_IOERR);
	}
	assert_true(rig_healthy(&rig, 0));
	rig_fini(&rig);
}

static void vq_d_01_lifetime_in_pieces(void **state)
{
	static const uint8_t told[] = {2, 0, 3, 0, 11, 0};
	const struct virtio_blk_req header = {.type = le32_make(VIRTIO_BLK_T_GET_LIFETIME)};
	struct held_disk *d = ageing_disk();
	struct rig rig;
	uint64_t at;

	(void)state;
	rig_init(&rig, &d->storage, &plain);
	at = rig_alloc(&rig, 16 + 64, 16);
	for (uint32_t piece = 1; piece <= 7; piece++) {
		struct vqdrv_buf bufs[16] = {{at, 16}};
		struct rig_io io = {.status = at + 16 + 12};
		unsigned n = 1;

		memcpy(rig_at(&rig, at), &header, 16);
		memset(rig_at(&rig, at + 16), 0xee, 64);
		for (uint32_t from = 0; from < 13; from += piece)
			bufs[n++] = (struct vqdrv_buf){at + 16 + from,
						       from + piece > 13 ? 13 - from : piece};
		rig_submit_bufs(&rig, 0, &io, bufs, 1, n - 1);
		assert_true(rig_finish(&rig, 0, &io));
		assert_int_equal(rig_status(&rig, &io), 0);
		assert_int_equal(io.used_len, 6);
		assert_memory_equal(rig_at(&rig, at + 16), told, 6);
		assert_int_equal(*(uint8_t *)rig_at(&rig, at + 22), 0xee);
	}
	rig_fini(&rig);
}

static void a_life_that_cannot_be_read_is_ioerr(void **state)
{
	struct held_disk *d = ageing_disk();
	struct rig rig;
	struct rig_io io = {0};

	(void)state;
	d->hold = true;
	rig_init(&rig, &d->storage, &plain);
	rig_submit(&rig, 0, &io, VIRTIO_BLK_T_GET_LIFETIME, 0, 6, false);
	held_disk_wait(d, 1);
	held_disk_release(d, rig.dev.workers[0], -ENODEV);
	assert_true(rig_finish(&rig, 0, &io));
	assert_int_equal(rig_status(&rig, &io), VIRTIO_BLK_S_IOERR);
	assert_int_equal(io.used_len, 0);
	rig_fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_storage_cannot_is_not_offered),
		cmocka_unit_test(what_was_not_accepted_is_refused),
		cmocka_unit_test(blk_d_09_a_read_only_disk_tells_its_life_alone),
		cmocka_unit_test(the_limits_are_in_the_configuration),
		cmocka_unit_test(blk_d_10_29_ranges),
		cmocka_unit_test(all_ranges_of_a_request_are_erased_and_nothing_else),
		cmocka_unit_test(ranges_of_linux_lie_in_writable_buffers),
		cmocka_unit_test(a_range_that_fails_is_the_answer),
		cmocka_unit_test(three_numbers_in_little_endian),
		cmocka_unit_test(lifetime_into_any_buffer),
		cmocka_unit_test(vq_d_01_lifetime_in_pieces),
		cmocka_unit_test(a_life_that_cannot_be_read_is_ioerr),
	};

	return cmocka_run_group_tests_name("pair/blk_erase", tests, NULL, NULL);
}
