/* SPDX-License-Identifier: MIT */
#include "frontend/pci/pcidev.h"

#include <errno.h>

#define NOBODY 0xffffu

/* ---- BARs ---- */

static uint32_t bar_bits(const struct pcidev *dev, unsigned offset)
{
	uint32_t saved = pcidev_config_read(dev, offset, 4), bits;

	pcidev_config_write(dev, offset, UINT32_MAX, 4);
	bits = pcidev_config_read(dev, offset, 4);
	pcidev_config_write(dev, offset, saved, 4);
	return bits;
}

static void size_bar(struct pcidev *dev, unsigned i)
{
	struct pcidev_bar *bar = &dev->bars[i];
	unsigned at = PCI_BAR0 + 4 * i;
	uint32_t low = pcidev_config_read(dev, at, 4), bits = bar_bits(dev, at);
	uint64_t mask;

	/* All zero: not implemented. All ones: nobody answers. */
	if (!bits || bits == UINT32_MAX)
		return;
	if (bits & PCI_BAR_IO) {
		bar->io = true;
		mask = bits & 0xffff & ~(uint64_t)PCI_BAR_IO_MASK;
		bar->address = low & 0xffff & ~(uint64_t)PCI_BAR_IO_MASK;
		bar->size = mask ? mask & -mask : 0;
		return;
	}
	mask = bits & ~(uint64_t)PCI_BAR_MEM_MASK;
	bar->address = low & ~(uint64_t)PCI_BAR_MEM_MASK;
	if ((bits & PCI_BAR_TYPE) == PCI_BAR_64 && i + 1 < PCI_BARS) {
		bar->is64 = true;
		bar->address |= (uint64_t)pcidev_config_read(dev, at + 4, 4) << 32;
		mask |= (uint64_t)bar_bits(dev, at + 4) << 32;
	}
	bar->size = mask ? mask & -mask : 0;
}

int pcidev_open(struct pcidev *dev, struct pci_access *access, unsigned bdf)
{
	uint16_t command;

	*dev = (struct pcidev){.access = access, .bdf = bdf};
	dev->vendor = (uint16_t)pcidev_config_read(dev, PCI_VENDOR_ID, 2);
	if (dev->vendor == NOBODY || !dev->vendor)
		return -ENODEV;
	dev->device = (uint16_t)pcidev_config_read(dev, PCI_DEVICE_ID, 2);
	dev->revision = (uint8_t)pcidev_config_read(dev, PCI_REVISION, 1);
	dev->class_code = pcidev_config_read(dev, PCI_REVISION, 4) >> 8;
	dev->header = (uint8_t)pcidev_config_read(dev, PCI_HEADER_TYPE, 1);
	if (dev->header & ~PCI_HEADER_MULTIFUNCTION)
		return 0; /* a bridge: its header goes on in another way */
	dev->subsystem_vendor = (uint16_t)pcidev_config_read(dev, PCI_SUBSYSTEM_VENDOR_ID, 2);
	dev->subsystem = (uint16_t)pcidev_config_read(dev, PCI_SUBSYSTEM_ID, 2);
	dev->irq_line = (uint8_t)pcidev_config_read(dev, PCI_INTERRUPT_LINE, 1);
	dev->irq_pin = (uint8_t)pcidev_config_read(dev, PCI_INTERRUPT_PIN, 1);
	/* What is written to find the size is not to be taken for an address. */
	command = (uint16_t)pcidev_config_read(dev, PCI_COMMAND, 2);
	pcidev_config_write(dev, PCI_COMMAND, command & ~(PCI_COMMAND_IO | PCI_COMMAND_MEMORY), 2);
	for (unsigned i = 0; i < PCI_BARS; i += dev->bars[i].is64 ? 2 : 1)
		size_bar(dev, i);
	pcidev_config_write(dev, PCI_COMMAND, command, 2);
	return 0;
}

int pcidev_next(struct pcidev *dev, struct pci_access *access, unsigned bdf)
{
	for (; bdf < PCI_DEVFNS; bdf++) {
		/* Functions 1 to 7 are there only if function 0 says so. */
		if (PCI_FUNC(bdf)) {
			uint32_t header = access->ops->config_read(access, bdf & ~7u,
								   PCI_HEADER_TYPE, 1);

			if (header == 0xff || !(header & PCI_HEADER_MULTIFUNCTION))
				continue;
		}
		if (!pcidev_open(dev, access, bdf))
			return 0;
	}
	return -ENODEV;
}

static void move_bar(struct pcidev *dev, unsigned i, uint64_t address)
{
	pcidev_config_write(dev, PCI_BAR0 + 4 * i, (uint32_t)address, 4);
	if (dev->bars[i].is64)
		pcidev_config_write(dev, PCI_BAR0 + 4 * i + 4, (uint32_t)(address >> 32), 4);
	dev->bars[i].address = address;
}

int pcidev_assign(struct pcidev *dev, struct pcidev_window *ports, struct pcidev_window *memory)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pcidev_bar *bar = &dev->bars[i];
		struct pcidev_window *w = bar->io ? ports : memory;
		uint64_t at;

		if (!bar->size || bar->address)
			continue;
		at = (w->at + bar->size - 1) & ~(bar->size - 1);
		if (at < w->at || at > w->end || w->end - at < bar->size)
			return -ENOSPC;
		w->at = at + bar->size;
		move_bar(dev, i, at);
	}
	return 0;
}

/* ---- capabilities ---- */

unsigned pcidev_cap(const struct pcidev *dev, uint8_t id, unsigned after)
{
	uint64_t seen = 0; /* one bit for each place: a list that comes round has ended */
	bool behind = !after;
	unsigned at;

	if (!(pcidev_config_read(dev, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		return 0;
	at = pcidev_config_read(dev, PCI_CAP_POINTER, 1) & 0xfc;
	while (at >= PCI_HEADER_BYTES && !(seen >> at / 4 & 1)) {
		uint32_t head = pcidev_config_read(dev, at, 2);

		if (head == NOBODY)
			return 0;
		if (behind && (head & 0xff) == id)
			return at;
		behind = behind || at == after;
		seen |= UINT64_C(1) << at / 4;
		at = head >> 8 & 0xfc;
	}
	return 0;
}

/* ---- access ---- */

void pcidev_command(const struct pcidev *dev, uint16_t set, uint16_t clear)
{
	uint32_t command = pcidev_config_read(dev, PCI_COMMAND, 2);

	pcidev_config_write(dev, PCI_COMMAND, (command | set) & ~(uint32_t)clear & 0xffff, 2);
}

bool pcidev_alive(const struct pcidev *dev)
{
	return pcidev_config_read(dev, PCI_VENDOR_ID, 2) == dev->vendor;
}

bool pcidev_bar_has(const struct pcidev *dev, unsigned bar, uint64_t offset, uint64_t length)
{
	const struct pcidev_bar *b;

	if (bar >= PCI_BARS)
		return false;
	b = &dev->bars[bar];
	return b->address && offset <= b->size && length && length <= b->size - offset;
}

static uint64_t bar_address(const struct pcidev_bar *b, uint64_t offset)
{
	return b->io ? (uint16_t)(b->address + offset) : b->address + offset;
}

uint32_t pcidev_bar_read(const struct pcidev *dev, unsigned bar, uint64_t offset, unsigned size)
{
	const struct pcidev_bar *b = &dev->bars[bar];

	return dev->access->ops->read(dev->access, b->io, bar_address(b, offset), size);
}

void pcidev_bar_write(const struct pcidev *dev, unsigned bar, uint64_t offset, uint32_t value,
		      unsigned size)
{
	const struct pcidev_bar *b = &dev->bars[bar];

	dev->access->ops->write(dev->access, b->io, bar_address(b, offset), value, size);
}
