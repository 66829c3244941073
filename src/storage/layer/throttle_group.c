/* SPDX-License-Identifier: MIT */
#include "storage/layer/throttle.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What was let go without a turn delays the others by no more than that. */
#define DEBT_NS NSEC_PER_SEC

/* ---- life ---- */

static struct throttle_group *group_find(const struct storage_set *set, const char *name)
{
	if (!set || !name)
		return NULL;
	list_for_each (l, &set->throttle_groups) {
		struct throttle_group *g = list_entry(l, struct throttle_group, link);

		if (!strcmp(g->name, name))
			return g;
	}
	return NULL;
}

static bool says_nothing(const struct storage_throttle_options *o)
{
	return !(o->iops | o->iops_read | o->iops_write | o->bps | o->bps_read | o->bps_write |
		 o->burst | o->burst_length);
}

static bool say_the_same(const struct storage_throttle_options *a,
			 const struct storage_throttle_options *b)
{
	return a->iops == b->iops && a->iops_read == b->iops_read &&
	       a->iops_write == b->iops_write && a->bps == b->bps && a->bps_read == b->bps_read &&
	       a->bps_write == b->bps_write && a->burst == b->burst &&
	       a->burst_length == b->burst_length;
}

void throttle_group_change(struct throttle_group *g, const struct storage_throttle_options *o)
{
	pthread_mutex_lock(&g->lock);
	g->options = *o;
	g->options.group = g->name;
	throttle_rate_set(&g->rate, o, g->now());
	g->limits = throttle_rate_limits(&g->rate);
	if (g->keeper)
		layer_ring_channel(&g->keeper->ch);
	pthread_mutex_unlock(&g->lock);
}

static int group_create(const struct storage_options *o, struct throttle_group **out,
			struct error *err)
{
	const struct storage_throttle_options *t = &o->layers.throttle;
	struct throttle_group *g = calloc(1, sizeof(*g));

	if (!g || (t->group && !(g->name = strdup(t->group)))) {
		free(g);
		return error_set(err, -ENOMEM, "cannot set up the throttle of %s", o->target);
	}
	g->now = clock_ns;
	pthread_mutex_init(&g->lock, NULL);
	for (unsigned d = 0; d < THROTTLE_DIRECTIONS; d++)
		list_init(&g->waiting[d]);
	list_init(&g->link);
	g->set = o->set;
	if (g->name && o->set)
		list_add_tail(&o->set->throttle_groups, &g->link);
	throttle_group_change(g, t);
	*out = g;
	return 0;
}

/* With the set's lock held. */
static int group_get_locked(const struct storage_options *o, struct throttle_group **out,
			    struct error *err)
{
	const struct storage_throttle_options *t = &o->layers.throttle;
	struct throttle_group *g = group_find(o->set, t->group);
	int rc = 0;

	if (!g)
		rc = group_create(o, &g, err);
	else if (says_nothing(&g->options))
		throttle_group_change(g, t);
	else if (!says_nothing(t) && !say_the_same(t, &g->options))
		rc = error_set(err, -EINVAL,
			       "%s: another disk gives the throttle group %s other limits; give "
			       "them once, or the same.",
			       o->target, t->group);
	if (rc)
		return rc;
	g->users++;
	*out = g;
	return 0;
}

int throttle_group_get(const struct storage_options *o, struct throttle_group **out,
		       struct error *err)
{
	int rc;

	storage_set_lock(o->set);
	rc = group_get_locked(o, out, err);
	storage_set_unlock(o->set);
	return rc;
}

void throttle_group_put(struct throttle_group *g)
{
	bool last;

	storage_set_lock(g->set);
	last = !--g->users;
	if (last)
		list_del(&g->link);
	storage_set_unlock(g->set);
	if (!last)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g->name);
	free(g);
}

/* ---- under the lock ---- */

static void fifo_push(struct throttle_fifo *f, struct layer_io *l)
{
	l->next = NULL;
	if (f->head)
		f->tail->next = l;
	else
		f->head = l;
	f->tail = l;
}

static struct throttle_io *fifo_pop(struct throttle_fifo *f)
{
	struct layer_io *l = f->head;

	f->head = l->next;
	return container_of(l, struct throttle_io, l);
}

static struct layer_io *fifo_take_all(struct throttle_fifo *f)
{
	struct layer_io *all = f->head;

	f->head = NULL;
	return all;
}

/* The member whose turn is next; somebody waits. */
static struct throttle_member *group_first(struct throttle_group *g, enum throttle_direction dir)
{
	struct list *turns = g->waiting[dir].next - dir;

	return container_of(turns, struct throttle_member, turn[0]);
}

/* The first of those who wait; the others move up. */
static void group_give_turn(struct throttle_group *g, enum throttle_direction dir, uint64_t now)
{
	struct throttle_member *m = group_first(g, dir);
	struct throttle_io *t = fifo_pop(&m->waits[dir]);

	throttle_rate_take(&g->rate, dir, t->bytes, true, now);
	g->busy_ns = now;
	g->n_waiting--;
	list_del(&m->turn[dir]);
	if (m->waits[dir].head)
		list_add_tail(&g->waiting[dir], &m->turn[dir]);
	fifo_push(&m->may_go, &t->l);
	if (m != g->keeper)
		layer_ring_channel(&m->ch);
}

static bool group_may_go(const struct throttle_group *g, enum throttle_direction dir, uint64_t now)
{
	return !list_empty(&g->waiting[dir]) && !throttle_rate_wait(&g->rate, dir, now);
}

static void group_give_turns(struct throttle_group *g)
{
	uint64_t now = g->now();
	bool gave = true;

	while (gave) {
		gave = false;
		for (unsigned i = 0; i < THROTTLE_DIRECTIONS; i++) {
			enum throttle_direction dir = (g->first + i) % THROTTLE_DIRECTIONS;

			if (gave || !group_may_go(g, dir, now))
				continue;
			group_give_turn(g, dir, now);
			g->first = (dir + 1) % THROTTLE_DIRECTIONS;
			gave = true;
		}
	}
}

/* The keeper's timer, on its thread, for the next turn of anybody. */
static void keeper_sleep(struct throttle_member *m)
{
	struct throttle_group *g = m->group;
	uint64_t now = g->now(), wait = UINT64_MAX;

	reactor_timer_stop(m->ch.base.reactor, &m->timer);
	for (unsigned d = 0; d < THROTTLE_DIRECTIONS; d++)
		if (!list_empty(&g->waiting[d]))
			wait = min_u64(wait, throttle_rate_wait(&g->rate, d, now));
	if (wait == UINT64_MAX)
		g->keeper = NULL;
	else
		reactor_timer_start(m->ch.base.reactor, &m->timer, wait);
}

/* ---- the way of a request ---- */

static void group_wait(struct throttle_member *m, struct throttle_io *t)
{
	struct throttle_group *g = m->group;

	g->waited++;
	g->n_waiting++;
	if (!m->waits[t->dir].head)
		list_add_tail(&g->waiting[t->dir], &m->turn[t->dir]);
	fifo_push(&m->waits[t->dir], &t->l);
	if (g->keeper)
		return;
	g->keeper = m;
	keeper_sleep(m);
}

bool throttle_group_enter(struct throttle_member *m, struct throttle_io *t)
{
	struct throttle_group *g = m->group;
	uint64_t now;
	bool goes;

	pthread_mutex_lock(&g->lock);
	now = g->now();
	goes = !g->limits || m->ch.draining ||
	       (list_empty(&g->waiting[t->dir]) && !throttle_rate_wait(&g->rate, t->dir, now));
	/* Whoever has few in flight sends the next one when the last has completed: that is no pause. */
	if (goes)
		throttle_rate_take(&g->rate, t->dir, t->bytes,
				   g->busy_ns && now - g->busy_ns < THROTTLE_LATE_NS, now);
	else
		group_wait(m, t);
	if (m->ch.draining)
		throttle_rate_forgive(&g->rate, now, DEBT_NS);
	pthread_mutex_unlock(&g->lock);
	return goes;
}

struct layer_io *throttle_group_look(struct throttle_member *m)
{
	struct throttle_group *g = m->group;
	struct layer_io *all;

	pthread_mutex_lock(&g->lock);
	if (g->keeper == m) {
		group_give_turns(g);
		keeper_sleep(m);
	}
	all = fifo_take_all(&m->may_go);
	pthread_mutex_unlock(&g->lock);
	return all;
}

struct layer_io *throttle_group_let_go(struct throttle_member *m)
{
	struct throttle_group *g = m->group;
	struct layer_io *all;
	uint64_t now;

	pthread_mutex_lock(&g->lock);
	now = g->now();
	for (unsigned d = 0; d < THROTTLE_DIRECTIONS; d++) {
		list_del(&m->turn[d]);
		while (m->waits[d].head) {
			struct throttle_io *t = fifo_pop(&m->waits[d]);

			g->n_waiting--;
			throttle_rate_take(&g->rate, d, t->bytes, true, now);
			fifo_push(&m->may_go, &t->l);
		}
	}
	throttle_rate_forgive(&g->rate, now, DEBT_NS);
	all = fifo_take_all(&m->may_go);
	pthread_mutex_unlock(&g->lock);
	return all;
}

void throttle_group_leave(struct throttle_member *m)
{
	struct throttle_group *g = m->group;

	pthread_mutex_lock(&g->lock);
	reactor_timer_stop(m->ch.base.reactor, &m->timer);
	if (g->keeper == m) {
		g->keeper = NULL;
		for (unsigned d = 0; d < THROTTLE_DIRECTIONS && !g->keeper; d++)
			if (!list_empty(&g->waiting[d]))
				g->keeper = group_first(g, d);
		if (g->keeper)
			layer_ring_channel(&g->keeper->ch);
	}
	pthread_mutex_unlock(&g->lock);
}
