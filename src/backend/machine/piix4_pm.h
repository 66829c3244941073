/* SPDX-License-Identifier: MIT */
/*
 * The PIIX4 ACPI power management function, 00:01.3: says where its registers are, which is
 * fixed (see power.h).
 *
 * Firmware is told that system management mode is set up already: there is none.
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_MACHINE_PIIX4_PM_H
#define BACKEND_MACHINE_PIIX4_PM_H

#include "backend/pci/bus.h"

struct piix4_pm {
	struct pci_function fn;
};

int piix4_pm_init(struct piix4_pm *pm, struct pci_bus *bus, struct error *err);
/* Harmless when zeroed. */
void piix4_pm_fini(struct piix4_pm *pm);

#endif
