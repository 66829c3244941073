/* SPDX-License-Identifier: MIT */
/*
 * The periodical look at a file: how large is it, is it still the one that its path names?  And
 * whether asking may take for ever.
 *
 * Once a second, for all of a server's disks by one timer: inotify would tell of a truncation as it
 * tells of each of our own writes, of nothing that another host does to a shared file system, and
 * block devices need a netlink socket besides.  A resize is a person's doing, and whoever does it by
 * our control socket does not wait for the second.  What learns by itself says so
 * (storage_changed()): librbd is told.
 *
 * A network or user-space file system may not answer.  What lies on one is read and written by the
 * disk's own threads (an io_uring would wait for it while it submits, or in kernel threads that it
 * has for all disks), and it is looked at on a thread of its own, one look at a time; the control
 * thread takes over what the last look has found.  A file that is on no such file system is looked
 * at on the spot, until a look has taken LOOK_SLOW_NS.
 *
 * Its path is another matter: a directory or a symbolic link on the way may lie on any file system.
 * While the path names our file the kernel has all of it at hand; only so far is it followed on the
 * spot (RESOLVE_CACHED), and from the first time that this does not do on a thread apart.
 *
 * A look that hangs may outlive its disk: struct file_look belongs to both, and the last one frees
 * it.
 */
#include "storage/file.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LOOK_SLOW_NS (100 * NSEC_PER_MSEC)

/* Where the kernel's header has no word for it. */
#define MAGIC_CIFS   0xff534d42u
#define MAGIC_SMB2   0xfe534d42u
#define MAGIC_FUSE   0x65735546u
#define MAGIC_CEPH   0x00c36400u
#define MAGIC_GFS2   0x01161970u
#define MAGIC_OCFS2  0x7461636fu
#define MAGIC_LUSTRE 0x0bd00bd0u
#define MAGIC_GPFS   0x47504653u
#define MAGIC_ORANGE 0x20030528u
#define MAGIC_VBOX   0x786f4256u

struct file_look {
	pthread_mutex_t lock; /* protects what follows */
	unsigned users;	      /* the disk, and a thread that looks */
	bool under_way, news;
	struct file_state found;
	/* Constant. */
	int fd; /* our own, so that it stays open as long as we look */
	bool block_device;
	char path[];
};

const char *file_hang_kind(uint64_t magic)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} kinds[] = {
		{NFS_SUPER_MAGIC, "nfs"},   {MAGIC_CIFS, "cifs"},     {MAGIC_SMB2, "smb"},
		{SMB_SUPER_MAGIC, "smb"},   {MAGIC_FUSE, "fuse"},     {V9FS_MAGIC, "9p"},
		{MAGIC_CEPH, "ceph"},	    {AFS_SUPER_MAGIC, "afs"}, {AFS_FS_MAGIC, "afs"},
		{CODA_SUPER_MAGIC, "coda"}, {MAGIC_GFS2, "gfs2"},     {MAGIC_OCFS2, "ocfs2"},
		{MAGIC_LUSTRE, "lustre"},   {MAGIC_GPFS, "gpfs"},     {MAGIC_ORANGE, "orangefs"},
		{MAGIC_VBOX, "vboxsf"},	    {NCP_SUPER_MAGIC, "ncp"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].magic == (uint32_t)magic)
			return kinds[i].name;
	return NULL;
}

void file_find_kind(struct file *f)
{
	const char *kind;
	struct statfs fs;

	if (f->block_device || fstatfs(f->fd, &fs) < 0)
		return;
	f->instant = !f->threads && !f->coarse &&
		     (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
	kind = file_hang_kind((uint64_t)fs.f_type);
	if (!kind)
		return;
	f->threads = true;
	f->may_hang = f->look_apart = true;
	log_info(f->path, "on %s, which may not answer: read and written by threads of its own",
		 kind);
}

/* ---- one look ---- */

static enum file_place place_of(int fd, const char *path, bool block_device)
{
	struct stat ours, there;

	if (fstat(fd, &ours) < 0)
		return FILE_IN_PLACE; /* said as the size's error */
	if (!block_device && !ours.st_nlink)
		return FILE_DELETED;
	if (stat(path, &there) < 0)
		return errno == ENOENT || errno == ENOTDIR ? FILE_MOVED : FILE_IN_PLACE;
	if (block_device)
		return S_ISBLK(there.st_mode) && there.st_rdev == ours.st_rdev ? FILE_IN_PLACE
									       : FILE_REPLACED;
	return there.st_dev == ours.st_dev && there.st_ino == ours.st_ino ? FILE_IN_PLACE
									  : FILE_REPLACED;
}

/*
 * Whether what the kernel knows without asking anybody says that the path names our file.  false:
 * it has to be followed, which may take for ever.
 */
static bool is_plainly_in_place(int fd, const char *path)
{
	const struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_CACHED};
	const unsigned want = STATX_TYPE | STATX_INO;
	struct statx ours, there;
	bool same;
	int at = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	if (at < 0)
		return false;
	same = !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, want, &ours) &&
	       !statx(at, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, want, &there) &&
	       ours.stx_dev_major == there.stx_dev_major &&
	       ours.stx_dev_minor == there.stx_dev_minor && ours.stx_ino == there.stx_ino;
	close(at);
	return same;
}

static struct file_state look_at(int fd, const char *path, bool block_device)
{
	struct file_state s = {0};

	s.rc = file_probe_size(fd, block_device, &s.size);
	s.place = place_of(fd, path, block_device);
	return s;
}

/* A file system that does not answer holds up close(), too. */
static void *close_thread(void *arg)
{
	int fd = (int)(intptr_t)arg;

	file_unlock(fd);
	close(fd);
	return NULL;
}

static void close_apart(int fd)
{
	if (thread_start_apart(close_thread, (void *)(intptr_t)fd))
		close_thread((void *)(intptr_t)fd);
}

static void look_put(struct file_look *l)
{
	bool last;

	pthread_mutex_lock(&l->lock);
	last = !--l->users;
	pthread_mutex_unlock(&l->lock);
	if (!last)
		return;
	close_apart(l->fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void *look_thread(void *arg)
{
	struct file_look *l = arg;
	struct file_state found = look_at(l->fd, l->path, l->block_device);

	pthread_mutex_lock(&l->lock);
	l->found = found;
	l->news = true;
	l->under_way = false;
	pthread_mutex_unlock(&l->lock);
	look_put(l);
	return NULL;
}

static struct file_look *look_new(const struct file *f)
{
	struct file_look *l = calloc(1, sizeof(*l) + strlen(f->path) + 1);

	if (!l)
		return NULL;
	l->fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
	if (l->fd < 0) {
		free(l);
		return NULL;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->users = 1;
	l->block_device = f->block_device;
	strcpy(l->path, f->path);
	return l;
}

/* Under the lock. */
static int look_start(struct file_look *l)
{
	int rc = thread_start_apart(look_thread, l);

	if (rc)
		return rc;
	l->under_way = true;
	l->users++;
	return 0;
}

/* What the last look found, if it is news; a new look is begun. */
static int look_apart(struct file *f, struct file_state *s)
{
	struct file_look *l = f->look ? f->look : look_new(f);
	int rc;

	if (!l)
		return -ENOMEM;
	f->look = l;
	pthread_mutex_lock(&l->lock);
	rc = l->news ? 0 : -EAGAIN;
	if (l->news)
		*s = l->found;
	l->news = false;
	if (!l->under_way && look_start(l) && rc)
		rc = -ENOMEM;
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static void tell_place(struct file *f, enum file_place place)
{
	if (place == f->place)
		return;
	f->place = place;
	switch (place) {
	case FILE_IN_PLACE:
		log_info(f->path, "the image is in its place again");
		return;
	case FILE_DELETED:
		log_warn(f->path, "the image has been deleted; its contents are lost when the disk "
				  "is closed");
		return;
	case FILE_MOVED:
		log_warn(f->path, "the image has been moved away; the disk goes on with it");
		return;
	case FILE_REPLACED:
		log_warn(f->path, "another file has taken the image's place; the disk goes on with "
				  "the old one");
		return;
	}
}

/* Where it is, as far as that can be told without waiting; else as it was told last. */
static enum file_place place_without_waiting(struct file *f)
{
	struct file_state s;

	if (!f->place_apart && is_plainly_in_place(f->fd, f->path))
		return FILE_IN_PLACE;
	f->place_apart = true;
	return look_apart(f, &s) ? f->place : s.place;
}

int file_look(struct file *f, uint64_t *size)
{
	struct file_state s;
	uint64_t began;

	if (f->look_apart) {
		int rc = look_apart(f, &s);

		if (rc)
			return rc;
	} else {
		began = clock_ns();
		s.rc = file_probe_size(f->fd, f->block_device, &s.size);
		f->look_apart = clock_ns() - began > LOOK_SLOW_NS;
		s.place = place_without_waiting(f);
	}
	if (s.rc)
		return s.rc;
	tell_place(f, s.place);
	*size = s.size;
	return 0;
}

void file_look_end(struct file *f)
{
	if (f->look)
		look_put(f->look);
	f->look = NULL;
}

void file_close_fd(struct file *f)
{
	/* A ring, or a look, may hold the file open longer; the lock must not outlive this call. */
	if (!f->may_hang)
		file_unlock(f->fd);
	if (f->look_apart)
		close_apart(f->fd);
	else
		close(f->fd);
}
