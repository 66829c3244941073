/* SPDX-License-Identifier: MIT */
/* The card: found on the bus, and made a transport of that the driver can work with. */
#ifndef GUEST_BOARD_H
#define GUEST_BOARD_H

#include "frontend/virtio_pci/transport.h"
#include "guest/options.h"

struct board {
	struct vpci_platform platform;
	struct pcidev dev;
	struct vpci_transport transport;
};

/* The card that @o asks for. -ENODEV: there is none. */
int board_open(struct board *b, const struct options *o, struct error *err);

#endif
