/* SPDX-License-Identifier: MIT */
/* What the file below can do: alignment, block sizes, holes.  Nothing here changes a byte of it. */
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BLOCK_MIN   512u
#define BLOCK_MAX   65536u
#define PROBE_BYTES 4096u
#define PUNCH_UNIT  4096u

int file_probe_size(int fd, bool block_device, uint64_t *size)
{
	struct stat st;

	if (block_device)
		return ioctl(fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return 0;
}

/* A word that the kernel shows of a block device's queue; empty where there is none.  A partition's
 * queue is its disk's. */
static void queue_word(const char *sysfs, const struct stat *st, const char *name, char word[32])
{
	static const char *const places[] = {"", "../"};

	*word = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *path;
		FILE *in;

		if (asprintf(&path, "%s/dev/block/%u:%u/%squeue/%s", sysfs ? sysfs : "/sys",
			     major(st->st_rdev), minor(st->st_rdev), places[i], name) < 0)
			break;
		in = fopen(path, "re");
		free(path);
		if (!in)
			continue;
		if (fscanf(in, "%31s", word) != 1)
			*word = '\0';
		fclose(in);
		break;
	}
}

static uint64_t queue_fact(const char *sysfs, const struct stat *st, const char *name)
{
	char word[32];

	queue_word(sysfs, st, name, word);
	return strtoull(word, NULL, 10);
}

/* Such a disk is written at its write pointers alone, and keeps no order of what is in flight: no
 * plain disk can be made of it. */
static int refuse_zones(const struct file *f, const struct storage_options *o,
			const struct stat *st, struct error *err)
{
	char model[32];

	queue_word(o->sysfs, st, "zoned", model);
	if (o->readonly || strcmp(model, "host-managed") != 0)
		return 0;
	return error_set(err, -EOPNOTSUPP,
			 "%s is a disk of host-managed zones, which cannot be served; readonly=on "
			 "serves what is on it.",
			 f->path);
}

static uint32_t sane_block(uint64_t v, uint32_t otherwise)
{
	return is_pow2(v) && v >= BLOCK_MIN && v <= UINT32_MAX ? (uint32_t)v : otherwise;
}

/* Older kernels do not tell the alignment: see what they take. */
static int try_alignment(struct file *f)
{
	void *buf = aligned_alloc(PROBE_BYTES, PROBE_BYTES);
	ssize_t n = -1;

	if (!buf)
		return -ENOMEM;
	f->align = BLOCK_MIN;
	n = pread(f->fd, buf, f->align, 0);
	if (n < 0 && errno == EINVAL) {
		f->align = PROBE_BYTES;
		n = pread(f->fd, buf, f->align, 0);
	}
	f->mem_align = f->align;
	free(buf);
	return n < 0 ? -errno : 0;
}

static int find_alignment(struct file *f, uint32_t logical_block)
{
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (!statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) &&
	    (sx.stx_mask & STATX_DIOALIGN)) {
		if (!sx.stx_dio_offset_align || !sx.stx_dio_mem_align)
			return -EINVAL;
		f->align = (uint32_t)max_u64(sx.stx_dio_offset_align, BLOCK_MIN);
		f->mem_align = sx.stx_dio_mem_align;
		return 0;
	}
#endif
	if (f->block_device) {
		f->align = f->mem_align = logical_block;
		return 0;
	}
	return try_alignment(f);
}

static int probe_direct(struct file *f, uint32_t logical_block, struct error *err)
{
	int rc;

	f->align = f->mem_align = 1;
	if (!f->direct)
		return 0;
	rc = find_alignment(f, logical_block);
	if (!rc && (!is_pow2(f->align) || !is_pow2(f->mem_align) || f->align > BLOCK_MAX ||
		    f->mem_align > f->align || f->mem_align > ZERO_ALIGN))
		rc = -EINVAL;
	if (rc)
		return error_set(err, rc,
				 "%s cannot be used past the page cache; use cache=writeback",
				 f->path);
	return 0;
}

/* A hole behind the end leaves everything as it is, and says whether there can be holes. */
static bool can_punch(int fd, uint64_t size)
{
	return size < (uint64_t)LLONG_MAX - 2 * PROBE_BYTES &&
	       !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)align_up(size, PROBE_BYTES), PROBE_BYTES);
}

/*
 * What a hole gives back is counted in the file system's own blocks.  st_blksize is not that: it is
 * the size of I/O that the file system likes (stripes, NFS, huge pages).  The block size that NFS
 * and its kind tell is such a wish, too, so what is too large for a block is not believed.
 */
static uint32_t punch_unit(const struct file *f)
{
	int block = 0;

	if (ioctl(f->fd, FIGETBSZ, &block) < 0 || block <= 0 || (unsigned)block > BLOCK_MAX)
		return PUNCH_UNIT;
	return (uint32_t)max_u64(sane_block((uint64_t)block, PUNCH_UNIT), PUNCH_UNIT);
}

static bool may_unmap(const struct storage_options *o)
{
	return !o->readonly && !o->no_discard;
}

static int probe_block_device(struct file *f, const struct storage_options *o,
			      const struct stat *st, struct error *err)
{
	struct storage_limits *l = &f->base.limits;
	uint64_t discard;
	uint32_t unit;
	int logical = 0;
	int rc;

	rc = refuse_zones(f, o, st, err);
	if (rc)
		return rc;
	if (ioctl(f->fd, BLKSSZGET, &logical) < 0)
		return error_set(err, -errno, "cannot read the block size of %s", f->path);
	f->zero_align = sane_block((uint64_t)logical, BLOCK_MIN);
	rc = probe_direct(f, f->zero_align, err);
	if (rc)
		return rc;
	discard = queue_fact(o->sysfs, st, "discard_max_bytes");
	unit = (uint32_t)max_u64(
		sane_block(queue_fact(o->sysfs, st, "discard_granularity"), BLOCK_MIN),
		f->zero_align);
	if (may_unmap(o) && discard >= f->zero_align) {
		l->max_discard = FILE_MAX_RUN;
		l->discard_alignment = unit;
		l->write_zeroes_unmaps = queue_fact(o->sysfs, st, "write_zeroes_max_bytes") > 0;
	}
	l->erase_alignment = unit;
	return 0;
}

static int probe_regular(struct file *f, const struct storage_options *o, const struct stat *st,
			 struct error *err)
{
	struct storage_limits *l = &f->base.limits;
	int rc;

	f->zero_align = 1;
	rc = probe_direct(f, BLOCK_MIN, err);
	if (rc)
		return rc;
	if (may_unmap(o) && can_punch(f->fd, (uint64_t)st->st_size)) {
		l->max_discard = FILE_MAX_RUN;
		l->discard_alignment = punch_unit(f);
		l->write_zeroes_unmaps = true;
	}
	return 0;
}

int file_probe(struct file *f, const struct storage_options *o, struct error *err)
{
	struct stat st;
	int rc;

	if (fstat(f->fd, &st) < 0)
		return error_set(err, -errno, "cannot look at %s", f->path);
	f->block_device = S_ISBLK(st.st_mode);
	rc = f->block_device ? probe_block_device(f, o, &st, err) : probe_regular(f, o, &st, err);
	if (!rc)
		rc = file_life_probe(f, o, &st, err);
	if (rc)
		return rc;
	f->coarse = f->align > BLOCK_MIN;
	if (f->coarse) {
		f->base.size_unit = f->align;
		f->zero_align = (uint32_t)max_u64(f->zero_align, f->align);
	}
	f->base.limits.max_write_zeroes = o->readonly ? 0 : FILE_MAX_RUN;
	return file_erase_probe(f, o, err);
}
