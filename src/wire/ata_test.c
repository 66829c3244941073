/* SPDX-License-Identifier: MIT */
/* Our numbers of ATA against those of the kernel's header. */
#include "test.h"

#include "wire/ata.h"

#include <linux/hdreg.h>

static void commands_are_the_kernels(void **state)
{
	static const unsigned pairs[][2] = {
		{ATA_NOP, WIN_NOP},
		{ATA_RECALIBRATE, WIN_RECAL},
		{ATA_READ, WIN_READ},
		{ATA_READ_ONCE, WIN_READ_ONCE},
		{ATA_READ_EXT, WIN_READ_EXT},
		{ATA_READ_DMA_EXT, WIN_READDMA_EXT},
		{ATA_READ_MAX_EXT, WIN_READ_NATIVE_MAX_EXT},
		{ATA_READ_MULTIPLE_EXT, WIN_MULTREAD_EXT},
		{ATA_WRITE, WIN_WRITE},
		{ATA_WRITE_ONCE, WIN_WRITE_ONCE},
		{ATA_WRITE_EXT, WIN_WRITE_EXT},
		{ATA_WRITE_DMA_EXT, WIN_WRITEDMA_EXT},
		{ATA_WRITE_MULTIPLE_EXT, WIN_MULTWRITE_EXT},
		{ATA_VERIFY, WIN_VERIFY},
		{ATA_VERIFY_ONCE, WIN_VERIFY_ONCE},
		{ATA_VERIFY_EXT, WIN_VERIFY_EXT},
		{ATA_SEEK, WIN_SEEK},
		{ATA_DIAGNOSTIC, WIN_DIAGNOSE},
		{ATA_SET_GEOMETRY, WIN_SPECIFY},
		{ATA_STANDBY_NOW_OLD, WIN_STANDBYNOW2},
		{ATA_STANDBY_OLD, WIN_STANDBY2},
		{ATA_IDLE_OLD, WIN_SETIDLE2},
		{ATA_CHECK_POWER_OLD, WIN_CHECKPOWERMODE2},
		{ATA_SLEEP_OLD, WIN_SLEEPNOW2},
		{ATA_IDENTIFY_PACKET, WIN_PIDENTIFY},
		{ATA_SMART, WIN_SMART},
		{ATA_READ_MULTIPLE, WIN_MULTREAD},
		{ATA_WRITE_MULTIPLE, WIN_MULTWRITE},
		{ATA_SET_MULTIPLE, WIN_SETMULT},
		{ATA_READ_DMA, WIN_READDMA},
		{ATA_READ_DMA_ONCE, WIN_READDMA_ONCE},
		{ATA_WRITE_DMA, WIN_WRITEDMA},
		{ATA_WRITE_DMA_ONCE, WIN_WRITEDMA_ONCE},
		{ATA_STANDBY_NOW, WIN_STANDBYNOW1},
		{ATA_IDLE_NOW, WIN_IDLEIMMEDIATE},
		{ATA_STANDBY, WIN_STANDBY},
		{ATA_IDLE, WIN_SETIDLE1},
		{ATA_CHECK_POWER, WIN_CHECKPOWERMODE1},
		{ATA_SLEEP, WIN_SLEEPNOW1},
		{ATA_FLUSH, WIN_FLUSH_CACHE},
		{ATA_FLUSH_EXT, WIN_FLUSH_CACHE_EXT},
		{ATA_IDENTIFY, WIN_IDENTIFY},
		{ATA_SET_FEATURES, WIN_SETFEATURES},
		{ATA_READ_MAX, WIN_READ_NATIVE_MAX},
		{ATA_FEATURE_CACHE_ON, SETFEATURES_EN_WCACHE},
		{ATA_FEATURE_CACHE_OFF, SETFEATURES_DIS_WCACHE},
		{ATA_FEATURE_LOOK_OFF, SETFEATURES_DIS_RLA},
		{ATA_FEATURE_LOOK_ON, SETFEATURES_EN_RLA},
		{ATA_FEATURE_KEEP, SETFEATURES_DIS_RPOD},
		{ATA_FEATURE_FORGET, SETFEATURES_EN_RPOD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_int_equal(pairs[i][0], pairs[i][1]);
}

#define WORD(field) (offsetof(struct hd_driveid, field) / 2)

static void words_of_identify_are_the_kernels(void **state)
{
	static const size_t pairs[][2] = {
		{ATA_ID_GENERAL, WORD(config)},
		{ATA_ID_CYLINDERS, WORD(cyls)},
		{ATA_ID_HEADS, WORD(heads)},
		{ATA_ID_TRACK, WORD(sectors)},
		{ATA_ID_SERIAL, WORD(serial_no)},
		{ATA_ID_FIRMWARE, WORD(fw_rev)},
		{ATA_ID_MODEL, WORD(model)},
		{ATA_ID_MULTIPLE_MAX, WORD(max_multsect)},
		{ATA_ID_CAPABILITIES, WORD(capability)}, /* its upper half */
		{ATA_ID_VALID, WORD(field_valid)},
		{ATA_ID_CURRENT_CYLINDERS, WORD(cur_cyls)},
		{ATA_ID_CURRENT_HEADS, WORD(cur_heads)},
		{ATA_ID_CURRENT_TRACK, WORD(cur_sectors)},
		{ATA_ID_CURRENT_SECTORS, WORD(cur_capacity0)},
		{ATA_ID_MULTIPLE, WORD(multsect)},
		{ATA_ID_SECTORS, WORD(lba_capacity)},
		{ATA_ID_MULTIWORD, WORD(dma_mword)},
		{ATA_ID_PIO, WORD(eide_pio_modes)},
		{ATA_ID_CYCLE_TIME, WORD(eide_dma_min)},
		{ATA_ID_MAJOR, WORD(major_rev_num)},
		{ATA_ID_COMMANDS_1, WORD(command_set_1)},
		{ATA_ID_COMMANDS_2, WORD(command_set_2)},
		{ATA_ID_COMMANDS_3, WORD(cfsse)},
		{ATA_ID_ENABLED_1, WORD(cfs_enable_1)},
		{ATA_ID_ENABLED_2, WORD(cfs_enable_2)},
		{ATA_ID_ENABLED_3, WORD(csf_default)},
		{ATA_ID_ULTRA, WORD(dma_ultra)},
		{ATA_ID_RESET, WORD(hw_config)},
		{ATA_ID_SECTORS_48, WORD(lba_capacity_2)},
		{ATA_ID_INTEGRITY, WORD(integrity_word)},
	};

	(void)state;
	assert_int_equal(sizeof(struct hd_driveid), ATA_ID_WORDS * 2);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_int_equal(pairs[i][0], pairs[i][1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_are_the_kernels),
		cmocka_unit_test(words_of_identify_are_the_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
