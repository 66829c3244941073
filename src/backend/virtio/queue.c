/* SPDX-License-Identifier: MIT */
#include "backend/virtio/queue.h"

#include "backend/virtio/device.h"
#include "base/atomic.h"
#include "wire/virtio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Chains popped before completions and the other queues get their turn. */
#define TURN_BUDGET 64

/* An order on its way to the worker, and its outcome on the way back. */
struct order {
	struct reactor_msg msg;
	struct list link; /* on q->orders while it waits for nothing in flight */
	struct virtio_queue *q;
	struct virtio_waiter *waiter;
	int (*run)(struct order *o); /* worker thread */
	bool quiesce;
	int rc;
	struct error err;

	struct vring_config config;
	struct gmem *mem;
	struct gmem *record_mem;
	struct vqdev_record record;
	int fd;
	bool flag;
};

/* ---- a turn ---- */

static void queue_fail(struct virtio_queue *q)
{
	if (q->failed)
		return;
	q->failed = true;
	log_limited(
		&q->complaints, LOG_LEVEL_WARN, q->path,
		"the driver broke the ring's rules (%s); the queue has stopped until it is reset",
		vqdev_why(&q->ring));
	reactor_post(q->vdev->home, &q->broken);
}

static void queue_tell_control_thread(struct reactor_msg *msg)
{
	struct virtio_queue *q = container_of(msg, struct virtio_queue, broken);
	struct virtio_device *vdev = q->vdev;

	if (!q->started)
		return;
	if (vdev->bus && vdev->bus->ops->queue_broken)
		vdev->bus->ops->queue_broken(vdev->bus, q);
	virtio_device_needs_reset(vdev);
}

static void queue_interrupt(struct virtio_queue *q)
{
	struct virtio_bus *bus = q->vdev->bus;

	/* Release: who sees this call sees what it is about. */
	store_release(&q->calls, q->calls + 1);
	if (q->call.fd >= 0)
		notifier_signal(&q->call, q->reactor);
	else if (bus && bus->ops->interrupt)
		bus->ops->interrupt(bus, q);
}

static void order_done(struct reactor_msg *msg);

static void order_run(struct order *o)
{
	o->rc = o->run(o);
	o->msg.run = order_done;
	reactor_post(o->q->vdev->home, &o->msg);
}

static void queue_run_quiet_orders(struct virtio_queue *q)
{
	/* What was pushed and not yet published is in flight still: the next poll publishes it. */
	while (!list_empty(&q->orders) &&
	       (!q->running || (!vqdev_in_flight(&q->ring) && !q->pushed))) {
		struct order *o = list_entry(q->orders.next, struct order, link);

		list_del(&o->link);
		q->quiescing--;
		order_run(o);
	}
}

static bool queue_may_pop(const struct virtio_queue *q)
{
	return q->enabled && !q->quiescing && !q->failed;
}

/* How many chains this turn may pop. */
static unsigned queue_pop_budget(const struct virtio_queue *q)
{
	unsigned again;

	if (likely(queue_may_pop(q)))
		return TURN_BUDGET;
	/* What was in flight before the start is in flight now: who waits for that waits for these,
	 * which come first. */
	again = q->quiescing && !q->failed ? vqdev_again(&q->ring) : 0;
	return again < TURN_BUDGET ? again : TURN_BUDGET;
}

static unsigned queue_poll(struct reactor_poller *p)
{
	struct virtio_queue *q = container_of(p, struct virtio_queue, poller);
	unsigned did = 0, budget;

	if (!q->running)
		return 0;
	budget = queue_pop_budget(q);
	if (budget) {
		int n;

		if (!q->silenced) {
			vqdev_kicks_off(&q->ring);
			q->silenced = true;
		}
		q->resting = false;
		q->spent_descs = 0;
		q->spent_bytes = 0;
		n = q->vdev->cls->process(q->vdev, q, budget);
		if (n > 0) {
			did += (unsigned)n;
			q->requests += (unsigned)n;
		}
	}
	/* Nothing is published once memory is lost: not even a status byte may have arrived. */
	if (unlikely(gmem_lost(q->mem)))
		vqdev_break(&q->ring, "guest memory was taken away");
	if (q->pushed) {
		did += q->pushed;
		q->pushed = 0;
		vqdev_publish(&q->ring);
		if (vqdev_needs_interrupt(&q->ring))
			queue_interrupt(q);
	}
	if (unlikely(gmem_lost(q->mem)))
		vqdev_break(&q->ring, "guest memory was taken away");
	if (unlikely(q->kept) && unlikely(gmem_lost(q->kept)))
		vqdev_break(&q->ring, "the in-flight record was taken away");
	if (unlikely(vqdev_broken(&q->ring)))
		queue_fail(q);
	if (unlikely(!list_empty(&q->orders)))
		queue_run_quiet_orders(q);
	return did;
}

static bool queue_arm(struct reactor_poller *p)
{
	struct virtio_queue *q = container_of(p, struct virtio_queue, poller);
	bool waiting;

	if (!q->running || !queue_may_pop(q) || q->resting)
		return true;
	waiting = vqdev_kicks_on(&q->ring);
	q->silenced = waiting;
	return !waiting;
}

static void queue_kick_ready(struct reactor_watch *w, uint32_t events)
{
	struct virtio_queue *q = container_of(w, struct virtio_queue, kick);

	q->kicks++;
	if (events & (EPOLLHUP | EPOLLERR))
		log_limited(&q->complaints, LOG_LEVEL_WARN, q->path, "the kick fd was closed");
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
}

void virtio_queue_push(struct virtio_queue *q, const struct vq_ticket *ticket, uint32_t len)
{
	vqdev_push(&q->ring, ticket, len);
	q->pushed++;
	reactor_poller_activate(q->reactor, &q->poller);
}

void virtio_queue_wake(struct virtio_queue *q)
{
	q->resting = false;
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
}

/* ---- orders ---- */

static void order_arrive(struct reactor_msg *msg)
{
	struct order *o = container_of(msg, struct order, msg);
	struct virtio_queue *q = o->q;

	if (!o->quiesce) {
		order_run(o);
		return;
	}
	q->quiescing++;
	list_add_tail(&q->orders, &o->link);
	if (q->running && q->vdev->cls->let_go)
		q->vdev->cls->let_go(q->vdev, q);
	queue_run_quiet_orders(q);
	if (!list_empty(&q->orders) && q->running && vqdev_again(&q->ring))
		reactor_poller_activate(q->reactor, &q->poller);
}

static void order_done(struct reactor_msg *msg)
{
	struct order *o = container_of(msg, struct order, msg);
	struct virtio_waiter *w = o->waiter;

	if (w) {
		if (o->rc && !w->rc) {
			w->rc = o->rc;
			w->err = o->err;
		}
		if (!--w->pending)
			w->done(w);
	} else if (o->rc) {
		log_warn(o->q->path, "%s", o->err.text);
	}
	free(o);
}

static struct order *order_new(struct virtio_queue *q, int (*run)(struct order *o), bool quiesce)
{
	struct order *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	list_init(&o->link);
	o->q = q;
	o->run = run;
	o->quiesce = quiesce;
	o->fd = -1;
	o->msg.run = order_arrive;
	return o;
}

static int order_send(struct order *o, struct virtio_waiter *waiter)
{
	o->waiter = waiter;
	if (waiter)
		waiter->pending++;
	reactor_post(o->q->reactor, &o->msg);
	return 0;
}

static int order_start(struct order *o)
{
	struct virtio_queue *q = o->q;
	struct virtio_device *vdev = q->vdev;
	int rc;

	if (q->running) {
		rc = error_set(&o->err, -EBUSY, "%s runs already.", q->path);
		goto put_mem;
	}
	if (vdev->queue_size_max && o->config.num > vdev->queue_size_max) {
		rc = error_set(&o->err, -EINVAL, "%s: a ring of %u entries, %u are allowed.",
			       q->path, o->config.num, vdev->queue_size_max);
		goto put_mem;
	}
	gmem_guard_enter(&q->guard, o->mem);
	if (o->record_mem)
		gmem_guard_enter(&q->kept_guard, o->record_mem);
	rc = vqdev_init_recorded(&q->ring, &o->config, o->mem, o->record_mem ? &o->record : NULL,
				 &o->err);
	if (rc)
		goto leave_guard;
	rc = vdev->cls->queue_start(vdev, q, &o->err);
	if (rc)
		goto fini_ring;
	q->mem = o->mem;
	q->kept = o->record_mem;
	q->running = true;
	q->failed = false;
	q->silenced = false;
	q->resting = false;
	q->pushed = 0;
	/* Whoever had the ring before may have ended between publishing and telling. */
	if (vqdev_resumed(&q->ring))
		queue_interrupt(q);
	reactor_poller_activate(q->reactor, &q->poller);
	return 0;
fini_ring:
	vqdev_fini(&q->ring);
leave_guard:
	if (o->record_mem)
		gmem_guard_leave(&q->kept_guard);
	gmem_guard_leave(&q->guard);
put_mem:
	gmem_put(o->record_mem);
	gmem_put(o->mem);
	return rc;
}

int virtio_queue_start(struct virtio_queue *q, const struct vring_config *config, struct gmem *mem,
		       struct virtio_waiter *waiter)
{
	struct order *o = order_new(q, order_start, true);

	if (!o)
		return -ENOMEM;
	o->config = *config;
	o->mem = gmem_get(mem);
	if (q->record_mem) {
		o->record_mem = gmem_get(q->record_mem);
		o->record = q->record;
	}
	q->started = true;
	return order_send(o, waiter);
}

void virtio_queue_set_record(struct virtio_queue *q, struct gmem *mem,
			     const struct vqdev_record *record)
{
	gmem_put(q->record_mem);
	q->record_mem = mem ? gmem_get(mem) : NULL;
	q->record = mem ? *record : (struct vqdev_record){0};
}

static int order_stop(struct order *o)
{
	struct virtio_queue *q = o->q;

	if (!q->running)
		return 0;
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
	gmem_put(q->mem);
	q->kept = q->mem = NULL;
	return 0;
}

int virtio_queue_stop(struct virtio_queue *q, struct virtio_waiter *waiter)
{
	struct order *o = order_new(q, order_stop, true);

	if (!o)
		return -ENOMEM;
	q->started = false;
	return order_send(o, waiter);
}

static int order_set_enabled(struct order *o)
{
	struct virtio_queue *q = o->q;

	q->enabled = o->flag;
	if (q->enabled && q->running)
		reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

int virtio_queue_set_enabled(struct virtio_queue *q, bool enabled, struct virtio_waiter *waiter)
{
	struct order *o = order_new(q, order_set_enabled, false);

	if (!o)
		return -ENOMEM;
	o->flag = enabled;
	return order_send(o, waiter);
}

/* The fd is the queue's from here on, also when there is no memory to say so. */
static int order_send_fd(struct virtio_queue *q, int (*run)(struct order *), int fd,
			 struct virtio_waiter *waiter)
{
	struct order *o = order_new(q, run, false);

	if (!o) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	o->fd = fd;
	return order_send(o, waiter);
}

static int order_set_kick(struct order *o)
{
	struct virtio_queue *q = o->q;
	int rc;

	reactor_watch_stop(q->reactor, &q->kick);
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	q->kick_fd = -1;
	if (o->fd < 0)
		return 0;
	rc = reactor_watch_start(q->reactor, &q->kick, o->fd, EPOLLIN);
	if (rc) {
		close(o->fd);
		return error_set(&o->err, rc, "the kick fd cannot be waited for");
	}
	q->kick_fd = o->fd;
	/* A kick may have come before we looked (and may have been read by whoever had the fd
	 * before). */
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

int virtio_queue_set_kick(struct virtio_queue *q, int fd, struct virtio_waiter *waiter)
{
	return order_send_fd(q, order_set_kick, fd, waiter);
}

static int order_set_call(struct order *o)
{
	struct virtio_queue *q = o->q;

	notifier_set(&q->call, q->reactor, o->fd);
	if (q->running)
		notifier_signal(&q->call, q->reactor);
	return 0;
}

int virtio_queue_set_call(struct virtio_queue *q, int fd, struct virtio_waiter *waiter)
{
	return order_send_fd(q, order_set_call, fd, waiter);
}

static int order_set_mem(struct order *o)
{
	struct virtio_queue *q = o->q;

	if (!q->running) {
		gmem_put(o->mem);
		return 0;
	}
	gmem_guard_leave(&q->guard);
	gmem_guard_enter(&q->guard, o->mem);
	/*
	 * Rings that are not in the new map break the queue, which is the driver's business, not
	 * the caller's.
	 */
	vqdev_remap(&q->ring, o->mem);
	gmem_put(q->mem);
	q->mem = o->mem;
	reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

int virtio_queue_set_mem(struct virtio_queue *q, struct gmem *mem, struct virtio_waiter *waiter)
{
	struct order *o = order_new(q, order_set_mem, true);

	if (!o)
		return -ENOMEM;
	o->mem = gmem_get(mem);
	return order_send(o, waiter);
}

static int order_kick(struct order *o)
{
	struct virtio_queue *q = o->q;

	q->kicks++;
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
	return 0;
}

int virtio_queue_kick(struct virtio_queue *q)
{
	struct order *o = order_new(q, order_kick, false);

	return o ? order_send(o, NULL) : -ENOMEM;
}

/* ---- life ---- */

void virtio_queue_init(struct virtio_queue *q, struct virtio_device *vdev, unsigned index,
		       struct worker *worker)
{
	memset(q, 0, sizeof(*q));
	q->vdev = vdev;
	q->index = index;
	q->worker = worker;
	q->reactor = worker_reactor(worker);
	snprintf(q->path, sizeof(q->path), "%s/queue%u", vdev->path, index);
	q->kick_fd = -1;
	q->kick.ready = queue_kick_ready;
	q->broken.run = queue_tell_control_thread;
	list_init(&q->orders);
	notifier_init(&q->call);
	reactor_poller_init(&q->poller, queue_poll, queue_arm);
}

static void queue_fini_on_worker(void *arg)
{
	struct virtio_queue *q = arg;

	reactor_watch_stop(q->reactor, &q->kick);
	reactor_poller_stop(q->reactor, &q->poller);
	notifier_set(&q->call, q->reactor, -1);
}

void virtio_queue_fini(struct virtio_queue *q)
{
	worker_call(q->worker, queue_fini_on_worker, q);
	virtio_queue_set_record(q, NULL, NULL);
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	q->kick_fd = -1;
}
