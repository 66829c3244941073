/* SPDX-License-Identifier: MIT */
/*
 * A virtio-blk board that Linux has given to user space through VFIO, as a struct transport: the
 * place that vpci_transport.h wants, made of frontend/pci/vfiodev.h.  MSI-X vectors are the queues'
 * own eventfds; a board without MSI-X is polled.
 *
 * Invariant: the device is driven only if it takes our addresses for those of the IOMMU
 * (ACCESS_PLATFORM), unless the caller vouches for it.
 *
 * Threads: the transport's (frontend/virtio/transport.h).
 */
#ifndef FRONTEND_VIRTIO_PCI_VFIO_BOARD_H
#define FRONTEND_VIRTIO_PCI_VFIO_BOARD_H

#include "frontend/virtio/transport.h"

struct vfio_board_options {
	uint16_t queues;     /* so many get interrupts of their own, and no more can be used */
	uint32_t timeout_ms; /* for a reset                                                  */
	bool any_platform;   /* also without ACCESS_PLATFORM: hardware that the IOMMU always sees */
};

/* @address: as of pci_name_parse().  -errno with a sentence that says what to do. */
int vfio_board_open(const char *address, const struct vfio_board_options *o, struct transport **out,
		    struct error *err);

/*
 * Its registers and vectors, for those who test devices instead of driving them
 * through the transport.
 */
struct pci_access;
struct vpci_platform;
struct pci_access *vfio_board_access(struct transport *t);
struct vpci_platform *vfio_board_platform(struct transport *t);

#endif
