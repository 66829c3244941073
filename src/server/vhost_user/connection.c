/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/connection.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "server/vhost_user/connection_priv.h"
#include "wire/vhost_user_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Messages handled before others on the control thread get their turn. */
#define MESSAGES_PER_TURN 32
#define RETRY_NS	  (10 * NSEC_PER_MSEC)

static vhost_user_handler *const handlers[VHOST_USER_REQUEST_MAX] = {
	[VHOST_USER_GET_FEATURES] = vhost_user_get_features,
	[VHOST_USER_SET_FEATURES] = vhost_user_set_features,
	[VHOST_USER_SET_OWNER] = vhost_user_nothing_to_do,
	[VHOST_USER_RESET_OWNER] = vhost_user_nothing_to_do,
	[VHOST_USER_SET_MEM_TABLE] = vhost_user_set_mem_table,
	[VHOST_USER_SET_VRING_NUM] = vhost_user_set_vring_num,
	[VHOST_USER_SET_VRING_ADDR] = vhost_user_set_vring_addr,
	[VHOST_USER_SET_VRING_BASE] = vhost_user_set_vring_base,
	[VHOST_USER_GET_VRING_BASE] = vhost_user_get_vring_base,
	[VHOST_USER_SET_VRING_KICK] = vhost_user_set_vring_kick,
	[VHOST_USER_SET_VRING_CALL] = vhost_user_set_vring_call,
	[VHOST_USER_SET_VRING_ERR] = vhost_user_set_vring_err,
	[VHOST_USER_GET_PROTOCOL_FEATURES] = vhost_user_get_protocol_features,
	[VHOST_USER_SET_PROTOCOL_FEATURES] = vhost_user_set_protocol_features,
	[VHOST_USER_GET_QUEUE_NUM] = vhost_user_get_queue_num,
	[VHOST_USER_SET_VRING_ENABLE] = vhost_user_set_vring_enable,
	[VHOST_USER_SET_BACKEND_REQ_FD] = vhost_user_set_backend_req_fd,
	[VHOST_USER_GET_CONFIG] = vhost_user_get_config,
	[VHOST_USER_SET_CONFIG] = vhost_user_set_config,
	[VHOST_USER_GET_INFLIGHT_FD] = vhost_user_get_inflight_fd,
	[VHOST_USER_SET_INFLIGHT_FD] = vhost_user_set_inflight_fd,
	[VHOST_USER_RESET_DEVICE] = vhost_user_reset_device,
	[VHOST_USER_GET_MAX_MEM_SLOTS] = vhost_user_get_max_mem_slots,
	[VHOST_USER_ADD_MEM_REG] = vhost_user_add_mem_reg,
	[VHOST_USER_REM_MEM_REG] = vhost_user_rem_mem_reg,
	[VHOST_USER_SET_STATUS] = vhost_user_set_status,
	[VHOST_USER_GET_STATUS] = vhost_user_get_status,
};

static void complain(struct vhost_user_connection *c, const char *what, const char *why)
{
	log_limited(&c->complaints, LOG_LEVEL_WARN, c->bus.name, "%s: %s", what, why);
}

/* ---- closing: drain, then let go of everything ---- */

static void closing_done(struct virtio_waiter *w)
{
	struct vhost_user_connection *c = container_of(w, struct vhost_user_connection, waiter);

	vhost_user_channel_close(&c->channel);
	vhost_user_backend_request_close(c);
	vhost_user_vrings_forget(c);
	gmem_put(c->mem);
	c->mem = NULL;
	c->protocol_features = 0;
	c->enables_rings = false;
	c->leaving = false;
	c->state = VHOST_USER_IDLE;
	c->closed(c);
}

static void start_closing(struct vhost_user_connection *c)
{
	struct virtio_device *vdev = vhost_user_device(c);

	c->state = VHOST_USER_CLOSING;
	reactor_watch_stop(c->home, &c->watch);
	reactor_timer_stop(c->home, &c->poll);
	reactor_timer_stop(c->home, &c->retry);
	memset(&c->waiter, 0, sizeof(c->waiter));
	c->waiter.done = closing_done;
	virtio_device_reset(vdev, &c->waiter);
	/* Behind the reset, so that the last completions are still signalled. */
	for (unsigned i = 0; i < vdev->n_queues; i++) {
		virtio_queue_set_kick(&vdev->queues[i], -1, &c->waiter);
		virtio_queue_set_call(&vdev->queues[i], -1, &c->waiter);
	}
}

void vhost_user_connection_close(struct vhost_user_connection *c)
{
	if (c->state == VHOST_USER_SERVING) {
		start_closing(c);
	} else if (c->state == VHOST_USER_WAITING) {
		c->leaving = true;
		/* Nobody needs the map any more. */
		if (c->map_job)
			vhost_user_map_patience_over(&c->map_patience);
	}
}

/* ---- one message ---- */

static void reply(struct vhost_user_connection *c, uint32_t request, const void *payload,
		  uint32_t size)
{
	struct vhost_user_message *out = &c->channel.out;

	out->header = (struct vhost_user_header){
		.request = request,
		.flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
		.size = size,
	};
	memcpy(out->payload.bytes, payload, size);
	out->n_fds = 0;
	if (c->reply_fd >= 0)
		out->fds[out->n_fds++] = c->reply_fd;
	c->reply_fd = -1;
	/* A peer that cannot be written to has gone: reading will say so. */
	if (vhost_user_channel_send(&c->channel))
		c->leaving = true;
}

/* What a handler, or the workers, made of the message. */
static void conclude(struct vhost_user_connection *c, int rc, const struct error *err)
{
	struct vhost_user_message *m = &c->channel.in;
	const struct vhost_user_rule *rule = vhost_user_rule(m->header.request);
	bool wants_ack = m->header.flags & VHOST_USER_NEED_REPLY &&
			 c->protocol_features & BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK) &&
			 !(rule && rule->replies);
	uint64_t ack = rc < 0;

	if (rc < 0)
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->bus.name, "%s refused%s: %s",
			    vhost_user_request_name(m->header.request),
			    wants_ack ? "" : ", closing the connection", err->text);
	if (rc == VHOST_USER_ANSWER)
		reply(c, m->header.request, m->payload.bytes, m->header.size);
	else if (wants_ack)
		reply(c, m->header.request, &ack, sizeof(ack));
	else if (rc < 0)
		c->leaving = true;
	vhost_user_channel_next(&c->channel);
}

/* Goes on with the message for as long as no worker has to be waited for. */
static void perform(struct vhost_user_connection *c, int rc, struct error *err)
{
	while (rc == VHOST_USER_WAIT && !c->waiter.pending) {
		*err = c->waiter.err;
		rc = c->then ? c->then(c, &c->channel.in, err) : c->waiter.rc;
	}
	if (rc == VHOST_USER_WAIT)
		c->state = VHOST_USER_WAITING;
	else
		conclude(c, rc, err);
}

static void pump(struct vhost_user_connection *c);

static void workers_done(struct virtio_waiter *w)
{
	struct vhost_user_connection *c = container_of(w, struct vhost_user_connection, waiter);
	struct error err;

	c->state = VHOST_USER_SERVING;
	perform(c, VHOST_USER_WAIT, &err);
	pump(c);
}

static void handle(struct vhost_user_connection *c)
{
	struct vhost_user_message *m = &c->channel.in;
	const struct vhost_user_rule *rule = vhost_user_rule(m->header.request);
	struct error err = {""};
	int rc;

	memset(&c->waiter, 0, sizeof(c->waiter));
	c->waiter.done = workers_done;
	c->then = NULL;
	if (!rule)
		rc = error_set(&err, -ENOSYS, "request %u is not known", m->header.request);
	else if (m->n_fds > rule->fds_max)
		rc = error_set(&err, -EINVAL, "%u fds came with it.", m->n_fds);
	else
		rc = handlers[m->header.request](c, m, &err);
	perform(c, rc, &err);
}

/* ---- the socket ---- */

static void receive_failed(struct vhost_user_connection *c, int rc, const char *why)
{
	char reason[160];

	switch (rc) {
	case -EPIPE:
		log_limited(&c->visits, LOG_LEVEL_INFO, c->bus.name, "the front end has left");
		break;
	case -ECONNRESET:
		complain(c, "closing the connection", "the front end left in mid-message");
		break;
	case -EPROTO:
		log_limited(&c->complaints, LOG_LEVEL_WARN, c->bus.name,
			    "closing the connection: %s (request %u, flags 0x%x, size %u): %s",
			    vhost_user_request_name(c->channel.in.header.request),
			    c->channel.in.header.request, c->channel.in.header.flags,
			    c->channel.in.header.size, why);
		break;
	case -EACCES:
		complain(c, "closing the connection",
			 "a security policy of this system keeps back the files that the front end "
			 "sent");
		break;
	default:
		log_limited(&c->complaints, LOG_LEVEL_ERR, c->bus.name,
			    "closing the connection, since what the front end sent cannot be "
			    "taken: %s",
			    limits_reason(rc, reason, sizeof(reason)));
	}
}

/* Handles what is there, until it would have to wait for the peer or for workers. */
static void pump(struct vhost_user_connection *c)
{
	const char *why = NULL;
	int rc = 0;

	for (int n = 0; c->state == VHOST_USER_SERVING && !c->leaving; n++) {
		if (vhost_user_channel_flush(&c->channel)) {
			c->leaving = true;
			break;
		}
		if (c->channel.unsent)
			return; /* the watch tells when it can be written again */
		if (n == MESSAGES_PER_TURN) {
			reactor_post(c->home, &c->more);
			return;
		}
		if (aside_is_stuck(c->aside, 4 * vhost_user_device(c)->n_queues)) {
			/* A front end whose fds do not close gives us no more of them. */
			log_limited(&c->complaints, LOG_LEVEL_WARN, c->bus.name,
				    "%u file descriptors of the front end take long to close; it "
				    "waits",
				    aside_waiting(c->aside));
			reactor_timer_start(c->home, &c->retry, RETRY_NS);
			return;
		}
		rc = vhost_user_channel_receive(&c->channel, true, &why);
		if (rc == 0)
			return;
		if (rc < 0) {
			receive_failed(c, rc, why);
			c->leaving = true;
			break;
		}
		handle(c);
	}
	if (c->leaving && c->state == VHOST_USER_SERVING)
		start_closing(c);
}

static void socket_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	pump(container_of(w, struct vhost_user_connection, watch));
}

static void retry_receive(struct reactor_timer *t)
{
	pump(container_of(t, struct vhost_user_connection, retry));
}

static void more_ready(struct reactor_msg *msg)
{
	pump(container_of(msg, struct vhost_user_connection, more));
}

/* ---- the bus ---- */

static void queue_broken(struct virtio_bus *bus, struct virtio_queue *q)
{
	struct vhost_user_connection *c = container_of(bus, struct vhost_user_connection, bus);

	notifier_signal(&c->vrings[q->index].err, c->home);
}

static void close_queue_fd(struct virtio_bus *bus, int fd)
{
	aside_close(container_of(bus, struct vhost_user_connection, bus)->aside, fd);
}

static const struct virtio_bus_ops bus_ops = {
	.config_changed = vhost_user_config_changed,
	.queue_broken = queue_broken,
	.close_fd = close_queue_fd,
};

/* ---- life ---- */

int vhost_user_connection_init(struct vhost_user_connection *c, struct virtio_device *vdev,
			       struct reactor *home,
			       void (*closed)(struct vhost_user_connection *c), struct error *err)
{
	int rc;

	memset(c, 0, sizeof(*c));
	c->home = home;
	c->closed = closed;
	c->state = VHOST_USER_IDLE;
	c->reply_fd = -1;
	if (aside_create(&c->aside, home))
		return error_set(err, -ENOMEM, "cannot set up %s", vdev->path);
	vhost_user_channel_init(&c->channel, -1, c->aside);
	c->watch.ready = socket_ready;
	c->more.run = more_ready;
	vhost_user_backend_request_init(c);
	reactor_timer_init(&c->poll, vhost_user_vrings_poll);
	reactor_timer_init(&c->retry, retry_receive);
	reactor_timer_init(&c->map_patience, vhost_user_map_patience_over);
	c->bus = (struct virtio_bus){
		.name = vdev->path,
		.ops = &bus_ops,
		/* The board, and with it the driver's age, is the front end's business. */
		.takes_legacy = true,
		.foreign_fds = true,
		/* libvhost-user does so, and there are front ends that wait for it (QEMU's qtests). */
		.calls_at_start = true,
	};
	c->vrings = calloc(vdev->n_queues, sizeof(c->vrings[0]));
	if (!c->vrings) {
		aside_release(&c->aside);
		return error_set(err, -ENOMEM, "cannot set up %s", vdev->path);
	}
	for (unsigned i = 0; i < vdev->n_queues; i++)
		notifier_init(&c->vrings[i].err);
	rc = virtio_bus_attach(&c->bus, vdev, err);
	if (rc) {
		free(c->vrings);
		c->vrings = NULL;
		aside_release(&c->aside);
	}
	return rc;
}

void vhost_user_connection_fini(struct vhost_user_connection *c)
{
	virtio_bus_detach(&c->bus);
	free(c->vrings);
	c->vrings = NULL;
	aside_release(&c->aside);
}

int vhost_user_connection_serve(struct vhost_user_connection *c, int fd)
{
	int rc;

	vhost_user_channel_init(&c->channel, fd, c->aside);
	rc = reactor_watch_start(c->home, &c->watch, fd, EPOLLIN | EPOLLOUT);
	if (rc) {
		vhost_user_channel_close(&c->channel);
		return rc;
	}
	c->state = VHOST_USER_SERVING;
	log_limited(&c->visits, LOG_LEVEL_INFO, c->bus.name, "serving a front end");
	return 0;
}
