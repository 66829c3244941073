/* SPDX-License-Identifier: MIT */
/*
 * A PCI function behind a vfio-user socket: configuration space and BARs are messages, interrupts
 * are eventfds that it is given, kicks are eventfds that it gives; it reaches our memory through
 * the fds that are sent along, or by messages, if it is not given any (serve.h).
 *
 * The device knows our memory under addresses that are handed out here, low enough for the legacy
 * interface, which has room for 44 bits.
 *
 * Invariants: no call waits longer than timeout_ms for the server, and after one that did, or a
 * server that breaks the protocol, the connection is dead: reads give all ones, writes vanish.
 *
 * Threads: the owner's; accesses to BARs any.
 */
#ifndef FRONTEND_VFIO_USER_CLIENT_H
#define FRONTEND_VFIO_USER_CLIENT_H

#include "base/sock_address.h"
#include "frontend/pci/iova.h"
#include "frontend/pci/pcidev.h"
#include "frontend/vfio_user/serve.h"
#include "frontend/virtio/transport.h"
#include "wire/vfio_user.h"

#include <pthread.h>

#define VFIO_USER_MEMORY_MAX IOVA_TAKEN_MAX

/* A write to a place of a BAR that is a signal instead. */
struct vfio_user_client_kick {
	uint32_t region;
	uint64_t offset, size; /* size 0: of any width */
	bool match;
	uint64_t value;
	int fd;
};

struct vfio_user_client_memory {
	struct dma_region r;
	uint64_t iova;
};

/* Writes there are kicks: nobody waits until they are done.  Size 0: none are. */
struct vfio_user_client_place {
	uint32_t region;
	uint64_t offset, size;
};

struct vfio_user_client {
	struct pci_access access;
	struct sock_address address;
	uint32_t timeout_ms;
	bool by_messages; /* the server gets no fds of our memory */
	struct vfio_user_serve serve;

	pthread_mutex_t lock; /* one message and its answer at a time; protects all up to kicks */
	int fd;		      /* -1: not connected */
	bool dead;	      /* atomic for readers */
	uint16_t id;
	uint32_t fds_max, transfer_max;
	bool resets; /* the device can be reset by a message */
	uint64_t sizes[VFIO_USER_REGIONS];
	uint32_t bars[PCI_BARS]; /* their registers */
	struct iova_space space;
	struct vfio_user_client_memory memory[VFIO_USER_MEMORY_MAX];
	unsigned n_memory;
	uint32_t vectors;

	/* Changed while no queue is at work; read by queues' threads. */
	struct vfio_user_client_kick kicks[VFIO_USER_FDS_MAX];
	unsigned n_kicks;
	struct vfio_user_client_place notify;
};

/*
 * Connects and asks what there is.  @by_messages: memory is announced without fds, and served by a
 * thread.  -errno and a sentence.
 */
int vfio_user_client_open(struct vfio_user_client *c, const char *path, uint32_t timeout_ms,
			  bool by_messages, struct error *err);
/* Harmless after a failed open. */
void vfio_user_client_close(struct vfio_user_client *c);
/*
 * Connects anew to a server that has come back; it is told of the memory and of the BARs' places
 * again.
 */
int vfio_user_client_redial(struct vfio_user_client *c, struct error *err);

bool vfio_user_client_alive(const struct vfio_user_client *c);

/* @r->fd stays the caller's and open as long as the memory is mapped. */
int vfio_user_client_map(struct vfio_user_client *c, const struct dma_region *r, struct error *err);
/* Where the device knows a byte of ours; 0: nowhere. */
uint64_t vfio_user_client_address(const struct vfio_user_client *c, const void *host);
/* Returns when the device has let go of it. */
int vfio_user_client_unmap(struct vfio_user_client *c, const struct dma_region *r,
			   struct error *err);

/* What vector @index signals; -1: nothing. */
int vfio_user_client_vector(struct vfio_user_client *c, uint32_t index, int fd);
/* The same for the pin. */
int vfio_user_client_pin(struct vfio_user_client *c, int fd);
int vfio_user_client_reset(struct vfio_user_client *c, struct error *err);

/*
 * Queues are kicked by writes to @where: asks anew which of these may be signals.  None where the
 * server has no such; they are posted then.
 */
void vfio_user_client_ask_kicks(struct vfio_user_client *c,
				const struct vfio_user_client_place *where);
void vfio_user_client_drop_kicks(struct vfio_user_client *c);

/*
 * For those who test servers: any command, its body and fds; the answer's body.  @reply_size: room,
 * then what came.  0, the server's errno, -ETIMEDOUT, -ENOTCONN, -EPROTO.
 */
int vfio_user_client_ask(struct vfio_user_client *c, uint16_t command, const void *body,
			 uint32_t size, const int *fds, unsigned n_fds, void *reply,
			 uint32_t *reply_size);

#endif
