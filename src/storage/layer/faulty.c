/* SPDX-License-Identifier: MIT */
#include "storage/layer/faulty.h"

#include "base/clock.h"
#include "storage/bounce.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512u

struct faulty_io {
	struct layer_io l;
	struct list link; /* in the channel's kept */
	enum faulty_kind kind;
	int err;	/* of the answer in the end                       */
	uint64_t at_ns; /* DELAY                                          */
	/* SHORT, TORN: the part under way, and which sectors are to follow. */
	struct iov_window window;
	uint64_t random;
	uint64_t at, end; /* bytes from the request's beginning */
	int part_err;
	bool sending, under_way;
};

struct faulty_channel {
	struct layer_channel ch;
	struct list kept; /* DELAY, HANG */
	struct reactor_timer timer;
};

static struct faulty_channel *to_channel(struct layer_channel *ch)
{
	return container_of(ch, struct faulty_channel, ch);
}

static struct faulty_io *to_io(struct layer_io *l)
{
	return container_of(l, struct faulty_io, l);
}

static struct faulty *disk_of(const struct layer_channel *ch)
{
	return faulty_of(ch->base.storage);
}

/* ---- carrying out ---- */

static void faulty_done(struct storage_io *io, int err)
{
	layer_answer(container_of(io, struct layer_io, io), err);
}

static void faulty_go_on(struct faulty_io *f);

static void faulty_part_done(struct storage_io *io, int err)
{
	struct faulty_io *f = container_of(io, struct faulty_io, l.io);

	iov_window_close(&f->window, f->l.parent->iov);
	f->at += io->len;
	f->part_err = err;
	f->under_way = false;
	if (!f->sending)
		faulty_go_on(f);
}

/* How much from @f->at on goes together, written or not. */
static uint64_t faulty_run(struct faulty_io *f, bool *goes)
{
	uint64_t left = f->end - f->at;

	if (f->kind == FAULTY_SHORT) {
		*goes = true;
		return left;
	}
	*goes = faulty_random(&f->random) & 1;
	return min_u64(left, (1 + faulty_random(&f->random) % 8) * SECTOR);
}

/* The part from @f->at on. */
static void faulty_send(struct faulty_io *f, uint64_t len)
{
	const struct storage_io *parent = f->l.parent;

	iov_window_open(&f->window, parent->iov, f->at, len);
	f->l.io.iov = parent->iov + f->window.first;
	f->l.io.iovcnt = f->window.last - f->window.first + 1;
	f->l.io.offset = parent->offset + f->at;
	f->l.io.len = len;
	/* It may complete at once: the next one is sent by the same loop. */
	f->sending = f->under_way = true;
	layer_pass(&f->l, faulty_part_done);
	f->sending = false;
}

static void faulty_go_on(struct faulty_io *f)
{
	while (!f->part_err && f->at < f->end) {
		bool goes;
		uint64_t len = faulty_run(f, &goes);

		if (!goes) {
			f->at += len;
			continue;
		}
		faulty_send(f, len);
		if (f->under_way)
			return;
	}
	layer_answer(&f->l, f->part_err ? f->part_err : f->err);
}

static void faulty_parts(struct faulty_io *f)
{
	uint64_t sectors = f->l.parent->len / SECTOR;

	f->at = 0;
	f->part_err = 0;
	f->sending = f->under_way = false;
	f->end = f->l.parent->len;
	/* At least one sector is missing. */
	if (f->kind == FAULTY_SHORT)
		f->end = faulty_random(&f->random) % sectors * SECTOR;
	else
		f->end -= SECTOR;
	faulty_go_on(f);
}

/* ---- kept ---- */

static void note_hanging(struct faulty *d, int by)
{
	pthread_mutex_lock(&d->lock);
	d->hanging = (unsigned)((int)d->hanging + by);
	pthread_mutex_unlock(&d->lock);
}

static void faulty_sleep(struct faulty_channel *ch)
{
	uint64_t now = disk_of(&ch->ch)->now(), next = UINT64_MAX;

	reactor_timer_stop(ch->ch.base.reactor, &ch->timer);
	list_for_each (i, &ch->kept) {
		const struct faulty_io *f = list_entry(i, struct faulty_io, link);

		if (f->kind == FAULTY_DELAY)
			next = min_u64(next, f->at_ns);
	}
	if (next != UINT64_MAX)
		reactor_timer_start(ch->ch.base.reactor, &ch->timer, next > now ? next - now : 0);
}

static void faulty_keep(struct faulty_io *f)
{
	struct faulty_channel *ch = to_channel(f->l.ch);

	list_add_tail(&ch->kept, &f->link);
	if (f->kind == FAULTY_HANG)
		note_hanging(disk_of(&ch->ch), 1);
	else
		faulty_sleep(ch);
}

/* Those that are due, all that hang, or all; they go on. */
static void faulty_release(struct faulty_channel *ch, bool delayed, bool hanging)
{
	uint64_t now = disk_of(&ch->ch)->now();
	struct list kept, go;

	list_init(&go);
	list_take_all(&kept, &ch->kept);
	while (!list_empty(&kept)) {
		struct faulty_io *f = list_entry(kept.next, struct faulty_io, link);
		bool goes = f->kind == FAULTY_HANG ? hanging : delayed || f->at_ns <= now;

		list_del(&f->link);
		list_add_tail(goes ? &go : &ch->kept, &f->link);
	}
	faulty_sleep(ch);
	/* The lists are this function's: what goes may complete, and others come. */
	while (!list_empty(&go)) {
		struct faulty_io *f = list_entry(go.next, struct faulty_io, link);

		list_del(&f->link);
		if (f->kind == FAULTY_HANG)
			note_hanging(disk_of(f->l.ch), -1);
		layer_pass(&f->l, faulty_done);
	}
}

static void faulty_expired(struct reactor_timer *t)
{
	faulty_release(container_of(t, struct faulty_channel, timer), false, false);
}

/* The rules have changed. */
static void faulty_rung(struct layer_channel *ch)
{
	faulty_release(to_channel(ch), false, true);
}

static void faulty_let_go(struct layer_channel *ch)
{
	faulty_release(to_channel(ch), true, true);
}

/* ---- the way of a request ---- */

static void faulty_choose(struct faulty *d, struct faulty_io *f)
{
	const struct faulty_rule *rule;
	uint64_t now = d->now();

	f->kind = FAULTY_NONE;
	pthread_mutex_lock(&d->lock);
	rule = faulty_rules_meet(&d->rules, &f->l.io, (now - d->opened_ns) / NSEC_PER_MSEC);
	if (rule) {
		f->kind = rule->kind;
		f->err = rule->err;
		f->at_ns = now + rule->delay_ms * NSEC_PER_MSEC;
		f->random = (uint64_t)faulty_random(&d->rules.random) + 1;
		d->faults++;
	}
	pthread_mutex_unlock(&d->lock);
}

static void faulty_begin(struct layer_io *l)
{
	struct faulty_io *f = to_io(l);

	faulty_choose(disk_of(l->ch), f);
	switch (f->kind) {
	case FAULTY_ERROR:
	case FAULTY_LOST:
		layer_answer(l, f->err);
		return;
	case FAULTY_SHORT:
	case FAULTY_TORN:
		faulty_parts(f);
		return;
	case FAULTY_DELAY:
	case FAULTY_HANG:
		if (l->ch->draining)
			break;
		faulty_keep(f);
		return;
	case FAULTY_NONE:
		break;
	}
	layer_pass(l, faulty_done);
}

static const struct layer_channel_ops channel_ops = {
	.io_size = sizeof(struct faulty_io),
	.begin = faulty_begin,
	.rung = faulty_rung,
	.let_go = faulty_let_go,
};

/* ---- life ---- */

static int faulty_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			       struct error *err)
{
	struct faulty_channel *ch = calloc(1, sizeof(*ch));
	int rc;

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", layer_of(s)->path);
	list_init(&ch->kept);
	reactor_timer_init(&ch->timer, faulty_expired);
	rc = layer_channel_init(&ch->ch, &channel_ops, s, r, err);
	if (rc) {
		free(ch);
		return rc;
	}
	*out = &ch->ch.base;
	return 0;
}

static void faulty_channel_close(struct storage_channel *base)
{
	struct faulty_channel *ch = to_channel(layer_channel_of(base));

	reactor_timer_stop(base->reactor, &ch->timer);
	layer_channel_fini(&ch->ch);
	free(ch);
}

static bool faulty_wanted(const struct storage_options *o)
{
	return o->layers.faulty.rules;
}

static int faulty_judge(const struct storage_options *o, struct error *err)
{
	struct faulty_rules rules;

	return faulty_rules_parse(&rules, o->layers.faulty.rules, o->layers.faulty.seed, err);
}

static int faulty_stack(const struct storage_options *o, struct storage *below,
			struct storage **out, struct error *err)
{
	const struct storage_faulty_options *mine = &o->layers.faulty;
	struct faulty *d = calloc(1, sizeof(*d));
	int rc;

	if (!d || !(d->text = strdup(mine->rules))) {
		free(d);
		return error_set(err, -ENOMEM, "cannot set up the faults of %s", o->target);
	}
	rc = faulty_rules_parse(&d->rules, mine->rules, mine->seed, err);
	if (rc) {
		free(d->text);
		free(d);
		return rc;
	}
	layer_init(&d->layer, o, below);
	pthread_mutex_init(&d->lock, NULL);
	d->seed = mine->seed;
	d->now = clock_ns;
	d->opened_ns = clock_ns();
	*out = &d->layer.base;
	return 0;
}

static void faulty_close(struct storage *s)
{
	struct faulty *d = faulty_of(s);

	pthread_mutex_destroy(&d->lock);
	layer_fini(&d->layer);
	free(d->text);
	free(d);
}

/* ---- looked at and changed ---- */

static void faulty_describe(const struct storage *s, char *text, size_t size)
{
	struct faulty *d = faulty_of(s);

	pthread_mutex_lock(&d->lock);
	snprintf(text, size, "%" PRIu64 " faults, %u hanging, rules %s", d->faults, d->hanging,
		 *d->text ? d->text : "none");
	pthread_mutex_unlock(&d->lock);
}

static void faulty_current(const struct storage *s, struct storage_options *o)
{
	(void)s;
	o->layers.faulty.rules = NULL;
}

static int faulty_change(struct storage *s, struct storage_options *o, bool only_check,
			 struct error *err)
{
	struct faulty *d = faulty_of(s);
	struct faulty_rules rules;
	int rc;

	if (!o->layers.faulty.rules)
		return 0;
	rc = faulty_rules_parse(&rules, o->layers.faulty.rules, d->seed, err);
	if (rc || only_check)
		return rc;
	pthread_mutex_lock(&d->lock);
	free(d->text);
	d->text = o->layers.faulty.rules;
	o->layers.faulty.rules = NULL;
	d->rules = rules;
	pthread_mutex_unlock(&d->lock);
	layer_ring(&d->layer);
	return 0;
}

static const struct word faulty_words[] = {
	{"faulty.rules", .kind = WORD_TEXT, .sample = "RULES",
	 .help = "which requests fail, and how: error:op=write:times=3;delay:ms=5",
	 WORD_FIELD(struct storage_options, layers.faulty.rules)},
	{"faulty.seed", .kind = WORD_NUMBER, .max = UINT32_MAX,
	 .help = "of what the rules leave to chance; default 0",
	 WORD_FIELD(struct storage_options, layers.faulty.seed)},
};

const struct storage_engine_ops faulty_layer_ops = {
	.kind = "faulty",
	.words = WORDS_TABLE("a faulty disk", faulty_words),
	.wanted = faulty_wanted,
	.judge = faulty_judge,
	.stack = faulty_stack,
	.passes = true,
	.follows_size = true,
	.close = faulty_close,
	.channel_open = faulty_channel_open,
	.channel_close = faulty_channel_close,
	.submit = layer_submit,
	.drain = layer_drain,
	.describe = faulty_describe,
	/* The rules, which stand first. */
	.change_words = {.of = "a faulty disk", .words = faulty_words, .n = 1},
	.current = faulty_current,
	.change = faulty_change,
};
