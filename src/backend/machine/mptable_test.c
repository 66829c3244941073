/* SPDX-License-Identifier: MIT */
/* The MultiProcessor table, read as a kernel reads it (MultiProcessor Specification 1.4). */
#include "test.h"

#include "backend/machine/memory.h"
#include "backend/machine/mptable.h"
#include "backend/machine/table_test.h"

#include <errno.h>
#include <string.h>

static const struct acpi_machine machine = {
	.cpus = 3, .pci_hole = PC_PCI_HOLE, .pci_hole_end = PC_PCI_HOLE_END};

/* What a kernel finds: the pointer on a 16-byte boundary, by its signature and sum. */
static const uint8_t *find(uint8_t *all, const struct acpi_machine *m)
{
	const uint8_t *table;

	assert_true(mptable_write(m, PC_MPTABLE, all, PC_MPTABLE_SIZE) > 0);
	assert_memory_equal(all, "_MP_", 4);
	assert_int_equal(all[8], 1);
	assert_int_equal(all[9], 4);
	assert_int_equal(sum(all, 16), 0);
	/* A configuration of its own, no IMCR. */
	assert_int_equal(all[11], 0);
	assert_int_equal(all[12], 0);
	table = all + (get(all + 4, 4) - PC_MPTABLE);
	assert_memory_equal(table, "PCMP", 4);
	assert_int_equal(table[6], 4);
	assert_int_equal(sum(table, get(table + 4, 2)), 0);
	assert_int_equal(get(table + 36, 4), 0xfee00000);
	return table;
}

/* The next entry, after @e (NULL: the first), of a type; NULL: none.  Types come in ascending order. */
static const uint8_t *next(const uint8_t *table, const uint8_t *e, unsigned type)
{
	const uint8_t *end = table + get(table + 4, 2);
	const uint8_t *at = table + 44;
	uint64_t left = get(table + 34, 2);
	unsigned last = 0;
	bool passed = !e;

	for (; left; left--) {
		assert_true(at < end && *at <= 4 && *at >= last);
		last = *at;
		if (passed && *at == type)
			return at;
		passed |= at == e;
		at += *at ? 8 : 20;
	}
	assert_ptr_equal(at, end);
	return NULL;
}

static void every_processor_is_named(void **state)
{
	static uint8_t all[PC_MPTABLE_SIZE];
	const uint8_t *table = find(all, &machine);
	unsigned n = 0;

	(void)state;
	for (const uint8_t *p = next(table, NULL, 0); p; p = next(table, p, 0), n++) {
		assert_int_equal(p[1], n);
		assert_int_equal(p[3], n ? 1 : 3);
	}
	assert_int_equal(n, machine.cpus);
	table = find(all, &(struct acpi_machine){.cpus = 64});
	for (const uint8_t *p = next(table, NULL, 0); p; p = next(table, p, 0))
		n++;
	assert_int_equal(n, 3 + 64);
}

/* What leads to input @input of the I/O APIC from @source of a bus; its flags. */
static unsigned routed(const uint8_t *table, unsigned bus, unsigned source, unsigned *input)
{
	unsigned found = 0, flags = 0;

	for (const uint8_t *i = next(table, NULL, 3); i; i = next(table, i, 3)) {
		if (i[4] != bus || i[5] != source)
			continue;
		found++;
		assert_int_equal(i[1], 0);
		assert_int_equal(i[6], 0);
		*input = i[7];
		flags = (unsigned)get(i + 2, 2);
	}
	assert_int_equal(found, 1);
	return flags;
}

static void interrupts_go_where_acpi_says(void **state)
{
	static uint8_t all[PC_MPTABLE_SIZE];
	const uint8_t *table = find(all, &machine), *bus = next(table, NULL, 1), *apic;
	unsigned input;

	(void)state;
	assert_memory_equal(bus + 1, "\0PCI   ", 7);
	bus = next(table, bus, 1);
	assert_memory_equal(bus + 1, "\1ISA   ", 7);
	apic = next(table, NULL, 2);
	assert_int_equal(apic[3], 1);
	assert_int_equal(get(apic + 4, 4), 0xfec00000);
	for (unsigned slot = 0; slot < 32; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			assert_int_equal(routed(table, 0, slot << 2 | pin, &input), 0xd);
			assert_int_equal(input, ACPI_PIRQ_IRQ((slot + pin + 3) % 4));
		}
	}
	assert_int_equal(routed(table, 1, 0, &input), 0);
	assert_int_equal(input, 2);
	for (unsigned irq = 3; irq < 16; irq++) {
		unsigned flags = routed(table, 1, irq, &input);

		assert_int_equal(input, irq);
		assert_int_equal(flags, irq >= 9 && irq <= 11 ? 0xd : 0);
	}
}

/* Virtual wire mode: the 8259s come by LINT0, the NMI by LINT1. */
static void local_inputs(void **state)
{
	static uint8_t all[PC_MPTABLE_SIZE];
	const uint8_t *table = find(all, &machine), *i = next(table, NULL, 4);

	(void)state;
	assert_int_equal(i[1], 3);
	assert_int_equal(i[7], 0);
	i = next(table, i, 4);
	assert_int_equal(i[1], 1);
	assert_int_equal(i[6], 0xff);
	assert_int_equal(i[7], 1);
	assert_null(next(table, i, 4));
}

static void a_small_place_is_said(void **state)
{
	static uint8_t all[PC_MPTABLE_SIZE];
	int n = mptable_write(&machine, PC_MPTABLE, all, sizeof(all));

	(void)state;
	for (size_t max = 0; max < (size_t)n; max += 7)
		assert_int_equal(mptable_write(&machine, PC_MPTABLE, all, max), -ENOSPC);
	assert_int_equal(mptable_write(&machine, PC_MPTABLE, all, (size_t)n), n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_processor_is_named),
		cmocka_unit_test(interrupts_go_where_acpi_says),
		cmocka_unit_test(local_inputs),
		cmocka_unit_test(a_small_place_is_said),
	};

	return cmocka_run_group_tests_name("mptable", tests, NULL, NULL);
}
