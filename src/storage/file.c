/* SPDX-License-Identifier: MIT */
/*
 * A disk in a file: opened, measured, closed.  The bytes of the file are the bytes of the disk,
 * whatever they look like: guessing a format from contents that the guest writes would let it
 * choose what the host opens next.
 */
#include "storage/file.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_PATIENCE_NS (500 * NSEC_PER_MSEC)
#define LOCK_RETRY_US	 10000

static struct file *to_file(struct storage *s)
{
	return container_of(s, struct file, base);
}

static int explain_open(const struct storage_options *o, int rc, struct error *err)
{
	const char *path = o->target;

	switch (rc) {
	case -ENOENT:
		return error_set(err, rc, "%s does not exist; make it with: truncate -s 10G %s.",
				 path, path);
	case -EISDIR:
		return error_set(err, rc,
				 "%s is a directory; a disk is a regular file or a block device.",
				 path);
	case -EPERM:
		if (!o->readonly)
			return error_set(err, rc,
					 "%s may not be written (immutable, append-only or "
					 "sealed); change that with: chattr -ia %s, or use "
					 "readonly=on.",
					 path, path);
		/* fallthrough */
	case -EACCES:
		return error_set(err, rc, "no permission to %s %s; change its owner or mode%s.",
				 o->readonly ? "read" : "write", path,
				 o->readonly ? "" : ", or use readonly=on");
	case -EROFS:
		return error_set(err, rc, "%s is on a read-only file system; use readonly=on.",
				 path);
	case -EBUSY:
		return error_set(err, rc,
				 "%s is in use by this system (mounted, swap, RAID) or by another "
				 "program; free it, or use readonly=on.",
				 path);
	default:
		return error_set(err, rc, "cannot open %s", path);
	}
}

/* Opening a pipe or a device can block or do things: look first. */
static int check_kind(const struct storage_options *o, bool *block_device, struct error *err)
{
	struct stat st;

	if (stat(o->target, &st) < 0)
		return explain_open(o, -errno, err);
	if (S_ISDIR(st.st_mode))
		return explain_open(o, -EISDIR, err);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(err, -EINVAL,
				 "%s is a %s; a disk is a regular file or a block device.",
				 o->target,
				 S_ISCHR(st.st_mode)	? "character device"
				 : S_ISFIFO(st.st_mode) ? "pipe"
							: "socket");
	*block_device = S_ISBLK(st.st_mode);
	return 0;
}

static int open_fd(const struct storage_options *o, int extra, struct error *err)
{
	int fd = open(o->target, (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | extra);

	if (fd >= 0)
		return fd;
	if (errno == EINVAL && (extra & O_DIRECT))
		return error_set(err, -EINVAL,
				 "the file system of %s cannot go past the page cache; use "
				 "cache=writeback.",
				 o->target);
	return explain_open(o, -errno, err);
}

/* That it could be opened for writing does not say that it can be written. */
static int check_writable(const struct storage_options *o, bool block_device, int fd,
			  struct error *err)
{
	int readonly = 0, seals;

	if (o->readonly)
		return 0;
	if (block_device && !ioctl(fd, BLKROGET, &readonly) && readonly)
		return error_set(err, -EROFS,
				 "the device %s is read-only; use readonly=on, or make it writable "
				 "with: blockdev --setrw %s.",
				 o->target, o->target);
	seals = fcntl(fd, F_GET_SEALS);
	if (seals > 0 && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return explain_open(o, -EPERM, err);
	return 0;
}

/* Opens the file for us alone, as far as it can be; file_unlock() and close() undo it. */
static int open_locked(const struct storage_options *o, bool block_device, struct error *err)
{
	/* A device that is mounted knows no byte locks, but this. */
	bool exclusive = block_device && !o->readonly && !o->no_lock;
	int fd, rc;

	fd = open_fd(o, (o->direct ? O_DIRECT : 0) | (exclusive ? O_EXCL : 0), err);
	if (fd < 0)
		return fd;
	rc = check_writable(o, block_device, fd, err);
	if (!rc && !o->no_lock)
		rc = file_lock(fd, o->target, o->readonly, err);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

/*
 * A server that was killed may keep its files for some 50 ms after its end, until the kernel has
 * taken its ring apart; whoever starts it anew shall not have to know that.
 */
static int open_patiently(const struct storage_options *o, bool block_device, struct error *err)
{
	uint64_t give_up = clock_ns() + LOCK_PATIENCE_NS;
	int fd;

	for (;;) {
		fd = open_locked(o, block_device, err);
		if (fd != -EBUSY || clock_ns() > give_up)
			return fd;
		usleep(LOCK_RETRY_US);
	}
}

/* Turns readonly=auto into yes or no: the disk is read-only where it cannot be written, for
 * whatever reason, but not because somebody else writes it. */
static int open_as_possible(struct storage_options *o, bool block_device, struct error *err)
{
	bool may_choose = o->readonly == STORAGE_AUTO;
	int fd;

	if (may_choose)
		o->readonly = STORAGE_WRITABLE;
	fd = open_patiently(o, block_device, err);
	if (!may_choose || (fd != -EROFS && fd != -EACCES && fd != -EPERM && fd != -ETXTBSY))
		return fd;
	o->readonly = STORAGE_READONLY;
	fd = open_patiently(o, block_device, err);
	if (fd >= 0)
		log_info(o->target, "cannot be written: served read-only");
	return fd;
}

/* Whether there are steps that no io_uring can carry out. */
static bool needs_pool(const struct file *f)
{
	const struct storage_limits *l = &f->base.limits;

	return (f->block_device && (l->max_discard || l->max_secure_erase)) || f->may_share ||
	       l->lifetime;
}

static int file_judge(const struct storage_options *o, struct error *err)
{
	if (o->key_file)
		return error_set(err, -EINVAL,
				 "a raw image has no key; key-file= is for format=luks and "
				 "format=qcow2.");
	return 0;
}

static int file_open(const struct storage_options *asked, struct storage **out, struct error *err)
{
	struct storage_options own = *asked, *o = &own;
	bool block_device = false;
	struct file *f;
	int rc;

	rc = check_kind(o, &block_device, err);
	if (rc)
		return rc;
	f = calloc(1, sizeof(*f));
	if (!f)
		return error_set(err, -ENOMEM, "cannot set up %s", o->target);
	f->direct = o->direct;
	f->threads = o->threads;
	f->life_dir = -1;
	pthread_mutex_init(&f->lock, NULL);
	file_sync_init(&f->sync);
	f->path = strdup(o->target);
	if (!f->path) {
		rc = error_set(err, -ENOMEM, "cannot set up %s", o->target);
		goto free_file;
	}
	f->base.name = f->path;
	rc = f->fd = open_as_possible(o, block_device, err);
	if (rc < 0)
		goto free_path;
	f->base.readonly = o->readonly;
	rc = file_probe(f, o, err);
	if (rc)
		goto unlock;
	rc = file_probe_size(f->fd, f->block_device, &f->base.size);
	if (rc) {
		error_set(err, rc, "cannot find the size of %s", f->path);
		goto unlock;
	}
	if (needs_pool(f)) {
		rc = file_pool_create(&f->pool, err);
		if (rc)
			goto unlock;
	}
	file_find_kind(f);
	f->base.ident = storage_ident_of(f->path);
	if (f->coarse)
		rmw_init(&f->rmw, f->align, file_channel_resume);
	*out = &f->base;
	return 0;
unlock:
	if (f->life_dir >= 0)
		close(f->life_dir);
	file_unlock(f->fd);
	close(f->fd);
free_path:
	free(f->path);
free_file:
	file_sync_fini(&f->sync);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return rc;
}

static void file_close(struct storage *s)
{
	struct file *f = to_file(s);

	file_pool_destroy(&f->pool);
	file_look_end(f);
	if (f->coarse)
		rmw_fini(&f->rmw);
	if (f->life_dir >= 0)
		close(f->life_dir);
	file_close_fd(f);
	file_sync_fini(&f->sync);
	pthread_mutex_destroy(&f->lock);
	free(f->path);
	free(f);
}

static int file_measure(struct storage *s, uint64_t *size)
{
	return file_look(to_file(s), size);
}

static int file_length_fd(const struct storage *s)
{
	const struct file *f = container_of(s, const struct file, base);
	struct stat st;
	int fd;

	if (fstat(f->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EOPNOTSUPP;
	fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

static const struct word file_words[] = {
	STORAGE_WORD_READONLY,
	{"format", .kind = WORD_CHOICE,
	 .help = "of the image, never guessed; others than raw by qemu-nbd; default raw",
	 WORD_VALUES({"raw", STORAGE_FORMAT_RAW}, {"qcow2", STORAGE_FORMAT_QCOW2},
		     {"vmdk", STORAGE_FORMAT_VMDK}, {"vdi", STORAGE_FORMAT_VDI},
		     {"vhdx", STORAGE_FORMAT_VHDX}, {"vpc", STORAGE_FORMAT_VPC},
		     {"parallels", STORAGE_FORMAT_PARALLELS}, {"luks", STORAGE_FORMAT_LUKS}),
	 WORD_FIELD(struct storage_options, format)},
	{"key-file", .kind = WORD_TEXT, .min = 1, .sample = "FILE",
	 .help = "with the passphrase of format=luks, or of an encrypted qcow2",
	 WORD_FIELD(struct storage_options, key_file)},
	{"cache", .kind = WORD_CHOICE,
	 .help = "none: past the page cache (O_DIRECT); default writeback",
	 WORD_VALUES({"writeback", 0}, {"none", 1}), WORD_FIELD(struct storage_options, direct)},
	{"aio", .kind = WORD_CHOICE,
	 .help = "default io_uring, threads where the kernel forbids it",
	 WORD_VALUES({"io_uring", 0}, {"threads", 1}), WORD_FIELD(struct storage_options, threads)},
	STORAGE_WORD_DISCARD,
	STORAGE_WORD_ERASE,
	{"lifetime", .kind = WORD_CHOICE,
	 .help = "how worn it is; device: of an eMMC or UFS block device; medium: of one that an "
		 "image lies on, too; default device",
	 WORD_VALUES({"device", STORAGE_LIFE_DEVICE}, {"medium", STORAGE_LIFE_MEDIUM},
		     {"off", STORAGE_LIFE_OFF}),
	 WORD_FIELD(struct storage_options, life)},
	{"sysfs", .kind = WORD_TEXT, .min = 1, .sample = "DIR",
	 .help = "where the kernel's facts of block devices stand; default /sys",
	 WORD_FIELD(struct storage_options, sysfs)},
	{"locking", .help = "off: share the image with other writers; default on",
	 WORD_NO_SWITCH(struct storage_options, no_lock)},
};

static bool file_spoiled(const struct storage *s)
{
	return load_acquire(&container_of(s, const struct file, base)->sync.lost) != 0;
}

const struct storage_engine_ops file_engine_ops = {
	.kind = "file",
	.words = WORDS_TABLE("an image file", file_words),
	.judge = file_judge,
	.open = file_open,
	.close = file_close,
	.spoiled = file_spoiled,
	.measure = file_measure,
	.length_fd = file_length_fd,
	.channel_open = file_channel_open,
	.channel_close = file_channel_close,
	.submit = file_channel_submit,
};
