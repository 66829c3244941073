/* SPDX-License-Identifier: MIT */
#include "backend/machine/scsi_disks.h"

#include "backend/lsi/lsi.h"
#include "backend/machine/pc.h"

#include <stdio.h>

static int add_card(struct pc *pc, struct error *err)
{
	const struct lsi_options o = {
		.path = "pc/pci.0/scsi",
		.devfn = -1,
		.lock = &pc->vm.lock,
		.poll_us = pc->poll_us,
	};

	return pc->scsi ? 0
			: lsi_create(&pc->scsi, &o, pc->home, &pc->host.bus, pc->memory.map, err);
}

int pc_add_scsi_disk(struct pc *pc, const struct disk_spec *spec, struct error *err)
{
	struct scsi_disk_options o = {.serial = spec->serial, .wce = spec->wce};
	struct scsi_disk_threads threads;
	struct scsi_disk *disk;
	struct storage *storage;
	char path[32];
	int rc = add_card(pc, err), id;

	if (rc)
		return rc;
	id = lsi_free_id(pc->scsi);
	if (id < 0)
		return error_set(err, id, "%s: the SCSI bus is full", spec->file);
	snprintf(path, sizeof(path), "pc/pci.0/scsi/disk%d", id);
	o.path = path;
	rc = storage_open(&spec->storage, &storage, err);
	if (rc)
		return rc;
	threads = lsi_threads(pc->scsi);
	rc = scsi_disk_create(&disk, &o, storage, &threads, err);
	if (rc) {
		storage_close(&storage);
		return rc;
	}
	return lsi_add_disk(pc->scsi, (unsigned)id, disk, err);
}

void pc_scsi_refresh(struct pc *pc)
{
	for (unsigned i = 0; pc->scsi && i < SPI_IDS; i++)
		if (pc->scsi->bus.disks[i])
			scsi_disk_refresh(pc->scsi->bus.disks[i]);
}

void pc_scsi_destroy(struct pc *pc)
{
	if (!pc->scsi)
		return;
	pthread_mutex_lock(&pc->vm.lock);
	lsi_stop(pc->scsi);
	pthread_mutex_unlock(&pc->vm.lock);
	while (!lsi_quiet(pc->scsi))
		pc_turn(pc);
	lsi_destroy(&pc->scsi);
}
