/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/channel.h"

#include "base/sock.h"

#include <errno.h>
#include <sys/socket.h>

#define HEADER ((uint32_t)sizeof(struct vhost_user_header))

void vhost_user_channel_init(struct vhost_user_channel *ch, int fd, struct aside *aside)
{
	ch->fd = fd;
	ch->aside = aside;
	ch->in.n_fds = ch->out.n_fds = 0;
	ch->in_bytes = ch->out_bytes = 0;
	ch->unsent = false;
}

void vhost_user_channel_close(struct vhost_user_channel *ch)
{
	vhost_user_message_drop_fds(&ch->in, ch->aside);
	vhost_user_message_drop_fds(&ch->out, NULL);
	if (ch->fd >= 0) {
		/* The peer sees the end now, whenever the rest of it comes. */
		shutdown(ch->fd, SHUT_RDWR);
		aside_close(ch->aside, ch->fd);
	}
	vhost_user_channel_init(ch, -1, ch->aside);
}

/* ---- receiving ---- */

/* Up to @left bytes; >0, 0 (nothing now), or -errno as of receive(). */
static int take(struct vhost_user_channel *ch, void *to, uint32_t left, const char **why)
{
	struct sock_fds fds = {.fds = ch->in.fds,
			       .max = VHOST_USER_FDS_MAX,
			       .n = ch->in.n_fds,
			       .aside = ch->aside};
	ssize_t n = sock_recv_some(ch->fd, to, left, &fds);

	ch->in.n_fds = fds.n;
	if (fds.more) {
		*why = "it carries more fds than a message may";
		return -EPROTO;
	}
	switch (n) {
	case -EMFILE:
	case -ENFILE:
	case -EACCES:
		return (int)n;
	case -EPIPE:
		return ch->in_bytes ? -ECONNRESET : -EPIPE;
	default:
		if (n < 0)
			return -ECONNRESET;
		ch->in_bytes += (uint32_t)n;
		return (int)n;
	}
}

static const char *reply_wrong(const struct vhost_user_header *h)
{
	return h->size > sizeof(union vhost_user_payload) ? "its payload is longer than any can be"
							  : NULL;
}

int vhost_user_channel_receive(struct vhost_user_channel *ch, bool from_front_end, const char **why)
{
	struct vhost_user_header *h = &ch->in.header;
	int rc;

	while (ch->in_bytes < HEADER) {
		rc = take(ch, (char *)h + ch->in_bytes, HEADER - ch->in_bytes, why);
		if (rc <= 0)
			return rc;
		if (ch->in_bytes < HEADER)
			continue;
		*why = from_front_end ? vhost_user_header_wrong(h) : reply_wrong(h);
		if (*why)
			return -EPROTO;
	}
	while (ch->in_bytes < HEADER + h->size) {
		uint32_t have = ch->in_bytes - HEADER;

		rc = take(ch, ch->in.payload.bytes + have, h->size - have, why);
		if (rc <= 0)
			return rc;
	}
	return 1;
}

void vhost_user_channel_next(struct vhost_user_channel *ch)
{
	vhost_user_message_drop_fds(&ch->in, ch->aside);
	ch->in_bytes = 0;
}

/* ---- sending ---- */

int vhost_user_channel_flush(struct vhost_user_channel *ch)
{
	struct vhost_user_message *m = &ch->out;
	uint32_t total = HEADER + m->header.size;

	while (ch->unsent) {
		uint32_t at = ch->out_bytes;
		struct iovec iov[2] = {
			{(char *)&m->header + at, at < HEADER ? HEADER - at : 0},
			{m->payload.bytes, m->header.size},
		};
		ssize_t n;

		if (at >= HEADER) {
			iov[0].iov_base = m->payload.bytes;
			iov[1].iov_base = m->payload.bytes + (at - HEADER);
			iov[1].iov_len = total - at;
		}
		n = sock_send_some(ch->fd, iov, 2, m->fds, m->n_fds);
		if (n <= 0)
			return (int)n;
		vhost_user_message_drop_fds(m, NULL);
		ch->out_bytes += (uint32_t)n;
		ch->unsent = ch->out_bytes < total;
	}
	return 0;
}

int vhost_user_channel_send(struct vhost_user_channel *ch)
{
	ch->out_bytes = 0;
	ch->unsent = true;
	return vhost_user_channel_flush(ch);
}
