/* SPDX-License-Identifier: MIT */
/*
 * Steps on the worker's io_uring.
 *
 * The ring's table of registered files saves looking up the fd for each request.  Several disks
 * share it without a book of its own: an fd stands in the slot of its own number, which is as
 * unique in the table as it is in the process.  Where the kernel gives no table, or the number is
 * beyond it, plain fds do.
 */
#include "storage/file.h"

#include "base/limits.h"

#include <errno.h>

#define TABLE_SLOTS 1024u

static void step_done(struct reactor_op *op, int res)
{
	struct storage_io *io = container_of(op, struct storage_io, rop);

	file_channel_outcome(container_of(io->channel, struct file_channel, base), io, res);
}

bool file_uring_start(struct file_channel *ch, struct storage_io *io, const struct file_step *step)
{
	struct io_uring_sqe *sqe = reactor_sqe(ch->base.reactor);

	if (unlikely(!sqe))
		return false;
	switch (step->kind) {
	case FILE_READ:
		if (likely(!step->iovcnt))
			io_uring_prep_read(sqe, step->fd, step->buf, (unsigned)step->len,
					   step->offset);
		else
			io_uring_prep_readv(sqe, step->fd, step->iov, (unsigned)step->iovcnt,
					    step->offset);
		break;
	case FILE_WRITE:
		if (likely(!step->iovcnt))
			io_uring_prep_write(sqe, step->fd, step->buf, (unsigned)step->len,
					    step->offset);
		else
			io_uring_prep_writev(sqe, step->fd, step->iov, (unsigned)step->iovcnt,
					     step->offset);
		sqe->rw_flags = step->rw_flags;
		break;
	case FILE_FALLOCATE:
		/* liburing 2.3 takes these two as off_t, 2.9 as __u64: each warns of the other's type. */
		io_uring_prep_fallocate(sqe, step->fd, step->mode, 0, 0);
		sqe->off = step->offset;
		sqe->addr = step->len;
		break;
	case FILE_SYNC:
		io_uring_prep_fsync(sqe, step->fd, IORING_FSYNC_DATASYNC);
		break;
	case FILE_BLKDISCARD: /* the pool's, as what follows */
	case FILE_BLKSECDISCARD:
	case FILE_LOOK_SHARED:
	case FILE_LIFETIME:
		break;
	}
	if (ch->fixed)
		sqe->flags |= IOSQE_FIXED_FILE;
	io->rop.done = step_done;
	reactor_sqe_set(ch->base.reactor, sqe, &io->rop);
	return true;
}

static unsigned table_slots(void)
{
	/* The kernel takes no larger table than the limit of open files. */
	return (unsigned)min_u64(limits_files(), TABLE_SLOTS);
}

static bool put_in_slot(struct io_uring *ring, int at, int fd)
{
	return io_uring_register_files_update(ring, (unsigned)at, &fd, 1) == 1;
}

void file_uring_attach(struct file_channel *ch)
{
	struct io_uring *ring = reactor_uring(ch->base.reactor);
	struct file *f = ch->file;
	int rc;

	pthread_mutex_lock(&f->lock);
	ch->next = f->channels;
	f->channels = ch;
	pthread_mutex_unlock(&f->lock);

	rc = io_uring_register_files_sparse(ring, table_slots());
	if (rc && rc != -EBUSY) /* busy: it is there already */
		return;
	if (!put_in_slot(ring, f->fd, f->fd))
		return;
	ch->fixed = true;
}

void file_uring_detach(struct file_channel *ch)
{
	struct io_uring *ring = reactor_uring(ch->base.reactor);
	struct file *f = ch->file;
	bool shared = false;

	pthread_mutex_lock(&f->lock);
	for (struct file_channel **p = &f->channels; *p;) {
		if (*p == ch) {
			*p = ch->next;
			continue;
		}
		shared |= (*p)->base.reactor == ch->base.reactor;
		p = &(*p)->next;
	}
	pthread_mutex_unlock(&f->lock);

	if (!ch->fixed || shared)
		return;
	put_in_slot(ring, f->fd, -1);
}
