/* SPDX-License-Identifier: MIT */
/* The client's memory: what the device may read only, or write only, and what it may not reach. */
#include "server/vfio_user/driver_test.h"

#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define R  VFIO_USER_DMA_READABLE
#define W  VFIO_USER_DMA_WRITABLE
#define RW (R | W)

/* One page of the rig's memory is apart; the rest may be read and written. */
#define APART	   (RIG_MEM_AT + UINT64_C(0x80000))
#define APART_SIZE UINT64_C(0x1000)
#define BEHIND	   (APART + APART_SIZE)

/* Without an fd: by messages. */
#define NO_FD (RW + 1)
#define KINDS (NO_FD | RW)

static void apart(struct rig *r, uint32_t flags)
{
	assert_int_equal(rig_map(r, RIG_MEM_AT, APART - RIG_MEM_AT, RW, 0, r->mem_fd), 0);
	assert_int_equal(rig_map(r, BEHIND, RIG_MEM_AT + RIG_MEM_SIZE - BEHIND, RW,
				 BEHIND - RIG_MEM_AT, r->mem_fd),
			 0);
	if (flags & NO_FD && flags & RW)
		assert_int_equal(rig_map(r, APART, APART_SIZE, flags & RW, 0, -1), 0);
	else if (flags & RW)
		assert_int_equal(
			rig_map(r, APART, APART_SIZE, flags, APART - RIG_MEM_AT, r->mem_fd), 0);
}

static const struct drv_request ordinary = {
	.type = VIRTIO_BLK_T_IN,
	.header = DRV_DATA,
	.data = DRV_DATA + 0x1000,
	.len = 4096,
	.status = DRV_DATA + 0x100,
};

/* As on a device that nobody has driven yet. */
static void again(struct drv *d, struct rig *r)
{
	drv_set_status(d, 0);
	while (drv_status(d))
		rig_turn(r, 1);
	drv_up(d, r, 1, d->packed, 0);
	assert_int_equal(drv_do(d, &ordinary), VIRTIO_BLK_S_OK);
}

/* A request with one part there: OK, or the queue is broken and nothing of that part has changed. */
static void expect(struct drv *d, struct rig *r, const struct drv_request *what, bool ok)
{
	uint8_t before[APART_SIZE];

	memset(drv_at(d, APART), 0x5a, APART_SIZE);
	memcpy(before, drv_at(d, APART), APART_SIZE);
	*(uint8_t *)drv_at(d, what->status) = 0x77;
	/* The header is the driver's to write. */
	if (what->header == APART)
		memset(before, 0, sizeof(struct virtio_blk_req));
	if (ok) {
		assert_int_equal(drv_do(d, what), VIRTIO_BLK_S_OK);
		return;
	}
	assert_int_equal(drv_do(d, what), 255);
	if (what->status != APART)
		assert_int_equal(*(uint8_t *)drv_at(d, what->status), 0x77);
	else
		before[0] = 0x77;
	if (what->header == APART)
		memset(drv_at(d, APART), 0, sizeof(struct virtio_blk_req));
	assert_memory_equal(drv_at(d, APART), before, APART_SIZE);
	again(d, r);
}

static void requests_in_memory_of_each_kind(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (uint32_t flags = 0; flags <= KINDS; flags++) {
			struct drv_request what;
			struct rig r;
			struct drv d;

			rig_init(&r, "memory:1M");
			apart(&r, flags);
			drv_up(&d, &r, 1, packed, 0);
			what = ordinary;
			what.header = APART;
			expect(&d, &r, &what, flags & R);
			what = ordinary;
			what.status = APART;
			expect(&d, &r, &what, flags & W);
			what = ordinary;
			what.data = APART;
			expect(&d, &r, &what, flags & W);
			what.type = VIRTIO_BLK_T_OUT;
			expect(&d, &r, &what, flags & R);
			/* Into the border and beyond: all or nothing. */
			what.data = APART - 512;
			expect(&d, &r, &what, flags & R);
			what.data = BEHIND - 512;
			what.type = VIRTIO_BLK_T_IN;
			expect(&d, &r, &what, flags & W);
			rig_fini(&r);
		}
}

/* A ring whose used half the device must not write to, and so on: refused where it is enabled. */
static void rings_in_memory_of_each_kind(void **state)
{
	static const struct {
		uint64_t field;
		uint32_t need[2]; /* split, packed */
	} areas[] = {
		{offsetof(struct virtio_pci_common_cfg, queue_desc), {R, RW}},
		{offsetof(struct virtio_pci_common_cfg, queue_driver), {R, R}},
		{offsetof(struct virtio_pci_common_cfg, queue_device), {W, W}},
	};

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++)
		for (uint32_t flags = 0; flags <= KINDS; flags++) {
			struct rig r;
			struct drv d;

			rig_init(&r, "memory:1M");
			apart(&r, flags);
			for (size_t i = 0; i < ARRAY_SIZE(areas); i++) {
				bool ok = (flags & areas[i].need[packed]) == areas[i].need[packed];

				drv_prepare(&d, &r, 0, packed, 0);
				rig_put(&r, 4, offsetof(struct virtio_pci_common_cfg, queue_select),
					0, 2);
				rig_put(&r, 4, offsetof(struct virtio_pci_common_cfg, queue_size),
					DRV_NUM, 2);
				for (size_t k = 0; k < ARRAY_SIZE(areas); k++)
					rig_put(&r, 4, areas[k].field,
						(uint32_t)(k == i ? APART
								  : DRV_RING(0) + 0x1000 * k),
						4);
				rig_put(&r, 4, offsetof(struct virtio_pci_common_cfg, queue_enable),
					1, 2);
				assert_int_equal(drv_status(&d) & VIRTIO_STATUS_NEEDS_RESET,
						 ok ? 0 : VIRTIO_STATUS_NEEDS_RESET);
				drv_set_status(&d, 0);
				while (drv_status(&d))
					rig_turn(&r, 1);
			}
			rig_fini(&r);
		}
}

/* Memory that comes back read-only under a ring: as if it had not come back. */
static void a_ring_waits_for_memory_that_it_may_use(void **state)
{
	uint32_t len;
	struct rig r;
	struct drv d;

	(void)state;
	rig_init(&r, "memory:1M");
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
	drv_up(&d, &r, 1, false, 0);
	assert_int_equal(drv_do(&d, &ordinary), VIRTIO_BLK_S_OK);
	assert_int_equal(rig_unmap(&r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, R, 0, r.mem_fd), 0);
	drv_offer(&d, 0, 1, &ordinary);
	drv_kick(&d, 0);
	assert_true(rig_silent(&r));
	assert_int_equal(drv_take(&d, 0, &len), -1);
	assert_false(drv_status(&d) & VIRTIO_STATUS_NEEDS_RESET);
	assert_int_equal(rig_unmap(&r, RIG_MEM_AT, RIG_MEM_SIZE, 0), 0);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, r.mem_fd), 0);
	assert_int_equal(drv_wait(&d, 0, &len), 1);
	rig_fini(&r);
}

/* What the client could not write itself, it cannot have written. */
static void a_file_that_is_open_for_reading_only(void **state)
{
	char path[64];
	struct rig r;
	int fd;

	(void)state;
	rig_init(&r, "memory:1M");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r.mem_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, RW, 0, fd), EACCES);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, W, 0, fd), EACCES);
	assert_int_equal(rig_map(&r, RIG_MEM_AT, RIG_MEM_SIZE, R, 0, fd), 0);
	close(fd);
	rig_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_in_memory_of_each_kind),
		cmocka_unit_test(rings_in_memory_of_each_kind),
		cmocka_unit_test(a_ring_waits_for_memory_that_it_may_use),
		cmocka_unit_test(a_file_that_is_open_for_reading_only),
	};

	return cmocka_run_group_tests_name("server/vfio_user/memory", tests, NULL, NULL);
}
