/* SPDX-License-Identifier: MIT */
#include "backend/virtio/queue.h"

#include "backend/virtio/queue_priv.h"
#include "backend/virtio/remote.h"
#include "base/atomic.h"
#include "wire/virtio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * Chains popped before completions are published and the other queues get their turn.  Few, so that
 * the driver works on the first ones while we work on the next: a driver that finds nothing goes to
 * sleep, and waking it costs more than many requests (docs/performance.md).
 */
#define TURN_BUDGET 8

/* ---- a turn ---- */

static void queue_fail(struct virtio_queue *q)
{
	if (q->failed)
		return;
	q->failed = true;
	store_release(&q->failed_life, q->life);
	/* What is given up for a stop, or a reset, is nobody's fault. */
	if (!q->ring.remote || !q->quiescing)
		log_limited(&q->complaints, LOG_LEVEL_WARN, q->path,
			    "the driver broke the ring's rules (%s); the queue has stopped until "
			    "it is reset",
			    vqdev_why(&q->ring));
	reactor_post(q->vdev->home, &q->broken);
}

static void queue_tell_control_thread(struct reactor_msg *msg)
{
	struct virtio_queue *q = container_of(msg, struct virtio_queue, broken);
	struct virtio_device *vdev = q->vdev;

	/* It may have been stopped, even started anew, since the message was sent. */
	if (!q->started || load_acquire(&q->failed_life) != q->lives)
		return;
	if (vdev->bus && vdev->bus->ops->queue_broken)
		vdev->bus->ops->queue_broken(vdev->bus, q);
	virtio_device_needs_reset(vdev);
}

void virtio_queue_interrupt(struct virtio_queue *q)
{
	struct virtio_bus *bus = q->vdev->bus;

	/* Release: who sees this call sees what it is about. */
	store_release(&q->calls, q->calls + 1);
	if (q->call.fd >= 0)
		notifier_signal(&q->call, q->reactor);
	else if (bus && bus->ops->interrupt)
		bus->ops->interrupt(bus, q);
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
	reactor_note(q->reactor, q->path);
	budget = queue_pop_budget(q);
	if (budget) {
		int n;

		if (!q->silenced) {
			vqdev_kicks_off(&q->ring);
			q->silenced = true;
		}
		q->resting = false;
		q->spent_bytes = 0;
		n = q->vdev->cls->process(q->vdev, q, budget);
		if (n > 0) {
			did += (unsigned)n;
			count_add(&q->requests, (unsigned)n);
		}
		/* What comes again is begun behind the let_go of whoever waits for it. */
		if (unlikely(q->quiescing) && q->vdev->cls->let_go)
			q->vdev->cls->let_go(q->vdev, q);
	}
	/* Nothing is published once memory is lost: not even a status byte may have arrived. */
	if (unlikely(gmem_lost(q->mem)))
		vqdev_break(&q->ring, "guest memory was taken away");
	if (q->pushed) {
		did += q->pushed;
		q->pushed = 0;
		vqdev_publish(&q->ring);
		if (vqdev_needs_interrupt(&q->ring)) {
			virtio_queue_interrupt(q);
			/* Where more waits, the call would come a turn late. */
			if (vqdev_waiting(&q->ring))
				reactor_submit(q->reactor);
		}
	}
	if (unlikely(q->ring.reach))
		did += virtio_remote_turn(q);
	if (unlikely(gmem_lost(q->mem)))
		vqdev_break(&q->ring, "guest memory was taken away");
	if (unlikely(q->kept) && unlikely(gmem_lost(q->kept)))
		vqdev_break(&q->ring, "the in-flight record was taken away");
	if (unlikely(vqdev_broken(&q->ring)))
		queue_fail(q);
	if (unlikely(!list_empty(&q->orders)))
		virtio_orders_run_quiet(q);
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

	count_add(&q->kicks, 1);
	if (events & (EPOLLHUP | EPOLLERR))
		log_limited(&q->complaints, LOG_LEVEL_WARN, q->path, "the kick fd was closed");
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
}

void virtio_queue_wake(struct virtio_queue *q)
{
	q->resting = false;
	if (q->running)
		reactor_poller_activate(q->reactor, &q->poller);
}

void virtio_queue_set_record(struct virtio_queue *q, struct gmem *mem,
			     const struct vqdev_record *record)
{
	gmem_put(q->record_mem);
	q->record_mem = mem ? gmem_get(mem) : NULL;
	q->record = mem ? *record : (struct vqdev_record){0};
}

/* ---- life ---- */

int virtio_queue_init(struct virtio_queue *q, struct virtio_device *vdev, unsigned index,
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
	return virtio_orders_create(q);
}

static void queue_fini_on_worker(void *arg)
{
	struct virtio_queue *q = arg;

	if (reactor_noted(q->reactor) == q->path)
		reactor_note(q->reactor, NULL);
	reactor_watch_stop(q->reactor, &q->kick);
	reactor_poller_stop(q->reactor, &q->poller);
	notifier_set(&q->call, q->reactor, -1);
}

void virtio_queue_fini(struct virtio_queue *q)
{
	worker_call(q->worker, queue_fini_on_worker, q);
	virtio_orders_release(q);
	virtio_queue_set_record(q, NULL, NULL);
	if (q->kick_fd >= 0)
		close(q->kick_fd);
	q->kick_fd = -1;
}
