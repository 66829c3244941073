/* SPDX-License-Identifier: MIT */
#include "frontend/vhost_user/channel.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/sock.h"
#include "wire/vhost_user_names.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void channel_kill(struct channel *c)
{
	write_once(&c->dead, true);
	shutdown(c->fd, SHUT_RDWR);
}

bool channel_alive(const struct channel *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};

	if (read_once(&c->dead))
		return false;
	return poll(&p, 1, 0) <= 0 || !(p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

/* What is the matter with a peer that answers no more. */
static int lost(struct channel *c, uint32_t request, int rc, struct error *err)
{
	channel_kill(c);
	switch (rc) {
	case -ETIMEDOUT:
		return error_set(err, rc, "the back end does not answer %s within %u ms.",
				 vhost_user_request_name(request), c->timeout_ms);
	case -ENOTCONN:
		return error_set(err, rc, "the back end closed the connection at %s.",
				 vhost_user_request_name(request));
	case -EPROTO:
		return error_set(err, rc, "the back end answers %s with something else.",
				 vhost_user_request_name(request));
	default: /* of ours: limits_is_ours() */
		return error_set(err, rc, "cannot send %s to the back end",
				 vhost_user_request_name(request));
	}
}

static int say(struct channel *c, uint32_t request, uint32_t flags, const void *payload,
	       uint32_t size, const int *fds, unsigned n_fds, uint64_t until)
{
	struct {
		struct vhost_user_header header;
		unsigned char payload[sizeof(struct vhost_user_config)];
	} m = {.header = {.request = request, .flags = VHOST_USER_VERSION | flags, .size = size}};

	if (size > sizeof(m.payload) || n_fds > VHOST_USER_FDS_MAX)
		return -EINVAL;
	if (size)
		memcpy(m.payload, payload, size);
	return sock_send(c->fd, &m, sizeof(m.header) + size, fds, n_fds, until);
}

static int hear(struct channel *c, uint32_t request, void *answer, uint32_t min, uint32_t max,
		uint32_t *got, uint64_t until)
{
	struct vhost_user_header h;
	int rc;

	rc = sock_recv(c->fd, &h, sizeof(h), NULL, until);
	if (rc)
		return rc;
	if (h.request != request || !(h.flags & VHOST_USER_REPLY) ||
	    (h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION || h.size < min ||
	    h.size > max)
		return -EPROTO;
	*got = h.size;
	return sock_recv(c->fd, answer, h.size, NULL, until);
}

static uint64_t deadline(const struct channel *c)
{
	return clock_ns() + c->timeout_ms * NSEC_PER_MSEC;
}

_Static_assert(sizeof(struct vhost_user_config) >= sizeof(struct vhost_user_mem_table),
	       "say() sends both");

int channel_tell(struct channel *c, uint32_t request, const void *payload, uint32_t size,
		 const int *fds, unsigned n_fds, struct error *err)
{
	uint64_t until = deadline(c), result;
	uint32_t got;
	int rc;

	if (c->dead)
		return error_set(err, -ENOTCONN, "there is no back end any more.");
	rc = say(c, request, c->acks ? VHOST_USER_NEED_REPLY : 0, payload, size, fds, n_fds, until);
	if (!rc && c->acks)
		rc = hear(c, request, &result, sizeof(result), sizeof(result), &got, until);
	if (rc)
		return lost(c, request, rc, err);
	if (c->acks && result)
		return error_set(err, -EREMOTEIO, "the back end refuses %s.",
				 vhost_user_request_name(request));
	return 0;
}

int channel_ask(struct channel *c, uint32_t request, const void *payload, uint32_t size,
		void *answer, uint32_t min, uint32_t max, uint32_t *got, struct error *err)
{
	uint64_t until = deadline(c);
	int rc;

	if (c->dead)
		return error_set(err, -ENOTCONN, "there is no back end any more.");
	rc = say(c, request, 0, payload, size, NULL, 0, until);
	if (!rc)
		rc = hear(c, request, answer, min, max, got, until);
	return rc ? lost(c, request, rc, err) : 0;
}

int channel_tell_u64(struct channel *c, uint32_t request, uint64_t value, struct error *err)
{
	return channel_tell(c, request, &value, sizeof(value), NULL, 0, err);
}

int channel_ask_u64(struct channel *c, uint32_t request, uint64_t *value, struct error *err)
{
	uint32_t got;

	return channel_ask(c, request, NULL, 0, value, sizeof(*value), sizeof(*value), &got, err);
}
