/* SPDX-License-Identifier: MIT */
#include "backend/machine/pc.h"
#include "backend/machine/scsi_disks.h"
#include "base/clock.h"
#include "disk/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_NS NSEC_PER_SEC

/* ---- workers ---- */

int pc_workers_create(struct pc *pc, const struct pc_config *config, struct error *err)
{
	pc->workers = calloc(config->workers, sizeof(pc->workers[0]));
	if (!pc->workers)
		return error_set(err, -ENOMEM, "cannot create %u workers", config->workers);
	for (; pc->n_workers < config->workers; pc->n_workers++) {
		char name[16];
		struct worker_config w = {
			.name = name,
			.reactor = {.uring = true, .poll_us = config->poll_us},
			.cpu = -1,
		};
		int rc;

		/* What the first found not to work is not tried again, and is said once. */
		if (pc->n_workers)
			w.reactor.uring = reactor_is_uring(worker_reactor(pc->workers[0]));
		snprintf(name, sizeof(name), "worker%u", pc->n_workers % 1000);
		rc = worker_create(&pc->workers[pc->n_workers], &w, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- disks ---- */

int pc_add_disk(struct pc *pc, const struct disk_spec *spec, const struct virtio_pci_options *board,
		struct error *err)
{
	struct virtio_blk_pci_threads threads = {
		.home = pc->home,
		.workers = pc->workers,
		.n_workers = pc->n_workers,
		.first_worker = pc->disk_queues % pc->n_workers,
	};
	struct virtio_blk_pci_options o = {.board = *board, .devfn = -1};
	struct pc_disk *disk = calloc(1, sizeof(*disk));
	struct storage *storage;
	unsigned n = 0;
	char path[32];
	int rc;

	if (!disk)
		return error_set(err, -ENOMEM, "cannot add %s", spec->file);
	list_for_each (l, &pc->disks)
		n++;
	snprintf(path, sizeof(path), "pc/pci.0/disk%u", n);
	o.blk = disk_blk_options(spec, path);
	rc = storage_open(&spec->storage, &storage, err);
	if (!rc)
		rc = virtio_blk_pci_create(&disk->card, &o, storage, &threads, &pc->host.bus,
					   pc->memory.map, err);
	if (rc) {
		free(disk);
		return rc;
	}
	pc->disk_queues += spec->queues;
	list_add_tail(&pc->disks, &disk->link);
	return 0;
}

static void tick_expired(struct reactor_timer *t)
{
	struct pc *pc = container_of(t, struct pc, tick);

	list_for_each (l, &pc->disks)
		virtio_blk_refresh(list_entry(l, struct pc_disk, link)->card->blk);
	pc_scsi_refresh(pc);
	reactor_timer_start(pc->home, &pc->tick, TICK_NS);
}

void pc_disks_start(struct pc *pc)
{
	if (list_empty(&pc->disks) && !pc->scsi)
		return;
	reactor_timer_init(&pc->tick, tick_expired);
	reactor_timer_start(pc->home, &pc->tick, TICK_NS);
	pc->ticking = true;
}

/* The card knows its PCI bus, and the host bridge with that bus is part of the machine. */
static void card_stopped(struct virtio_blk_pci *card)
{
	struct pci_host *host = container_of(card->board.fn.bus, struct pci_host, bus);

	container_of(host, struct pc, host)->stopping--;
}

void pc_disks_destroy(struct pc *pc)
{
	if (pc->ticking)
		reactor_timer_stop(pc->home, &pc->tick);
	pc->ticking = false;
	pc_scsi_destroy(pc);
	list_for_each (l, &pc->disks) {
		pc->stopping++;
		virtio_blk_pci_stop(list_entry(l, struct pc_disk, link)->card, card_stopped);
	}
	while (pc->stopping)
		pc_turn(pc);
	list_for_each_safe (l, &pc->disks) {
		struct pc_disk *disk = list_entry(l, struct pc_disk, link);

		list_del(&disk->link);
		virtio_blk_pci_destroy(&disk->card);
		free(disk);
	}
	for (unsigned i = 0; i < pc->n_workers; i++)
		worker_destroy(&pc->workers[i]);
	free(pc->workers);
	pc->workers = NULL;
	pc->n_workers = 0;
}
