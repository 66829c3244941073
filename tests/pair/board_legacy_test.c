/* SPDX-License-Identifier: MIT */
/*
 * The legacy header, as drivers of before version 1 use it (virtio 1.4, 4.1.4.10 and the legacy
 * interface sections).
 */
#include "test.h"

#include "board_rig.h"
#include "rig.h"

#include "wire/virtio_blk.h"

#include <string.h>

static struct board_rig R;

static uint64_t base(void)
{
	return R.dev.bars[VIRTIO_PCI_BAR_LEGACY].address;
}
static uint64_t rd(uint64_t at, unsigned size)
{
	return sysbus_read(&R.plane.bus, SYSBUS_PORT, base() + at, size);
}
static void wr(uint64_t at, uint64_t value, unsigned size)
{
	sysbus_write(&R.plane.bus, SYSBUS_PORT, base() + at, value, size);
}

static int setup(void **state)
{
	struct br_options o = {.queues = 2};

	(void)state;
	br_init(&R, &o);
	br_find(&R, VPCI_LEGACY);
	return 0;
}
static int setup_legacy_only(void **state)
{
	struct br_options o = {.board.no_modern = true, .queues = 2};

	(void)state;
	br_init(&R, &o);
	br_find(&R, VPCI_LEGACY);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	br_fini(&R);
	return 0;
}

static void pci_l_01_identity(void **state)
{
	(void)state;
	assert_int_equal(R.dev.device, 0x1001);
	assert_int_equal(R.dev.revision, 0);
	assert_int_equal(R.dev.subsystem, VIRTIO_ID_BLOCK);
}

static void pci_l_02_header_in_bar_0(void **state)
{
	(void)state;
	assert_true(R.dev.bars[0].io);
	assert_int_equal(rd(0, 4) & ~(1u << VIRTIO_F_ANY_LAYOUT), (uint32_t)R.blk->vdev.offered);
	wr(4, 0xffffffff, 4);
	assert_int_equal(rd(4, 4), (uint32_t)R.blk->vdev.offered);
	wr(4, 0, 4);
	for (unsigned i = 0; i < 4; i++) {
		wr(14, i, 2);
		assert_int_equal(rd(14, 2), i);
		assert_int_equal(rd(12, 2), i < 2 ? 256 : 0);
		assert_int_equal(rd(8, 4), 0);
		if (i < 2)
			continue;
		/* Nothing is to be had of queues that are not. */
		wr(8, 0x101, 4);
		assert_int_equal(rd(8, 4), 0);
		wr(8, 0, 4);
	}
	assert_int_equal(rd(18, 1), 0);
	wr(18, 1, 1);
	wr(18, 3, 1);
	assert_int_equal(rd(18, 1), 3);
	assert_int_equal(rd(19, 1), 0);
	wr(14, 0, 2);
	wr(8, 0x101, 4);
	assert_int_equal(rd(8, 4), 0x101);
	wr(18, 0, 1);
	assert_int_equal(rd(18, 1), 0);
	assert_int_equal(rd(8, 4), 0);
}

static bool bound_at(uint64_t addr)
{
	for (unsigned i = 0; i < NOTING_BOUND; i++)
		if (R.below.kicks[i].fd >= 0 && R.below.kicks[i].addr == addr)
			return true;
	return false;
}

/* Kicks go along, and leave nothing where they were. */
static void pci_l_02_running_board_moves_its_bar(void **state)
{
	uint64_t old = base();
	unsigned exits;

	(void)state;
	br_start(&R, 0, true);
	br_check_io(&R);
	assert_true(bound_at(old + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
	exits = R.kick_exits;
	pcidev_config_write(&R.dev, PCI_BAR0, 0xd000, 4);
	R.dev.bars[0].address = 0xd000;
	assert_false(bound_at(old + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
	assert_true(bound_at(0xd000 + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
	br_check_io(&R);
	assert_int_equal(R.kick_exits, exits);
	/* Whose decoding is off takes none; a table elsewhere is nothing to it. */
	pcidev_command(&R.dev, 0, PCI_COMMAND_IO);
	assert_false(bound_at(0xd000 + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
	pcidev_command(&R.dev, PCI_COMMAND_IO, PCI_COMMAND_MEMORY);
	assert_true(bound_at(0xd000 + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
	pcidev_command(&R.dev, PCI_COMMAND_MEMORY, 0);
	br_check_io(&R);
	assert_int_equal(R.kick_exits, exits);
	/* A reset device takes none either. */
	br_reset(&R);
	assert_false(bound_at(0xd000 + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY));
}

static void pci_l_02_vectors_with_msix_only(void **state)
{
	(void)state;
	assert_int_equal(rd(20, 4), 2048);
	assert_int_equal(vpci_msix(&R.v, true), 0);
	assert_int_equal(rd(20, 2), 0xffff);
	assert_int_equal(rd(22, 2), 0xffff);
	wr(20, 1, 2);
	wr(22, 2, 2);
	assert_int_equal(rd(20, 4), 0x20001);
	wr(22, 3, 2); /* one more than there are */
	assert_int_equal(rd(22, 2), 0xffff);
	/* PCI-L-03 */
	assert_int_equal(rd(24, 4), 2048);
	assert_int_equal(vpci_msix(&R.v, false), 0);
	assert_int_equal(rd(20, 4), 2048);
}

static void pci_l_03_configuration_of_any_width(void **state)
{
	struct virtio_blk_config c, again;

	(void)state;
	for (unsigned i = 0; i < sizeof(c); i++)
		((uint8_t *)&c)[i] = (uint8_t)rd(20 + i, 1);
	for (unsigned i = 0; i < sizeof(c); i += 2) {
		uint16_t v = (uint16_t)rd(20 + i, 2);

		memcpy((uint8_t *)&again + i, &v, 2);
	}
	assert_memory_equal(&c, &again, sizeof(c));
	assert_int_equal(le64_get(c.capacity), 2048);
	assert_int_equal(rd(20 + sizeof(c), 1), 0xff);
	assert_int_equal(rd(20 + sizeof(c) - 1, 4), 0xffffff00);
}

/* With or without the vectors in front of it, and nothing beside the byte that can be written. */
static void pci_l_03_configuration_is_written(void **state)
{
	static const unsigned writeback = offsetof(struct virtio_blk_config, writeback);

	(void)state;
	for (unsigned msix = 0; msix < 2; msix++) {
		unsigned config = msix ? 24 : 20;

		br_start(&R, 0, msix);
		assert_int_equal(rd(config + writeback, 1), 1);
		wr(config + writeback, 0, 1);
		assert_int_equal(rd(config + writeback, 1), 0);
		wr(config, 0, 1);
		wr(config + writeback, 1, 1);
		assert_int_equal(rd(config + writeback, 1), 1);
		assert_int_equal(rd(config, 4), 2048);
		br_check_io(&R);
	}
}

static void pci_l_04_upper_features_are_not_accepted(void **state)
{
	(void)state;
	br_start(&R, 0, false);
	assert_int_equal(R.blk->vdev.features >> 32, 0);
	assert_true(R.blk->vdev.features);
	br_check_io(&R);
}

static void driver_uses_the_disk_before_driver_ok(void **state)
{
	uint64_t data;

	(void)state;
	br_reset(&R);
	wr(18, 3, 1);
	R.features = rd(0, 4);
	wr(4, R.features, 4);
	R.n_queues = 1;
	br_queue(&R, 0, 0);
	data = br_alloc(&R, 512, 512);
	assert_int_equal(br_do(&R, 0, VIRTIO_BLK_T_IN, 0, data, 512), 0);
	wr(18, 7, 1);
	assert_int_equal(rd(18, 1), 7);
	br_check_io(&R);
}

static void reset_is_seen_at_once_and_obeyed_in_time(void **state)
{
	struct held_disk *d = held_disk_new(1 << 20);
	struct br_options o = {.board.no_modern = true, .storage = &d->storage};
	struct rig rig = {0};
	struct br_io io = {0};
	uint64_t data;

	(void)state;
	br_fini(&R);
	br_init(&R, &o);
	br_find(&R, VPCI_LEGACY);
	br_start(&R, 0, false);
	data = br_alloc(&R, 512, 512);
	d->hold = true;
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	held_disk_wait(d, 1);
	wr(18, 0, 1);
	assert_int_equal(rd(18, 1), 0);
	/* The next driver begins, while the old request is in flight. */
	br_start(&R, 0, false);
	rig.dev.workers[0] = R.worker;
	rig_release(&rig, d, 0);
	__atomic_store_n(&d->hold, false, __ATOMIC_RELAXED);
	br_check_io(&R);
	assert_int_equal(rd(18, 1), 7);
}

static struct held_disk *held;

static void release_at_last(struct board_rig *r)
{
	struct rig rig = {.dev.workers[0] = r->worker};

	if (r->waits == 5)
		rig_release(&rig, held, 0);
}

/* Nothing of a driver's memory is touched once it believes the reset to be over. */
static void waits_for_a_request(void (*access)(void))
{
	struct br_options o = {.board.no_modern = true, .waits = true};
	struct br_io io = {0};
	uint8_t before[512];
	uint64_t data;

	held = held_disk_new(1 << 20);
	o.storage = &held->storage;
	br_fini(&R);
	br_init(&R, &o);
	br_find(&R, VPCI_LEGACY);
	br_start(&R, 0, false);
	data = br_alloc(&R, 512, 512);
	held->hold = true;
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	held_disk_wait(held, 1);
	R.on_wait = release_at_last;
	access();
	assert_true(R.waits >= 5);
	memset(br_at(&R, data), 0xa5, 512);
	memcpy(before, br_at(&R, data), 512);
	for (unsigned i = 0; i < 20; i++)
		br_pump(&R);
	assert_memory_equal(br_at(&R, data), before, 512);
	wr(14, 0, 2);
	assert_int_equal(rd(8, 4), 0);
	__atomic_store_n(&held->hold, false, __ATOMIC_RELAXED);
	br_start(&R, 0, false);
	br_check_io(&R);
}

static void write_status_0(void)
{
	wr(18, 0, 1);
	assert_int_equal(rd(18, 1), 0);
}

static void write_pfn_0(void)
{
	wr(14, 0, 2);
	wr(8, 0, 4);
}

static void reset_ends_when_the_memory_is_the_drivers(void **state)
{
	(void)state;
	waits_for_a_request(write_status_0);
}

static void page_number_0_ends_when_the_memory_is_the_drivers(void **state)
{
	(void)state;
	waits_for_a_request(write_pfn_0);
}

static bool pfn_is_0(struct board_rig *r, void *arg)
{
	(void)r;
	(void)arg;
	return !rd(8, 4) && !R.board->queues[0].resetting;
}

static void page_number_0_stops_the_queue(void **state)
{
	(void)state;
	br_start(&R, 0, false);
	br_check_io(&R);
	wr(14, 0, 2);
	wr(8, 0, 4);
	br_until(&R, pfn_is_0, NULL);
	br_queue(&R, 0, 0);
	br_check_io(&R);
}

static void kb_49_notifications_of_no_queue(void **state)
{
	(void)state;
	br_start(&R, 0, false);
	for (unsigned i = 2; i < 0x10000; i += 7)
		wr(16, i, 2);
	wr(16, 0xffff, 2);
	wr(15, 0xffffffff, 4);
	br_check_io(&R);
}

static void p_page_numbers_outside_memory(void **state)
{
	static const uint32_t bad[] = {1, 0xff, 0x1100, 0x10ff, 0x7fffffff, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(18, 0, 1);
		wr(18, 3, 1);
		wr(14, 0, 2);
		wr(8, bad[i], 4);
		wr(18, 7, 1);
		wr(16, 0, 2);
		br_pump(&R);
		/* Was the reset not over yet, the start finds it out. */
		for (unsigned n = 0; n < 100 && !(rd(18, 1) & VIRTIO_STATUS_NEEDS_RESET); n++)
			br_pump(&R);
		assert_true(rd(18, 1) & VIRTIO_STATUS_NEEDS_RESET);
	}
	br_start(&R, 0, false);
	br_check_io(&R);
}

static void isr_reads_and_clears(void **state)
{
	(void)state;
	br_start(&R, 0, false);
	br_check_io(&R);
	rd(19, 1);
	virtio_device_config_changed(&R.blk->vdev);
	assert_int_equal(rd(19, 1), VIRTIO_PCI_ISR_CONFIG);
	assert_int_equal(rd(19, 1), 0);
}

/* Both boards that have the header. */
#define T(f)                                                                                \
	cmocka_unit_test_setup_teardown(f, setup, teardown),                                \
	{                                                                                   \
		.name = #f "_legacy_only", .test_func = f, .setup_func = setup_legacy_only, \
		.teardown_func = teardown,                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pci_l_01_identity),
		T(pci_l_02_header_in_bar_0),
		T(pci_l_02_running_board_moves_its_bar),
		T(pci_l_02_vectors_with_msix_only),
		T(pci_l_03_configuration_of_any_width),
		T(pci_l_03_configuration_is_written),
		T(pci_l_04_upper_features_are_not_accepted),
		T(driver_uses_the_disk_before_driver_ok),
		T(reset_is_seen_at_once_and_obeyed_in_time),
		T(reset_ends_when_the_memory_is_the_drivers),
		T(page_number_0_ends_when_the_memory_is_the_drivers),
		T(page_number_0_stops_the_queue),
		T(kb_49_notifications_of_no_queue),
		T(p_page_numbers_outside_memory),
		T(isr_reads_and_clears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
