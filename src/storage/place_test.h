/* SPDX-License-Identifier: MIT */
/*
 * What the tests of disks in files share: an image in a folder of its own, and each way of I/O in
 * turn.
 */
#ifndef STORAGE_PLACE_TEST_H
#define STORAGE_PLACE_TEST_H

#include "base/bits.h"
#include "storage/storage_test.h"

#include <errno.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)

struct place {
	char *dir, *path;
};

static inline struct place place_make(const char *parent, uint64_t size)
{
	struct place p = {.dir = scratch_make(parent)};

	if (!p.dir)
		skip();
	p.path = image_make(p.dir, "disk.raw", size);
	return p;
}

/* One that will be written all over. */
static inline struct place place_with_room(const char *parent, uint64_t size)
{
	if (!scratch_has_room(parent, size))
		skip();
	return place_make(parent, size);
}

static inline void place_remove(struct place *p)
{
	free(p->path);
	scratch_remove(p->dir);
}

static inline void place_truncate(const struct place *p, uint64_t size)
{
	assert_int_equal(truncate(p->path, (off_t)size), 0);
}

static inline uint64_t place_allocated(const struct place *p)
{
	struct stat st;

	assert_int_equal(stat(p->path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Each way of I/O in turn. */
struct way {
	bool uring, threads, direct;
};

static const struct way ways[] = {
	{.uring = true},
	{.uring = true, .threads = true},
	{.uring = false},
	{.uring = true, .direct = true},
	{.uring = false, .direct = true},
};

static inline bool open_way(struct rig *rig, const struct place *p, const struct way *w)
{
	struct storage_options o = {.target = p->path, .threads = w->threads, .direct = w->direct};
	struct error err = {""};
	int rc = rig_open(rig, &o, w->uring, &err);

	if (rc == -EINVAL || rc == -EPERM || rc == -ENOSYS)
		return false; /* no O_DIRECT, or no io_uring, here */
	if (rc)
		fail_msg("%s", err.text);
	return true;
}

static inline void refused(const struct storage_options *o, int rc, const char *must_say)
{
	struct error err = {""};
	struct storage *s;

	assert_int_equal(storage_open(o, &s, &err), rc);
	assert_null(s);
	if (!strstr(err.text, must_say) || !strstr(err.text, o->target))
		fail_msg("said: %s", err.text);
	assert_null(strchr(err.text, '\n'));
}

#endif
