/* SPDX-License-Identifier: MIT */
/* The firmware configuration device, asked by its two ports. */
#include "test.h"

#include "backend/machine/fw_cfg.h"

#include <errno.h>
#include <stdio.h>

static void the_firmware_reads_files_by_their_names(void **state)
{
	struct sysbus bus;
	struct fw_cfg f;
	uint8_t dir[4 + 64];

	(void)state;
	sysbus_init(&bus, NULL);
	fw_cfg_init(&f, &bus, 2);
	assert_int_equal(fw_cfg_set_file(&f, "etc/one", "abc", 3), 0);
	assert_int_equal(fw_cfg_set_file(&f, "etc/one", "wxyz", 4), 0);
	sysbus_write(&bus, SYSBUS_PORT, 0x510, 0x19, 2);
	for (size_t i = 0; i < sizeof(dir); i++)
		dir[i] = (uint8_t)sysbus_read(&bus, SYSBUS_PORT, 0x511, 1);
	assert_int_equal(dir[3], 1);
	assert_int_equal(dir[7], 4);
	assert_int_equal(dir[8] << 8 | dir[9], 0x20);
	assert_string_equal((char *)dir + 12, "etc/one");
	sysbus_write(&bus, SYSBUS_PORT, 0x510, 0x20, 2);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), 'w');
	for (unsigned i = 0; i < 3; i++)
		sysbus_read(&bus, SYSBUS_PORT, 0x511, 1);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), 0);
	/* Items that are not there read as zeros. */
	for (uint64_t item = 0x21; item < 0x10000; item += 0xff) {
		sysbus_write(&bus, SYSBUS_PORT, 0x510, item, 2);
		assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), 0);
	}
	fw_cfg_fini(&f);
}

static void items_that_are_numbers(void **state)
{
	static const struct {
		uint16_t item;
		uint8_t bytes[6];
	} items[] = {
		{FW_CFG_SIGNATURE, "QEMU"},  {FW_CFG_ID, {1}}, /* no memory access of its own */
		{FW_CFG_CPUS, {0x34, 0x12}}, {FW_CFG_CPUS_MAX, {0x34, 0x12}},
		{FW_CFG_DIRECTORY, {0}},
	};
	struct sysbus bus;
	struct fw_cfg f;

	(void)state;
	sysbus_init(&bus, NULL);
	fw_cfg_init(&f, &bus, 0x1234);
	for (unsigned i = 0; i < ARRAY_SIZE(items); i++) {
		sysbus_write(&bus, SYSBUS_PORT, 0x510, items[i].item, 2);
		for (unsigned k = 0; k < 100; k++)
			assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1),
					 k < 6 ? items[i].bytes[k] : 0);
	}
	/* An item is selected by 16 bits, and each byte that is read, at either port, is its next. */
	sysbus_write(&bus, SYSBUS_PORT, 0x510, FW_CFG_SIGNATURE, 2);
	sysbus_write(&bus, SYSBUS_PORT, 0x510, FW_CFG_ID, 1);
	sysbus_write(&bus, SYSBUS_PORT, 0x511, FW_CFG_ID, 1);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), 'Q');
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x510, 1), 'E');
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x510, 2), 'M' | 'U' << 8);
	sysbus_write(&bus, SYSBUS_PORT, 0x510, FW_CFG_SIGNATURE, 4);
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x510, 4), 0xffff0000 | 'Q' | 'E' << 8);
	fw_cfg_fini(&f);
}

static void the_directory_names_every_file(void **state)
{
	uint8_t big[0x1238] = {[0x1237] = 7};
	struct sysbus bus;
	struct fw_cfg f;
	char name[FW_CFG_NAME];

	(void)state;
	sysbus_init(&bus, NULL);
	fw_cfg_init(&f, &bus, 1);
	for (unsigned i = 0; i < FW_CFG_FILES_MAX; i++) {
		snprintf(name, sizeof(name), "etc/file%u", i);
		assert_int_equal(fw_cfg_set_file(&f, name, big, i == 5 ? sizeof(big) : i), 0);
	}
	assert_int_equal(fw_cfg_set_file(&f, "etc/one-more", big, 1), -ENOSPC);
	assert_int_equal(fw_cfg_set_file(&f, "etc/file15", big, 3), 0); /* it is there already */
	sysbus_write(&bus, SYSBUS_PORT, 0x510, FW_CFG_DIRECTORY, 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), i == 3 ? 16 : 0);
	for (unsigned i = 0; i < FW_CFG_FILES_MAX; i++) {
		const unsigned size = i == 5 ? sizeof(big) : i == 15 ? 3 : i;
		uint8_t record[64];

		for (unsigned k = 0; k < 64; k++)
			record[k] = (uint8_t)sysbus_read(&bus, SYSBUS_PORT, 0x511, 1);
		assert_int_equal(record[0] << 24 | record[1] << 16 | record[2] << 8 | record[3],
				 size);
		assert_int_equal(record[4] << 8 | record[5], FW_CFG_FILE_FIRST + i);
		assert_int_equal(record[6] << 8 | record[7], 0);
		snprintf(name, sizeof(name), "etc/file%u", i);
		assert_string_equal((char *)record + 8, name);
	}
	assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), 0);
	sysbus_write(&bus, SYSBUS_PORT, 0x510, FW_CFG_FILE_FIRST + 5, 2);
	for (unsigned k = 0; k < sizeof(big) + 10; k++)
		assert_int_equal(sysbus_read(&bus, SYSBUS_PORT, 0x511, 1), k == 0x1237 ? 7 : 0);
	fw_cfg_fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_firmware_reads_files_by_their_names),
		cmocka_unit_test(items_that_are_numbers),
		cmocka_unit_test(the_directory_names_every_file),
	};

	return cmocka_run_group_tests_name("fw_cfg", tests, NULL, NULL);
}
