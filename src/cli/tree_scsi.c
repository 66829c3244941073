/* SPDX-License-Identifier: MIT */
#include "backend/lsi/lsi.h"
#include "cli/tree.h"

#include <inttypes.h>
#include <stdio.h>

static void add_disk(json_t *bus, unsigned id, const struct scsi_disk *disk, const char *file)
{
	json_t *device;
	char at[16];

	snprintf(at, sizeof(at), "id %u", id);
	device = tree_node(bus, at, "scsi-disk");
	tree_property(device, "path", "%s", disk->path);
	tree_property(device, "file", "%s", file);
	tree_property(device, "serial", "%s", disk->serial);
	tree_property(device, "blocks", "%" PRIu64, disk->blocks);
	tree_property(device, "block-size", "%u", disk->block_size);
	if (disk->stats.commands)
		tree_property(device, "commands", "%" PRIu64, disk->stats.commands);
	tree_storage(device, disk->storage);
}

void tree_scsi(json_t *card, const struct lsi *lsi, const struct pc_options *o)
{
	json_t *bus = tree_node(card, NULL, "scsi-bus");
	unsigned n = 0;

	/* Disks get their IDs in the order of the command line. */
	for (unsigned id = 0; id < SPI_IDS; id++)
		if (lsi->bus.disks[id])
			add_disk(bus, id, lsi->bus.disks[id], o->scsi[n++].file);
}
