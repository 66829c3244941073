/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables: sums, pointers, the firmware's loader; and what ACPICA's disassembler makes of them
 * where it is installed.
 */
#include "test.h"

#include "backend/machine/acpi_linker.h"
#include "backend/machine/aml.h"
#include "base/bits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACE 0xe0000

static const struct acpi_machine machine = {
	.cpus = 3, .pci_hole = 0xc0000000, .pci_hole_end = 0xfec00000};

static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << i * 8;
	return v;
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

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
		default:
			assert_int_equal(get(c, 4), 1);
		}
	}
	check_all(files[1].data, files[0].data, files[0].place);
	fw_cfg_fini(&f);
}

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
		cmocka_unit_test(a_small_place_is_said),
		cmocka_unit_test(the_firmwares_loader_moves_them),
		cmocka_unit_test(the_firmware_reads_files_by_their_names),
		cmocka_unit_test(a_length_takes_as_many_bytes_as_it_needs),
		cmocka_unit_test(the_disassembler_reads_the_dsdt),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
