/* SPDX-License-Identifier: MIT */
#include "backend/virtio/queue_priv.h"
#include "backend/virtio/remote.h"
#include "base/atomic.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- carried out on the worker ---- */

/* Not before the queue serves: before DRIVER_OK nothing is notified (virtio 2.1.2). */
static void order_call_at_start(struct virtio_queue *q)
{
	const struct virtio_bus *bus = q->vdev->bus;

	if (q->running && q->enabled && bus && bus->calls_at_start && q->call.fd >= 0)
		notifier_signal(&q->call, q->reactor);
}

static int order_start(struct virtio_order *o)
{
	struct virtio_orders *all = o->all;
	struct virtio_queue *q = all->q;
	struct virtio_device *vdev = q->vdev;
	struct gmem *mem = o->text.mem, *record_mem = all->record_mem;
	int rc;

	if (q->running)
		return error_set(&all->err, -EBUSY, "%s runs already.", q->path);
	if (vdev->queue_size_max && all->config.num > vdev->queue_size_max)
		return error_set(&all->err, -EINVAL, "%s: a ring of %u entries, %u are allowed.",
				 q->path, all->config.num, vdev->queue_size_max);
	gmem_guard_enter(&q->guard, mem);
	if (record_mem)
		gmem_guard_enter(&q->kept_guard, record_mem);
	rc = vqdev_init_recorded(&q->ring, &all->config, mem, record_mem ? &all->record : NULL,
				 &all->err);
	if (rc)
		goto leave_guard;
	rc = vdev->cls->queue_start(vdev, q, &all->err);
	if (rc)
		goto fini_ring;
	q->mem = mem;
	q->kept = record_mem;
	o->text.mem = all->record_mem = NULL;
	q->life = all->life;
	q->running = true;
	q->failed = false;
	q->silenced = false;
	q->resting = false;
	q->pushed = 0;
	/* Whoever had the ring before may have ended between publishing and telling. */
	if (vqdev_resumed(&q->ring))
		virtio_queue_interrupt(q);
	order_call_at_start(q);
	reactor_poller_activate(q->reactor, &q->poller);
	return 0;
fini_ring:
	vqdev_fini(&q->ring);
leave_guard:
	if (record_mem)
		gmem_guard_leave(&q->kept_guard);
	gmem_guard_leave(&q->guard);
	return rc;
}

static int order_stop(struct virtio_order *o)
{
	struct virtio_queue *q = o->all->q;

	if (!q->running)
		return 0;
	virtio_remote_end(q);
	/* The ring is left as a stopped device leaves it: kicks are asked for. */
	if (!vqdev_broken(&q->ring) && q->silenced)
		vqdev_kicks_on(&q->ring);
	reactor_poller_stop(q->reactor, &q->poller);
	q->base = vqdev_base(&q->ring);
	q->vdev->cls->queue_stop(q->vdev, q);
	q->running = false;
	vqdev_fini(&q->ring);
	if (q->kept)
		gmem_guard_leave(&q->kept_guard);
	gmem_guard_leave(&q->guard);
	gmem_put(q->kept);
	o->text.mem = q->mem;
	q->kept = q->mem = NULL;
	return 0;
}

static int order_set_enabled(struct virtio_order *o)
{
	struct virtio_queue *q = o->all->q;

	q->enabled = o->text.flag;
	if (q->enabled && q->running)
		reactor_poller_activate(q->reactor, &q->poller);
	order_call_at_start(q);
	return 0;
}

static int order_set_kick(struct virtio_order *o)
{
	struct virtio_queue *q = o->all->q;
	int fd = o->text.fd, rc;

	reactor_watch_stop(q->reactor, &q->kick);
	if (fd >= 0) {
		rc = reactor_watch_start(q->reactor, &q->kick, fd, EPOLLIN);
		/* The old one stays, unwatched, until the next order. */
		if (rc)
			return rc;
	}
	o->text.fd = q->kick_fd;
	q->kick_fd = fd;
	if (fd < 0)
		return 0;
	/* A kick may have come before we looked (and may have been read by whoever had the fd
	 * before). */
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

static int order_set_call(struct virtio_order *o)
{
	struct virtio_queue *q = o->all->q;

	o->text.fd = notifier_swap(&q->call, q->reactor, o->text.fd, o->text.flag);
	if (q->running)
		notifier_signal(&q->call, q->reactor);
	return 0;
}

static int order_set_mem(struct virtio_order *o)
{
	struct virtio_queue *q = o->all->q;
	struct gmem *mem = o->text.mem;
	bool was_away;

	if (!q->running)
		return 0;
	gmem_guard_leave(&q->guard);
	gmem_guard_enter(&q->guard, mem);
	if (virtio_remote_follows(q, mem)) {
		o->text.mem = q->mem;
		virtio_remote_follow(q, mem);
		return 0;
	}
	/* A ring that is not in the new map waits for one that has it. */
	virtio_remote_end(q);
	was_away = vqdev_away(&q->ring);
	vqdev_remap(&q->ring, mem);
	if (vqdev_away(&q->ring) && !was_away)
		log_limited(&q->complaints, LOG_LEVEL_DBG, q->path,
			    "its ring is in no memory; it waits until it is");
	q->silenced = false;
	o->text.mem = q->mem;
	q->mem = mem;
	reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

static int order_kick(struct virtio_order *o)
{
	struct virtio_queue *q = o->all->q;

	count_add(&q->kicks, 1);
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

static const struct {
	int (*carry_out)(struct virtio_order *o);
	bool quiet; /* only while nothing is in flight */
} kinds[VIRTIO_ORDER_KINDS] = {
	[VIRTIO_ORDER_START] = {order_start, true},
	[VIRTIO_ORDER_STOP] = {order_stop, true},
	[VIRTIO_ORDER_SET_ENABLED] = {order_set_enabled, false},
	[VIRTIO_ORDER_SET_KICK] = {order_set_kick, false},
	[VIRTIO_ORDER_SET_CALL] = {order_set_call, false},
	[VIRTIO_ORDER_SET_MEM] = {order_set_mem, true},
	[VIRTIO_ORDER_KICK] = {order_kick, false},
};

static enum virtio_order_kind order_kind(const struct virtio_order *o)
{
	return (enum virtio_order_kind)(o - o->all->of);
}

static void order_back(struct reactor_msg *msg);

static void order_carry_out(struct virtio_order *o)
{
	struct reactor *home = o->all->q->vdev->home;

	o->rc = kinds[order_kind(o)].carry_out(o);
	o->msg.run = order_back;
	reactor_post(home, &o->msg);
}

void virtio_orders_run_quiet(struct virtio_queue *q)
{
	/* What was pushed and not yet published is in flight still: the next poll publishes it. */
	while (!list_empty(&q->orders) && (!q->running || (!vqdev_in_flight(&q->ring) &&
							   !q->pushed && virtio_remote_quiet(q)))) {
		struct virtio_order *o = list_entry(q->orders.next, struct virtio_order, link);

		list_del(&o->link);
		q->quiescing--;
		order_carry_out(o);
	}
}

static void order_arrive(struct reactor_msg *msg)
{
	struct virtio_order *o = container_of(msg, struct virtio_order, msg);
	struct virtio_queue *q = o->all->q;

	if (!kinds[order_kind(o)].quiet ||
	    (order_kind(o) == VIRTIO_ORDER_SET_MEM && virtio_remote_follows(q, o->text.mem))) {
		order_carry_out(o);
		return;
	}
	q->quiescing++;
	list_add_tail(&q->orders, &o->link);
	if (q->running && q->vdev->cls->let_go)
		q->vdev->cls->let_go(q->vdev, q);
	if (q->running)
		virtio_remote_hush(q);
	virtio_orders_run_quiet(q);
	if (!list_empty(&q->orders) && q->running && vqdev_again(&q->ring))
		reactor_poller_activate(q->reactor, &q->poller);
}

/* ---- given and taken back on the control thread ---- */

static void order_text_wait(struct virtio_order_text *t, struct virtio_waiter *waiter)
{
	if (!waiter)
		return;
	for (unsigned i = 0; i < t->n_waiters; i++)
		if (t->waiters[i] == waiter)
			return;
	assert(t->n_waiters < VIRTIO_ORDER_WAITERS);
	waiter->pending++;
	t->waiters[t->n_waiters++] = waiter;
}

/* Lets go of what came back, or of what was never sent. */
static void order_text_drop(struct virtio_queue *q, struct virtio_order_text *t)
{
	struct virtio_bus *bus = q ? q->vdev->bus : NULL;

	gmem_put(t->mem);
	t->mem = NULL;
	if (t->fd >= 0) {
		if (bus && bus->ops->close_fd)
			bus->ops->close_fd(bus, t->fd);
		else
			close(t->fd);
	}
	t->fd = -1;
}

static void order_send(struct virtio_order *o)
{
	o->under_way = true;
	o->msg.run = order_arrive;
	reactor_post(o->all->q->reactor, &o->msg);
}

static void order_give(struct virtio_queue *q, enum virtio_order_kind kind, int fd, bool flag,
		       struct gmem *mem, struct virtio_waiter *waiter)
{
	struct virtio_order *o = &q->own_orders->of[kind];
	struct virtio_order_text *t = o->under_way ? &o->parked : &o->text;

	if (o->under_way)
		order_text_drop(q, t);
	t->fd = fd;
	t->flag = flag;
	t->mem = mem;
	order_text_wait(t, waiter);
	if (o->under_way)
		o->again = true;
	else
		order_send(o);
}

static void order_tell(const struct virtio_order_text *t, int rc, const struct error *err)
{
	for (unsigned i = 0; i < t->n_waiters; i++) {
		struct virtio_waiter *w = t->waiters[i];

		if (rc && !w->rc) {
			w->rc = rc;
			w->err = *err;
		}
		if (!--w->pending)
			w->done(w);
	}
}

static void orders_free_if_gone(struct virtio_orders *all)
{
	if (all->q)
		return;
	for (unsigned i = 0; i < VIRTIO_ORDER_KINDS; i++)
		if (all->of[i].under_way)
			return;
	free(all);
}

static void order_back(struct reactor_msg *msg)
{
	struct virtio_order *o = container_of(msg, struct virtio_order, msg);
	struct virtio_orders *all = o->all;
	struct virtio_order_text told;
	struct error err = {""};
	int rc = o->rc;

	order_text_drop(all->q, &o->text);
	if (order_kind(o) == VIRTIO_ORDER_START) {
		gmem_put(all->record_mem);
		all->record_mem = NULL;
		err = all->err;
	} else if (rc) {
		error_set(&err, rc, "the kick fd cannot be waited for");
	}
	if (rc && !o->text.n_waiters && all->q)
		log_limited(&all->q->vdev->complaints, LOG_LEVEL_WARN, all->q->path, "%s",
			    err.text);
	told = o->text;
	o->text.n_waiters = 0;
	o->under_way = false;
	if (o->again) {
		o->text = o->parked;
		o->parked = (struct virtio_order_text){.fd = -1};
		o->again = false;
		order_send(o);
	}
	orders_free_if_gone(all);
	/* Last: whoever is told may do anything. */
	order_tell(&told, rc, &err);
}

int virtio_queue_start(struct virtio_queue *q, const struct vring_config *config, struct gmem *mem,
		       struct virtio_waiter *waiter)
{
	struct virtio_orders *all = q->own_orders;

	if (all->of[VIRTIO_ORDER_START].under_way || all->of[VIRTIO_ORDER_STOP].again)
		return -EBUSY;
	all->config = *config;
	all->err = (struct error){""};
	if (q->record_mem) {
		all->record_mem = gmem_get(q->record_mem);
		all->record = q->record;
	}
	all->life = ++q->lives;
	q->started = true;
	order_give(q, VIRTIO_ORDER_START, -1, false, gmem_get(mem), waiter);
	return 0;
}

void virtio_queue_stop(struct virtio_queue *q, struct virtio_waiter *waiter)
{
	struct virtio_order *stop = &q->own_orders->of[VIRTIO_ORDER_STOP];
	struct virtio_order *mem = &q->own_orders->of[VIRTIO_ORDER_SET_MEM];
	struct virtio_order_text *t;

	if (stop->under_way && !q->started) {
		/* It stops already, and nobody has started it since. */
		order_text_wait(stop->again ? &stop->parked : &stop->text, waiter);
		return;
	}
	q->started = false;
	order_give(q, VIRTIO_ORDER_STOP, -1, false, NULL, waiter);
	if (!mem->again)
		return;
	/*
	 * A map that is still to come must not come to whatever is started next.  Who waits for it
	 * waits for the queue to let go of the old one.
	 */
	t = stop->again ? &stop->parked : &stop->text;
	for (unsigned i = 0; i < mem->parked.n_waiters; i++) {
		order_text_wait(t, mem->parked.waiters[i]);
		mem->parked.waiters[i]->pending--;
	}
	mem->parked.n_waiters = 0;
	order_text_drop(q, &mem->parked);
	mem->again = false;
}

void virtio_queue_set_enabled(struct virtio_queue *q, bool enabled, struct virtio_waiter *waiter)
{
	order_give(q, VIRTIO_ORDER_SET_ENABLED, -1, enabled, NULL, waiter);
}

void virtio_queue_set_kick(struct virtio_queue *q, int fd, struct virtio_waiter *waiter)
{
	order_give(q, VIRTIO_ORDER_SET_KICK, fd, false, NULL, waiter);
}

void virtio_queue_set_call(struct virtio_queue *q, int fd, struct virtio_waiter *waiter)
{
	const struct virtio_bus *bus = q->vdev->bus;

	order_give(q, VIRTIO_ORDER_SET_CALL, fd, bus && bus->foreign_fds, NULL, waiter);
}

void virtio_queue_set_mem(struct virtio_queue *q, struct gmem *mem, struct virtio_waiter *waiter)
{
	order_give(q, VIRTIO_ORDER_SET_MEM, -1, false, gmem_get(mem), waiter);
}

void virtio_queue_kick(struct virtio_queue *q)
{
	order_give(q, VIRTIO_ORDER_KICK, -1, false, NULL, NULL);
}

/* ---- life ---- */

int virtio_orders_create(struct virtio_queue *q)
{
	struct virtio_orders *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	all->q = q;
	for (unsigned i = 0; i < VIRTIO_ORDER_KINDS; i++) {
		struct virtio_order *o = &all->of[i];

		o->all = all;
		o->text.fd = o->parked.fd = -1;
		list_init(&o->link);
	}
	q->own_orders = all;
	return 0;
}

void virtio_orders_release(struct virtio_queue *q)
{
	struct virtio_orders *all = q->own_orders;

	for (unsigned i = 0; i < VIRTIO_ORDER_KINDS; i++) {
		struct virtio_order *o = &all->of[i];

		/* Nobody waits any more, and what was parked is not wanted. */
		o->text.n_waiters = o->parked.n_waiters = 0;
		o->again = false;
		order_text_drop(q, &o->parked);
	}
	all->q = NULL;
	q->own_orders = NULL;
	orders_free_if_gone(all);
}
