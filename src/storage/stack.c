/* SPDX-License-Identifier: MIT */
/* Storages on storages: the layers of a disk, and what is asked of all of them at once. */
#include "base/atomic.h"
#include "storage/engine.h"
#include "storage/geometry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHANGING_MAX 16

/* ---- open and close ---- */

void stack_prepare(struct storage_options *engine)
{
	const struct storage_options asked = *engine;

	for (const struct storage_engine_ops *const *l = storage_layers; *l; l++)
		if ((*l)->prepare && (*l)->wanted(&asked))
			(*l)->prepare(engine);
}

int stack_judge(const struct storage *s, const char *target, struct error *err)
{
	const struct storage_limits *mine = &s->limits, *theirs = &s->below->limits;

	if (s->ops->passes && (mine->max_discard > theirs->max_discard ||
			       mine->max_write_zeroes > theirs->max_write_zeroes ||
			       mine->write_zeroes_unmaps > theirs->write_zeroes_unmaps ||
			       mine->max_secure_erase > theirs->max_secure_erase ||
			       mine->lifetime > theirs->lifetime ||
			       s->readonly < s->below->readonly || s->size > s->below->size))
		return error_set(err, -EOPNOTSUPP,
				 "%s: the layer %s cannot be: what it stands on (%s) cannot do "
				 "what it offers.",
				 target, storage_kind(s), storage_kind(s->below));
	return geometry_judge_size(s, target, s->size, err);
}

/* What is erased would stay wherever else the layer keeps it. */
static int stack_erase(struct storage *s, const struct storage_options *o, struct error *err)
{
	if (s->ops->passes)
		return 0;
	s->limits.max_secure_erase = 0;
	if (o->erase != STORAGE_ERASE_OVERWRITE)
		return 0;
	return error_set(err, -EOPNOTSUPP,
			 "%s: secure-erase=overwrite cannot be with the layer %s, which does not "
			 "pass that on.",
			 o->target, storage_kind(s));
}

int stack_layers(const struct storage_options *o, struct storage **out, struct error *err)
{
	int rc = 0;

	for (const struct storage_engine_ops *const *l = storage_layers; !rc && *l; l++) {
		struct storage *below = *out, *s;

		if (!(*l)->wanted(o))
			continue;
		if (storage_limits_zoned(&below->limits) && !(*l)->zones) {
			rc = error_set(err, -EOPNOTSUPP,
				       "%s: the layer %s cannot be: what it stands on (%s) is a "
				       "zoned disk.",
				       o->target, (*l)->kind, storage_kind(below));
			break;
		}
		rc = (*l)->stack(o, below, &s, err);
		if (rc)
			break;
		s->ops = *l;
		s->below = below;
		below->above = s;
		*out = s;
		rc = stack_erase(s, o, err);
		if (!rc)
			rc = stack_judge(s, o->target, err);
	}
	if (rc)
		stack_close(*out);
	return rc;
}

/* Control thread, as whoever reads the message. */
struct storage_notice {
	struct reactor_msg msg;
	struct reactor *home;
	struct storage_watch *watch; /* NULL: it has ended     */
	bool posted;		     /* atomic                 */
	bool orphan;		     /* the storage has closed */
};

static void notice_drop(struct storage_notice *n)
{
	if (!n)
		return;
	n->watch = NULL;
	/* Nobody posts any more: one that is under way frees itself. */
	if (load_acquire(&n->posted))
		n->orphan = true;
	else
		free(n);
}

void stack_close(struct storage *s)
{
	struct storage_notice *notice = s->notice;

	while (s) {
		struct storage *below = s->below;

		s->ops->close(s);
		s = below;
	}
	notice_drop(notice);
}

/* ---- news of the size ---- */

static void notice_arrived(struct reactor_msg *msg)
{
	struct storage_notice *n = container_of(msg, struct storage_notice, msg);

	store_release(&n->posted, false);
	if (n->orphan)
		free(n);
	else if (n->watch)
		n->watch->changed(n->watch);
}

int storage_watch_start(struct storage *s, struct reactor *home, struct storage_watch *w)
{
	struct storage_notice *n = s->notice;

	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return -ENOMEM;
		n->msg.run = notice_arrived;
		n->home = home;
		store_release(&s->notice, n);
	}
	w->notice = n;
	n->watch = w;
	return 0;
}

void storage_watch_stop(struct storage *s, struct storage_watch *w)
{
	(void)s;
	if (w->notice)
		w->notice->watch = NULL;
	w->notice = NULL;
}

void storage_changed(struct storage *s)
{
	struct storage_notice *n;

	while (s->above)
		s = s->above;
	n = load_acquire(&s->notice);
	if (n && !__atomic_exchange_n(&n->posted, true, __ATOMIC_ACQ_REL))
		reactor_post(n->home, &n->msg);
}

/* ---- looked at ---- */

struct storage *storage_below(const struct storage *s)
{
	return s->below;
}

bool storage_spoiled(const struct storage *s)
{
	for (; s; s = s->below)
		if (s->ops->spoiled && s->ops->spoiled(s))
			return true;
	return false;
}

const char *storage_kind(const struct storage *s)
{
	return s->ops->kind ? s->ops->kind : s->name;
}

void storage_describe(const struct storage *s, char *text, size_t size)
{
	*text = '\0';
	if (s->ops->describe)
		s->ops->describe(s, text, size);
}

struct storage *storage_find(const struct storage_set *set, const char *disk)
{
	/* What is listed is listed, and closed, by the control thread. */
	list_for_each (l, &set->all) {
		struct storage *s = list_entry(l, struct storage, link);

		if (s->disk && !strcmp(s->disk, disk))
			return s;
	}
	return NULL;
}

/* ---- changed while they run ---- */

static bool is_named(const struct storage *s, const struct words *w)
{
	for (size_t i = 0; s->ops->change && i < w->n; i++)
		if (words_find(&s->ops->change_words, w->given[i].name))
			return true;
	return false;
}

/* A layer none of whose words is named is left in peace. */
static int change_all(struct storage *s, const struct words *w, struct storage_options *o,
		      bool only_check, struct error *err)
{
	int rc = 0;

	for (; s && !rc; s = s->below)
		if (is_named(s, w))
			rc = s->ops->change(s, o, only_check, err);
	return rc;
}

int storage_set_options(struct storage *s, const char *text, struct error *err)
{
	struct storage_options o = {0};
	struct words_for tables[CHANGING_MAX];
	struct words_rules rules = {.of = "a layer of this disk", .tables = tables};
	struct words w;
	int rc;

	for (struct storage *l = s; l && rules.n < CHANGING_MAX; l = l->below) {
		if (!l->ops->change)
			continue;
		l->ops->current(l, &o);
		tables[rules.n++] = (struct words_for){&l->ops->change_words, &o};
	}
	if (!rules.n)
		return error_set(err, -EINVAL,
				 "this disk has no option that can change while it runs; it was "
				 "started without a layer that has one.");
	rc = words_split(text, &w, err);
	if (rc)
		return rc;
	rc = words_set(&w, &rules, err);
	if (!rc)
		rc = change_all(s, &w, &o, true, err);
	if (!rc)
		(void)change_all(s, &w, &o, false, err);
	words_fini(&w);
	for (size_t i = 0; i < rules.n; i++)
		words_clear(tables[i].table, &o);
	return rc;
}

unsigned storage_resume(struct storage *s)
{
	unsigned n = 0;

	for (; s; s = s->below)
		if (s->ops->resume)
			n += s->ops->resume(s);
	return n;
}

/* ---- drained ---- */

void storage_drain(struct storage_channel *ch, struct storage_drain *d)
{
	if (ch->storage->ops->drain)
		ch->storage->ops->drain(ch, d);
	else if (d)
		d->done(d);
}
