/* SPDX-License-Identifier: MIT */
#include "backend/pci/piix3.h"

#include <string.h>

static unsigned pirq_of(unsigned slot, unsigned pin)
{
	return (slot + pin + PIIX3_PIRQS - 1) % PIIX3_PIRQS;
}

/* Lines 0, 1, 2, 8 and 13 are the board's own. */
static bool line_ok(uint8_t route)
{
	return !(route & PIIX3_PIRQ_NONE) && route < 16 && !(0x2107u >> route & 1);
}

static void piix3_update_lines(struct piix3 *p)
{
	struct sysbus *sysbus = p->host->bus.sysbus;
	uint16_t lines = 0, changed;

	for (unsigned i = 0; i < PIIX3_PIRQS; i++) {
		uint8_t route = p->fn.config[PIIX3_PIRQ + i];

		if (p->pins[i] && line_ok(route))
			lines |= (uint16_t)(1u << route);
	}
	changed = lines ^ p->lines;
	p->lines = lines;
	for (unsigned gsi = 0; gsi < 16; gsi++)
		if (changed >> gsi & 1)
			sysbus_irq_set(sysbus, gsi, lines >> gsi & 1);
}

static void set_pin(struct piix3 *piix3, unsigned slot, unsigned pin, bool level)
{
	uint32_t *pins = &piix3->pins[pirq_of(slot, pin)];

	if (level)
		*pins |= 1u << slot % 32;
	else
		*pins &= ~(1u << slot % 32);
	piix3_update_lines(piix3);
}

int piix3_line(const struct piix3 *piix3, unsigned slot, unsigned pin)
{
	uint8_t route = piix3->fn.config[PIIX3_PIRQ + pirq_of(slot, pin)];

	return line_ok(route) ? route : -1;
}

/* ---- what the bus asks; the bridge is there while it may ---- */

static struct piix3 *piix3_of(const struct pci_bus *bus)
{
	return container_of(container_of(bus, struct pci_host, bus)->isa, struct piix3, fn);
}

static void piix3_route_pin(struct pci_bus *bus, unsigned slot, unsigned pin, bool level)
{
	set_pin(piix3_of(bus), slot, pin, level);
}

static int piix3_line_of_pin(const struct pci_bus *bus, unsigned slot, unsigned pin)
{
	return piix3_line(piix3_of(bus), slot, pin);
}

static void piix3_config_written(struct pci_function *fn, unsigned offset, unsigned size)
{
	if (!ranges_overlap(offset, size, PIIX3_PIRQ, PIIX3_PIRQS))
		return;
	piix3_update_lines(container_of(fn, struct piix3, fn));
	pci_bus_lines_moved(fn->bus);
}

static void piix3_reset(struct pci_function *fn)
{
	piix3_update_lines(container_of(fn, struct piix3, fn));
	pci_bus_lines_moved(fn->bus);
}

static const struct pci_function_ops piix3_ops = {
	.config_written = piix3_config_written,
	.reset = piix3_reset,
};

int piix3_init(struct piix3 *piix3, struct pci_host *host, struct error *err)
{
	static const struct pci_identity id = {
		.vendor = 0x8086, .device = 0x7000, .class_code = 0x060100};
	static const uint8_t routes[PIIX3_PIRQS] = {10, 10, 11, 11};
	int rc;

	memset(piix3, 0, sizeof(*piix3));
	piix3->host = host;
	pci_function_init(&piix3->fn, "PIIX3 ISA bridge", &piix3_ops, &id);
	piix3->fn.config[PCI_HEADER_TYPE] = PCI_HEADER_MULTIFUNCTION;
	for (unsigned i = 0; i < PIIX3_PIRQS; i++) {
		piix3->fn.config[PIIX3_PIRQ + i] = routes[i];
		piix3->fn.writable[PIIX3_PIRQ + i] = 0x8f;
	}
	rc = pci_bus_attach(&host->bus, &piix3->fn, PCI_DEVFN(1, 0), err);
	if (!rc) {
		host->isa = &piix3->fn;
		host->bus.intx = piix3_route_pin;
		host->bus.line = piix3_line_of_pin;
	}
	return rc;
}

void piix3_fini(struct piix3 *piix3)
{
	if (piix3->host->isa == &piix3->fn) {
		piix3->host->isa = NULL;
		piix3->host->bus.intx = NULL;
		piix3->host->bus.line = NULL;
	}
	pci_bus_detach(&piix3->fn);
	pci_function_fini(&piix3->fn);
}
