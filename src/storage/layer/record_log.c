/* SPDX-License-Identifier: MIT */
#include "storage/layer/record_log.h"

#include "base/bits.h"
#include "base/grow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES (64u << 10)
#define ERRNO_MAX  4095u
#define EVENTS_MAX (UINT32_C(1) << 31)
/* Of what has no data, and may be the whole disk. */
#define TORN_PARTS 65536u

_Static_assert(sizeof(struct record_header) <= RECORD_SECTOR, "a sector holds it");
_Static_assert(sizeof(struct record_sector) == 64, "no holes");

/* CRC-32 as in Ethernet, bit by bit: there is one sector for each request. */
uint32_t record_crc(const void *sector)
{
	const uint8_t *p = sector;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < RECORD_SECTOR; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

void record_seal(uint8_t *sector, const void *what, size_t size, size_t crc_at)
{
	le32 crc = {0};

	memset(sector, 0, RECORD_SECTOR);
	memcpy(sector, what, size);
	memcpy(sector + crc_at, &crc, sizeof(crc));
	crc = le32_make(record_crc(sector));
	memcpy(sector + crc_at, &crc, sizeof(crc));
}

static bool crc_is_right(uint8_t *sector, size_t at)
{
	le32 crc, none = {0};

	memcpy(&crc, sector + at, sizeof(crc));
	memcpy(sector + at, &none, sizeof(none));
	return le32_get(crc) == record_crc(sector);
}

/* ---- reading ---- */

static int read_sector(int fd, uint64_t at, uint8_t *sector)
{
	ssize_t n = pread(fd, sector, RECORD_SECTOR, (off_t)at);

	return n == (ssize_t)RECORD_SECTOR ? 0 : n < 0 ? -errno : -ENODATA;
}

/*
 * Whether a log that ends at @end may hold such an entry at @at.  A log is a file that anybody may
 * have made: what it says is used as lengths and places.
 */
static bool entry_can_be(const struct record_sector *s, uint64_t at, uint64_t end)
{
	uint64_t offset = le64_get(s->offset), len = le64_get(s->len);

	if (s->type != RECORD_SUBMIT && s->type != RECORD_DONE)
		return false;
	if (s->op > STORAGE_SECURE_ERASE || le32_get(s->error) > ERRNO_MAX)
		return false;
	if ((offset | len) % RECORD_SECTOR || offset > INT64_MAX || len > INT64_MAX - offset)
		return false;
	/* Its data are there: they were written in front of the entry. */
	return s->type != RECORD_SUBMIT || s->op != STORAGE_WRITE ||
	       len <= end - at - RECORD_SECTOR;
}

/* The SUBMIT that stands at @at; NULL: there is none.  Events are sorted by their place. */
static struct record_event *submit_at(const struct record_log *l, uint64_t at)
{
	size_t from = 0, to = l->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (l->events[mid].at < at)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == l->n || l->events[from].at != at || l->events[from].type != RECORD_SUBMIT)
		return NULL;
	return &l->events[from];
}

static int log_add(struct record_log *l, const struct record_sector *s, uint64_t at)
{
	struct record_event *all, *e, *of;

	if (l->n == EVENTS_MAX)
		return -EFBIG;
	all = grow_for_one(l->events, (unsigned)l->n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	l->events = all;
	e = &all[l->n++];
	*e = (struct record_event){.type = s->type,
				   .op = s->op,
				   .flags = s->flags,
				   .at = at,
				   .offset = le64_get(s->offset),
				   .len = le64_get(s->len),
				   .err = -(int)le32_get(s->error),
				   .partner = SIZE_MAX};
	if (e->type != RECORD_DONE)
		return 0;
	of = submit_at(l, le64_get(s->of));
	if (!of || of->partner != SIZE_MAX)
		return 0;
	of->partner = l->n - 1;
	e->partner = (size_t)(of - all);
	e->op = of->op;
	e->flags = of->flags;
	e->offset = of->offset;
	e->len = of->len;
	return 0;
}

/* The next place at or behind @at that holds data at all. */
static uint64_t skip_hole(int fd, uint64_t at, uint64_t end)
{
	off_t to = lseek(fd, (off_t)at, SEEK_DATA);

	if (to < 0)
		return errno == ENXIO ? end : at;
	return align_down((uint64_t)to, RECORD_SECTOR) > at
		       ? align_down((uint64_t)to, RECORD_SECTOR)
		       : at;
}

static int log_scan(struct record_log *l, const uint8_t *id, uint64_t end)
{
	uint8_t sector[RECORD_SECTOR];
	struct record_sector s;
	uint64_t at = RECORD_SECTOR;
	int rc;

	while (at < end && end - at >= RECORD_SECTOR) {
		rc = read_sector(l->fd, at, sector);
		if (rc)
			return rc;
		memcpy(&s, sector, sizeof(s));
		if (memcmp(s.id, id, sizeof(s.id)) != 0 || le64_get(s.at) != at ||
		    !crc_is_right(sector, offsetof(struct record_sector, crc)) ||
		    !entry_can_be(&s, at, end)) {
			at = skip_hole(l->fd, at + RECORD_SECTOR, end);
			continue;
		}
		rc = log_add(l, &s, at);
		if (rc)
			return rc;
		at += RECORD_SECTOR;
		if (s.type == RECORD_SUBMIT && s.op == STORAGE_WRITE)
			at += le64_get(s.len);
	}
	return 0;
}

int record_log_open(struct record_log *l, const char *path, struct error *err)
{
	uint8_t sector[RECORD_SECTOR];
	struct record_header h;
	struct stat st;
	int rc;

	*l = (struct record_log){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
	if (l->fd < 0)
		return error_set(err, -errno, "cannot open %s", path);
	rc = fstat(l->fd, &st) < 0 ? -errno : read_sector(l->fd, 0, sector);
	if (!rc) {
		memcpy(&h, sector, sizeof(h));
		if (memcmp(h.magic, RECORD_MAGIC, sizeof(h.magic)) != 0 ||
		    le32_get(h.version) != 1 ||
		    !crc_is_right(sector, offsetof(struct record_header, crc)))
			rc = -ENODATA;
	}
	if (rc) {
		error_set(err, rc == -ENODATA ? -EINVAL : rc,
			  rc == -ENODATA ? "%s is no log of a recorded disk." : "cannot read %s",
			  path);
		record_log_close(l);
		return rc == -ENODATA ? -EINVAL : rc;
	}
	l->disk_size = le64_get(h.disk_size);
	rc = log_scan(l, h.id, (uint64_t)st.st_size);
	if (rc) {
		error_set(err, rc, "cannot read %s", path);
		record_log_close(l);
	}
	return rc;
}

void record_log_close(struct record_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->events);
	*l = (struct record_log){.fd = -1};
}

/* ---- what a crash leaves ---- */

bool record_is_change(const struct record_event *e)
{
	return e->type == RECORD_SUBMIT && e->op != STORAGE_FLUSH && e->op != STORAGE_READ;
}

static bool is_done_well(const struct record_log *l, size_t n, const struct record_event *e)
{
	return e->partner < n && !l->events[e->partner].err;
}

/* The last flush that is DONE among the first @n; 0: none. */
static size_t last_flush(const struct record_log *l, size_t n)
{
	size_t f = n;

	while (f-- > 0)
		if (l->events[f].type == RECORD_SUBMIT && l->events[f].op == STORAGE_FLUSH &&
		    is_done_well(l, n, &l->events[f]))
			return f;
	return 0;
}

static bool is_stable(const struct record_log *l, size_t n, size_t flush, size_t i)
{
	const struct record_event *e = &l->events[i];

	return is_done_well(l, n, e) &&
	       (e->flags & STORAGE_FUA || e->op == STORAGE_SECURE_ERASE || e->partner < flush);
}

bool record_is_stable(const struct record_log *l, size_t n, size_t i)
{
	return is_stable(l, n, last_flush(l, n), i);
}

size_t record_volatile(const struct record_log *l, size_t n)
{
	size_t k = 0, flush = last_flush(l, n);

	for (size_t i = 0; i < n; i++)
		k += record_is_change(&l->events[i]) && !is_stable(l, n, flush, i);
	return k;
}

static int copy_range(const struct record_log *l, uint64_t from, int fd, uint64_t to, uint64_t len)
{
	uint8_t buf[COPY_BYTES];

	while (len) {
		size_t part = (size_t)min_u64(len, sizeof(buf));

		if (pread(l->fd, buf, part, (off_t)from) != (ssize_t)part ||
		    pwrite(fd, buf, part, (off_t)to) != (ssize_t)part)
			return errno ? -errno : -EIO;
		from += part;
		to += part;
		len -= part;
	}
	return 0;
}

static int zero_range(int fd, uint64_t to, uint64_t len)
{
	static const uint8_t zeroes[COPY_BYTES];
	struct stat st;

	/* Holes, where there may be some: a guest discards its whole disk. */
	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)to, (off_t)len))
		return fstat(fd, &st) < 0 || ((uint64_t)st.st_size < to + len &&
					      ftruncate(fd, (off_t)(to + len)) < 0)
			       ? -errno
			       : 0;
	errno = 0;
	while (len) {
		size_t part = (size_t)min_u64(len, sizeof(zeroes));

		if (pwrite(fd, zeroes, part, (off_t)to) != (ssize_t)part)
			return errno ? -errno : -EIO;
		to += part;
		len -= part;
	}
	return 0;
}

/* @skip bytes of the change are left out in front, and all behind @len more. */
static int apply_part(const struct record_log *l, const struct record_event *e, uint64_t skip,
		      uint64_t len, int fd)
{
	if (e->op == STORAGE_WRITE)
		return copy_range(l, e->at + RECORD_SECTOR + skip, fd, e->offset + skip, len);
	return zero_range(fd, e->offset + skip, len);
}

static int apply_torn(const struct record_log *l, const struct record_event *e,
		      struct record_choice *c, int fd)
{
	uint64_t part = RECORD_SECTOR;
	int rc = 0;

	if (e->op != STORAGE_WRITE)
		part = max_u64(part, align_up(e->len / TORN_PARTS, RECORD_SECTOR));
	for (uint64_t at = 0; !rc && at < e->len; at += part)
		if (c->random(c) & 1)
			rc = apply_part(l, e, at, min_u64(part, e->len - at), fd);
	return rc;
}

int record_apply(const struct record_log *l, size_t n, struct record_choice *c, int fd,
		 struct error *err)
{
	size_t k = 0, flush = last_flush(l, n);
	int rc = 0;

	for (size_t i = 0; !rc && i < n; i++) {
		const struct record_event *e = &l->events[i];
		enum record_fate fate = RECORD_KEPT;

		if (!record_is_change(e))
			continue;
		if (!is_stable(l, n, flush, i))
			fate = c->fate(c, k++);
		errno = 0;
		if (fate == RECORD_TORN)
			rc = e->partner < n && !l->events[e->partner].err
				     ? (c->random(c) & 1 ? apply_part(l, e, 0, e->len, fd) : 0)
				     : apply_torn(l, e, c, fd);
		else if (fate == RECORD_KEPT)
			rc = apply_part(l, e, 0, e->len, fd);
	}
	return rc ? error_set(err, rc, "cannot write the image") : 0;
}
