/* SPDX-License-Identifier: MIT */
/* What ATA and the bus master interface ask of a disk and its channel, seen by a model guest. */
#include "backend/ide/ide_test.h"

static void ata_pio_one_interrupt_a_sector(void **state)
{
	struct guest g;
	uint8_t *data = malloc(300 * ATA_SECTOR), *back = malloc(300 * ATA_SECTOR);
	unsigned before;

	(void)state;
	guest_start(&g, "memory:1M");
	fill(data, 7, 256);
	before = g.raised[14];
	command28(&g, ATA_WRITE, 7, 0); /* 256 */
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(status(&g), DATA);
		assert_int_equal(g.raised[14] - before, i); /* the first block needs no asking */
		outs(&g, data + i * ATA_SECTOR, ATA_SECTOR);
	}
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.raised[14] - before, 256);

	before = g.raised[14];
	command28(&g, ATA_READ, 7, 0);
	for (unsigned i = 0; i < 256; i++) {
		assert_int_equal(status(&g), DATA);
		assert_int_equal(g.raised[14] - before, i + 1);
		ins(&g, back + i * ATA_SECTOR, ATA_SECTOR);
	}
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.raised[14] - before, 256);
	assert_memory_equal(data, back, 256 * ATA_SECTOR);
	assert_int_equal(g.ide->channels[0].counters.copied, 2 * 256 * ATA_SECTOR);
	assert_int_equal(g.ide->channels[0].counters.requests, 2);
	free(data);
	free(back);
	guest_fini(&g);
}

/* The first thing that a disk is asked; in more parts than one. */
static void ata_pio_in_two_parts(void **state)
{
	enum { SECTORS = 300 };
	uint8_t *data = malloc(SECTORS * ATA_SECTOR);
	struct guest g;
	unsigned before;

	(void)state;
	assert_non_null(data);
	guest_start(&g, "memory:1M");
	fill(data, 11, SECTORS);
	before = g.raised[14];
	command48(&g, ATA_WRITE_EXT, 11, SECTORS);
	for (unsigned i = 0; i < SECTORS; i++) {
		assert_int_equal(status(&g), DATA);
		assert_int_equal(g.raised[14] - before, i);
		outs(&g, data + i * ATA_SECTOR, ATA_SECTOR);
	}
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.raised[14] - before, SECTORS);
	assert_true(disk_holds(&g, 11, 128));
	assert_true(disk_holds(&g, 11 + 128, 128));
	assert_true(disk_holds(&g, 11 + 256, SECTORS - 256));
	before = g.raised[14];
	memset(data, 0, SECTORS * ATA_SECTOR);
	command48(&g, ATA_READ_EXT, 11, SECTORS);
	for (unsigned i = 0; i < SECTORS; i++) {
		uint8_t want[ATA_SECTOR];

		assert_int_equal(status(&g), DATA);
		ins(&g, data, ATA_SECTOR);
		fill(want, 11 + i, 1);
		assert_memory_equal(data, want, ATA_SECTOR);
	}
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.raised[14] - before, SECTORS);
	free(data);
	guest_fini(&g);
}

/* A count of 0 stands for 65536 sectors, which this disk has. */
static void ata_48_bit_count_of_zero(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:32M");
	command48(&g, ATA_VERIFY_EXT, 0, 0);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ide->channels[0].counters.requests, 0x10000 / IDE_BUFFER_SECTORS);
	command48(&g, ATA_VERIFY_EXT, 1, 0);
	assert_int_equal(status(&g), FAILED);
	guest_fini(&g);
}

static void ata_pio_words_of_16_and_32_bits(void **state)
{
	struct guest g;
	uint8_t data[ATA_SECTOR];

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 3, 1);
	fill(data, 3, 1);
	command28(&g, ATA_READ, 3, 1);
	assert_int_equal(status(&g), DATA);
	for (unsigned i = 0; i < ATA_SECTOR; i += 4) {
		if (i % 8) {
			assert_int_equal(in(&g, CMD, 4),
					 word(data, i / 2) | (uint32_t)word(data, i / 2 + 1) << 16);
		} else {
			assert_int_equal(in(&g, CMD, 2), word(data, i / 2));
			assert_int_equal(in(&g, CMD, 2), word(data, i / 2 + 1));
		}
	}
	assert_int_equal(status(&g), READY);
	guest_fini(&g);
}

static void ata_multiple_one_interrupt_a_block(void **state)
{
	struct guest g;
	uint8_t data[20 * ATA_SECTOR], back[20 * ATA_SECTOR];
	unsigned before;

	(void)state;
	guest_start(&g, "memory:1M");
	fill(data, 0, 20);
	command28(&g, ATA_SET_MULTIPLE, 0, 8);
	assert_int_equal(status(&g), READY);
	before = g.raised[14];
	command48(&g, ATA_WRITE_MULTIPLE_EXT, 9, 20);
	for (unsigned at = 0; at < 20; at += 8) {
		assert_int_equal(status(&g), DATA);
		outs(&g, data + at * ATA_SECTOR, (at < 16 ? 8 : 4) * ATA_SECTOR);
	}
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.raised[14] - before, 3);
	before = g.raised[14];
	command28(&g, ATA_READ_MULTIPLE, 9, 20);
	for (unsigned at = 0; at < 20; at += 8) {
		assert_int_equal(status(&g), DATA);
		ins(&g, back + at * ATA_SECTOR, (at < 16 ? 8 : 4) * ATA_SECTOR);
	}
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.raised[14] - before, 3);
	assert_memory_equal(data, back, sizeof(data));

	command28(&g, ATA_SET_MULTIPLE, 0, 32); /* too many */
	assert_int_equal(status(&g), FAILED);
	command28(&g, ATA_SET_MULTIPLE, 0, 3); /* no power of two */
	assert_int_equal(status(&g), FAILED);
	command28(&g, ATA_SET_MULTIPLE, 0, 0); /* off */
	assert_int_equal(status(&g), READY);
	command28(&g, ATA_READ_MULTIPLE, 9, 1);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	guest_fini(&g);
}

static void ata_lba_28_ends_where_48_goes_on(void **state)
{
	struct guest g;
	const uint64_t far = (UINT64_C(1) << 28) + 12345;

	(void)state;
	guest_start(&g, "memory:200G");
	fill(g.ram + BUFFER, 1, 2);
	prd(&g, 0, BUFFER, 1024, true);
	command48(&g, ATA_WRITE_DMA_EXT, far, 2);
	bm_start(&g, false);
	assert_int_equal(status(&g), READY);
	out(&g, BM + BM_COMMAND, 0, 1);
	memset(g.ram + BUFFER, 0, 1024);
	command28(&g, ATA_READ_DMA, 12345, 2); /* not the same place */
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ram[BUFFER + 1], 0);
	out(&g, BM + BM_COMMAND, 0, 1);
	command48(&g, ATA_READ_DMA_EXT, far, 2);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ram[BUFFER + 1], 31 + 7);
	command28(&g, ATA_READ_MAX, 0, 0);
	assert_int_equal(status(&g), READY);
	assert_int_equal(in(&g, CMD + ATA_REG_DEVICE, 1), ATA_DEVICE_ONES | ATA_DEVICE_LBA | 0xf);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_LOW, 1), 0xfe);
	command48(&g, ATA_READ_MAX_EXT, 0, 0);
	assert_int_equal(status(&g), READY);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_LOW, 1), 0xff);
	out(&g, CTL, ATA_CONTROL_HIGH, 1);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_LOW, 1), 0x18);
	guest_fini(&g);
}

static void ata_chs_counts_sectors_from_one(void **state)
{
	struct guest g;
	uint8_t data[ATA_SECTOR], want[ATA_SECTOR];

	(void)state;
	guest_start(&g, "memory:8M");
	disk_write(&g, (2 * 16 + 3) * 63 + 4, 1);
	fill(want, (2 * 16 + 3) * 63 + 4, 1);
	for (unsigned round = 0; round < 2; round++) {
		unsigned lba = (2 * 16 + 3) * 63 + 4, heads = round ? 4 : 16,
			 track = round ? 17 : 63;

		out(&g, CMD + ATA_REG_DEVICE, heads - 1, 1);
		out(&g, CMD + ATA_REG_COUNT, track, 1);
		out(&g, CMD + ATA_REG_COMMAND, ATA_SET_GEOMETRY, 1);
		assert_int_equal(status(&g), READY);
		out(&g, CMD + ATA_REG_COUNT, 1, 1);
		out(&g, CMD + ATA_REG_LBA_LOW, lba % track + 1, 1);
		out(&g, CMD + ATA_REG_LBA_MID, lba / track / heads, 1);
		out(&g, CMD + ATA_REG_LBA_HIGH, 0, 1);
		out(&g, CMD + ATA_REG_DEVICE, lba / track % heads, 1);
		out(&g, CMD + ATA_REG_COMMAND, ATA_READ, 1);
		assert_int_equal(status(&g), DATA);
		ins(&g, data, sizeof(data));
		assert_memory_equal(data, want, sizeof(data));
	}
	/* There is no sector 0. */
	out(&g, CMD + ATA_REG_LBA_LOW, 0, 1);
	out(&g, CMD + ATA_REG_COMMAND, ATA_READ, 1);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_NO_ADDRESS);
	guest_fini(&g);
}

static void ata_registers_of_both_disks_are_written(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:2M"});
	address28(&g, 0x123456, 0x78, 0);
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND | ATA_DEVICE_LBA, 1);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_MID, 1), 0x34);
	out(&g, CMD + ATA_REG_COMMAND, ATA_READ_MAX, 1);
	assert_int_equal(status(&g), READY);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_MID, 1), 0x0f);
	out(&g, CMD + ATA_REG_DEVICE, 0, 1);
	assert_int_equal(in(&g, CMD + ATA_REG_LBA_MID, 1), 0x34);
	guest_fini(&g);
}

static void ata_absent_disks(void **state)
{
	struct guest g;
	uint8_t data[512];

	(void)state;
	guest_start(&g, "memory:1M");
	/* Beside another one. */
	out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
	out(&g, CMD + ATA_REG_COMMAND, ATA_IDENTIFY, 1);
	assert_int_equal(status(&g), 0);
	ins(&g, data, 512);
	assert_int_equal(data[0], 0);
	/* On a channel without any. */
	assert_int_equal(in(&g, ATA_SECONDARY_COMMAND + ATA_REG_STATUS, 1), 0x7f);
	assert_int_equal(in(&g, ATA_SECONDARY_CONTROL, 1), 0x7f);
	out(&g, ATA_SECONDARY_COMMAND + ATA_REG_COUNT, 0x55, 1);
	assert_int_equal(in(&g, ATA_SECONDARY_COMMAND + ATA_REG_COUNT, 1), 0x7f);
	out(&g, ATA_SECONDARY_COMMAND + ATA_REG_COMMAND, ATA_READ, 1);
	out(&g, ATA_SECONDARY_CONTROL, ATA_CONTROL_RESET, 1);
	out(&g, ATA_SECONDARY_CONTROL, 0, 1);
	out(&g, BM + BM_CHANNEL, BM_COMMAND_START, 1);
	out(&g, BM + BM_CHANNEL, 0, 1);
	assert_false(g.line[15]);
	healthy(&g);
	guest_fini(&g);
}

static void ata_interrupts_can_be_off(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	out(&g, CTL, ATA_CONTROL_NO_IRQ, 1);
	out(&g, CMD + ATA_REG_COMMAND, ATA_FLUSH, 1);
	settle(&g);
	assert_int_equal(in(&g, CTL, 1), READY);
	assert_int_equal(g.raised[14], 0);
	/* It waits, and comes when it may; the other status does not take it back. */
	out(&g, CTL, 0, 1);
	assert_true(g.line[14]);
	assert_int_equal(in(&g, CTL, 1), READY);
	assert_true(g.line[14]);
	assert_int_equal(in(&g, CMD + ATA_REG_STATUS, 1), READY);
	assert_false(g.line[14]);
	guest_fini(&g);
}

static void ata_commands_without_data(void **state)
{
	static const uint8_t good[] = {
		0x10,	      0x1f,	   ATA_FLUSH, ATA_FLUSH_EXT, ATA_STANDBY_NOW,
		ATA_IDLE_NOW, ATA_STANDBY, ATA_IDLE,  ATA_SLEEP,     0x94,
		0x97,	      ATA_VERIFY,  0x70};
	static const uint8_t bad[] = {ATA_NOP, 0x08,	  ATA_IDENTIFY_PACKET,
				      0xa0,    ATA_SMART, 0xf5,
				      0x2f,    0x45,	  0x60,
				      0xff,    0x92,	  0xe4,
				      0xe8};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		command28(&g, good[i], 1, 5);
		assert_int_equal(status(&g), READY);
	}
	command48(&g, ATA_VERIFY_EXT, 48, 2000);
	assert_int_equal(status(&g), READY);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		command28(&g, bad[i], 1, 5);
		assert_true(g.line[14]);
		assert_int_equal(status(&g), FAILED);
		assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	}
	command28(&g, ATA_STANDBY_NOW, 0, 0);
	command28(&g, ATA_CHECK_POWER, 0, 7);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), ATA_POWER_STANDBY);
	command28(&g, ATA_VERIFY, 0, 0);
	assert_int_equal(status(&g), READY);
	command28(&g, ATA_CHECK_POWER, 0, 7);
	assert_int_equal(in(&g, CMD + ATA_REG_COUNT, 1), ATA_POWER_ACTIVE);
	guest_fini(&g);
}

static void ata_decode_follows_configuration(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	assert_int_equal(in(&g, CTL, 1), READY);
	config_out(&g, PIIX3_IDE_TIMING, 0, 2);
	assert_int_equal(in(&g, CTL, 1), 0xff);
	assert_int_equal(in(&g, ATA_SECONDARY_CONTROL, 1), 0x7f);
	config_out(&g, PIIX3_IDE_TIMING, PIIX3_IDE_DECODE, 2);
	assert_int_equal(in(&g, CTL, 1), READY);
	config_out(&g, PCI_COMMAND, 0, 2);
	assert_int_equal(in(&g, CTL, 1), 0xff);
	/* A machine's reset: as firmware finds it. */
	config_out(&g, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
	backplane_lock(&g.plane);
	pci_function_reset(&g.ide->fn);
	backplane_unlock(&g.plane);
	assert_int_equal(in(&g, CTL, 1), 0xff);
	config_out(&g, PCI_BAR0 + 16, BM, 4);
	config_out(&g, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
	healthy(&g);
	guest_fini(&g);
}

static void ata_writes_are_stable_without_the_cache(void **state)
{
	struct guest g;
	const struct ide_drive *d;

	(void)state;
	guest_start(&g, "memory:1M");
	d = piix3_ide_drive(g.ide, 0);
	disk_write(&g, 0, 1);
	assert_int_equal(d->request.flags, 0);
	command48(&g, ATA_WRITE_DMA_FUA_EXT, 0, 1);
	bm_start(&g, false);
	assert_int_equal(status(&g), READY);
	assert_int_equal(d->request.flags, STORAGE_FUA);
	feature(&g, ATA_FEATURE_CACHE_OFF, 0);
	assert_int_equal(status(&g), READY);
	assert_int_equal(d->request.op, STORAGE_FLUSH);
	out(&g, BM + BM_COMMAND, 0, 1);
	disk_write(&g, 0, 1);
	assert_int_equal(d->request.flags, STORAGE_FUA);
	/* A reset puts the cache back on, unless the guest wants its settings kept. */
	feature(&g, ATA_FEATURE_KEEP, 0);
	healthy(&g);
	assert_int_equal(d->request.flags, 0); /* that of a read */
	assert_false(d->write_cache);
	feature(&g, ATA_FEATURE_FORGET, 0);
	healthy(&g);
	assert_true(d->write_cache);
	guest_fini(&g);
}

static void ata_flushes_reach_the_storage(void **state)
{
	static const uint8_t flushes[] = {ATA_FLUSH, ATA_FLUSH_EXT};
	const struct ide_drive *d;
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	d = piix3_ide_drive(g.ide, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(flushes); i++) {
		disk_write(&g, 0, 1);
		assert_int_equal(d->request.op, STORAGE_WRITE);
		out(&g, CMD + ATA_REG_COMMAND, flushes[i], 1);
		settle(&g);
		assert_int_equal(status(&g), READY);
		assert_int_equal(d->request.op, STORAGE_FLUSH);
	}
	guest_fini(&g);
}

static void ata_readonly_disks_refuse_writes(void **state)
{
	static const uint8_t writes[] = {ATA_WRITE,	ATA_WRITE_MULTIPLE, ATA_WRITE_DMA,
					 ATA_WRITE_EXT, ATA_WRITE_DMA_EXT,  ATA_WRITE_DMA_FUA_EXT,
					 ATA_DATA_SET};
	struct guest g;

	(void)state;
	guest_init(&g);
	guest_disk(&g, &(struct storage_options){.target = "memory:1M", .readonly = true});
	out(&g, CMD + ATA_REG_FEATURE, ATA_DATA_SET_TRIM, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		command48(&g, writes[i], 0, 1);
		assert_int_equal(status(&g), FAILED);
		assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	}
	command28(&g, ATA_READ, 0, 1);
	assert_int_equal(status(&g), DATA);
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ata_pio_one_interrupt_a_sector),
		cmocka_unit_test(ata_pio_in_two_parts),
		cmocka_unit_test(ata_48_bit_count_of_zero),
		cmocka_unit_test(ata_pio_words_of_16_and_32_bits),
		cmocka_unit_test(ata_multiple_one_interrupt_a_block),
		cmocka_unit_test(ata_lba_28_ends_where_48_goes_on),
		cmocka_unit_test(ata_chs_counts_sectors_from_one),
		cmocka_unit_test(ata_registers_of_both_disks_are_written),
		cmocka_unit_test(ata_absent_disks),
		cmocka_unit_test(ata_interrupts_can_be_off),
		cmocka_unit_test(ata_commands_without_data),
		cmocka_unit_test(ata_decode_follows_configuration),
		cmocka_unit_test(ata_writes_are_stable_without_the_cache),
		cmocka_unit_test(ata_flushes_reach_the_storage),
		cmocka_unit_test(ata_readonly_disks_refuse_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
