/* SPDX-License-Identifier: MIT */
/* One worker's requests in flight on a file: starts their steps, takes in the outcomes, completes
 * each request once. */
#include "storage/file.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct file_channel *to_channel(struct storage_channel *ch)
{
	return container_of(ch, struct file_channel, base);
}

static void wait_to_retry(struct file_channel *ch, struct storage_io *io)
{
	io_fifo_push(&ch->retry, io);
	reactor_poller_activate(ch->base.reactor, &ch->retry_poller);
}

/* Bytes that the worker copies itself. */
#define INSTANT_MAX (256u << 10)

/*
 * 0 or -errno.  By the kernel: were a guest's memory to go away under a copy of our own, a page of
 * zeroes would stand in for it, and be written to the disk.
 */
static int fill_bounce(struct file_channel *ch, const struct storage_io *io)
{
	void *to = io->bounce;
	size_t len = 0;
	int rc;

	if (io->state & IO_RMW)
		len = file_rmw_fill(ch->file, io, &to);
	else if (io->op == STORAGE_WRITE)
		len = min_u64(io->len - io->progress, BOUNCE_BYTES);
	if (!len)
		return 0;
	if (!ch->copies) {
		rc = far_copy_init(&ch->copy);
		if (rc)
			return rc;
		ch->copies = true;
	}
	return far_copy_in(&ch->copy, io->iov, io->iovcnt, io->progress, to, len);
}

/* false: the ring is full. */
static bool start_step(struct file_channel *ch, struct storage_io *io)
{
	struct file_step step;
	int rc = 0;

	if (unlikely(io->bounce))
		rc = fill_bounce(ch, io);
	if (unlikely(rc)) {
		file_channel_outcome(ch, io, rc);
		return true;
	}
	file_io_step(ch->file, io, &step);
	if (ch->uring && step.kind < FILE_BY_THREAD)
		return file_uring_start(ch, io, &step);
	file_pool_start(ch->file->pool, io);
	return true;
}

/*
 * Where a read or write is a copy of memory, this thread makes it: the kernel would hand it to a
 * thread of its own, as such file systems do not know RWF_NOWAIT, and the way there and back costs
 * more than the copy.  What is long goes there all the same, so that the other disks need not wait.
 */
static bool carry_out_at_once(struct file_channel *ch, struct storage_io *io)
{
	struct file_step step;

	if (io->bounce || io->len > INSTANT_MAX || io->op > STORAGE_WRITE)
		return false;
	file_io_step(ch->file, io, &step);
	file_channel_outcome(ch, io, file_io_run(&step));
	return true;
}

static bool syncs(const struct storage_io *io)
{
	return io->op == STORAGE_FLUSH || io->state & IO_SYNC;
}

static void start(struct file_channel *ch, struct storage_io *io)
{
	if (unlikely(syncs(io)) && !ch->file->direct && !(io->state & IO_LEADS)) {
		/* When it waits it may have been told already: not to be touched. */
		if (!file_sync_join(&ch->file->sync, io))
			return;
		io->state |= IO_LEADS;
	}
	if (ch->file->instant && carry_out_at_once(ch, io))
		return;
	/* Behind those that wait already: the ring would be as full for this one. */
	if (unlikely(ch->retry.head) || unlikely(!start_step(ch, io)))
		wait_to_retry(ch, io);
}

/* Its buffer, if it needs one, is there; its blocks may be another's. */
static void enter(struct file_channel *ch, struct storage_io *io)
{
	if (!ch->file->coarse || io->op == STORAGE_READ) {
		start(ch, io);
		return;
	}
	switch (rmw_enter(&ch->rmw, io, io->state & IO_RMW)) {
	case RMW_COUNTED:
		io->state |= IO_COUNTED;
		start(ch, io);
		return;
	case RMW_HELD:
		io->state |= IO_HELD;
		start(ch, io);
		return;
	case RMW_WAITS: /* it may have been resumed already: not to be touched */
		return;
	}
}

void file_channel_submit(struct storage_channel *base, struct storage_io *io)
{
	struct file_channel *ch = to_channel(base);
	unsigned needs = file_io_begin(ch->file, io);

	if (likely(!needs)) {
		start(ch, io);
		return;
	}
	if (needs & FILE_IS_NOTHING) {
		io->done(io, 0);
		return;
	}
	if (needs & FILE_NEEDS_BOUNCE) {
		io->bounce = bounce_get(&ch->bounce);
		if (!io->bounce) {
			if (ch->bounce.nmade)
				io_fifo_push(&ch->need_bounce, io);
			else
				io->done(io, -ENOMEM);
			return;
		}
	}
	enter(ch, io);
}

/* The next one in line gets the buffer, or nobody does. */
static void release_bounce(struct file_channel *ch, void *bounce)
{
	struct storage_io *next = io_fifo_pop(&ch->need_bounce);

	if (next) {
		next->bounce = bounce;
		enter(ch, next);
	} else {
		bounce_put(&ch->bounce, bounce);
	}
}

static void give_back(struct file_channel *ch, struct storage_io *io)
{
	void *bounce = io->bounce;

	io->bounce = NULL;
	if (io->state & (IO_COUNTED | IO_HELD))
		rmw_leave(&ch->rmw, io, io->state & IO_HELD ? RMW_HELD : RMW_COUNTED);
	if (bounce)
		release_bounce(ch, bounce);
}

/* Its device or file system has become read-only.  The guest is told by each request. */
static void say_readonly(struct file *f)
{
	if (!__atomic_exchange_n(&f->said_readonly, true, __ATOMIC_RELAXED))
		log_warn(f->path, "can no longer be written: its device or file system has become "
				  "read-only, or the file immutable; writes fail");
}

static void say_lost(const struct file *f, int err)
{
	log_err(f->path,
		"data could not be written to it (%s), and the kernel has given them up: each "
		"flush "
		"fails until the image is opened anew",
		strerror(-err));
}

/*
 * Whether the kernel may have told of data that it has given up: any sync that fails but for want of
 * memory, and a write that was to be stable at once.
 */
static bool tells_of_loss(const struct file *f, const struct storage_io *io, int res)
{
	if (f->direct || res >= 0)
		return false;
	if (io->op == STORAGE_WRITE)
		return res == -EIO && io->flags & STORAGE_FUA;
	return io->state & IO_LEADS && res != -ENOMEM && res != -ECANCELED;
}

/* Its sync is over, and so is that of all who shared it.  Returns what they are told. */
static int stop_leading(struct file *f, struct storage_io *io, int res)
{
	struct storage_io *other, *next;
	struct io_fifo told;

	io->state &= ~IO_LEADS;
	res = file_sync_leave(&f->sync, res, &told, &next);
	while ((other = io_fifo_pop(&told))) {
		other->result = res;
		file_channel_finished(other);
	}
	if (next) {
		next->state |= IO_LEADS;
		file_channel_resume(next);
	}
	return res;
}

void file_channel_outcome(struct file_channel *ch, struct storage_io *io, int res)
{
	bool again = res == -EINTR || res == -EAGAIN;

	if (unlikely(res < 0) && !again && tells_of_loss(ch->file, io, res) &&
	    file_sync_lose(&ch->file->sync, res))
		say_lost(ch->file, res);
	if (unlikely(io->state & IO_LEADS) && !again)
		res = stop_leading(ch->file, io, res);
	switch (file_io_advance(ch->file, io, res)) {
	case FILE_DONE:
		if (unlikely(io->state & (IO_BOUNCE | IO_RMW | IO_COUNTED | IO_HELD)))
			give_back(ch, io);
		if (unlikely(io->result == -EROFS || io->result == -EPERM))
			say_readonly(ch->file);
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

/*
 * The message is posted under the lock: once the channel's thread has taken what is there, nobody
 * here touches the channel.  And only once until that look, even if the reactor has delivered it by
 * then: a second one would still be queued when the last request has ended and the channel is freed.
 */
static void hand_over(struct file_channel *ch, struct io_fifo *to, struct storage_io *io)
{
	pthread_mutex_lock(&ch->lock);
	io_fifo_push(to, io);
	if (!ch->posted) {
		ch->posted = true;
		reactor_post(ch->base.reactor, &ch->msg);
	}
	pthread_mutex_unlock(&ch->lock);
}

void file_channel_finished(struct storage_io *io)
{
	struct file_channel *ch = to_channel(io->channel);

	hand_over(ch, &ch->finished, io);
}

void file_channel_resume(struct storage_io *io)
{
	struct file_channel *ch = to_channel(io->channel);

	hand_over(ch, &ch->resumed, io);
}

static void take_finished(struct reactor_msg *msg)
{
	struct file_channel *ch = container_of(msg, struct file_channel, msg);
	struct io_fifo finished, resumed;
	struct storage_io *io;

	pthread_mutex_lock(&ch->lock);
	finished = ch->finished;
	ch->finished = (struct io_fifo){0};
	resumed = ch->resumed;
	ch->resumed = (struct io_fifo){0};
	ch->posted = false;
	pthread_mutex_unlock(&ch->lock);

	while ((io = io_fifo_pop(&resumed))) {
		if (!(io->state & IO_LEADS))
			io->state |= IO_HELD;
		start(ch, io);
	}

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
	if (f->coarse) {
		rc = rmw_attach(&f->rmw, &ch->rmw, r);
		if (rc) {
			error_set(err, rc, "cannot set up a channel of %s", f->path);
			goto free_channel;
		}
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
	if (ch->file->coarse)
		rmw_detach(&ch->rmw);
	reactor_poller_stop(base->reactor, &ch->retry_poller);
	bounce_fini(&ch->bounce);
	if (ch->copies)
		far_copy_fini(&ch->copy);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}
