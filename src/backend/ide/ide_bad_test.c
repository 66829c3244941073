/* SPDX-License-Identifier: MIT */
/*
 * What a guest should not do to an IDE disk, and what the storage may do to it: the machine stays
 * up, and a reset heals the disk.
 */
#include "backend/ide/ide_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NOWHERE 0x80000000u

static void dma_read(struct guest *g, uint32_t lba, unsigned count)
{
	out(g, BM + BM_COMMAND, 0, 1);
	command28(g, ATA_READ_DMA, lba, count);
	bm_start(g, true);
}

/* ---- tables of the bus master ---- */

static void kb_76_table_of_less_than_a_sector(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	memset(g.ram + BUFFER, 0xee, 4096);
	for (unsigned bytes = 2; bytes < 512; bytes += 102) {
		prd(&g, 0, BUFFER, bytes, true);
		dma_read(&g, 0, 1);
		assert_int_equal(status(&g), READY);
		/* Neither active nor an interrupt: the table was too short. */
		assert_int_equal(bm_status(&g), 0);
		assert_int_equal(g.ram[BUFFER], 0xee);
	}
	healthy(&g);
	guest_fini(&g);
}

static void kb_77_table_and_command_differ(void **state)
{
	struct guest g;
	uint8_t want[4096];

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 136);
	/* Longer: the bus master stays active. */
	fill(want, 0, 8);
	memset(g.ram + BUFFER, 0xee, 8192);
	prd(&g, 0, BUFFER, 4096 + 100, true);
	dma_read(&g, 0, 8);
	settle(&g);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT | BM_STATUS_ACTIVE);
	assert_int_equal(status(&g), READY);
	assert_memory_equal(g.ram + BUFFER, want, 4096);
	assert_int_equal(g.ram[BUFFER + 4096], 0xee);
	/* Shorter: whole sectors arrive, nobody is told. */
	memset(g.ram + BUFFER, 0xee, 8192);
	prd(&g, 0, BUFFER, 1024 + 300, true);
	dma_read(&g, 0, 8);
	settle(&g);
	assert_int_equal(bm_status(&g), 0);
	assert_false(g.line[14]);
	assert_memory_equal(g.ram + BUFFER, want, 1024);
	assert_int_equal(g.ram[BUFFER + 1024], 0xee);
	/* A count of 0 is 64 KiB; the lowest address bit and that of the count are not there. */
	prd(&g, 0, BUFFER | 1, 0, false);
	prd(&g, 1, BUFFER + 0x10000, 4097, true);
	memset(g.ram + BUFFER, 0, 136 * ATA_SECTOR);
	dma_read(&g, 0, 136);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ram[BUFFER + 0x10000 + 4095], (uint8_t)(135 * 31 + 511 * 7 + 1));
	healthy(&g);
	guest_fini(&g);
}

static void p_prd_outside_memory(void **state)
{
	static const uint32_t places[] = {RAM, RAM - 100, NOWHERE, 0xffffff00u};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		prd(&g, 0, places[i], 512, true);
		dma_read(&g, 0, 1);
		settle(&g);
		assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT | BM_STATUS_ERROR);
		assert_int_equal(status(&g), FAILED);
	}
	/* The table itself; what is in front of the bad entry arrives. */
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		out(&g, BM + BM_COMMAND, 0, 1);
		out(&g, BM + BM_TABLE, places[i] + 3, 4);
		command28(&g, ATA_READ_DMA, 0, 1);
		out(&g, BM + BM_COMMAND, BM_COMMAND_START | BM_COMMAND_TO_MEMORY, 1);
		settle(&g);
		if (i != 1) /* there are zeroes: pieces of 64 KiB at address 0 */
			assert_int_equal(status(&g), FAILED);
	}
	memset(g.ram, 0, RAM);
	healthy(&g);
	guest_fini(&g);
}

static void p_prd_without_end(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:64M");
	/* A table of 64 KiB whose pieces have two bytes each: 32 sectors, then it is over. */
	for (unsigned i = 0; i < BM_PRD_TABLE / sizeof(struct bm_prd); i++)
		prd(&g, i, BUFFER + 0x20000 + 4 * (i % 1000), 2, false);
	dma_read(&g, 0, 256);
	settle(&g);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT | BM_STATUS_ERROR);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(g.ide->channels[0].counters.direct, 32 * ATA_SECTOR);
	/* One piece after the other, all the same one, for the longest of commands. */
	for (unsigned i = 0; i < BM_PRD_TABLE / sizeof(struct bm_prd); i++)
		prd(&g, i, BUFFER + 0x20000, 0, false);
	out(&g, BM + BM_COMMAND, 0, 1);
	command48(&g, ATA_READ_DMA_EXT, 0, 0);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	healthy(&g);
	guest_fini(&g);
}

/* ---- commands ---- */

static void p_lba_beyond_the_end(void **state)
{
	static const uint8_t commands[] = {
		ATA_READ_EXT,	ATA_READ_DMA_EXT,	ATA_READ_MULTIPLE_EXT,
		ATA_WRITE_EXT,	ATA_WRITE_DMA_EXT,	ATA_WRITE_MULTIPLE_EXT,
		ATA_VERIFY_EXT, ATA_WRITE_MULTIPLE_FUA, ATA_WRITE_DMA_FUA_EXT,
	};
	static const struct {
		uint64_t lba;
		unsigned count;
	} places[] = {
		{2048, 1},
		{2047, 2},
		{0, 2049},
		{0, 0},
		{ATA_SECTORS_48, 1},
		{ATA_SECTORS_48, 0},
		{UINT64_C(1) << 47, 65535},
	};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(places); k++) {
			command48(&g, commands[i], places[k].lba, places[k].count);
			assert_true(g.line[14]);
			assert_int_equal(status(&g), FAILED);
			assert_int_equal(error(&g), ATA_ERROR_NO_ADDRESS);
		}
		/* The last one is there. */
		command48(&g, commands[i], 2047, 1);
		assert_int_equal(status(&g) & ATA_STATUS_ERR, 0);
		healthy(&g);
	}
	assert_int_equal(g.ide->channels[0].counters.errors, 63);
	guest_fini(&g);
}

static void kb_78_data_port_past_the_transfer(void **state)
{
	struct guest g;
	static uint8_t data[0x20000];

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 4);
	/* Nobody waits for data. */
	memset(data, 0xee, sizeof(data));
	outs(&g, data, sizeof(data));
	ins(&g, data, sizeof(data));
	assert_int_equal(data[0], 0);
	assert_int_equal(data[sizeof(data) - 1], 0);
	/* More than was asked for. */
	command28(&g, ATA_READ, 0, 1);
	settle(&g);
	memset(data, 0xee, sizeof(data));
	ins(&g, data, sizeof(data));
	assert_int_equal(data[511], (uint8_t)(511 * 7 + 1));
	assert_int_equal(data[512], 0);
	assert_int_equal(data[sizeof(data) - 1], 0);
	assert_int_equal(status(&g), READY);
	/* In the wrong direction. */
	command28(&g, ATA_READ, 0, 1);
	settle(&g);
	outs(&g, data, sizeof(data));
	ins(&g, data, 512);
	assert_int_equal(data[511], (uint8_t)(511 * 7 + 1));
	command28(&g, ATA_WRITE, 9, 1);
	ins(&g, data, sizeof(data));
	assert_int_equal(data[0], 0);
	memset(data, 0xaa, sizeof(data));
	outs(&g, data, sizeof(data));
	assert_int_equal(status(&g), READY);
	out(&g, CMD, 0x55, 1);
	assert_int_equal(in(&g, CMD, 1), 0xff);
	assert_true(disk_holds(&g, 0, 4));
	healthy(&g);
	guest_fini(&g);
}

static void kb_80_commands_to_an_absent_drive(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned opcode = 0; opcode < 256; opcode++) {
		if (opcode == ATA_DIAGNOSTIC)
			continue;
		address28(&g, 0, 0, 1);
		out(&g, CMD + ATA_REG_COMMAND, opcode, 1);
		bm_start(&g, true);
		assert_int_equal(status(&g), 0);
		assert_false(g.line[14]);
		out(&g, BM + BM_COMMAND, 0, 1);
	}
	healthy(&g);
	guest_fini(&g);
}

static void kb_81_reset_with_no_drive_selected(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	prd(&g, 0, BUFFER, 512, true);
	hold(&g);
	dma_read(&g, 0, 1);
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	out(&g, CTL, 0, 1);
	let_go(&g);
	assert_int_equal(status(&g), READY);
	healthy(&g);
	guest_fini(&g);
}

static void kb_84_smart_is_refused(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned sub = 0; sub < 256; sub++) {
		address28(&g, 0xc24f00, 0, 0);
		out(&g, CMD + ATA_REG_FEATURE, sub, 1);
		out(&g, CMD + ATA_REG_COMMAND, ATA_SMART, 1);
		assert_int_equal(status(&g), FAILED);
		assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	}
	healthy(&g);
	guest_fini(&g);
}

/* ---- while a request is at the storage ---- */

static void kb_82_reset_redirects_nothing(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 8);
	out(&g, BM + BM_COMMAND, 0, 1);
	hold(&g);
	memset(g.ram + BUFFER, 0x99, 4096);
	prd(&g, 0, BUFFER, 4096, true);
	command28(&g, ATA_WRITE_DMA, 100, 8);
	bm_start(&g, false);
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	out(&g, CTL, 0, 1);
	/* Busy until it is over. */
	assert_int_equal(in(&g, CTL, 1), ATA_STATUS_BUSY);
	out(&g, CMD + ATA_REG_COMMAND, ATA_IDENTIFY, 1);
	assert_int_equal(in(&g, CTL, 1), ATA_STATUS_BUSY);
	let_go(&g);
	assert_int_equal(status(&g), READY);
	assert_int_equal(error(&g), ATA_DIAGNOSTIC_GOOD);
	assert_false(g.line[14]);
	assert_true(disk_holds(&g, 0, 8));
	healthy(&g);
	guest_fini(&g);
}

static void kb_82_reset_held_past_the_request(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	prd(&g, 0, BUFFER, 4096, true);
	hold(&g);
	dma_read(&g, 0, 8);
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	let_go(&g);
	settle(&g);
	assert_int_equal(in(&g, CTL, 1), ATA_STATUS_BUSY);
	out(&g, CTL, 0, 1);
	assert_int_equal(in(&g, CTL, 1), READY);
	healthy(&g);
	guest_fini(&g);
}

static void kb_83_reset_during_trim(void **state)
{
	struct guest g;
	const le64 range = le64_make(UINT64_C(8) << 48 | 64);

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 8);
	out(&g, BM + BM_COMMAND, 0, 1);
	for (unsigned i = 0; i < ATA_TRIM_RANGES; i++)
		memcpy(g.ram + BUFFER + 8 * i, &range, 8);
	prd(&g, 0, BUFFER, 512, true);
	hold(&g);
	out(&g, CMD + ATA_REG_FEATURE, ATA_DATA_SET_TRIM, 1);
	command48(&g, ATA_DATA_SET, 0, 1);
	bm_start(&g, false);
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	out(&g, CTL, 0, 1);
	let_go(&g);
	assert_int_equal(status(&g), READY);
	assert_true(disk_holds(&g, 0, 8));
	healthy(&g);
	guest_fini(&g);
}

static void p_registers_written_in_flight_change_nothing(void **state)
{
	struct guest g;
	uint8_t want[1024];

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:1M"});
	disk_write(&g, 16, 2);
	fill(want, 16, 2);
	prd(&g, 0, BUFFER, 1024, true);
	hold(&g);
	dma_read(&g, 16, 2);
	address28(&g, 999, 200, 0);
	prd(&g, 0, NOWHERE, 1024, true);
	out(&g, CMD + ATA_REG_COMMAND, ATA_WRITE, 1); /* busy: not heard */
	/* The other drive works meanwhile; the bus master is taken. */
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
	out(&g, CMD + ATA_REG_COMMAND, ATA_IDENTIFY, 1);
	assert_int_equal(in(&g, CTL, 1), DATA);
	out(&g, CMD + ATA_REG_DEVICE, 0, 1);
	assert_int_equal(in(&g, CTL, 1), ATA_STATUS_BUSY);
	let_go(&g);
	assert_int_equal(status(&g), READY);
	assert_memory_equal(g.ram + BUFFER, want, 1024);
	healthy(&g);
	guest_fini(&g);
}

static void p_both_drives_want_the_bus_master(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:1M"});
	disk_write(&g, 0, 8);
	out(&g, BM + BM_COMMAND, 0, 1);
	prd(&g, 0, BUFFER, 2048, true);
	command28(&g, ATA_READ_DMA, 0, 4);
	address28(&g, 0, 4, 1);
	out(&g, CMD + ATA_REG_COMMAND, ATA_READ_DMA, 1);
	bm_start(&g, true);
	/* The selected one got the table, and used it up. */
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ram[BUFFER + 1], 0);
	out(&g, CMD + ATA_REG_DEVICE, 0, 1);
	assert_int_equal(status(&g), DATA);
	out(&g, BM + BM_COMMAND, 0, 1);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ram[BUFFER + 1], 7);
	healthy(&g);
	guest_fini(&g);
}

static void p_diagnosis_while_the_other_drive_works(void **state)
{
	struct guest g;
	bool early;

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:1M"});
	prd(&g, 0, BUFFER, 4096, true);
	hold(&g);
	dma_read(&g, 0, 8);
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
	out(&g, CMD + ATA_REG_COMMAND, ATA_DIAGNOSTIC, 1);
	assert_int_equal(in(&g, CTL, 1), ATA_STATUS_BUSY);
	early = g.line[14];
	let_go(&g);
	assert_false(early);
	assert_int_equal(status(&g), READY);
	healthy(&g);
	guest_fini(&g);
}

static void *let_go_soon(void *arg)
{
	usleep(20000);
	let_go(arg);
	return NULL;
}

/*
 * Whatever takes the bus master away comes back only when the storage has let go of guest memory.
 */
static void p_memory_is_free_when_the_bus_master_is_off(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 8);
	for (unsigned how = 0; how < 4; how++) {
		pthread_t thread;

		prd(&g, 0, BUFFER, 4096, true);
		hold(&g);
		dma_read(&g, 0, 8);
		assert_int_equal(pthread_create(&thread, NULL, let_go_soon, &g), 0);
		if (how == 0) {
			out(&g, BM + BM_COMMAND, 0, 1);
		} else if (how == 1) {
			config_out(&g, PCI_COMMAND, PCI_COMMAND_IO, 2);
		} else if (how == 2) {
			backplane_lock(&g.plane);
			pci_function_reset(&g.ide->fn);
			backplane_unlock(&g.plane);
		} else {
			backplane_reset(&g.plane);
		}
		assert_false(g.ide->channels[0].drives[0].flying);
		pthread_join(thread, NULL);
		config_out(&g, PCI_BAR0 + 16, BM, 4);
		config_out(&g, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
		healthy(&g);
		disk_write(&g, 0, 8);
	}
	guest_fini(&g);
}

static void p_destroyed_with_a_request_in_flight(void **state)
{
	struct guest g;
	pthread_t thread;

	(void)state;
	guest_start(&g, "memory:1M");
	prd(&g, 0, BUFFER, 4096, true);
	hold(&g);
	dma_read(&g, 0, 8);
	assert_int_equal(pthread_create(&thread, NULL, let_go_soon, &g), 0);
	backplane_remove_cards(&g.plane);
	pthread_join(thread, NULL);
	guest_fini(&g);
}

/* ---- anything at all ---- */

static uint32_t next_random(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

static void p_registers_at_random(void **state)
{
	static const unsigned bases[] = {CMD, ATA_SECONDARY_COMMAND, BM, CTL,
					 ATA_SECONDARY_CONTROL};
	static uint8_t data[4096];
	struct guest g;
	uint32_t s = 20261122;

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:1M"});
	guest_disk(&g, &(struct storage_options){.target = "memory:1M", .readonly = true});
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t r = next_random(&s), v = next_random(&s);
		unsigned port = bases[r % 5] + (r % 5 < 3 ? r >> 8 & 7 : 0);
		unsigned size = 1u << (r >> 12 & 15) % 3;

		/* Addresses that may be there, more often than not. */
		if (port == BM + BM_TABLE && (r & 1 << 20))
			v = next_random(&s) % (RAM / 2);
		else if (port % 8 == ATA_REG_LBA_HIGH || port % 8 == ATA_REG_LBA_MID)
			v &= r & 1 << 20 ? 0 : 7;
		if (!(r >> 24 & 31))
			prd(&g, v % 4, next_random(&s) % RAM, next_random(&s) & 0x1ffe, v & 16);
		else if ((r >> 24 & 31) == 1)
			ins(&g, data, v % sizeof(data));
		else if ((r >> 24 & 31) == 2)
			outs(&g, data, v % sizeof(data));
		else if (r & 1 << 16)
			in(&g, port, size);
		else
			out(&g, port, v, size);
		if (!(i % 1000))
			settle(&g);
	}
	/* It came far enough to be worth it. */
	assert_true(g.ide->channels[0].counters.commands > 1000);
	assert_true(g.ide->channels[0].counters.requests > 50);
	assert_true(g.ide->channels[0].counters.direct > 0);
	out(&g, CTL, 0, 1);
	healthy(&g);
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kb_76_table_of_less_than_a_sector),
		cmocka_unit_test(kb_77_table_and_command_differ),
		cmocka_unit_test(p_prd_outside_memory),
		cmocka_unit_test(p_prd_without_end),
		cmocka_unit_test(p_lba_beyond_the_end),
		cmocka_unit_test(kb_78_data_port_past_the_transfer),
		cmocka_unit_test(kb_80_commands_to_an_absent_drive),
		cmocka_unit_test(kb_81_reset_with_no_drive_selected),
		cmocka_unit_test(kb_84_smart_is_refused),
		cmocka_unit_test(kb_82_reset_redirects_nothing),
		cmocka_unit_test(kb_82_reset_held_past_the_request),
		cmocka_unit_test(kb_83_reset_during_trim),
		cmocka_unit_test(p_registers_written_in_flight_change_nothing),
		cmocka_unit_test(p_both_drives_want_the_bus_master),
		cmocka_unit_test(p_diagnosis_while_the_other_drive_works),
		cmocka_unit_test(p_memory_is_free_when_the_bus_master_is_off),
		cmocka_unit_test(p_destroyed_with_a_request_in_flight),
		cmocka_unit_test(p_registers_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
