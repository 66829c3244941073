/* SPDX-License-Identifier: MIT */
#include "guest/pci.h"

#include "guest/cpu.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u

/* Free in the machines that this is made for. */
static struct pcidev_window ports = {0xd000, 0xe000};
static struct pcidev_window memory = {0xd0000000, 0xe0000000};

static uint32_t port_read(uint16_t port, unsigned size)
{
	return size == 1 ? port_in8(port) : size == 2 ? port_in16(port) : port_in32(port);
}

static void port_write(uint16_t port, uint32_t value, unsigned size)
{
	if (size == 1)
		port_out8(port, (uint8_t)value);
	else if (size == 2)
		port_out16(port, (uint16_t)value);
	else
		port_out32(port, value);
}

static uint16_t config_at(unsigned bdf, unsigned offset)
{
	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE | bdf << 8 | (offset & 0xfc));
	return (uint16_t)(CONFIG_DATA + (offset & 3));
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	(void)a;
	return port_read(config_at(bdf, offset), size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	(void)a;
	port_write(config_at(bdf, offset), value, size);
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	uintptr_t at = (uintptr_t)address;

	(void)a;
	if (io)
		return port_read((uint16_t)address, size);
	return size == 1   ? *(volatile uint8_t *)at
	       : size == 2 ? *(volatile uint16_t *)at
			   : *(volatile uint32_t *)at;
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	uintptr_t at = (uintptr_t)address;

	(void)a;
	if (io)
		port_write((uint16_t)address, value, size);
	else if (size == 1)
		*(volatile uint8_t *)at = (uint8_t)value;
	else if (size == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else
		*(volatile uint32_t *)at = value;
}

static const struct pci_access_ops guest_pci_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

struct pci_access guest_pci = {.ops = &guest_pci_ops};

int guest_pci_assign(struct pcidev *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (dev->bars[i].address + dev->bars[i].size > UINT32_MAX)
			dev->bars[i].address = 0;
	return pcidev_assign(dev, &ports, &memory);
}
