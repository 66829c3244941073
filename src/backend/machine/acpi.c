/* SPDX-License-Identifier: MIT */
#include "backend/machine/acpi.h"

#include "backend/machine/aml.h"
#include "backend/machine/power.h"
#include "base/endian.h"

#include <errno.h>
#include <string.h>

#define OEM	  "RINGSD"
#define TABLE_OEM "RINGSIDE"
#define ALIGNMENT 16

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	le32 rsdt;
	le32 length;
	le64 xsdt;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 2.0 and later");

struct acpi_header {
	char signature[4];
	le32 length;
	uint8_t revision;
	uint8_t checksum;
	char oem[6];
	char oem_table[8];
	le32 oem_revision;
	char creator[4];
	le32 creator_revision;
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_header) == 36, "");

struct acpi_address {
	uint8_t space; /* 1: port */
	uint8_t bits;
	uint8_t offset;
	uint8_t access;
	le64 address;
} __attribute__((packed));

struct acpi_fadt {
	struct acpi_header header;
	le32 facs, dsdt;
	uint8_t reserved0, profile;
	le16 sci;
	le32 smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	le32 pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
	uint8_t gpe0_length, gpe1_length, gpe1_base, cst;
	le16 c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	le16 boot_arch;
	uint8_t reserved1;
	le32 flags;
	struct acpi_address reset;
	uint8_t reset_value;
	le16 arm_boot_arch;
	uint8_t minor;
	le64 x_facs, x_dsdt;
	struct acpi_address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control;
	struct acpi_address x_pm2_control, x_pm_timer, x_gpe0, x_gpe1;
	struct acpi_address sleep_control, sleep_status;
	uint8_t hypervisor[8];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_fadt) == 276, "ACPI 6");

#define FADT_WBINVD	     (1u << 0)
#define FADT_PROC_C1	     (1u << 2)
#define FADT_NO_POWER_BUTTON (1u << 4)
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_FIX_RTC_ABSENT  (1u << 6)
#define FADT_RESET	     (1u << 10)
#define FADT_HEADLESS	     (1u << 12)

#define BOOT_ARCH_LEGACY     (1u << 0)
#define BOOT_ARCH_NO_VGA     (1u << 2)

/* A table under way: its header is at `header` in the buffer. */
struct table {
	struct aml *a;
	size_t header;
};

static struct table table_begin(struct aml *a, const char *signature, uint8_t revision)
{
	struct acpi_header h = {.revision = revision, .oem_revision = le32_make(1)};
	struct table t = {.a = a};

	while (a->n % ALIGNMENT && !a->full)
		aml_byte(a, 0);
	t.header = a->n;
	memcpy(h.signature, signature, 4);
	memcpy(h.oem, OEM, sizeof(h.oem));
	memcpy(h.oem_table, TABLE_OEM, sizeof(h.oem_table));
	memcpy(h.creator, "RING", 4);
	h.creator_revision = le32_make(1);
	aml_bytes(a, &h, sizeof(h));
	return t;
}

/* Returns where in the buffer the table is. */
static size_t table_end(struct table *t)
{
	le32 length = le32_make((uint32_t)(t->a->n - t->header));
	uint8_t *p = t->a->at + t->header;

	if (t->a->full)
		return 0;
	memcpy(p + offsetof(struct acpi_header, length), &length, sizeof(length));
	p[offsetof(struct acpi_header, checksum)] = aml_checksum(p, le32_get(length));
	return t->header;
}

/* ---- DSDT ---- */

static void add_routing(struct aml *a)
{
	size_t all, one;

	aml_name(a, "_PRT");
	all = aml_package(a, ACPI_PCI_SLOTS * 4);
	for (unsigned slot = 0; slot < ACPI_PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < 4; pin++) {
			one = aml_package(a, 4);
			aml_integer(a, (uint64_t)slot << 16 | 0xffff);
			aml_integer(a, pin);
			aml_integer(a, 0);
			aml_integer(a, ACPI_PIRQ_IRQ((slot + pin + 3) % 4));
			aml_end(a, one);
		}
	}
	aml_end(a, all);
}

static void add_isa_device(struct aml *a, const char *name, const char *id, unsigned uid,
			   uint16_t port, uint8_t length, unsigned irq)
{
	size_t device = aml_device(a, name);
	struct aml_resources r;

	aml_name_eisa(a, "_HID", id);
	aml_name_integer(a, "_UID", uid);
	aml_crs_begin(a, &r);
	aml_crs_io(a, port, length);
	aml_crs_irq(a, irq);
	aml_crs_end(a, &r);
	aml_end(a, device);
}

static size_t add_dsdt(struct aml *a, const struct acpi_machine *machine)
{
	struct table t = table_begin(a, "DSDT", 2);
	size_t scope, pci, isa, sleep;
	struct aml_resources r;

	scope = aml_scope(a, "\\_SB_");
	pci = aml_device(a, "PCI0");
	aml_name_eisa(a, "_HID", "PNP0A03");
	aml_name_integer(a, "_ADR", 0);
	aml_name_integer(a, "_UID", 0);
	aml_crs_begin(a, &r);
	aml_crs_bus_numbers(a, 0, 0xff);
	aml_crs_io(a, 0xcf8, 8);
	aml_crs_io_window(a, 0, 0xcf7);
	aml_crs_io_window(a, 0xd00, 0xffff);
	aml_crs_memory_window(a, machine->pci_hole, machine->pci_hole_end - 1);
	aml_crs_end(a, &r);
	add_routing(a);
	isa = aml_device(a, "ISA_");
	aml_name_integer(a, "_ADR", 0x00010000);
	add_isa_device(a, "COM1", "PNP0501", 1, 0x3f8, 8, 4);
	add_isa_device(a, "RTC_", "PNP0B00", 0, 0x70, 2, 8);
	aml_end(a, isa);
	aml_end(a, pci);
	aml_end(a, scope);
	/* Sleep type 0 of both control registers is power-off, as QEMU's board has it. */
	aml_name(a, "\\_S5_");
	sleep = aml_package(a, 4);
	for (unsigned i = 0; i < 4; i++)
		aml_integer(a, 0);
	aml_end(a, sleep);
	return table_end(&t);
}

/* ---- the others ---- */

static void add_override(struct aml *a, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	aml_byte(a, 2);
	aml_byte(a, 10);
	aml_byte(a, 0); /* ISA */
	aml_byte(a, irq);
	aml_le(a, gsi, 4);
	aml_le(a, flags, 2);
}

#define ACTIVE_HIGH_LEVEL 0x000d

static size_t add_madt(struct aml *a, const struct acpi_machine *machine)
{
	struct table t = table_begin(a, "APIC", 4);

	aml_le(a, ACPI_LOCAL_APIC, 4);
	aml_le(a, 1, 4); /* there are 8259s too */
	for (unsigned i = 0; i < machine->cpus; i++) {
		aml_byte(a, 0);
		aml_byte(a, 8);
		aml_byte(a, (uint8_t)i);
		aml_byte(a, (uint8_t)i);
		aml_le(a, 1, 4); /* enabled */
	}
	aml_byte(a, 1);
	aml_byte(a, 12);
	aml_byte(a, 0); /* its number */
	aml_byte(a, 0);
	aml_le(a, ACPI_IO_APIC, 4);
	aml_le(a, 0, 4); /* its first GSI */
	add_override(a, 0, 2, 0);
	add_override(a, POWER_SCI, POWER_SCI, ACTIVE_HIGH_LEVEL);
	add_override(a, 10, 10, ACTIVE_HIGH_LEVEL);
	add_override(a, 11, 11, ACTIVE_HIGH_LEVEL);
	aml_byte(a, 4); /* LINT1 of every processor is the NMI */
	aml_byte(a, 6);
	aml_byte(a, 0xff);
	aml_le(a, 0, 2);
	aml_byte(a, 1);
	return table_end(&t);
}

static size_t add_facs(struct aml *a)
{
	size_t at;

	while (a->n % 64 && !a->full)
		aml_byte(a, 0);
	at = a->n;
	aml_bytes(a, "FACS", 4);
	aml_le(a, 64, 4);
	for (unsigned i = 8; i < 64; i++)
		aml_byte(a, i == 32 ? 2 : 0);
	return at;
}

static struct acpi_address port(uint64_t address, uint8_t bytes)
{
	return (struct acpi_address){
		.space = 1,
		.bits = (uint8_t)(bytes * 8),
		.access = bytes == 1   ? 1
			  : bytes == 2 ? 2
				       : 3,
		.address = le64_make(address),
	};
}

static size_t add_fadt(struct aml *a, uint64_t facs, uint64_t dsdt)
{
	struct table t = table_begin(a, "FACP", 6);
	struct acpi_fadt f = {
		.facs = le32_make((uint32_t)facs),
		.dsdt = le32_make((uint32_t)dsdt),
		.sci = le16_make(POWER_SCI),
		.pm1a_event = le32_make(POWER_PM1_EVENT),
		.pm1a_control = le32_make(POWER_PM1_CONTROL),
		.pm_timer = le32_make(POWER_PM_TIMER),
		.pm1_event_length = 4,
		.pm1_control_length = 2,
		.pm_timer_length = 4,
		.c2_latency = le16_make(0xfff), /* no C2 nor C3 */
		.c3_latency = le16_make(0xfff),
		.century = 0x32,
		.boot_arch = le16_make(BOOT_ARCH_LEGACY | BOOT_ARCH_NO_VGA),
		.flags = le32_make(FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON |
				   FADT_NO_SLEEP_BUTTON | FADT_FIX_RTC_ABSENT | FADT_RESET |
				   FADT_HEADLESS),
		.reset = port(POWER_RESET, 1),
		.reset_value = POWER_RESET_VALUE,
		.x_dsdt = le64_make(dsdt),
		.x_pm1a_event = port(POWER_PM1_EVENT, 4),
		.x_pm1a_control = port(POWER_PM1_CONTROL, 2),
		.x_pm_timer = port(POWER_PM_TIMER, 4),
		.hypervisor = {'R', 'I', 'N', 'G', 'S', 'I', 'D', 'E'},
	};

	aml_bytes(a, (uint8_t *)&f + sizeof(f.header), sizeof(f) - sizeof(f.header));
	return table_end(&t);
}

static size_t add_root(struct aml *a, const char *signature, unsigned width, uint64_t gpa,
		       size_t fadt, size_t madt)
{
	struct table t = table_begin(a, signature, 1);

	aml_le(a, gpa + fadt, width);
	aml_le(a, gpa + madt, width);
	return table_end(&t);
}

int acpi_write(const struct acpi_machine *machine, uint64_t gpa, uint8_t *at, size_t max)
{
	struct acpi_rsdp rsdp = {.revision = 2, .length = le32_make(sizeof(rsdp))};
	struct aml a = {.at = at, .max = max};
	size_t facs, dsdt, fadt, madt;

	aml_bytes(&a, &rsdp, sizeof(rsdp));
	facs = add_facs(&a);
	dsdt = add_dsdt(&a, machine);
	fadt = add_fadt(&a, gpa + facs, gpa + dsdt);
	madt = add_madt(&a, machine);
	rsdp.rsdt = le32_make((uint32_t)(gpa + add_root(&a, "RSDT", 4, gpa, fadt, madt)));
	rsdp.xsdt = le64_make(gpa + add_root(&a, "XSDT", 8, gpa, fadt, madt));
	if (a.full)
		return -ENOSPC;
	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	memcpy(rsdp.oem, OEM, sizeof(rsdp.oem));
	rsdp.checksum = aml_checksum(&rsdp, 20);
	rsdp.extended_checksum = aml_checksum(&rsdp, sizeof(rsdp));
	memcpy(at, &rsdp, sizeof(rsdp));
	return (int)a.n;
}
