/* SPDX-License-Identifier: MIT */
/* The vhost-user connection: dialling, negotiation, memory, and what the back end says by itself.
 */
#include "frontend/vhost_user/client_priv.h"

#include "base/evsignal.h"
#include "wire/virtio.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define WANTED_PROTOCOL                                                                   \
	(BIT64(VHOST_USER_PROTOCOL_F_MQ) | BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK) |       \
	 BIT64(VHOST_USER_PROTOCOL_F_BACKEND_REQ) | BIT64(VHOST_USER_PROTOCOL_F_CONFIG) | \
	 BIT64(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |                                      \
	 BIT64(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) | BIT64(VHOST_USER_PROTOCOL_F_STATUS))

int client_watch(struct client *c, int fd, uint32_t events, uint32_t what, struct error *err)
{
	struct epoll_event e = {.events = events, .data.u32 = what};

	if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &e))
		return error_set(err, -errno, "cannot watch the back end");
	return 0;
}

static int open_back_channel(struct client *c, struct error *err)
{
	int fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		return error_set(err, -errno, "cannot make a socket pair");
	rc = channel_tell(&c->ch, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &fds[1], 1, err);
	close(fds[1]);
	if (!rc)
		rc = client_watch(c, fds[0], EPOLLIN, CLIENT_WATCH_BACK, err);
	if (rc) {
		close(fds[0]);
		return rc;
	}
	c->back_fd = fds[0];
	c->back_len = 0;
	return 0;
}

static int agree_on_protocol(struct client *c, struct error *err)
{
	uint64_t offered, want = WANTED_PROTOCOL;
	int rc;

	if (c->no_mem_slots)
		want &= ~BIT64(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	rc = channel_ask_u64(&c->ch, VHOST_USER_GET_PROTOCOL_FEATURES, &offered, err);
	if (rc)
		return rc;
	rc = channel_tell_u64(&c->ch, VHOST_USER_SET_PROTOCOL_FEATURES, offered & want, err);
	if (rc)
		return rc;
	c->protocol = offered & want;
	c->ch.acks = client_has(c, VHOST_USER_PROTOCOL_F_REPLY_ACK);
	return 0;
}

int client_handshake(struct client *c, struct error *err)
{
	uint64_t queues = 1, slots = VHOST_USER_TABLE_REGIONS_MAX;
	int rc;

	c->ch.dead = c->ch.acks = false;
	c->protocol = 0;
	c->status = 0;
	rc = client_watch(c, c->ch.fd, EPOLLRDHUP, CLIENT_WATCH_SOCKET, err);
	if (!rc)
		rc = channel_ask_u64(&c->ch, VHOST_USER_GET_FEATURES, &c->offered, err);
	if (rc)
		return rc;
	if (c->offered & BIT64(VHOST_USER_F_PROTOCOL_FEATURES)) {
		rc = agree_on_protocol(c, err);
		if (rc)
			return rc;
	}
	if (client_has(c, VHOST_USER_PROTOCOL_F_MQ))
		rc = channel_ask_u64(&c->ch, VHOST_USER_GET_QUEUE_NUM, &queues, err);
	if (!rc && client_has(c, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS))
		rc = channel_ask_u64(&c->ch, VHOST_USER_GET_MAX_MEM_SLOTS, &slots, err);
	if (!rc && client_has(c, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		rc = open_back_channel(c, err);
	if (!rc)
		rc = channel_tell(&c->ch, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0, err);
	if (rc)
		return rc;

	queues = min_u64(queues, CLIENT_QUEUES_MAX);
	if (c->used && queues < c->n_queues)
		return error_set(err, -EPROTO,
				 "the back end came back with %u queues instead of %u.",
				 (unsigned)queues, c->n_queues);
	if (!c->used)
		c->n_queues = (uint32_t)queues;
	c->used = true;
	c->base.regions_max = (uint32_t)min_u64(slots, CLIENT_REGIONS_MAX);
	c->base.mem_while_running = client_has(c, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
	return 0;
}

void client_hang_up(struct client *c)
{
	/* Closing takes them out of the epoll set: nobody else holds these sockets. */
	if (c->ch.fd >= 0)
		close(c->ch.fd);
	if (c->back_fd >= 0)
		close(c->back_fd);
	c->ch.fd = c->back_fd = -1;
	c->ch.dead = true;
}

int client_reconnect(struct transport *t, struct error *err)
{
	struct client *c = client_of(t);
	int rc;

	if (!c->address.len)
		return error_set(err, -ENOTSUP,
				 "this socket was given, it cannot be dialled again.");
	client_hang_up(c);
	for (uint32_t i = 0; i < c->n_queues; i++)
		c->queues[i].set = false;
	rc = client_dial(c, err);
	if (!rc)
		rc = client_handshake(c, err);
	if (!rc && c->n_mem > c->base.regions_max)
		rc = error_set(err, -ENOSPC, "the back end came back with %u memory slots.",
			       c->base.regions_max);
	if (!rc && client_has(c, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		unsigned n = c->n_mem;

		for (c->n_mem = 0; !rc && c->n_mem < n;)
			rc = client_mem_add(t, &c->mem[c->n_mem], err);
		c->n_mem = n;
	} else if (!rc && c->n_mem) {
		c->n_mem--;
		rc = client_mem_add(t, &c->mem[c->n_mem], err);
		if (rc)
			c->n_mem++;
	}
	if (rc && c->ch.fd >= 0)
		channel_kill(&c->ch);
	return rc;
}

/* ---- memory ---- */

static struct vhost_user_region wire_region(const struct dma_region *r)
{
	/* The device knows our addresses as ours: guest address and user address are one. */
	return (struct vhost_user_region){.gpa = (uintptr_t)r->host,
					  .size = r->size,
					  .user = (uintptr_t)r->host,
					  .offset = r->offset};
}

static int send_table(struct client *c, struct error *err)
{
	struct vhost_user_mem_table table = {.n = c->n_mem};
	int fds[VHOST_USER_TABLE_REGIONS_MAX];

	/* There is no message for "no memory". */
	if (!c->n_mem)
		return 0;
	for (unsigned i = 0; i < c->n_mem; i++) {
		table.regions[i] = wire_region(&c->mem[i]);
		fds[i] = c->mem[i].fd;
	}
	return channel_tell(&c->ch, VHOST_USER_SET_MEM_TABLE, &table,
			    (uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
				       c->n_mem * sizeof(table.regions[0])),
			    fds, c->n_mem, err);
}

/* The back end would map what is not there, and die of it at its first access. */
static int check_file(const struct dma_region *r, struct error *err)
{
	struct stat st;

	if (r->fd < 0)
		return error_set(err, -EINVAL, "memory for a vhost-user back end needs an fd.");
	if (fstat(r->fd, &st))
		return error_set(err, -errno, "cannot look at the memory's file");
	if (S_ISREG(st.st_mode) &&
	    (r->offset > (uint64_t)st.st_size || r->size > (uint64_t)st.st_size - r->offset))
		return error_set(err, -ERANGE,
				 "the memory's file has %llu bytes, which is less than the offset "
				 "%llu and the size %llu.",
				 (unsigned long long)st.st_size, (unsigned long long)r->offset,
				 (unsigned long long)r->size);
	return 0;
}

int client_mem_add(struct transport *t, const struct dma_region *r, struct error *err)
{
	struct client *c = client_of(t);
	int rc;

	if (c->n_mem >= c->base.regions_max)
		return error_set(err, -ENOSPC,
				 "the back end takes %u pieces of memory and has them all.",
				 c->base.regions_max);
	rc = check_file(r, err);
	if (rc)
		return rc;
	c->mem[c->n_mem++] = *r;
	if (client_has(c, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		struct vhost_user_mem_reg reg = {.region = wire_region(r)};

		rc = channel_tell(&c->ch, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), &r->fd, 1,
				  err);
	} else {
		rc = send_table(c, err);
	}
	if (rc)
		c->n_mem--;
	return rc;
}

int client_mem_remove(struct transport *t, const struct dma_region *r, struct error *err)
{
	struct client *c = client_of(t);
	struct dma_region gone;
	unsigned i = 0;
	int rc;

	while (i < c->n_mem && c->mem[i].host != r->host)
		i++;
	if (i == c->n_mem)
		return error_set(err, -ENOENT, "the back end does not have this memory.");
	gone = c->mem[i];
	c->mem[i] = c->mem[--c->n_mem];
	if (client_has(c, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS)) {
		struct vhost_user_mem_reg reg = {.region = wire_region(r)};

		rc = channel_tell(&c->ch, VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), NULL, 0, err);
	} else {
		rc = send_table(c, err);
	}
	/* What it does not give back it has still, and is told of again when it comes back. */
	if (rc == -EREMOTEIO)
		c->mem[c->n_mem++] = gone;
	return rc;
}

/* ---- what the back end says by itself ---- */

static void close_back_channel(struct client *c)
{
	close(c->back_fd);
	c->back_fd = -1;
}

static unsigned back_message(struct client *c, const struct vhost_user_header *h)
{
	struct {
		struct vhost_user_header header;
		uint64_t result;
	} __attribute__((packed)) answer = {
		.header = {.request = h->request,
			   .flags = VHOST_USER_VERSION | VHOST_USER_REPLY,
			   .size = sizeof(uint64_t)},
		.result = h->request != VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
	};

	if (h->flags & VHOST_USER_NEED_REPLY && c->ch.acks &&
	    send(c->back_fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_NOSIGNAL) !=
		    sizeof(answer))
		close_back_channel(c);
	return answer.result ? 0 : TRANSPORT_EVENT_CONFIG;
}

/* Takes what is there, as far as whole messages go. fds are of no use here: recv() drops them. */
static unsigned hear_back(struct client *c)
{
	unsigned events = 0;
	ssize_t n = recv(c->back_fd, c->back + c->back_len, sizeof(c->back) - c->back_len,
			 MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close_back_channel(c);
		return 0;
	}
	c->back_len += (size_t)n;
	while (c->back_fd >= 0 && c->back_len >= sizeof(struct vhost_user_header)) {
		struct vhost_user_header h;
		size_t whole;

		memcpy(&h, c->back, sizeof(h));
		if (h.size > sizeof(c->back) - sizeof(h) ||
		    (h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION) {
			close_back_channel(c);
			break;
		}
		whole = sizeof(h) + h.size;
		if (c->back_len < whole)
			break;
		events |= back_message(c, &h);
		c->back_len -= whole;
		memmove(c->back, c->back + whole, c->back_len);
	}
	return events;
}

unsigned client_process(struct transport *t)
{
	struct client *c = client_of(t);
	struct epoll_event e[16];
	unsigned events = 0;
	int n = epoll_wait(c->epoll_fd, e, ARRAY_SIZE(e), 0);

	for (int i = 0; i < n; i++) {
		uint32_t what = e[i].data.u32;

		if (what == CLIENT_WATCH_SOCKET) {
			/* Said once: else it would be readable for ever. */
			epoll_ctl(c->epoll_fd, EPOLL_CTL_DEL, c->ch.fd, NULL);
			channel_kill(&c->ch);
			events |= TRANSPORT_EVENT_GONE;
		} else if (what == CLIENT_WATCH_BACK) {
			if (c->back_fd >= 0)
				events |= hear_back(c);
		} else if (what < c->n_queues && c->queues[what].err_fd >= 0 &&
			   evsignal_take(c->queues[what].err_fd)) {
			c->status |= VIRTIO_STATUS_NEEDS_RESET;
			events |= TRANSPORT_EVENT_STATUS;
		}
	}
	return events;
}
