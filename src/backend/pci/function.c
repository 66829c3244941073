/* SPDX-License-Identifier: MIT */
#include "backend/pci/function.h"

#include "backend/pci/bus.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void pci_function_init(struct pci_function *fn, const char *name,
		       const struct pci_function_ops *ops, const struct pci_identity *id)
{
	memset(fn, 0, sizeof(*fn));
	fn->name = name;
	fn->ops = ops;
	fn->caps_end = PCI_HEADER_BYTES;
	fn->resample_fd = -1;
	list_init(&fn->calls);
	pci_function_put16(fn, PCI_VENDOR_ID, id->vendor);
	pci_function_put16(fn, PCI_DEVICE_ID, id->device);
	fn->config[PCI_REVISION] = id->revision;
	fn->config[PCI_CLASS] = (uint8_t)id->class_code;
	pci_function_put16(fn, PCI_CLASS + 1, (uint16_t)(id->class_code >> 8));
	pci_function_put16(fn, PCI_SUBSYSTEM_VENDOR_ID, id->subsystem_vendor);
	pci_function_put16(fn, PCI_SUBSYSTEM_ID, id->subsystem);
	pci_function_allow16(fn, PCI_COMMAND,
			     PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR);
	fn->clears[PCI_STATUS + 1] = PCI_STATUS_ERRORS >> 8;
	fn->writable[PCI_CACHE_LINE] = 0xff;
	fn->writable[PCI_LATENCY] = 0xff;
	fn->writable[PCI_INTERRUPT_LINE] = 0xff;
	if (id->pin) {
		fn->config[PCI_INTERRUPT_PIN] = 1;
		pci_function_allow16(fn, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	}
}

void pci_function_fini(struct pci_function *fn)
{
	assert(!fn->bus);
	pci_msix_fini(fn);
}

/* ---- description ---- */

void pci_function_bar(struct pci_function *fn, unsigned index, const char *name, uint32_t flags,
		      uint64_t size, const struct sysbus_region_ops *ops)
{
	struct pci_bar *bar = &fn->bars[index];
	unsigned at = PCI_BAR0 + 4 * index;
	uint64_t address = ~(size - 1);
	bool io = flags & PCI_BAR_IO;

	assert(index < PCI_BARS && !bar->region.size && is_pow2(size) && size >= (io ? 4 : 16));
	bar->fn = fn;
	bar->flags = flags;
	bar->region = (struct sysbus_region){
		.name = name,
		.space = io ? SYSBUS_PORT : SYSBUS_MEMORY,
		.size = size,
		.ops = ops,
	};
	pci_function_put32(fn, at, flags);
	for (unsigned i = 0; i < (flags & PCI_BAR_64 ? 8u : 4u); i++)
		fn->writable[at + i] = (uint8_t)(address >> (8 * i));
	pci_function_allow16(fn, PCI_COMMAND, io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
}

int pci_function_add_cap(struct pci_function *fn, uint8_t id, const void *cap, unsigned len)
{
	unsigned at = fn->caps_end;

	if (len < 2 || len > PCI_CONFIG_BYTES - at)
		return -ENOSPC;
	memcpy(fn->config + at, cap, len);
	fn->config[at] = id;
	fn->config[at + 1] = 0;
	fn->config[fn->last_cap ? fn->last_cap + 1 : PCI_CAP_POINTER] = (uint8_t)at;
	fn->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	fn->last_cap = (uint8_t)at;
	fn->caps_end = (uint8_t)min_u64(align_up(at + len, 4), PCI_CONFIG_BYTES - 1);
	return (int)at;
}

/* ---- base address registers ---- */

/*
 * Where the guest wants it; 0: nowhere.  What sizing leaves in a register (all ones) ends at the
 * top of its space and is no address.
 */
static uint64_t bar_address(const struct pci_function *fn, unsigned index)
{
	const struct pci_bar *bar = &fn->bars[index];
	uint16_t command = pci_function_get16(fn, PCI_COMMAND);
	unsigned at = PCI_BAR0 + 4 * index;
	uint64_t base = pci_function_get32(fn, at), last, top;

	if (bar->flags & PCI_BAR_IO) {
		base &= ~(uint64_t)PCI_BAR_IO_MASK;
		top = 0xffff;
		if (!(command & PCI_COMMAND_IO))
			return 0;
	} else {
		base &= ~(uint64_t)PCI_BAR_MEM_MASK;
		top = UINT32_MAX - 1;
		if (bar->flags & PCI_BAR_64) {
			base |= (uint64_t)pci_function_get32(fn, at + 4) << 32;
			top = UINT64_MAX - 1;
		}
		if (!(command & PCI_COMMAND_MEMORY))
			return 0;
	}
	last = base + bar->region.size - 1;
	return last < base || last > top ? 0 : base;
}

void pci_function_update_bars(struct pci_function *fn)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar *bar = &fn->bars[i];
		uint64_t at = fn->bus && bar->region.size ? bar_address(fn, i) : 0;

		if (bar->mapped ? at == bar->region.base : !at)
			continue;
		if (bar->mapped) {
			if (fn->ops->bar_unmapping)
				fn->ops->bar_unmapping(fn, bar);
			sysbus_unmap(&bar->region);
			bar->mapped = false;
		}
		if (!at)
			continue;
		sysbus_map(fn->bus->sysbus, &bar->region, at);
		bar->mapped = true;
		if (fn->ops->bar_mapped)
			fn->ops->bar_mapped(fn, bar);
	}
}

/* ---- the guest's accesses ---- */

uint32_t pci_function_config_read(struct pci_function *fn, unsigned offset, unsigned size)
{
	uint32_t value = 0;

	if (fn->ops->config_reading && offset < PCI_CONFIG_BYTES)
		fn->ops->config_reading(fn, offset, size);
	for (unsigned i = 0; i < size; i++) {
		uint32_t byte = offset + i < PCI_CONFIG_BYTES ? fn->config[offset + i] : 0xff;

		value |= byte << (8 * i);
	}
	return value;
}

void pci_function_config_write(struct pci_function *fn, unsigned offset, uint32_t value,
			       unsigned size)
{
	if (offset >= PCI_CONFIG_BYTES)
		return;
	if (size > PCI_CONFIG_BYTES - offset)
		size = PCI_CONFIG_BYTES - offset;
	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i)), *at = &fn->config[offset + i];
		uint8_t mask = fn->writable[offset + i];

		*at = (uint8_t)((*at & ~mask) | (byte & mask));
		*at &= (uint8_t) ~(byte & fn->clears[offset + i]);
	}
	if (ranges_overlap(offset, size, PCI_COMMAND, 2)) {
		pci_function_update_bars(fn);
		pci_msix_update(fn);
		pci_calls_route(fn, NULL);
	} else if (ranges_overlap(offset, size, PCI_BAR0, 4 * PCI_BARS)) {
		pci_function_update_bars(fn);
	}
	if (fn->msix.n && ranges_overlap(offset, size, fn->msix.cap + PCI_MSIX_CONTROL, 2))
		pci_msix_update(fn);
	pci_function_update_intx(fn);
	if (fn->ops->config_written)
		fn->ops->config_written(fn, offset, size);
}

static struct sysbus_region *bar_region(struct pci_function *fn, unsigned index, uint64_t offset,
					unsigned size)
{
	struct sysbus_region *r = index < PCI_BARS ? &fn->bars[index].region : NULL;

	return r && offset < r->size && size <= r->size - offset ? r : NULL;
}

uint64_t pci_bar_read(struct pci_function *fn, unsigned index, uint64_t offset, unsigned size)
{
	struct sysbus_region *r = bar_region(fn, index, offset, size);

	return r ? sysbus_region_read(r, offset, size) : UINT64_MAX;
}

void pci_bar_write(struct pci_function *fn, unsigned index, uint64_t offset, uint64_t value,
		   unsigned size)
{
	struct sysbus_region *r = bar_region(fn, index, offset, size);

	if (r)
		sysbus_region_write(r, offset, value, size);
}

/* ---- the pin ---- */

/* Functions of one slot share its pins. */
static bool pin_is_up(const struct pci_bus *bus, unsigned slot, uint8_t pin)
{
	for (unsigned f = 0; f < 8; f++) {
		const struct pci_function *fn = bus->functions[PCI_DEVFN(slot, f)];

		if (fn && fn->intx_shown && fn->config[PCI_INTERRUPT_PIN] == pin)
			return true;
	}
	return false;
}

void pci_function_update_intx(struct pci_function *fn)
{
	bool asserted = fn->intx && !fn->msix.enabled;
	bool show = fn->bus && asserted &&
		    !(pci_function_get16(fn, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE);

	fn->config[PCI_STATUS] = (uint8_t)((fn->config[PCI_STATUS] & ~PCI_STATUS_INTERRUPT) |
					   (asserted ? PCI_STATUS_INTERRUPT : 0));
	if (show == fn->intx_shown)
		return;
	fn->intx_shown = show;
	fn->rises += show;
	if (fn->bus && fn->bus->intx) {
		unsigned slot = PCI_SLOT(fn->devfn);
		uint8_t pin = fn->config[PCI_INTERRUPT_PIN];

		fn->bus->intx(fn->bus, slot, pin - 1u, pin_is_up(fn->bus, slot, pin));
	}
}

void pci_function_set_intx(struct pci_function *fn, bool level)
{
	fn->intx = level && fn->config[PCI_INTERRUPT_PIN];
	pci_function_update_intx(fn);
}

int pci_function_line(const struct pci_function *fn)
{
	const struct pci_bus *bus = fn->bus;
	uint8_t pin = fn->config[PCI_INTERRUPT_PIN];

	return bus && bus->line && pin ? bus->line(bus, PCI_SLOT(fn->devfn), pin - 1u) : -1;
}

void pci_function_quiet(struct pci_function *fn)
{
	memcpy(fn->config, fn->initial, sizeof(fn->config));
	fn->intx = false;
	pci_calls_stop(fn);
	pci_function_update_bars(fn);
	pci_msix_reset(fn);
	pci_calls_route(fn, NULL);
	pci_function_update_intx(fn);
}

void pci_function_reset(struct pci_function *fn)
{
	pci_function_quiet(fn);
	if (fn->ops->reset)
		fn->ops->reset(fn);
}
