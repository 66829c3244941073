/* SPDX-License-Identifier: MIT */
/*
 * The place where a front end of the PCI transport runs, in process: on the board rig, with
 * eventfds for interrupts.
 */
#ifndef TESTS_PAIR_BOARD_PLACE_H
#define TESTS_PAIR_BOARD_PLACE_H

#include "board_rig.h"

#include "frontend/virtio_pci/transport.h"

struct place {
	struct vpci_platform base;
	struct board_rig rig;
	struct vpci_transport t;
	int config_fd;
	uint64_t shift; /* from our addresses to the board's */
	bool destroyed;
	bool going; /* the device is wanted back */
	unsigned recovered;
};

/* With interrupts, and without: then the driver polls. */
extern const struct vpci_platform_ops place_ops, place_polling_ops;
/* With interrupts, for the board's legacy face: rings have low addresses, too. */
extern const struct vpci_platform_ops place_legacy_ops;
/* As VFIO: the device has its own addresses for our memory, can be taken away and be reset. */
extern const struct vpci_platform_ops place_shifted_ops;

/* Zeroes @p, makes the machine and the transport. */
void place_init(struct place *p, const struct br_options *o, const struct vpci_platform_ops *ops);
/* The transport has been destroyed. */
void place_fini(struct place *p);

#endif
