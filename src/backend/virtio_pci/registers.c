/* SPDX-License-Identifier: MIT */
#include "backend/virtio_pci/board_priv.h"

static uint32_t ones(unsigned width)
{
	return width == 4 ? UINT32_MAX : (1u << 8 * width) - 1;
}

uint64_t virtio_pci_registers_read(struct virtio_pci *b, const struct virtio_pci_register *regs,
				   unsigned n, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < n; i++) {
		const struct virtio_pci_register *r = &regs[i];
		uint64_t part;

		if (!r->read || !ranges_overlap(offset, size, r->offset, r->width))
			continue;
		part = r->read(b) & ones(r->width);
		if (r->offset >= offset)
			value |= part << 8 * (r->offset - offset);
		else
			value |= part >> 8 * (offset - r->offset);
	}
	return value;
}

void virtio_pci_registers_write(struct virtio_pci *b, const struct virtio_pci_register *regs,
				unsigned n, uint64_t offset, uint64_t value, unsigned size)
{
	uint64_t written = size >= 8 ? UINT64_MAX : BIT64(8 * size) - 1;

	for (unsigned i = 0; i < n; i++) {
		const struct virtio_pci_register *r = &regs[i];
		uint64_t mask, v;

		if (!r->write || !ranges_overlap(offset, size, r->offset, r->width))
			continue;
		if (r->offset >= offset) {
			mask = written >> 8 * (r->offset - offset);
			v = value >> 8 * (r->offset - offset);
		} else {
			mask = written << 8 * (offset - r->offset);
			v = value << 8 * (offset - r->offset);
		}
		mask &= ones(r->width);
		v &= mask;
		if (mask != ones(r->width) && r->read)
			v |= r->read(b) & ~mask;
		r->write(b, (uint32_t)v & ones(r->width));
	}
}
