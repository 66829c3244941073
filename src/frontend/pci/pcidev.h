/* SPDX-License-Identifier: MIT */
/*
 * PCI from the driver's side: finding functions on a bus, their BARs and capabilities (PCI Local
 * Bus 3.0, chapter 6).
 *
 * How configuration space, ports and memory are reached stands behind struct pci_access: an
 * in-process machine, VFIO, or the processor's own instructions.  No C library but memcpy
 * and memset is needed.
 *
 * Invariants: the device is not believed: a capability list ends where it comes round; what reads
 * as all ones is not there.
 *
 * Threads: the owner's.
 */
#ifndef FRONTEND_PCI_PCIDEV_H
#define FRONTEND_PCI_PCIDEV_H

#include "wire/pci.h"

#include <stdbool.h>
#include <stdint.h>

struct pci_access;

/*
 * @size is 1, 2 or 4 and @offset, @address are multiples of it.  @bdf: bus << 8 | devfn.  @io:
 * @address is a port, below 0x10000.
 */
struct pci_access_ops {
	uint32_t (*config_read)(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size);
	void (*config_write)(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			     unsigned size);
	uint32_t (*read)(struct pci_access *a, bool io, uint64_t address, unsigned size);
	void (*write)(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size);
};

struct pci_access {
	const struct pci_access_ops *ops;
};

struct pcidev_bar {
	uint64_t address; /* 0: not assigned */
	uint64_t size;	  /* 0: there is none, or it is the upper half of the one before */
	bool io, is64;
};

struct pcidev {
	struct pci_access *access;
	unsigned bdf;
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision, header, irq_line, irq_pin;
	uint32_t class_code;
	struct pcidev_bar bars[PCI_BARS];
};

/*
 * Reads the header and sizes the BARs, for which decoding is off for a moment.
 * -ENODEV: nobody is there.
 */
int pcidev_open(struct pcidev *dev, struct pci_access *access, unsigned bdf);

/* The next function on bus 0 from @bdf on: 0 and *dev, or -ENODEV. */
int pcidev_next(struct pcidev *dev, struct pci_access *access, unsigned bdf);

/* Offset of the first capability @id behind the one at @after (0: from the start); 0: none. */
unsigned pcidev_cap(const struct pcidev *dev, uint8_t id, unsigned after);

/* Gives every BAR that has no address one from these windows, which shrink.  -ENOSPC. */
struct pcidev_window {
	uint64_t at, end;
};
int pcidev_assign(struct pcidev *dev, struct pcidev_window *ports, struct pcidev_window *memory);

/* Sets and clears bits of the command register. */
void pcidev_command(const struct pcidev *dev, uint16_t set, uint16_t clear);

/* Whether it still answers; a function that was pulled out reads as all ones. */
bool pcidev_alive(const struct pcidev *dev);

/* Whether [offset, offset + length) lies inside BAR @bar, which has an address. */
bool pcidev_bar_has(const struct pcidev *dev, unsigned bar, uint64_t offset, uint64_t length);
/* Inside the BAR, of width and alignment 1, 2 or 4. */
uint32_t pcidev_bar_read(const struct pcidev *dev, unsigned bar, uint64_t offset, unsigned size);
void pcidev_bar_write(const struct pcidev *dev, unsigned bar, uint64_t offset, uint32_t value,
		      unsigned size);

static inline uint32_t pcidev_config_read(const struct pcidev *dev, unsigned offset, unsigned size)
{
	return dev->access->ops->config_read(dev->access, dev->bdf, offset, size);
}
static inline void pcidev_config_write(const struct pcidev *dev, unsigned offset, uint32_t value,
				       unsigned size)
{
	dev->access->ops->config_write(dev->access, dev->bdf, offset, value, size);
}

#endif
