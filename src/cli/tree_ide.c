/* SPDX-License-Identifier: MIT */
#include "cli/tree.h"

#include <inttypes.h>

/* Which transfers the driver asked for; the disk does the others too. */
static const char *mode_kind(uint8_t mode)
{
	switch (mode >> 3) {
	case ATA_MODE_MULTIWORD:
		return "multiword DMA";
	case ATA_MODE_ULTRA:
		return "ultra DMA";
	default:
		return NULL;
	}
}

static void add_disk(json_t *channel, const struct ide_drive *d, const struct disk_spec *spec)
{
	json_t *disk = tree_node(channel, NULL, "disk");

	tree_property(disk, "path", "%s", d->path);
	tree_property(disk, "file", "%s", spec->file);
	tree_property(disk, "serial", "%.*s", (int)sizeof(d->serial), d->serial);
	tree_property(disk, "sectors", "%" PRIu64, d->sectors);
	if (mode_kind(d->mode))
		tree_property(disk, "mode", "%s %u", mode_kind(d->mode), d->mode & 7);
	if (d->standby)
		tree_property(disk, "power", "standby");
	tree_storage(disk, d->storage);
}

void tree_ide(json_t *function, const struct piix3_ide *ide, const struct disk_spec *specs)
{
	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++) {
		const struct ide_channel *ch = &ide->channels[i];
		json_t *channel = tree_node(function, NULL, ch->name);

		tree_property(channel, "ports", "0x%" PRIx64 "-0x%" PRIx64 " 0x%" PRIx64,
			      ch->command.base, ch->command.base + ch->command.size - 1,
			      ch->control.base);
		tree_property(channel, "irq", "%u", ch->irq);
		for (unsigned unit = 0; unit < IDE_DRIVES; unit++)
			if (ide_drive_present(&ch->drives[unit]))
				add_disk(channel, &ch->drives[unit], &specs[i * IDE_DRIVES + unit]);
	}
}
