/* SPDX-License-Identifier: MIT */
/*
 * A virtio board behind a vfio-user socket, as a struct transport: the place that
 * virtio_pci/transport.h wants, made of client.h.
 *
 * MSI-X vectors are the queues' own eventfds.  Kicks are eventfds of the server where it has such,
 * else posted writes.
 *
 * Threads: the transport's (frontend/virtio/transport.h).
 */
#ifndef FRONTEND_VFIO_USER_BOARD_H
#define FRONTEND_VFIO_USER_BOARD_H

#include "frontend/virtio/transport.h"

struct vfio_user_board_options {
	uint16_t queues;     /* so many get interrupts of their own, and no more can be used */
	uint32_t timeout_ms; /* for each answer                                              */
	bool dma_messages;   /* memory goes by messages: the server gets no fds of it        */
	bool legacy;	     /* by the legacy interface                                      */
	uint16_t type;	     /* VIRTIO_ID_*, which it has to be; 0: a disk                   */
};

/* @path: of the socket.  -errno with a sentence. */
int vfio_user_board_open(const char *path, const struct vfio_user_board_options *o,
			 struct transport **out, struct error *err);

/* For those who test devices instead of driving them through the transport. */
struct pci_access;
struct vpci_platform;
struct pci_access *vfio_user_board_access(struct transport *t);
struct vpci_platform *vfio_user_board_platform(struct transport *t);

#endif
