/* SPDX-License-Identifier: MIT */
/*
 * Moving a device to another server: the states of the protocol, and the bytes that go from one to
 * the other.
 *
 *      RUNNING <---> STOP <---> STOP_COPY     the state is saved on the way in, and read out there
 *                      ^
 *                      +------> RESUMING      the state is written there, and loaded on the way out
 *
 *      ERROR: what was written could not be loaded; a reset leads back to RUNNING
 *
 * Other ways lead over STOP.  STOP stands when nothing is in flight (backend/virtio_pci/state.h), and
 * is left only then: registers that are written there may begin a reset.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_MIGRATION_H
#define SERVER_VFIO_USER_MIGRATION_H

#include "backend/virtio_pci/virtio_pci.h"
#include "wire/vfio_user.h"

struct vfio_user_migration {
	struct virtio_pci *board;
	uint32_t state, target; /* VFIO_USER_STATE_... */
	uint8_t *data;		/* STOP_COPY: saved; RESUMING: written so far; else NULL */
	uint32_t n, at;		/* bytes of it; read out so far */
	struct log_limit complaints;
};

void vfio_user_migration_init(struct vfio_user_migration *m, struct virtio_pci *board);
/* The board has been reset: RUNNING. */
void vfio_user_migration_reset(struct vfio_user_migration *m);

bool vfio_user_migration_can(const struct vfio_user_migration *m);
/*
 * On the way to @state.  0: it stands; -EINPROGRESS: something is in flight, go on later;
 * -EINVAL: no way leads there, or what was written is no state; -ENOMEM.
 */
int vfio_user_migration_set(struct vfio_user_migration *m, uint32_t state);
int vfio_user_migration_go_on(struct vfio_user_migration *m);
/* Registers may be written to: the state that is read out would not be theirs any more. */
bool vfio_user_migration_may_write(const struct vfio_user_migration *m);

/* Up to @size bytes of the state, how many; -EINVAL: there is none to be read now. */
int vfio_user_migration_read(struct vfio_user_migration *m, void *to, uint32_t size);
/* 0; -EINVAL: none is to be written now; -E2BIG: no state is that long. */
int vfio_user_migration_write(struct vfio_user_migration *m, const void *from, uint32_t size);

#endif
