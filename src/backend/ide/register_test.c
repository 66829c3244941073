/* SPDX-License-Identifier: MIT */
/* The registers of a channel: who writes them, and what a command leaves in them. */
#include "backend/ide/ide_test.h"

/* The bytes that were written before the last ones. */
static uint32_t high_lba_registers(struct guest *g)
{
	uint32_t v;

	out(g, CTL, ATA_CONTROL_HIGH, 1);
	v = lba_registers(g);
	out(g, CTL, 0, 1);
	return v;
}

static unsigned high_count(struct guest *g)
{
	unsigned v;

	out(g, CTL, ATA_CONTROL_HIGH, 1);
	v = in(g, CMD + ATA_REG_COUNT, 1);
	out(g, CTL, 0, 1);
	return v;
}

static void chs(struct guest *g, uint8_t opcode, unsigned cylinder, unsigned head, unsigned sector,
		unsigned count)
{
	out(g, CMD + ATA_REG_COUNT, count, 1);
	out(g, CMD + ATA_REG_LBA_LOW, sector, 1);
	out(g, CMD + ATA_REG_LBA_MID, cylinder & 0xff, 1);
	out(g, CMD + ATA_REG_LBA_HIGH, cylinder >> 8, 1);
	out(g, CMD + ATA_REG_DEVICE, head, 1);
	out(g, CMD + ATA_REG_COMMAND, opcode, 1);
}

/* ---- what a failed transfer leaves ---- */

static void no_address(struct guest *g)
{
	assert_true(g->line[14]);
	assert_int_equal(status(g), FAILED);
	assert_int_equal(error(g), ATA_ERROR_NO_ADDRESS);
}

static void ata_48_bits_of_the_first_sector_that_is_not_there(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:200G");
	/* It ends at 0x19000000: the last two sectors are there. */
	command48(&g, ATA_READ_EXT, 0x18fffffe, 0x0302);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 0x000000);
	assert_int_equal(high_lba_registers(&g), 0x000019);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 0x02);
	assert_int_equal(high_count(&g), 0x03);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | ATA_DEVICE_LBA);
	command48(&g, ATA_WRITE_DMA_EXT, UINT64_C(0x123456789abc), 0x0405);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 0x789abc);
	assert_int_equal(high_lba_registers(&g), 0x123456);
	guest_fini(&g);
}

static void ata_28_bits_of_the_first_sector_that_is_not_there(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:8M");
	command48(&g, ATA_VERIFY_EXT, UINT64_C(0x665544332211), 0x8877);
	no_address(&g);
	command28(&g, ATA_READ, 0x3ffe, 5);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 0x4000);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 5);
	/* Of what stood there before, nothing has changed. */
	assert_int_equal(high_lba_registers(&g), 0x332211);
	assert_int_equal(high_count(&g), 0x77);
	command28(&g, ATA_WRITE_DMA, 0xabcdef1, 0);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 0xbcdef1);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | ATA_DEVICE_LBA | 0xa);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 0);
	guest_fini(&g);
}

static void ata_cylinder_head_and_sector_that_are_not_there(void **state)
{
	static const struct {
		unsigned head, sector;
	} wrong[] = {{0, 0}, {0, 64}, {15, 255}};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:8M"); /* 16384 sectors, of them 16 whole cylinders */
	chs(&g, ATA_READ, 15, 15, 60, 7);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 16 << 8 | 1);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | 0);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 7);
	chs(&g, ATA_VERIFY, 0x1234, 13, 63, 1);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 0x1234 << 8 | 63);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | 13);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		chs(&g, ATA_READ, 1, wrong[i].head, wrong[i].sector, 1);
		no_address(&g);
	}
	/* Four heads of seventeen sectors. */
	chs(&g, ATA_SET_GEOMETRY, 0, 3, 1, 17);
	assert_int_equal(status(&g), READY);
	chs(&g, ATA_VERIFY, 239, 3, 17, 1);
	assert_int_equal(status(&g), READY);
	chs(&g, ATA_VERIFY, 240, 0, 1, 1);
	no_address(&g);
	chs(&g, ATA_SEEK, 240, 0, 1, 0);
	no_address(&g);
	chs(&g, ATA_READ_MAX, 0, 0, 0, 0);
	assert_int_equal(status(&g), READY);
	assert_int_equal(lba_registers(&g), 239 << 8 | 17);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | 3);
	chs(&g, ATA_VERIFY, 0, 4, 1, 1);
	no_address(&g);
	chs(&g, ATA_VERIFY, 0, 0, 18, 1);
	no_address(&g);
	chs(&g, ATA_SET_GEOMETRY, 0, 3, 1, 0);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	guest_fini(&g);
}

/* 28 bits count 0xfffffff sectors, words 60 and 61; behind them there are 48 bits. */
static void ata_28_bits_reach_what_identify_says(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:200G");
	command28(&g, ATA_SEEK, ATA_SECTORS_28 - 1, 0);
	assert_int_equal(status(&g), READY);
	command28(&g, ATA_SEEK, ATA_SECTORS_28, 0);
	no_address(&g);
	command28(&g, ATA_VERIFY, ATA_SECTORS_28 - 2, 3);
	no_address(&g);
	assert_int_equal(lba_registers(&g), 0xffffff);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | ATA_DEVICE_LBA | 0xf);
	command48(&g, ATA_VERIFY_EXT, ATA_SECTORS_28 - 2, 3);
	while (status(&g) & ATA_STATUS_BUSY)
		;
	assert_int_equal(status(&g), READY);
	guest_fini(&g);
}

static void ata_seek_goes_to_sectors_that_are_there(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	command28(&g, ATA_SEEK, 2047, 0);
	assert_int_equal(status(&g), READY);
	assert_int_equal(error(&g), 0);
	command28(&g, ATA_SEEK, 2048, 0);
	no_address(&g);
	chs(&g, ATA_SEEK, 0, 0, 64, 0);
	no_address(&g);
	assert_int_equal(g.ide->channels[0].counters.errors, 2);
	guest_fini(&g);
}

/* ---- accesses ---- */

static void ata_the_high_bytes_show_until_something_is_written(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	address28(&g, 0x112233, 0x44, 0);
	address28(&g, 0x556677, 0x88, 0);
	out(&g, CTL, ATA_CONTROL_HIGH, 1);
	assert_int_equal(lba_registers(&g), 0x112233);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 0x44);
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_LBA, 1);
	assert_int_equal(lba_registers(&g), 0x556677);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 0x88);
	guest_fini(&g);
}

static void ata_registers_side_by_side_in_one_access(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	out(&g, CMD + ATA_REG_LBA_MID, 0xbbaa, 2);
	out(&g, CMD + ATA_REG_COUNT, 0x99, 1);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_MID, 2), 0xbbaa);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 4), 0xbbaa0199);
	/* The control block is one byte wide; above it nobody answers. */
	assert_int_equal(in(&g, CTL, 2), 0xff00 | READY);
	/* A command that is the last byte of an access. */
	out(&g, CMD + ATA_REG_LBA_HIGH, 0xa000 | (uint32_t)ATA_FLUSH << 16, 4);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ide->channels[0].counters.commands, 1);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), 0xa0);
	guest_fini(&g);
}

static void ata_strings_of_bytes_are_registers(void **state)
{
	uint8_t bytes[4] = {0}, counts[] = {1, 2, 3};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	backplane_lock(&g.plane);
	sysbus_read_string(&g.plane.bus, CMD + ATA_REG_STATUS, bytes, 1, 2);
	sysbus_read_string(&g.plane.bus, CMD, bytes + 2, 1, 2);
	sysbus_write_string(&g.plane.bus, CMD + ATA_REG_COUNT, counts, 1, 3);
	sysbus_write_string(&g.plane.bus, CMD, counts, 1, 3);
	backplane_unlock(&g.plane);
	assert_int_equal(bytes[0], READY);
	assert_int_equal(bytes[1], READY);
	assert_int_equal(bytes[2], 0xff);
	assert_int_equal(bytes[3], 0xff);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 3);
	assert_int_equal(high_count(&g), 2);
	guest_fini(&g);
}

/* It had failed before, and nobody had read the status register. */
static void ata_every_command_ends_with_an_interrupt(void **state)
{
	static const uint8_t commands[] = {
		ATA_RECALIBRATE,  ATA_VERIFY,	ATA_SEEK,	 ATA_SET_GEOMETRY, ATA_SET_MULTIPLE,
		ATA_STANDBY_NOW,  ATA_IDLE_NOW, ATA_CHECK_POWER, ATA_FLUSH,	   ATA_FLUSH_EXT,
		ATA_SET_FEATURES, ATA_READ_MAX, ATA_READ_MAX_EXT};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	out(&g, CMD + ATA_REG_FEATURE, ATA_FEATURE_CACHE_ON, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		command28(&g, ATA_NOP, 0, 0);
		assert_true(g.line[14]);
		command28(&g, commands[i], 16, 4);
		settle(&g);
		assert_true(g.line[14]);
		assert_int_equal(g.raised[14], 2 * i + 2);
		assert_int_equal(error(&g), 0);
		assert_int_equal(status(&g), READY);
		assert_false(g.line[14]);
	}
	/* One that waits for the guest has nothing to tell yet. */
	command28(&g, ATA_NOP, 0, 0);
	command28(&g, ATA_WRITE, 0, 1);
	assert_false(g.line[14]);
	guest_fini(&g);
}

static void ata_power_states(void **state)
{
	static const uint8_t sleeps[] = {ATA_STANDBY,	  ATA_STANDBY_NOW,     ATA_SLEEP,
					 ATA_STANDBY_OLD, ATA_STANDBY_NOW_OLD, ATA_SLEEP_OLD};
	static const uint8_t wakes[] = {ATA_IDLE, ATA_IDLE_NOW, ATA_IDLE_OLD, ATA_IDLE_NOW_OLD, 0};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned i = 0; i < ARRAY_SIZE(sleeps) * ARRAY_SIZE(wakes); i++) {
		uint8_t wake = wakes[i % ARRAY_SIZE(wakes)];

		command28(&g, sleeps[i / ARRAY_SIZE(wakes)], 0, 0);
		assert_int_equal(status(&g), READY);
		command28(&g, i % 2 ? ATA_CHECK_POWER : ATA_CHECK_POWER_OLD, 0, 7);
		assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), ATA_POWER_STANDBY);
		if (wake)
			command28(&g, wake, 0, 0);
		else
			soft_reset(&g);
		assert_int_equal(status(&g), READY);
		command28(&g, ATA_CHECK_POWER, 0, 7);
		assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), ATA_POWER_ACTIVE);
	}
	guest_fini(&g);
}

/* ---- resets and diagnosis ---- */

static void ata_diagnosis_and_reset_sign(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:1M"});
	for (unsigned round = 0; round < 2; round++) {
		address28(&g, 0x123456, 0x78, 1);
		if (round) {
			out(&g, CMD + ATA_REG_COMMAND, ATA_DIAGNOSTIC, 1);
			assert_true(g.line[14]);
		} else {
			out(&g, CTL, ATA_CONTROL_RESET, 1);
			assert_int_equal(in(&g, CTL, 1), ATA_STATUS_BUSY);
			out(&g, CTL, 0, 1);
			assert_false(g.line[14]);
		}
		for (unsigned unit = 0; unit < 2; unit++) {
			if (unit)
				out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
			assert_int_equal(status(&g), READY);
			assert_int_equal(error(&g), ATA_DIAGNOSTIC_GOOD);
			assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), 1);
			assert_int_equal(in(&g, CMD + ATA_REG_LBA_LOW, 1), 1);
			assert_int_equal(in(&g, CMD + ATA_REG_LBA_MID, 1), 0);
			assert_int_equal(in(&g, CMD + ATA_REG_LBA_HIGH, 1), 0);
		}
	}
	guest_fini(&g);
}

/* What failed before is over, and the registers are the first disk's. */
static void ata_diagnosis_ends_an_error(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned unit = 0; unit < 2; unit++) {
		unsigned before;

		command28(&g, ATA_NOP, 0, 0);
		assert_int_equal(status(&g), FAILED);
		address28(&g, 0x123456, 0x78, unit);
		before = g.raised[14];
		/* The second one is not there: the first one hears it nevertheless. */
		out(&g, CMD + ATA_REG_COMMAND, ATA_DIAGNOSTIC, 1);
		assert_int_equal(g.raised[14] - before, 1);
		assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES);
		assert_int_equal(error(&g), ATA_DIAGNOSTIC_GOOD);
		assert_int_equal(lba_registers(&g), 1);
		assert_int_equal(high_lba_registers(&g), 0);
		assert_int_equal(high_count(&g), 0);
		assert_int_equal(status(&g), READY);
	}
	guest_fini(&g);
}

static void ata_a_machines_reset_selects_the_first_disk(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	out(&g, CMD + ATA_REG_COMMAND, ATA_FLUSH, 1);
	settle(&g);
	assert_true(g.line[14]);
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
	assert_false(g.line[14]);
	out(&g, CTL, ATA_CONTROL_NO_IRQ | ATA_CONTROL_HIGH, 1);
	machine_reset(&g);
	assert_int_equal(in(&g, CTL, 1), READY);
	assert_int_equal(lba_registers(&g), 1);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES);
	assert_false(g.line[14]);
	command28(&g, ATA_NOP, 0, 0);
	assert_true(g.line[14]);
	guest_fini(&g);
}

static void ata_a_reset_takes_the_interrupt_back(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	command28(&g, ATA_NOP, 0, 0);
	assert_true(g.line[14]);
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	assert_false(g.line[14]);
	/* Set once more: it is the same reset. */
	out(&g, CTL, ATA_CONTROL_RESET, 1);
	out(&g, CTL, 0, 1);
	assert_false(g.line[14]);
	assert_int_equal(g.ide->channels[0].counters.resets, 1);
	assert_int_equal(g.ide->channels[0].counters.interrupts, 1);
	assert_int_equal(status(&g), READY);
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ata_48_bits_of_the_first_sector_that_is_not_there),
		cmocka_unit_test(ata_28_bits_of_the_first_sector_that_is_not_there),
		cmocka_unit_test(ata_cylinder_head_and_sector_that_are_not_there),
		cmocka_unit_test(ata_28_bits_reach_what_identify_says),
		cmocka_unit_test(ata_seek_goes_to_sectors_that_are_there),
		cmocka_unit_test(ata_the_high_bytes_show_until_something_is_written),
		cmocka_unit_test(ata_registers_side_by_side_in_one_access),
		cmocka_unit_test(ata_strings_of_bytes_are_registers),
		cmocka_unit_test(ata_every_command_ends_with_an_interrupt),
		cmocka_unit_test(ata_power_states),
		cmocka_unit_test(ata_diagnosis_and_reset_sign),
		cmocka_unit_test(ata_diagnosis_ends_an_error),
		cmocka_unit_test(ata_a_machines_reset_selects_the_first_disk),
		cmocka_unit_test(ata_a_reset_takes_the_interrupt_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
