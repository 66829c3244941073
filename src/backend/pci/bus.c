/* SPDX-License-Identifier: MIT */
#include "backend/pci/bus.h"

#include <errno.h>
#include <string.h>

void pci_bus_init(struct pci_bus *bus, const char *name, struct sysbus *sysbus)
{
	memset(bus, 0, sizeof(*bus));
	bus->name = name;
	bus->sysbus = sysbus;
}

static bool slot_is_empty(const struct pci_bus *bus, unsigned slot)
{
	for (unsigned f = 0; f < 8; f++)
		if (bus->functions[PCI_DEVFN(slot, f)])
			return false;
	return true;
}

static int first_empty(const struct pci_bus *bus)
{
	for (unsigned slot = 0; slot < 32; slot++)
		if (slot_is_empty(bus, slot))
			return (int)PCI_DEVFN(slot, 0);
	return -1;
}

int pci_bus_attach(struct pci_bus *bus, struct pci_function *fn, int devfn, struct error *err)
{
	if (fn->bus)
		return error_set(err, -EBUSY, "%s sits on %s already.", fn->name, fn->bus->name);
	if (devfn < 0) {
		devfn = first_empty(bus);
		if (devfn < 0)
			return error_set(err, -ENOSPC, "%s: %s has no empty slot.", fn->name,
					 bus->name);
	}
	if (devfn >= (int)PCI_DEVFNS)
		return error_set(err, -EINVAL, "%s: there is no such slot.", fn->name);
	if (bus->functions[devfn])
		return error_set(err, -EBUSY, "%s: %02x.%x of %s already holds a %s.", fn->name,
				 PCI_SLOT(devfn), PCI_FUNC(devfn), bus->name,
				 bus->functions[devfn]->name);
	bus->functions[devfn] = fn;
	fn->bus = bus;
	fn->devfn = (uint8_t)devfn;
	memcpy(fn->initial, fn->config, sizeof(fn->initial));
	pci_function_update_bars(fn);
	pci_calls_route(fn, NULL);
	pci_function_update_intx(fn);
	return 0;
}

void pci_bus_detach(struct pci_function *fn)
{
	struct pci_bus *bus = fn->bus;

	if (!bus)
		return;
	pci_function_quiet(fn);
	bus->functions[fn->devfn] = NULL;
	fn->bus = NULL;
}

uint32_t pci_bus_config_read(struct pci_bus *bus, unsigned devfn, unsigned offset, unsigned size)
{
	struct pci_function *fn = bus->functions[devfn % PCI_DEVFNS];

	return fn ? pci_function_config_read(fn, offset, size) : UINT32_MAX;
}

void pci_bus_config_write(struct pci_bus *bus, unsigned devfn, unsigned offset, uint32_t value,
			  unsigned size)
{
	struct pci_function *fn = bus->functions[devfn % PCI_DEVFNS];

	if (fn)
		pci_function_config_write(fn, offset, value, size);
}

void pci_bus_lines_moved(struct pci_bus *bus)
{
	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		if (bus->functions[i])
			pci_calls_route(bus->functions[i], NULL);
}

/* ---- without a bridge ---- */

static void straight_intx(struct pci_bus *bus, unsigned slot, unsigned pin, bool level)
{
	(void)slot;
	sysbus_irq_set(bus->sysbus, pin, level);
}

static int straight_line(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
	(void)bus;
	(void)slot;
	return (int)pin;
}

void pci_bus_wire_straight(struct pci_bus *bus)
{
	bus->intx = straight_intx;
	bus->line = straight_line;
}
