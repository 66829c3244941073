/* SPDX-License-Identifier: MIT */
/*
 * The target "pci:ADDRESS" of conform: a virtio-blk board that VFIO has given us, and
 * memory that it reaches.
 *
 * Threads: one.
 */
#ifndef CLI_VFIO_TARGET_H
#define CLI_VFIO_TARGET_H

#include "conform/pci_target.h"

struct vfio_target;

bool vfio_target_is(const char *target);

/* @board: valid until vfio_target_close(). */
int vfio_target_open(const char *target, uint32_t timeout_ms, struct vfio_target **out,
		     struct pci_target **board, struct error *err);
/* NULLs *vt; harmless when NULL. */
void vfio_target_close(struct vfio_target **vt);

#endif
