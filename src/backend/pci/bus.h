/* SPDX-License-Identifier: MIT */
/*
 * A PCI bus: 32 slots of 8 functions, below a host bridge.
 *
 * bus.c, function.c, msix.c and call.c call each other; there is no direction between them.  A
 * configuration write reaches a function through the bus, and the pin that it changes goes back to
 * the bus, which asks the slot's other functions; a mask in the MSI-X table changes how calls are
 * routed, and a call that cannot be sent becomes pending in the table.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_BUS_H
#define BACKEND_PCI_BUS_H

#include "backend/pci/function.h"

struct pci_bus {
	const char *name; /* "pci.0" */
	struct sysbus *sysbus;
	struct pci_function *functions[PCI_DEVFNS];
	/*
	 * A slot's pin (0: INTA#) changes its level.  Set by the ISA bridge; NULL: the pins lead
	 * nowhere.
	 */
	void (*intx)(struct pci_bus *bus, unsigned slot, unsigned pin, bool level);
	/* The line that a slot's pin leads to, -1: none.  Likewise. */
	int (*line)(const struct pci_bus *bus, unsigned slot, unsigned pin);
};

void pci_bus_init(struct pci_bus *bus, const char *name, struct sysbus *sysbus);

/*
 * @devfn: where, or -1: function 0 of the first empty slot.  Its description is complete.  -EBUSY:
 * taken; -EINVAL; -ENOSPC: no slot is empty.
 */
int pci_bus_attach(struct pci_bus *bus, struct pci_function *fn, int devfn, struct error *err);
/* Unmaps it, lowers its pin.  Harmless when not attached. */
void pci_bus_detach(struct pci_function *fn);

/* Configuration accesses; all ones where nobody is. */
uint32_t pci_bus_config_read(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size);
void pci_bus_config_write(struct pci_bus *bus, unsigned devfn, unsigned offset, uint32_t value,
			  unsigned size);

/* For the host bridge: pins lead to other lines now. */
void pci_bus_lines_moved(struct pci_bus *bus);

/*
 * For a bus of one card, without a host bridge: its pins are the host's lines, INTA# is line 0.
 */
void pci_bus_wire_straight(struct pci_bus *bus);

#endif
