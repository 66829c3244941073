/* SPDX-License-Identifier: MIT */
/*
 * A machine put together and looked at, without a processor: where its cards are, what firmware is
 * told, how a run ends.
 */
#include "test.h"

#include "backend/machine/acpi.h"
#include "backend/machine/pc.h"
#include "backend/net/links.h"
#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB UINT64_C(0x100000)

static struct pc *make(uint64_t memory)
{
	const struct pc_config config = {.memory = memory, .cpus = 2, .workers = 2};
	struct error err;
	struct pc *pc;

	if (pc_create(&pc, &config, &err))
		fail_msg("%s", err.text);
	return pc;
}

typedef int (*adder)(struct pc *pc, const struct disk_spec *spec, struct error *err);

static int add_virtio(struct pc *pc, const struct disk_spec *spec, struct error *err)
{
	return pc_add_disk(pc, spec, &(struct virtio_pci_options){0}, err);
}

static int try_add(struct pc *pc, adder add, const char *text, struct error *err)
{
	struct disk_spec spec = {0};
	int rc;

	assert_int_equal(disk_spec_parse(text, &spec, err), 0);
	rc = add(pc, &spec, err);
	disk_spec_fini(&spec);
	return rc;
}

static void add(struct pc *pc, adder how, const char *text)
{
	struct error err;

	if (try_add(pc, how, text, &err))
		fail_msg("%s", err.text);
}

static void add_net(struct pc *pc, const char *text)
{
	struct net_link *link;
	struct net_spec spec;
	struct error err;

	assert_int_equal(net_spec_parse(text, &spec, &err), 0);
	assert_int_equal(net_none_open(&link, spec.queues, &err), 0);
	if (pc_add_net(pc, link, &spec, &(struct virtio_pci_options){0}, &err))
		fail_msg("%s", err.text);
}

static void out(struct pc *pc, uint64_t port, uint64_t v, unsigned size)
{
	backplane_lock(&pc->plane);
	sysbus_write(&pc->plane.bus, SYSBUS_PORT, port, v, size);
	backplane_unlock(&pc->plane);
}

static uint32_t config(struct pc *pc, unsigned devfn, unsigned offset, unsigned size)
{
	uint32_t v;

	backplane_lock(&pc->plane);
	v = pci_bus_config_read(&pc->host.bus, devfn, offset, size);
	backplane_unlock(&pc->plane);
	return v;
}

/* ---- the main bus ---- */

struct range {
	uint64_t first, size;
	bool io;
};

/* What register @at of a function decodes; size 0: it is not there. */
static struct range bar(struct pc *pc, unsigned devfn, unsigned at)
{
	uint32_t low = config(pc, devfn, at, 4), mask;
	struct range r = {.io = low & PCI_BAR_IO};

	r.first = low & ~(r.io ? PCI_BAR_IO_MASK : PCI_BAR_MEM_MASK);
	backplane_lock(&pc->plane);
	pci_bus_config_write(&pc->host.bus, devfn, at, UINT32_MAX, 4);
	mask = pci_bus_config_read(&pc->host.bus, devfn, at, 4);
	pci_bus_config_write(&pc->host.bus, devfn, at, low, 4);
	backplane_unlock(&pc->plane);
	mask &= ~(r.io ? PCI_BAR_IO_MASK : PCI_BAR_MEM_MASK);
	r.size = mask & -mask;
	return r;
}

static void every_card_gets_addresses_and_its_line(void **state)
{
	struct pc *pc = make(64 * MIB);
	struct range all[64];
	unsigned n = 0, cards = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		add(pc, add_virtio, "file=memory:1M");
	add(pc, pc_add_ide, "file=memory:1M");
	add(pc, pc_add_scsi_disk, "file=memory:1M");
	add_net(pc, "socket=nowhere");
	backplane_lock(&pc->plane);
	pci_bus_config_write(&pc->host.bus, PCI_DEVFN(1, 1), PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	backplane_unlock(&pc->plane);
	pc_assign_pci(pc);
	assert_int_equal(config(pc, PCI_DEVFN(1, 1), PCI_COMMAND, 2),
			 PCI_COMMAND_MASTER | PCI_COMMAND_IO);
	for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++) {
		unsigned pin, decode = 0, command;

		if (!pc->host.bus.functions[devfn])
			continue;
		cards++;
		for (unsigned at = PCI_BAR0; at < PCI_BAR0 + PCI_BARS * 4; at += 4) {
			struct range r = bar(pc, devfn, at);
			bool wide = !r.io &&
				    (config(pc, devfn, at, 1) & PCI_BAR_TYPE) == PCI_BAR_64;

			if (wide)
				assert_int_equal(config(pc, devfn, at += 4, 4), 0);
			if (!r.size)
				continue;
			assert_int_equal(r.first % r.size, 0);
			assert_true(r.first >= (r.io ? 0xc000 : PC_PCI_HOLE));
			assert_true(r.first + r.size <= (r.io ? 0x10000 : PC_PCI_HOLE_END));
			for (unsigned i = 0; i < n; i++)
				assert_true(all[i].io != r.io ||
					    all[i].first + all[i].size <= r.first ||
					    r.first + r.size <= all[i].first);
			assert_true(n < ARRAY_SIZE(all));
			all[n++] = r;
			decode |= r.io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
		}
		command = config(pc, devfn, PCI_COMMAND, 2);
		assert_int_equal(command & decode, decode);
		pin = config(pc, devfn, PCI_INTERRUPT_PIN, 1);
		if (pin)
			assert_int_equal(config(pc, devfn, PCI_INTERRUPT_LINE, 1),
					 ACPI_PIRQ_IRQ((PCI_SLOT(devfn) + pin + 2) % 4));
	}
	/* Host bridge, ISA bridge, power management, IDE, SCSI, four virtio. */
	assert_int_equal(cards, 9);
	assert_true(n > 10);
	pc_destroy(&pc);
}

static void workers_are_dealt_out_by_queues(void **state)
{
	struct pc *pc = make(64 * MIB);

	(void)state;
	add(pc, add_virtio, "file=memory:1M,queues=3");
	assert_int_equal(pc->room.pool.next, 3 % 2);
	add_net(pc, "tap=tap0,queues=3");
	assert_int_equal(pc->room.pool.next, 9 % 2);
	pc_destroy(&pc);
}

static void a_bus_that_is_full_is_said(void **state)
{
	struct pc *pc = make(64 * MIB);
	struct error err;

	(void)state;
	for (unsigned i = 0; i < 15; i++)
		add(pc, pc_add_scsi_disk, "file=memory:1M");
	assert_int_equal(try_add(pc, pc_add_scsi_disk, "file=memory:1M", &err), -ENOSPC);
	assert_non_null(strstr(err.text, "the SCSI bus is full"));
	for (unsigned i = 0; i < 4; i++)
		add(pc, pc_add_ide, "file=memory:1M");
	assert_string_equal(piix3_ide_drive(pc->ide, 3)->path, "pc/ide.1/disk1");
	assert_int_equal(try_add(pc, pc_add_ide, "file=memory:1M", &err), -ENOSPC);
	assert_int_equal(try_add(pc, pc_add_ide, "file=/nonexistent/disk", &err), -ENOENT);
	assert_int_equal(try_add(pc, add_virtio, "file=/nonexistent/disk", &err), -ENOENT);
	pc_destroy(&pc);
}

/* ---- firmware ---- */

static uint8_t cmos(struct pc *pc, uint8_t index)
{
	uint8_t v;

	out(pc, 0x70, index, 1);
	backplane_lock(&pc->plane);
	v = (uint8_t)sysbus_read(&pc->plane.bus, SYSBUS_PORT, 0x71, 1);
	backplane_unlock(&pc->plane);
	return v;
}

/* Two bits a disk: those with more than 1024 cylinders of 16 heads and 63 sectors are translated. */
static void the_bios_is_told_of_large_ide_disks(void **state)
{
	struct pc *pc = make(64 * MIB);

	(void)state;
	add(pc, pc_add_ide, "file=memory:504M"); /* 1024 of them */
	assert_int_equal(cmos(pc, 0x39), 0);
	add(pc, pc_add_ide, "file=memory:505M");
	assert_int_equal(cmos(pc, 0x39), 0x04);
	add(pc, pc_add_ide, "file=memory:100M");
	add(pc, pc_add_ide, "file=memory:100G");
	assert_int_equal(cmos(pc, 0x39), 0x44);
	pc_destroy(&pc);
}

static void make_firmware(char *name, size_t size)
{
	int fd;

	strcpy(name, "/tmp/ringside-bios-XXXXXX");
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	for (uint32_t at = 0; at < size; at += 0x1000)
		assert_int_equal(pwrite(fd, &at, sizeof(at), at), sizeof(at));
	close(fd);
}

static void only_whole_images_are_firmware(void **state)
{
	static const struct {
		size_t size;
		int rc;
	} images[] = {{0xffff, -EINVAL}, {0x10000, 0},	 {0x10001, -EINVAL},  {0x18000, -EINVAL},
		      {0x30000, 0},	 {0x1000000, 0}, {0x1010000, -EINVAL}};
	char name[32];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(images); i++) {
		struct pc *pc = make(64 * MIB);
		struct error err;

		make_firmware(name, images[i].size);
		assert_int_equal(pc_bios_read(pc, name, &err), images[i].rc);
		if (images[i].rc)
			assert_non_null(strstr(err.text, "is not a firmware image"));
		unlink(name);
		pc_destroy(&pc);
	}
}

static const struct fw_cfg_file *file(const struct pc *pc, const char *name)
{
	for (unsigned i = 0; i < pc->fw_cfg.n_files; i++)
		if (!strcmp(pc->fw_cfg.files[i].name, name))
			return &pc->fw_cfg.files[i];
	fail_msg("no file %s", name);
	return NULL;
}

static void start_firmware(struct pc *pc, size_t size)
{
	const struct acpi_machine machine = {
		.cpus = 2, .pci_hole = PC_PCI_HOLE, .pci_hole_end = PC_PCI_HOLE_END};
	struct kvm_start start = {.mode = KVM_START_LONG};
	struct error err;
	char name[32];

	make_firmware(name, size);
	assert_int_equal(pc_bios_read(pc, name, &err), 0);
	unlink(name);
	fw_cfg_init(&pc->fw_cfg, &pc->plane.bus, 2);
	assert_int_equal(pc_bios_start(pc, &machine, &start, &err), 0);
	assert_int_equal(start.mode, KVM_START_RESET);
}

static uint32_t shadow(struct pc *pc, uint64_t at)
{
	uint32_t v;

	memcpy(&v, pc_memory_at(&pc->memory, at, sizeof(v)), sizeof(v));
	return v;
}

static void firmware_finds_its_files(void **state)
{
	struct pc *pc = make(5120 * MIB);
	struct e820_entry list[2];

	(void)state;
	add(pc, pc_add_ide, "file=memory:1M");
	add(pc, add_virtio, "file=memory:1M");
	add(pc, add_virtio, "file=memory:1M");
	for (unsigned i = 0; i < 2; i++)
		add(pc, pc_add_ide, "file=memory:1M");
	start_firmware(pc, 0x30000);
	/* The last 128 KiB. */
	assert_int_equal(shadow(pc, 0xe0000), 0x10000);
	assert_int_equal(shadow(pc, 0xff000), 0x2f000);
	assert_int_equal(file(pc, "etc/e820")->size, sizeof(list));
	memcpy(list, file(pc, "etc/e820")->data, sizeof(list));
	assert_int_equal(le64_get(list[0].addr), 0);
	assert_int_equal(le64_get(list[0].size), 3072 * MIB);
	assert_int_equal(le64_get(list[1].addr), 4096 * MIB);
	assert_int_equal(le64_get(list[1].size), 2048 * MIB);
	assert_int_equal(le32_get(list[1].type), E820_RAM);
	assert_string_equal((char *)file(pc, "bootorder")->data,
			    "/pci@i0cf8/scsi@2/disk@0,0\n"
			    "/pci@i0cf8/scsi@3/disk@0,0\n"
			    "/pci@i0cf8/ide@1,1/drive@0/disk@0\n"
			    "/pci@i0cf8/ide@1,1/drive@0/disk@1\n"
			    "/pci@i0cf8/ide@1,1/drive@1/disk@0\n");
	assert_int_equal(file(pc, "bootorder")->size,
			 strlen((char *)file(pc, "bootorder")->data) + 1);
	assert_int_equal(file(pc, "etc/sercon-port")->size, 2);
	assert_memory_equal(file(pc, "etc/sercon-port")->data, "\xf8\x03", 2);
	assert_true(file(pc, "etc/table-loader")->size % 128 == 0);
	pc_destroy(&pc);
}

static void small_firmware_lies_at_the_end_of_its_place(void **state)
{
	struct pc *pc = make(64 * MIB);

	(void)state;
	start_firmware(pc, 0x10000);
	assert_int_equal(shadow(pc, 0xe0000), 0);
	assert_int_equal(shadow(pc, 0xef000), 0);
	assert_int_equal(shadow(pc, 0xf1000), 0x1000);
	assert_int_equal(shadow(pc, 0xff000), 0xf000);
	assert_int_equal(file(pc, "etc/e820")->size, sizeof(struct e820_entry));
	assert_string_equal((char *)file(pc, "bootorder")->data, "");
	pc_destroy(&pc);
}

/* ---- how it ends ---- */

static void the_first_end_counts(void **state)
{
	static const struct {
		uint16_t port, value;
		unsigned size;
		enum pc_end end, stopped; /* and after pc_stop() */
	} ends[] = {
		{0xf4, 0x21, 1, PC_EXIT, PC_EXIT},	{0x604, 0x2000, 2, PC_OFF, PC_OFF},
		{0xcf9, 0x06, 1, PC_RESET, PC_STOPPED}, {0x64, 0xfe, 1, PC_RESET, PC_STOPPED},
		{0x92, 0x01, 1, PC_RESET, PC_STOPPED},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
		struct pc *pc = make(64 * MIB);

		assert_int_equal(pc->end, PC_RUNNING);
		out(pc, ends[i].port, ends[i].value, ends[i].size);
		assert_int_equal(pc->end, ends[i].end);
		for (unsigned k = 0; k < ARRAY_SIZE(ends); k++)
			out(pc, ends[k].port, ends[k].value + (k ? 0u : 1u), ends[k].size);
		assert_int_equal(pc->end, ends[i].end);
		assert_int_equal(pc->exit_value, i ? 0 : 0x21);
		/* A reset that is on its way must not lose the order to stop. */
		backplane_lock(&pc->plane);
		pc_stop(pc);
		backplane_unlock(&pc->plane);
		assert_int_equal(pc->end, ends[i].stopped);
		backplane_turn(&pc->plane);
		assert_false(pc->plane.waking);
		pc_destroy(&pc);
	}
}

/* Crash after crash costs nothing, and one run that lasted makes it the first again. */
static void crashes_in_a_row_are_reset_ever_later(void **state)
{
	struct pc_crashes c = {0};
	uint64_t before = 0;

	(void)state;
	assert_int_equal(pc_crash_pause(&c, 0), 0);
	for (unsigned i = 0; i < 100; i++) {
		uint64_t pause = pc_crash_pause(&c, NSEC_PER_MSEC);

		assert_true(pause > before || (pause == before && pause == 10 * NSEC_PER_SEC));
		before = pause;
	}
	assert_true(before == 10 * NSEC_PER_SEC);
	assert_int_equal(pc_crash_pause(&c, 60 * NSEC_PER_SEC), 0);
	assert_int_equal(pc_crash_pause(&c, 0), 50 * NSEC_PER_MSEC);
}

static void firmwares_messages_are_lines(void **state)
{
	struct pc *pc = make(64 * MIB);

	(void)state;
	for (const char *c = "a\tb"; *c; c++)
		out(pc, 0x402, (uint8_t)*c, 1);
	assert_int_equal(pc->message_n, 3);
	assert_memory_equal(pc->message, "a?b", 3);
	out(pc, 0x402, '\n', 1);
	assert_int_equal(pc->message_n, 0);
	assert_string_equal(pc->message, "a?b");
	/* A line that never ends is told in pieces. */
	for (unsigned i = 0; i < 1000; i++) {
		out(pc, 0x402, '~', 1);
		assert_true(pc->message_n < sizeof(pc->message));
	}
	pc_destroy(&pc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_card_gets_addresses_and_its_line),
		cmocka_unit_test(workers_are_dealt_out_by_queues),
		cmocka_unit_test(a_bus_that_is_full_is_said),
		cmocka_unit_test(the_bios_is_told_of_large_ide_disks),
		cmocka_unit_test(only_whole_images_are_firmware),
		cmocka_unit_test(firmware_finds_its_files),
		cmocka_unit_test(small_firmware_lies_at_the_end_of_its_place),
		cmocka_unit_test(the_first_end_counts),
		cmocka_unit_test(crashes_in_a_row_are_reset_ever_later),
		cmocka_unit_test(firmwares_messages_are_lines),
	};

	return cmocka_run_group_tests_name("pc", tests, NULL, NULL);
}
