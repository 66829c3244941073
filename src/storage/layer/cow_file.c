/* SPDX-License-Identifier: MIT */
#include "storage/layer/cow_file.h"

#include "base/bits.h"
#include "base/log.h"
#include "storage/engine.h"
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_INDEX UINT64_MAX
#define BLANK_BYTES  (UINT64_C(1) << 20)
#define COPY_BYTES   (64u << 10)

_Static_assert(sizeof(struct cow_header) == COW_SECTOR, "the header is a sector");

/* ---- places ---- */

static uint64_t map_bytes(uint64_t disk_size)
{
	return cow_map_pages(disk_size / COW_SECTOR) * COW_PAGE;
}

uint64_t cow_file_map_at(uint64_t disk_size, enum cow_which which)
{
	return COW_MAP_AT + (which == COW_STABLE ? 0 : map_bytes(disk_size));
}

uint64_t cow_file_data_at(uint64_t disk_size)
{
	return align_up(COW_MAP_AT + 2 * map_bytes(disk_size), COW_DATA_ALIGN);
}

uint64_t cow_file_bytes(uint64_t disk_size)
{
	return align_up(cow_file_data_at(disk_size) + disk_size, COW_SIZE_ALIGN);
}

/* ---- the base ---- */

void cow_base_look(struct cow_base *b, const char *target)
{
	struct stat st;

	*b = (struct cow_base){.name = target};
	if (stat(target, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	b->dated = true;
	b->seconds = st.st_mtim.tv_sec;
	b->nanoseconds = (uint32_t)st.st_mtim.tv_nsec;
}

void cow_base_settle(struct cow_base *b, const struct storage *base)
{
	const struct storage *engine = stack_engine(base);

	b->size = storage_size(base);
	/* "nbd://..." may be the name of a file, too. */
	b->dated = b->dated && storage_is_at(engine, b->name);
}

/* It goes to terminals and logs, and anybody may have written it. */
static void name_make_printable(char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name < ' ' || *name == 0x7f)
			*name = '?';
}

void cow_header_name(struct cow_header *h, const char *name)
{
	size_t n = strlen(name);

	memset(h->base, 0, sizeof(h->base));
	if (n < sizeof(h->base))
		memcpy(h->base, name, n);
	else
		snprintf(h->base, sizeof(h->base), "...%s",
			 name + n - (sizeof(h->base) - sizeof("...")));
	name_make_printable(h->base);
}

static void header_take_base(struct cow_header *h, const struct cow_base *b)
{
	cow_header_name(h, b->name);
	h->disk_size = le64_make(b->size);
	h->base_dated = le32_make(b->dated);
	h->base_seconds = le64_make((uint64_t)b->seconds);
	h->base_nanoseconds = le32_make(b->nanoseconds);
}

static bool base_is_as_it_was(const struct cow_header *h, const struct cow_base *b)
{
	if (!le32_get(h->base_dated) || !b->dated)
		return true;
	return le64_get(h->base_seconds) == (uint64_t)b->seconds &&
	       le32_get(h->base_nanoseconds) == b->nanoseconds;
}

int cow_file_judge(const struct cow_file *f, const struct cow_base *base, struct error *err)
{
	enum cow_phase phase = le32_get(f->header.phase);

	if (phase == COW_EMPTYING)
		return error_set(
			err, -EUCLEAN,
			"%s was being emptied when that was interrupted; do it again with: "
			"ringside cow discard %s.",
			f->path, f->path);
	if (f->disk_size != base->size)
		return error_set(err, -EINVAL,
				 "%s is the overlay of a disk of %llu bytes (%s), and %s has %llu.",
				 f->path, (unsigned long long)f->disk_size, f->header.base,
				 base->name, (unsigned long long)base->size);
	if (phase == COW_COMMITTING)
		return error_set(
			err, -EUCLEAN,
			"the commit of %s was interrupted, and %s holds a part of it; do it "
			"again with: ringside cow commit file=%s,cow=%s.",
			f->path, f->header.base, f->header.base, f->path);
	if (!base_is_as_it_was(&f->header, base))
		return error_set(
			err, -ESTALE,
			"%s has changed since %s was begun, so the two no longer make a disk; put "
			"the base back, or, if its bytes are the same, say so with: ringside "
			"cow rebase file=%s,cow=%s.",
			base->name, f->path, base->name, f->path);
	return 0;
}

/* ---- opening ---- */

int cow_file_init(struct cow_file *f, const char *path, struct error *err)
{
	*f = (struct cow_file){.fd = -1};
	/* A path, whatever it looks like. */
	if (asprintf(&f->path, "%s%s", *path == '/' ? "" : "./", path) < 0) {
		f->path = NULL;
		return error_set(err, -ENOMEM, "cannot set up the overlay %s", path);
	}
	return 0;
}

void cow_file_fini(struct cow_file *f)
{
	if (!f->path)
		return;
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	*f = (struct cow_file){.fd = -1};
}

static int explain_short(int rc)
{
	return rc < 0 ? -errno : -EIO;
}

static int cow_file_look(const struct cow_file *f, int fd, struct stat *st, struct error *err)
{
	if (fstat(fd, st) < 0)
		return error_set(err, -errno, "cannot look at the overlay %s", f->path);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return error_set(err, -EINVAL,
				 "%s is no place for an overlay; that is a regular file or a block "
				 "device.",
				 f->path);
	return 0;
}

/* 1: the first MiB is zeroes; 0; -errno. */
static int begins_with_zeroes(int fd)
{
	uint8_t buf[COW_PAGE];

	for (uint64_t at = 0; at < BLANK_BYTES; at += sizeof(buf)) {
		ssize_t n = pread(fd, buf, sizeof(buf), (off_t)at);

		if (n != (ssize_t)sizeof(buf))
			return explain_short((int)n);
		if (buf[0] || memcmp(buf, buf + 1, sizeof(buf) - 1) != 0)
			return 0;
	}
	return 1;
}

/*
 * 1: nothing is in it; 0; -errno.  A creation that was killed leaves a file that is as long as the
 * overlay was to be, and a hole all over.
 */
static int is_blank(int fd, const struct stat *st, uint64_t bytes)
{
	if (S_ISBLK(st->st_mode))
		return begins_with_zeroes(fd);
	if (!st->st_size)
		return 1;
	return (uint64_t)st->st_size == bytes && lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
}

/* As far as no writer may change it under us. */
static int header_look(struct cow_file *f, struct error *err)
{
	struct cow_header *h = &f->header;
	ssize_t n = pread(f->fd, h, sizeof(*h), 0);

	if (n < 0)
		return error_set(err, -errno, "cannot read %s", f->path);
	if (n != (ssize_t)sizeof(*h) || memcmp(h->magic, COW_MAGIC, sizeof(h->magic)) != 0)
		return error_set(err, -EINVAL,
				 "%s is no overlay of a disk; one is made in a new or empty file, "
				 "or on a device whose first MiB is zeroes.",
				 f->path);
	return 0;
}

static int header_read(struct cow_file *f, struct error *err)
{
	const struct cow_header *h = &f->header;
	const uint8_t id[16] = {0};
	int rc = header_look(f, err);

	if (rc)
		return rc;
	if (le64_get(h->sum) != cow_sum(id, HEADER_INDEX, h, sizeof(*h) / 8 - 1))
		return error_set(err, -EBADMSG,
				 "the header of the overlay %s is damaged; restore it from a copy.",
				 f->path);
	if (le32_get(h->version) != COW_VERSION)
		return error_set(err, -EINVAL,
				 "the overlay %s is of version %u, and this program knows "
				 "version %u.",
				 f->path, le32_get(h->version), COW_VERSION);
	return 0;
}

/* What is used as lengths and places follows from the disk's size alone. */
static int header_judge(struct cow_file *f, struct error *err)
{
	const struct cow_header *h = &f->header;
	uint64_t size = le64_get(h->disk_size), bytes;
	off_t end = lseek(f->fd, 0, SEEK_END);

	if (!size || size % COW_SECTOR || size > (uint64_t)INT64_MAX / 2 ||
	    le64_get(h->map_at) != COW_MAP_AT ||
	    le64_get(h->recent_at) != cow_file_map_at(size, COW_RECENT) ||
	    le64_get(h->map_bytes) != map_bytes(size) ||
	    le64_get(h->data_at) != cow_file_data_at(size) || le32_get(h->phase) > COW_EMPTYING ||
	    h->base[sizeof(h->base) - 1])
		return error_set(
			err, -EBADMSG,
			"the header of the overlay %s says what cannot be; restore it from "
			"a copy.",
			f->path);
	bytes = cow_file_bytes(size);
	/* One that is being emptied may be short already. */
	if (end < 0 || ((uint64_t)end < bytes && le32_get(h->phase) != COW_EMPTYING))
		return error_set(err, end < 0 ? -errno : -EINVAL,
				 "the overlay %s has %lld bytes and needs %llu; it was cut off.",
				 f->path, (long long)end, (unsigned long long)bytes);
	f->disk_size = size;
	f->data_at = cow_file_data_at(size);
	for (unsigned w = 0; w < COW_IMAGES; w++)
		f->map_at[w] = cow_file_map_at(size, w);
	name_make_printable(f->header.base);
	return 0;
}

static int overlay_open_fd(const struct cow_file *f, int flags, struct error *err)
{
	int fd = open(f->path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return error_set(err, -ENOENT, "the overlay %s does not exist.", f->path);
	if (errno == EBUSY)
		return error_set(err, -EBUSY,
				 "%s is in use by this system (mounted, swap, RAID) or by another "
				 "program.",
				 f->path);
	return error_set(err, -errno, "the overlay %s cannot be opened", f->path);
}

int cow_file_open(struct cow_file *f, bool writable, struct error *err)
{
	struct stat st;
	int rc, blank;

	if (f->fd >= 0)
		close(f->fd);
	rc = f->fd = overlay_open_fd(f, writable ? O_RDWR : O_RDONLY, err);
	if (rc < 0)
		return rc;
	rc = cow_file_look(f, f->fd, &st, err);
	if (rc)
		return rc;
	blank = is_blank(f->fd, &st, f->made ? f->made : (uint64_t)st.st_size);
	if (blank < 0)
		return error_set(err, blank, "cannot read %s", f->path);
	if (blank)
		return error_set(err, -ENODATA,
				 "the overlay %s is empty; it becomes one when its disk is opened "
				 "for writing.",
				 f->path);
	return header_look(f, err);
}

int cow_file_read(struct cow_file *f, struct error *err)
{
	int rc = header_read(f, err);

	return rc ? rc : header_judge(f, err);
}

/* ---- writing ---- */

static int header_write(struct cow_file *f, int fd, struct error *err)
{
	const uint8_t id[16] = {0};
	ssize_t n;

	f->header.sum = le64_make(cow_sum(id, HEADER_INDEX, &f->header, sizeof(f->header) / 8 - 1));
	n = pwrite(fd, &f->header, sizeof(f->header), 0);
	if (n != (ssize_t)sizeof(f->header))
		return error_set(err, explain_short((int)n), "cannot write %s", f->path);
	if (fsync(fd) < 0)
		return error_set(err, -errno, "cannot write %s", f->path);
	return 0;
}

int cow_file_set_phase(struct cow_file *f, enum cow_phase phase, struct error *err)
{
	f->header.phase = le32_make(phase);
	return header_write(f, f->fd, err);
}

int cow_file_set_base(struct cow_file *f, const struct cow_base *base, struct error *err)
{
	header_take_base(&f->header, base);
	return header_write(f, f->fd, err);
}

static int zero_range(int fd, uint64_t at, uint64_t len)
{
	static const uint8_t zeroes[COPY_BYTES];

	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len))
		return 0;
	if (!fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len))
		return 0;
	while (len) {
		size_t part = (size_t)min_u64(len, sizeof(zeroes));
		ssize_t n = pwrite(fd, zeroes, part, (off_t)at);

		if (n != (ssize_t)part)
			return explain_short((int)n);
		at += part;
		len -= part;
	}
	return 0;
}

/* The name of a new file is stable, too. */
static int sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = strdup(path);
	int fd, rc = 0;

	if (!dir)
		return -ENOMEM;
	dir[slash - path + 1] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	/* Not everybody may read a folder that he may write to, and not all can be synced. */
	if (fd < 0)
		return 0;
	if (fsync(fd) < 0 && errno == EIO)
		rc = -EIO;
	close(fd);
	return rc;
}

static int overlay_lay_out(struct cow_file *f, int fd, const struct stat *st, struct error *err)
{
	const uint64_t size = le64_get(f->header.disk_size), bytes = cow_file_bytes(size);
	uint64_t is;
	int rc = 0;

	if (S_ISREG(st->st_mode)) {
		if (ftruncate(fd, (off_t)bytes) < 0)
			return error_set(err, -errno,
					 "cannot make the overlay %s, a sparse file of %llu bytes",
					 f->path, (unsigned long long)bytes);
		return 0;
	}
	is = (uint64_t)lseek(fd, 0, SEEK_END);
	if (is < bytes)
		return error_set(err, -ENOSPC,
				 "the device %s has %llu bytes, and the overlay of this disk needs "
				 "%llu.",
				 f->path, (unsigned long long)is, (unsigned long long)bytes);
	rc = zero_range(fd, 0, COW_MAP_AT + 2 * map_bytes(size));
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	return rc ? error_set(err, rc, "cannot clear the map of the overlay %s", f->path) : 0;
}

/* @fd is blank, and locked. */
static int overlay_write(struct cow_file *f, int fd, const struct stat *st,
			 const struct cow_base *base, struct error *err)
{
	struct cow_header *h = &f->header;
	int rc;

	*h = (struct cow_header){
		.version = le32_make(COW_VERSION),
		.phase = le32_make(COW_IN_USE),
		.map_at = le64_make(COW_MAP_AT),
		.recent_at = le64_make(cow_file_map_at(base->size, COW_RECENT)),
		.map_bytes = le64_make(map_bytes(base->size)),
		.data_at = le64_make(cow_file_data_at(base->size)),
	};
	memcpy(h->magic, COW_MAGIC, sizeof(h->magic));
	header_take_base(h, base);
	if (getrandom(h->id, sizeof(h->id), 0) != sizeof(h->id))
		return error_set(err, -EIO, "cannot get a random number for %s", f->path);
	rc = overlay_lay_out(f, fd, st, err);
	if (!rc)
		rc = header_write(f, fd, err);
	if (!rc && S_ISREG(st->st_mode) && sync_folder(f->path))
		rc = error_set(err, -EIO, "cannot write the folder of %s", f->path);
	return rc;
}

/* Whoever else makes one of it at this moment has the lock, and is through when we have it. */
static int make_if_blank(struct cow_file *f, int fd, const struct cow_base *base, bool ours,
			 struct error *err)
{
	uint64_t bytes = cow_file_bytes(base->size);
	struct stat st;
	int rc = cow_file_look(f, fd, &st, err);

	if (rc)
		return rc;
	rc = is_blank(fd, &st, bytes);
	if (rc <= 0)
		return rc < 0 ? error_set(err, rc, "cannot read %s", f->path) : 0;
	rc = file_lock(fd, f->path, false, err);
	if (rc)
		return rc;
	rc = fstat(fd, &st) < 0 ? -errno : is_blank(fd, &st, bytes);
	if (rc < 0)
		error_set(err, rc, "cannot read %s", f->path);
	else if (rc)
		rc = overlay_write(f, fd, &st, base, err);
	/* What is not whole is in nobody's way.  As long as it is locked it is nobody else's. */
	if (rc && ours)
		unlink(f->path);
	f->ours = !rc && ours;
	file_unlock(fd);
	return rc;
}

int cow_file_make(struct cow_file *f, const struct cow_base *base, struct error *err)
{
	bool ours = false;
	struct stat st;
	int fd, rc;

	if (base->size > (uint64_t)INT64_MAX / 2)
		return error_set(err, -EFBIG, "%s is too large for an overlay.", base->name);
	f->made = cow_file_bytes(base->size);
	/* A device that is mounted knows no other lock. */
	if (!stat(f->path, &st) && S_ISBLK(st.st_mode)) {
		fd = overlay_open_fd(f, O_RDWR | O_EXCL, err);
	} else {
		fd = open(f->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		ours = fd >= 0;
		if (!ours && errno == EEXIST)
			fd = overlay_open_fd(f, O_RDWR, err);
		else if (!ours)
			fd = error_set(err, -errno, "cannot make the overlay %s", f->path);
	}
	if (fd < 0)
		return fd;
	rc = make_if_blank(f, fd, base, ours, err);
	close(fd);
	return rc;
}

static int empty_device(struct cow_file *f, struct error *err)
{
	int rc = cow_file_set_phase(f, COW_EMPTYING, err);

	if (rc)
		return rc;
	rc = zero_range(f->fd, COW_SECTOR, BLANK_BYTES - COW_SECTOR);
	if (!rc && fsync(f->fd) < 0)
		rc = -errno;
	if (!rc)
		rc = zero_range(f->fd, 0, COW_SECTOR);
	if (!rc && fsync(f->fd) < 0)
		rc = -errno;
	return rc ? error_set(err, rc, "cannot empty %s", f->path) : 0;
}

int cow_file_empty(struct cow_file *f, struct error *err)
{
	struct stat st;
	int rc = cow_file_look(f, f->fd, &st, err);

	if (rc)
		return rc;
	if (S_ISBLK(st.st_mode))
		return empty_device(f, err);
	if (ftruncate(f->fd, 0) < 0 || fsync(f->fd) < 0)
		return error_set(err, -errno, "cannot empty %s", f->path);
	return 0;
}

/* ---- the map ---- */

/* The next place that holds data at all, of [at, end). */
static uint64_t skip_hole(int fd, uint64_t at, uint64_t end)
{
	off_t to = lseek(fd, (off_t)at, SEEK_DATA);

	if (to < 0)
		return errno == ENXIO ? end : at;
	return min_u64(max_u64(align_down((uint64_t)to, COW_PAGE), at), end);
}

static int explain_bad(const struct cow_file *f, uint64_t at, uint64_t bad, struct error *err)
{
	uint64_t from = bad * COW_PER_MAP * COW_SECTOR;

	return error_set(
		err, -EBADMSG,
		"the map of the overlay %s is damaged at its byte %llu, so nobody knows "
		"what bytes %llu to %llu of the disk are; restore it from a copy.",
		f->path, (unsigned long long)(at + bad * COW_SECTOR), (unsigned long long)from,
		(unsigned long long)(min_u64(from + COW_PER_MAP * COW_SECTOR, f->disk_size) - 1));
}

static int map_read(const struct cow_file *f, struct cow_map *m, enum cow_which which, uint8_t *buf,
		    struct error *err)
{
	const uint64_t from = f->map_at[which], end = from + m->pages * COW_PAGE;
	uint64_t at = from, bad;
	int rc = 0;

	while (!rc && (at = skip_hole(f->fd, at, end)) < end) {
		size_t part = (size_t)min_u64(end - at, COPY_BYTES);
		ssize_t n = pread(f->fd, buf, part, (off_t)at);

		if (n != (ssize_t)part)
			return error_set(err, explain_short((int)n), "cannot read %s", f->path);
		for (size_t i = 0; !rc && i < part; i += COW_PAGE)
			rc = cow_map_load(m, which, (at - from + i) / COW_PAGE, buf + i, &bad);
		at += part;
	}
	return rc ? explain_bad(f, from, bad, err) : 0;
}

/* What tells one start of this kernel from every other; false: nobody says. */
static bool boot_id(uint8_t *id)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	unsigned k = 0;

	if (fd >= 0)
		close(fd);
	memset(id, 0, 16);
	for (ssize_t i = 0; i < n && k < 32; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *d = text[i] ? strchr(digits, text[i]) : NULL;

		if (d) {
			id[k / 2] = (uint8_t)(id[k / 2] << 4 | (d - digits));
			k++;
		}
	}
	return k == 32;
}

static bool is_of_this_boot(const struct cow_file *f)
{
	uint8_t id[16];

	return boot_id(id) && !memcmp(id, f->header.boot, sizeof(id));
}

int cow_file_load_map(const struct cow_file *f, struct cow_map *m, struct error *err)
{
	uint8_t *buf = malloc(COPY_BYTES);
	int rc;

	if (!buf || cow_map_init(m, f->disk_size / COW_SECTOR, f->header.id)) {
		free(buf);
		return error_set(err, -ENOMEM, "cannot set up the overlay %s", f->path);
	}
	rc = map_read(f, m, COW_STABLE, buf, err);
	if (!rc && is_of_this_boot(f))
		rc = map_read(f, m, COW_RECENT, buf, err);
	if (rc)
		cow_map_fini(m);
	free(buf);
	return rc;
}

int cow_file_begin(struct cow_file *f, struct error *err)
{
	int rc;

	if (is_of_this_boot(f))
		return 0;
	rc = zero_range(f->fd, f->map_at[COW_RECENT], map_bytes(f->disk_size));
	if (!rc && fsync(f->fd) < 0)
		rc = -errno;
	if (rc)
		return error_set(err, rc, "cannot clear a map of the overlay %s", f->path);
	if (!boot_id(f->header.boot))
		log_warn(f->path, "this host has no /proc/sys/kernel/random/boot_id: if this "
				  "program is killed, what was not flushed is lost");
	return header_write(f, f->fd, err);
}
