/* SPDX-License-Identifier: MIT */
/*
 * The doors that VFIO has in /dev/vfio: from a PCI function's IOMMU group to its descriptors, with
 * a sentence for each door that is shut.
 *
 * Threads: any.
 */
#ifndef FRONTEND_PCI_VFIO_CONTAINER_H
#define FRONTEND_PCI_VFIO_CONTAINER_H

#include "frontend/pci/sysfs.h"

#define VFIO_FOLDER "/dev/vfio"

/* A container with the function's group in it and the IOMMU set; all -1 on failure. */
int vfio_container_open(const struct pci_sysfs *s, int *container, int *group, int *device,
			struct error *err);

/* The sentence for a group that cannot be opened, by what open() said.  Returns @rc. */
int vfio_group_error(const struct pci_sysfs *s, const char *folder, int rc, struct error *err);
/* The same for the container. */
int vfio_container_error(const char *folder, int rc, struct error *err);

#endif
