/* SPDX-License-Identifier: MIT */
#include "backend/machine/piix4_pm.h"

#include "backend/machine/power.h"

#define PM_BASE	     0x40
#define PM_BASE_IO   1u
#define DEVACTB	     0x58
#define DEVACTB_APMC (1u << 25)
#define PM_ENABLE    0x80
#define PM_ENABLE_IO 1u

static const struct pci_function_ops piix4_pm_ops = {0};

int piix4_pm_init(struct piix4_pm *pm, struct pci_bus *bus, struct error *err)
{
	static const struct pci_identity id = {
		.vendor = 0x8086,
		.device = 0x7113,
		.revision = 3,
		.class_code = 0x068000,
	};

	pci_function_init(&pm->fn, "PIIX4 ACPI PM", &piix4_pm_ops, &id);
	pci_function_put32(&pm->fn, PM_BASE, POWER_PM_BASE | PM_BASE_IO);
	pci_function_put32(&pm->fn, DEVACTB, DEVACTB_APMC);
	pm->fn.config[PM_ENABLE] = PM_ENABLE_IO;
	return pci_bus_attach(bus, &pm->fn, PCI_DEVFN(1, 3), err);
}

void piix4_pm_fini(struct piix4_pm *pm)
{
	if (pm->fn.name) {
		pci_bus_detach(&pm->fn);
		pci_function_fini(&pm->fn);
	}
}
