/* SPDX-License-Identifier: MIT */
#include "backend/virtio/remote.h"

#include "backend/virtio/queue_priv.h"
#include "base/shared_copy.h"
#include "mem/remote.h"
#include "vring/remote.h"

#include <stdlib.h>

enum step {
	STEP_IDLE,
	STEP_LOOK,
	STEP_FIND,
	STEP_TABLE,
	STEP_FETCH,
	STEP_STORE,
	STEP_FILL, /* used entries ... */
	STEP_SHOW, /* ... and what makes them visible */
	STEP_EVENT,
	STEP_ASK,
};

struct virtio_remote {
	struct virtio_queue *q;
	enum step step;
	bool taking; /* chains may be there to be taken */
	bool paused; /* the map lacks the ring */
	uint64_t kicks_seen;
	struct gmem_hint hint;

	/* The step's pieces, and how far it is. */
	const struct vqdev_piece *pieces;
	unsigned n, at;
	uint64_t did; /* of pieces[at] */
	struct vqdev_piece few[VQDEV_REMOTE_PIECES];

	bool asked; /* @io is with somebody */
	struct gmem_io io;
};

static struct vqdev *ring_of(const struct virtio_remote *m)
{
	return &m->q->ring;
}

static bool step_writes(enum step step)
{
	return step == STEP_STORE || step == STEP_FILL || step == STEP_SHOW || step == STEP_ASK;
}

static void remote_fail(struct virtio_remote *m)
{
	vqdev_break(ring_of(m), step_writes(m->step)
					? "guest memory could not be written by messages"
					: "guest memory could not be read by messages");
}

/* ---- one step's bytes ---- */

static void remote_moved(struct virtio_remote *m, uint64_t bytes)
{
	const struct vqdev_piece *p = &m->pieces[m->at];

	/* Behind the write: vring/device_log.c says why. */
	if (step_writes(m->step))
		gmem_wrote(m->q->mem, gpa(p->gpa + m->did), bytes);
	m->did += bytes;
	if (m->did < p->len)
		return;
	m->did = 0;
	m->at++;
}

static void remote_io_done(struct gmem_io *io)
{
	struct virtio_remote *m = container_of(io, struct virtio_remote, io);

	m->asked = false;
	if (io->rc)
		remote_fail(m);
	else
		remote_moved(m, io->len);
	reactor_poller_activate(m->q->reactor, &m->q->poller);
}

/* Up to the next bytes that somebody has to be asked for. */
static void remote_move(struct virtio_remote *m)
{
	bool write = step_writes(m->step);

	while (!m->asked && m->at < m->n && !ring_of(m)->why) {
		const struct vqdev_piece *p = &m->pieces[m->at];
		uint8_t *mapped, *ours = p->host + m->did;
		int64_t n = gmem_piece(m->q->mem, &m->hint, gpa(p->gpa + m->did), p->len - m->did,
				       write, &mapped);

		if (n < 0) {
			remote_fail(m);
		} else if (!mapped) {
			m->asked = true;
			m->io = (struct gmem_io){
				.write = write,
				.gpa = p->gpa + m->did,
				.buf = ours,
				.len = (size_t)n,
				.reactor = m->q->reactor,
				.done = remote_io_done,
			};
			gmem_remote_submit(m->q->mem->remote, &m->io);
		} else {
			if (write)
				shared_copy_to(mapped, ours, (size_t)n);
			else
				shared_copy_from(ours, mapped, (size_t)n);
			remote_moved(m, (uint64_t)n);
			/* Pairs with the driver's, between what it writes and what it looks at. */
			barrier_full();
		}
	}
}

static void remote_begin(struct virtio_remote *m, enum step step, const struct vqdev_piece *pieces,
			 unsigned n)
{
	m->step = step;
	m->pieces = pieces;
	m->n = n;
	m->at = 0;
	m->did = 0;
}

static void remote_begin_few(struct virtio_remote *m, enum step step, unsigned n)
{
	remote_begin(m, step, m->few, n);
}

/* ---- from one step to the next ---- */

static bool remote_may_take(const struct virtio_remote *m)
{
	const struct virtio_queue *q = m->q;

	return q->enabled && !q->quiescing && !q->failed;
}

static void remote_fetched(struct virtio_remote *m)
{
	struct vqdev_remote *r = ring_of(m)->remote;
	struct vqdev_remote_chain *c = r->moving;

	r->moving = NULL;
	if (c->dropped)
		vqdev_remote_free(ring_of(m), c);
	else
		c->ready = true;
}

static void remote_stored(struct virtio_remote *m)
{
	struct vqdev_remote *r = ring_of(m)->remote;
	struct vqdev_remote_chain *c = list_entry(r->pushed.next, struct vqdev_remote_chain, link);

	list_del(&c->link);
	vqdev_remote_settle(ring_of(m), c);
}

/* All bytes of a step have been moved. */
static void remote_step_over(struct virtio_remote *m)
{
	struct vqdev *vq = ring_of(m);
	enum step step = m->step;
	unsigned n;

	m->step = STEP_IDLE;
	switch (step) {
	case STEP_LOOK:
		n = remote_may_take(m) ? vqdev_remote_find(vq, m->few) : 0;
		if (n)
			remote_begin_few(m, STEP_FIND, n);
		break;
	case STEP_FIND:
		m->taking = true;
		break;
	case STEP_TABLE:
		vq->remote->table_here = true;
		m->taking = true;
		break;
	case STEP_FETCH:
		remote_fetched(m);
		break;
	case STEP_STORE:
		remote_stored(m);
		break;
	case STEP_FILL:
		vq->remote->n_filled = 0;
		remote_begin_few(m, STEP_SHOW, vqdev_remote_show(vq, m->few));
		break;
	case STEP_SHOW:
		remote_begin_few(m, STEP_EVENT, vqdev_remote_event(vq, m->few));
		break;
	case STEP_EVENT:
		if (vqdev_remote_wanted(vq))
			virtio_queue_interrupt(m->q);
		break;
	case STEP_ASK:
		vq->remote->look = true;
		break;
	case STEP_IDLE:
		break;
	}
}

/* Whether there was one, or that it needs its table, or that there was none. */
static void remote_take(struct virtio_remote *m)
{
	struct vqdev *vq = ring_of(m);
	struct vqdev_remote_chain *c;
	int rc = vqdev_remote_take(vq, &c);

	if (rc == -EAGAIN) {
		m->few[0] = vq->remote->table;
		remote_begin_few(m, STEP_TABLE, 1);
	} else if (rc > 0) {
		vq->remote->moving = c;
		remote_begin(m, STEP_FETCH, c->pieces, c->readable);
	} else {
		m->taking = false;
		/* More may have been announced while these were fetched. */
		vq->remote->look = true;
	}
}

/* What is to be done next; false: nothing. */
static bool remote_next(struct virtio_remote *m)
{
	struct vqdev *vq = ring_of(m);
	struct vqdev_remote *r = vq->remote;
	struct vqdev_piece *pieces;
	unsigned n;

	if (!list_empty(&r->pushed)) {
		n = vqdev_remote_stored(list_entry(r->pushed.next, struct vqdev_remote_chain, link),
					&pieces);
		remote_begin(m, STEP_STORE, pieces, n);
		return true;
	}
	if (r->n_filled) {
		remote_begin(m, STEP_FILL, r->filled, r->n_filled);
		return true;
	}
	if (!remote_may_take(m))
		return false;
	/* What comes back makes room. */
	if (r->held >= VQDEV_REMOTE_HELD)
		return false;
	if (m->taking) {
		remote_take(m);
		return true;
	}
	if (r->look || m->kicks_seen != m->q->kicks) {
		r->look = false;
		m->kicks_seen = m->q->kicks;
		remote_begin_few(m, STEP_LOOK, vqdev_remote_look(vq, m->few));
		return true;
	}
	n = vqdev_remote_ask(vq, m->few);
	if (n)
		remote_begin_few(m, STEP_ASK, n);
	return n;
}

/* The queue is broken: nothing more is moved. */
static void remote_give_up(struct virtio_remote *m)
{
	struct vqdev *vq = ring_of(m);

	if (m->asked)
		return;
	if (m->step == STEP_FETCH)
		remote_fetched(m);
	m->step = STEP_IDLE;
	m->taking = false;
	vqdev_remote_unwind(vq);
	vqdev_remote_drop(vq);
}

/* A bounded number of steps: other queues have their turn. */
#define STEPS_MAX 64

static unsigned remote_steps(struct virtio_remote *m)
{
	struct vqdev_remote *r = ring_of(m)->remote;
	unsigned did = 0;

	while (did < STEPS_MAX && !m->asked && !m->paused && !ring_of(m)->why) {
		/* The rest of it nobody wants. */
		if (m->step == STEP_FETCH && r->moving->dropped)
			m->at = m->n;
		if (m->step == STEP_IDLE && !remote_next(m))
			break;
		did++;
		remote_move(m);
		if (!m->asked && m->at == m->n && !ring_of(m)->why)
			remote_step_over(m);
	}
	if (ring_of(m)->why)
		remote_give_up(m);
	return did;
}

/* ---- modes ---- */

/* A chain is remote: what is in flight in mapped memory is waited for. */
static void remote_leave(struct virtio_queue *q)
{
	if (!q->leaving) {
		q->leaving = true;
		q->quiescing++;
		if (q->vdev->cls->let_go)
			q->vdev->cls->let_go(q->vdev, q);
	}
	if (vqdev_in_flight(&q->ring) || q->pushed)
		return;
	q->leaving = false;
	q->quiescing--;
	if (vqdev_remote_begin(&q->ring))
		vqdev_break(&q->ring, "no memory for a mirror of the ring");
}

unsigned virtio_remote_turn(struct virtio_queue *q)
{
	unsigned did = 0;

	if (q->ring.reach == VQDEV_LEAVING && !vqdev_broken(&q->ring)) {
		remote_leave(q);
		if (q->ring.reach == VQDEV_LEAVING)
			return 0;
		did++;
	}
	if (!q->ring.remote)
		return did;
	if (!q->remote) {
		q->remote = calloc(1, sizeof(*q->remote));
		if (!q->remote) {
			vqdev_break(&q->ring, "no memory for a mirror of the ring");
			return did;
		}
		q->remote->q = q;
		q->remote->kicks_seen = q->kicks;
	}
	return did + remote_steps(q->remote);
}

void virtio_remote_hush(struct virtio_queue *q)
{
	if (!q->ring.remote)
		return;
	if (q->remote)
		q->remote->taking = false;
	vqdev_remote_unwind(&q->ring);
	/* Who stops the queue, or resets it, will not bring the ring back first. */
	if (q->remote && q->remote->paused)
		vqdev_break(&q->ring, "requests are in flight, and the ring is in no memory");
	/* What is under way goes on to its end. */
	reactor_poller_activate(q->reactor, &q->poller);
}

bool virtio_remote_quiet(const struct virtio_queue *q)
{
	const struct virtio_remote *m = q->remote;

	return !m || (m->step == STEP_IDLE && !m->asked && list_empty(&q->ring.remote->pushed) &&
		      !q->ring.remote->n_filled);
}

bool virtio_remote_follows(const struct virtio_queue *q, const struct gmem *mem)
{
	return q->running && mem != q->mem && q->ring.remote && q->remote &&
	       !vqdev_broken(&q->ring) && list_empty(&q->orders) &&
	       (vqdev_in_flight(&q->ring) || !virtio_remote_quiet(q));
}

void virtio_remote_follow(struct virtio_queue *q, struct gmem *mem)
{
	struct virtio_remote *m = q->remote;

	m->paused = vqdev_remote_follow(&q->ring, mem);
	m->hint = (struct gmem_hint){0};
	q->mem = mem;
	reactor_poller_activate(q->reactor, &q->poller);
}

void virtio_remote_end(struct virtio_queue *q)
{
	if (q->leaving)
		q->quiescing--;
	q->leaving = false;
	free(q->remote);
	q->remote = NULL;
}
