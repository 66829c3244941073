/* SPDX-License-Identifier: MIT */
#include "frontend/vhost_user/client_priv.h"

#include "base/sock.h"
#include "vring/vring.h"
#include "wire/virtio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The protocol names no limit; this one every back end takes. */
#define QUEUE_SIZE_MAX 1024

/* What a device tells before the driver says how much of it there is: the fields up to
 * write_zeroes_may_unmap, which every back end has. */
#define CONFIG_SIZE 60

/* ---- features and status ---- */

static int get_features(struct transport *t, uint64_t *features, struct error *err)
{
	struct client *c = client_of(t);
	int rc = channel_ask_u64(&c->ch, VHOST_USER_GET_FEATURES, &c->offered, err);

	*features = c->offered & ~BIT64(VHOST_USER_F_PROTOCOL_FEATURES);
	return rc;
}

static int set_features(struct transport *t, uint64_t features, struct error *err)
{
	struct client *c = client_of(t);

	features |= c->offered & BIT64(VHOST_USER_F_PROTOCOL_FEATURES);
	return channel_tell_u64(&c->ch, VHOST_USER_SET_FEATURES, features, err);
}

static int get_status(struct transport *t, uint8_t *status, struct error *err)
{
	struct client *c = client_of(t);
	uint64_t value = c->status;
	int rc = 0;

	if (c->ch.dead)
		return error_set(err, -ENOTCONN, "there is no back end any more.");
	if (client_has(c, VHOST_USER_PROTOCOL_F_STATUS))
		rc = channel_ask_u64(&c->ch, VHOST_USER_GET_STATUS, &value, err);
	*status = (uint8_t)(value | (c->status & VIRTIO_STATUS_NEEDS_RESET));
	return rc;
}

static bool rings_have_switches(const struct client *c)
{
	return c->offered & BIT64(VHOST_USER_F_PROTOCOL_FEATURES);
}

static int switch_ring(struct client *c, uint16_t index, bool on, struct error *err)
{
	struct vhost_user_vring_state s = {.index = index, .num = on};

	if (!rings_have_switches(c))
		return 0;
	return channel_tell(&c->ch, VHOST_USER_SET_VRING_ENABLE, &s, sizeof(s), NULL, 0, err);
}

static int stop_ring(struct client *c, uint16_t index, struct error *err)
{
	struct vhost_user_vring_state s = {.index = index}, answer;
	uint32_t got;
	int rc;

	rc = switch_ring(c, index, false, err);
	/* Answered once nothing is in flight any more. */
	if (!rc)
		rc = channel_ask(&c->ch, VHOST_USER_GET_VRING_BASE, &s, sizeof(s), &answer,
				 sizeof(answer), sizeof(answer), &got, err);
	if (!rc)
		c->queues[index].set = false;
	return rc;
}

static int reset(struct client *c, struct error *err)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < c->n_queues; i++)
		if (c->queues[i].set)
			rc = stop_ring(c, (uint16_t)i, err);
	if (!rc && client_has(c, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
		rc = channel_tell(&c->ch, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0, err);
	return rc;
}

static int set_status(struct transport *t, uint8_t status, struct error *err)
{
	struct client *c = client_of(t);
	int rc = 0;

	if (c->ch.dead)
		return error_set(err, -ENOTCONN, "there is no back end any more.");
	if (!status)
		rc = reset(c, err);
	if (!rc && client_has(c, VHOST_USER_PROTOCOL_F_STATUS))
		rc = channel_tell_u64(&c->ch, VHOST_USER_SET_STATUS, status, err);
	if (!rc)
		c->status = status;
	return rc;
}

/* ---- configuration ---- */

/* Some back ends ignore the offset, so all of it is read at once, and fields come from here. */
static int fetch_config(struct client *c, struct error *err)
{
	uint32_t want = (uint32_t)min_u64(c->base.config_size, VHOST_USER_CONFIG_MAX);
	struct vhost_user_config ask = {.size = want}, answer;
	uint32_t head = offsetof(struct vhost_user_config, data), got;
	int rc;

	if (!client_has(c, VHOST_USER_PROTOCOL_F_CONFIG))
		return error_set(err, -ENOTSUP, "the back end has no configuration to read.");
	memset(&answer, 0, sizeof(answer));
	rc = channel_ask(&c->ch, VHOST_USER_GET_CONFIG, &ask, head + want, &answer, 0,
			 sizeof(answer), &got, err);
	if (rc)
		return rc;
	if (got != head + want || answer.size != want || answer.offset)
		return error_set(err, -EREMOTEIO,
				 "the back end does not give the %u bytes of configuration that "
				 "its features ask for.",
				 want);
	if (c->config_len != want || memcmp(c->config, answer.data, want)) {
		c->generation++;
		c->config_len = want;
		memcpy(c->config, answer.data, want);
	}
	return 0;
}

static int config_generation(struct transport *t, uint32_t *generation, struct error *err)
{
	struct client *c = client_of(t);
	int rc = fetch_config(c, err);

	*generation = c->generation;
	return rc;
}

static int config_read(struct transport *t, uint32_t offset, void *buf, uint32_t len,
		       struct error *err)
{
	struct client *c = client_of(t);

	if (offset > c->config_len || len > c->config_len - offset)
		return error_set(err, -EINVAL, "the configuration has only %u bytes.",
				 c->config_len);
	memcpy(buf, c->config + offset, len);
	return 0;
}

static int config_write(struct transport *t, uint32_t offset, const void *buf, uint32_t len,
			struct error *err)
{
	struct client *c = client_of(t);
	struct vhost_user_config m = {.offset = offset, .size = len};

	if (!client_has(c, VHOST_USER_PROTOCOL_F_CONFIG))
		return error_set(err, -ENOTSUP, "the back end has no configuration to write.");
	if (offset > sizeof(m.data) || len > sizeof(m.data) - offset)
		return error_set(err, -EINVAL, "the configuration is not that long.");
	memcpy(m.data, buf, len);
	return channel_tell(&c->ch, VHOST_USER_SET_CONFIG, &m,
			    (uint32_t)offsetof(struct vhost_user_config, data) + len, NULL, 0, err);
}

/* ---- queues ---- */

static int queue_max(struct transport *t, uint16_t index, uint16_t *max, struct error *err)
{
	(void)err;
	*max = index < client_of(t)->n_queues ? QUEUE_SIZE_MAX : 0;
	return 0;
}

static int give_fd(struct client *c, uint32_t request, uint16_t index, int fd, struct error *err)
{
	uint64_t value = index | (fd < 0 ? VHOST_USER_VRING_NOFD : 0);

	return channel_tell(&c->ch, request, &value, sizeof(value), &fd, fd >= 0, err);
}

static int make_fds(struct client *c, uint16_t index, struct error *err)
{
	struct client_queue *q = &c->queues[index];

	if (q->kick_fd < 0)
		q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0)
		return error_set(err, -errno, "cannot make an eventfd");
	if (q->err_fd >= 0)
		return 0;
	q->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->err_fd < 0)
		return error_set(err, -errno, "cannot make an eventfd");
	return client_watch(c, q->err_fd, EPOLLIN, index, err);
}

static int queue_setup(struct transport *t, const struct transport_queue *q, struct error *err)
{
	struct client *c = client_of(t);
	struct vhost_user_vring_state num = {.index = q->index, .num = q->num};
	struct vhost_user_vring_state base = {.index = q->index,
					      .num = vring_base_initial(q->packed)};
	struct vhost_user_vring_addr addr = {.index = q->index,
					     .desc = (uintptr_t)q->desc,
					     .avail = (uintptr_t)q->driver,
					     .used = (uintptr_t)q->device};
	int rc;

	if (q->index >= c->n_queues)
		return error_set(err, -EINVAL, "the back end has %u queues.", c->n_queues);
	rc = make_fds(c, q->index, err);
	if (!rc)
		rc = channel_tell(&c->ch, VHOST_USER_SET_VRING_NUM, &num, sizeof(num), NULL, 0,
				  err);
	if (!rc)
		rc = channel_tell(&c->ch, VHOST_USER_SET_VRING_BASE, &base, sizeof(base), NULL, 0,
				  err);
	if (!rc)
		rc = channel_tell(&c->ch, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0,
				  err);
	if (!rc)
		rc = give_fd(c, VHOST_USER_SET_VRING_ERR, q->index, c->queues[q->index].err_fd,
			     err);
	if (!rc)
		rc = give_fd(c, VHOST_USER_SET_VRING_CALL, q->index, q->call_fd, err);
	if (rc)
		return rc;
	/* From the kick fd on it counts as started and has to be stopped. */
	c->queues[q->index].set = true;
	return give_fd(c, VHOST_USER_SET_VRING_KICK, q->index, c->queues[q->index].kick_fd, err);
}

static int queue_enable(struct transport *t, uint16_t index, struct error *err)
{
	struct client *c = client_of(t);
	uint64_t features;
	int rc = switch_ring(c, index, true, err);

	/* Without acks, an answer to this tells that all before it was taken. */
	if (!rc && !c->ch.acks)
		rc = channel_ask_u64(&c->ch, VHOST_USER_GET_FEATURES, &features, err);
	return rc;
}

static int queue_reset(struct transport *t, uint16_t index, struct error *err)
{
	struct client *c = client_of(t);

	return c->queues[index].set ? stop_ring(c, index, err) : 0;
}

static void kick(struct transport *t, uint16_t index, uint32_t value)
{
	(void)value;
	(void)eventfd_write(client_of(t)->queues[index].kick_fd, 1);
}

/* ---- life ---- */

static int event_fd(const struct transport *t)
{
	return container_of(t, const struct client, base)->epoll_fd;
}

static bool alive(const struct transport *t)
{
	return channel_alive(&container_of(t, const struct client, base)->ch);
}

static int hangup_fd(const struct transport *t)
{
	return container_of(t, const struct client, base)->ch.fd;
}

static void disconnect(struct transport *t)
{
	channel_kill(&client_of(t)->ch);
}

static void destroy(struct transport *t)
{
	struct client *c = client_of(t);

	client_hang_up(c);
	for (uint32_t i = 0; c->queues && i < c->n_queues; i++) {
		if (c->queues[i].kick_fd >= 0)
			close(c->queues[i].kick_fd);
		if (c->queues[i].err_fd >= 0)
			close(c->queues[i].err_fd);
	}
	if (c->epoll_fd >= 0)
		close(c->epoll_fd);
	free(c->queues);
	free(c);
}

int client_dial(struct client *c, struct error *err)
{
	int fd = sock_dial(&c->address, c->ch.timeout_ms, err);

	if (fd < 0)
		return fd;
	c->ch.fd = fd;
	return 0;
}

static int create(int fd, const char *path, const struct vhost_user_options *o,
		  struct transport **out, struct error *err)
{
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c) {
		if (fd >= 0)
			close(fd);
		return error_set(err, -ENOMEM, "no memory for a vhost-user connection");
	}
	c->base = (struct transport){
		.ops = &client_ops,
		/* A kick carries no data and memory is not translated. */
		.can = BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX) |
		       BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_RING_PACKED) |
		       BIT64(VIRTIO_F_IN_ORDER) | BIT64(VIRTIO_F_ORDER_PLATFORM) |
		       BIT64(VIRTIO_F_RING_RESET),
		.reset_ms = o->timeout_ms,
		.config_size = CONFIG_SIZE,
		/* Rings have an address for each part and the byte order is the host's. */
		.takes_legacy = true,
	};
	c->ch = (struct channel){.fd = fd, .timeout_ms = o->timeout_ms};
	c->no_mem_slots = o->no_mem_slots;
	c->back_fd = -1;
	c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (c->epoll_fd < 0) {
		rc = error_set(err, -errno, "cannot make an epoll fd");
		goto fail;
	}
	if (path) {
		rc = sock_address(&c->address, path, err);
		if (rc)
			goto fail;
		rc = client_dial(c, err);
		if (rc)
			goto fail;
	}
	rc = client_handshake(c, err);
	if (rc)
		goto fail;
	if (!c->n_queues) {
		rc = error_set(err, -EPROTO, "the back end has no queue.");
		goto fail;
	}
	c->queues = calloc(c->n_queues, sizeof(*c->queues));
	if (!c->queues) {
		rc = error_set(err, -ENOMEM, "no memory for %u queues", c->n_queues);
		goto fail;
	}
	for (uint32_t i = 0; i < c->n_queues; i++)
		c->queues[i] = (struct client_queue){.kick_fd = -1, .err_fd = -1};
	*out = &c->base;
	return 0;
fail:
	destroy(&c->base);
	return rc;
}

int vhost_user_connect(const char *path, const struct vhost_user_options *o, struct transport **out,
		       struct error *err)
{
	return create(-1, path, o, out, err);
}

int vhost_user_adopt(int fd, const struct vhost_user_options *o, struct transport **out,
		     struct error *err)
{
	return create(fd, NULL, o, out, err);
}

const struct transport_ops client_ops = {
	.name = "vhost-user",
	.get_features = get_features,
	.set_features = set_features,
	.get_status = get_status,
	.set_status = set_status,
	.config_generation = config_generation,
	.config_read = config_read,
	.config_write = config_write,
	.queue_max = queue_max,
	.queue_setup = queue_setup,
	.queue_enable = queue_enable,
	.queue_reset = queue_reset,
	.kick = kick,
	.mem_add = client_mem_add,
	.mem_remove = client_mem_remove,
	.event_fd = event_fd,
	.process = client_process,
	.alive = alive,
	.hangup_fd = hangup_fd,
	.reconnect = client_reconnect,
	.disconnect = disconnect,
	.destroy = destroy,
};
