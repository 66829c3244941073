/* SPDX-License-Identifier: MIT */
/* The life of the rings, as the front end orders it. */
#include "base/clock.h"
#include "base/evsignal.h"
#include "server/vhost_user/connection_priv.h"
#include "wire/virtio.h"

#include <errno.h>
#include <string.h>

/* How often a ring is looked at whose front end gave no kick fd. */
#define POLL_NS NSEC_PER_MSEC

static struct vhost_user_vring *vring_of(struct vhost_user_connection *c, uint32_t index,
					 struct error *err)
{
	if (index < vhost_user_device(c)->n_queues)
		return &c->vrings[index];
	error_set(err, -EINVAL, "there is no queue %u.", index);
	return NULL;
}

static struct virtio_queue *queue_of(struct vhost_user_connection *c,
				     const struct vhost_user_vring *v)
{
	return &vhost_user_device(c)->queues[v - c->vrings];
}

/* ---- starting ---- */

/* Where the ring goes on. */
static uint32_t base_of(const struct vhost_user_connection *c, const struct vhost_user_vring *v)
{
	bool packed = virtio_device_has(vhost_user_device(c), VIRTIO_F_RING_PACKED);

	if (!v->has_base)
		return vring_base_initial(packed);
	/* Nothing is in flight at a start, so the used half equals the avail half; some front ends
	 * leave it out. */
	if (packed && !(v->base >> 16))
		return v->base << 16 | v->base;
	return v->base;
}

static int ring_config(struct vhost_user_connection *c, const struct vhost_user_vring *v,
		       const struct vhost_user_vring_addr *addr, struct vring_config *config,
		       struct error *err)
{
	const struct virtio_device *vdev = vhost_user_device(c);
	int rc;

	if (!v->num || !addr)
		return error_set(err, -EINVAL, "queue %td has no %s yet.", v - c->vrings,
				 v->num ? "addresses" : "size");
	if (!c->mem)
		return error_set(err, -EINVAL, "there is no memory yet.");
	*config = (struct vring_config){
		.num = (uint16_t)v->num,
		.packed = virtio_device_has(vdev, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_device_has(vdev, VIRTIO_F_EVENT_IDX),
		.indirect = virtio_device_has(vdev, VIRTIO_F_INDIRECT_DESC),
		.in_order = virtio_device_has(vdev, VIRTIO_F_IN_ORDER),
		.base = base_of(c, v),
	};
	rc = gmem_from_user(c->mem, addr->desc, vring_desc_bytes(config), &config->desc);
	if (!rc)
		rc = gmem_from_user(c->mem, addr->avail, vring_driver_bytes(config),
				    &config->driver);
	if (!rc)
		rc = gmem_from_user(c->mem, addr->used, vring_device_bytes(config),
				    &config->device);
	if (!rc)
		rc = vring_config_check(config);
	if (rc)
		return error_set(err, rc,
				 "queue %td: a ring of %u entries at 0x%llx, 0x%llx, 0x%llx",
				 v - c->vrings, v->num, (unsigned long long)addr->desc,
				 (unsigned long long)addr->avail, (unsigned long long)addr->used);
	return 0;
}

static int ring_started(struct vhost_user_connection *c, struct vhost_user_message *m,
			struct error *err)
{
	struct vhost_user_vring *v = c->vring;

	(void)m;
	(void)err;
	if (c->waiter.rc && v->running) {
		v->running = v->unkicked = false;
		virtio_queue_stop(queue_of(c, v), NULL);
	}
	return c->waiter.rc;
}

static int ring_start(struct vhost_user_connection *c, struct vhost_user_vring *v,
		      struct error *err)
{
	struct vring_config config;
	int rc = ring_config(c, v, v->has_addr ? &v->addr : NULL, &config, err);

	if (rc)
		return rc;
	vhost_user_inflight_attach(c, (unsigned)(v - c->vrings), &config);
	rc = virtio_queue_start(queue_of(c, v), &config, c->mem, &c->waiter);
	if (rc)
		return error_set(err, rc, "queue %td is being started.", v - c->vrings);
	v->running = true;
	c->vring = v;
	c->then = ring_started;
	return VHOST_USER_WAIT;
}

/* ---- size, addresses, base ---- */

int vhost_user_set_vring_num(struct vhost_user_connection *c, struct vhost_user_message *m,
			     struct error *err)
{
	const struct vhost_user_vring_state *s = &m->payload.state;
	struct vhost_user_vring *v = vring_of(c, s->index, err);

	if (!v)
		return -EINVAL;
	/* Which layout it is, and so what else the size must be, is known at the start. */
	if (!s->num || s->num > VRING_SIZE_MAX)
		return error_set(err, -EINVAL, "queue %u: %u entries", s->index, s->num);
	if (v->running && s->num != v->num)
		return error_set(err, -EBUSY, "queue %u runs", s->index);
	v->num = s->num;
	return 0;
}

static int stopped_to_move(struct vhost_user_connection *c, struct vhost_user_message *m,
			   struct error *err)
{
	struct vhost_user_vring *v = &c->vrings[m->payload.addr.index];

	if (c->waiter.rc)
		return c->waiter.rc;
	v->base = queue_of(c, v)->base;
	v->has_base = true;
	return ring_start(c, v, err);
}

int vhost_user_set_vring_addr(struct vhost_user_connection *c, struct vhost_user_message *m,
			      struct error *err)
{
	const struct vhost_user_vring_addr *a = &m->payload.addr;
	struct vhost_user_vring *v = vring_of(c, a->index, err);
	struct vring_config config;
	bool moves;
	int rc;

	if (!v)
		return -EINVAL;
	if (a->flags & ~VHOST_USER_VRING_F_LOG)
		return error_set(err, -EINVAL, "queue %u: flags 0x%x", a->index, a->flags);
	moves = v->running &&
		(a->desc != v->addr.desc || a->avail != v->addr.avail || a->used != v->addr.used);
	if (moves) {
		rc = ring_config(c, v, a, &config, err);
		if (rc)
			return rc;
	}
	v->addr = *a;
	v->has_addr = true;
	if (!moves)
		return 0;
	virtio_queue_stop(queue_of(c, v), &c->waiter);
	c->then = stopped_to_move;
	return VHOST_USER_WAIT;
}

int vhost_user_set_vring_base(struct vhost_user_connection *c, struct vhost_user_message *m,
			      struct error *err)
{
	const struct vhost_user_vring_state *s = &m->payload.state;
	struct vhost_user_vring *v = vring_of(c, s->index, err);

	if (!v)
		return -EINVAL;
	if (v->running)
		return error_set(err, -EBUSY, "queue %u runs", s->index);
	v->base = s->num;
	v->has_base = true;
	return 0;
}

/* ---- stopping ---- */

static int ring_stopped(struct vhost_user_connection *c, struct vhost_user_message *m,
			struct error *err)
{
	struct vhost_user_vring *v = &c->vrings[m->payload.state.index];

	(void)err;
	if (c->waiter.rc)
		return c->waiter.rc;
	if (v->running) {
		v->base = queue_of(c, v)->base;
		v->has_base = true;
		v->running = v->unkicked = false;
	}
	m->payload.state.num = base_of(c, v);
	return VHOST_USER_ANSWER;
}

int vhost_user_get_vring_base(struct vhost_user_connection *c, struct vhost_user_message *m,
			      struct error *err)
{
	struct vhost_user_vring *v = vring_of(c, m->payload.state.index, err);

	if (!v)
		return -EINVAL;
	if (v->running) {
		virtio_queue_stop(queue_of(c, v), &c->waiter);
		virtio_queue_set_kick(queue_of(c, v), -1, &c->waiter);
	}
	c->then = ring_stopped;
	return VHOST_USER_WAIT;
}

void vhost_user_vrings_reset(struct vhost_user_connection *c)
{
	reactor_timer_stop(c->home, &c->poll);
	for (unsigned i = 0; i < vhost_user_device(c)->n_queues; i++) {
		struct vhost_user_vring *v = &c->vrings[i];

		v->running = v->enabled = v->on = v->unkicked = false;
		v->base = 0;
		v->has_base = false;
	}
	/* What it says was of the driver before. */
	vhost_user_inflight_forget(c);
}

void vhost_user_vrings_forget(struct vhost_user_connection *c)
{
	reactor_timer_stop(c->home, &c->poll);
	for (unsigned i = 0; i < vhost_user_device(c)->n_queues; i++) {
		aside_close(c->aside, notifier_swap(&c->vrings[i].err, c->home, -1, true));
		memset(&c->vrings[i], 0, sizeof(c->vrings[i]));
		notifier_init(&c->vrings[i].err);
	}
	vhost_user_inflight_forget(c);
}

/* ---- kick, call, err, enable ---- */

static struct vhost_user_vring *vring_of_u64(struct vhost_user_connection *c,
					     const struct vhost_user_message *m, struct error *err)
{
	uint64_t v = m->payload.u64;

	if (v & ~(uint64_t)(VHOST_USER_VRING_INDEX_MASK | VHOST_USER_VRING_NOFD)) {
		error_set(err, -EINVAL, "0x%llx names no queue.", (unsigned long long)v);
		return NULL;
	}
	return vring_of(c, v & VHOST_USER_VRING_INDEX_MASK, err);
}

/*
 * The queue and the fd of a KICK, CALL or ERR message: -1 for "none, poll instead".  It is an
 * eventfd and nothing else: any other file may make whoever touches it wait, or is changed by being
 * written to.
 */
static int take_vring_fd(struct vhost_user_connection *c, struct vhost_user_message *m,
			 struct vhost_user_vring **v, int *fd, struct error *err)
{
	int is;

	*v = vring_of_u64(c, m, err);
	if (!*v)
		return -EINVAL;
	if (m->payload.u64 & VHOST_USER_VRING_NOFD) {
		*fd = -1;
		return m->n_fds ? error_set(err, -EINVAL, "it has an fd and says it has none.") : 0;
	}
	if (!m->n_fds)
		return error_set(err, -EINVAL, "no fd came with it.");
	is = fd_is_eventfd(m->fds[0]);
	if (is < 0)
		return error_set(err, is,
				 "cannot tell whether its fd is an eventfd, without /proc");
	if (!is)
		return error_set(err, -EINVAL, "its fd is not an eventfd.");
	*fd = vhost_user_message_take_fd(m, 0);
	return 0;
}

void vhost_user_vrings_poll(struct reactor_timer *t)
{
	struct vhost_user_connection *c = container_of(t, struct vhost_user_connection, poll);
	bool any = false;

	for (unsigned i = 0; i < vhost_user_device(c)->n_queues; i++) {
		struct vhost_user_vring *v = &c->vrings[i];

		if (!v->running || !v->unkicked)
			continue;
		any = true;
		virtio_queue_kick(queue_of(c, v));
	}
	if (any)
		reactor_timer_start(c->home, &c->poll, POLL_NS);
}

int vhost_user_set_vring_kick(struct vhost_user_connection *c, struct vhost_user_message *m,
			      struct error *err)
{
	struct vhost_user_vring *v;
	int fd = -1, rc = take_vring_fd(c, m, &v, &fd, err);

	if (rc)
		return rc;
	if (!v->running) {
		rc = ring_start(c, v, err);
		if (rc < 0) {
			aside_close(c->aside, fd);
			return rc;
		}
	}
	v->unkicked = fd < 0;
	if (v->unkicked)
		reactor_timer_start(c->home, &c->poll, POLL_NS);
	virtio_queue_set_kick(queue_of(c, v), fd, &c->waiter);
	return VHOST_USER_WAIT;
}

int vhost_user_set_vring_call(struct vhost_user_connection *c, struct vhost_user_message *m,
			      struct error *err)
{
	struct vhost_user_vring *v;
	int fd, rc = take_vring_fd(c, m, &v, &fd, err);

	if (rc)
		return rc;
	virtio_queue_set_call(queue_of(c, v), fd, &c->waiter);
	return VHOST_USER_WAIT;
}

int vhost_user_set_vring_err(struct vhost_user_connection *c, struct vhost_user_message *m,
			     struct error *err)
{
	struct vhost_user_vring *v;
	int fd, rc = take_vring_fd(c, m, &v, &fd, err);

	if (rc)
		return rc;
	aside_close(c->aside, notifier_swap(&v->err, c->home, fd, true));
	return 0;
}

int vhost_user_set_vring_enable(struct vhost_user_connection *c, struct vhost_user_message *m,
				struct error *err)
{
	const struct vhost_user_vring_state *s = &m->payload.state;
	struct vhost_user_vring *v = vring_of(c, s->index, err);

	if (!v)
		return -EINVAL;
	if (s->num > 1)
		return error_set(err, -EINVAL, "queue %u: neither 0 nor 1", s->index);
	v->enabled = s->num;
	vhost_user_vrings_gate(c);
	return VHOST_USER_WAIT;
}

void vhost_user_vrings_gate(struct vhost_user_connection *c)
{
	const struct virtio_device *vdev = vhost_user_device(c);
	bool open = !(c->protocol_features & BIT64(VHOST_USER_PROTOCOL_F_STATUS)) ||
		    vdev->status & VIRTIO_STATUS_DRIVER_OK;

	for (unsigned i = 0; i < vdev->n_queues; i++) {
		struct vhost_user_vring *v = &c->vrings[i];
		bool on = v->enabled && open;

		if (on == v->on)
			continue;
		v->on = on;
		virtio_queue_set_enabled(queue_of(c, v), on, &c->waiter);
	}
}
