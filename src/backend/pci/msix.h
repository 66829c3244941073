/* SPDX-License-Identifier: MIT */
/*
 * MSI-X of a PCI function: table, pending bits, masks (PCI Local Bus 3.0, 6.8.2), and the calls that go through it.
 *
 * A call (struct pci_call) is an eventfd that the device's worker signals.  Where it leads is decided here, anew with every change of a mask
 * or a table entry:
 *
 *      MSI-X off               the home reactor watches it        -> the device's pin()
 *      no vector               nobody listens; what came is thrown away when somebody does again
 *      vector, masked          watched                            -> pending bit
 *      vector, the host can    an irqfd: no exit, no thread of ours
 *      vector, else            watched                            -> sysbus_host_ops.msi_send()
 *
 * Without bus mastering a function sends no messages: that counts as masked.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_MSIX_H
#define BACKEND_PCI_MSIX_H

#include "base/error.h"
#include "base/list.h"
#include "base/reactor.h"

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
	struct list calls;
	uint64_t sent; /* messages sent by us rather than by an irqfd */
	bool no_irqfd; /* do without, though the host could */

	/* As last looked at: */
	bool enabled;
	bool silent; /* no vector can be sent: function mask, or no bus mastering */
};

/* Before attach: BAR @bar holds a table of @n vectors and its pending bits.  -EINVAL, -ENOMEM, -ENOSPC. */
int pci_msix_init(struct pci_function *fn, unsigned bar, unsigned n, struct error *err);
void pci_msix_fini(struct pci_function *fn);
/* Everything masked, nothing pending, off. */
void pci_msix_reset(struct pci_function *fn);
/* For pci/: the control word or bus mastering may have changed. */
void pci_msix_update(struct pci_function *fn);

/* Sends vector @vector, or notes it as pending; nothing while MSI-X is off or for a vector that there is not. */
void pci_msix_notify(struct pci_function *fn, unsigned vector);

enum pci_call_way {
	PCI_CALL_NOWHERE,
	PCI_CALL_WATCHED,
	PCI_CALL_IRQFD,
};

struct pci_call {
	struct pci_function *fn;
	struct reactor *home;
	int fd; /* the caller's; in non-blocking mode */
	unsigned vector;
	/* MSI-X is off and the call was signalled. */
	void (*pin)(struct pci_call *call);
	enum pci_call_way way;
	int irqfd;		    /* the host's handle */
	struct pci_msix_entry sent; /* the message that the irqfd sends */
	bool stale;		    /* what came while nobody listened is still in the fd */
	struct reactor_watch watch;
	struct list link;
};

/* 0, or -errno when the fd cannot be watched. */
int pci_call_init(struct pci_call *call, struct pci_function *fn, struct reactor *home, int fd,
		  void (*pin)(struct pci_call *call));
/* The fd may be closed then. */
void pci_call_fini(struct pci_call *call);
/* PCI_MSIX_NO_VECTOR: to none. */
void pci_call_set_vector(struct pci_call *call, unsigned vector);
/* Looks now at what its watch would come for. */
void pci_call_look(struct pci_call *call);

#endif
