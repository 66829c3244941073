/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: sums, pointers, the firmware's loader; and what ACPICA's disassembler makes of them
 * where it is installed.
 */
#include "test.h"

#include "backend/machine/acpi_linker.h"
#include "backend/machine/aml.h"
#include "backend/machine/table_test.h"
#include "base/bits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE 0xe0000

static const struct acpi_machine machine = {
	.cpus = 3, .pci_hole = 0xc0000000, .pci_hole_end = 0xfec00000};

/* The table at address @at with @signature; its sum is right. */
static const uint8_t *table(const uint8_t *all, uint64_t place, uint64_t at, const char *signature)
{
	const uint8_t *t = all + (at - place);

	assert_memory_equal(t, signature, 4);
	if (strcmp(signature, "FACS"))
		assert_int_equal(sum(t, get(t + 4, 4)), 0);
	return t;
}

static void check_all(const uint8_t *rsdp, const uint8_t *all, uint64_t place)
{
	const uint8_t *rsdt, *xsdt, *fadt;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_memory_equal(rsdp + 9, "RINGSD\2", 7);
	assert_int_equal(get(rsdp + 20, 4), 36);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	rsdt = table(all, place, get(rsdp + 16, 4), "RSDT");
	xsdt = table(all, place, get(rsdp + 24, 8), "XSDT");
	assert_int_equal(get(rsdt + 36, 4), get(xsdt + 36, 8));
	assert_int_equal(get(rsdt + 40, 4), get(xsdt + 44, 8));
	fadt = table(all, place, get(rsdt + 36, 4), "FACP");
	table(all, place, get(rsdt + 40, 4), "APIC");
	table(all, place, get(fadt + 36, 4), "FACS");
	table(all, place, get(fadt + 40, 4), "DSDT");
	assert_int_equal(get(fadt + 40, 4), get(fadt + 140, 8));
	assert_int_equal(get(fadt + 36, 4) % 64, 0);
}

static void tables_are_found_and_their_sums_are_right(void **state)
{
	uint8_t all[8192];

	(void)state;
	assert_true(acpi_write(&machine, PLACE, all, sizeof(all)) > 0);
	check_all(all, all, PLACE);
}

static void every_processor_is_named(void **state)
{
	uint8_t all[8192];
	const uint8_t *rsdt, *madt;
	unsigned cpus = 0;

	(void)state;
	assert_true(acpi_write(&machine, PLACE, all, sizeof(all)) > 0);
	rsdt = all + (get(all + 16, 4) - PLACE);
	madt = all + (get(rsdt + 40, 4) - PLACE);
	for (uint64_t at = 44; at < get(madt + 4, 4); at += madt[at + 1]) {
		assert_true(madt[at + 1] >= 2);
		if (madt[at] == 0)
			assert_int_equal(madt[at + 3], cpus++);
	}
	assert_int_equal(cpus, 3);
}

/* All of the MADT behind its header, as ACPI 6.5, 5.2.12 has it. */
static void interrupts_are_described_byte_by_byte(void **state)
{
	static const uint8_t want[] = {
		0, 0,  0xe0, 0xfe, 1,  0, 0,	0,		     /* local APIC, 8259s */
		0, 8,  0,    0,	   1,  0, 0,	0,		     /* three processors */
		0, 8,  1,    1,	   1,  0, 0,	0,		     /* ... */
		0, 8,  2,    2,	   1,  0, 0,	0,		     /* ... */
		1, 12, 0,    0,	   0,  0, 0xc0, 0xfe, 0,    0, 0, 0, /* I/O APIC from GSI 0 on */
		2, 10, 0,    0,	   2,  0, 0,	0,    0,    0,	     /* the timer comes on 2 */
		2, 10, 0,    9,	   9,  0, 0,	0,    0x0d, 0,	     /* the SCI, level, high */
		2, 10, 0,    10,   10, 0, 0,	0,    0x0d, 0,	     /* PCI */
		2, 10, 0,    11,   11, 0, 0,	0,    0x0d, 0,	     /* ... */
		4, 6,  0xff, 0,	   0,  1,
	};
	uint8_t all[8192];
	const uint8_t *rsdt, *madt;

	(void)state;
	assert_true(acpi_write(&machine, PLACE, all, sizeof(all)) > 0);
	rsdt = all + (get(all + 16, 4) - PLACE);
	madt = all + (get(rsdt + 40, 4) - PLACE);
	assert_int_equal(madt[8], 4);
	assert_int_equal(get(madt + 4, 4), 36 + sizeof(want));
	assert_memory_equal(madt + 36, want, sizeof(want));
}

/* What of the FADT is not zero, by the offsets of ACPI 6.5, 5.2.9. */
static void power_is_described_where_it_is(void **state)
{
	static const struct {
		unsigned at, bytes;
		uint64_t value;
	} fields[] = {
		{8, 1, 6},
		{46, 2, 9},
		{56, 4, 0x600},
		{64, 4, 0x604},
		{76, 4, 0x608},
		{88, 1, 4},
		{89, 1, 2},
		{91, 1, 4},
		{96, 2, 0xfff},
		{98, 2, 0xfff},
		{108, 1, 0x32},
		{109, 2, 5},
		{112, 4, 0x1475},
		{116, 4, 0x01000801},
		{120, 8, 0xcf9},
		{128, 1, 6},
		{148, 4, 0x03002001},
		{152, 8, 0x600},
		{172, 4, 0x02001001},
		{176, 8, 0x604},
		{208, 4, 0x03002001},
		{212, 8, 0x608},
	};
	uint8_t all[8192], rest[276];
	const uint8_t *rsdt, *fadt, *facs;

	(void)state;
	assert_true(acpi_write(&machine, PLACE, all, sizeof(all)) > 0);
	rsdt = all + (get(all + 16, 4) - PLACE);
	fadt = all + (get(rsdt + 36, 4) - PLACE);
	facs = all + (get(fadt + 36, 4) - PLACE);
	assert_int_equal(get(fadt + 4, 4), sizeof(rest));
	assert_memory_equal(fadt + 268, "RINGSIDE", 8);
	memcpy(rest, fadt, sizeof(rest));
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		if (get(fadt + fields[i].at, fields[i].bytes) != fields[i].value)
			fail_msg("at %u stands 0x%" PRIx64, fields[i].at,
				 get(fadt + fields[i].at, fields[i].bytes));
		memset(rest + fields[i].at, 0, fields[i].bytes);
	}
	memset(rest + 36, 0, 8);  /* FACS, DSDT */
	memset(rest + 140, 0, 8); /* DSDT */
	for (unsigned i = 36; i < 268; i++)
		assert_int_equal(rest[i], 0);
	assert_int_equal(get(facs + 4, 4), 64);
	for (unsigned i = 8; i < 64; i++)
		assert_int_equal(facs[i], i == 32 ? 2 : 0);
}

static void has(const uint8_t *dsdt, const char *what, const void *bytes, size_t n)
{
	if (!memmem(dsdt, get(dsdt + 4, 4), bytes, n))
		fail_msg("the DSDT has not %s", what);
}

/* What a guest must find to use the main bus, in AML as ACPI 6.5, 20.2 and 6.4 have it. */
static void the_main_bus_is_described(void **state)
{
	static const uint8_t bridge[] = {
		8,    '_',  'C',  'R',	'S',  0x11, 0x49, 0x05, 0x0b, 0x54, 0x00, /* 84 bytes */
		0x88, 0x0d, 0x00, 2,	0x0c, 0,    0,	  0,	0,    0,    0xff, 0,	0,    0,
		0,    1,    0x47, 1,	0xf8, 0x0c, 0xf8, 0x0c, 1,    8,    0x88, 0x0d, 0x00, 1,
		0x0c, 3,    0,	  0,	0,    0,    0xf7, 0x0c, 0,    0,    0xf8, 0x0c, 0x88, 0x0d,
		0x00, 1,    0x0c, 3,	0,    0,    0,	  0x0d, 0xff, 0xff, 0,	  0,	0,    0xf3,
		0x87, 0x17, 0x00, 0,	0x0c, 1,    0,	  0,	0,    0,    0,	  0,	0,    0xc0,
		0xff, 0xff, 0xbf, 0xfe, 0,    0,    0,	  0,	0,    0,    0xc0, 0x3e, 0x79, 0x00,
	};
	static const uint8_t com1[] = {0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x22, 0x10, 0, 0x79, 0};
	static const uint8_t rtc[] = {0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x22, 0, 1, 0x79, 0};
	static const uint8_t ids[][14] = {
		{8, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03, 8, '_', 'A', 'D'},
		{8, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01, 8, '_', 'U', 'I'},
		{8, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0b, 0x00, 8, '_', 'U', 'I'},
	};
	static const uint8_t isa[] = {'I', 'S', 'A', '_', 8, '_', 'A', 'D', 'R', 0x0c, 0, 0, 1, 0};
	/* Slot 0 pin A: the fourth line; slot 2 pin C: the second one again, and so on. */
	static const uint8_t routes[][12] = {
		{4, 0x0b, 0xff, 0xff, 0, 0, 0x0a, 11, 0x12},
		{4, 0x0b, 0xff, 0xff, 1, 0, 0x0a, 10, 0x12},
		{4, 0x0c, 0xff, 0xff, 2, 0, 0, 0, 0x0a, 10, 0x12},
		{4, 0x0c, 0xff, 0xff, 2, 0, 1, 0, 0x0a, 11, 0x12},
		{4, 0x0c, 0xff, 0xff, 31, 0, 0x0a, 2, 0, 0x0a, 10, 0x12},
	};
	static const uint8_t lengths[] = {9, 9, 11, 11, 12};
	static const uint8_t off[] = {8, '\\', '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0};
	uint8_t all[8192];
	const uint8_t *rsdt, *fadt, *dsdt;

	(void)state;
	assert_true(acpi_write(&machine, PLACE, all, sizeof(all)) > 0);
	rsdt = all + (get(all + 16, 4) - PLACE);
	fadt = all + (get(rsdt + 36, 4) - PLACE);
	dsdt = all + (get(fadt + 40, 4) - PLACE);
	assert_int_equal(dsdt[8], 2);
	assert_memory_equal(dsdt + 10, "RINGSDRINGSIDE\1\0\0\0RING\1\0\0\0", 26);
	has(dsdt, "the bridge's windows", bridge, sizeof(bridge));
	has(dsdt, "the serial port", com1, sizeof(com1));
	has(dsdt, "the clock", rtc, sizeof(rtc));
	has(dsdt, "the ISA bridge", isa, sizeof(isa));
	has(dsdt, "power-off", off, sizeof(off));
	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
		has(dsdt, "a name", ids[i], sizeof(ids[i]));
	for (unsigned i = 0; i < ARRAY_SIZE(routes); i++)
		has(dsdt, "a route", routes[i], lengths[i]);
}

static void a_small_place_is_said(void **state)
{
	uint8_t all[8192];
	int n;

	(void)state;
	n = acpi_write(&machine, PLACE, all, sizeof(all));
	for (size_t max = 0; max < (size_t)n; max += 7)
		assert_int_equal(acpi_write(&machine, PLACE, all, max), -ENOSPC);
	assert_int_equal(acpi_write(&machine, PLACE, all, (size_t)n), n);
}

/* ---- the loader's commands, carried out ---- */

struct loaded {
	const char *name;
	uint8_t *data;
	uint64_t place;
};

static struct loaded *loaded(struct loaded *files, const uint8_t *name)
{
	for (unsigned i = 0; i < 2; i++)
		if (!strcmp(files[i].name, (const char *)name))
			return &files[i];
	fail_msg("no file %s", name);
	return NULL;
}

static void the_firmwares_loader_moves_them(void **state)
{
	struct loaded files[] = {{.name = "etc/acpi/tables", .place = 0x3ff0000},
				 {.name = "etc/acpi/rsdp", .place = 0xf5000}};
	const struct fw_cfg_file *script = NULL;
	struct sysbus bus;
	struct fw_cfg f;

	(void)state;
	sysbus_init(&bus, NULL);
	fw_cfg_init(&f, &bus, 3);
	assert_int_equal(acpi_link(&machine, &f), 0);
	for (unsigned i = 0; i < f.n_files; i++) {
		if (!strcmp(f.files[i].name, "etc/table-loader"))
			script = &f.files[i];
		for (unsigned j = 0; j < 2; j++)
			if (!strcmp(f.files[i].name, files[j].name))
				files[j].data = f.files[i].data;
	}
	assert_non_null(script);
	for (size_t at = 0; at < script->size; at += 128) {
		const uint8_t *c = script->data + at;
		struct loaded *file = loaded(files, c + 4);
		uint64_t v;

		switch (get(c, 4)) {
		case 2:
			v = get(file->data + get(c + 116, 4), c[120]);
			v += loaded(files, c + 60)->place;
			for (unsigned i = 0; i < c[120]; i++)
				file->data[get(c + 116, 4) + i] = (uint8_t)(v >> i * 8);
			break;
		case 3:
			v = sum(file->data + get(c + 64, 4), get(c + 68, 4));
			file->data[get(c + 60, 4)] = (uint8_t)(file->data[get(c + 60, 4)] - v);
			break;
		case 1: /* before all others: room where it can be found */
			assert_true(at < 256);
			assert_int_equal(get(c + 60, 4), at ? 16 : 64);
			assert_int_equal(c[64], at ? 2 : 1);
			assert_ptr_equal(file, &files[at ? 1 : 0]);
			break;
		default:
			fail_msg("no such command");
		}
	}
	check_all(files[1].data, files[0].data, files[0].place);
	fw_cfg_fini(&f);
}

/* ---- AML ---- */

static void a_length_takes_as_many_bytes_as_it_needs(void **state)
{
	static const struct {
		size_t body;
		uint8_t code[3];
		unsigned n;
	} cases[] = {
		{0, {1}, 1},
		{62, {63}, 1},
		{63, {0x41, 0x04}, 2},
		{4093, {0x4f, 0xff}, 2},
		{4094, {0x81, 0x00, 0x01}, 3},
	};
	static uint8_t buffer[8192];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct aml a = {.at = buffer, .max = sizeof(buffer)};
		size_t mark = aml_begin(&a);

		for (size_t j = 0; j < cases[i].body; j++)
			aml_byte(&a, 0xee);
		aml_end(&a, mark);
		assert_false(a.full);
		assert_int_equal(a.n, cases[i].n + cases[i].body);
		assert_memory_equal(buffer, cases[i].code, cases[i].n);
	}
}

static void the_disassembler_reads_the_dsdt(void **state)
{
	char folder[] = "/tmp/ringside-acpi-XXXXXX", command[256], name[64];
	uint8_t all[8192];
	const uint8_t *rsdt, *fadt, *dsdt;
	FILE *file;

	(void)state;
	if (system("command -v iasl >/dev/null 2>&1"))
		skip();
	assert_true(acpi_write(&machine, PLACE, all, sizeof(all)) > 0);
	rsdt = all + (get(all + 16, 4) - PLACE);
	fadt = all + (get(rsdt + 36, 4) - PLACE);
	dsdt = all + (get(fadt + 40, 4) - PLACE);
	assert_non_null(mkdtemp(folder));
	snprintf(name, sizeof(name), "%s/dsdt.aml", folder);
	file = fopen(name, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(dsdt, get(dsdt + 4, 4), 1, file), 1);
	fclose(file);
	snprintf(command, sizeof(command),
		 "cd %s && iasl -d dsdt.aml >log 2>&1 && grep -q '_PRT' dsdt.dsl && "
		 "grep -q 'PNP0501' dsdt.dsl && iasl dsdt.dsl >>log 2>&1",
		 folder);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_found_and_their_sums_are_right),
		cmocka_unit_test(every_processor_is_named),
		cmocka_unit_test(interrupts_are_described_byte_by_byte),
		cmocka_unit_test(power_is_described_where_it_is),
		cmocka_unit_test(the_main_bus_is_described),
		cmocka_unit_test(a_small_place_is_said),
		cmocka_unit_test(the_firmwares_loader_moves_them),
		cmocka_unit_test(a_length_takes_as_many_bytes_as_it_needs),
		cmocka_unit_test(the_disassembler_reads_the_dsdt),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
