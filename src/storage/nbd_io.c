/* SPDX-License-Identifier: MIT */
/*
 * One connection's requests: cut into commands, completed, repeated.
 *
 * A request is one or more commands: a command for each long piece of its memory, or pieces of a
 * bounce buffer where the memory is in many or odd pieces.  libnbd's completion callbacks only
 * note; nothing of libnbd may be called from there.
 *
 * The request's private fields: progress: bytes for which there is a command, or was; state:
 * commands in flight, and the bits below; result: the first error.
 */
#include "storage/nbd.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

#define IO_COMMANDS   UINT32_C(0xffff)
#define IO_CUT	      (UINT32_C(1) << 16) /* there is a command for every byte         */
#define IO_FLUSHED    (UINT32_C(1) << 17) /* the flush in place of FUA has been asked  */
#define IO_BOUNCES    (UINT32_C(1) << 18)
#define IO_TRY	      (UINT32_C(1) << 24) /* one more, in the upper eight bits         */
#define IO_TRIES(s)   ((s) >> 24)

#define DIRECT_PIECES 32
#define DIRECT_BYTES  4096

void nbd_io_init(struct nbd_link *l)
{
	bounce_init(&l->bounces, 4096);
	for (unsigned i = 0; i < NBD_COMMANDS; i++) {
		l->commands[i].link = l;
		l->commands[i].next = l->idle;
		l->idle = &l->commands[i];
	}
}

void nbd_io_fini(struct nbd_link *l)
{
	bounce_fini(&l->bounces);
}

static void nbd_io_end(struct storage_io *io, int err)
{
	io->result = err;
	nbd_channel_give_back(io);
}

static void command_release(struct nbd_link *l, struct nbd_command *c)
{
	if (c->bounce)
		bounce_put(&l->bounces, c->bounce);
	c->bounce = NULL;
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

/* Whether commands can use the request's memory as it is. */
static bool is_direct(const struct nbd_link *l, const struct storage_io *io)
{
	const uint64_t unit = max_u64(DIRECT_BYTES, l->facts.min_block);

	if (io->iovcnt > DIRECT_PIECES)
		return false;
	for (int i = 0; io->iovcnt > 1 && i < io->iovcnt; i++)
		if (io->iov[i].iov_len % unit)
			return false;
	return true;
}

/* The memory at @skip bytes, and how much of it there is in one piece. */
static void *memory_at(const struct storage_io *io, uint64_t skip, uint64_t *len)
{
	int i = 0;

	while (i + 1 < io->iovcnt && skip >= io->iov[i].iov_len)
		skip -= io->iov[i++].iov_len;
	*len = io->iov[i].iov_len - skip;
	return (uint8_t *)io->iov[i].iov_base + skip;
}

enum sent { SENT, NO_ROOM, NO_MEMORY, FAILED };

/* Hands one command over to libnbd.  It may be answered before this returns. */
static enum sent send_command(struct nbd_link *l, struct nbd_command *c, void *memory)
{
	const nbd_completion_callback cb = {.callback = nbd_command_answered, .user_data = c};
	const struct storage_io *io = c->io;
	const uint32_t fua = (io->flags & STORAGE_FUA) && l->facts.fua ? LIBNBD_CMD_FLAG_FUA : 0;
	const uint64_t at = io->offset + c->skip;
	const bool gives_back = (io->flags & STORAGE_UNMAP) &&
				io->channel->storage->limits.write_zeroes_unmaps;

	switch (c->len ? io->op : STORAGE_FLUSH) {
	case STORAGE_READ:
		return nbd_aio_pread(l->nbd, memory, c->len, at, cb, 0) < 0 ? FAILED : SENT;
	case STORAGE_WRITE:
		return nbd_aio_pwrite(l->nbd, memory, c->len, at, cb, fua) < 0 ? FAILED : SENT;
	case STORAGE_DISCARD:
		return nbd_aio_trim(l->nbd, c->len, at, cb, fua) < 0 ? FAILED : SENT;
	case STORAGE_WRITE_ZEROES:
		return nbd_aio_zero(l->nbd, c->len, at, cb,
				    fua | (gives_back ? 0 : LIBNBD_CMD_FLAG_NO_HOLE)) < 0
			       ? FAILED
			       : SENT;
	case STORAGE_FLUSH:
		return nbd_aio_flush(l->nbd, cb, 0) < 0 ? FAILED : SENT;
	}
	return FAILED;
}

/* The next command of @io: its next piece, or, with nothing left of it, a flush. */
static enum sent issue_one(struct nbd_link *l, struct storage_io *io)
{
	const bool moves = io->op == STORAGE_READ || io->op == STORAGE_WRITE;
	struct nbd_command *c = l->idle;
	uint64_t len = io->op == STORAGE_FLUSH ? 0 : io->len - io->progress;
	void *memory = NULL;
	enum sent sent;

	if (!c)
		return NO_ROOM;
	c->skip = len ? io->progress : l->changes; /* a flush: what it covers */
	if (len && moves && (io->state & IO_BOUNCES)) {
		len = min_u64(len, min_u64(BOUNCE_BYTES, l->facts.max_payload));
		memory = c->bounce = bounce_get(&l->bounces);
		if (!memory)
			return l->in_flight ? NO_ROOM : NO_MEMORY;
		if (io->op == STORAGE_WRITE)
			iov_gather(io->iov, io->iovcnt, io->progress, memory, len);
	} else if (len && moves) {
		memory = memory_at(io, io->progress, &len);
		len = min_u64(len, l->facts.max_payload);
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
	sent = send_command(l, c, memory);
	if (sent == FAILED) {
		/* Not sent, and so not answered: libnbd calls nobody back for it. */
		io->state--;
		io->progress -= len;
		command_release(l, c);
	}
	return sent;
}

static void nbd_io_begin(struct nbd_link *l, struct storage_io *io)
{
	const bool moves = io->op == STORAGE_READ || io->op == STORAGE_WRITE;

	io->state &= ~(IO_CUT | IO_FLUSHED | IO_BOUNCES);
	io->progress = 0;
	io->result = 0;
	if (moves && !is_direct(l, io))
		io->state |= IO_BOUNCES;
}

/* Every piece of it has been answered, well or not. */
static void nbd_io_all_answered(struct nbd_link *l, struct storage_io *io)
{
	if (!io->result && io->op != STORAGE_FLUSH && (io->flags & STORAGE_FUA) &&
	    io->op != STORAGE_READ && !l->facts.fua && l->facts.flush &&
	    !(io->state & IO_FLUSHED)) {
		/* It comes by its turn, as a request without bytes. */
		io->state |= IO_FLUSHED;
		nbd_fifo_push(&l->pending, io);
		return;
	}
	nbd_io_end(io, io->result);
}

/* 0: its commands are all under way; else it waits. */
static int issue_request(struct nbd_link *l, struct storage_io *io)
{
	const bool flush_only = io->op == STORAGE_FLUSH || (io->state & IO_FLUSHED);
	enum sent sent;

	do {
		sent = issue_one(l, io);
		if (sent == NO_ROOM)
			return -EAGAIN;
		if (sent == NO_MEMORY) {
			io->result = -ENOMEM;
			break;
		}
		if (sent == FAILED) {
			/* The link will see that it is dead, and repeat the request. */
			if (nbd_aio_is_dead(l->nbd) || nbd_aio_is_closed(l->nbd))
				return -ENOTCONN;
			io->result = -EIO;
			break;
		}
	} while (!flush_only && !io->result && io->progress < io->len);
	return 0;
}

void nbd_io_issue(struct nbd_link *l)
{
	struct storage_io *io;

	while ((io = l->pending.head)) {
		const bool anew = !(io->state & (IO_COMMANDS | IO_FLUSHED)) && !io->progress;

		if (io->op != STORAGE_FLUSH && (io->offset | io->len) % l->facts.min_block) {
			nbd_fifo_pop(&l->pending);
			nbd_io_end(io, -EINVAL);
			continue;
		}
		if (io->op == STORAGE_FLUSH && !l->facts.flush) {
			nbd_fifo_pop(&l->pending);
			nbd_io_end(io, 0);
			continue;
		}
		if (anew)
			nbd_io_begin(l, io);
		if (issue_request(l, io))
			return;
		nbd_fifo_pop(&l->pending);
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

bool nbd_io_take_answers(struct nbd_link *l)
{
	struct nbd_command *c;

	/* Those that a lost connection brought are sorted by nbd_io_lost(). */
	if (nbd_aio_is_dead(l->nbd) || nbd_aio_is_closed(l->nbd))
		return true;
	for (c = l->answered; c; c = c->next)
		if (is_lost(c->err))
			return false;
	while ((c = l->answered)) {
		struct storage_io *io = c->io;

		l->answered = c->next;
		l->proven = true;
		if (c->err && !io->result)
			io->result = -c->err;
		if (!c->err && !c->len)
			l->stable = max_u64(l->stable, c->skip);
		else if (!c->err && io->op != STORAGE_READ &&
			 !((io->flags & STORAGE_FUA) && l->facts.fua))
			l->changes++;
		if (!c->err && c->bounce && io->op == STORAGE_READ)
			iov_scatter(io->iov, io->iovcnt, c->skip, c->bounce, c->len);
		command_release(l, c);
		io->state--;
		if (!(io->state & IO_COMMANDS) && (io->state & IO_CUT)) {
			io->state &= ~IO_CUT;
			nbd_io_all_answered(l, io);
		}
	}
	return true;
}

static void request_lost(struct storage_io *io, struct nbd_fifo *again)
{
	io->progress = 0;
	io->state &= ~(IO_CUT | IO_FLUSHED);
	if (IO_TRIES(io->state) >= NBD_TRIES) {
		nbd_io_end(io, -EIO);
		return;
	}
	io->state += IO_TRY;
	nbd_fifo_push(again, io);
}

void nbd_io_lost(struct nbd_link *l)
{
	struct nbd_fifo again = {NULL, NULL}, fresh = {NULL, NULL};
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
			request_lost(io, &again);
	}
	while ((io = nbd_fifo_pop(&l->pending))) {
		if (io->progress || (io->state & IO_FLUSHED))
			request_lost(io, &again);
		else
			nbd_fifo_push(&fresh, io);
	}
	nbd_fifo_append(&again, &fresh);
	l->pending = again;
}

void nbd_io_fail(struct nbd_link *l, int err)
{
	struct storage_io *io;

	while ((io = nbd_fifo_pop(&l->pending)))
		nbd_io_end(io, err);
}
