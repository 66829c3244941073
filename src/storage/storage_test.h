/* SPDX-License-Identifier: MIT */
/* What the storage tests share: a scratch directory, a disk with a reactor and a channel, requests
 * that are waited for. */
#ifndef STORAGE_STORAGE_TEST_H
#define STORAGE_STORAGE_TEST_H

#include "test.h"

#include "storage/storage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct rig {
	struct reactor *r;
	struct storage *s;
	struct storage_channel *ch;
};

struct waited {
	struct storage_io io;
	bool over;
	int err;
	unsigned times;
};

/* A directory of our own below @parent; freed by scratch_remove(). */
/* Whether files of @bytes in sum have room below @parent; /dev/shm may be small, or missing. */
static inline bool scratch_has_room(const char *parent, uint64_t bytes)
{
	struct statvfs fs;

	if (statvfs(parent, &fs))
		return false;
	if (fs.f_frsize * fs.f_bavail > bytes + bytes / 8)
		return true;
	print_message("# %s has no room for %llu KiB\n", parent, (unsigned long long)bytes >> 10);
	return false;
}

static inline char *scratch_make(const char *parent)
{
	char *dir = NULL;

	assert_true(asprintf(&dir, "%s/storage-XXXXXX", parent) > 0);
	if (!mkdtemp(dir)) {
		free(dir);
		return NULL;
	}
	return dir;
}

static inline void scratch_remove(char *dir)
{
	char *cmd = NULL;

	if (!dir)
		return;
	assert_true(asprintf(&cmd, "rm -rf '%s'", dir) > 0);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(dir);
}

static inline char *image_make(const char *dir, const char *name, uint64_t size)
{
	char *path = NULL;
	int fd;

	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
	return path;
}

static inline void waited_done(struct storage_io *io, int err)
{
	struct waited *w = container_of(io, struct waited, io);

	w->over = true;
	w->err = err;
	w->times++;
}

/* 0; -errno with the sentence in @err. */
static inline int rig_open(struct rig *rig, const struct storage_options *o, bool uring,
			   struct error *err)
{
	struct reactor_config c = {.uring = uring};
	int rc;

	*rig = (struct rig){0};
	rc = storage_open(o, &rig->s, err);
	if (rc)
		return rc;
	rc = reactor_create(&rig->r, &c, err);
	if (rc) {
		storage_close(&rig->s);
		return rc;
	}
	rc = storage_channel_open(rig->s, rig->r, &rig->ch, err);
	assert_int_equal(rc, 0);
	return 0;
}

static inline void rig_close(struct rig *rig)
{
	storage_channel_close(&rig->ch);
	reactor_destroy(&rig->r);
	storage_close(&rig->s);
	assert_null(rig->s);
}

static inline void rig_start(struct rig *rig, struct waited *w)
{
	w->over = false;
	w->times = 0;
	w->io.done = waited_done;
	storage_submit(rig->ch, &w->io);
}

static inline int rig_wait(struct rig *rig, struct waited *w)
{
	while (!w->over)
		reactor_turn(rig->r);
	assert_int_equal(w->times, 1);
	return w->err;
}

static inline int rig_do(struct rig *rig, enum storage_op op, unsigned flags, uint64_t offset,
			 uint64_t len)
{
	struct waited w = {.io = {.op = op, .flags = flags, .offset = offset, .len = len}};

	rig_start(rig, &w);
	return rig_wait(rig, &w);
}

static inline int rig_rw(struct rig *rig, enum storage_op op, unsigned flags, uint64_t offset,
			 void *buf, uint64_t len)
{
	struct iovec iov = {buf, len};
	struct waited w = {.io = {.op = op,
				  .flags = flags,
				  .offset = offset,
				  .len = len,
				  .iov = &iov,
				  .iovcnt = 1}};

	rig_start(rig, &w);
	return rig_wait(rig, &w);
}

static inline bool all_bytes_are(const void *buf, uint8_t v, size_t len)
{
	const uint8_t *p = buf;

	return !len || (p[0] == v && !memcmp(p, p + 1, len - 1));
}

#endif
