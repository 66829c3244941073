/* SPDX-License-Identifier: MIT */
/*
 * Who uses an image, told between processes by locks on single bytes of it; the scheme of QEMU, so
 * that each heeds the other.
 *
 * There are four things one may do to an image, one bit each.  Doing it takes a shared lock on byte
 * 100 + bit, not letting others do it takes a shared lock on byte 200 + bit.  Shared locks never
 * collide; instead each newcomer takes his own and then asks, without taking them, whether he could
 * have the opposite bytes for himself alone: if not, somebody is there who does what he cannot
 * bear, or who cannot bear what he does.  Of two who come at the same moment both may be turned
 * away, but never both let in.
 *
 * OFD locks belong to the open file, not to the process: they see our own other disks too.
 */
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>

#define USED_BASE     100
#define UNSHARED_BASE 200

enum {
	PERM_CONSISTENT_READ,
	PERM_WRITE,
	PERM_WRITE_UNCHANGED,
	PERM_RESIZE,
	PERM_COUNT,
};

static int lock_byte(int fd, int type, off_t at)
{
	struct flock fl = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	int rc;

	do {
		rc = fcntl(fd, F_OFD_SETLK, &fl);
	} while (rc < 0 && errno == EINTR);
	return rc < 0 ? -errno : 0;
}

/* 0: nobody else holds the byte; -EBUSY; -errno. */
static int probe_byte(int fd, off_t at)
{
	struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

	if (fcntl(fd, F_OFD_GETLK, &fl) < 0)
		return -errno;
	return fl.l_type == F_UNLCK ? 0 : -EBUSY;
}

void file_unlock(int fd)
{
	struct flock fl = {.l_type = F_UNLCK,
			   .l_whence = SEEK_SET,
			   .l_start = USED_BASE,
			   .l_len = UNSHARED_BASE + PERM_COUNT - USED_BASE};

	fcntl(fd, F_OFD_SETLK, &fl);
}

static int take(int fd, unsigned used, unsigned unshared)
{
	int rc = 0;

	for (int i = 0; i < PERM_COUNT && !rc; i++) {
		if (used & (1u << i))
			rc = lock_byte(fd, F_RDLCK, USED_BASE + i);
		if (!rc && (unshared & (1u << i)))
			rc = lock_byte(fd, F_RDLCK, UNSHARED_BASE + i);
	}
	return rc;
}

static int look_for_others(int fd, unsigned used, unsigned unshared)
{
	int rc = 0;

	for (int i = 0; i < PERM_COUNT && !rc; i++) {
		if (used & (1u << i))
			rc = probe_byte(fd, UNSHARED_BASE + i);
		if (!rc && (unshared & (1u << i)))
			rc = probe_byte(fd, USED_BASE + i);
	}
	return rc;
}

int file_lock(int fd, const char *path, bool readonly, struct error *err)
{
	/* A guest's disk may be resized under it (it is told), but not be written by others. */
	unsigned used = 1u << PERM_CONSISTENT_READ | (readonly ? 0 : 1u << PERM_WRITE);
	unsigned unshared = 1u << PERM_WRITE;
	int rc;

	rc = take(fd, used, unshared);
	if (rc) {
		error_set(err, rc,
			  "cannot lock %s against other users; if nobody else writes it, use "
			  "locking=off",
			  path);
		goto unlock;
	}
	rc = look_for_others(fd, used, unshared);
	if (rc == -EBUSY)
		error_set(err, rc,
			  readonly ? "%s is being written by another program or server; stop that "
				     "one, or use "
				     "locking=off if torn reads do not matter."
				   : "%s is in use by another program or server; stop that one, or "
				     "open it with "
				     "readonly=on on both sides.",
			  path);
	else if (rc)
		error_set(err, rc,
			  "cannot look for other users of %s; if there are none, use locking=off",
			  path);
	if (!rc)
		return 0;
unlock:
	file_unlock(fd);
	return rc;
}
