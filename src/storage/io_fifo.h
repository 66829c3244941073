/* SPDX-License-Identifier: MIT */
/*
 * Requests in a row, linked by storage_io.next: an engine's, while they are in flight.
 *
 * Threads: none of its own; whoever shares one has a lock.
 */
#ifndef STORAGE_IO_FIFO_H
#define STORAGE_IO_FIFO_H

#include "storage/storage.h"

struct io_fifo {
	struct storage_io *head, *tail;
};

static inline void io_fifo_push(struct io_fifo *q, struct storage_io *io)
{
	io->next = NULL;
	if (q->head)
		q->tail->next = io;
	else
		q->head = io;
	q->tail = io;
}

static inline void io_fifo_push_front(struct io_fifo *q, struct storage_io *io)
{
	io->next = q->head;
	if (!q->head)
		q->tail = io;
	q->head = io;
}

static inline struct storage_io *io_fifo_pop(struct io_fifo *q)
{
	struct storage_io *io = q->head;

	if (io)
		q->head = io->next;
	return io;
}

/* Puts @more behind @q, and leaves it empty. */
static inline void io_fifo_append(struct io_fifo *q, struct io_fifo *more)
{
	if (!more->head)
		return;
	if (q->head)
		q->tail->next = more->head;
	else
		q->head = more->head;
	q->tail = more->tail;
	more->head = NULL;
}

#endif
