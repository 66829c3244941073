/* SPDX-License-Identifier: MIT */
#include "backend/lsi/lsi_priv.h"

#include <errno.h>
#include <string.h>

#define SLICES 16

/* Offset in a mapped BAR of the whole range; -1: it is not there. */
static int64_t in_bar(const struct lsi *lsi, unsigned bar, uint64_t at, uint32_t len)
{
	const struct pci_bar *b = &lsi->fn.bars[bar];

	if (!b->mapped || at < b->region.base || at - b->region.base >= b->region.size ||
	    len > b->region.size - (at - b->region.base))
		return -1;
	return (int64_t)(at - b->region.base);
}

static bool dma(struct lsi *lsi, uint64_t at, uint8_t *bytes, uint32_t len, bool write)
{
	struct iovec iov[SLICES];
	int64_t inside;
	int n;

	if (!(pci_function_get16(&lsi->fn, PCI_COMMAND) & PCI_COMMAND_MASTER) || at + len < at)
		return false;
	inside = in_bar(lsi, 2, at, len);
	if (inside >= 0) {
		if (write)
			memcpy(lsi->ram + inside, bytes, len);
		else
			memcpy(bytes, lsi->ram + inside, len);
		return true;
	}
	n = gmem_slices(lsi->mem, &lsi->hint, gpa(at), len, write, iov, SLICES);
	if (n < 0)
		return false;
	for (int i = 0; i < n; i++) {
		if (write)
			memcpy(iov[i].iov_base, bytes, iov[i].iov_len);
		else
			memcpy(bytes, iov[i].iov_base, iov[i].iov_len);
		bytes += iov[i].iov_len;
	}
	return true;
}

bool lsi_dma_read(struct lsi *lsi, uint64_t from, void *to, uint32_t len)
{
	return dma(lsi, from, to, len, false);
}

bool lsi_dma_write(struct lsi *lsi, uint64_t to, const void *from, uint32_t len)
{
	/* Not written to in this direction. */
	return dma(lsi, to, (uint8_t *)(uintptr_t)from, len, true);
}

/* Registers, byte by byte: what they do is noted and takes effect in the turn that is under way. */
static void touch_registers(struct lsi *lsi, unsigned at, uint8_t *bytes, uint32_t len, bool write)
{
	for (uint32_t i = 0; i < len; i++) {
		unsigned reg = (at + i) % LSI_REGISTERS;

		if (write)
			lsi_reg_write(lsi, reg, bytes[i]);
		else
			bytes[i] = lsi_reg_read(lsi, reg);
	}
}

bool lsi_dma_read_any(struct lsi *lsi, uint64_t from, void *to, uint32_t len)
{
	int64_t inside = in_bar(lsi, 1, from, len);

	if (inside < 0)
		return lsi_dma_read(lsi, from, to, len);
	touch_registers(lsi, (unsigned)inside, to, len, false);
	return true;
}

bool lsi_dma_write_any(struct lsi *lsi, uint64_t to, const void *from, uint32_t len)
{
	int64_t inside = in_bar(lsi, 1, to, len);

	if (inside < 0)
		return lsi_dma_write(lsi, to, from, len);
	touch_registers(lsi, (unsigned)inside, (uint8_t *)(uintptr_t)from, len, true);
	return true;
}
