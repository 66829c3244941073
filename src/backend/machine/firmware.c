/* SPDX-License-Identifier: MIT */
/*
 * What a BIOS does to the PCI bus before a kernel starts, for kernels that start without one: each
 * base address register gets an address, decoding is switched on, the interrupt line register says
 * where the pin leads.
 *
 * It goes by configuration accesses, as a BIOS would.
 */
#include "backend/machine/pc.h"

#define PORTS_FIRST 0xc000
#define PORTS_END   0x10000

struct assigner {
	struct pci_bus *bus;
	uint64_t port, memory;
};

/* Addresses are handed out upwards; what finds no room any more stays without. */
static uint64_t place(uint64_t *next, uint64_t end, uint64_t size)
{
	uint64_t at = align_up(*next, size);

	if (at > end || end - at < size)
		return 0;
	*next = at + size;
	return at;
}

/* Returns the number of registers that it takes. */
static unsigned assign_bar(struct assigner *a, unsigned devfn, unsigned bar, uint32_t *decode)
{
	unsigned at = PCI_BAR0 + bar * 4;
	uint32_t mask, low = pci_bus_config_read(a->bus, devfn, at, 4);
	bool io = low & PCI_BAR_IO, wide = !io && (low & PCI_BAR_TYPE) == PCI_BAR_64;
	uint64_t size, where;

	pci_bus_config_write(a->bus, devfn, at, UINT32_MAX, 4);
	mask = pci_bus_config_read(a->bus, devfn, at, 4);
	mask &= io ? ~PCI_BAR_IO_MASK : ~PCI_BAR_MEM_MASK;
	size = (uint64_t) ~(io ? mask | 0xffff0000 : mask) + 1;
	if (!mask)
		return wide ? 2 : 1;
	where = io ? place(&a->port, PORTS_END, size) : place(&a->memory, PC_PCI_HOLE_END, size);
	pci_bus_config_write(a->bus, devfn, at, (uint32_t)where, 4);
	if (wide)
		pci_bus_config_write(a->bus, devfn, at + 4, 0, 4);
	if (where)
		*decode |= io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	return wide ? 2 : 1;
}

static void assign_function(struct pc *pc, struct assigner *a, unsigned devfn)
{
	unsigned pin = pci_bus_config_read(a->bus, devfn, PCI_INTERRUPT_PIN, 1);
	uint32_t decode = 0;
	int line;

	for (unsigned bar = 0; bar < PCI_BARS;)
		bar += assign_bar(a, devfn, bar, &decode);
	if (pin) {
		line = piix3_line(&pc->isa, PCI_SLOT(devfn), pin - 1);
		pci_bus_config_write(a->bus, devfn, PCI_INTERRUPT_LINE,
				     line < 0 ? 0xff : (uint32_t)line, 1);
	}
	decode |= pci_bus_config_read(a->bus, devfn, PCI_COMMAND, 2);
	pci_bus_config_write(a->bus, devfn, PCI_COMMAND, decode, 2);
}

void pc_assign_pci(struct pc *pc)
{
	struct assigner a = {.bus = &pc->host.bus, .port = PORTS_FIRST, .memory = PC_PCI_HOLE};

	for (unsigned devfn = 0; devfn < PCI_DEVFNS; devfn++)
		if (a.bus->functions[devfn])
			assign_function(pc, &a, devfn);
}
