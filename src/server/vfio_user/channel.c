/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/channel.h"

#include "base/aside.h"
#include "base/limits.h"
#include "base/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HEADER ((uint32_t)sizeof(struct vfio_user_header))

struct vfio_user_message *vfio_user_message_new(void)
{
	return calloc(1, sizeof(struct vfio_user_message) + VFIO_USER_BODY_MAX + 1);
}

void vfio_user_message_drop_fds(struct vfio_user_message *m, struct aside *aside)
{
	for (unsigned i = 0; i < m->n_fds; i++)
		aside_close(aside, m->fds[i]);
	m->n_fds = 0;
}

int vfio_user_channel_init(struct vfio_user_channel *ch, struct aside *aside)
{
	*ch = (struct vfio_user_channel){.fd = -1, .aside = aside};
	ch->in = vfio_user_message_new();
	ch->out = vfio_user_message_new();
	ch->ask = vfio_user_message_new();
	if (ch->in && ch->out && ch->ask)
		return 0;
	vfio_user_channel_fini(ch);
	return -ENOMEM;
}

void vfio_user_channel_fini(struct vfio_user_channel *ch)
{
	free(ch->in);
	free(ch->out);
	free(ch->ask);
	ch->in = ch->out = ch->ask = NULL;
}

void vfio_user_channel_open(struct vfio_user_channel *ch, int fd)
{
	ch->fd = fd;
	ch->in->n_fds = ch->out->n_fds = ch->ask->n_fds = 0;
	ch->in_bytes = ch->out_bytes = 0;
	ch->going = NULL;
	ch->unsent = ch->unsent_ask = ch->expects = false;
}

void vfio_user_channel_close(struct vfio_user_channel *ch)
{
	if (ch->fd < 0)
		return;
	vfio_user_channel_next(ch);
	/* The peer sees the end now, whenever the rest of it comes. */
	shutdown(ch->fd, SHUT_RDWR);
	aside_close(ch->aside, ch->fd);
	ch->fd = -1;
	ch->going = NULL;
	ch->unsent = ch->unsent_ask = ch->expects = false;
}

/* ---- receiving ---- */

/* Up to @left bytes; >0, 0 (nothing now), or -errno as of receive(). */
static int channel_take(struct vfio_user_channel *ch, void *to, uint32_t left, const char **why)
{
	struct sock_fds fds = {.fds = ch->in->fds,
			       .max = VFIO_USER_FDS_MAX,
			       .n = ch->in->n_fds,
			       .aside = ch->aside};
	ssize_t n = sock_recv_some(ch->fd, to, left, &fds);

	ch->in->n_fds = fds.n;
	if (fds.more) {
		*why = "it carries more fds than a message may";
		return -EPROTO;
	}
	if (n == -EPIPE)
		return ch->in_bytes ? -ECONNRESET : -EPIPE;
	if (n < 0)
		return limits_is_ours((int)n) || n == -EACCES ? (int)n : -ECONNRESET;
	ch->in_bytes += (uint32_t)n;
	return (int)n;
}

int vfio_user_channel_receive(struct vfio_user_channel *ch, const char **why)
{
	struct vfio_user_message *m = ch->in;

	while (ch->in_bytes < HEADER) {
		int rc = channel_take(ch, (char *)&m->header + ch->in_bytes, HEADER - ch->in_bytes,
				      why);

		if (rc <= 0)
			return rc;
		/* As soon as it is there: vhost-user's header is shorter, and who sends it waits. */
		if (ch->in_bytes < offsetof(struct vfio_user_header, flags))
			continue;
		if (m->header.size < HEADER || m->header.size - HEADER > VFIO_USER_BODY_MAX) {
			*why = "no message has its size (a vhost-user front end begins so)";
			return -EPROTO;
		}
		if (ch->in_bytes < HEADER)
			continue;
		if ((m->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_COMMAND &&
		    (!ch->expects ||
		     (m->header.flags & VFIO_USER_TYPE_MASK) != VFIO_USER_TYPE_REPLY)) {
			*why = "it is no command, and nothing was asked that it could answer";
			return -EPROTO;
		}
	}
	while (ch->in_bytes < m->header.size) {
		uint32_t have = ch->in_bytes - HEADER;
		int rc = channel_take(ch, m->body + have, m->header.size - ch->in_bytes, why);

		if (rc <= 0)
			return rc;
	}
	m->body[vfio_user_body_size(m)] = '\0';
	return 1;
}

void vfio_user_channel_next(struct vfio_user_channel *ch)
{
	vfio_user_message_drop_fds(ch->in, ch->aside);
	ch->in_bytes = 0;
}

/* ---- sending ---- */

/* What is to be sent next, if nothing is half sent. */
static void channel_choose(struct vfio_user_channel *ch)
{
	if (ch->going)
		return;
	ch->going = ch->unsent ? ch->out : ch->unsent_ask ? ch->ask : NULL;
	ch->out_bytes = 0;
}

static void channel_sent(struct vfio_user_channel *ch)
{
	if (ch->going == ch->out)
		ch->unsent = false;
	else
		ch->unsent_ask = false;
	ch->going = NULL;
}

int vfio_user_channel_flush(struct vfio_user_channel *ch)
{
	for (channel_choose(ch); ch->going; channel_choose(ch)) {
		struct vfio_user_message *m = ch->going;
		uint32_t at = ch->out_bytes, in_header = at < HEADER ? HEADER - at : 0;
		uint32_t body_at = at < HEADER ? 0 : at - HEADER;
		struct iovec iov[2] = {
			{(char *)&m->header + (HEADER - in_header), in_header},
			{m->body + body_at, vfio_user_body_size(m) - body_at},
		};
		ssize_t n = sock_send_some(ch->fd, iov, 2, m->fds, m->n_fds);

		if (n <= 0)
			return (int)n;
		m->n_fds = 0;
		ch->out_bytes += (uint32_t)n;
		if (ch->out_bytes == m->header.size)
			channel_sent(ch);
	}
	return 0;
}

int vfio_user_channel_send(struct vfio_user_channel *ch)
{
	ch->unsent = true;
	return vfio_user_channel_flush(ch);
}

int vfio_user_channel_ask(struct vfio_user_channel *ch)
{
	ch->unsent_ask = true;
	return vfio_user_channel_flush(ch);
}
