/* SPDX-License-Identifier: MIT */
/* What a disk says of itself, and the settings that show there: IDENTIFY DEVICE, SET FEATURES. */
#include "backend/ide/ide_test.h"

static void ata_identify_tells_what_the_disk_is(void **state)
{
	struct guest g;
	uint8_t data[512], sum = 0;

	(void)state;
	guest_start(&g, "memory:200G");
	identify(&g, data);
	for (unsigned i = 0; i < sizeof(data); i++)
		sum = (uint8_t)(sum + data[i]);
	assert_int_equal(sum, 0);
	assert_memory_equal(data + 2 * ATA_ID_MODEL, "IRGNISEDD SI K", 14);
	assert_memory_equal(data + 2 * ATA_ID_SERIAL, "esirla0-", 8);
	assert_int_equal(word(data, ATA_ID_SECTORS) | word(data, ATA_ID_SECTORS + 1) << 16,
			 ATA_SECTORS_28);
	assert_int_equal(word(data, ATA_ID_SECTORS_48) | (uint32_t)word(data, ATA_ID_SECTORS_48 + 1)
								 << 16,
			 UINT32_C(200) << 21);
	assert_int_equal(word(data, ATA_ID_MULTIPLE), 0x0110);
	assert_int_equal(word(data, ATA_ID_CAPABILITIES) & 0x0300, 0x0300);
	assert_int_equal(word(data, ATA_ID_ULTRA) & 0xff, 0x3f);
	assert_int_equal(word(data, ATA_ID_TRIM), 1);
	guest_fini(&g);
}

/* Each word of a disk of 8 MiB as ATA8-ACS spells it; the texts and what is not listed: 0. */
static void ata_identify_word_by_word(void **state)
{
	static const struct {
		unsigned word;
		uint16_t value;
	} words[] = {
		{0, 0x0040},   {1, 16},	     {3, 16},	    {6, 63},	   {47, 0x8010},
		{49, 0x2f00},  {50, 0x4000}, {51, 0x0200},  {53, 0x0007},  {54, 16},
		{55, 16},      {56, 63},     {57, 0x3f00},  {59, 0x0110},  {60, 0x4000},
		{63, 0x0007},  {64, 0x0003}, {65, 120},	    {66, 120},	   {67, 120},
		{68, 120},     {80, 0x01f0}, {82, 0x4068},  {83, 0x7400},  {84, 0x4040},
		{85, 0x4068},  {86, 0x3400}, {87, 0x4040},  {88, 0x003f},  {93, 0x600b},
		{100, 0x4000}, {105, 8},     {106, 0x6003}, {169, 0x0001}, {209, 0x4000},
		{217, 1},
	};
	static const char model[] = "RINGSIDE DISK                           ";
	uint8_t data[512];
	struct guest g;
	unsigned k = 0;

	(void)state;
	guest_start(&g, "memory:8M");
	identify(&g, data);
	for (unsigned i = 0; i < ATA_ID_INTEGRITY; i++) {
		uint16_t want = 0;

		if (k < ARRAY_SIZE(words) && words[k].word == i)
			want = words[k++].value;
		if (i >= 10 && i < 20)
			want = (uint16_t)("serial-0            "[2 * i - 20] << 8 |
					  "serial-0            "[2 * i - 19]);
		else if (i >= 23 && i < 27)
			want = (uint16_t)("1.0     "[2 * i - 46] << 8 | "1.0     "[2 * i - 45]);
		else if (i >= 27 && i < 47)
			want = (uint16_t)(model[2 * i - 54] << 8 | model[2 * i - 53]);
		if (word(data, i) != want)
			fail_msg("word %u is 0x%04x, not 0x%04x", i, word(data, i), want);
	}
	assert_int_equal(k, ARRAY_SIZE(words));
	assert_int_equal(data[510], ATA_ID_SIGNATURE);
	guest_fini(&g);
}

static void ata_identify_of_a_second_disk_that_cannot_trim(void **state)
{
	static const char *const serials[] = {NULL, "a serial number that is too long"};
	static const char *const shown[] = {"SRi-ed0.1-          ", " aesirlan mueb rhttai"};
	uint8_t data[512];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const struct storage_options so = {.target = "memory:64K", .no_discard = true};
		const struct ide_drive_options o = {
			.path = "disk", .serial = serials[i], .write_through = true};
		struct storage *storage;
		struct guest g;

		guest_start(&g, "memory:1M");
		assert_int_equal(storage_open(&so, &storage, NULL), 0);
		assert_int_equal(piix3_ide_add(g.ide, &o, storage, NULL), 0);
		assert_string_equal(piix3_ide_drive(g.ide, 1)->path, "disk");
		out(&g, CMD + ATA_REG_DEVICE, ATA_DEVICE_SECOND, 1);
		identify(&g, data);
		assert_memory_equal(data + 2 * ATA_ID_SERIAL, shown[i], ATA_ID_SERIAL_BYTES);
		assert_int_equal(word(data, ATA_ID_CYLINDERS), 1); /* there is no disk of none */
		assert_int_equal(word(data, ATA_ID_RESET), 0x6300);
		assert_int_equal(word(data, ATA_ID_TRIM), 0);
		assert_int_equal(word(data, ATA_ID_TRIM_BLOCKS), 0);
		assert_int_equal(word(data, ATA_ID_ENABLED_1), 0x4048); /* no write cache */
		out(&g, CMD + ATA_REG_FEATURE, ATA_DATA_SET_TRIM, 1);
		out(&g, CMD + ATA_REG_COUNT, 0, 1);
		out(&g, CMD + ATA_REG_COUNT, 1, 1);
		out(&g, CMD + ATA_REG_COMMAND, ATA_DATA_SET, 1);
		assert_int_equal(status(&g), FAILED);
		guest_fini(&g);
	}
}

static void ata_a_channel_has_room_for_two_disks(void **state)
{
	const struct storage_options so = {.target = "memory:1M"};
	const struct ide_drive_options o = {.path = "disk"};
	struct storage *storage;
	struct guest g;

	(void)state;
	guest_init(&g);
	for (unsigned i = 0; i < PIIX3_IDE_DISKS_MAX; i++)
		guest_disk(&g, &so);
	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	assert_int_equal(piix3_ide_add(g.ide, &o, storage, NULL), -ENOSPC);
	storage_close(&storage);
	guest_fini(&g);
}

static void ata_features_show_in_identify(void **state)
{
	struct guest g;
	uint8_t data[512];

	(void)state;
	guest_start(&g, "memory:1M");
	feature(&g, ATA_FEATURE_MODE, ATA_MODE_ULTRA << 3 | 5);
	assert_int_equal(status(&g), READY);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ULTRA), 0x203f);
	feature(&g, ATA_FEATURE_MODE, ATA_MODE_MULTIWORD << 3 | 2);
	assert_int_equal(status(&g), READY);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ULTRA), 0x003f);
	assert_int_equal(word(data, ATA_ID_MULTIWORD), 0x0407);
	feature(&g, ATA_FEATURE_MODE, ATA_MODE_ULTRA << 3 | 6);
	assert_int_equal(status(&g), FAILED);
	feature(&g, ATA_FEATURE_CACHE_OFF, 0);
	assert_int_equal(status(&g), READY);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ENABLED_1) & 0x20, 0);
	feature(&g, ATA_FEATURE_CACHE_ON, 0);
	assert_int_equal(status(&g), READY);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ENABLED_1) & 0x20, 0x20);
	feature(&g, 0xd0, 0);
	assert_int_equal(status(&g), FAILED);
	guest_fini(&g);
}

static void ata_only_modes_that_identify_offers_are_taken(void **state)
{
	static const struct {
		uint8_t kind, last;
	} modes[] = {{ATA_MODE_PIO_DEFAULT, 1},
		     {ATA_MODE_PIO, 4},
		     {ATA_MODE_MULTIWORD, 2},
		     {ATA_MODE_ULTRA, 5}};
	uint8_t data[512];
	struct guest g;

	(void)state;
	guest_start(&g, "memory:1M");
	for (unsigned kind = 0; kind < 32; kind++) {
		unsigned last = 0, n = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
			if (modes[i].kind == kind)
				last = modes[i].last + 1u;
		for (unsigned mode = 0; mode < 8; mode++) {
			feature(&g, ATA_FEATURE_MODE, (uint8_t)(kind << 3 | mode));
			if (status(&g) == READY)
				n++;
			else
				assert_int_equal(error(&g), ATA_ERROR_ABORTED);
		}
		assert_int_equal(n, last);
	}
	/* The mode of direct transfers stays beside one of PIO, and past a soft reset. */
	feature(&g, ATA_FEATURE_MODE, ATA_MODE_ULTRA << 3 | 2);
	assert_int_equal(status(&g), READY);
	feature(&g, ATA_FEATURE_MODE, ATA_MODE_PIO << 3 | 4);
	assert_int_equal(status(&g), READY);
	soft_reset(&g);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ULTRA), 0x043f);
	machine_reset(&g);
	identify(&g, data);
	assert_int_equal(word(data, ATA_ID_ULTRA), 0x003f);
	guest_fini(&g);
}

/* Geometry, block size and look-ahead, away from what they are at power-on. */
static void change_settings(struct guest *g)
{
	out(g, CMD + ATA_REG_DEVICE, 3, 1); /* 4 heads */
	out(g, CMD + ATA_REG_COUNT, 17, 1);
	out(g, CMD + ATA_REG_COMMAND, ATA_SET_GEOMETRY, 1);
	assert_int_equal(status(g), READY);
	command28(g, ATA_SET_MULTIPLE, 0, 4);
	assert_int_equal(status(g), READY);
	feature(g, ATA_FEATURE_LOOK_OFF, 0);
	assert_int_equal(status(g), READY);
}

static void settings_are(struct guest *g, bool changed)
{
	uint8_t data[512];

	identify(g, data);
	assert_int_equal(word(data, ATA_ID_HEADS), 16);
	assert_int_equal(word(data, ATA_ID_CURRENT_CYLINDERS), changed ? 16384 / 4 / 17 : 16);
	assert_int_equal(word(data, ATA_ID_CURRENT_HEADS), changed ? 4 : 16);
	assert_int_equal(word(data, ATA_ID_CURRENT_TRACK), changed ? 17 : 63);
	assert_int_equal(word(data, ATA_ID_CURRENT_SECTORS), changed ? 240 * 4 * 17 : 0x3f00);
	assert_int_equal(word(data, ATA_ID_MULTIPLE), changed ? 0x0104 : 0x0110);
	assert_int_equal(word(data, ATA_ID_ENABLED_1), changed ? 0x4028 : 0x4068);
}

static void ata_a_reset_forgets_settings_unless_they_are_kept(void **state)
{
	struct guest g;

	(void)state;
	guest_start(&g, "memory:8M");
	change_settings(&g);
	settings_are(&g, true);
	/* A diagnosis is no reset for a disk at rest. */
	out(&g, CMD + ATA_REG_COMMAND, ATA_DIAGNOSTIC, 1);
	settings_are(&g, true);
	soft_reset(&g);
	settings_are(&g, false);
	feature(&g, ATA_FEATURE_KEEP, 0);
	change_settings(&g);
	soft_reset(&g);
	settings_are(&g, true);
	/* Power-on keeps nothing, not even that settings shall be kept. */
	machine_reset(&g);
	settings_are(&g, false);
	change_settings(&g);
	soft_reset(&g);
	settings_are(&g, false);
	feature(&g, ATA_FEATURE_LOOK_OFF, 0);
	feature(&g, ATA_FEATURE_LOOK_ON, 0);
	settings_are(&g, false);
	guest_fini(&g);
}

/* Cylinder, head and sector reach 16,514,064 sectors, and no more than the disk has. */
static void ata_a_geometry_claims_what_it_reaches(void **state)
{
	static const struct {
		const char *disk;
		uint8_t heads, track;
		unsigned cylinders;
		uint32_t sectors;
	} cases[] = {
		{"memory:128G", 16, 63, 16383, 16514064},
		{"memory:128G", 16, 255, 4047, 4047 * 16 * 255},
		{"memory:128G", 1, 1, 65535, 65535},
		{"memory:128G", 4, 17, 65535, 65535 * 4 * 17},
		{"memory:128G", 15, 63, 17475, 17475 * 15 * 63},
		{"memory:7875M", 16, 63, 16000, 16000 * 16 * 63}, /* below the limit */
		{"memory:8M", 4, 17, 240, 240 * 4 * 17},
		{"memory:1M", 16, 255, 1, 2048}, /* less than a cylinder */
	};
	uint8_t data[512];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest g;
		uint32_t disk;

		guest_start(&g, cases[i].disk);
		out(&g, CMD + ATA_REG_DEVICE, cases[i].heads - 1u, 1);
		out(&g, CMD + ATA_REG_COUNT, cases[i].track, 1);
		out(&g, CMD + ATA_REG_COMMAND, ATA_SET_GEOMETRY, 1);
		assert_int_equal(status(&g), READY);
		identify(&g, data);
		assert_int_equal(word(data, ATA_ID_VALID) & 1, 1);
		assert_int_equal(word(data, ATA_ID_CURRENT_CYLINDERS), cases[i].cylinders);
		assert_int_equal(word(data, ATA_ID_CURRENT_HEADS), cases[i].heads);
		assert_int_equal(word(data, ATA_ID_CURRENT_TRACK), cases[i].track);
		assert_int_equal(word(data, ATA_ID_CURRENT_SECTORS) |
					 (uint32_t)word(data, ATA_ID_CURRENT_SECTORS + 1) << 16,
				 cases[i].sectors);
		/* What the disk is by itself stays. */
		disk = word(data, ATA_ID_SECTORS) | (uint32_t)word(data, ATA_ID_SECTORS + 1) << 16;
		assert_true(cases[i].sectors <= disk);
		assert_int_equal(word(data, ATA_ID_HEADS), 16);
		assert_int_equal(word(data, ATA_ID_TRACK), 63);
		assert_int_equal(word(data, ATA_ID_CYLINDERS), disk < 1008 ? 1
							       : disk > ATA_SECTORS_CHS
								       ? 16383
								       : disk / 1008);
		guest_fini(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ata_identify_tells_what_the_disk_is),
		cmocka_unit_test(ata_identify_word_by_word),
		cmocka_unit_test(ata_identify_of_a_second_disk_that_cannot_trim),
		cmocka_unit_test(ata_a_channel_has_room_for_two_disks),
		cmocka_unit_test(ata_features_show_in_identify),
		cmocka_unit_test(ata_only_modes_that_identify_offers_are_taken),
		cmocka_unit_test(ata_a_geometry_claims_what_it_reaches),
		cmocka_unit_test(ata_a_reset_forgets_settings_unless_they_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
