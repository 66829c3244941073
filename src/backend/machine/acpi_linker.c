/* SPDX-License-Identifier: MIT */
#include "backend/machine/acpi_linker.h"

#include "base/endian.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLES	     "etc/acpi/tables"
#define RSDP	     "etc/acpi/rsdp"
#define TABLES_MAX   0x10000
#define COMMANDS_MAX 32

enum {
	LINK_ALLOCATE = 1,
	LINK_POINTER = 2,
	LINK_CHECKSUM = 3,
	ZONE_HIGH = 1,
	ZONE_FSEG = 2,
};

struct link_command {
	le32 what;
	union {
		struct {
			char file[FW_CFG_NAME];
			le32 align;
			uint8_t zone;
		} __attribute__((packed)) allocate;
		struct {
			char file[FW_CFG_NAME];
			char target[FW_CFG_NAME];
			le32 offset;
			uint8_t size;
		} __attribute__((packed)) pointer;
		struct {
			char file[FW_CFG_NAME];
			le32 offset;
			le32 start;
			le32 length;
		} __attribute__((packed)) checksum;
		uint8_t room[124];
	};
} __attribute__((packed));
_Static_assert(sizeof(struct link_command) == 128, "as the loader reads it");

struct linker {
	struct link_command commands[COMMANDS_MAX];
	unsigned n;
};

static struct link_command *command(struct linker *l, uint32_t what)
{
	struct link_command *c = &l->commands[l->n++];

	c->what = le32_make(what);
	return c;
}

static void allocate(struct linker *l, const char *file, uint32_t align, uint8_t zone)
{
	struct link_command *c = command(l, LINK_ALLOCATE);

	strcpy(c->allocate.file, file);
	c->allocate.align = le32_make(align);
	c->allocate.zone = zone;
}

/* What stands at @offset of @file is an offset into the tables: it becomes an address. */
static void pointer(struct linker *l, const char *file, size_t offset, uint8_t size)
{
	struct link_command *c = command(l, LINK_POINTER);

	strcpy(c->pointer.file, file);
	strcpy(c->pointer.target, TABLES);
	c->pointer.offset = le32_make((uint32_t)offset);
	c->pointer.size = size;
}

static void checksum(struct linker *l, const char *file, size_t start, size_t length, size_t at)
{
	struct link_command *c = command(l, LINK_CHECKSUM);

	strcpy(c->checksum.file, file);
	c->checksum.offset = le32_make((uint32_t)(start + at));
	c->checksum.start = le32_make((uint32_t)start);
	c->checksum.length = le32_make((uint32_t)length);
}

#define HEADER_LENGTH	4
#define HEADER_CHECKSUM 9
#define HEADER_SIZE	36
#define RSDP_SIZE	36
#define RSDP_RSDT	16
#define RSDP_XSDT	24
#define FADT_FACS	36
#define FADT_DSDT	40
#define FADT_X_DSDT	140

static void root(struct linker *l, const uint8_t *tables, uint32_t at, uint8_t width)
{
	uint32_t length = le32_at(tables + at + HEADER_LENGTH);

	for (uint32_t i = HEADER_SIZE; i < length; i += width)
		pointer(l, TABLES, at + i, width);
	checksum(l, TABLES, at, length, HEADER_CHECKSUM);
}

static void link_all(struct linker *l, const uint8_t *tables)
{
	uint32_t rsdt = le32_at(tables + RSDP_RSDT), xsdt = le32_at(tables + RSDP_XSDT);
	uint32_t fadt = le32_at(tables + rsdt + HEADER_SIZE);

	allocate(l, TABLES, 64, ZONE_HIGH);
	allocate(l, RSDP, 16, ZONE_FSEG);
	pointer(l, TABLES, fadt + FADT_FACS, 4);
	pointer(l, TABLES, fadt + FADT_DSDT, 4);
	pointer(l, TABLES, fadt + FADT_X_DSDT, 8);
	checksum(l, TABLES, fadt, le32_at(tables + fadt + HEADER_LENGTH), HEADER_CHECKSUM);
	root(l, tables, rsdt, 4);
	root(l, tables, xsdt, 8);
	pointer(l, RSDP, RSDP_RSDT, 4);
	pointer(l, RSDP, RSDP_XSDT, 8);
	checksum(l, RSDP, 0, 20, 8);
	checksum(l, RSDP, 0, RSDP_SIZE, 32);
}

int acpi_link(const struct acpi_machine *machine, struct fw_cfg *fw_cfg)
{
	struct linker *l = calloc(1, sizeof(*l));
	uint8_t *tables = calloc(1, TABLES_MAX);
	int n = -ENOMEM, rc;

	if (l && tables)
		n = acpi_write(machine, 0, tables, TABLES_MAX);
	rc = n < 0 ? n : 0;
	if (!rc) {
		link_all(l, tables);
		rc = fw_cfg_set_file(fw_cfg, TABLES, tables, (size_t)n);
	}
	if (!rc)
		rc = fw_cfg_set_file(fw_cfg, RSDP, tables, RSDP_SIZE);
	if (!rc)
		rc = fw_cfg_set_file(fw_cfg, "etc/table-loader", l->commands,
				     l->n * sizeof(l->commands[0]));
	free(tables);
	free(l);
	return rc;
}
