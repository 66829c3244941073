/* SPDX-License-Identifier: MIT */
#include "backend/pci/host.h"

#include <string.h>

/* Registers of the 82441FX */
#define I440FX_PAM     0x59 /* seven of them */
#define I440FX_PAM_END 0x60
#define I440FX_SMRAM   0x72

/* ---- configuration mechanism 1 ---- */

static uint64_t address_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	const struct pci_host *host = container_of(r, struct pci_host, address);

	(void)offset;
	(void)size;
	return host->selected;
}

/*
 * Only a whole word is the address; narrower accesses belong to whoever else lives at these ports.
 */
static void address_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_host *host = container_of(r, struct pci_host, address);

	(void)offset;
	(void)size;
	host->selected = (uint32_t)value & (PCI_CONFIG_ENABLE | 0x00fffffcu);
}

/* Whether a function of our one bus is selected. */
static bool selects(const struct pci_host *host)
{
	return host->selected & PCI_CONFIG_ENABLE && !(host->selected >> 16 & 0xff);
}

static uint64_t data_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct pci_host *host = container_of(r, struct pci_host, data);

	if (!selects(host))
		return UINT64_MAX;
	return pci_bus_config_read(&host->bus, host->selected >> 8 & 0xff,
				   (host->selected & 0xfc) + (unsigned)offset, size);
}

static void data_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct pci_host *host = container_of(r, struct pci_host, data);

	if (selects(host))
		pci_bus_config_write(&host->bus, host->selected >> 8 & 0xff,
				     (host->selected & 0xfc) + (unsigned)offset, (uint32_t)value,
				     size);
}

static const struct sysbus_region_ops address_ops = {
	.sizes = SYSBUS_DWORD,
	.read = address_read,
	.write = address_write,
};

static const struct sysbus_region_ops data_ops = {
	.sizes = SYSBUS_UP_TO_DWORD,
	.read = data_read,
	.write = data_write,
};

static const struct pci_function_ops bridge_ops = {0};

/* ---- life ---- */

void pci_host_init(struct pci_host *host, struct sysbus *sysbus)
{
	static const struct pci_identity i440fx = {
		.vendor = 0x8086,
		.device = 0x1237,
		.revision = 2,
		.class_code = 0x060000,
		.subsystem_vendor = 0x1af4,
		.subsystem = 0x1100 /* SeaBIOS looks for these */};

	memset(host, 0, sizeof(*host));
	pci_bus_init(&host->bus, "pci.0", sysbus);
	host->address = (struct sysbus_region){
		.name = "pci-config-address",
		.space = SYSBUS_PORT,
		.size = 4,
		.ops = &address_ops,
	};
	host->data = host->address;
	host->data.name = "pci-config-data";
	host->data.ops = &data_ops;
	sysbus_map(sysbus, &host->address, PCI_CONFIG_ADDRESS_PORT);
	sysbus_map(sysbus, &host->data, PCI_CONFIG_DATA_PORT);

	pci_function_init(&host->bridge, "i440FX", &bridge_ops, &i440fx);
	for (unsigned i = I440FX_PAM; i < I440FX_PAM_END; i++)
		host->bridge.writable[i] = i == I440FX_PAM ? 0xf0 : 0x33;
	host->bridge.config[I440FX_SMRAM] = 0x02;
	host->bridge.writable[I440FX_SMRAM] = 0x78;
	/* Slot 0 is empty: this cannot fail. */
	(void)pci_bus_attach(&host->bus, &host->bridge, PCI_DEVFN(0, 0), NULL);
}

void pci_host_fini(struct pci_host *host)
{
	pci_bus_detach(&host->bridge);
	pci_function_fini(&host->bridge);
	sysbus_unmap(&host->data);
	sysbus_unmap(&host->address);
}

void pci_host_reset(struct pci_host *host)
{
	host->selected = 0;
	pci_function_reset(&host->bridge);
	if (host->isa)
		pci_function_reset(host->isa);
}
