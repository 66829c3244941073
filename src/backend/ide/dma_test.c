/* SPDX-License-Identifier: MIT */
/* The bus master: its registers, its tables, what starts and stops it; and TRIM, which reads by it. */
#include "backend/ide/ide_test.h"

static void ata_dma_reads_and_writes(void **state)
{
	static const uint8_t reads[] = {ATA_READ_DMA, ATA_READ_DMA_ONCE, ATA_READ_DMA_EXT};
	static const uint8_t writes[] = {ATA_WRITE_DMA, ATA_WRITE_DMA_ONCE, ATA_WRITE_DMA_EXT,
					 ATA_WRITE_DMA_FUA_EXT};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
		fill(g.ram + BUFFER, i, 4);
		/* Pieces that are no sectors, in an order that is none. */
		prd(&g, 0, BUFFER, 700, false);
		prd(&g, 1, BUFFER + 700, 2, false);
		prd(&g, 2, BUFFER + 702, 2048 - 702, true);
		command48(&g, writes[i], i * 8, 4);
		assert_int_equal(status(&g), DATA);
		assert_false(g.line[14]);
		bm_start(&g, false);
		settle(&g);
		assert_true(g.line[14]);
		assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
		assert_int_equal(status(&g), READY);
		assert_false(g.line[14]);
		out(&g, BM + BM_COMMAND, 0, 1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(reads); i++) {
		uint8_t want[2048];

		fill(want, i, 4);
		memset(g.ram + BUFFER, 0xee, 4096);
		prd(&g, 0, BUFFER, 512, false);
		prd(&g, 1, BUFFER + 1000, 1536, true);
		command48(&g, reads[i], i * 8, 4);
		bm_start(&g, true);
		assert_int_equal(status(&g), READY);
		assert_memory_equal(g.ram + BUFFER, want, 512);
		assert_memory_equal(g.ram + BUFFER + 1000, want + 512, 1536);
		assert_int_equal(g.ram[BUFFER + 512], 0xee);
		assert_int_equal(g.ram[BUFFER + 999], 0xee);
		assert_int_equal(g.ram[BUFFER + 2536], 0xee);
		out(&g, BM + BM_COMMAND, 0, 1);
	}
	assert_int_equal(g.ide->channels[0].counters.direct, 7 * 2048);
	assert_int_equal(g.ide->channels[0].counters.copied, 0);
	guest_fini(&g);
}

static void ata_dma_may_be_started_before_the_command(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 5, 2);
	out(&g, BM + BM_COMMAND, 0, 1);
	prd(&g, 0, BUFFER, 1024, true);
	bm_start(&g, true);
	assert_int_equal(bm_status(&g), BM_STATUS_ACTIVE);
	command28(&g, ATA_READ_DMA, 5, 2);
	settle(&g);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
	assert_int_equal(status(&g), READY);
	guest_fini(&g);
}

#define PIECES_MAX 4096u

/*
 * A table over @bytes of memory from BUFFER on, in pieces of any even length: some begin where the
 * one before ended, most do not.
 */
static void scatter(struct guest *g, uint32_t seed, unsigned bytes, uint8_t *map)
{
	uint32_t at = BUFFER;

	memset(map, 0, RAM);
	for (unsigned i = 0; bytes; i++) {
		unsigned len, gap;

		seed = seed * 1664525 + 1013904223;
		len = (unsigned)min_u64(2 + (seed >> 16) % (seed >> 26 ? 40 : 3000), bytes) & ~1u;
		gap = seed >> 8 & 3 ? (seed >> 10 & 15) * 2 : 0;
		assert_true(i < PIECES_MAX && at + gap + len < RAM);
		at += gap;
		bytes -= len;
		prd(g, i, at, len, !bytes);
		memset(map + at, 1, len);
		at += len;
	}
}

/* More pieces than one request has, cut anywhere. */
static void ata_dma_in_pieces_of_any_length(void **state)
{
	enum { SECTORS = 150 };
	uint8_t *map = malloc(RAM), *want = malloc(SECTORS * ATA_SECTOR);
	struct guest g;

	(void)state;
	assert_non_null(map);
	assert_non_null(want);
	guest_start(&g, "memory:1M");
	for (uint32_t seed = 1; seed <= 20; seed++) {
		uint64_t before;
		size_t k = 0;

		fill(want, seed, SECTORS);
		scatter(&g, seed, SECTORS * ATA_SECTOR, map);
		memset(g.ram + BUFFER, 0xee, RAM - BUFFER);
		for (size_t i = 0; i < RAM; i++)
			if (map[i])
				g.ram[i] = want[k++];
		out(&g, BM + BM_COMMAND, 0, 1);
		command28(&g, ATA_WRITE_DMA, seed, SECTORS);
		bm_start(&g, false);
		settle(&g);
		assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
		assert_int_equal(status(&g), READY);

		scatter(&g, seed + 100, SECTORS * ATA_SECTOR, map);
		memset(g.ram + BUFFER, 0xee, RAM - BUFFER);
		out(&g, BM + BM_COMMAND, 0, 1);
		before = g.ide->channels[0].counters.requests;
		command28(&g, ATA_READ_DMA, seed, SECTORS);
		bm_start(&g, true);
		settle(&g);
		assert_true(g.ide->channels[0].counters.requests - before > 1);
		assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
		assert_int_equal(status(&g), READY);
		k = 0;
		for (size_t i = BUFFER; i < RAM; i++)
			if (g.ram[i] != (map[i] ? want[k++] : 0xee))
				fail_msg("seed %u: wrong at 0x%zx", seed, i);
	}
	free(map);
	free(want);
	guest_fini(&g);
}

static void ata_dma_pieces_that_touch_are_one(void **state)
{
	struct guest g;
	uint64_t before;

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 128);
	out(&g, BM + BM_COMMAND, 0, 1);
	for (unsigned i = 0; i < 1024; i++)
		prd(&g, i, BUFFER + 64 * i, 64, i == 1023);
	before = g.ide->channels[0].counters.requests;
	command28(&g, ATA_READ_DMA, 0, 128);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ide->channels[0].counters.requests - before, 1);
	assert_int_equal(piix3_ide_drive(g.ide, 0)->request.iovcnt, 1);
	guest_fini(&g);
}

/* ---- registers ---- */

static void bm_registers_are_read_as_they_were_written(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned channel = 0; channel < 2; channel++) {
		unsigned at = BM + channel * BM_CHANNEL;

		out(&g, at + BM_TABLE, 0x12345677, 4);
		assert_int_equal(in(&g, at + BM_TABLE, 4), 0x12345674);
		out(&g, at + BM_TABLE + 1, 0xab, 1);
		out(&g, at + BM_TABLE + 2, 0xefcd, 2);
		assert_int_equal(in(&g, at + BM_TABLE, 4), 0xefcdab74);
		assert_int_equal(in(&g, at + BM_TABLE + 3, 1), 0xef);
		out(&g, at + BM_COMMAND, 0xff, 1);
		assert_int_equal(in(&g, at + BM_COMMAND, 1),
				 BM_COMMAND_START | BM_COMMAND_TO_MEMORY);
		/* The notes on the disks stay; the other bits are the bus master's. */
		out(&g, at + BM_STATUS, BM_STATUS_CAPABLE, 1);
		assert_int_equal(in(&g, at + BM_STATUS, 1), BM_STATUS_CAPABLE | BM_STATUS_ACTIVE);
		assert_int_equal(in(&g, at, 4), BM_COMMAND_START | BM_COMMAND_TO_MEMORY |
							(BM_STATUS_CAPABLE | BM_STATUS_ACTIVE)
								<< 16);
		out(&g, at + BM_STATUS, 0xff & ~0x20u, 1);
		assert_int_equal(in(&g, at + BM_STATUS, 1), 0x40 | BM_STATUS_ACTIVE);
		out(&g, at + BM_COMMAND, 0, 1);
		assert_int_equal(in(&g, at + BM_STATUS, 1), 0x40);
		out(&g, at + BM_STATUS, 0, 1);
		assert_int_equal(in(&g, at + BM_STATUS, 1), 0);
	}
	assert_int_equal(in(&g, BM + 12, 4), 0xefcdab74);
	/* What is behind an access is another channel's. */
	out(&g, BM + BM_CHANNEL, BM_COMMAND_START, 1);
	out(&g, BM + BM_TABLE, 0, 4);
	assert_int_equal(in(&g, BM + BM_CHANNEL, 1), BM_COMMAND_START);
	machine_reset(&g);
	assert_int_equal(in(&g, BM + BM_TABLE, 4), 0);
	guest_fini(&g);
}

static void bm_status_bits_go_when_ones_are_written(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	out(&g, BM + BM_STATUS, BM_STATUS_CAPABLE, 1);
	command28(&g, ATA_READ_DMA, 0, 1);
	prd(&g, 0, RAM, 512, true);
	bm_start(&g, true);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT | BM_STATUS_ERROR);
	out(&g, BM + BM_STATUS, 0, 1);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT | BM_STATUS_ERROR);
	out(&g, BM + BM_STATUS, BM_STATUS_ERROR, 1);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
	out(&g, BM + BM_STATUS, BM_STATUS_INTERRUPT, 1);
	assert_int_equal(bm_status(&g), 0);
	guest_fini(&g);
}

/* ---- what starts it and what stops it ---- */

static void bm_waits_until_the_function_may_be_master(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 5, 1);
	out(&g, BM + BM_COMMAND, 0, 1);
	config_out(&g, PCI_COMMAND, PCI_COMMAND_IO, 2);
	prd(&g, 0, BUFFER, 512, true);
	command28(&g, ATA_READ_DMA, 5, 1);
	bm_start(&g, true);
	assert_int_equal(status(&g), DATA);
	assert_int_equal(bm_status(&g), BM_STATUS_ACTIVE);
	config_out(&g, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
	assert_int_equal(status(&g), READY);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
	assert_int_equal(g.ram[BUFFER + 1], (uint8_t)(5 * 31 + 7));
	guest_fini(&g);
}

static void bm_starts_at_the_rising_bit_alone(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	prd(&g, 0, BUFFER, 512, true);
	command28(&g, ATA_READ_DMA, 0, 1);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	/* The table is used up, and is not begun anew. */
	command28(&g, ATA_READ_DMA, 0, 1);
	out(&g, BM + BM_COMMAND, BM_COMMAND_START | BM_COMMAND_TO_MEMORY, 1);
	assert_int_equal(bm_status(&g) & BM_STATUS_ACTIVE, 0);
	assert_int_equal(status(&g), DATA);
	out(&g, BM + BM_COMMAND, BM_COMMAND_TO_MEMORY, 1);
	assert_int_equal(status(&g), DATA);
	out(&g, BM + BM_COMMAND, BM_COMMAND_START | BM_COMMAND_TO_MEMORY, 1);
	assert_int_equal(status(&g), READY);
	guest_fini(&g);
}

static void bm_stops_at_a_soft_reset(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	prd(&g, 0, BUFFER, 1024, true);
	command28(&g, ATA_READ_DMA, 0, 1);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	assert_int_equal(bm_status(&g) & BM_STATUS_ACTIVE, BM_STATUS_ACTIVE);
	soft_reset(&g);
	assert_int_equal(in(&g, BM + BM_COMMAND, 1), BM_COMMAND_TO_MEMORY);
	assert_int_equal(bm_status(&g) & BM_STATUS_ACTIVE, 0);
	/* What was left of the table serves nobody. */
	command28(&g, ATA_READ_DMA, 0, 1);
	assert_int_equal(status(&g), DATA);
	bm_start(&g, true);
	assert_int_equal(status(&g), READY);
	guest_fini(&g);
}

static void bm_of_the_second_channel_has_its_own_line(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	guest_disk(&g, &(struct storage_options){.target = "memory:1M"});
	guest_disk(&g, &(struct storage_options){.target = "memory:2M"});
	prd(&g, 0, BUFFER, 512, true);
	out(&g, BM + BM_CHANNEL + BM_TABLE, TABLE, 4);
	out(&g, ATA_SECONDARY_COMMAND + ATA_REG_DEVICE, ATA_DEVICE_LBA, 1);
	out(&g, ATA_SECONDARY_COMMAND + ATA_REG_COUNT, 1, 1);
	out(&g, ATA_SECONDARY_COMMAND + ATA_REG_COMMAND, ATA_READ_DMA, 1);
	out(&g, BM + BM_CHANNEL, BM_COMMAND_START | BM_COMMAND_TO_MEMORY, 1);
	settle(&g);
	assert_true(g.line[15]);
	assert_false(g.line[14]);
	assert_int_equal(in(&g, BM + BM_CHANNEL + BM_STATUS, 1), BM_STATUS_INTERRUPT);
	assert_int_equal(bm_status(&g), 0);
	assert_int_equal(in(&g, ATA_SECONDARY_COMMAND + ATA_REG_STATUS, 1), READY);
	assert_false(g.line[15]);
	/* Its own switch in the timing register. */
	config_out(&g, PIIX3_IDE_TIMING + 2, 0, 2);
	assert_int_equal(in(&g, ATA_SECONDARY_CONTROL, 1), 0xff);
	assert_int_equal(in(&g, CTL, 1), READY);
	guest_fini(&g);
}

/* ---- TRIM ---- */

/* The first 64 sectors have been written, and the list of ranges has @blocks empty blocks. */
static void trim_start(struct guest *g, unsigned blocks)
{
	guest_start(g, "memory:1M");
	disk_write(g, 0, 64);
	out(g, BM + BM_COMMAND, 0, 1);
	memset(g->ram + BUFFER, 0, blocks * 512);
}

/* Of these sectors 8 to 15 and 32 to 47 are gone, and no others. */
static void check_two_holes(struct guest *g)
{
	assert_true(disk_holds(g, 0, 8));
	assert_false(disk_holds(g, 8, 8));
	assert_true(disk_holds(g, 16, 16));
	assert_false(disk_holds(g, 32, 16));
	assert_true(disk_holds(g, 48, 16));
}

static void ata_trim_discards_ranges(void **state)
{
	struct guest g;

	(void)state;
	trim_start(&g, 2);
	trim_range(&g, 0, 8, 8);
	trim_range(&g, 70, 32, 16);
	trim(&g, 2);
	assert_int_equal(status(&g), READY);
	check_two_holes(&g);
	guest_fini(&g);
}

static void kb_83_trim_with_bad_ranges(void **state)
{
	static const uint64_t bad[][2] = {
		{2048, 1}, {2047, 2}, {UINT64_C(0xffffffffffff), 1}, {0, 0xffff}};
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	disk_write(&g, 0, 64);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		out(&g, BM + BM_COMMAND, 0, 1);
		memset(g.ram + BUFFER, 0, 512);
		trim_range(&g, 0, 0, 8);
		trim_range(&g, 63, bad[i][0], bad[i][1]);
		trim(&g, 1);
		assert_int_equal(status(&g), FAILED);
	}
	assert_true(disk_holds(&g, 0, 64));
	for (unsigned blocks = 0; blocks < 100; blocks += 9) {
		trim(&g, blocks); /* 0 stands for 65536 */
		assert_int_equal(status(&g), FAILED);
		out(&g, BM + BM_COMMAND, 0, 1);
	}
	healthy(&g);
	guest_fini(&g);
}

static void ata_trim_ranges_in_pieces(void **state)
{
	struct guest g;

	(void)state;
	trim_start(&g, 2);
	trim_range(&g, 20, 8, 8);
	trim_range(&g, 21, 2048, 0); /* no sectors: where they are is no matter */
	trim_range(&g, 127, 32, 16);
	memmove(g.ram + BUFFER + 5000, g.ram + BUFFER + 164, 1024 - 164);
	memset(g.ram + BUFFER + 164, 0, 1024 - 164);
	prd(&g, 0, BUFFER, 164, false);
	prd(&g, 1, BUFFER + 5000, 1024 - 164, true);
	out(&g, CMD + ATA_REG_FEATURE, ATA_DATA_SET_TRIM, 1);
	command48(&g, ATA_DATA_SET, 0, 2);
	bm_start(&g, false);
	settle(&g);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT);
	assert_int_equal(status(&g), READY);
	assert_int_equal(g.ide->channels[0].counters.copied, 1024);
	check_two_holes(&g);
	guest_fini(&g);
}

static void ata_trim_with_a_short_table_discards_nothing(void **state)
{
	struct guest g;

	(void)state;
	trim_start(&g, 2);
	trim_range(&g, 0, 0, 64);
	prd(&g, 0, BUFFER, 512, true);
	out(&g, CMD + ATA_REG_FEATURE, ATA_DATA_SET_TRIM, 1);
	command48(&g, ATA_DATA_SET, 0, 2);
	bm_start(&g, false);
	settle(&g);
	assert_int_equal(bm_status(&g), BM_STATUS_INTERRUPT | BM_STATUS_ERROR);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_ABORTED);
	assert_true(disk_holds(&g, 0, 64));
	healthy(&g);
	guest_fini(&g);
}

static void ata_trim_looks_at_all_ranges_first(void **state)
{
	struct guest g;

	(void)state;
	trim_start(&g, IDE_TRIM_BLOCKS);
	trim_range(&g, 0, 0, 64);
	trim_range(&g, IDE_TRIM_BLOCKS * ATA_TRIM_RANGES - 1, 2048, 1);
	trim(&g, IDE_TRIM_BLOCKS);
	assert_int_equal(status(&g), FAILED);
	assert_int_equal(error(&g), ATA_ERROR_NO_ADDRESS | ATA_ERROR_ABORTED);
	assert_true(disk_holds(&g, 0, 64));
	guest_fini(&g);
}

/* The last sectors, and a range as long as one can be. */
static void ata_trim_reaches_the_end(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:64M");
	disk_write(&g, 131072 - 64, 64);
	out(&g, BM + BM_COMMAND, 0, 1);
	memset(g.ram + BUFFER, 0, 512);
	trim_range(&g, 1, 131072 - 65535, 65535);
	trim(&g, 1);
	assert_int_equal(status(&g), READY);
	assert_false(disk_holds(&g, 131072 - 64, 1));
	assert_false(disk_holds(&g, 131072 - 1, 1));
	guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ata_dma_reads_and_writes),
		cmocka_unit_test(ata_dma_may_be_started_before_the_command),
		cmocka_unit_test(ata_dma_in_pieces_of_any_length),
		cmocka_unit_test(ata_dma_pieces_that_touch_are_one),
		cmocka_unit_test(bm_registers_are_read_as_they_were_written),
		cmocka_unit_test(bm_status_bits_go_when_ones_are_written),
		cmocka_unit_test(bm_waits_until_the_function_may_be_master),
		cmocka_unit_test(bm_starts_at_the_rising_bit_alone),
		cmocka_unit_test(bm_stops_at_a_soft_reset),
		cmocka_unit_test(bm_of_the_second_channel_has_its_own_line),
		cmocka_unit_test(ata_trim_discards_ranges),
		cmocka_unit_test(kb_83_trim_with_bad_ranges),
		cmocka_unit_test(ata_trim_ranges_in_pieces),
		cmocka_unit_test(ata_trim_with_a_short_table_discards_nothing),
		cmocka_unit_test(ata_trim_looks_at_all_ranges_first),
		cmocka_unit_test(ata_trim_reaches_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
