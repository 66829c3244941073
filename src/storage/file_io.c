/* SPDX-License-Identifier: MIT */
/*
 * One request as a row of steps.
 *
 *	begin -> step -> (the kernel) -> advance -+-> done
 *	           ^                              |
 *	           +------- more, again ----------+
 *
 * Most requests are one step.  More are needed after a short transfer, for what is bounced or
 * zeroed in pieces, for a sync behind a discard or zeroing that has to be stable, for a secure
 * erase (file_erase.c), and for what is finer than O_DIRECT takes (file_rmw.c).
 */
#include "base/atomic.h"
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The kernel moves no more than about 2 GiB at once, and the ring's length field has 32 bits. */
#define STEP_MAX   (UINT64_C(1) << 30)

#define ZERO_BYTES (64u << 10)
#define ZERO_REPS  16

static const uint8_t zeroes[ZERO_BYTES] __attribute__((aligned(ZERO_ALIGN)));

#define ZERO_IOV                                      \
	{                                             \
		(void *)(uintptr_t)zeroes, ZERO_BYTES \
	}
#define ZERO_IOV4 ZERO_IOV, ZERO_IOV, ZERO_IOV, ZERO_IOV
static const struct iovec zero_iov[ZERO_REPS] = {ZERO_IOV4, ZERO_IOV4, ZERO_IOV4, ZERO_IOV4};

static bool off_raster(const struct storage_io *io, uint64_t align)
{
	return (io->offset | io->len) & (align - 1);
}

/* The part of a zeroing that is whole blocks; without edges that is all of it. */
static uint64_t whole_blocks(const struct file *f, const struct storage_io *io, uint64_t *offset)
{
	uint64_t end = io->offset + io->len;

	*offset = io->offset;
	if (!(io->state & IO_EDGES))
		return io->len;
	*offset = align_up(io->offset, f->align);
	end = align_down(end, f->align);
	return end > *offset ? end - *offset : 0;
}

static uint32_t zeroing_way(const struct file *f, const struct storage_io *io)
{
	uint32_t edges = 0;

	if (off_raster(io, f->zero_align)) {
		if (!f->coarse)
			return IO_ZERO_WRITE;
		edges = IO_EDGES;
	}
	/* Whatever the file system would do in the place of writing leaves what was there. */
	if (io->op == STORAGE_SECURE_ERASE)
		return IO_ZERO_WRITE | edges;
	if ((io->flags & STORAGE_UNMAP) && f->base.limits.write_zeroes_unmaps)
		return IO_PUNCH | edges;
	return (read_once(&f->no_zero_range) ? IO_ZERO_WRITE : IO_ZERO_RANGE) | edges;
}

static unsigned begin_edit(const struct file *f, struct storage_io *io)
{
	file_rmw_begin(f, io);
	return FILE_NEEDS_BOUNCE | (io->op == STORAGE_READ ? 0 : FILE_NEEDS_BLOCKS);
}

static unsigned begin_rw(const struct file *f, struct storage_io *io)
{
	unsigned needs;

	if (likely(!f->direct))
		return 0;
	if (unlikely(off_raster(io, f->align)))
		return begin_edit(f, io);
	needs = f->coarse && io->op == STORAGE_WRITE ? FILE_NEEDS_BLOCKS : 0;
	if (iov_is_aligned(io->iov, io->iovcnt, f->mem_align, f->align))
		return needs;
	io->state = IO_BOUNCE;
	return needs | FILE_NEEDS_BOUNCE;
}

/* A discard of what is finer than a block promises nothing, so it is not done. */
static void discarded(const struct file *f, const struct storage_io *io, uint64_t *offset,
		      uint64_t *len)
{
	uint64_t end = align_down(io->offset + io->len, f->zero_align);

	*offset = align_up(io->offset, f->zero_align);
	*len = end > *offset ? end - *offset : 0;
}

static unsigned begin_zeroing(const struct file *f, struct storage_io *io)
{
	io->state = zeroing_way(f, io);
	if (io->op == STORAGE_SECURE_ERASE && f->may_share)
		io->state |= IO_LOOK;
	if (io->state & IO_EDGES)
		return begin_edit(f, io);
	return f->coarse ? FILE_NEEDS_BLOCKS : 0;
}

unsigned file_io_begin(struct file *f, struct storage_io *io)
{
	uint64_t offset, len;

	io->progress = 0;
	io->bounce = NULL;
	io->state = 0;
	switch (io->op) {
	case STORAGE_READ:
	case STORAGE_WRITE:
		return begin_rw(f, io);
	case STORAGE_WRITE_ZEROES:
		return begin_zeroing(f, io);
	case STORAGE_SECURE_ERASE:
		return f->overwrites ? begin_zeroing(f, io) : 0;
	case STORAGE_DISCARD:
		discarded(f, io, &offset, &len);
		return len ? 0 : FILE_IS_NOTHING;
	default:
		break;
	}
	return 0;
}

static void step_rw(const struct file *f, const struct storage_io *io, struct file_step *step)
{
	uint64_t left = io->len - io->progress;
	const struct iovec *iov = io->iov;
	int n = io->iovcnt;

	step->kind = io->op == STORAGE_READ ? FILE_READ : FILE_WRITE;
	step->fd = f->fd;
	step->rw_flags = io->op == STORAGE_WRITE && (io->flags & STORAGE_FUA) ? RWF_DSYNC : 0;
	step->offset = io->offset + io->progress;
	step->iovcnt = 0;
	if (io->state & IO_BOUNCE) {
		step->buf = io->bounce;
		step->len = min_u64(left, BOUNCE_BYTES);
		return;
	}
	if (unlikely(io->progress)) {
		iov += io->cut;
		n -= io->cut;
	}
	if (n == 1) {
		step->buf = iov->iov_base;
		step->len = min_u64(left, STEP_MAX);
		return;
	}
	step->iov = iov;
	step->iovcnt = n < IOV_MAX ? n : IOV_MAX;
	step->len = left;
}

static void step_zero_write(const struct file *f, const struct storage_io *io,
			    struct file_step *step)
{
	uint64_t offset, left = whole_blocks(f, io, &offset) - io->progress;
	uint64_t whole = left / ZERO_BYTES;

	step->kind = FILE_WRITE;
	step->fd = f->fd;
	step->rw_flags = 0;
	step->offset = offset + io->progress;
	if (whole > 1) {
		step->iov = zero_iov;
		step->iovcnt = (int)min_u64(whole, ZERO_REPS);
		step->len = (uint64_t)step->iovcnt * ZERO_BYTES;
		return;
	}
	step->iovcnt = 0;
	step->buf = (void *)(uintptr_t)zeroes;
	step->len = whole ? ZERO_BYTES : left;
}

static void step_sync(const struct file *f, struct file_step *step)
{
	step->kind = FILE_SYNC;
	step->fd = f->fd;
}

static void step_look(const struct file *f, const struct storage_io *io, struct file_step *step)
{
	step->kind = FILE_LOOK_SHARED;
	step->fd = f->fd;
	step->offset = io->offset;
	step->len = io->len;
}

static void step_lifetime(const struct file *f, const struct storage_io *io, struct file_step *step)
{
	step->kind = FILE_LIFETIME;
	step->fd = f->life_dir;
	step->mode = (int)f->life_kind;
	step->buf = io->iov->iov_base;
}

void file_io_step(const struct file *f, const struct storage_io *io, struct file_step *step)
{
	if (io->state & (IO_SYNC | IO_RMW | IO_LOOK)) {
		if (io->state & IO_LOOK)
			step_look(f, io, step);
		else if (io->state & IO_RMW)
			file_rmw_step(f, io, step);
		else
			step_sync(f, step);
		return;
	}
	switch (io->op) {
	case STORAGE_READ:
	case STORAGE_WRITE:
		step_rw(f, io, step);
		return;
	case STORAGE_FLUSH:
		step_sync(f, step);
		return;
	case STORAGE_LIFETIME:
		step_lifetime(f, io, step);
		return;
	default:
		break;
	}
	if (io->state & IO_ZERO_WRITE) {
		step_zero_write(f, io, step);
		return;
	}
	step->fd = f->fd;
	step->kind = FILE_FALLOCATE;
	if (io->op == STORAGE_SECURE_ERASE) {
		step->kind = FILE_BLKSECDISCARD;
		step->offset = io->offset;
		step->len = io->len;
		return;
	}
	if (io->op == STORAGE_DISCARD) {
		discarded(f, io, &step->offset, &step->len);
		if (f->block_device)
			step->kind = FILE_BLKDISCARD;
	} else {
		step->len = whole_blocks(f, io, &step->offset);
	}
	step->mode = FALLOC_FL_KEEP_SIZE |
		     (io->state & IO_ZERO_RANGE ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE);
}

static enum file_verdict done(struct storage_io *io, int result)
{
	io->result = result;
	return FILE_DONE;
}

/* A discard, zeroing or erasing has reached the file; it may have to be stable. */
static enum file_verdict changed(struct storage_io *io)
{
	if (!(io->flags & STORAGE_FUA) && io->op != STORAGE_SECURE_ERASE)
		return done(io, 0);
	io->state |= IO_SYNC;
	return FILE_MORE;
}

enum file_verdict file_io_edges_done(const struct file *f, struct storage_io *io)
{
	uint64_t offset;

	return whole_blocks(f, io, &offset) ? FILE_MORE : changed(io);
}

/* The caller's memory from io->progress + @moved on; @moved 0: it is whole again. */
static void move_on(struct storage_io *io, uint64_t moved)
{
	if (io->progress)
		iov_uncut(io->iov, io->cut, io->progress);
	if (moved)
		io->cut = iov_cut(io->iov, io->iovcnt, io->progress + moved);
}

/* Whether steps read or write the caller's own memory. */
static bool is_plain_rw(const struct storage_io *io)
{
	return io->op <= STORAGE_WRITE && !(io->state & (IO_BOUNCE | IO_RMW));
}

static enum file_verdict rw_done(struct storage_io *io, int result)
{
	if (is_plain_rw(io))
		move_on(io, 0);
	return done(io, result);
}

static enum file_verdict advance_rw(const struct file *f, struct storage_io *io, int res)
{
	uint64_t moved = (uint64_t)res, all = io->len, offset;

	if (likely(moved == io->len && !(io->state & (IO_BOUNCE | IO_ZERO_WRITE))))
		return done(io, 0);
	if (io->state & IO_EDGES)
		all = whole_blocks(f, io, &offset);
	/* O_DIRECT cannot go on in the middle of a block: that part is done once more. */
	if (f->direct)
		moved = align_down(moved, f->align);
	moved = min_u64(moved, all - io->progress);
	/* The file ends here: it was cut off while in use. */
	if (!moved)
		return rw_done(io, -EIO);
	if (io->state & IO_BOUNCE) {
		if (io->op == STORAGE_READ)
			iov_scatter(io->iov, io->iovcnt, io->progress, io->bounce, moved);
	} else if (!(io->state & IO_ZERO_WRITE)) {
		move_on(io, io->progress + moved < all ? moved : 0);
	}
	io->progress += moved;
	if (io->progress < all)
		return FILE_MORE;
	return io->state & IO_ZERO_WRITE ? changed(io) : done(io, 0);
}

static enum file_verdict advance_fallocate(struct file *f, struct storage_io *io, int res)
{
	if (!res)
		return changed(io);
	if (res != -EOPNOTSUPP || io->op == STORAGE_DISCARD)
		return done(io, res);
	if (io->state & IO_PUNCH) {
		io->state = (io->state & ~IO_PUNCH) | IO_ZERO_RANGE;
		return FILE_MORE;
	}
	/* Asking once is enough. */
	write_once(&f->no_zero_range, true);
	io->state = (io->state & ~IO_ZERO_RANGE) | IO_ZERO_WRITE;
	return FILE_MORE;
}

static enum file_verdict advance_look(struct file *f, struct storage_io *io, int res)
{
	io->state &= ~IO_LOOK;
	if (!res)
		return FILE_MORE;
	if (res > 0)
		file_erase_say_shared(f);
	return done(io, res > 0 ? -EOPNOTSUPP : res);
}

/* What is neither read nor write. */
static enum file_verdict advance_other(struct file *f, struct storage_io *io, int res)
{
	if (io->op == STORAGE_FLUSH || io->op == STORAGE_LIFETIME || (io->state & IO_SYNC))
		return done(io, res);
	if (io->op == STORAGE_DISCARD || (io->state & (IO_PUNCH | IO_ZERO_RANGE)))
		return advance_fallocate(f, io, res);
	if (unlikely(res < 0))
		return rw_done(io, res);
	/* By the device. */
	return io->state & IO_ZERO_WRITE ? advance_rw(f, io, res) : changed(io);
}

enum file_verdict file_io_advance(struct file *f, struct storage_io *io, int res)
{
	if (unlikely(res == -EINTR))
		return FILE_MORE;
	if (unlikely(res == -EAGAIN))
		return FILE_AGAIN;
	if (unlikely(io->state & (IO_RMW | IO_LOOK)))
		return io->state & IO_LOOK ? advance_look(f, io, res)
					   : file_rmw_advance(f, io, res);
	if (unlikely(io->op > STORAGE_WRITE))
		return advance_other(f, io, res);
	if (unlikely(res < 0))
		return rw_done(io, res);
	return advance_rw(f, io, res);
}

static ssize_t run_rw(const struct file_step *step)
{
	const struct iovec one = {step->buf, step->len};
	const struct iovec *iov = step->iovcnt ? step->iov : &one;
	int n = step->iovcnt ? step->iovcnt : 1;

	if (step->kind == FILE_READ)
		return preadv2(step->fd, iov, n, (off_t)step->offset, step->rw_flags);
	return pwritev2(step->fd, iov, n, (off_t)step->offset, step->rw_flags);
}

int file_io_run(const struct file_step *step)
{
	uint64_t range[2] = {step->offset, step->len};
	ssize_t rc = -1;

	switch (step->kind) {
	case FILE_READ:
	case FILE_WRITE:
		rc = run_rw(step);
		break;
	case FILE_FALLOCATE:
		rc = fallocate(step->fd, step->mode, (off_t)step->offset, (off_t)step->len);
		break;
	case FILE_BLKDISCARD:
		rc = step->len ? ioctl(step->fd, BLKDISCARD, range) : 0;
		break;
	case FILE_BLKSECDISCARD:
		rc = ioctl(step->fd, BLKSECDISCARD, range);
		break;
	case FILE_LOOK_SHARED:
		return file_erase_look(step->fd, step->offset, step->len);
	case FILE_LIFETIME:
		return file_life_read(step->fd, (enum file_life_kind)step->mode, step->buf);
	case FILE_SYNC:
		rc = fdatasync(step->fd);
		break;
	}
	return rc < 0 ? -errno : (int)rc;
}
