/* SPDX-License-Identifier: MIT */
#include "guest/pci.h"

#include "guest/cpu.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  0x80000000u

/* Free in the machines that this is made for. */
static struct pcidev_window ports = {0xd000, 0xe000};
static struct pcidev_window memory = {0xd0000000, 0xe0000000};

static uint32_t port_read(struct pci_access *a, uint16_t port, unsigned size)
{
	(void)a;
	return size == 1 ? port_in8(port) : size == 2 ? port_in16(port) : port_in32(port);
}

static void port_write(struct pci_access *a, uint16_t port, uint32_t value, unsigned size)
{
	(void)a;
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
	return port_read(a, config_at(bdf, offset), size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	port_write(a, config_at(bdf, offset), value, size);
}

static uint32_t mem_read(struct pci_access *a, uint64_t address, unsigned size)
{
	uintptr_t at = (uintptr_t)address;

	(void)a;
	return size == 1   ? *(volatile uint8_t *)at
	       : size == 2 ? *(volatile uint16_t *)at
			   : *(volatile uint32_t *)at;
}

static void mem_write(struct pci_access *a, uint64_t address, uint32_t value, unsigned size)
{
	uintptr_t at = (uintptr_t)address;

	(void)a;
	if (size == 1)
		*(volatile uint8_t *)at = (uint8_t)value;
	else if (size == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else
		*(volatile uint32_t *)at = value;
}

static const struct pci_access_ops guest_pci_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.port_read = port_read,
	.port_write = port_write,
	.mem_read = mem_read,
	.mem_write = mem_write,
};

struct pci_access guest_pci = {.ops = &guest_pci_ops};

int guest_pci_assign(struct pcidev *dev)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (dev->bars[i].address + dev->bars[i].size > UINT32_MAX)
			dev->bars[i].address = 0;
	return pcidev_assign(dev, &ports, &memory);
}
