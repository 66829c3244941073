/* SPDX-License-Identifier: MIT */
/*
 * How this machine reaches its PCI bus: configuration mechanism 1, the processor's own ports and
 * memory.
 */
#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include "frontend/pci/pcidev.h"

extern struct pci_access guest_pci;

/* Gives BARs an address that we can reach where they have none, or one beyond 4 GiB. */
int guest_pci_assign(struct pcidev *dev);

#endif
