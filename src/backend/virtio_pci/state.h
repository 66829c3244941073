/* SPDX-License-Identifier: MIT */
/*
 * A board that stands still, and its state, for a board of the same shape in another program.
 *
 *      works --freeze--> freezing --nothing in flight--> frozen --thaw--> works
 *                                                          |  save: what another board loads
 *                                                          +- load: what another board saved
 *
 * A frozen board's queues have stopped where they were, and go on there: each request is carried out
 * exactly once, before or after.  Registers work as ever; what they would start starts when the board
 * thaws.  A reset of the function (pci_function_reset()) ends it.
 *
 * The state is of a version, has its length and a checksum, and is checked as a whole before any
 * of it is taken over: its contents are believed no more than what a guest writes to registers.
 *
 *      magic, version, length            4, 4, 4 bytes, little-endian as everything
 *      the device's type and shape       what must be the same on both sides
 *      PCI function                      configuration space, MSI-X table and pending bits, pin
 *      registers                         features, status, ISR, selectors
 *      queues                            size, vector, addresses, where the ring stands
 *      the device's own                  struct virtio_device_class
 *      CRC-32 of all before
 *
 * Threads: the system bus's.
 */
#ifndef BACKEND_VIRTIO_PCI_STATE_H
#define BACKEND_VIRTIO_PCI_STATE_H

#include "backend/virtio_pci/virtio_pci.h"

/* No board's state is larger. */
#define VIRTIO_PCI_STATE_MAX 262144u

/* Again while it is freezing, or frozen: nothing. */
void virtio_pci_freeze(struct virtio_pci *board);
/* It has been asked to, and nothing is in flight, nor is any reset under way. */
bool virtio_pci_is_frozen(const struct virtio_pci *board);
/* Frozen. */
void virtio_pci_thaw(struct virtio_pci *board);

/* Whether the device on it can be saved and loaded. */
bool virtio_pci_has_state(const struct virtio_pci *board);
/* Frozen.  Bytes, at most @size; 0: there is no room for it. */
size_t virtio_pci_save(struct virtio_pci *board, void *to, size_t size);
/*
 * Frozen.  -EINVAL and a sentence for what is not such a board's state; -ENOMEM.  After a failure the
 * board must be reset before it is thawed.
 */
int virtio_pci_load(struct virtio_pci *board, const void *from, size_t size, struct error *err);

#endif
