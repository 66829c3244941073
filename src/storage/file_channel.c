/* SPDX-License-Identifier: MIT */
/* One worker's requests in flight on a file: starts their steps, takes in the outcomes, completes
 * each request once. */
#include "storage/file.h"

#include <errno.h>
#include <stdlib.h>

static struct file_channel *to_channel(struct storage_channel *ch)
{
	return container_of(ch, struct file_channel, base);
}

static void wait_to_retry(struct file_channel *ch, struct storage_io *io)
{
	io_fifo_push(&ch->retry, io);
	reactor_poller_activate(ch->base.reactor, &ch->retry_poller);
}

/* false: the ring is full. */
static bool start_step(struct file_channel *ch, struct storage_io *io)
{
	struct file_step step;

	if (io->bounce && io->op == STORAGE_WRITE)
		iov_gather(io->iov, io->iovcnt, io->progress, io->bounce,
			   min_u64(io->len - io->progress, BOUNCE_BYTES));
	file_io_step(ch->file, io, &step);
	if (ch->uring && step.kind != FILE_BLKDISCARD)
		return file_uring_start(ch, io, &step);
	file_pool_start(ch->file->pool, io);
	return true;
}

static void start(struct file_channel *ch, struct storage_io *io)
{
	/* Behind those that wait already: the ring would be as full for this one. */
	if (unlikely(ch->retry.head) || unlikely(!start_step(ch, io)))
		wait_to_retry(ch, io);
}

void file_channel_submit(struct storage_channel *base, struct storage_io *io)
{
	struct file_channel *ch = to_channel(base);

	if (unlikely(file_io_begin(ch->file, io))) {
		io->bounce = bounce_get(&ch->bounce);
		if (!io->bounce) {
			if (ch->bounce.nmade)
				io_fifo_push(&ch->need_bounce, io);
			else
				io->done(io, -ENOMEM);
			return;
		}
	}
	start(ch, io);
}

/* The next one in line gets the buffer, or nobody does. */
static void release_bounce(struct file_channel *ch, struct storage_io *io)
{
	struct storage_io *next = io_fifo_pop(&ch->need_bounce);

	if (next) {
		next->bounce = io->bounce;
		start(ch, next);
	} else {
		bounce_put(&ch->bounce, io->bounce);
	}
	io->bounce = NULL;
}

void file_channel_outcome(struct file_channel *ch, struct storage_io *io, int res)
{
	switch (file_io_advance(ch->file, io, res)) {
	case FILE_DONE:
		if (unlikely(io->bounce))
			release_bounce(ch, io);
		io->done(io, io->result);
		return;
	case FILE_MORE:
		start(ch, io);
		return;
	case FILE_AGAIN:
		wait_to_retry(ch, io);
		return;
	}
}

/* As many as waited at the beginning, so that a request that must wait once more ends the round. */
static unsigned retry_poll(struct reactor_poller *p)
{
	struct file_channel *ch = container_of(p, struct file_channel, retry_poller);
	struct io_fifo waiting = ch->retry;
	struct storage_io *io;
	unsigned n = 0;

	ch->retry = (struct io_fifo){0};
	while ((io = io_fifo_pop(&waiting))) {
		if (ch->retry.head || !start_step(ch, io))
			io_fifo_push(&ch->retry, io);
		else
			n++;
	}
	return n;
}

static bool retry_arm(struct reactor_poller *p)
{
	struct file_channel *ch = container_of(p, struct file_channel, retry_poller);

	return !ch->retry.head;
}

static void take_finished(struct reactor_msg *msg)
{
	struct file_channel *ch = container_of(msg, struct file_channel, msg);
	struct io_fifo finished;
	struct storage_io *io;

	pthread_mutex_lock(&ch->lock);
	finished = ch->finished;
	ch->finished = (struct io_fifo){0};
	ch->posted = false;
	pthread_mutex_unlock(&ch->lock);

	/* With the last of them @ch may go. */
	while ((io = io_fifo_pop(&finished)))
		file_channel_outcome(ch, io, io->result);
}

static int need_pool(struct file *f, struct error *err)
{
	int rc = 0;

	pthread_mutex_lock(&f->lock);
	if (!f->pool)
		rc = file_pool_create(&f->pool, err);
	pthread_mutex_unlock(&f->lock);
	return rc;
}

int file_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
		      struct error *err)
{
	struct file *f = container_of(s, struct file, base);
	struct file_channel *ch;
	int rc;

	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", f->path);
	ch->base.storage = s;
	ch->base.reactor = r;
	ch->file = f;
	ch->uring = !f->threads && reactor_is_uring(r);
	if (!ch->uring) {
		rc = need_pool(f, err);
		if (rc)
			goto free_channel;
	}
	bounce_init(&ch->bounce, f->align);
	reactor_poller_init(&ch->retry_poller, retry_poll, retry_arm);
	pthread_mutex_init(&ch->lock, NULL);
	ch->msg.run = take_finished;
	if (ch->uring)
		file_uring_attach(ch);
	*out = &ch->base;
	return 0;
free_channel:
	free(ch);
	return rc;
}

void file_channel_close(struct storage_channel *base)
{
	struct file_channel *ch = to_channel(base);

	if (ch->uring)
		file_uring_detach(ch);
	reactor_poller_stop(base->reactor, &ch->retry_poller);
	bounce_fini(&ch->bounce);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}
