/* SPDX-License-Identifier: MIT */
/*
 * Requests to a Ceph image: cut into pieces, copied, answered.
 *
 * The request's private fields: progress: bytes for which there is a piece, or was; state: pieces in
 * flight, and the bits below; result: the first error.
 *
 * librbd's threads only put an answered piece on the channel's list; everything else is done on the
 * channel's thread.
 */
#include "storage/rbd.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/log.h"
#include "storage/bounce.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RBD_IO_PIECES  UINT32_C(0xffff)
#define RBD_IO_CUT     (UINT32_C(1) << 16) /* there is a piece for every byte        */
#define RBD_IO_FLUSHED (UINT32_C(1) << 17) /* the flush in place of FUA has been sent */

static struct rbd_channel *to_channel(struct storage_channel *ch)
{
	return container_of(ch, struct rbd_channel, base);
}

/* ---- pieces ---- */

static bool piece_get_room(struct rbd_piece *p, size_t len)
{
	if (p->room >= len)
		return true;
	free(p->data);
	p->room = len > RBD_KEPT_BYTES ? len : RBD_KEPT_BYTES;
	p->data = malloc(p->room);
	if (!p->data)
		p->room = 0;
	return p->data;
}

/* It has nothing in flight. */
static void piece_free(struct rbd_channel *ch, struct rbd_piece *p)
{
	if (p->room > RBD_KEPT_BYTES) {
		free(p->data);
		p->data = NULL;
		p->room = 0;
	}
	p->io = NULL;
	p->next = ch->idle;
	ch->idle = p;
}

static void piece_over(struct rbd_channel *ch, struct rbd_piece *p)
{
	__atomic_add_fetch(&rbd_disk_of(ch->base.storage)->answered, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&ch->in_flight, 1, __ATOMIC_SEQ_CST);
	piece_free(ch, p);
}

static void channel_free(struct rbd_channel *ch)
{
	for (unsigned i = 0; i < RBD_PIECES; i++)
		free(ch->pieces[i].data);
	far_copy_fini(&ch->copy);
	pthread_mutex_destroy(&ch->lock);
	free(ch);
}

/* Under the lock, so that the channel is still there. */
static void channel_post_locked(struct rbd_channel *ch)
{
	if (!ch->posted)
		reactor_post(ch->base.reactor, &ch->msg);
	ch->posted = true;
}

/* On a thread of librbd's. */
static void rbd_piece_answered(rbd_completion_t completion, void *arg)
{
	struct rbd_piece *p = arg;
	struct rbd_channel *ch = p->ch;
	bool last = false;

	pthread_mutex_lock(&ch->lock);
	if (ch->closed) {
		rbd_disk_of(ch->base.storage)->cluster->lib.rbd_aio_release(completion);
		last = !--ch->left;
	} else {
		p->next = ch->answered;
		ch->answered = p;
		channel_post_locked(ch);
	}
	pthread_mutex_unlock(&ch->lock);
	if (last)
		channel_free(ch);
}

static int piece_send(struct rbd_disk *d, struct rbd_piece *p)
{
	const struct rbd_lib *lib = &d->cluster->lib;
	const struct storage_io *io = p->io;
	const uint64_t at = io->offset + p->skip;
	const bool gives_back = (io->flags & STORAGE_UNMAP) && d->base.limits.write_zeroes_unmaps;

	switch (p->len ? io->op : STORAGE_FLUSH) {
	case STORAGE_READ:
		return lib->rbd_aio_read(d->image, at, p->len, (char *)p->data, p->completion);
	case STORAGE_WRITE:
		return lib->rbd_aio_write(d->image, at, p->len, (const char *)p->data,
					  p->completion);
	case STORAGE_DISCARD:
		return lib->rbd_aio_discard(d->image, at, p->len, p->completion);
	case STORAGE_WRITE_ZEROES:
		return lib->rbd_aio_write_zeroes(
			d->image, at, p->len, p->completion,
			gives_back ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION, 0);
	case STORAGE_FLUSH:
		return lib->rbd_aio_flush(d->image, p->completion);
	default:
		return -EINVAL;
	}
}

/* Whether the image is as long as the request needs. */
static bool rbd_reaches(const struct rbd_disk *d, const struct storage_io *io)
{
	return io->offset + io->len <= __atomic_load_n(&d->known, __ATOMIC_SEQ_CST);
}

/* What is to be sent of @io by @p.  0 or -errno. */
static int piece_prepare(struct rbd_channel *ch, struct rbd_piece *p, struct storage_io *io)
{
	struct rbd_disk *d = rbd_disk_of(ch->base.storage);
	const bool moves = io->op == STORAGE_READ || io->op == STORAGE_WRITE;
	int rc = 0;

	if (__atomic_load_n(&d->ended, __ATOMIC_SEQ_CST))
		return -ESHUTDOWN;
	/* It may have become smaller. */
	if (io->op != STORAGE_FLUSH && !rbd_reaches(d, io))
		return -EIO;
	p->skip = io->progress;
	p->len = io->op == STORAGE_FLUSH ? 0 : io->len - io->progress;
	if (moves)
		p->len = min_u64(p->len, RBD_PIECE_BYTES);
	if (moves && p->len && !piece_get_room(p, p->len))
		return -ENOMEM;
	/* What has gone of the guest's memory is an error, and no zeroes in the image. */
	if (io->op == STORAGE_WRITE && p->len)
		rc = far_copy_in(&ch->copy, io->iov, io->iovcnt, p->skip, p->data, p->len);
	return rc ? rc
		  : d->cluster->lib.rbd_aio_create_completion(p, rbd_piece_answered,
							      &p->completion);
}

/* The next piece of @io, or with nothing left of it a flush: 0; -EAGAIN: it waits; -errno. */
static int rbd_issue_piece(struct rbd_channel *ch, struct storage_io *io)
{
	struct rbd_disk *d = rbd_disk_of(ch->base.storage);
	struct rbd_piece *p = ch->idle;
	int rc;

	if (!p)
		return -EAGAIN;
	/* First counted, then looked whether it may go: wake_channels() does it the other way. */
	__atomic_add_fetch(&ch->in_flight, 1, __ATOMIC_SEQ_CST);
	rc = piece_prepare(ch, p, io);
	if (rc) {
		__atomic_sub_fetch(&ch->in_flight, 1, __ATOMIC_SEQ_CST);
		return rc;
	}
	ch->idle = p->next;
	p->io = io;
	__atomic_add_fetch(&d->sent, 1, __ATOMIC_RELAXED);
	io->state++;
	io->progress += p->len;
	rc = piece_send(d, p);
	if (rc >= 0)
		return 0;
	d->cluster->lib.rbd_aio_release(p->completion);
	io->state--;
	piece_over(ch, p);
	return rc;
}

/* ---- requests ---- */

/*
 * Those that have something in flight look at it; the others look before they send.  So no message
 * is under way to a channel that is quiet, and may close.
 */
static void wake_channels(struct rbd_disk *d)
{
	pthread_mutex_lock(&d->lock);
	list_for_each (l, &d->channels) {
		struct rbd_channel *ch = list_entry(l, struct rbd_channel, link);

		pthread_mutex_lock(&ch->lock);
		if (__atomic_load_n(&ch->in_flight, __ATOMIC_SEQ_CST))
			channel_post_locked(ch);
		pthread_mutex_unlock(&ch->lock);
	}
	pthread_mutex_unlock(&d->lock);
}

void rbd_disk_news(struct rbd_disk *d)
{
	__atomic_add_fetch(&d->news, 1, __ATOMIC_SEQ_CST);
	wake_channels(d);
}

void rbd_disk_is_mute(struct rbd_disk *d)
{
	store_release(&d->mute, true);
	wake_channels(d);
}

void rbd_disk_end(struct rbd_disk *d)
{
	if (__atomic_exchange_n(&d->ended, true, __ATOMIC_SEQ_CST))
		return;
	log_err(d->target,
		"the cluster has blocklisted us: somebody else has taken the image over, or it "
		"took us for dead; every request fails from now on");
	wake_channels(d);
}

static void note_result(struct rbd_disk *d, struct storage_io *io, int err)
{
	if (err == -ESHUTDOWN)
		rbd_disk_end(d);
	if (err && !io->result)
		io->result = err;
}

static void note_loss(struct rbd_disk *d, int err)
{
	if (storage_lose(&d->lost, err))
		log_err(d->target,
			"the cache could not be written (%s), and may have given data up: each "
			"flush "
			"fails until the disk is opened anew",
			strerror(-err));
}

static bool flushes(const struct storage_io *io)
{
	return io->op == STORAGE_FLUSH || (io->state & RBD_IO_FLUSHED);
}

/* Every piece of it has been answered, well or not.  Ended requests go to @ended. */
static void rbd_all_answered(struct rbd_channel *ch, struct storage_io *io, struct io_fifo *ended)
{
	struct rbd_disk *d = rbd_disk_of(ch->base.storage);
	const bool changes = io->op != STORAGE_READ && io->op != STORAGE_FLUSH;

	if (!io->result && changes && (io->flags & STORAGE_FUA) && !d->through &&
	    !(io->state & RBD_IO_FLUSHED)) {
		io->state = RBD_IO_FLUSHED;
		io_fifo_push(&ch->waiting, io);
		return;
	}
	/* What one flush was told concerns those that were under way with it. */
	if (!io->result && flushes(io))
		io->result = load_acquire(&d->lost);
	/* Across the end of an image that became smaller it would have been cut, without a word. */
	if (!io->result && changes && !rbd_reaches(d, io))
		io->result = -EIO;
	io_fifo_push(ended, io);
}

/* 0: its pieces are all under way; -EAGAIN: it waits. */
static int rbd_issue_request(struct rbd_channel *ch, struct storage_io *io)
{
	const bool flush_only = flushes(io);
	struct rbd_disk *d = rbd_disk_of(ch->base.storage);

	if (load_acquire(&d->ended))
		io->result = io->result ? io->result : -ESHUTDOWN;
	if (unlikely(ch->draining) && load_acquire(&d->mute))
		note_result(d, io, -EIO);
	if (flush_only && load_acquire(&d->lost))
		note_result(d, io, load_acquire(&d->lost));
	/* Where a piece has failed the rest need not be done. */
	while (!io->result && (flush_only || io->progress < io->len)) {
		int rc = rbd_issue_piece(ch, io);

		if (rc == -EAGAIN)
			return rc;
		note_result(d, io, rc);
		if (flush_only)
			break;
	}
	return 0;
}

static void rbd_issue(struct rbd_channel *ch, struct io_fifo *ended)
{
	struct storage_io *io;

	while ((io = ch->waiting.head)) {
		if (rbd_issue_request(ch, io))
			return;
		io_fifo_pop(&ch->waiting);
		io->state |= RBD_IO_CUT;
		if (!(io->state & RBD_IO_PIECES))
			rbd_all_answered(ch, io, ended);
	}
}

static void piece_take(struct rbd_channel *ch, struct rbd_piece *p, struct io_fifo *ended)
{
	struct rbd_disk *d = rbd_disk_of(ch->base.storage);
	const struct rbd_lib *lib = &d->cluster->lib;
	struct storage_io *io = p->io;
	ssize_t got = lib->rbd_aio_get_return_value(p->completion);
	const bool reads = io && io->op == STORAGE_READ;

	lib->rbd_aio_release(p->completion);
	if (!io) {
		piece_over(ch, p);
		return;
	}
	/* librbd tells once of what its cache could not write; it concerns whoever flushes. */
	if (got < 0 && !p->len && !d->through && got != -ENOMEM)
		note_loss(d, (int)got);
	if (got < 0)
		note_result(d, io, (int)got);
	else if (reads && got != (ssize_t)p->len)
		note_result(d, io, -EIO);
	else if (reads && !io->result)
		iov_scatter(io->iov, io->iovcnt, p->skip, p->data, p->len);
	piece_over(ch, p);
	io->state--;
	if (!(io->state & RBD_IO_PIECES) && (io->state & RBD_IO_CUT))
		rbd_all_answered(ch, io, ended);
}

/* Nobody waits for what librbd will not answer: all from @from on. */
static void channel_abandon(struct rbd_channel *ch, uint64_t from, int err, struct io_fifo *ended)
{
	for (unsigned i = 0; i < RBD_PIECES; i++) {
		struct storage_io *io = ch->pieces[i].io;

		if (!io || io->offset + ch->pieces[i].skip < from)
			continue;
		ch->pieces[i].io = NULL;
		note_result(rbd_disk_of(ch->base.storage), io, err);
		io->state--;
		if (!(io->state & RBD_IO_PIECES) && (io->state & RBD_IO_CUT))
			rbd_all_answered(ch, io, ended);
	}
}

/* The last of them may close the channel: nothing of it is touched after that. */
static void tell_ended(struct rbd_channel *ch, struct io_fifo *ended)
{
	struct storage_io *io;

	while ((io = io_fifo_pop(ended))) {
		if (!--ch->requests)
			ch->draining = false;
		io->done(io, io->result);
	}
}

static void channel_deliver(struct reactor_msg *msg)
{
	struct rbd_channel *ch = container_of(msg, struct rbd_channel, msg);
	struct io_fifo ended = {NULL, NULL};
	struct rbd_piece *p, *next, *list = NULL;
	struct rbd_disk *d;
	unsigned news;
	bool last = false, closed;

	pthread_mutex_lock(&ch->lock);
	p = ch->answered;
	ch->answered = NULL;
	ch->posted = false;
	closed = ch->closed;
	if (closed)
		last = !--ch->left;
	pthread_mutex_unlock(&ch->lock);
	if (closed) {
		if (last)
			channel_free(ch);
		return;
	}
	d = rbd_disk_of(ch->base.storage);
	/* Last come, first in the list: the other way round. */
	for (; p; p = next) {
		next = p->next;
		p->next = list;
		list = p;
	}
	for (p = list; p; p = next) {
		next = p->next;
		piece_take(ch, p, &ended);
	}
	news = load_acquire(&d->news);
	if (unlikely(load_acquire(&d->ended)))
		channel_abandon(ch, 0, -ESHUTDOWN, &ended);
	else if (unlikely(news != ch->news))
		channel_abandon(ch, load_acquire(&d->known), -EIO, &ended);
	ch->news = news;
	rbd_issue(ch, &ended);
	tell_ended(ch, &ended);
}

void rbd_submit(struct storage_channel *base, struct storage_io *io)
{
	struct rbd_channel *ch = to_channel(base);
	struct io_fifo ended = {NULL, NULL};

	io->state = 0;
	io->progress = 0;
	io->result = 0;
	ch->requests++;
	io_fifo_push(&ch->waiting, io);
	rbd_issue(ch, &ended);
	tell_ended(ch, &ended);
}

void rbd_drain(struct storage_channel *base, struct storage_drain *d)
{
	struct rbd_channel *ch = to_channel(base);
	struct io_fifo ended = {NULL, NULL};

	ch->draining = ch->requests;
	rbd_issue(ch, &ended);
	tell_ended(ch, &ended);
	if (d)
		d->done(d);
}

/* ---- channels ---- */

int rbd_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
		     struct error *err)
{
	struct rbd_disk *d = rbd_disk_of(s);
	struct rbd_channel *ch = calloc(1, sizeof(*ch));
	int rc = ch ? far_copy_init(&ch->copy) : -ENOMEM;

	if (rc) {
		free(ch);
		return error_set(err, rc, "cannot set up a channel");
	}
	ch->base = (struct storage_channel){.storage = s, .reactor = r};
	ch->msg.run = channel_deliver;
	pthread_mutex_init(&ch->lock, NULL);
	for (unsigned i = 0; i < RBD_PIECES; i++) {
		ch->pieces[i].ch = ch;
		piece_free(ch, &ch->pieces[i]);
	}
	pthread_mutex_lock(&d->lock);
	list_add_tail(&d->channels, &ch->link);
	pthread_mutex_unlock(&d->lock);
	*out = &ch->base;
	return 0;
}

void rbd_channel_close(struct storage_channel *base)
{
	struct rbd_channel *ch = to_channel(base);
	struct rbd_disk *d = rbd_disk_of(base->storage);
	bool last;

	pthread_mutex_lock(&d->lock);
	list_del(&ch->link);
	pthread_mutex_unlock(&d->lock);
	pthread_mutex_lock(&ch->lock);
	ch->closed = true;
	/* Those that are on the list have been answered. */
	for (struct rbd_piece *p = ch->answered; p; p = p->next) {
		d->cluster->lib.rbd_aio_release(p->completion);
		ch->in_flight--;
	}
	ch->left = ch->in_flight + ch->posted;
	last = !ch->left;
	pthread_mutex_unlock(&ch->lock);
	if (last)
		channel_free(ch);
}
