/* SPDX-License-Identifier: MIT */
#include "storage/layer/cow_verbs.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (UINT64_C(1) << 20)

/* An overlay that is locked, and its map. */
struct overlay {
	struct cow_file f;
	struct storage *lock;
	struct cow_map map;
};

/* The base of a disk, with a thread's means to use it: this one's. */
struct base {
	struct storage *s;
	struct reactor *r;
	struct storage_channel *ch;
	uint8_t *piece; /* PIECE_BYTES */
	const char *name;
};

/* ---- the overlay ---- */

static void overlay_close(struct overlay *v)
{
	cow_map_fini(&v->map);
	storage_close(&v->lock);
	cow_file_fini(&v->f);
}

/* -ENODATA: it is blank. */
static int overlay_open(struct overlay *v, const char *path, bool writable, struct error *err)
{
	struct storage_options o = {.readonly = writable ? STORAGE_WRITABLE : STORAGE_READONLY,
				    .life = STORAGE_LIFE_OFF,
				    .erase = STORAGE_ERASE_OFF};
	int rc;

	*v = (struct overlay){.lock = NULL};
	rc = cow_file_init(&v->f, path, err);
	if (rc)
		return rc;
	rc = cow_file_open(&v->f, writable, err);
	o.target = v->f.path;
	if (!rc)
		rc = storage_open(&o, &v->lock, err);
	if (rc == -EBUSY)
		error_set(err, rc,
			  "%s is in use by a disk that is served; stop that first (what is in it "
			  "ringside tree --of SOCKET tells, too).",
			  v->f.path);
	if (!rc)
		rc = cow_file_read(&v->f, err);
	if (rc)
		overlay_close(v);
	return rc;
}

static uint64_t map_bytes_in(const struct cow_map *m, enum cow_state state)
{
	return m->in_state[state] * COW_SECTOR;
}

int cow_look(const char *path, struct cow_facts *facts, struct error *err)
{
	struct overlay v;
	int rc = overlay_open(&v, path, false, err);

	*facts = (struct cow_facts){.blank = rc == -ENODATA};
	if (rc)
		return facts->blank ? 0 : rc;
	facts->header = v.f.header;
	facts->disk_size = v.f.disk_size;
	if (le32_get(v.f.header.phase) != COW_EMPTYING)
		rc = cow_file_load_map(&v.f, &v.map, err);
	if (!rc && v.map.pages) {
		facts->data = map_bytes_in(&v.map, COW_DATA);
		facts->zeroes = map_bytes_in(&v.map, COW_ZERO);
	}
	overlay_close(&v);
	return rc;
}

int cow_discard(const char *path, struct error *err)
{
	struct overlay v;
	int rc = overlay_open(&v, path, true, err);

	if (rc)
		return rc == -ENODATA ? 0 : rc;
	if (le32_get(v.f.header.phase) == COW_COMMITTING)
		rc = error_set(
			err, -EUCLEAN,
			"the commit of %s was interrupted, and its base (%s) holds a part of "
			"it: without the rest it is no disk.  Do the commit again; if the "
			"base is given up, too, remove the overlay.",
			path, v.f.header.base);
	else
		rc = cow_file_empty(&v.f, err);
	overlay_close(&v);
	return rc;
}

/* ---- the base ---- */

static void base_close(struct base *b)
{
	storage_channel_close(&b->ch);
	if (b->r)
		reactor_destroy(&b->r);
	storage_close(&b->s);
	free(b->piece);
}

static int base_open(struct base *b, const struct storage_options *disk, unsigned readonly,
		     struct error *err)
{
	struct reactor_config config = {.uring = false};
	struct storage_options o = *disk;
	int rc;

	*b = (struct base){.name = disk->target};
	o.readonly = readonly;
	o.layers = (struct storage_layer_options){.cow = NULL};
	rc = storage_open(&o, &b->s, err);
	if (rc)
		return rc;
	b->piece = aligned_alloc(COW_PAGE, PIECE_BYTES);
	rc = b->piece ? reactor_create(&b->r, &config, err)
		      : error_set(err, -ENOMEM, "cannot set up %s", b->name);
	if (!rc)
		rc = storage_channel_open(b->s, b->r, &b->ch, err);
	if (rc)
		base_close(b);
	return rc;
}

struct base_io {
	struct storage_io io;
	bool over;
	int err;
};

static void base_done(struct storage_io *io, int err)
{
	struct base_io *b = container_of(io, struct base_io, io);

	b->over = true;
	b->err = err;
}

static int base_do(struct base *b, enum storage_op op, uint64_t at, uint64_t len)
{
	struct iovec iov = {b->piece, op == STORAGE_WRITE ? len : 0};
	struct base_io w = {.io = {.op = op,
				   .flags = op == STORAGE_WRITE_ZEROES ? STORAGE_UNMAP : 0,
				   .offset = at,
				   .len = len,
				   .iov = &iov,
				   .iovcnt = op == STORAGE_WRITE,
				   .done = base_done}};

	storage_submit(b->ch, &w.io);
	while (!w.over)
		reactor_turn(b->r);
	return w.err;
}

/* ---- commit ---- */

static bool may_go_on(struct cow_progress *p)
{
	return !p || !p->go_on || p->go_on(p);
}

static int explain_stop(const struct overlay *v, struct error *err)
{
	return error_set(err, -ECANCELED, "stopped; %s is still needed, and so is another commit.",
			 v->f.path);
}

/* No longer than one step may be. */
static int commit_zeroes(struct base *b, uint64_t at, uint64_t len)
{
	if (storage_limits(b->s)->max_write_zeroes)
		return base_do(b, STORAGE_WRITE_ZEROES, at, len);
	memset(b->piece, 0, len);
	return base_do(b, STORAGE_WRITE, at, len);
}

static int commit_data(struct base *b, const struct overlay *v, uint64_t at, uint64_t len,
		       struct error *err)
{
	ssize_t n = pread(v->f.fd, b->piece, len, (off_t)(v->f.data_at + at));
	int rc;

	if (n != (ssize_t)len)
		return error_set(err, n < 0 ? -errno : -EIO, "cannot read %s", v->f.path);
	rc = base_do(b, STORAGE_WRITE, at, len);
	return rc ? error_set(err, rc, "cannot write %s", b->name) : 0;
}

static uint64_t longest_piece(const struct base *b, enum cow_state state)
{
	uint64_t zeroes = storage_limits(b->s)->max_write_zeroes;

	if (state == COW_ZERO && zeroes)
		return min_u64(zeroes, COW_PER_PAGE * COW_SECTOR);
	return PIECE_BYTES;
}

static int commit_run(struct base *b, const struct overlay *v, enum cow_state state, uint64_t at,
		      uint64_t len, struct cow_progress *p, struct error *err)
{
	int rc = 0;

	while (!rc && len) {
		uint64_t part = min_u64(len, longest_piece(b, state));

		if (!may_go_on(p))
			return explain_stop(v, err);
		if (state == COW_DATA)
			rc = commit_data(b, v, at, part, err);
		else if ((rc = commit_zeroes(b, at, part)))
			error_set(err, rc, "cannot write zeroes to %s", b->name);
		if (!rc && p)
			*(state == COW_DATA ? &p->data : &p->zeroes) += part;
		at += part;
		len -= part;
	}
	return rc;
}

static int commit_all(struct base *b, const struct overlay *v, struct cow_progress *p,
		      struct error *err)
{
	uint64_t n;
	int rc = 0;

	for (uint64_t at = 0; !rc && at < v->map.sectors; at += n) {
		enum cow_state state;

		n = cow_map_run(&v->map, at, v->map.sectors - at, &state);
		if (state != COW_BASE)
			rc = commit_run(b, v, state, at * COW_SECTOR, n * COW_SECTOR, p, err);
	}
	if (rc)
		return rc;
	if (!may_go_on(p))
		return explain_stop(v, err);
	rc = base_do(b, STORAGE_FLUSH, 0, 0);
	return rc ? error_set(err, rc, "cannot flush %s", b->name) : 0;
}

/* A commit that was begun has changed the base itself. */
static int commit_judge(const struct overlay *v, const struct cow_base *base, struct error *err)
{
	struct cow_file as_if = v->f;

	if (le32_get(v->f.header.phase) == COW_COMMITTING) {
		cow_header_name(&as_if.header, base->name);
		/* Its time says nothing any more; any other file would be taken for it. */
		if (strcmp(as_if.header.base, v->f.header.base) != 0)
			return error_set(err, -EINVAL,
					 "the commit of %s was begun into %s; it is done again "
					 "there, by that name.",
					 v->f.path, v->f.header.base);
		as_if.header.phase = le32_make(COW_IN_USE);
		as_if.header.base_dated = le32_make(0);
	}
	return cow_file_judge(&as_if, base, err);
}

/*
 * The header says it before the base is opened for writing: that alone may change the base's time.
 * Nothing is in the base when it cannot be opened.
 */
static int commit_begin(struct base *b, struct overlay *v, const struct storage_options *o,
			struct error *err)
{
	const struct cow_header was = v->f.header;
	int rc;

	cow_header_name(&v->f.header, o->target);
	rc = cow_file_set_phase(&v->f, COW_COMMITTING, err);
	if (rc)
		return rc;
	rc = base_open(b, o, STORAGE_WRITABLE, err);
	if (rc) {
		v->f.header = was;
		cow_file_set_phase(&v->f, le32_get(was.phase), NULL);
		return rc;
	}
	if (storage_size(b->s) == v->f.disk_size)
		return 0;
	base_close(b);
	return error_set(err, -ESTALE, "%s has another size now.", b->name);
}

static int commit_overlay(struct overlay *v, const struct storage_options *o,
			  struct cow_progress *p, struct error *err)
{
	struct base b;
	int rc = cow_file_load_map(&v->f, &v->map, err);

	if (rc)
		return rc;
	if (!may_go_on(p))
		return error_set(err, -ECANCELED, "stopped; nothing has changed.");
	rc = commit_begin(&b, v, o, err);
	if (rc)
		return rc;
	rc = commit_all(&b, v, p, err);
	if (!rc && !may_go_on(p))
		rc = explain_stop(v, err);
	if (!rc)
		rc = cow_file_empty(&v->f, err);
	base_close(&b);
	return rc;
}

/* Opens the overlay, and finds out what the base is. */
static int disk_open(struct overlay *v, struct cow_base *known, const struct storage_options *o,
		     struct error *err)
{
	struct base b;
	int rc;

	if (!o->layers.cow)
		return error_set(err, -EINVAL,
				 "%s: give the disk as its guest has it: file=BASE,cow=OVERLAY.",
				 o->target);
	rc = overlay_open(v, o->layers.cow, true, err);
	if (rc)
		return rc;
	cow_base_look(known, o->target);
	rc = base_open(&b, o, STORAGE_READONLY, err);
	if (rc) {
		overlay_close(v);
		return rc;
	}
	cow_base_settle(known, b.s);
	base_close(&b);
	return 0;
}

int cow_commit(const struct storage_options *o, struct cow_progress *p, struct error *err)
{
	struct cow_base known;
	struct overlay v;
	int rc = disk_open(&v, &known, o, err);

	if (rc)
		return rc == -ENODATA ? 0 : rc;
	rc = commit_judge(&v, &known, err);
	if (!rc)
		rc = commit_overlay(&v, o, p, err);
	overlay_close(&v);
	return rc;
}

int cow_rebase(const struct storage_options *o, struct error *err)
{
	struct cow_base known;
	struct cow_file as_if;
	struct overlay v;
	int rc = disk_open(&v, &known, o, err);

	if (rc)
		return rc == -ENODATA ? 0 : rc;
	as_if = v.f;
	as_if.header.base_dated = le32_make(0);
	rc = cow_file_judge(&as_if, &known, err);
	if (!rc)
		rc = cow_file_set_base(&v.f, &known, err);
	overlay_close(&v);
	return rc;
}
