/* SPDX-License-Identifier: MIT */
/*
 * The state of a PCI function, for a function of the same shape in another program: configuration
 * space, MSI-X, the pin.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_STATE_H
#define BACKEND_PCI_STATE_H

#include "backend/pci/function.h"
#include "base/pack.h"

struct pci_state {
	uint8_t config[PCI_CONFIG_BYTES];
	bool intx;
	unsigned n_vectors;
	struct pci_msix_entry entries[PCI_MSIX_VECTORS_MAX];
};

/* Looks at what calls have signalled first, so that it is among the pending bits. */
void pci_state_save(struct pci_function *fn, struct pack *p);
/* What is there; whether it is whole the caller asks of @u, whether it can be pci_state_check(). */
void pci_state_read(struct pci_state *s, struct unpack *u);
/* 0, or -EINVAL: it is another function's. */
int pci_state_check(const struct pci_function *fn, const struct pci_state *s, struct error *err);
/* Checked.  The device is not told. */
void pci_state_apply(struct pci_function *fn, const struct pci_state *s);

#endif
