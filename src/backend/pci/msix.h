/* SPDX-License-Identifier: MIT */
/*
 * MSI-X of a PCI function: table, pending bits, masks (PCI Local Bus 3.0, 6.8.2).  Calls, which go
 * through it, are led by call.h.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_MSIX_H
#define BACKEND_PCI_MSIX_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct pci_function;

#define PCI_MSIX_NO_VECTOR 0xffffu

struct pci_msix_entry {
	uint32_t word[4]; /* address low, high, data, control */
	bool pending;
};

struct pci_msix {
	unsigned n; /* entries, 0: the function has no MSI-X */
	unsigned cap;
	struct pci_msix_entry *entries;
	uint64_t sent; /* messages sent by us rather than by an irqfd */

	/* As last looked at: */
	bool enabled;
	bool silent; /* no vector can be sent: function mask, or no bus mastering */
};

/*
 * Before attach: BAR @bar holds a table of @n vectors and its pending bits.  -EINVAL, -ENOMEM,
 * -ENOSPC.
 */
int pci_msix_init(struct pci_function *fn, unsigned bar, unsigned n, struct error *err);
void pci_msix_fini(struct pci_function *fn);
/* Everything masked, nothing pending, off. */
void pci_msix_reset(struct pci_function *fn);
/* For pci/: the control word or bus mastering may have changed. */
void pci_msix_update(struct pci_function *fn);

/*
 * Sends vector @vector, or notes it as pending; nothing while MSI-X is off or for a vector that
 * there is not.
 */
void pci_msix_notify(struct pci_function *fn, unsigned vector);

/* ---- for pci/ ---- */

/* Whether a message of this entry goes out now. */
bool pci_msix_can_send(const struct pci_function *fn, const struct pci_msix_entry *e);
/* The host's eventfd of a vector; -1: it has none, or knows no vectors. */
int pci_msix_vector_fd(const struct pci_function *fn, unsigned vector);
/* What waits for that vector goes out, if it can now. */
void pci_msix_send_pending(struct pci_function *fn, unsigned vector);
static inline uint64_t pci_msix_address(const struct pci_msix_entry *e)
{
	return (uint64_t)e->word[1] << 32 | e->word[0];
}

#endif
