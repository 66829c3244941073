/* SPDX-License-Identifier: MIT */
/*
 * The target "local-pci:DISK": our own virtio-blk-pci in this very process, alone on a backplane
 * whose host this process is.  DISK is what `ringside pc --disk` takes, the words for the card
 * included.
 *
 * Threads: the backplane's control thread is one of its own; registers are accessed under the
 * machine lock.
 */
#ifndef CLI_LOCAL_PCI_H
#define CLI_LOCAL_PCI_H

#include "conform/pci_target.h"

struct local_pci;

bool local_pci_is(const char *target);

/* @board: valid until local_pci_stop(). */
int local_pci_start(const char *target, struct local_pci **out, struct pci_target **board,
		    struct error *err);
/* NULLs *local; harmless when NULL. */
void local_pci_stop(struct local_pci **local);

#endif
