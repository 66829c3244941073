/* SPDX-License-Identifier: MIT */
/*
 * One connection's requests: cut into commands, completed, repeated.
 *
 * A request is one or more commands.  Data goes by a buffer of the command's: a guest's memory may
 * go away at any time, and TLS would touch it on a thread that no gmem_guard covers, or the kernel
 * would break off in the middle of a message.  libnbd's completion callbacks only note; nothing of
 * libnbd may be called from there.
 *
 * The request's private fields: progress: bytes for which there is a command, or was; state:
 * commands in flight, and the bits below; result: the first error.
 */
#include "storage/nbd.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IO_COMMANDS UINT32_C(0xffff)
#define IO_CUT	    (UINT32_C(1) << 16) /* there is a command for every byte         */
#define IO_FLUSHED  (UINT32_C(1) << 17) /* the flush in place of FUA has been asked  */
#define IO_LEADS    (UINT32_C(1) << 18) /* it is the disk's flush that is under way  */
#define IO_TRY	    (UINT32_C(1) << 24) /* one more, in the upper eight bits         */
#define IO_TRIES(s) ((s) >> 24)

void nbd_io_init(struct nbd_link *l)
{
	for (unsigned i = 0; i < NBD_COMMANDS; i++) {
		l->commands[i].link = l;
		l->commands[i].next = l->idle;
		l->idle = &l->commands[i];
	}
}

void nbd_io_fini(struct nbd_link *l)
{
	for (unsigned i = 0; i < NBD_COMMANDS; i++)
		free(l->commands[i].data);
}

static bool flushes(const struct storage_io *io)
{
	return io->op == STORAGE_FLUSH || (io->state & IO_FLUSHED);
}

/* The disk's first link. */
static struct nbd_link *first_link(struct nbd_link *l)
{
	return l->main ? l->main : l;
}

/*
 * @io led the disk's flush, for those, too, that shared it.  Returns what that means.  Where no server
 * has said so (it is given up; or it was lost, and was to write once more) nothing is told of a
 * flush: they ask again.
 */
static int nbd_flush_leave(struct nbd_link *l, const struct storage_io *io, int err, bool said)
{
	const bool flushed = said && flushes(io);
	struct storage_io *other, *next;
	struct io_fifo told;
	int rc = file_sync_leave(&first_link(l)->sync, err, &told, &next);

	while ((other = io_fifo_pop(&told))) {
		other->result = rc;
		if (flushed)
			nbd_channel_give_back(other);
		else
			nbd_link_pass(first_link(l), other);
	}
	if (next) {
		next->state |= IO_LEADS;
		nbd_link_pass(first_link(l), next);
	}
	return flushed ? rc : err;
}

static void nbd_io_end(struct nbd_link *l, struct storage_io *io, int err)
{
	if (io->state & IO_LEADS)
		err = nbd_flush_leave(l, io, err, true);
	io->result = err;
	nbd_channel_give_back(io);
}

/* No server has answered it. */
static void nbd_io_give_up(struct nbd_link *l, struct storage_io *io, int err)
{
	if (io->state & IO_LEADS)
		(void)nbd_flush_leave(l, io, err, false);
	io->result = err;
	nbd_channel_give_back(io);
}

static void command_release(struct nbd_link *l, struct nbd_command *c)
{
	c->io = NULL;
	c->next = l->idle;
	l->idle = c;
	l->in_flight--;
}

static int nbd_command_answered(void *opaque, int *error)
{
	struct nbd_command *c = opaque;

	c->err = *error;
	c->next = c->link->answered;
	c->link->answered = c;
	return 1;
}

/* Room for @len bytes, kept for the commands that come after it. */
static bool command_get_room(struct nbd_command *c, uint32_t len)
{
	const uint32_t room = len > NBD_DATA / 8 ? NBD_DATA : NBD_DATA / 8;

	if (c->room >= len)
		return true;
	free(c->data);
	c->data = malloc(room);
	c->room = c->data ? room : 0;
	return c->data;
}

/*
 * Where the server takes whole blocks of more than 512 bytes, a command covers those of its bytes
 * and a few more at both ends; a write of such is an edit: read, changed, written.  Requests that
 * change one block wait for each other, so an edit loses nobody's change: those of a coarse server
 * all come by one connection.
 */
static bool is_coarse(const struct nbd_link *l)
{
	return l->facts.min_block > 512;
}

static bool changes(const struct storage_io *io)
{
	return io->op != STORAGE_READ && io->op != STORAGE_FLUSH;
}

/* Another one that changes the same blocks is under way. */
static bool has_rival(const struct nbd_link *l, const struct storage_io *io)
{
	const uint64_t block = l->facts.min_block;
	const uint64_t from = align_down(io->offset, block);
	const uint64_t len = align_up(io->offset + io->len, block) - from;

	for (unsigned i = 0; i < NBD_COMMANDS; i++) {
		const struct storage_io *o = l->commands[i].io;

		if (o && o != io && changes(o) && l->commands[i].len &&
		    ranges_overlap(from, len, align_down(o->offset, block),
				   align_up(o->offset + o->len, block) -
					   align_down(o->offset, block)))
			return true;
	}
	return false;
}

/* What of a request is asked of the server: of a discard the whole blocks. */
static uint64_t asked_from(const struct nbd_link *l, const struct storage_io *io)
{
	return io->op == STORAGE_DISCARD ? align_up(io->offset, l->facts.min_block) - io->offset
					 : 0;
}

static uint64_t asked_to(const struct nbd_link *l, const struct storage_io *io)
{
	uint64_t end = io->offset + io->len;

	if (io->op == STORAGE_DISCARD)
		end = align_down(end, l->facts.min_block);
	return end > io->offset ? end - io->offset : 0;
}

enum sent { SENT, NO_ROOM, SPOILT, FAILED };

/* Hands one command over to libnbd.  It may be answered before this returns. */
static enum sent send_command(struct nbd_link *l, struct nbd_command *c)
{
	const nbd_completion_callback cb = {.callback = nbd_command_answered, .user_data = c};
	const struct storage_io *io = c->io;
	const uint32_t fua = (io->flags & STORAGE_FUA) && l->facts.fua ? LIBNBD_CMD_FLAG_FUA : 0;
	const uint64_t at = io->offset + c->skip - c->lead;
	const bool gives_back = (io->flags & STORAGE_UNMAP) &&
				io->channel->storage->limits.write_zeroes_unmaps;

	if (c->edits)
		return l->lib.nbd_aio_pread(l->nbd, c->data, c->span, at, cb, 0) < 0 ? FAILED
										     : SENT;
	switch (c->len ? io->op : STORAGE_FLUSH) {
	case STORAGE_READ:
		return l->lib.nbd_aio_pread(l->nbd, c->data, c->span, at, cb, 0) < 0 ? FAILED
										     : SENT;
	case STORAGE_WRITE:
		return l->lib.nbd_aio_pwrite(l->nbd, c->data, c->span, at, cb, fua) < 0 ? FAILED
											: SENT;
	case STORAGE_DISCARD:
		return l->lib.nbd_aio_trim(l->nbd, c->len, at, cb, fua) < 0 ? FAILED : SENT;
	case STORAGE_WRITE_ZEROES:
		return l->lib.nbd_aio_zero(l->nbd, c->len, at, cb,
					   fua | (gives_back ? 0 : LIBNBD_CMD_FLAG_NO_HOLE)) < 0
			       ? FAILED
			       : SENT;
	case STORAGE_FLUSH:
		return l->lib.nbd_aio_flush(l->nbd, cb, 0) < 0 ? FAILED : SENT;
	default:
		return FAILED;
	}
}

/* ---- flushes that fail ---- */

/* 0, or the error of every flush of this disk. */
static int disk_lost(const struct nbd_link *l)
{
	return load_acquire(l->main ? &l->main->sync.lost : &l->sync.lost);
}

/*
 * Whether the server may have told of data that it has given up: any flush that fails but for want
 * of memory or of the command, and a change that was to be stable at once.
 */
static bool tells_of_loss(const struct nbd_link *l, const struct nbd_command *c)
{
	if (!c->len)
		return c->err != ENOMEM && c->err != EINVAL && c->err != EOPNOTSUPP;
	return c->err == EIO && changes(c->io) && !c->edits && (c->io->flags & STORAGE_FUA) &&
	       l->facts.fua;
}

static void note_loss(struct nbd_link *l, int err)
{
	if (file_sync_lose(&first_link(l)->sync, -err))
		log_err(l->way.name,
			"the server could not make data stable (%s), and may have given them up: "
			"each flush fails until the disk is opened anew",
			strerror(err));
}

/* ---- commands, continued ---- */

/* The next command of @io: its next piece, or, with nothing left of it, a flush. */
static enum sent issue_one(struct nbd_link *l, struct storage_io *io)
{
	const bool moves = io->op == STORAGE_READ || io->op == STORAGE_WRITE;
	struct nbd_command *c = l->idle;
	uint64_t len = flushes(io) ? 0 : asked_to(l, io) - io->progress;
	enum sent sent;
	int rc = 0;

	if (!c)
		return NO_ROOM;
	c->skip = len ? io->progress : l->changes; /* a flush: what it covers */
	c->lead = 0;
	c->edits = false;
	if (len && moves) {
		const uint64_t at = io->offset + io->progress, block = l->facts.min_block;

		c->lead = (uint32_t)(at - align_down(at, block));
		len = min_u64(len, min_u64(NBD_DATA, l->facts.max_payload) - c->lead);
		c->span = (uint32_t)align_up(c->lead + len, block);
		c->edits = io->op == STORAGE_WRITE && c->span != len;
		if (!command_get_room(c, c->span))
			rc = -ENOMEM;
		else if (io->op == STORAGE_WRITE && !c->edits)
			rc = far_copy_in(&l->copy, io->iov, io->iovcnt, c->skip, c->data, len);
		if (rc) {
			io->result = rc;
			return SPOILT;
		}
	} else {
		len = min_u64(len, NBD_RUN);
	}
	l->idle = c->next;
	l->in_flight++;
	c->io = io;
	c->len = (uint32_t)len;
	c->err = 0;
	io->state++;
	io->progress += len;
	sent = send_command(l, c);
	if (sent == FAILED) {
		/* Not sent, and so not answered: libnbd calls nobody back for it. */
		io->state--;
		io->progress -= len;
		command_release(l, c);
	}
	return sent;
}

static void nbd_io_begin(const struct nbd_link *l, struct storage_io *io)
{
	io->state &= ~(IO_CUT | IO_FLUSHED);
	io->progress = asked_from(l, io);
	io->result = 0;
}

/* Every piece of it has been answered, well or not. */
static void nbd_io_all_answered(struct nbd_link *l, struct storage_io *io)
{
	if (!io->result && changes(io) && (io->flags & STORAGE_FUA) && !l->facts.fua &&
	    l->facts.flush && !(io->state & IO_FLUSHED)) {
		/* It comes by its turn, as a request without bytes. */
		io->state |= IO_FLUSHED;
		io_fifo_push(&l->pending, io);
		return;
	}
	nbd_io_end(l, io, io->result);
}

/* 0: its commands are all under way; else it waits. */
static int issue_request(struct nbd_link *l, struct storage_io *io)
{
	const bool flush_only = flushes(io);
	enum sent sent;

	/* A piece of it has failed: the rest need not be done. */
	if (io->result)
		return 0;
	do {
		sent = issue_one(l, io);
		if (sent == NO_ROOM)
			return -EAGAIN;
		if (sent == SPOILT)
			break;
		if (sent == FAILED) {
			/* The link will see that it is dead, and repeat the request. */
			if (l->lib.nbd_aio_is_dead(l->nbd) || l->lib.nbd_aio_is_closed(l->nbd))
				return -ENOTCONN;
			io->result = -EIO;
			break;
		}
	} while (!flush_only && !io->result && io->progress < asked_to(l, io));
	return 0;
}

void nbd_io_issue(struct nbd_link *l)
{
	struct storage_io *io;

	while ((io = l->pending.head)) {
		const bool anew = !(io->state & (IO_COMMANDS | IO_FLUSHED)) && !io->progress;

		/* Zeroes of less than a block are not offered where they are not to be had. */
		if (io->op == STORAGE_WRITE_ZEROES && (io->offset | io->len) % l->facts.min_block) {
			io_fifo_pop(&l->pending);
			nbd_io_end(l, io, -EINVAL);
			continue;
		}
		if (flushes(io) && disk_lost(l)) {
			io_fifo_pop(&l->pending);
			nbd_io_end(l, io, disk_lost(l));
			continue;
		}
		if ((io->op == STORAGE_FLUSH && !l->facts.flush) ||
		    (io->op == STORAGE_DISCARD && asked_from(l, io) >= asked_to(l, io))) {
			io_fifo_pop(&l->pending);
			nbd_io_end(l, io, 0);
			continue;
		}
		if (flushes(io) && !(io->state & IO_LEADS)) {
			io_fifo_pop(&l->pending);
			/* When it waits it may have been told already: not to be touched. */
			if (file_sync_join(&first_link(l)->sync, io)) {
				io->state |= IO_LEADS;
				io_fifo_push_front(&l->pending, io);
			}
			continue;
		}
		if (anew && is_coarse(l) && changes(io) && has_rival(l, io))
			return;
		if (anew)
			nbd_io_begin(l, io);
		if (issue_request(l, io))
			return;
		io_fifo_pop(&l->pending);
		io->state |= IO_CUT;
		if (!(io->state & IO_COMMANDS))
			nbd_io_all_answered(l, io);
	}
}

/* errnos of a connection that is no more: the answer is none of the disk's. */
static bool is_lost(int err)
{
	return err == ENOTCONN || err == ESHUTDOWN || err == ECONNRESET || err == EPIPE;
}

/* The first half of an edit has been answered: true if the second half is under way, or lost. */
static bool edit_goes_on(struct nbd_link *l, struct nbd_command *c)
{
	struct storage_io *io = c->io;
	int rc;

	c->edits = false;
	rc = far_copy_in(&l->copy, io->iov, io->iovcnt, c->skip, (uint8_t *)c->data + c->lead,
			 c->len);
	if (!rc && (send_command(l, c) == SENT || l->lib.nbd_aio_is_dead(l->nbd) ||
		    l->lib.nbd_aio_is_closed(l->nbd)))
		return true;
	if (!io->result)
		io->result = rc ? rc : -EIO;
	return false;
}

bool nbd_io_take_answers(struct nbd_link *l)
{
	struct nbd_command *c;

	while ((c = l->answered)) {
		struct storage_io *io = c->io;

		/*
		 * Those that a lost connection brought are sorted by nbd_io_lost(): what is sent
		 * below may have been the end of it, so this is looked at for each.
		 */
		if (l->lib.nbd_aio_is_dead(l->nbd) || l->lib.nbd_aio_is_closed(l->nbd))
			return true;
		if (is_lost(c->err))
			return false;
		l->answered = c->next;
		l->proven = true;
		if (c->edits && !c->err) {
			if (edit_goes_on(l, c))
				continue;
			command_release(l, c);
			goto piece_over;
		}
		if (c->err && tells_of_loss(l, c))
			note_loss(l, c->err);
		/* A write that was to be stable may have told of a loss meanwhile. */
		if (!c->err && !c->len && disk_lost(l))
			c->err = -disk_lost(l);
		if (c->err && !io->result)
			io->result = -c->err;
		if (!c->err && !c->len)
			l->stable = max_u64(l->stable, c->skip);
		else if (!c->err && changes(io) && !((io->flags & STORAGE_FUA) && l->facts.fua))
			l->changes++;
		if (!c->err && io->op == STORAGE_READ && !io->result)
			io->result = far_copy_out(&l->copy, io->iov, io->iovcnt, c->skip,
						  (uint8_t *)c->data + c->lead, c->len);
		command_release(l, c);
piece_over:
		io->state--;
		if (!(io->state & IO_COMMANDS) && (io->state & IO_CUT)) {
			io->state &= ~IO_CUT;
			nbd_io_all_answered(l, io);
		}
	}
	return true;
}

static void request_lost(struct nbd_link *l, struct storage_io *io, struct io_fifo *again)
{
	io->progress = 0;
	io->state &= ~(IO_CUT | IO_FLUSHED);
	if (IO_TRIES(io->state) >= NBD_TRIES) {
		nbd_io_give_up(l, io, -EIO);
		return;
	}
	io->state += IO_TRY;
	io_fifo_push(again, io);
}

void nbd_io_lost(struct nbd_link *l)
{
	struct io_fifo again = {NULL, NULL}, fresh = {NULL, NULL};
	struct storage_io *io;

	l->answered = NULL;
	/* Those that were only begun are pending still. */
	for (unsigned i = 0; i < NBD_COMMANDS; i++) {
		struct nbd_command *c = &l->commands[i];

		io = c->io;
		if (!io)
			continue;
		command_release(l, c);
		io->state--;
		if (!(io->state & IO_COMMANDS) && (io->state & IO_CUT))
			request_lost(l, io, &again);
	}
	while ((io = io_fifo_pop(&l->pending))) {
		if (io->progress || (io->state & IO_FLUSHED))
			request_lost(l, io, &again);
		else
			io_fifo_push(&fresh, io);
	}
	io_fifo_append(&again, &fresh);
	l->pending = again;
}

void nbd_io_fail(struct nbd_link *l, bool (*which)(const struct storage_io *io), int err)
{
	struct io_fifo all = l->pending;
	struct io_fifo shared = {NULL, NULL};
	struct storage_io *io;

	l->pending.head = NULL;
	while ((io = io_fifo_pop(&all))) {
		if (!which || which(io))
			nbd_io_give_up(l, io, err);
		else
			io_fifo_push(&l->pending, io);
	}
	/* Flushes that share one which waits here, too. */
	if (!which || l->main)
		return;
	file_sync_withdraw(&l->sync, which, &shared);
	while ((io = io_fifo_pop(&shared))) {
		io->result = err;
		nbd_channel_give_back(io);
	}
}
