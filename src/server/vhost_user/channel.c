/* SPDX-License-Identifier: MIT */
#include "server/vhost_user/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER ((uint32_t)sizeof(struct vhost_user_header))

void vhost_user_channel_init(struct vhost_user_channel *ch, int fd)
{
	ch->fd = fd;
	ch->in.n_fds = ch->out.n_fds = 0;
	ch->in_bytes = ch->out_bytes = 0;
	ch->unsent = false;
}

void vhost_user_channel_close(struct vhost_user_channel *ch)
{
	vhost_user_message_drop_fds(&ch->in);
	vhost_user_message_drop_fds(&ch->out);
	if (ch->fd >= 0)
		close(ch->fd);
	vhost_user_channel_init(ch, -1);
}

/* ---- receiving ---- */

/* Keeps the fds that came along; false: more than a message may have. */
static bool keep_fds(struct vhost_user_message *m, struct msghdr *msg)
{
	bool all = !(msg->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->n_fds < VHOST_USER_FDS_MAX) {
				m->fds[m->n_fds++] = fd;
			} else {
				close(fd);
				all = false;
			}
		}
	}
	return all;
}

/* Up to @left bytes; >0, 0 (nothing now), or -errno as of receive(). */
static int take(struct vhost_user_channel *ch, void *to, uint32_t left, const char **why)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = to, .iov_len = left};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	do {
		n = recvmsg(ch->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -ECONNRESET;
	if (!keep_fds(&ch->in, &msg)) {
		*why = "it carries more fds than a message may";
		return -EPROTO;
	}
	if (n == 0)
		return ch->in_bytes ? -ECONNRESET : -EPIPE;
	ch->in_bytes += (uint32_t)n;
	return (int)n;
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
	vhost_user_message_drop_fds(&ch->in);
	ch->in_bytes = 0;
}

/* ---- sending ---- */

int vhost_user_channel_flush(struct vhost_user_channel *ch)
{
	struct vhost_user_message *m = &ch->out;
	uint32_t total = HEADER + m->header.size;

	while (ch->unsent) {
		union {
			struct cmsghdr align;
			char room[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
		} control;
		uint32_t at = ch->out_bytes;
		struct iovec iov[2] = {
			{(char *)&m->header + at, at < HEADER ? HEADER - at : 0},
			{m->payload.bytes, m->header.size},
		};
		struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
		ssize_t n;

		if (at >= HEADER) {
			iov[0].iov_base = m->payload.bytes;
			iov[1].iov_base = m->payload.bytes + (at - HEADER);
			iov[1].iov_len = total - at;
		}
		if (m->n_fds) {
			msg.msg_control = &control;
			msg.msg_controllen = CMSG_SPACE(m->n_fds * sizeof(int));
			memset(&control, 0, sizeof(control));
			control.align.cmsg_level = SOL_SOCKET;
			control.align.cmsg_type = SCM_RIGHTS;
			control.align.cmsg_len = CMSG_LEN(m->n_fds * sizeof(int));
			memcpy(CMSG_DATA(&control.align), m->fds, m->n_fds * sizeof(int));
		}
		n = sendmsg(ch->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
		}
		vhost_user_message_drop_fds(m);
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
