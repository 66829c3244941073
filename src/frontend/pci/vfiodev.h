/* SPDX-License-Identifier: MIT */
/*
 * A PCI function that Linux has given to user space: VFIO with a container and a group
 * (linux/vfio.h).  Its configuration space and BARs stand behind a struct pci_access for pcidev.h;
 * it reaches our memory through the IOMMU, only what was mapped for it, under addresses of our
 * choice; its MSI-X vectors are eventfds.
 *
 *	container -> IOMMU tables, one struct iova_space
 *	  group -> all functions that the IOMMU cannot tell apart; must be ours as a whole
 *	    device -> regions (BARs, configuration space), interrupts
 *
 * The BAR registers are made up here: what stands in the device's own is where the kernel
 * has put it (for functions of SR-IOV, nothing), and no address to be used; by ours the
 * accesses are decoded.
 *
 * Invariants: no access leaves its BAR; what cannot be mapped into our address space is reached
 * by read and write; when the last descriptor is closed the kernel resets the function and takes
 * it out of the IOMMU.
 *
 * Threads: the owner's; access to BARs any.
 */
#ifndef FRONTEND_PCI_VFIODEV_H
#define FRONTEND_PCI_VFIODEV_H

#include "frontend/pci/iova.h"
#include "frontend/pci/pcidev.h"
#include "frontend/pci/sysfs.h"
#include "frontend/pci/vfio_info.h"

#include <stddef.h>

struct vfiodev_map {
	uint64_t offset, size;
	volatile uint8_t *host;
};

struct vfiodev_bar {
	uint64_t size, file_offset;
	bool io, is64;
	uint32_t kind; /* bits of its register that are no address */
	unsigned n_maps;
	struct vfiodev_map maps[VFIO_AREAS_MAX];
};

struct vfiodev {
	struct pci_access access; /* what its functions are given leads back here */
	char name[20];
	int container, group, device; /* -1: not open */
	bool can_reset;
	uint64_t config_size, config_offset;
	struct vfiodev_bar bars[PCI_BARS];
	uint32_t registers[PCI_BARS]; /* of BARs */
	struct iova_space space;
	uint16_t vectors; /* MSI-X vectors that can be had */
};

/* @s: one that pci_sysfs_vfio() lets pass. */
int vfiodev_open(struct vfiodev *v, const struct pci_sysfs *s, struct error *err);
/*
 * Interrupts off, memory unmapped, the function reset by the kernel.  Harmless after a failed open.
 */
void vfiodev_close(struct vfiodev *v);

/* No descriptor, no BARs; what vfiodev_open() begins with. */
void vfiodev_init(struct vfiodev *v);
/*
 * Gives BAR @i, whose size is known and whose register reads @told, its place.  For vfiodev_open().
 */
void vfiodev_place_bar(struct vfiodev *v, unsigned i, uint32_t told);

/* -ENOTSUP: it cannot be reset. */
int vfiodev_reset(struct vfiodev *v, struct error *err);

/* The device may read and write that memory at *iova.  @host and @size in pages. */
int vfiodev_map(struct vfiodev *v, void *host, uint64_t size, uint64_t *iova, struct error *err);
int vfiodev_unmap(struct vfiodev *v, uint64_t iova, uint64_t size, struct error *err);

/* Turns on MSI-X with at most @want vectors: how many there are, 0: none at all; -errno. */
int vfiodev_msix(struct vfiodev *v, uint16_t want, struct error *err);
/* What vector @index signals; -1: nothing. */
int vfiodev_vector(struct vfiodev *v, uint16_t index, int fd);
/*
 * The kernel wants the device back, or it has failed: signalled on @fd.  Kernels and devices that
 * cannot say so do not.
 */
void vfiodev_watch(struct vfiodev *v, int fd);

#endif
