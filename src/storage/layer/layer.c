/* SPDX-License-Identifier: MIT */
#include "storage/layer/layer.h"

#include "base/atomic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* On its own, since a channel may close while it is under way: then it frees itself. */
struct layer_notice {
	struct reactor_msg msg;
	struct layer_channel *ch; /* NULL: it has closed; its thread */
	bool under_way;		  /* the layer's lock, while there is a channel */
};

void layer_init(struct layer *l, const struct storage_options *o, struct storage *below)
{
	l->base.name = below->name;
	l->base.size = below->size;
	l->base.size_unit = below->size_unit;
	l->base.readonly = below->readonly;
	l->base.limits = below->limits;
	snprintf(l->path, sizeof(l->path), "%s", o->disk ? o->disk : below->name);
	pthread_mutex_init(&l->lock, NULL);
	list_init(&l->channels);
}

void layer_fini(struct layer *l)
{
	pthread_mutex_destroy(&l->lock);
}

/* ---- the bell ---- */

static void notice_arrived(struct reactor_msg *msg)
{
	struct layer_notice *n = container_of(msg, struct layer_notice, msg);
	struct layer_channel *ch = n->ch;
	struct layer *l;

	if (!ch) {
		free(n);
		return;
	}
	l = layer_of(ch->base.storage);
	pthread_mutex_lock(&l->lock);
	n->under_way = false;
	pthread_mutex_unlock(&l->lock);
	if (ch->ops->rung)
		ch->ops->rung(ch);
}

/* Under the lock. */
static void channel_ring(struct layer_channel *ch)
{
	if (ch->notice->under_way)
		return;
	ch->notice->under_way = true;
	reactor_post(ch->base.reactor, &ch->notice->msg);
}

void layer_ring_channel(struct layer_channel *ch)
{
	struct layer *l = layer_of(ch->base.storage);

	pthread_mutex_lock(&l->lock);
	channel_ring(ch);
	pthread_mutex_unlock(&l->lock);
}

void layer_ring(struct layer *l)
{
	pthread_mutex_lock(&l->lock);
	list_for_each (i, &l->channels)
		channel_ring(list_entry(i, struct layer_channel, link));
	pthread_mutex_unlock(&l->lock);
}

/* ---- channels ---- */

int layer_channel_init(struct layer_channel *ch, const struct layer_channel_ops *ops,
		       struct storage *s, struct reactor *r, struct error *err)
{
	struct layer *l = layer_of(s);
	int rc;

	ch->base = (struct storage_channel){.storage = s, .reactor = r};
	ch->ops = ops;
	ch->waiting_tail = &ch->waiting;
	ch->notice = calloc(1, sizeof(*ch->notice));
	ch->ios = ch->notice ? calloc(LAYER_IOS, ops->io_size) : NULL;
	if (!ch->ios) {
		rc = error_set(err, -ENOMEM, "cannot set up a channel of %s", l->path);
		goto free_notice;
	}
	rc = storage_channel_open(s->below, r, &ch->below, err);
	if (rc)
		goto free_ios;
	ch->notice->ch = ch;
	ch->notice->msg.run = notice_arrived;
	pthread_mutex_lock(&l->lock);
	list_add_tail(&l->channels, &ch->link);
	pthread_mutex_unlock(&l->lock);
	return 0;
free_ios:
	free(ch->ios);
free_notice:
	free(ch->notice);
	return rc;
}

void layer_channel_fini(struct layer_channel *ch)
{
	struct layer *l = layer_of(ch->base.storage);
	bool under_way;

	pthread_mutex_lock(&l->lock);
	list_del(&ch->link);
	under_way = ch->notice->under_way;
	pthread_mutex_unlock(&l->lock);
	if (under_way)
		ch->notice->ch = NULL;
	else
		free(ch->notice);
	storage_channel_close(&ch->below);
	free(ch->ios);
}

/* ---- requests ---- */

static struct layer_io *pool_get(struct layer_channel *ch)
{
	struct layer_io *l = ch->idle;

	if (likely(l)) {
		ch->idle = l->next;
		return l;
	}
	if (ch->fresh == LAYER_IOS)
		return NULL;
	return (struct layer_io *)(void *)(ch->ios + ch->fresh++ * ch->ops->io_size);
}

static void begin(struct layer_channel *ch, struct layer_io *l, struct storage_io *parent)
{
	l->io.op = parent->op;
	l->io.flags = parent->flags;
	l->io.offset = parent->offset;
	l->io.len = parent->len;
	l->io.iov = parent->iov;
	l->io.iovcnt = parent->iovcnt;
	l->io.zone = parent->zone;
	l->parent = parent;
	l->ch = ch;
	ch->ops->begin(l);
}

void layer_submit(struct storage_channel *base, struct storage_io *io)
{
	struct layer_channel *ch = layer_channel_of(base);
	struct layer_io *l = ch->waiting ? NULL : pool_get(ch);

	if (unlikely(!l)) {
		io->next = NULL;
		*ch->waiting_tail = io;
		ch->waiting_tail = &io->next;
		return;
	}
	ch->in_flight++;
	begin(ch, l, io);
}

/* Those that found the pool empty; as long as there are any, the channel stays. */
static void begin_waiting(struct layer_channel *ch)
{
	struct storage_io *io;
	struct layer_io *l;

	while ((io = ch->waiting) && (l = pool_get(ch))) {
		ch->waiting = io->next;
		ch->in_flight++;
		if (ch->waiting) {
			begin(ch, l, io);
			continue;
		}
		ch->waiting_tail = &ch->waiting;
		ch->beginning = false;
		begin(ch, l, io);
		return;
	}
	ch->beginning = false;
}

static struct storage_drain *take_drains(struct layer_channel *ch)
{
	struct storage_drain *all = ch->drains;

	ch->draining = false;
	ch->drains = NULL;
	return all;
}

static void tell_drained(struct storage_drain *all)
{
	struct storage_drain *d;

	while ((d = all)) {
		all = d->next;
		d->done(d);
	}
}

void layer_answer(struct layer_io *l, int err)
{
	struct layer_channel *ch = l->ch;
	struct storage_io *parent = l->parent;
	struct storage_drain *drains = NULL;

	l->next = ch->idle;
	ch->idle = l;
	ch->in_flight--;
	if (unlikely(ch->waiting) && !ch->beginning) {
		/* They may complete at once: they are begun by a loop, not each by the last one. */
		ch->beginning = true;
		parent->done(parent, err);
		begin_waiting(ch);
		return;
	}
	if (unlikely(ch->draining) && !ch->in_flight && !ch->waiting)
		drains = take_drains(ch);
	/* Whoever is answered may close the channel, unless it waits for a drain. */
	parent->done(parent, err);
	tell_drained(drains);
}

void layer_drain(struct storage_channel *base, struct storage_drain *d)
{
	struct layer_channel *ch = layer_channel_of(base);

	if (d) {
		d->next = ch->drains;
		ch->drains = d;
	}
	if (!ch->in_flight && !ch->waiting) {
		tell_drained(take_drains(ch));
		return;
	}
	ch->draining = true;
	if (ch->ops->let_go)
		ch->ops->let_go(ch);
	storage_drain(ch->below, NULL);
}
