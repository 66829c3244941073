/* SPDX-License-Identifier: MIT */
/* A loop device for the tests of block devices; it vanishes when its fd is closed, however the test
 * ends. */
#ifndef STORAGE_LOOP_TEST_H
#define STORAGE_LOOP_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

struct loop {
	int fd;
	char path[32];
};

/* A device keeps "read-only" from whoever had it before us (blockdev --setro). */
static inline bool loop_make_writable(int fd)
{
	int readonly = 0;

	return !ioctl(fd, BLKROSET, &readonly) && !ioctl(fd, BLKROGET, &readonly) && !readonly;
}

/* false: there are no loop devices here, or none that we may write. */
static inline bool loop_make(struct loop *l, const char *image, uint32_t block_size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int file = open(image, O_RDWR | O_CLOEXEC);
	struct loop_config config = {.fd = (uint32_t)file,
				     .block_size = block_size,
				     .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};

	l->fd = -1;
	/* Somebody else may be quicker at the free one. */
	for (unsigned tries = 0; control >= 0 && file >= 0 && tries < 16 && l->fd < 0; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		if (n < 0)
			break;
		snprintf(l->path, sizeof(l->path), "/dev/loop%d", n);
		l->fd = open(l->path, O_RDWR | O_CLOEXEC);
		if (l->fd < 0)
			break;
		if (!ioctl(l->fd, LOOP_CONFIGURE, &config))
			break;
		close(l->fd);
		l->fd = -1;
		if (errno != EBUSY)
			break;
	}
	if (control >= 0)
		close(control);
	if (file >= 0)
		close(file);
	if (l->fd >= 0 && !loop_make_writable(l->fd)) {
		close(l->fd);
		l->fd = -1;
	}
	return l->fd >= 0;
}

/* Mounts are made in a world of our own, which ends with this process. */
static inline bool own_mounts(void)
{
	return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static inline void loop_remove(struct loop *l)
{
	close(l->fd);
}

#endif
