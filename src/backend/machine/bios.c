/* SPDX-License-Identifier: MIT */
/*
 * Boot through firmware: its image at the top of the first 4 GiB, read-only, with a copy
 * of its last 128 KiB below 1 MiB, where the host bridge would have shadowed it; and
 * what it asks fw_cfg for.
 */
#include "backend/machine/acpi_linker.h"
#include "backend/machine/pc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define SHADOW	    0xe0000
#define SHADOW_SIZE 0x20000
#define BIOS_MIN    0x10000
#define BIOS_MAX    0x1000000

int pc_bios_read(struct pc *pc, const char *name, struct error *err)
{
	const struct boot_file *bios = &pc->bios;
	int rc = boot_file_read(&pc->bios, name, err);

	if (rc)
		return rc;
	if (bios->size < BIOS_MIN || bios->size > BIOS_MAX || bios->size % BIOS_MIN)
		return error_set(err, -EINVAL,
				 "%s is not a firmware image: it has %zu bytes, not a multiple of "
				 "64 KiB up to 16 MiB.",
				 bios->name, bios->size);
	return 0;
}

int pc_bios_map(struct pc *pc, struct error *err)
{
	const struct boot_file *bios = &pc->bios;
	void *rom;

	rom = mmap(NULL, bios->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rom == MAP_FAILED)
		return error_set(err, -errno, "cannot get memory for %s", bios->name);
	pc->rom = rom;
	memcpy(rom, bios->data, bios->size);
	return kvm_vm_add_memory(&pc->vm, PC_HIGH - bios->size, bios->size, rom, true, err);
}

static int set_memory(struct pc *pc)
{
	struct e820_entry list[2] = {
		{le64_make(0), le64_make(pc->memory.low), le32_make(E820_RAM)},
		{le64_make(PC_HIGH), le64_make(pc->memory.size - pc->memory.low),
		 le32_make(E820_RAM)},
	};
	size_t n = pc->memory.size > pc->memory.low ? 2 : 1;

	return fw_cfg_set_file(&pc->fw_cfg, "etc/e820", list, n * sizeof(list[0]));
}

static int set_boot_order(struct pc *pc)
{
	char text[(PCI_DEVFNS + PIIX3_IDE_DISKS_MAX) * 40] = "";
	size_t n = pc_boot_order(pc, text, sizeof(text));

	return fw_cfg_set_file(&pc->fw_cfg, "bootorder", text, n + 1);
}

int pc_bios_start(struct pc *pc, const struct acpi_machine *machine, struct kvm_start *start,
		  struct error *err)
{
	const le16 serial_console = le16_make(0x3f8);
	size_t shadow = pc->bios.size < SHADOW_SIZE ? pc->bios.size : SHADOW_SIZE;
	uint8_t *to = pc_memory_at(&pc->memory, SHADOW, SHADOW_SIZE);
	int rc;

	memcpy(to + SHADOW_SIZE - shadow, pc->bios.data + pc->bios.size - shadow, shadow);
	*start = (struct kvm_start){.mode = KVM_START_RESET};
	rc = set_memory(pc);
	if (!rc)
		rc = set_boot_order(pc);
	if (!rc)
		rc = fw_cfg_set_file(&pc->fw_cfg, "etc/sercon-port", &serial_console,
				     sizeof(serial_console));
	if (!rc)
		rc = acpi_link(machine, &pc->fw_cfg);
	return rc ? error_set(err, rc, "cannot prepare what the firmware asks for") : 0;
}

void pc_bios_unmap(struct pc *pc)
{
	if (pc->rom)
		munmap(pc->rom, pc->bios.size);
	pc->rom = NULL;
	boot_file_free(&pc->bios);
}
