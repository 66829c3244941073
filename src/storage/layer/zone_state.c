/* SPDX-License-Identifier: MIT */
#include "storage/layer/zone_state.h"

#include "base/bits.h"
#include "storage/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* A word: the write pointer in sectors from the zone's start, the condition, the check. */
#define WP_BITS	  40
#define COND_BITS 8
#define SECTOR	  512u

static uint64_t stir(uint64_t v)
{
	v ^= v >> 33;
	v *= UINT64_C(0xff51afd7ed558ccd);
	v ^= v >> 33;
	v *= UINT64_C(0xc4ceb9fe1a85ec53);
	return v ^ v >> 33;
}

static uint64_t word_check(uint64_t id, uint32_t i, uint64_t value)
{
	return stir(stir(id + i) + value) << (WP_BITS + COND_BITS);
}

static le64 word_make(uint64_t id, uint32_t i, uint8_t condition, uint64_t wp)
{
	uint64_t value = wp / SECTOR | (uint64_t)condition << WP_BITS;

	return le64_make(value | word_check(id, i, value));
}

static bool condition_exists(uint8_t c)
{
	switch (c) {
	case STORAGE_ZONE_EMPTY:
	case STORAGE_ZONE_IMPLICIT:
	case STORAGE_ZONE_EXPLICIT:
	case STORAGE_ZONE_CLOSED:
	case STORAGE_ZONE_READONLY:
	case STORAGE_ZONE_FULL:
	case STORAGE_ZONE_OFFLINE:
		return true;
	default:
		return false;
	}
}

static bool word_read(const struct zone_map *t, uint64_t id, uint32_t i, le64 raw,
		      uint8_t *condition, uint64_t *wp)
{
	const uint64_t word = le64_get(raw);
	const uint64_t value = word & ((UINT64_C(1) << (WP_BITS + COND_BITS)) - 1);

	*condition = (uint8_t)(value >> WP_BITS);
	*wp = (value & ((UINT64_C(1) << WP_BITS) - 1)) * SECTOR;
	return word == (value | word_check(id, i, value)) && condition_exists(*condition) &&
	       *wp <= zone_map_capacity(t, i);
}

static uint64_t second_place(uint32_t n)
{
	return ZONE_STATE_WORDS + align_up(n * sizeof(le64), 4096);
}

static uint64_t file_size_of(uint32_t n)
{
	return second_place(n) + align_up(n * sizeof(le64), 4096);
}

/* ---- header ---- */

static uint32_t header_check(const struct zone_state_header *h)
{
	uint64_t sum = 0;
	const uint8_t *p = (const uint8_t *)&h->id;

	for (size_t i = 0; i < sizeof(*h) - offsetof(struct zone_state_header, id); i++)
		sum = stir(sum + p[i] + 1);
	return (uint32_t)sum;
}

static void header_make(struct zone_state_header *h, const struct zone_map *t, uint64_t id)
{
	*h = (struct zone_state_header){
		.version = le32_make(1),
		.id = le64_make(id),
		.disk_size = le64_make(t->disk_size),
		.zone_size = le64_make(t->limits.size),
		.capacity = le64_make(t->capacity),
		.conventional = le32_make(t->conventional),
	};
	memcpy(h->magic, ZONE_STATE_MAGIC, sizeof(h->magic));
	h->check = le32_make(header_check(h));
}

static int differs(const char *path, const char *what, uint64_t there, uint64_t here,
		   struct error *err)
{
	return error_set(err, -EINVAL,
			 "the zone state %s is of a disk with %s %" PRIu64 ", and this one has "
			 "%" PRIu64 "; say it as it was, or remove the file and with it all that "
			 "sequential zones hold.",
			 path, what, there, here);
}

static int header_judge(const struct zone_state_header *h, const char *path,
			const struct zone_map *t, struct error *err)
{
	if (memcmp(h->magic, ZONE_STATE_MAGIC, sizeof(h->magic)))
		return error_set(err, -EINVAL, "%s is not a zone state.", path);
	if (le32_get(h->version) != 1)
		return error_set(err, -EINVAL, "the zone state %s is of version %u, not 1.", path,
				 le32_get(h->version));
	if (le32_get(h->check) != header_check(h))
		return error_set(err, -EINVAL, "the zone state %s is damaged at its beginning.",
				 path);
	if (le64_get(h->zone_size) != t->limits.size)
		return differs(path, "a zone-size of", le64_get(h->zone_size), t->limits.size, err);
	if (le64_get(h->capacity) != t->capacity)
		return differs(path, "a zone-capacity of", le64_get(h->capacity), t->capacity, err);
	if (le32_get(h->conventional) != t->conventional)
		return differs(path, "zone-conventional", le32_get(h->conventional),
			       t->conventional, err);
	if (le64_get(h->disk_size) != t->disk_size)
		return differs(path, "a size of", le64_get(h->disk_size), t->disk_size, err);
	return 0;
}

/* ---- made ---- */

static int write_all(int fd, const void *buf, uint64_t len, uint64_t at)
{
	const uint8_t *p = buf;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int fill(int fd, const struct zone_map *t)
{
	uint64_t size = file_size_of(t->n), id;
	uint8_t *all = calloc(1, size);
	struct zone_state_header h;
	int rc;

	if (!all)
		return -ENOMEM;
	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = (uintptr_t)all;
	header_make(&h, t, id);
	memcpy(all, &h, sizeof(h));
	for (uint32_t i = 0; i < t->n; i++) {
		le64 word = word_make(id, i, t->zone[i].condition, 0);

		memcpy(all + ZONE_STATE_WORDS + i * sizeof(word), &word, sizeof(word));
		memcpy(all + second_place(t->n) + i * sizeof(word), &word, sizeof(word));
	}
	rc = write_all(fd, all, size, 0);
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	free(all);
	return rc;
}

/* The name lasts, too. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, rc = 0;

	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		rc = copy ? -errno : -ENOMEM;
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

/* It has its name when it is whole: who is killed before leaves none. */
int zone_state_make(const char *path, const struct zone_map *t, struct error *err)
{
	char *new;
	int fd, rc;

	if (!access(path, F_OK))
		return -EEXIST;
	if (asprintf(&new, "%s.new", path) < 0)
		return error_set(err, -ENOMEM, "cannot make the zone state %s", path);
	unlink(new);
	fd = open(new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : fill(fd, t);
	if (!rc && link(new, path) < 0)
		rc = -errno;
	if (!rc)
		rc = sync_folder(path);
	if (fd >= 0) {
		close(fd);
		unlink(new);
	}
	free(new);
	return rc && rc != -EEXIST ? error_set(err, rc, "cannot make the zone state %s", path) : rc;
}

/* ---- opened ---- */

static int read_all(int fd, void *buf, uint64_t len, uint64_t at)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* What is missing is damaged. */
		if (!n) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		at += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int load_words(const struct zone_state *st, struct zone_map *t, uint32_t *damaged)
{
	size_t bytes = st->n * sizeof(le64);
	le64 *words = malloc(2 * bytes);
	int rc;

	*damaged = 0;
	if (!words)
		return -ENOMEM;
	rc = read_all(st->fd, words, bytes, ZONE_STATE_WORDS);
	if (!rc)
		rc = read_all(st->fd, words + st->n, bytes, second_place(st->n));
	for (uint32_t i = t->conventional; !rc && i < st->n; i++) {
		uint8_t condition;
		uint64_t wp;

		if (!word_read(t, st->id, i, words[i], &condition, &wp) &&
		    !word_read(t, st->id, i, words[st->n + i], &condition, &wp)) {
			condition = STORAGE_ZONE_READONLY;
			wp = zone_map_capacity(t, i);
			++*damaged;
		}
		zone_map_load(t, i, condition, wp);
	}
	free(words);
	return rc;
}

int zone_state_open(struct zone_state *st, const char *path, bool readonly, struct zone_map *t,
		    uint32_t *damaged, struct error *err)
{
	struct zone_state_header h;
	const char *kind = NULL;
	struct statfs fs;
	struct stat info;
	int rc;

	st->n = t->n;
	st->write = pwrite;
	st->fd = open(path, (readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (st->fd < 0)
		return error_set(err, -errno, "cannot open the zone state %s", path);
	if (fstat(st->fd, &info) < 0 || !S_ISREG(info.st_mode)) {
		rc = error_set(err, -EINVAL, "the zone state %s is not a file.", path);
		goto close_file;
	}
	if (!fstatfs(st->fd, &fs))
		kind = file_hang_kind((uint64_t)fs.f_type);
	if (kind && !readonly) {
		rc = error_set(err, -EINVAL,
			       "the zone state %s is on %s, which may not answer; name a place on "
			       "this host by zone-state=PATH.",
			       path, kind);
		goto close_file;
	}
	rc = read_all(st->fd, &h, sizeof(h), 0);
	if (rc) {
		error_set(err, rc, "cannot read the zone state %s", path);
		goto close_file;
	}
	rc = header_judge(&h, path, t, err);
	if (rc)
		goto close_file;
	st->id = le64_get(h.id);
	rc = load_words(st, t, damaged);
	if (!rc)
		return 0;
	error_set(err, rc, "cannot read the zone state %s", path);
close_file:
	close(st->fd);
	st->fd = -1;
	return rc;
}

void zone_state_close(struct zone_state *st)
{
	if (st->fd >= 0)
		close(st->fd);
	st->fd = -1;
}

static int store_at(const struct zone_state *st, const le64 *word, uint64_t at)
{
	ssize_t n;

	do
		n = st->write(st->fd, word, sizeof(*word), (off_t)at);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*word) ? 0 : n < 0 ? -errno : -EIO;
}

int zone_state_store(const struct zone_state *st, uint32_t i, uint8_t condition, uint64_t wp)
{
	le64 word;
	int rc;

	if (st->fd < 0)
		return 0;
	word = word_make(st->id, i, condition, wp);
	rc = store_at(st, &word, ZONE_STATE_WORDS + i * sizeof(word));
	return rc ? rc : store_at(st, &word, second_place(st->n) + i * sizeof(word));
}
