/* SPDX-License-Identifier: MIT */
/*
 * What Linux knows of a PCI function: whether it is there, what it is, who drives it, and whether
 * user space may drive it through VFIO.
 *
 * Threads: any.
 */
#ifndef FRONTEND_PCI_SYSFS_H
#define FRONTEND_PCI_SYSFS_H

#include "base/error.h"

#include <stdint.h>

#define PCI_SYSFS "/sys"

struct pci_sysfs {
	char name[20]; /* as Linux writes it: "0000:00:04.0" */
	uint16_t vendor, device, subsystem;
	char driver[64]; /* "": none */
	int group;	 /* of the IOMMU; -1: none */
};

/* "0000:00:04.0", or "00:04.0" in domain 0, as Linux writes it.  -EINVAL. */
int pci_name_parse(const char *text, char name[20]);

/* @root: PCI_SYSFS.  -EINVAL: @text is no address; -ENODEV: nobody is there. */
int pci_sysfs_read(struct pci_sysfs *s, const char *root, const char *text, struct error *err);

/*
 * 0, or what has to be done before it can be had through VFIO: -EBUSY its driver is another one,
 * -ENOTSUP there is no IOMMU.
 */
int pci_sysfs_vfio(const struct pci_sysfs *s, struct error *err);

#endif
