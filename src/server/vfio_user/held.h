/* SPDX-License-Identifier: MIT */
/*
 * Commands of a client that came while one of its commands takes time and waits for an answer of that
 * client: they stand in front of it in the stream (connection.h).  A bounded number, in order.
 *
 * Threads: the control thread.
 */
#ifndef SERVER_VFIO_USER_HELD_H
#define SERVER_VFIO_USER_HELD_H

#include "base/list.h"
#include "server/vfio_user/channel.h"

/* Commands, their bytes and fds. */
#define VFIO_USER_HELD_MAX	 1024u
#define VFIO_USER_HELD_BYTES_MAX (1u << 20)
#define VFIO_USER_HELD_FDS_MAX	 128u

struct vfio_user_held {
	struct list commands;
	uint32_t n, bytes, fds;
};

void vfio_user_held_init(struct vfio_user_held *held);
/* Keeps what @ch has just received, with its fds: 0, -ENOBUFS: it is too much, -ENOMEM. */
int vfio_user_held_add(struct vfio_user_held *held, struct vfio_user_channel *ch);
/* The first one, to be given to vfio_user_held_free(); NULL: there is none. */
struct vfio_user_message *vfio_user_held_take(struct vfio_user_held *held);
/* Closes the fds that nobody took. */
void vfio_user_held_free(struct vfio_user_message *m, struct aside *aside);
void vfio_user_held_drop(struct vfio_user_held *held, struct aside *aside);

#endif
