/* SPDX-License-Identifier: MIT */
#include "backend/board/virtio_blk_pci.h"

#include <errno.h>
#include <stdlib.h>

#define CLASS_MASS_STORAGE 0x010000

int virtio_blk_pci_create(struct virtio_blk_pci **out, const struct virtio_blk_pci_options *o,
			  struct storage *storage, const struct virtio_blk_pci_threads *threads,
			  struct pci_bus *bus, struct gmem *mem, struct error *err)
{
	struct virtio_pci_options board = o->board;
	struct virtio_blk_pci *disk = calloc(1, sizeof(*disk));
	int rc;

	if (!disk) {
		storage_close(&storage);
		return error_set(err, -ENOMEM, "%s: cannot set up the disk", o->blk.path);
	}
	if (!board.name)
		board.name = "virtio-blk-pci";
	if (!board.class_code)
		board.class_code = CLASS_MASS_STORAGE;
	rc = virtio_blk_create(&disk->blk, &o->blk, storage, threads->home, threads->workers,
			       threads->n_workers, threads->first_worker, err);
	if (rc) {
		storage_close(&storage);
		free(disk);
		return rc;
	}
	virtio_pci_init(&disk->board, &board, threads->home);
	rc = virtio_bus_attach(&disk->board.bus, &disk->blk->vdev, err);
	if (rc)
		goto destroy;
	virtio_pci_set_mem(&disk->board, mem);
	rc = pci_bus_attach(bus, &disk->board.fn, o->devfn, err);
	if (rc)
		goto destroy;
	*out = disk;
	return 0;
destroy:
	virtio_blk_pci_destroy(&disk);
	return rc;
}

static void board_stopped(struct virtio_pci *board)
{
	struct virtio_blk_pci *disk = container_of(board, struct virtio_blk_pci, board);

	disk->stopped(disk);
}

void virtio_blk_pci_stop(struct virtio_blk_pci *disk, void (*stopped)(struct virtio_blk_pci *disk))
{
	disk->stopped = stopped;
	virtio_pci_stop(&disk->board, board_stopped);
}

void virtio_blk_pci_destroy(struct virtio_blk_pci **diskp)
{
	struct virtio_blk_pci *disk = *diskp;

	if (!disk)
		return;
	virtio_pci_fini(&disk->board);
	virtio_blk_destroy(&disk->blk);
	free(disk);
	*diskp = NULL;
}
