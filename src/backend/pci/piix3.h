/* SPDX-License-Identifier: MIT */
/*
 * The PIIX3 ISA bridge, function 00:01.0: leads the PCI slots' pins to interrupt lines.
 *
 *      slot, pin -> PIRQ (slot + pin - 1) mod 4 -> register 0x60 + PIRQ: the line, or bit 7: none
 *
 * Several pins share a line: it is high while any of them is.  The registers begin with what PC
 * firmware usually writes there (10, 10, 11, 11), so that a kernel booted without firmware finds
 * its interrupts routed.
 *
 * It knows the host bridge, which does not know it: the bus's pins are led by two functions that it
 * puts there.
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_PCI_PIIX3_H
#define BACKEND_PCI_PIIX3_H

#include "backend/pci/host.h"

#define PIIX3_PIRQ	0x60 /* four registers */
#define PIIX3_PIRQS	4u
#define PIIX3_PIRQ_NONE 0x80u

struct piix3 {
	struct pci_function fn;
	struct pci_host *host;
	/* Which slots hold it up, one bit each: a slot reaches each PIRQ by one pin only. */
	uint32_t pins[PIIX3_PIRQS];
	uint16_t lines; /* levels that the interrupt controller was told */
};

/* Attaches itself to @host's bus at 00:01.0 and takes its pins. */
int piix3_init(struct piix3 *piix3, struct pci_host *host, struct error *err);
void piix3_fini(struct piix3 *piix3);
/* The line that a slot's pin leads to now, -1: none.  For the tables that tell a kernel. */
int piix3_line(const struct piix3 *piix3, unsigned slot, unsigned pin);

#endif
