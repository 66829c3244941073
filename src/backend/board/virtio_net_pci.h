/* SPDX-License-Identifier: MIT */
/*
 * virtio-net-pci: a virtio-pci board with a virtio-net plugged into its bus, as one
 * thing to put into a slot.
 *
 *      virtio_net_pci_create() -> pci bus
 *      virtio_net_pci_stop() -> stopped() -> virtio_net_pci_destroy()
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_BOARD_VIRTIO_NET_PCI_H
#define BACKEND_BOARD_VIRTIO_NET_PCI_H

#include "backend/net/virtio_net.h"
#include "backend/virtio_pci/virtio_pci.h"

struct virtio_net_pci {
	struct virtio_pci board;
	struct virtio_net *net;
	void (*stopped)(struct virtio_net_pci *card);
};

struct virtio_net_pci_options {
	struct virtio_pci_options board; /* name and class may be left out */
	struct virtio_net_options net;
	int devfn; /* -1: the first empty slot */
	struct reactor *home;
	struct worker *const *workers;
	unsigned n_workers, first_worker;
};

/* On @bus, with @mem to work in.  Takes over @link, on failure too. */
int virtio_net_pci_create(struct virtio_net_pci **out, const struct virtio_net_pci_options *o,
			  struct net_link *link, struct pci_bus *bus, struct gmem *mem,
			  struct error *err);
/* No vcpu runs any more.  @stopped comes from the home reactor when nothing is in flight. */
void virtio_net_pci_stop(struct virtio_net_pci *card, void (*stopped)(struct virtio_net_pci *card));
/* Stopped.  Closes the link.  NULLs *card. */
void virtio_net_pci_destroy(struct virtio_net_pci **card);

#endif
