/* SPDX-License-Identifier: MIT */
/*
 * Requests that are waited for; and a crowd of them, as deep as wanted, each in a buffer of its
 * own.
 */
#ifndef GUEST_IO_H
#define GUEST_IO_H

#include "base/error.h"
#include "guest/options.h"

#include <ringside/driver.h>

#define IO_BUFFER  (128u << 10) /* bytes of one */
#define IO_BUFFERS 64
#define IO_WAIT_MS 10000

struct io_slot {
	struct ringside_request req;
	struct io *io;
	uint8_t *buffer; /* IO_BUFFER bytes */
	struct iovec iov[4];
};

struct io {
	struct ringside_disk *disk;
	struct ringside_queue *q; /* the one in use */
	struct ringside_info info;
	struct options o;
	unsigned busy;
	int result; /* the first that was not good, since it was last set to 0 */
	struct io_slot slots[IO_BUFFERS];
	struct io_slot *idle[IO_BUFFERS]; /* a stack of those that are not busy */
};

int io_init(struct io *io, struct ringside_disk *disk, const struct options *o, struct error *err);

/* A slot to submit with; NULL: all are busy. */
struct io_slot *io_slot(struct io *io);
/* Completes at least one. -ETIMEDOUT: none came; or what ringside_poll() says. */
int io_wait(struct io *io);
/* Commits, completes all; the first bad result. With interrupts, one is asked for before. */
int io_finish(struct io *io);

#endif
