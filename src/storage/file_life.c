/* SPDX-License-Identifier: MIT */
/*
 * How worn the medium is, as the kernel shows it of an eMMC or of a UFS device:
 *
 *	eMMC	.../mmc0:0001/{life_time,pre_eol_info}
 *	UFS	.../1d84000.ufshc/health_descriptor/{eol_info,life_time_estimation_a,..._b}
 *
 * A disk, or a partition of it, stands in a directory below that of its device, so it is looked for
 * upwards from /sys/dev/block/MAJOR:MINOR.  What stands behind a mapper, a RAID or a loop device is
 * not found, and not offered.
 *
 * The directory is held by its fd: a card that is pulled out makes it empty, and another one in the
 * same slot is not taken for it.  A UFS device is asked for each number anew, which takes a while.
 */
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* What a standard has defined; other values are as good as none. */
#define EOL_MAX	 3u
#define LIFE_MAX 11u

/* Up to two numbers of a file.  How many; -errno. */
static int numbers_of(int dir, const char *name, unsigned v[2])
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), got;
	char text[64];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	got = n < 0 ? -errno : 0;
	close(fd);
	if (got)
		return got;
	text[n] = '\0';
	got = sscanf(text, "%x %x", &v[0], &v[1]);
	return got > 0 ? got : -EIO;
}

static int number_of(int dir, const char *name, unsigned *v)
{
	unsigned two[2] = {0};
	int n = numbers_of(dir, name, two);

	*v = two[0];
	return n < 0 ? n : 0;
}

static uint16_t known(unsigned v, unsigned max)
{
	return (uint16_t)(v <= max ? v : 0);
}

int file_life_read(int dir, enum file_life_kind kind, struct storage_lifetime *life)
{
	unsigned eol = 0, v[2] = {0};
	int rc;

	if (kind == FILE_LIFE_EMMC) {
		rc = number_of(dir, "pre_eol_info", &eol);
		if (!rc && (rc = numbers_of(dir, "life_time", v)) > 0)
			rc = 0;
	} else {
		rc = number_of(dir, "eol_info", &eol);
		if (!rc)
			rc = number_of(dir, "life_time_estimation_a", &v[0]);
		if (!rc)
			rc = number_of(dir, "life_time_estimation_b", &v[1]);
	}
	*life = (struct storage_lifetime){.pre_eol = known(eol, EOL_MAX),
					  .a = known(v[0], LIFE_MAX),
					  .b = known(v[1], LIFE_MAX)};
	return rc;
}

static bool tells(int dir, enum file_life_kind kind)
{
	struct storage_lifetime life;

	return !file_life_read(dir, kind, &life) && (life.pre_eol | life.a | life.b);
}

/* Its fd; -1: there is none that tells anything. */
static int open_if_it_tells(const char *at, const char *below, enum file_life_kind kind)
{
	char path[PATH_MAX + 32];
	int dir;

	snprintf(path, sizeof(path), "%s/%s", at, below);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0 && !tells(dir, kind)) {
		close(dir);
		dir = -1;
	}
	return dir;
}

static int find_dir(const char *at, enum file_life_kind *kind)
{
	static const struct {
		const char *below;
		enum file_life_kind kind;
	} places[] = {
		{".", FILE_LIFE_EMMC},
		{"device", FILE_LIFE_EMMC},
		{"health_descriptor", FILE_LIFE_UFS},
		{"device/health_descriptor", FILE_LIFE_UFS},
	};
	int dir = -1;

	for (size_t i = 0; i < ARRAY_SIZE(places) && dir < 0; i++) {
		*kind = places[i].kind;
		dir = open_if_it_tells(at, places[i].below, *kind);
	}
	return dir;
}

static int find_upwards(const char *sysfs, const struct stat *st, enum file_life_kind *kind)
{
	dev_t dev = S_ISBLK(st->st_mode) ? st->st_rdev : st->st_dev;
	char *root = realpath(sysfs, NULL), *at = NULL, *name = NULL;
	int dir = -1;

	if (root && asprintf(&name, "%s/dev/block/%u:%u", root, major(dev), minor(dev)) > 0)
		at = realpath(name, NULL);
	else
		name = NULL;
	while (at && dir < 0 && strlen(at) > strlen(root)) {
		char *last = strrchr(at, '/');

		dir = find_dir(at, kind);
		*last = '\0';
	}
	free(at);
	free(name);
	free(root);
	return dir;
}

int file_life_probe(struct file *f, const struct storage_options *o, const struct stat *st,
		    struct error *err)
{
	f->life_dir = -1;
	if (o->life == STORAGE_LIFE_OFF || (o->life == STORAGE_LIFE_DEVICE && !f->block_device))
		return 0;
	f->life_dir = find_upwards(o->sysfs ? o->sysfs : "/sys", st, &f->life_kind);
	if (f->life_dir < 0 && o->life == STORAGE_LIFE_MEDIUM)
		return error_set(
			err, -EOPNOTSUPP,
			"%s is on no eMMC or UFS device whose life the kernel tells; leave "
			"lifetime=medium away.",
			f->path);
	f->base.limits.lifetime = f->life_dir >= 0;
	return 0;
}
