/* SPDX-License-Identifier: MIT */
/*
 * Memory of a guest that is not mapped here: somebody is asked to move bytes to it and from it, and
 * answers later.
 *
 * Who asks owns the struct gmem_io and its buffer until done() comes, which it does once for each,
 * whatever becomes of who is asked.  What was asked for by one thread is done in that order.
 *
 * Threads: submit on any; done() on the thread of @reactor, never from inside submit.
 */
#ifndef MEM_REMOTE_H
#define MEM_REMOTE_H

#include "base/reactor.h"

#include <stddef.h>

struct gmem_remote;

struct gmem_io {
	bool write; /* to the guest */
	uint64_t gpa;
	uint8_t *buf;
	size_t len; /* not 0; all in remote memory that may be used so */
	struct reactor *reactor;
	void (*done)(struct gmem_io *io);
	int rc; /* 0: all of it; -errno: nobody knows how much */

	/* Theirs who are asked. */
	struct gmem_remote *remote;
	struct reactor_msg msg;
	struct list link;
	size_t did;
};

struct gmem_remote_ops {
	void (*submit)(struct gmem_remote *remote, struct gmem_io *io);
};

struct gmem_remote {
	const struct gmem_remote_ops *ops;
};

static inline void gmem_remote_submit(struct gmem_remote *remote, struct gmem_io *io)
{
	io->remote = remote;
	remote->ops->submit(remote, io);
}

#endif
