/* SPDX-License-Identifier: MIT */
/* Disks on the IDE function, which comes with the first of them. */
#include "backend/machine/pc.h"

#include <errno.h>
#include <stdio.h>

/* How a BIOS shall fold cylinders for its old calls: two bits for each disk. */
#define CMOS_TRANSLATION 0x39
#define TRANSLATION_LBA	 1
#define CYLINDERS_OLD	 1024

static void tell_bios(struct pc *pc, unsigned n)
{
	if (piix3_ide_drive(pc->ide, n)->natural.cylinders > CYLINDERS_OLD)
		pc->rtc.cmos[CMOS_TRANSLATION] |= (uint8_t)(TRANSLATION_LBA << (2 * n));
}

int pc_add_ide(struct pc *pc, const struct disk_spec *spec, struct error *err)
{
	struct ide_drive_options o = {.serial = spec->serial, .write_through = !spec->wce};
	struct storage *storage;
	char path[32];
	int rc = 0;

	if (!pc->ide)
		rc = piix3_ide_create(&pc->ide, &pc->host.bus, pc->memory.map, &pc->vm.lock,
				      pc->poll_us, err);
	if (!rc)
		rc = storage_open(&spec->storage, &storage, err);
	if (rc)
		return rc;
	snprintf(path, sizeof(path), "pc/ide.%u/disk%u", pc->ide->n_disks / IDE_DRIVES % 10,
		 pc->ide->n_disks % IDE_DRIVES);
	o.path = path;
	rc = piix3_ide_add(pc->ide, &o, storage, err);
	if (rc)
		storage_close(&storage);
	else
		tell_bios(pc, pc->ide->n_disks - 1);
	return rc;
}

size_t pc_ide_boot_order(const struct pc *pc, char *text, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; pc->ide && i < pc->ide->n_disks; i++)
		n += (size_t)snprintf(text + n, size - n, "/pci@i0cf8/ide@1,1/drive@%x/disk@%x\n",
				      i / IDE_DRIVES, i % IDE_DRIVES);
	return n;
}
