/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk-pci: a virtio-pci board with a virtio-blk plugged into its bus, as one
 * thing to put into a slot.
 *
 *      virtio_blk_pci_create() -> pci bus
 *      virtio_blk_pci_stop() -> stopped() -> virtio_blk_pci_destroy()
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_BOARD_VIRTIO_BLK_PCI_H
#define BACKEND_BOARD_VIRTIO_BLK_PCI_H

#include "backend/blk/virtio_blk.h"
#include "backend/virtio_pci/virtio_pci.h"

struct virtio_blk_pci {
	struct virtio_pci board;
	struct virtio_blk *blk;
	void (*stopped)(struct virtio_blk_pci *disk);
};

struct virtio_blk_pci_options {
	struct virtio_pci_options board; /* name and class may be left out */
	struct virtio_blk_options blk;
	int devfn; /* -1: the first empty slot */
};

/* The threads that a device works with. */
struct virtio_blk_pci_threads {
	struct reactor *home;
	struct worker *const *workers;
	unsigned n_workers, first_worker;
};

/* On @bus, with @mem to work in.  Takes over @storage, on failure too. */
int virtio_blk_pci_create(struct virtio_blk_pci **out, const struct virtio_blk_pci_options *o,
			  struct storage *storage, const struct virtio_blk_pci_threads *threads,
			  struct pci_bus *bus, struct gmem *mem, struct error *err);
/* No vcpu runs any more.  @stopped comes from the home reactor when nothing is in flight. */
void virtio_blk_pci_stop(struct virtio_blk_pci *disk, void (*stopped)(struct virtio_blk_pci *disk));
/* Stopped.  Closes the storage.  NULLs *disk. */
void virtio_blk_pci_destroy(struct virtio_blk_pci **disk);

#endif
