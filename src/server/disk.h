/* SPDX-License-Identifier: MIT */
/*
 * A disk as people describe it, put together and offered: storage, virtio-blk, socket.  Control
 * thread.
 */
#ifndef SERVER_DISK_H
#define SERVER_DISK_H

#include "disk/spec.h"
#include "server/server.h"

/*
 * A disk that is about to be offered.  @name: NULL is "disk" and a number, by the order
 * of adding; its queues are spread over the workers in turn.
 */
int server_make_disk(struct server *s, const struct disk_spec *spec, const char *name,
		     struct virtio_blk **out, struct error *err);

/* Over vhost-user. */
int server_add_disk(struct server *s, const struct disk_spec *spec, const char *name,
		    const struct socket_place *where, struct error *err);

#endif
