/* SPDX-License-Identifier: MIT */
/*
 * The regions of a VFIO device, with an ordinary file in its place: BAR registers that are made up,
 * accesses that stay inside.
 */
#include "test.h"

#include "frontend/pci/vfiodev.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The file: a page of ports, 16 KiB of memory of which the first page is mapped,
 * configuration space.
 */
#define PORTS  0x1000u
#define MEMORY 0x4000u
#define CONFIG 0x8000u
#define END    0x9000u

static struct vfiodev v;

static void poke(uint32_t at, uint32_t value, unsigned size)
{
	assert_int_equal(pwrite(v.device, &value, size, at), (ssize_t)size);
}

static uint32_t peek(uint32_t at, unsigned size)
{
	uint32_t value = 0;

	assert_int_equal(pread(v.device, &value, size, at), (ssize_t)size);
	return value;
}

static int begin(void **state)
{
	(void)state;
	memset(&v, 0, sizeof(v));
	vfiodev_init(&v);
	v.device = memfd_create("vfiodev", MFD_CLOEXEC);
	assert_int_equal(ftruncate(v.device, END), 0);
	v.config_size = PCI_CONFIG_BYTES;
	v.config_offset = CONFIG;
	v.bars[0] = (struct vfiodev_bar){.size = 32, .file_offset = PORTS};
	v.bars[1] = (struct vfiodev_bar){.size = 0x1000, .file_offset = PORTS};
	v.bars[4] = (struct vfiodev_bar){.size = 0x4000, .file_offset = MEMORY, .n_maps = 1};
	v.bars[4].maps[0] = (struct vfiodev_map){
		.size = 0x1000,
		.host = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, v.device, MEMORY),
	};
	assert_true(v.bars[4].maps[0].host != MAP_FAILED);
	/* What the kernel's addresses are does not matter. */
	vfiodev_place_bar(&v, 0, 0xc041);
	vfiodev_place_bar(&v, 1, 0xfebf1000);
	vfiodev_place_bar(&v, 2, 0);
	vfiodev_place_bar(&v, 3, 0);
	vfiodev_place_bar(&v, 4, 0x0000000c);
	vfiodev_place_bar(&v, 5, 0);
	poke(CONFIG + PCI_VENDOR_ID, 0x10421af4, 4);
	return 0;
}

static int end(void **state)
{
	(void)state;
	vfiodev_close(&v);
	return 0;
}

static void bars_are_sized_and_have_addresses(void **state)
{
	struct pcidev dev;

	(void)state;
	assert_int_equal(pcidev_open(&dev, &v.access, 0), 0);
	assert_true(dev.bars[0].io);
	assert_int_equal(dev.bars[0].size, 32);
	assert_int_equal(dev.bars[1].size, 0x1000);
	assert_false(dev.bars[1].is64);
	assert_int_equal(dev.bars[2].size, 0);
	assert_true(dev.bars[4].is64);
	assert_int_equal(dev.bars[4].size, 0x4000);
	for (unsigned i = 0; i < PCI_BARS; i++)
		assert_true(!dev.bars[i].size == !dev.bars[i].address);
	assert_int_equal(peek(CONFIG + PCI_BAR0, 4), 0); /* the device's own were left alone */
}

static void accesses_of_every_width_mapped_and_not(void **state)
{
	/* The second is behind what is mapped; the third runs over its end. */
	static const uint32_t at[] = {0x10, 0x2010, 0xffe};
	struct pcidev dev;

	(void)state;
	assert_int_equal(pcidev_open(&dev, &v.access, 0), 0);
	for (unsigned i = 0; i < 3; i++) {
		pcidev_bar_write(&dev, 4, at[i], 0x44332211, 4);
		assert_int_equal(peek(MEMORY + at[i], 4), 0x44332211);
		assert_int_equal(pcidev_bar_read(&dev, 4, at[i], 4), 0x44332211);
		pcidev_bar_write(&dev, 4, at[i], 0x6655, 2);
		assert_int_equal(pcidev_bar_read(&dev, 4, at[i], 2), 0x6655);
		pcidev_bar_write(&dev, 4, at[i], 0x77, 1);
		assert_int_equal(pcidev_bar_read(&dev, 4, at[i], 4), 0x44336677);
	}
	pcidev_bar_write(&dev, 0, 16, 3, 2);
	assert_int_equal(peek(PORTS + 16, 2), 3);
	assert_int_equal(pcidev_bar_read(&dev, 0, 16, 2), 3);
}

static void nothing_leaves_its_bar(void **state)
{
	struct pcidev dev;
	uint64_t last;

	(void)state;
	assert_int_equal(pcidev_open(&dev, &v.access, 0), 0);
	last = dev.bars[4].address + dev.bars[4].size - 2;
	poke(MEMORY + 0x4000, 0x5a5a5a5a, 4);
	assert_int_equal(v.access.ops->read(&v.access, false, last, 4), UINT32_MAX);
	v.access.ops->write(&v.access, false, last, 0, 4);
	v.access.ops->write(&v.access, false, last + 2, 0, 4);
	v.access.ops->write(&v.access, false, 0, 0, 4);
	assert_int_equal(peek(MEMORY + 0x4000, 4), 0x5a5a5a5a);
	assert_int_equal(v.access.ops->read(&v.access, false, UINT64_MAX, 1), 0xff);
	assert_int_equal(v.access.ops->read(&v.access, true, 0xffff, 2), 0xffff);
	/* Ports and memory are different spaces. */
	assert_int_equal(v.access.ops->read(&v.access, false, dev.bars[0].address, 2), 0xffff);
	assert_int_equal(pcidev_config_read(&dev, PCI_CONFIG_BYTES, 4), UINT32_MAX);
	assert_int_equal(pcidev_config_read(&dev, PCI_CONFIG_BYTES - 2, 4), UINT32_MAX);
	pcidev_config_write(&dev, PCI_CONFIG_BYTES, 0, 4);
}

static void a_bar_answers_where_it_was_put(void **state)
{
	struct pcidev_window ports = {0xc000, 0x10000}, memory = {UINT64_C(1) << 40, UINT64_MAX};
	struct pcidev dev;
	uint64_t before;

	(void)state;
	poke(MEMORY, 0x12345678, 4);
	assert_int_equal(pcidev_open(&dev, &v.access, 0), 0);
	before = dev.bars[4].address;
	for (unsigned i = 0; i < PCI_BARS; i++)
		dev.bars[i].address = 0;
	dev.bars[1].size = 0; /* would need a window below 4 GiB */
	assert_int_equal(pcidev_assign(&dev, &ports, &memory), 0);
	assert_int_equal(dev.bars[4].address, UINT64_C(1) << 40);
	assert_int_equal(pcidev_bar_read(&dev, 4, 0, 4), 0x12345678);
	assert_int_equal(v.access.ops->read(&v.access, false, before, 4), UINT32_MAX);
	/* Low bits are fixed, by single bytes too. */
	pcidev_config_write(&dev, PCI_BAR0, 0xffff, 2);
	assert_int_equal(pcidev_config_read(&dev, PCI_BAR0, 1), 0xe1);
	pcidev_config_write(&dev, PCI_BAR0 + 8, UINT32_MAX, 4);
	assert_int_equal(pcidev_config_read(&dev, PCI_BAR0 + 8, 4), 0);
}

static void a_device_that_is_gone_reads_as_ones(void **state)
{
	struct pcidev dev;

	(void)state;
	assert_int_equal(pcidev_open(&dev, &v.access, 0), 0);
	assert_true(pcidev_alive(&dev));
	assert_int_equal(ftruncate(v.device, MEMORY + 0x1000), 0);
	assert_false(pcidev_alive(&dev));
	assert_int_equal(pcidev_bar_read(&dev, 4, 0x2000, 4), UINT32_MAX);
	assert_int_equal(pcidev_open(&dev, &v.access, 0), -ENODEV);
}

static void bars_that_cannot_be_placed_are_not_there(void **state)
{
	(void)state;
	v.bars[2] = (struct vfiodev_bar){.size = UINT64_C(1) << 29};
	vfiodev_place_bar(&v, 2, 0);
	assert_int_equal(v.bars[2].size, 0);
	v.bars[2] = (struct vfiodev_bar){.size = 0x1800};
	vfiodev_place_bar(&v, 2, 0);
	assert_int_equal(v.bars[2].size, 0);
	v.bars[2] = (struct vfiodev_bar){.size = 0x2000};
	vfiodev_place_bar(&v, 2, PCI_BAR_IO);
	assert_int_equal(v.bars[2].size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bars_are_sized_and_have_addresses, begin, end),
		cmocka_unit_test_setup_teardown(accesses_of_every_width_mapped_and_not, begin, end),
		cmocka_unit_test_setup_teardown(nothing_leaves_its_bar, begin, end),
		cmocka_unit_test_setup_teardown(a_bar_answers_where_it_was_put, begin, end),
		cmocka_unit_test_setup_teardown(a_device_that_is_gone_reads_as_ones, begin, end),
		cmocka_unit_test_setup_teardown(bars_that_cannot_be_placed_are_not_there, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
