/* SPDX-License-Identifier: MIT */
/*
 * The i440FX host bridge: the only way between the system bus and the PCI bus.  Configuration
 * mechanism 1 at ports 0xcf8 and 0xcfc (PCI Local Bus 3.0, 3.2.2.3.2); function 00:00.0, whose PAM
 * and SMRAM registers hold what firmware writes and do nothing: all memory is RAM.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_HOST_H
#define BACKEND_PCI_HOST_H

#include "backend/pci/bus.h"

struct pci_host {
	struct pci_bus bus;
	struct pci_function bridge;
	struct pci_function *isa; /* the ISA bridge, which attaches itself; NULL: none */
	struct sysbus_region address, data;
	uint32_t selected; /* what was written to 0xcf8 */
};

void pci_host_init(struct pci_host *host, struct sysbus *sysbus);
/* The bus is empty but for the bridge and the ISA bridge, which go too. */
void pci_host_fini(struct pci_host *host);
/* As the reset line does, for the chipset: the two bridges, and the selected address. */
void pci_host_reset(struct pci_host *host);

#endif
