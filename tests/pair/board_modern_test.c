/* SPDX-License-Identifier: MIT */
/*
 * Rules of the PCI transport for devices (virtio 1.4, 4.1), by the rows of our list: registers,
 * queues, notifications.
 */
#include "test.h"

#include "board_rig.h"
#include "rig.h"

#include "wire/virtio_blk.h"

#include <string.h>
#include <sys/eventfd.h>

#define AT(member) ((unsigned)offsetof(struct virtio_pci_common_cfg, member))

static struct board_rig R;

static uint64_t base(void)
{
	return R.dev.bars[VIRTIO_PCI_BAR_MODERN].address;
}
static uint64_t rd(uint64_t at, unsigned size)
{
	return sysbus_read(&R.plane.bus, SYSBUS_MEMORY, base() + at, size);
}
static void wr(uint64_t at, uint64_t value, unsigned size)
{
	sysbus_write(&R.plane.bus, SYSBUS_MEMORY, base() + at, value, size);
}
static uint32_t cfg(unsigned offset, unsigned size)
{
	return pcidev_config_read(&R.dev, offset, size);
}

static int setup(void **state)
{
	struct br_options o = {.board = {.no_legacy = true}, .queues = 2};

	(void)state;
	br_init(&R, &o);
	br_find(&R, VPCI_MODERN);
	return 0;
}
static int setup_transitional(void **state)
{
	struct br_options o = {.queues = 2};

	(void)state;
	br_init(&R, &o);
	br_find(&R, VPCI_MODERN);
	return 0;
}
static int teardown(void **state)
{
	(void)state;
	br_fini(&R);
	return 0;
}

/* A virtio capability of this type: its offset, 0: none. */
static unsigned vcap(unsigned type)
{
	unsigned cap = 0;

	while ((cap = pcidev_cap(&R.dev, PCI_CAP_VENDOR, cap)))
		if (cfg(cap + 3, 1) == type)
			return cap;
	return 0;
}

/* ---- the function ---- */

static void pci_d_01_read_only_fields_stay(void **state)
{
	static const uint8_t read_only[] = {0x00, 0x02, 0x08, 0x0a, 0x0e, 0x2c, 0x2e, 0x34, 0x3d};

	(void)state;
	for (size_t i = 0; i < sizeof(read_only); i++) {
		uint32_t before = cfg(read_only[i], 1);

		pcidev_config_write(&R.dev, read_only[i], ~before, 1);
		assert_int_equal(cfg(read_only[i], 1), before);
	}
	pcidev_config_write(&R.dev, PCI_COMMAND, 0xffff, 2);
	assert_int_equal(cfg(PCI_COMMAND, 2), 0x0546); /* no ports on this board */
	pcidev_config_write(&R.dev, PCI_STATUS, 0xffff, 2);
	assert_true(cfg(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
}

static void pci_d_01_bars_are_sized_and_moved(void **state)
{
	(void)state;
	assert_int_equal(R.dev.bars[1].size, 4096);
	assert_int_equal(R.dev.bars[4].size, 16384);
	assert_true(R.dev.bars[4].is64);
	/* Unassigned upper half of a 64-bit BAR is not one of its own. */
	assert_int_equal(R.dev.bars[5].size, 0);
	/* Above 4 GiB, with decoding on. */
	pcidev_config_write(&R.dev, PCI_BAR0 + 20, 0x12, 4);
	R.dev.bars[4].address |= UINT64_C(0x12) << 32;
	assert_int_equal(rd(AT(num_queues), 2), 2);
	/* Sizing with decoding on must not leave it anywhere. */
	pcidev_config_write(&R.dev, PCI_BAR0 + 20, 0xffffffff, 4);
	pcidev_config_write(&R.dev, PCI_BAR0 + 16, 0xffffffff, 4);
	assert_int_equal(rd(AT(num_queues), 2), 0xffff);
	assert_int_equal(cfg(PCI_BAR0 + 16, 4), 0xffffc004);
	pcidev_config_write(&R.dev, PCI_BAR0 + 16, 0xe0004000, 4);
	pcidev_config_write(&R.dev, PCI_BAR0 + 20, 0, 4);
	R.dev.bars[4].address = 0xe0004000;
	assert_int_equal(rd(AT(num_queues), 2), 2);
	pcidev_command(&R.dev, 0, PCI_COMMAND_MEMORY);
	assert_int_equal(rd(AT(num_queues), 2), 0xffff);
	pcidev_command(&R.dev, PCI_COMMAND_MEMORY, 0);
	assert_int_equal(rd(AT(num_queues), 2), 2);
}

static void pci_d_01_running_board_moves_its_bar(void **state)
{
	(void)state;
	br_start(&R, 0, true);
	br_check_io(&R);
	pcidev_config_write(&R.dev, PCI_BAR0 + 16, 0xe8000000, 4);
	R.dev.bars[4].address = 0xe8000000;
	br_check_io(&R);
	assert_int_equal(R.kick_exits, 0);
}

static void pci_d_02_identity_modern(void **state)
{
	(void)state;
	assert_int_equal(R.dev.vendor, 0x1af4);
	assert_int_equal(R.dev.device, 0x1042);
	assert_true(R.dev.revision >= 1);
	assert_true(R.dev.subsystem >= 0x40);
	assert_int_equal(R.dev.class_code, 0x010000);
}

static void pci_l_01_identity_transitional(void **state)
{
	(void)state;
	assert_int_equal(R.dev.device, 0x1001);
	assert_int_equal(R.dev.revision, 0);
	assert_int_equal(R.dev.subsystem, VIRTIO_ID_BLOCK);
	assert_int_equal(R.dev.subsystem_vendor, 0x1af4);
}

static void pci_d_04_capability_lengths(void **state)
{
	static const uint8_t len[] = {0, 16, 20, 16, 16, 20};

	(void)state;
	for (unsigned type = 1; type <= 5; type++) {
		unsigned cap = vcap(type);

		assert_true(cap);
		assert_int_equal(cfg(cap + 2, 1), len[type]);
	}
	/* PCI-D-05, PCI-D-22, PCI-D-25 */
	assert_int_equal(cfg(vcap(VIRTIO_PCI_CAP_COMMON_CFG) + 8, 4) % 4, 0);
	assert_true(cfg(vcap(VIRTIO_PCI_CAP_COMMON_CFG) + 12, 4) >= 56);
	assert_int_equal(cfg(vcap(VIRTIO_PCI_CAP_DEVICE_CFG) + 8, 4) % 4, 0);
	assert_int_equal(cfg(vcap(VIRTIO_PCI_CAP_DEVICE_CFG) + 12, 4),
			 sizeof(struct virtio_blk_config));
}

/* ---- common configuration ---- */

static void pci_d_03_halves_of_64_bits(void **state)
{
	(void)state;
	for (unsigned at = AT(queue_desc); at < AT(queue_notif_config_data); at += 8) {
		wr(at + 4, 0x89abcdef, 4);
		wr(at, 0x01234560, 4);
		assert_int_equal(rd(at, 4), 0x01234560);
		assert_int_equal(rd(at + 4, 4), 0x89abcdef);
		assert_true(rd(at, 8) == UINT64_C(0x89abcdef01234560));
		wr(at, 0x0fedcba0, 4);
		assert_int_equal(rd(at + 4, 4), 0x89abcdef);
		wr(at, 0, 8);
	}
}

static void pci_d_06_offered_bits_at_any_select(void **state)
{
	static const uint32_t beyond[] = {2, 3, 4, 5, 6, 7, 8, 0x80000000, 0xffffffff};
	uint64_t offered;

	(void)state;
	offered = vpci_features(&R.v);
	assert_true(offered == R.blk->vdev.offered);
	assert_true(offered & BIT64(VIRTIO_F_RING_RESET));
	assert_true(offered & BIT64(VIRTIO_F_VERSION_1));
	for (size_t i = 0; i < ARRAY_SIZE(beyond); i++) {
		wr(AT(device_feature_select), beyond[i], 4);
		assert_int_equal(rd(AT(device_feature), 4), 0);
	}
}

static void pci_d_07_driver_features_read_back(void **state)
{
	uint64_t offered = vpci_features(&R.v);

	(void)state;
	for (uint32_t word = 0; word < 4; word++) {
		wr(AT(driver_feature_select), word, 4);
		wr(AT(driver_feature), 0xffffffff, 4);
	}
	for (uint32_t word = 0; word < 4; word++) {
		wr(AT(driver_feature_select), word, 4);
		assert_int_equal(rd(AT(driver_feature), 4),
				 word < 2 ? (uint32_t)(offered >> 32 * word) : 0);
	}
}

static int negotiate(uint64_t features)
{
	br_reset(&R);
	vpci_set_status(&R.v, 1);
	vpci_set_status(&R.v, 3);
	vpci_set_features(&R.v, features);
	vpci_set_status(&R.v, 11);
	return vpci_status(&R.v) & VIRTIO_STATUS_FEATURES_OK;
}

static void st_d_05_features_ok_only_for_what_is_possible(void **state)
{
	uint64_t offered = vpci_features(&R.v);

	(void)state;
	assert_true(negotiate(offered));
	assert_true(negotiate(BIT64(VIRTIO_F_VERSION_1)));
	assert_false(negotiate(offered & ~BIT64(VIRTIO_F_VERSION_1)));
	assert_false(negotiate(0));
	assert_false(negotiate(offered | BIT64(VIRTIO_F_SR_IOV)));
	assert_false(negotiate(offered | BIT64(63)));
	assert_true(negotiate(offered));
	/* A bit that no word of ours has. */
	br_reset(&R);
	vpci_set_status(&R.v, 3);
	vpci_set_features(&R.v, offered);
	wr(AT(driver_feature_select), 9, 4);
	wr(AT(driver_feature), 1, 4);
	vpci_set_status(&R.v, 11);
	assert_false(vpci_status(&R.v) & VIRTIO_STATUS_FEATURES_OK);
	for (unsigned i = 0; i < 200; i++)
		assert_true(negotiate(offered));
}

static void pci_d_08_generation_never_aliases(void **state)
{
	uint32_t before;

	(void)state;
	before = vpci_generation(&R.v);
	assert_int_equal(vpci_generation(&R.v), before);
	for (unsigned i = 0; i < 256; i++)
		virtio_device_config_changed(&R.blk->vdev);
	assert_int_not_equal(vpci_generation(&R.v), before);
	before = vpci_generation(&R.v);
	virtio_device_config_changed(&R.blk->vdev);
	assert_int_not_equal(vpci_generation(&R.v), before);
}

static void pci_d_09_status_0_resets(void **state)
{
	(void)state;
	br_start(&R, 0, true);
	br_check_io(&R);
	br_reset(&R);
	assert_int_equal(vpci_status(&R.v), 0);
	for (uint16_t i = 0; i < 2; i++) {
		/* PCI-D-10, PCI-D-30 */
		wr(AT(queue_select), i, 2);
		assert_int_equal(rd(AT(queue_enable), 2), 0);
		assert_int_equal(rd(AT(queue_reset), 2), 0);
		assert_int_equal(rd(AT(queue_msix_vector), 2), 0xffff);
		assert_int_equal(rd(AT(queue_size), 2), 256);
		assert_true(rd(AT(queue_desc), 8) == 0);
	}
	assert_int_equal(rd(AT(config_msix_vector), 2), 0xffff);
	br_start(&R, 0, true);
	br_check_io(&R);
}

static void pci_d_12_no_size_for_queues_that_are_not(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		wr(AT(queue_select), i, 2);
		assert_int_equal(rd(AT(queue_size), 2), i < 2 ? 256 : 0);
		if (i >= 2) {
			wr(AT(queue_size), 4, 2);
			wr(AT(queue_enable), 1, 2);
			wr(AT(queue_msix_vector), 0, 2);
			wr(AT(queue_reset), 1, 2);
			assert_int_equal(rd(AT(queue_enable), 2), 0);
			assert_int_equal(rd(AT(queue_msix_vector), 2), 0xffff);
		}
	}
	assert_int_equal(vpci_status(&R.v), 0);
}

static void pci_d_13_split_size_is_a_power_of_two(void **state)
{
	static const uint16_t bad[] = {0, 3, 255, 257, 512, 0xffff};

	(void)state;
	wr(AT(queue_select), 0, 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wr(AT(queue_size), bad[i], 2);
		assert_int_equal(rd(AT(queue_size), 2), 0);
	}
	wr(AT(queue_size), 16, 2);
	assert_int_equal(rd(AT(queue_size), 2), 16);
	assert_true(negotiate(BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED)));
	wr(AT(queue_size), 3, 2);
	assert_int_equal(rd(AT(queue_size), 2), 3);
}

static void pci_d_15_bad_rings_are_refused(void **state)
{
	static const struct {
		uint64_t desc, driver, device;
		uint16_t size;
	} bad[] = {
		{0, 0x101000, 0x102000, 16},	    /* outside memory */
		{0x100008, 0x101000, 0x102000, 16}, /* unaligned */
		{0x100000, 0x101001, 0x102000, 16}, /* unaligned */
		{0x100000, 0x101000, 0x102002, 16}, /* unaligned */
		{0xfffffffffffffff0, 0x101000, 0x102000, 16},
		{0x100000, 0x101000, 0x10fffff0, 16}, /* one part behind the end */
		{0x100000, 0x101000, 0x102000, 3},
		{0xe0004000, 0x101000, 0x102000, 16}, /* KB-54: our own BAR */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(negotiate(BIT64(VIRTIO_F_VERSION_1)));
		wr(AT(queue_select), 0, 2);
		wr(AT(queue_size), bad[i].size, 2);
		wr(AT(queue_desc), bad[i].desc, 8);
		wr(AT(queue_driver), bad[i].driver, 8);
		wr(AT(queue_device), bad[i].device, 8);
		wr(AT(queue_enable), 1, 2);
		assert_int_equal(rd(AT(queue_enable), 2), 0);
		assert_true(vpci_status(&R.v) & VIRTIO_STATUS_NEEDS_RESET);
		vpci_set_status(&R.v, 15);
	}
	br_start(&R, 0, true);
	br_check_io(&R);
}

static void kb_50_enabled_queues_do_not_change(void **state)
{
	uint64_t desc;

	(void)state;
	br_start(&R, 0, true);
	wr(AT(queue_select), 0, 2);
	desc = rd(AT(queue_desc), 8);
	wr(AT(queue_desc), 0xdead0000, 8);
	wr(AT(queue_driver), 0xdead0000, 8);
	wr(AT(queue_device), 0xdead0000, 8);
	wr(AT(queue_size), 0, 2);
	wr(AT(queue_enable), 0, 2);
	wr(AT(queue_enable), 1, 2);
	assert_true(rd(AT(queue_desc), 8) == desc);
	assert_int_equal(rd(AT(queue_size), 2), 256);
	assert_int_equal(rd(AT(queue_enable), 2), 1);
	br_check_io(&R);
}

static void pci_d_15_narrow_accesses_leave_neighbours_alone(void **state)
{
	(void)state;
	wr(AT(queue_select), 1, 2);
	wr(AT(queue_size), 64, 2);
	wr(AT(queue_msix_vector), 2, 2);
	/* One byte of a size: 64 becomes 0x0140, which is none. */
	wr(AT(queue_size), 0x20, 1);
	assert_int_equal(rd(AT(queue_size), 2), 0x20);
	assert_int_equal(rd(AT(queue_msix_vector), 2), 2);
	assert_int_equal(rd(AT(queue_select), 2), 1);
	/* Two registers at once. */
	wr(AT(queue_size), 0x00010080, 4);
	assert_int_equal(rd(AT(queue_size), 2), 128);
	assert_int_equal(rd(AT(queue_msix_vector), 2), 1);
	wr(AT(queue_desc) + 2, 0xabcd, 2);
	assert_true(rd(AT(queue_desc), 8) == 0xabcd0000);
	wr(AT(queue_desc) + 3, 0x1122, 2);
	assert_true(rd(AT(queue_desc), 8) == UINT64_C(0x1122cd0000));
}

/* ---- queue reset ---- */

static bool queue_is_reset(struct board_rig *r, void *arg)
{
	const uint16_t *i = arg;

	return !vpci_queue_resetting(&r->v, *i);
}

static void pci_d_11_queue_reset(void **state)
{
	uint16_t zero = 0;

	(void)state;
	br_start(&R, 0, true);
	br_check_io(&R);
	vpci_queue_reset(&R.v, 0);
	br_until(&R, queue_is_reset, &zero);
	assert_int_equal(rd(AT(queue_enable), 2), 0);
	assert_int_equal(rd(AT(queue_reset), 2), 0);
	/* ST-D-10: the other one goes on. */
	{
		uint64_t data = br_alloc(&R, 512, 512);

		assert_int_equal(br_do(&R, 1, VIRTIO_BLK_T_IN, 0, data, 512), 0);
	}
	/* ST-D-11, ST-D-12: a ring elsewhere, of another size, from its start. */
	br_queue(&R, 0, 16);
	br_check_io(&R);
	assert_int_equal(R.kick_exits, 0);
}

static void pci_d_11_not_without_the_feature(void **state)
{
	(void)state;
	br_start(&R, BIT64(VIRTIO_F_RING_RESET), true);
	vpci_queue_reset(&R.v, 0);
	assert_int_equal(rd(AT(queue_reset), 2), 0);
	assert_int_equal(rd(AT(queue_enable), 2), 1);
	br_check_io(&R);
}

/* A disk that holds its requests until told. */
static struct held_disk *held(void)
{
	struct held_disk *d = held_disk_new(1 << 20);
	struct br_options o = {.board = {.no_legacy = true}, .storage = &d->storage};

	br_fini(&R);
	br_init(&R, &o);
	br_find(&R, VPCI_MODERN);
	br_start(&R, BIT64(VIRTIO_F_RING_PACKED), true);
	d->hold = true;
	return d;
}

static void let_go(struct held_disk *d)
{
	struct rig rig = {.dev.workers = {R.worker}};

	rig_release(&rig, d, 0);
}

static void pci_d_11_queue_reset_waits_for_what_is_in_flight(void **state)
{
	struct held_disk *d = held();
	uint64_t data = br_alloc(&R, 512, 512);
	struct br_io io = {0};
	uint16_t zero = 0;

	(void)state;
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	held_disk_wait(d, 1);
	vpci_queue_reset(&R.v, 0);
	for (unsigned i = 0; i < 20; i++)
		br_pump(&R);
	assert_int_equal(rd(AT(queue_reset), 2), 1);
	let_go(d);
	br_until(&R, queue_is_reset, &zero);
	__atomic_store_n(&d->hold, false, __ATOMIC_RELAXED);
	br_queue(&R, 0, 0);
	br_check_io(&R);
}

static void st_d_08_reset_reads_0_when_nothing_is_in_flight(void **state)
{
	struct held_disk *d = held();
	uint64_t data = br_alloc(&R, 512, 512);
	struct br_io io = {0};
	unsigned calls = R.below.messages[1];

	(void)state;
	memset(br_at(&R, data), 0x55, 512);
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	held_disk_wait(d, 1);
	vpci_set_status(&R.v, 0);
	for (unsigned i = 0; i < 20; i++)
		br_pump(&R);
	assert_int_equal(vpci_status(&R.v), 15);
	let_go(d);
	br_reset(&R);
	assert_int_equal(vpci_status(&R.v), 0);
	/* ST-D-09: nothing of us is touched any more. */
	memset(br_at(&R, BR_RAM), 0xa5, R.used);
	for (unsigned i = 0; i < 20; i++)
		br_pump(&R);
	for (uint64_t at = 0; at < R.used; at++)
		assert_int_equal(*(uint8_t *)br_at(&R, BR_RAM + at), 0xa5);
	assert_int_equal(R.below.messages[1], calls);
	__atomic_store_n(&d->hold, false, __ATOMIC_RELAXED);
	br_start(&R, 0, true);
	br_check_io(&R);
}

static void reset_by_a_driver_that_does_not_wait(void **state)
{
	struct held_disk *d = held();
	uint64_t data = br_alloc(&R, 512, 512);
	struct br_io io = {0};

	(void)state;
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	held_disk_wait(d, 1);
	vpci_set_status(&R.v, 0);
	/* All of its start while the old request is still in flight. */
	vpci_set_status(&R.v, 1);
	vpci_set_status(&R.v, 3);
	vpci_set_features(&R.v, R.features);
	vpci_set_status(&R.v, 11);
	assert_int_equal(vpci_status(&R.v), 11);
	br_queue(&R, 0, 0);
	vpci_set_status(&R.v, 15);
	assert_int_equal(vpci_status(&R.v), 15);
	let_go(d);
	__atomic_store_n(&d->hold, false, __ATOMIC_RELAXED);
	br_check_io(&R);
	assert_int_equal(vpci_status(&R.v), 15);
}

/* ST-D-05 holds for it, too: what it asks for is judged at once. */
static void st_d_05_features_asked_for_during_a_reset(void **state)
{
	struct held_disk *d = held();
	uint64_t data = br_alloc(&R, 512, 512);
	const uint64_t bad[] = {R.features & ~BIT64(VIRTIO_F_VERSION_1),
				R.features | BIT64(VIRTIO_F_SR_IOV), 0};
	struct br_io io = {0};

	(void)state;
	br_submit(&R, 0, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	held_disk_wait(d, 1);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		vpci_set_status(&R.v, 0);
		vpci_set_status(&R.v, 3);
		vpci_set_features(&R.v, bad[i]);
		vpci_set_status(&R.v, 11);
		assert_int_equal(vpci_status(&R.v), 3);
	}
	let_go(d);
	__atomic_store_n(&d->hold, false, __ATOMIC_RELAXED);
	br_start(&R, 0, true);
	br_check_io(&R);
}

/* ---- notifications ---- */

static void pci_d_16_notify_structure_has_room(void **state)
{
	unsigned cap = vcap(VIRTIO_PCI_CAP_NOTIFY_CFG);
	uint32_t multiplier = cfg(cap + 16, 4), length = cfg(cap + 12, 4);

	(void)state;
	assert_true(is_pow2(multiplier) && multiplier >= 2);
	assert_int_equal(cfg(cap + 8, 4) % 2, 0); /* PCI-D-17 */
	for (unsigned i = 0; i < 2; i++) {	  /* PCI-D-18 */
		wr(AT(queue_select), i, 2);
		assert_true(length >= rd(AT(queue_notify_off), 2) * multiplier + 2);
	}
}

static void kb_49_notifications_of_no_queue(void **state)
{
	(void)state;
	br_start(&R, 0, true);
	for (uint64_t at = VIRTIO_PCI_AT_NOTIFY; at < 0x4000; at++)
		wr(at, 0xffff, 2);
	br_check_io(&R);
}

/* No driver should (4.1.5.2), but then it means both: each byte reaches the place that it has. */
static void a_write_over_two_places_kicks_both_queues(void **state)
{
	eventfd_t n;

	(void)state;
	br_start(&R, 0, true);
	wr(VIRTIO_PCI_AT_NOTIFY, UINT64_C(0x100000000), 8);
	/* Kicks are counted and never read. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(eventfd_read(R.board->queues[i].kick_fd, &n), 0);
		assert_int_equal(n, 1);
	}
	wr(VIRTIO_PCI_AT_NOTIFY + VIRTIO_PCI_NOTIFY_STRIDE, 1, 2);
	assert_int_equal(eventfd_read(R.board->queues[0].kick_fd, &n), -1);
	br_check_io(&R);
}

static void kb_23_kicks_before_driver_ok(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		wr(VIRTIO_PCI_AT_NOTIFY + 4 * i, i, 2);
	assert_true(negotiate(BIT64(VIRTIO_F_VERSION_1)));
	for (unsigned i = 0; i < 8; i++)
		wr(VIRTIO_PCI_AT_NOTIFY + 4 * i, i, 2);
	br_start(&R, 0, true);
	br_check_io(&R);
}

static void kb_55_driver_ok_out_of_order(void **state)
{
	static const uint8_t orders[] = {4, 5, 7, 12, 6, 0x80, 0x40, 0xff};

	(void)state;
	for (size_t i = 0; i < sizeof(orders); i++) {
		br_reset(&R);
		vpci_set_status(&R.v, orders[i]);
		wr(VIRTIO_PCI_AT_NOTIFY, 0, 2);
		assert_false(R.board->queues[0].running);
		br_pump(&R);
	}
	br_start(&R, 0, true);
	br_check_io(&R);
}

/* ---- device configuration ---- */

static void pci_d_22_device_configuration_ends(void **state)
{
	uint64_t at = VIRTIO_PCI_AT_DEVICE, end = at + sizeof(struct virtio_blk_config);

	(void)state;
	assert_true(rd(at, 8) == 2048); /* ST-D-13: at status 0 */
	assert_int_equal(rd(end - 1, 1), 0);
	assert_int_equal(rd(end, 1), 0xff);
	assert_int_equal(rd(end - 2, 4), 0xffff0000);
	assert_int_equal(rd(VIRTIO_PCI_AT_NOTIFY - 1, 4), 0x000000ff); /* each byte its own */
	/* KB-45: any width and place of writes. */
	for (uint64_t o = 0; o < 128; o++)
		for (unsigned size = 1; size <= 8; size *= 2)
			wr(at + o, UINT64_MAX, size);
	assert_true(rd(at, 8) == 2048);
}

/* 5.2.4: a request of seg_max pieces, its header and status fit a ring without tables. */
static void blk_seg_max_fits_the_ring(void **state)
{
	static const struct {
		unsigned size, seg_max;
	} cases[] = {{0, 126}, {2, 1}, {4, 2}, {16, 14}, {64, 62}, {128, 126}, {256, 126}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct br_options o = {.board.no_legacy = true, .queue_size = cases[i].size};

		br_fini(&R);
		br_init(&R, &o);
		br_find(&R, VPCI_MODERN);
		assert_int_equal(
			rd(VIRTIO_PCI_AT_DEVICE + offsetof(struct virtio_blk_config, seg_max), 4),
			cases[i].seg_max);
	}
}

/* ---- the configuration access capability ---- */

static uint32_t window_read(uint32_t bar, uint32_t offset, uint32_t length)
{
	unsigned cap = vcap(VIRTIO_PCI_CAP_PCI_CFG);

	pcidev_config_write(&R.dev, cap + 4, bar, 1);
	pcidev_config_write(&R.dev, cap + 8, offset, 4);
	pcidev_config_write(&R.dev, cap + 12, length, 4);
	return cfg(cap + 16, length == 1 || length == 2 ? length : 4);
}
static void window_write(uint32_t bar, uint32_t offset, uint32_t length, uint32_t value)
{
	unsigned cap = vcap(VIRTIO_PCI_CAP_PCI_CFG);

	pcidev_config_write(&R.dev, cap + 4, bar, 1);
	pcidev_config_write(&R.dev, cap + 8, offset, 4);
	pcidev_config_write(&R.dev, cap + 12, length, 4);
	pcidev_config_write(&R.dev, cap + 16, value, length == 1 || length == 2 ? length : 4);
}

static void pci_d_26_whole_start_through_the_window(void **state)
{
	(void)state;
	/* No memory decoding at all. */
	pcidev_command(&R.dev, 0, PCI_COMMAND_MEMORY);
	assert_int_equal(window_read(4, AT(num_queues), 2), 2);
	window_write(4, AT(device_status), 1, 1);
	window_write(4, AT(device_status), 1, 3);
	window_write(4, AT(driver_feature_select), 4, 1);
	window_write(4, AT(driver_feature), 4, 1);
	window_write(4, AT(device_status), 1, 11);
	assert_int_equal(window_read(4, AT(device_status), 1), 11);
	window_write(4, AT(queue_desc), 4, 0x100000);
	window_write(4, AT(queue_driver), 4, 0x102000);
	window_write(4, AT(queue_device), 4, 0x104000);
	window_write(4, AT(queue_enable), 2, 1);
	window_write(4, AT(device_status), 1, 15);
	assert_int_equal(window_read(4, AT(device_status), 1), 15);
	assert_int_equal(window_read(4, AT(queue_enable), 2), 1);
	assert_int_equal(window_read(4, VIRTIO_PCI_AT_DEVICE, 4), 2048);
	window_write(4, VIRTIO_PCI_AT_NOTIFY, 2, 0);
	br_pump(&R);
}

static void kb_53_window_to_nowhere(void **state)
{
	static const uint32_t offsets[] = {0,	   1,	   2,	       3,	   0x3ffe,
					   0x3fff, 0x4000, 0x7fffffff, 0xfffffffc, 0xffffffff};
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 5, 8, 0x80000000, 0xffffffff};

	(void)state;
	for (unsigned bar = 0; bar < 256; bar++)
		for (size_t o = 0; o < ARRAY_SIZE(offsets); o++)
			for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
				window_read(bar, offsets[o], lengths[l]);
				window_write(bar, offsets[o], lengths[l], 0);
			}
	assert_int_equal(window_read(4, 0x4000, 4), 0xffffffff);
	assert_int_equal(window_read(2, 0, 4), 0xffffffff);
	assert_int_equal(window_read(4, AT(num_queues), 2), 2);
	br_start(&R, 0, true);
	br_check_io(&R);
}

static void p_every_width_at_every_offset(void **state)
{
	(void)state;
	for (unsigned size = 1; size <= 8; size *= 2)
		for (uint64_t at = 0; at < 0x4000; at++)
			rd(at, size);
	for (unsigned offset = 0; offset < 0x100; offset++)
		for (unsigned size = 1; size <= 4; size *= 2)
			pci_bus_config_read(&R.host.bus, R.dev.bdf, offset, size);
	br_start(&R, 0, false);
	br_check_io(&R);
}

#define T(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TT(f) cmocka_unit_test_setup_teardown(f, setup_transitional, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(pci_d_01_read_only_fields_stay),
		T(pci_d_01_bars_are_sized_and_moved),
		T(pci_d_01_running_board_moves_its_bar),
		T(pci_d_02_identity_modern),
		TT(pci_l_01_identity_transitional),
		T(pci_d_04_capability_lengths),
		T(pci_d_03_halves_of_64_bits),
		T(pci_d_06_offered_bits_at_any_select),
		T(pci_d_07_driver_features_read_back),
		T(st_d_05_features_ok_only_for_what_is_possible),
		TT(st_d_05_features_ok_only_for_what_is_possible),
		T(pci_d_08_generation_never_aliases),
		T(pci_d_09_status_0_resets),
		T(pci_d_12_no_size_for_queues_that_are_not),
		T(pci_d_13_split_size_is_a_power_of_two),
		T(pci_d_15_bad_rings_are_refused),
		T(pci_d_15_narrow_accesses_leave_neighbours_alone),
		T(kb_50_enabled_queues_do_not_change),
		T(pci_d_11_queue_reset),
		T(pci_d_11_not_without_the_feature),
		T(pci_d_11_queue_reset_waits_for_what_is_in_flight),
		T(st_d_08_reset_reads_0_when_nothing_is_in_flight),
		T(reset_by_a_driver_that_does_not_wait),
		T(st_d_05_features_asked_for_during_a_reset),
		T(pci_d_16_notify_structure_has_room),
		T(kb_49_notifications_of_no_queue),
		T(a_write_over_two_places_kicks_both_queues),
		T(kb_23_kicks_before_driver_ok),
		T(kb_55_driver_ok_out_of_order),
		T(pci_d_22_device_configuration_ends),
		T(blk_seg_max_fits_the_ring),
		T(pci_d_26_whole_start_through_the_window),
		T(kb_53_window_to_nowhere),
		T(p_every_width_at_every_offset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
