/* SPDX-License-Identifier: MIT */
/*
 * Secure erase: whether the file below can, and by what.
 *
 * By the device: BLKSECDISCARD.  No attribute of a queue tells whether it can, so the ioctl is tried
 * on a range that cannot be, a byte at the place 1: Linux from 5.19 on says first whether the device
 * can at all.  An older kernel says nothing before the first real one, so there nothing is offered.
 *
 * By overwriting, if the user asks for that by name: zeroes in the place of what was there, then a
 * sync.  That is worth what the file system and the medium below are worth.  A file system that
 * writes elsewhere, always or for this file, would make it a lie, and is refused; one of which that
 * cannot be known is warned of.  Blocks may come to be shared while the disk is open (cp --reflink),
 * so where the file system knows that of a file, each range is looked at in front of its first
 * write, and refused if somebody else still has what is there.
 *
 * Holes are filled, too: an extent that reads as zeroes may be one that was written, and is only
 * marked.  Zeroes are written on such a disk, not marked (FALLOC_FL_ZERO_RANGE): xfs takes other
 * blocks for a mark, and what was there would be beyond reach, as what a discard gives back is.
 */
#include "storage/file.h"

#include "base/atomic.h"
#include "base/log.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

/* Bytes in one request of overwriting: a request is answered when the last of them is stable. */
#define OVERWRITE_MAX	(UINT64_C(64) << 20)

#define EXTENTS		64u   /* looked at in one call             */
#define EXTENTS_AT_OPEN 4096u /* on the control thread; then it is believed */

/* Where the kernel's header has no word for it. */
#define MAGIC_BCACHEFS 0xca451a4eu
#define MAGIC_EXFAT    0x2011bab0u
#define MAGIC_JFS      0x3153464au
#define MAGIC_JFFS2    0x000072b6u
#define MAGIC_NTFS3    0x7366746eu
#define MAGIC_UBIFS    0x24051905u
#define MAGIC_ZFS      0x2fc12fc1u

enum writes {
	WRITES_WHO_KNOWS,
	WRITES_IN_PLACE,
	WRITES_ELSEWHERE,
};

struct kind {
	uint32_t magic;
	enum writes writes;
	const char *name;
};

static const struct kind *find_kind(uint64_t magic)
{
	static const struct kind kinds[] = {
		{EXT4_SUPER_MAGIC, WRITES_IN_PLACE, "ext4"},
		{XFS_SUPER_MAGIC, WRITES_IN_PLACE, "xfs"},
		{TMPFS_MAGIC, WRITES_IN_PLACE, "tmpfs"},
		{RAMFS_MAGIC, WRITES_IN_PLACE, "ramfs"},
		{HUGETLBFS_MAGIC, WRITES_IN_PLACE, "hugetlbfs"},
		{MSDOS_SUPER_MAGIC, WRITES_IN_PLACE, "vfat"},
		{MAGIC_EXFAT, WRITES_IN_PLACE, "exfat"},
		{MAGIC_JFS, WRITES_IN_PLACE, "jfs"},
		{MAGIC_NTFS3, WRITES_IN_PLACE, "ntfs3"},
		{BTRFS_SUPER_MAGIC, WRITES_ELSEWHERE, "btrfs"},
		{MAGIC_BCACHEFS, WRITES_ELSEWHERE, "bcachefs"},
		{F2FS_SUPER_MAGIC, WRITES_ELSEWHERE, "f2fs"},
		{NILFS_SUPER_MAGIC, WRITES_ELSEWHERE, "nilfs2"},
		{MAGIC_JFFS2, WRITES_ELSEWHERE, "jffs2"},
		{MAGIC_UBIFS, WRITES_ELSEWHERE, "ubifs"},
		{MAGIC_ZFS, WRITES_ELSEWHERE, "zfs"},
	};
	static const struct kind unknown = {0, WRITES_WHO_KNOWS, "this file system"};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].magic == (uint32_t)magic)
			return &kinds[i];
	return &unknown;
}

/* ---- shared blocks ---- */

/*
 * Whether somebody else has blocks of that range, too: 1, 0, -errno; -EOPNOTSUPP: the file system
 * does not tell.  @most: extents that are looked at.
 */
static int range_is_shared(int fd, uint64_t from, uint64_t len, uint32_t flags, unsigned most)
{
	union {
		struct fiemap map;
		uint8_t room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	} u;
	uint64_t end = from + len;

	while (from < end && most) {
		u.map = (struct fiemap){.fm_start = from,
					.fm_length = end - from,
					.fm_flags = flags,
					.fm_extent_count = EXTENTS};
		if (ioctl(fd, FS_IOC_FIEMAP, &u.map) < 0)
			return errno == ENOTTY || errno == ENOSYS ? -EOPNOTSUPP : -errno;
		if (!u.map.fm_mapped_extents)
			return 0;
		for (unsigned i = 0; i < u.map.fm_mapped_extents && i < EXTENTS && most; i++) {
			const struct fiemap_extent *e = &u.map.fm_extents[i];

			if (e->fe_flags & FIEMAP_EXTENT_SHARED)
				return 1;
			if (e->fe_flags & FIEMAP_EXTENT_LAST ||
			    e->fe_logical + e->fe_length <= from)
				return 0;
			from = e->fe_logical + e->fe_length;
			most--;
		}
	}
	return 0;
}

int file_erase_look(int fd, uint64_t offset, uint64_t len)
{
	int rc = range_is_shared(fd, offset, len, FIEMAP_FLAG_SYNC, UINT32_MAX);

	return rc == -EOPNOTSUPP ? 0 : rc;
}

void file_erase_say_shared(struct file *f)
{
	if (!__atomic_exchange_n(&f->said_shared, true, __ATOMIC_RELAXED))
		log_warn(f->path, "shares blocks with another file (a reflink): what is in them "
				  "is not erased by overwriting, and such requests fail");
}

/* ---- at open ---- */

static bool kernel_says_first(void)
{
	struct utsname u;
	unsigned major, minor;

	if (uname(&u) < 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return false;
	return major > 5 || (major == 5 && minor >= 19);
}

/* A range that no device can have: whoever objects to that has nothing else to object to. */
static bool device_can(int fd)
{
	uint64_t range[2] = {1, 1};

	return kernel_says_first() && ioctl(fd, BLKSECDISCARD, range) < 0 && errno == EINVAL;
}

static int refuse_overwriting(const struct file *f, const char *why, struct error *err)
{
	return error_set(err, -EOPNOTSUPP,
			 "%s cannot be erased by overwriting: %s; leave secure-erase=overwrite "
			 "away, or put the image where it can.",
			 f->path, why);
}

static int judge_file(struct file *f, struct error *err)
{
	const struct kind *kind;
	struct statfs fs;
	char why[96];
	int flags = 0, shared;

	if (fstatfs(f->fd, &fs) < 0)
		return error_set(err, -errno, "cannot look at %s", f->path);
	kind = find_kind((uint64_t)fs.f_type);
	if (kind->writes == WRITES_ELSEWHERE) {
		snprintf(why, sizeof(why), "%s writes elsewhere and leaves what was there",
			 kind->name);
		return refuse_overwriting(f, why, err);
	}
	if (!ioctl(f->fd, FS_IOC_GETFLAGS, &flags) && (flags & FS_COMPR_FL))
		return refuse_overwriting(f, "its file system compresses it, and writes elsewhere",
					  err);
	shared = range_is_shared(f->fd, 0, INT64_MAX, 0, EXTENTS_AT_OPEN);
	if (shared > 0)
		return refuse_overwriting(
			f, "it shares blocks with another file (a reflink), which keeps them", err);
	f->may_share = shared != -EOPNOTSUPP;
	if (kind->writes == WRITES_WHO_KNOWS)
		log_warn(f->path, "secure-erase=overwrite: it is not known whether what lies below "
				  "overwrites in place; if not, what is erased stays there");
	else
		log_info(f->path, "secure-erase=overwrite: zeroes in the place of what is erased; "
				  "a journal below, and a medium that moves blocks (flash, SMR), "
				  "may keep it");
	return 0;
}

int file_erase_probe(struct file *f, const struct storage_options *o, struct error *err)
{
	struct storage_limits *l = &f->base.limits;
	int rc;

	if (o->readonly || o->erase == STORAGE_ERASE_OFF)
		return 0;
	if (o->erase == STORAGE_ERASE_DEVICE) {
		if (!f->block_device || !device_can(f->fd))
			return 0;
		l->max_secure_erase = FILE_MAX_RUN;
		return 0;
	}
	if (f->block_device) {
		log_info(f->path, "secure-erase=overwrite: zeroes in the place of what is erased; "
				  "a device that moves blocks (flash, SMR, thin) may keep it");
	} else {
		rc = judge_file(f, err);
		if (rc)
			return rc;
	}
	f->overwrites = true;
	f->no_zero_range = true;
	l->max_secure_erase = OVERWRITE_MAX;
	l->erase_alignment = (uint32_t)max_u64(f->zero_align, 512);
	return 0;
}
