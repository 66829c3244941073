/* SPDX-License-Identifier: MIT */
#include "backend/machine/mptable.h"

#include "backend/machine/aml.h"
#include "backend/machine/power.h"
#include "base/endian.h"

#include <errno.h>
#include <string.h>

struct mp_pointer {
	char signature[4];
	le32 table;
	uint8_t length; /* in 16 bytes */
	uint8_t revision;
	uint8_t checksum;
	uint8_t features[5]; /* all 0: there is a table, and no way out of virtual wire mode */
} __attribute__((packed));
_Static_assert(sizeof(struct mp_pointer) == 16, "4.1");

struct mp_table {
	char signature[4];
	le16 length;
	uint8_t revision;
	uint8_t checksum;
	char oem[8];
	char product[12];
	le32 oem_table;
	le16 oem_table_size;
	le16 entries;
	le32 local_apic;
	le16 extended_length;
	uint8_t extended_checksum;
	uint8_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct mp_table) == 44, "4.2");

#define REVISION_1_4 4

enum mp_entry {
	MP_PROCESSOR,
	MP_BUS,
	MP_IO_APIC,
	MP_IO_INTERRUPT,
	MP_LOCAL_INTERRUPT,
};

#define PROCESSOR_ENABLED (1u << 0)
#define PROCESSOR_BOOTS	  (1u << 1)
#define APIC_ENABLED	  (1u << 0)
#define APIC_VERSION	  0x14
#define IO_APIC_VERSION	  0x11

/* What CPUID 1 says of a Pentium Pro with an APIC: nobody takes it from here who has CPUID. */
#define SIGNATURE 0x600
#define FEATURES  0x201

enum {
	BUS_PCI,
	BUS_ISA,
};

enum mp_interrupt {
	MP_INT = 0,
	MP_NMI = 1,
	MP_EXTINT = 3,
};

#define AS_THE_BUS_HAS_IT 0
#define ACTIVE_HIGH_LEVEL 0x000d
#define ALL_APICS	  0xff

static void add_processor(struct aml *a, unsigned id)
{
	aml_byte(a, MP_PROCESSOR);
	aml_byte(a, (uint8_t)id);
	aml_byte(a, APIC_VERSION);
	aml_byte(a, PROCESSOR_ENABLED | (id ? 0 : PROCESSOR_BOOTS));
	aml_le(a, SIGNATURE, 4);
	aml_le(a, FEATURES, 4);
	aml_le(a, 0, 8);
}

static void add_bus(struct aml *a, uint8_t id, const char *name)
{
	aml_byte(a, MP_BUS);
	aml_byte(a, id);
	aml_bytes(a, name, 6);
}

static void add_io_apic(struct aml *a)
{
	aml_byte(a, MP_IO_APIC);
	aml_byte(a, 0);
	aml_byte(a, IO_APIC_VERSION);
	aml_byte(a, APIC_ENABLED);
	aml_le(a, ACPI_IO_APIC, 4);
}

static void add_interrupt(struct aml *a, enum mp_entry entry, enum mp_interrupt type,
			  unsigned flags, unsigned bus, unsigned source, unsigned apic,
			  unsigned input)
{
	aml_byte(a, (uint8_t)entry);
	aml_byte(a, (uint8_t)type);
	aml_le(a, flags, 2);
	aml_byte(a, (uint8_t)bus);
	aml_byte(a, (uint8_t)source);
	aml_byte(a, (uint8_t)apic);
	aml_byte(a, (uint8_t)input);
}

/* The lines that PCI pins lead to are level-triggered, whatever bus names them. */
static bool is_level(unsigned irq)
{
	return irq == POWER_SCI || irq == ACPI_PIRQ_IRQ(0) || irq == ACPI_PIRQ_IRQ(2);
}

static unsigned add_interrupts(struct aml *a)
{
	unsigned n = 0;

	for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++)
		for (unsigned pin = 0; pin < 4; pin++, n++)
			add_interrupt(a, MP_IO_INTERRUPT, MP_INT, ACTIVE_HIGH_LEVEL, BUS_PCI,
				      slot << 2 | pin, 0, ACPI_PIRQ_IRQ((slot + pin + 3) % 4));
	for (unsigned irq = 0; irq < 16; irq++) {
		/* The second 8259 is behind IRQ 2; the timer has its place at the I/O APIC. */
		if (irq == 2)
			continue;
		add_interrupt(a, MP_IO_INTERRUPT, MP_INT,
			      is_level(irq) ? ACTIVE_HIGH_LEVEL : AS_THE_BUS_HAS_IT, BUS_ISA, irq,
			      0, irq ? irq : 2);
		n++;
	}
	add_interrupt(a, MP_LOCAL_INTERRUPT, MP_EXTINT, AS_THE_BUS_HAS_IT, BUS_ISA, 0, ALL_APICS,
		      0);
	add_interrupt(a, MP_LOCAL_INTERRUPT, MP_NMI, AS_THE_BUS_HAS_IT, BUS_ISA, 0, ALL_APICS, 1);
	return n + 2;
}

int mptable_write(const struct acpi_machine *machine, uint32_t gpa, uint8_t *at, size_t max)
{
	struct mp_pointer pointer = {
		.table = le32_make(gpa + (uint32_t)sizeof(pointer)),
		.length = 1,
		.revision = REVISION_1_4,
	};
	struct mp_table table = {
		.revision = REVISION_1_4,
		.local_apic = le32_make(ACPI_LOCAL_APIC),
	};
	struct aml a = {.at = at, .max = max};
	unsigned entries = machine->cpus + 3;

	memcpy(pointer.signature, "_MP_", sizeof(pointer.signature));
	pointer.checksum = aml_checksum(&pointer, sizeof(pointer));
	memcpy(table.signature, "PCMP", sizeof(table.signature));
	memcpy(table.oem, "RINGSIDE", sizeof(table.oem));
	memcpy(table.product, "PC          ", sizeof(table.product));
	aml_bytes(&a, &pointer, sizeof(pointer));
	aml_bytes(&a, &table, sizeof(table));
	for (unsigned i = 0; i < machine->cpus; i++)
		add_processor(&a, i);
	add_bus(&a, BUS_PCI, "PCI   ");
	add_bus(&a, BUS_ISA, "ISA   ");
	add_io_apic(&a);
	entries += add_interrupts(&a);
	if (a.full)
		return -ENOSPC;
	table.length = le16_make((uint16_t)(a.n - sizeof(pointer)));
	table.entries = le16_make((uint16_t)entries);
	memcpy(at + sizeof(pointer), &table, sizeof(table));
	at[sizeof(pointer) + offsetof(struct mp_table, checksum)] = aml_checksum(
		at + sizeof(pointer), a.n - sizeof(pointer));
	return (int)a.n;
}
