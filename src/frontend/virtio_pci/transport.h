/* SPDX-License-Identifier: MIT */
/*
 * A virtio-pci board as a struct transport, for the drivers in frontend/virtio and frontend/blk.
 * No C library but memcpy and memset is needed here.
 *
 * Threads: the transport's (frontend/virtio/transport.h).
 */
#ifndef FRONTEND_VIRTIO_PCI_TRANSPORT_H
#define FRONTEND_VIRTIO_PCI_TRANSPORT_H

#include "frontend/virtio/transport.h"
#include "frontend/virtio_pci/vpci.h"

#define VPCI_QUEUES_MAX 256

struct vpci_platform;

/* What the place where the driver runs has to do for it.  All optional. */
struct vpci_platform_ops {
	/*
	 * An interrupt of MSI-X vector @vector shall signal @call_fd, or, for the
	 * configuration vector with -1, what event_fd gives: the message that does it.  An
	 * @address of 0: the table has been written already.  Without this op there are no
	 * interrupts and the driver polls.
	 */
	int (*vector)(struct vpci_platform *p, uint16_t vector, int call_fd, uint64_t *address,
		      uint32_t *data);
	/* The address that the device knows our memory under.  Without: the same as ours. */
	uint64_t (*address)(struct vpci_platform *p, const void *host);
	int (*map)(struct vpci_platform *p, const struct dma_region *r, struct error *err);
	int (*unmap)(struct vpci_platform *p, const struct dma_region *r, struct error *err);
	/* The device is about to be taken away, although it still answers. */
	bool (*going)(const struct vpci_platform *p);
	/* An fd that hangs up when it goes: who sleeps until a request is done is woken by that. */
	int (*hangup_fd)(const struct vpci_platform *p);
	/* Resets the function from outside, after which it is as vpci_transport_init() left it. */
	int (*recover)(struct vpci_platform *p, struct error *err);
	/* Queues run from now on, more of them than before perhaps: kicks may go by other ways. */
	void (*runs)(struct vpci_platform *p);
	/*
	 * Configuration changes: an fd to wait for them, and whether there was one
	 * since it was last asked.
	 */
	int (*event_fd)(const struct vpci_platform *p);
	bool (*changed)(struct vpci_platform *p);
	/* The transport is gone: so may be platform, pcidev and the transport's memory. */
	void (*destroy)(struct vpci_platform *p);
};

struct vpci_platform {
	const struct vpci_platform_ops *ops;
	enum vpci_how how;    /* which face of the board is wanted */
	uint16_t vectors_max; /* more are not used; 0: all there are */
};

struct vpci_transport {
	struct transport base;
	struct vpci v;
	struct vpci_platform *platform;
	uint16_t n_queues;
	bool gone; /* given up */
	struct vpci_kick kicks[VPCI_QUEUES_MAX];
};

/* @dev and @platform stay the caller's until destroy.  -ENODEV, -ENXIO, with a sentence. */
int vpci_transport_init(struct vpci_transport *t, struct pcidev *dev,
			struct vpci_platform *platform, struct error *err);

#endif
