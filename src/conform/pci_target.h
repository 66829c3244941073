/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk board on PCI, as the suite is given it: how its registers are reached, memory that
 * it reaches, and where its interrupts can be seen.  Who has such a board (a machine in this
 * process, VFIO) fills this in.
 *
 * Threads: all is called on the suite's thread; the device may work on others.
 */
#ifndef CONFORM_PCI_TARGET_H
#define CONFORM_PCI_TARGET_H

#include "frontend/virtio_pci/transport.h"

struct pci_target;

/* What not every place can do; all optional. */
struct pci_target_ops {
	/* The level of the function's interrupt pin. */
	bool (*pin)(struct pci_target *t);
	/* The device's configuration changes, and it says so. */
	void (*change)(struct pci_target *t);
};

struct pci_target {
	const struct pci_target_ops *ops;
	struct pci_access *access;
	unsigned bdf;
	/*
	 * vector(), which is called with an fd for each vector and each time replaces the one
	 * before; without it there are no MSI-X cases.  Nothing else of it is used.
	 */
	struct vpci_platform *platform;
	/*
	 * Memory of at least PEER_MEM bytes, and the address that the device knows it under.  What
	 * lies behind it is no memory.
	 */
	void *memory;
	uint64_t memory_at, memory_size;
	/* The masks of vectors, and the pending bits, are the board's own. */
	bool masks;
	/* Where BARs are put, each time anew; both empty: they stay where they are. */
	struct pcidev_window ports, bars;
};

static inline bool pci_target_moves_bars(const struct pci_target *t)
{
	return t->bars.end > t->bars.at;
}

#endif
