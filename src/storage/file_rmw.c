/* SPDX-License-Identifier: MIT */
/*
 * Requests off the raster of O_DIRECT: reads of more than was asked for, and edits (rmw.h).
 *
 * A request goes in pieces, each as long as a bounce buffer covers:
 *
 *	blocks      |-------|-------|-------|-------|
 *	piece           [start  ..  end)                    what the request is about
 *	cover       [lo         ..          hi)             whole blocks; what the buffer holds
 *
 * A read is one step a piece: the cover.  An edit is up to three: the first block, if the piece
 * begins or ends in it, the last one, if it ends inside that, then the whole cover is written.
 * Zeroing edits only the blocks at its edges, as two pieces; what lies between is zeroed as always.
 *
 * The page cache is not used for this: what it holds of a block next to one that is written
 * directly may be older than that (one folio covers many blocks), and the kernel tells such a
 * meeting as an error of the next sync.
 */
#include "storage/file.h"

#include <errno.h>
#include <string.h>

#define PIECE_STATES (IO_RMW_TAIL | IO_RMW_WRITE)

struct piece {
	uint64_t start, end, lo, hi;
};

static struct piece current_piece(const struct file *f, const struct storage_io *io)
{
	struct piece p = {.start = io->offset + io->progress, .end = io->offset + io->len};

	if (io->state & IO_EDGES) {
		/* Behind the first edge the progress stands at the last one. */
		uint64_t whole = align_up(io->offset, f->align);

		if (!io->progress && io->offset < whole)
			p.end = min_u64(p.end, whole);
	}
	p.lo = align_down(p.start, f->align);
	p.hi = min_u64(align_up(p.end, f->align), p.lo + align_down(BOUNCE_BYTES, f->align));
	p.end = min_u64(p.end, p.hi);
	return p;
}

static bool needs_head(const struct file *f, const struct piece *p)
{
	return p->start != p->lo || p->end < p->lo + f->align;
}

static bool needs_tail(const struct file *f, const struct piece *p)
{
	return p->end != p->hi && p->hi - p->lo > f->align;
}

/* Where the next piece begins: which of its steps is the first. */
static void begin_piece(const struct file *f, struct storage_io *io)
{
	struct piece p = current_piece(f, io);

	io->state &= ~PIECE_STATES;
	if (io->op == STORAGE_READ || needs_head(f, &p))
		return;
	io->state |= needs_tail(f, &p) ? IO_RMW_TAIL : IO_RMW_WRITE;
}

void file_rmw_begin(const struct file *f, struct storage_io *io)
{
	io->state |= IO_RMW;
	if (io->state & IO_EDGES && io->offset == align_down(io->offset, f->align))
		io->progress = align_down(io->len, f->align);
	begin_piece(f, io);
}

size_t file_rmw_fill(const struct file *f, const struct storage_io *io, void **to)
{
	struct piece p = current_piece(f, io);

	*to = (uint8_t *)io->bounce + (p.start - p.lo);
	if (!(io->state & IO_RMW_WRITE))
		return 0;
	if (io->op == STORAGE_WRITE)
		return p.end - p.start;
	memset(*to, 0, p.end - p.start);
	return 0;
}

void file_rmw_step(const struct file *f, const struct storage_io *io, struct file_step *step)
{
	struct piece p = current_piece(f, io);

	*step = (struct file_step){.kind = FILE_READ, .fd = f->fd, .offset = p.lo};
	step->len = io->op == STORAGE_READ ? p.hi - p.lo : f->align;
	if (io->state & IO_RMW_TAIL) {
		step->offset = p.hi - f->align;
	} else if (io->state & IO_RMW_WRITE) {
		step->kind = FILE_WRITE;
		step->len = p.hi - p.lo;
		if (io->op == STORAGE_WRITE && (io->flags & STORAGE_FUA))
			step->rw_flags = RWF_DSYNC;
	}
	step->buf = (uint8_t *)io->bounce + (step->offset - p.lo);
}

static enum file_verdict rmw_done(struct storage_io *io, int result)
{
	io->result = result;
	return FILE_DONE;
}

/* @moved bytes of the cover, whole blocks, have been read or written. */
static enum file_verdict piece_moved(const struct file *f, struct storage_io *io,
				     const struct piece *p, uint64_t moved)
{
	uint64_t end = min_u64(p->lo + moved, p->end);

	/* The file ends here: it was cut off while in use. */
	if (end <= p->start)
		return rmw_done(io, -EIO);
	if (io->op == STORAGE_READ)
		iov_scatter(io->iov, io->iovcnt, io->progress,
			    (const uint8_t *)io->bounce + (p->start - p->lo), end - p->start);
	io->progress = end - io->offset;
	if (io->state & IO_EDGES) {
		/* On to the last edge, or to the end if there is none. */
		uint64_t edge = align_down(io->offset + io->len, f->align);

		io->progress = max_u64(end, edge) - io->offset;
	}
	if (io->progress < io->len) {
		begin_piece(f, io);
		return FILE_MORE;
	}
	if (!(io->state & IO_EDGES))
		return rmw_done(io, 0);
	io->progress = 0;
	io->state &= ~(IO_RMW | PIECE_STATES);
	return file_io_edges_done(f, io);
}

enum file_verdict file_rmw_advance(const struct file *f, struct storage_io *io, int res)
{
	struct piece p = current_piece(f, io);
	uint64_t moved;

	if (res < 0)
		return rmw_done(io, res);
	moved = align_down((uint64_t)res, f->align);
	if (io->op == STORAGE_READ || io->state & IO_RMW_WRITE)
		return piece_moved(f, io, &p, moved);
	/* A block that is there in part only must not be written back whole. */
	if (moved != f->align)
		return rmw_done(io, -EIO);
	if (!(io->state & IO_RMW_TAIL) && needs_tail(f, &p)) {
		io->state |= IO_RMW_TAIL;
		return FILE_MORE;
	}
	io->state = (io->state & ~IO_RMW_TAIL) | IO_RMW_WRITE;
	return FILE_MORE;
}
