/* SPDX-License-Identifier: MIT */
#include "storage/rmw.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Tells a channel's thread that the disk is watched.  It is on its own since a channel may be
 * closed while it is under way; then @ch is NULL and the notice frees itself.
 */
struct rmw_notice {
	struct reactor_msg msg;
	struct rmw_channel *ch;
	bool under_way; /* rmw->lock while @ch is there */
};

static bool overlap(const struct rmw *r, const struct storage_io *a, const struct storage_io *b)
{
	return align_down(a->offset, r->align) < align_up(b->offset + b->len, r->align) &&
	       align_down(b->offset, r->align) < align_up(a->offset + a->len, r->align);
}

/* Whether anyone of the row up to @end (not included) has one of its blocks. */
static bool in_the_way(const struct rmw *r, const struct storage_io *row,
		       const struct storage_io *end, const struct storage_io *io)
{
	for (; row && row != end; row = row->hold_next)
		if (overlap(r, row, io))
			return true;
	return false;
}

static void append(struct storage_io **row, struct storage_io *io)
{
	while (*row)
		row = &(*row)->hold_next;
	io->hold_next = NULL;
	*row = io;
}

static void take_out(struct storage_io **row, struct storage_io *io)
{
	while (*row != io)
		row = &(*row)->hold_next;
	*row = io->hold_next;
}

static void hold(struct rmw *r, struct storage_io *io)
{
	io->hold_next = r->held;
	r->held = io;
}

/* Those that wait and need not any longer; linked by next. */
static struct storage_io *grant(struct rmw *r)
{
	struct storage_io *granted = NULL, **last = &granted, *io, *next;

	if (likely(!r->waiting))
		return NULL;
	for (io = r->waiting; io; io = next) {
		next = io->hold_next;
		if ((io->hold_edit && r->draining) || in_the_way(r, r->held, NULL, io) ||
		    in_the_way(r, r->waiting, io, io))
			continue;
		take_out(&r->waiting, io);
		hold(r, io);
		io->next = NULL;
		*last = io;
		last = &io->next;
	}
	return granted;
}

static void resume_all(struct rmw *r, struct storage_io *granted)
{
	while (granted) {
		struct storage_io *io = granted;

		granted = io->next;
		r->resume(io);
	}
}

/* ---- from counted to watched ---- */

static void drained(struct rmw_channel *ch)
{
	struct rmw *r = ch->rmw;
	struct storage_io *granted;

	ch->draining = false;
	pthread_mutex_lock(&r->lock);
	ch->asked = false;
	r->draining--;
	granted = grant(r);
	pthread_mutex_unlock(&r->lock);
	resume_all(r, granted);
}

static void noticed(struct reactor_msg *msg)
{
	struct rmw_notice *n = container_of(msg, struct rmw_notice, msg);
	struct rmw_channel *ch = n->ch;

	if (!ch) {
		free(n);
		return;
	}
	pthread_mutex_lock(&ch->rmw->lock);
	n->under_way = false;
	pthread_mutex_unlock(&ch->rmw->lock);
	if (ch->counted)
		ch->draining = true;
	else
		drained(ch);
}

/* Under the lock, on the thread of @own. */
static void watch(struct rmw *r, struct rmw_channel *own)
{
	write_once(&r->watched, true);
	for (struct rmw_channel *ch = r->channels; ch; ch = ch->next) {
		if (ch == own && !own->counted)
			continue;
		ch->asked = true;
		r->draining++;
		if (ch == own) {
			own->draining = true;
			continue;
		}
		ch->notice->under_way = true;
		reactor_post(ch->reactor, &ch->notice->msg);
	}
}

/* ---- the way in and out ---- */

enum rmw_way rmw_enter(struct rmw_channel *ch, struct storage_io *io, bool edit)
{
	struct rmw *r = ch->rmw;
	bool waits;

	if (!edit && likely(!read_once(&r->watched))) {
		ch->counted++;
		return RMW_COUNTED;
	}
	pthread_mutex_lock(&r->lock);
	io->hold_edit = edit;
	if (edit) {
		r->edits++;
		r->calm = 0;
		if (!r->watched)
			watch(r, ch);
	} else if (!r->edits && ++r->calm >= RMW_CALM) {
		write_once(&r->watched, false);
	}
	waits = (edit && r->draining) || in_the_way(r, r->held, NULL, io) ||
		in_the_way(r, r->waiting, NULL, io);
	if (waits)
		append(&r->waiting, io);
	else
		hold(r, io);
	pthread_mutex_unlock(&r->lock);
	return waits ? RMW_WAITS : RMW_HELD;
}

void rmw_leave(struct rmw_channel *ch, struct storage_io *io, enum rmw_way way)
{
	struct rmw *r = ch->rmw;
	struct storage_io *granted;

	if (likely(way == RMW_COUNTED)) {
		if (unlikely(!--ch->counted && ch->draining))
			drained(ch);
		return;
	}
	pthread_mutex_lock(&r->lock);
	take_out(&r->held, io);
	r->edits -= io->hold_edit;
	granted = grant(r);
	pthread_mutex_unlock(&r->lock);
	resume_all(r, granted);
}

/* ---- life ---- */

void rmw_init(struct rmw *r, uint64_t align, void (*resume)(struct storage_io *io))
{
	*r = (struct rmw){.align = align, .resume = resume};
	pthread_mutex_init(&r->lock, NULL);
}

void rmw_fini(struct rmw *r)
{
	pthread_mutex_destroy(&r->lock);
}

int rmw_attach(struct rmw *r, struct rmw_channel *ch, struct reactor *reactor)
{
	*ch = (struct rmw_channel){.rmw = r, .reactor = reactor};
	ch->notice = calloc(1, sizeof(*ch->notice));
	if (!ch->notice)
		return -ENOMEM;
	ch->notice->ch = ch;
	ch->notice->msg.run = noticed;
	pthread_mutex_lock(&r->lock);
	ch->next = r->channels;
	r->channels = ch;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

void rmw_detach(struct rmw_channel *ch)
{
	struct rmw *r = ch->rmw;
	struct rmw_channel **p = &r->channels;
	struct storage_io *granted;

	pthread_mutex_lock(&r->lock);
	while (*p != ch)
		p = &(*p)->next;
	*p = ch->next;
	if (ch->asked)
		r->draining--;
	granted = grant(r);
	if (ch->notice->under_way)
		ch->notice->ch = NULL;
	else
		free(ch->notice);
	pthread_mutex_unlock(&r->lock);
	resume_all(r, granted);
}
