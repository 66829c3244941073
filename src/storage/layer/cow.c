/* SPDX-License-Identifier: MIT */
#include "storage/layer/cow.h"

#include "base/atomic.h"
#include "storage/geometry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cow_io *cow_io_of(struct storage_io *io)
{
	return container_of(io, struct cow_io, l.io);
}

void cow_submit_overlay(struct cow_channel *ch, struct storage_io *io)
{
	bool draining = ch->ch.draining;

	storage_submit(ch->overlay, io);
	/* It may have been quiet when it was told. */
	if (unlikely(draining))
		storage_drain(ch->overlay, NULL);
}

void cow_send(struct cow_io *c, void (*done)(struct storage_io *io, int err))
{
	c->l.io.offset += cow_of_io(c)->data_at;
	c->l.io.done = done;
	cow_submit_overlay(cow_channel_of(c->l.ch), &c->l.io);
}

/* ---- changing ---- */

static bool cow_has(const struct cow_io *c, enum cow_which which, enum cow_state state)
{
	const struct storage_io *parent = c->l.parent;

	return cow_map_has(&cow_of_io(c)->map, which, parent->offset / COW_SECTOR,
			   parent->len / COW_SECTOR, state);
}

static bool cow_set(const struct cow_io *c, enum cow_state state)
{
	const struct storage_io *parent = c->l.parent;

	return cow_map_set(&cow_of_io(c)->map, parent->offset / COW_SECTOR,
			   parent->len / COW_SECTOR, state);
}

static void cow_tell(struct cow_io *c, int err)
{
	layer_answer(&c->l, err);
}

static enum cow_state cow_state_of(const struct cow_io *c)
{
	return c->l.parent->op == STORAGE_WRITE ? COW_DATA : COW_ZERO;
}

/* A kill leaves it; whether the host's failure does is the next question. */
static void cow_recent(struct cow_io *c, int err)
{
	bool fua = c->l.parent->flags & STORAGE_FUA;

	if (likely(!err) && fua && (c->will_join || !cow_has(c, COW_STABLE, cow_state_of(c))))
		cow_cycle_join(c, COW_STABLE, cow_tell);
	else
		layer_answer(&c->l, err);
}

/* The map says what was done. */
static void cow_changed(struct cow_io *c)
{
	if (likely(cow_has(c, COW_RECENT, cow_state_of(c))))
		cow_recent(c, 0);
	else
		cow_cycle_join(c, COW_RECENT, cow_recent);
}

static void cow_written(struct storage_io *io, int err)
{
	struct cow_io *c = cow_io_of(io);

	/* Some of it may be there; of what was base or zeroes nobody will see it. */
	if (unlikely(err)) {
		layer_answer(&c->l, err);
		return;
	}
	cow_set(c, COW_DATA);
	cow_changed(c);
}

/* Where a cycle is to follow, that makes the data stable, too. */
static void cow_write(struct cow_io *c)
{
	c->will_join = c->l.io.flags & STORAGE_FUA && !cow_has(c, COW_STABLE, COW_DATA);
	if (c->will_join)
		c->l.io.flags &= ~STORAGE_FUA;
	cow_send(c, cow_written);
}

/* Whether space was given back is nobody's concern: the sectors are zeroes by the map. */
static void cow_given_back(struct storage_io *io, int err)
{
	(void)err;
	cow_changed(cow_io_of(io));
}

/*
 * What a crash leaves of data that are given back before the map says so is what the request may
 * leave: of zeroes zeroes or the old data, of a discard anything.
 */
static bool cow_may_give_back(const struct cow_io *c)
{
	const struct storage_limits *l = storage_limits(cow_of_io(c)->overlay);
	const struct storage_io *io = &c->l.io;

	if (io->op == STORAGE_DISCARD)
		return io->len <= l->max_discard;
	return io->flags & STORAGE_UNMAP && l->write_zeroes_unmaps &&
	       io->len <= l->max_write_zeroes;
}

static void cow_zero(struct cow_io *c)
{
	c->will_join = false;
	if (!cow_set(c, COW_ZERO) || !cow_may_give_back(c)) {
		cow_changed(c);
		return;
	}
	c->l.io.flags &= ~STORAGE_FUA;
	cow_send(c, cow_given_back);
}

static void cow_begin(struct layer_io *l)
{
	struct cow_io *c = container_of(l, struct cow_io, l);

	switch (l->io.op) {
	case STORAGE_READ:
		cow_read(c);
		return;
	case STORAGE_WRITE:
		cow_write(c);
		return;
	case STORAGE_FLUSH:
		cow_cycle_join(c, COW_STABLE, cow_tell);
		return;
	case STORAGE_DISCARD:
	case STORAGE_WRITE_ZEROES:
		cow_zero(c);
		return;
	default:
		break;
	}
	/* The limits do not offer it. */
	layer_answer(l, -EOPNOTSUPP);
}

static void cow_let_go(struct layer_channel *ch)
{
	storage_drain(cow_channel_of(ch)->overlay, NULL);
}

static const struct layer_channel_ops channel_ops = {
	.io_size = sizeof(struct cow_io),
	.begin = cow_begin,
	.rung = cow_cycle_rung,
	.let_go = cow_let_go,
};

/* ---- life ---- */

static int cow_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			    struct error *err)
{
	struct cow_channel *ch = calloc(1, sizeof(*ch));
	int rc;

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", layer_of(s)->path);
	cow_parts_init(ch);
	rc = storage_channel_open(cow_of(s)->overlay, r, &ch->overlay, err);
	if (rc)
		goto free_channel;
	rc = layer_channel_init(&ch->ch, &channel_ops, s, r, err);
	if (rc)
		goto close_overlay;
	*out = &ch->ch.base;
	return 0;
close_overlay:
	storage_channel_close(&ch->overlay);
free_channel:
	free(ch);
	return rc;
}

static void cow_channel_close(struct storage_channel *base)
{
	struct cow_channel *ch = cow_channel_of(layer_channel_of(base));

	layer_channel_fini(&ch->ch);
	storage_channel_close(&ch->overlay);
	free(ch);
}

static bool cow_wanted(const struct storage_options *o)
{
	return o->layers.cow;
}

/* Whatever the disk is, its base is only read, and others may read it. */
static void cow_prepare(struct storage_options *engine)
{
	engine->readonly = STORAGE_READONLY;
}

static int cow_judge(const struct storage_options *o, struct error *err)
{
	if (o->erase == STORAGE_ERASE_OVERWRITE)
		return error_set(err, -EINVAL,
				 "%s: secure-erase=overwrite cannot be with cow=: what is erased "
				 "would stay in the base.",
				 o->target);
	if (o->life == STORAGE_LIFE_MEDIUM)
		return error_set(err, -EINVAL,
				 "%s: the life of two media cannot be told; leave lifetime= or "
				 "cow= away.",
				 o->target);
	return 0;
}

/* One in which nothing is goes with any base of its size. */
static int cow_load(struct cow *d, struct cow_file *f, const struct cow_base *base,
		    struct error *err)
{
	int judged = cow_file_judge(f, base, err), rc;

	if (judged && (judged != -ESTALE || storage_readonly(d->overlay)))
		return judged;
	rc = cow_file_load_map(f, &d->map, judged ? NULL : err);
	if (rc || !judged)
		return judged ? judged : rc;
	if (cow_map_is_empty(&d->map))
		judged = cow_file_set_base(f, base, err);
	if (judged)
		cow_map_fini(&d->map);
	return judged;
}

/* Storage locks it when it is opened; what is read of it before is looked at again. */
static int cow_open_file(struct cow *d, struct cow_file *f, const struct storage_options *how,
			 const struct cow_base *base, struct error *err)
{
	struct storage_options overlay = *how;
	bool writable = how->readonly != STORAGE_READONLY;
	int rc = cow_file_open(f, writable, err);

	/* Where it cannot be written, and need not be. */
	if (rc && how->readonly == STORAGE_AUTO)
		rc = cow_file_open(f, false, err);
	overlay.target = f->path;
	if (!rc)
		rc = storage_open(&overlay, &d->overlay, err);
	if (rc)
		return rc;
	/* Whoever asks who has an image is told by the disk. */
	d->layer.base.ident = stack_engine(d->overlay)->ident;
	if (storage_limits_zoned(storage_limits(d->overlay)))
		rc = error_set(err, -EOPNOTSUPP, "%s is a zoned disk, and no place for an overlay.",
			       f->path);
	if (!rc)
		rc = cow_file_read(f, err);
	if (!rc)
		rc = cow_load(d, f, base, err);
	if (!rc && !storage_readonly(d->overlay)) {
		rc = cow_file_begin(f, err);
		if (rc)
			cow_map_fini(&d->map);
	}
	if (rc)
		storage_close(&d->overlay);
	return rc;
}

static bool cow_cannot_be_written(int rc)
{
	return rc == -EROFS || rc == -EACCES || rc == -EPERM || rc == -ETXTBSY;
}

static int cow_open_overlay(struct cow *d, const struct storage_options *o,
			    const struct storage_options *how, const struct cow_base *base,
			    struct error *err)
{
	struct cow_file f;
	int rc = cow_file_init(&f, o->layers.cow, err);

	if (!rc && how->readonly != STORAGE_READONLY)
		rc = cow_file_make(&f, base, err);
	if (cow_cannot_be_written(rc) && how->readonly == STORAGE_AUTO)
		rc = 0;
	if (!rc)
		rc = cow_open_file(d, &f, how, base, err);
	if (!rc) {
		d->data_at = f.data_at;
		d->made = f.ours;
		d->path = f.path;
		f.path = NULL;
		close(f.fd);
	}
	cow_file_fini(&f);
	return rc;
}

static void cow_offer(struct cow *d, const struct storage_options *o)
{
	const struct storage_limits *theirs = storage_limits(d->overlay);
	struct storage *s = &d->layer.base;

	s->readonly = storage_readonly(d->overlay);
	/* As at the start: the base is not looked at again. */
	s->size_unit = 0;
	s->limits = (struct storage_limits){
		.max_discard = s->readonly || o->no_discard ? 0 : COW_MAX_RUN,
		.discard_alignment = theirs->max_discard ? theirs->discard_alignment : COW_PAGE,
		.max_write_zeroes = s->readonly ? 0 : COW_MAX_RUN,
		.write_zeroes_unmaps = !s->readonly && theirs->write_zeroes_unmaps,
	};
	geometry_apply(s, &o->geometry);
}

int cow_stack_on(const struct storage_options *o, struct storage *below,
		 const struct storage_options *overlay, struct storage **out, struct error *err)
{
	struct cow_base base;
	struct cow *d;
	int rc = cow_judge(o, err);

	if (rc)
		return rc;
	d = calloc(1, sizeof(*d));
	if (!d)
		return error_set(err, -ENOMEM, "cannot set up the overlay of %s", o->target);
	cow_base_look(&base, o->target);
	cow_base_settle(&base, below);
	rc = cow_open_overlay(d, o, overlay, &base, err);
	if (rc) {
		free(d);
		return rc;
	}
	layer_init(&d->layer, o, below);
	pthread_mutex_init(&d->lock, NULL);
	cow_cycles_init(d);
	cow_offer(d, o);
	*out = &d->layer.base;
	return 0;
}

static int cow_stack(const struct storage_options *o, struct storage *below, struct storage **out,
		     struct error *err)
{
	const struct storage_options overlay = {
		.set = o->set,
		.unlisted = true,
		.readonly = o->readonly,
		.direct = o->direct,
		.threads = o->threads,
		.no_lock = o->no_lock,
		.no_discard = o->no_discard,
		.erase = STORAGE_ERASE_OFF,
		.life = STORAGE_LIFE_OFF,
	};

	return cow_stack_on(o, below, &overlay, out, err);
}

static void cow_close(struct storage *s)
{
	struct cow *d = cow_of(s);

	/* As of a machine that is only planned: nothing is left of what nothing was written to. */
	if (d->made && cow_map_is_empty(&d->map) &&
	    storage_is_at(stack_engine(d->overlay), d->path))
		unlink(d->path);
	storage_close(&d->overlay);
	cow_map_fini(&d->map);
	pthread_mutex_destroy(&d->lock);
	layer_fini(&d->layer);
	free(d->path);
	free(d);
}

/* ---- looked at ---- */

static bool cow_spoiled(const struct storage *s)
{
	return storage_spoiled(cow_of(s)->overlay);
}

/* An overlay is made for a size: it stays, whatever becomes of the base. */
static int cow_measure(struct storage *s, uint64_t *size)
{
	*size = storage_size(s);
	return 0;
}

static void cow_describe(const struct storage *s, char *text, size_t size)
{
	const struct cow *d = cow_of(s);

	snprintf(text, size, "%" PRIu64 " KiB of data and %" PRIu64 " KiB of zeroes in %s%s",
		 read_once(&d->map.in_state[COW_DATA]) / 2,
		 read_once(&d->map.in_state[COW_ZERO]) / 2, d->path,
		 storage_spoiled(d->overlay) ? ", FAILED" : "");
}

static const struct word cow_words[] = {
	{"cow", .kind = WORD_TEXT, .min = 1, .sample = "PATH",
	 .help = "an overlay that takes all changes; the image is only read",
	 WORD_FIELD(struct storage_options, layers.cow)},
};

const struct storage_engine_ops cow_layer_ops = {
	.kind = "cow",
	.words = WORDS_TABLE("a disk with an overlay", cow_words),
	.wanted = cow_wanted,
	.stack = cow_stack,
	.prepare = cow_prepare,
	.close = cow_close,
	.measure = cow_measure,
	.spoiled = cow_spoiled,
	.channel_open = cow_channel_open,
	.channel_close = cow_channel_close,
	.submit = layer_submit,
	.drain = layer_drain,
	.describe = cow_describe,
};
