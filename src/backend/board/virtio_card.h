/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk-pci, virtio-net-pci: a virtio-pci board with a virtio device plugged into its bus, as
 * one card for a backplane.
 *
 *      struct virtio_card
 *        card         in its slot on the backplane
 *        board        a PCI function with a virtio bus
 *          vdev       the device, whatever its type
 *
 * It needs a PCI bus and the guest's memory, and no chipset: its configuration space and BARs are
 * reached by pci_function_config_read(), pci_bar_read() and their like, too.
 *
 * Threads: the backplane's.
 */
#ifndef BACKEND_BOARD_VIRTIO_CARD_H
#define BACKEND_BOARD_VIRTIO_CARD_H

#include "backend/sysbus/backplane.h"
#include "backend/virtio_pci/virtio_pci.h"

struct virtio_card {
	struct card card;
	struct virtio_pci board;
	struct virtio_device *vdev; /* ours */
};

/* Where it stands. */
struct virtio_card_place {
	struct backplane *plane;
	struct pci_bus *bus;
	int devfn; /* -1: the first empty slot */
	struct gmem *mem;
};

/*
 * Takes over @vdev, whose home is the backplane's, on failure too.  The board's name and class may
 * be left out.  From then on the card is the backplane's, which destroys it.
 */
int virtio_card_create(struct virtio_card **out, struct virtio_device *vdev,
		       const struct virtio_pci_options *board,
		       const struct virtio_card_place *place, struct error *err);

/* NULL: another kind of card. */
struct virtio_card *virtio_card_of(struct card *card);

#endif
