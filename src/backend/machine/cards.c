/* SPDX-License-Identifier: MIT */
/* What is plugged into the PC: virtio cards, disks on IDE and on SCSI. */
#include "backend/lsi/lsi.h"
#include "backend/machine/pc.h"
#include "backend/net/virtio_net.h"

#include <stdio.h>

void pc_cards_destroy(struct pc *pc)
{
	backplane_remove_cards(&pc->plane);
	pc->ide = NULL;
	pc->scsi = NULL;
	disk_room_fini(&pc->room);
}

static void scsi_path(unsigned id, char path[PC_DISK_PATH])
{
	snprintf(path, PC_DISK_PATH, "pc/pci.0/scsi/disk%u", id);
}

void pc_disk_path(enum disk_kind kind, unsigned nth, char path[PC_DISK_PATH])
{
	switch (kind) {
	case DISK_VIRTIO:
		snprintf(path, PC_DISK_PATH, "pc/pci.0/disk%u", nth);
		return;
	case DISK_IDE:
		snprintf(path, PC_DISK_PATH, "pc/ide.%u/disk%u", nth / IDE_DRIVES % 10,
			 nth % IDE_DRIVES);
		return;
	case DISK_SCSI:
		/* As lsi_free_id() gives them. */
		scsi_path(nth < LSI_HOST_ID ? nth : nth + 1, path);
		return;
	}
}

/* ---- virtio ---- */

struct virtio_card *pc_virtio_card(const struct pc *pc, uint16_t id, unsigned n)
{
	list_for_each (l, &pc->plane.cards) {
		struct virtio_card *c = virtio_card_of(list_entry(l, struct card, link));

		if (c && c->vdev->cls->id == id && !n--)
			return c;
	}
	return NULL;
}

static unsigned count_virtio(const struct pc *pc, uint16_t id)
{
	unsigned n = 0;

	while (pc_virtio_card(pc, id, n))
		n++;
	return n;
}

static int add_virtio(struct pc *pc, struct virtio_device *vdev,
		      const struct virtio_pci_options *board, struct error *err)
{
	const struct virtio_card_place place = {
		.plane = &pc->plane,
		.bus = &pc->host.bus,
		.devfn = -1,
		.mem = pc->memory.map,
	};
	struct virtio_card *card;

	return virtio_card_create(&card, vdev, board, &place, err);
}

int pc_add_disk(struct pc *pc, const struct disk_spec *spec, const struct virtio_pci_options *board,
		struct error *err)
{
	struct virtio_blk *blk;
	char path[PC_DISK_PATH];
	int rc;

	pc_disk_path(DISK_VIRTIO, count_virtio(pc, VIRTIO_ID_BLOCK), path);
	rc = disk_from_spec(&pc->room, spec, path, &blk, err);
	return rc ? rc : add_virtio(pc, &blk->vdev, board, err);
}

int pc_add_net(struct pc *pc, struct net_link *link, const struct net_spec *spec,
	       const struct virtio_pci_options *board, struct error *err)
{
	struct worker_pool *pool = &pc->room.pool;
	struct virtio_net_options o;
	struct virtio_net *net;
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "pc/pci.0/net%u", count_virtio(pc, VIRTIO_ID_NET));
	o = net_spec_options(spec, path);
	rc = virtio_net_create(&net, &o, link, pc->plane.home, pool->workers, pool->n,
			       worker_pool_take(pool, 2u * spec->queues), err);
	if (rc) {
		net_link_close(&link);
		return rc;
	}
	return add_virtio(pc, &net->vdev, board, err);
}

/* ---- IDE ---- */

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
	char path[PC_DISK_PATH];
	int rc = 0;

	if (!pc->ide)
		rc = piix3_ide_create(&pc->ide, &pc->plane, &pc->host.bus, pc->memory.map,
				      pc->poll_us, err);
	if (rc)
		return rc;
	pc_disk_path(DISK_IDE, pc->ide->n_disks, path);
	o.path = path;
	rc = disk_open_storage(&pc->room, spec, path, &storage, err);
	if (rc)
		return rc;
	rc = piix3_ide_add(pc->ide, &o, storage, err);
	if (rc)
		storage_close(&storage);
	else
		tell_bios(pc, pc->ide->n_disks - 1);
	return rc;
}

/* ---- SCSI ---- */

static int add_adapter(struct pc *pc, struct error *err)
{
	const struct lsi_options o = {
		.path = "pc/pci.0/scsi",
		.devfn = -1,
		.own_worker = true,
		.poll_us = pc->poll_us,
	};

	return pc->scsi ? 0
			: lsi_create(&pc->scsi, &o, &pc->plane, &pc->host.bus, pc->memory.map, err);
}

int pc_add_scsi_disk(struct pc *pc, const struct disk_spec *spec, struct error *err)
{
	struct scsi_disk_options o = {.serial = spec->serial, .wce = spec->wce};
	struct scsi_disk_threads threads;
	struct scsi_disk *disk;
	struct storage *storage;
	char path[PC_DISK_PATH];
	int rc = add_adapter(pc, err), id;

	if (rc)
		return rc;
	id = lsi_free_id(pc->scsi);
	if (id < 0)
		return error_set(err, id, "%s: the SCSI bus is full", spec->file);
	scsi_path((unsigned)id, path);
	o.path = path;
	rc = disk_open_storage(&pc->room, spec, path, &storage, err);
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

/* ---- what firmware boots from ---- */

/* In the order of the command line, those on IDE last, in the words of Open Firmware. */
size_t pc_boot_order(const struct pc *pc, char *text, size_t size)
{
	const struct virtio_card *c;
	size_t n = 0;

	for (unsigned i = 0; (c = pc_virtio_card(pc, VIRTIO_ID_BLOCK, i)); i++)
		n += (size_t)snprintf(text + n, size - n, "/pci@i0cf8/scsi@%x/disk@0,0\n",
				      PCI_SLOT(c->board.fn.devfn));
	for (unsigned i = 0; pc->ide && i < pc->ide->n_disks; i++)
		n += (size_t)snprintf(text + n, size - n, "/pci@i0cf8/ide@1,1/drive@%x/disk@%x\n",
				      i / IDE_DRIVES, i % IDE_DRIVES);
	return n;
}
