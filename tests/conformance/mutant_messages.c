/* SPDX-License-Identifier: MIT */
#include "conformance/mutant.h"

#include "vring/vring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct incoming {
	struct vhost_user_header h;
	union vhost_user_payload p;
	int fds[VHOST_USER_FDS_MAX];
	unsigned n_fds;
};

static void close_fds(struct incoming *in)
{
	for (unsigned i = 0; i < in->n_fds; i++)
		close(in->fds[i]);
	in->n_fds = 0;
}

static bool take(struct mutant *m, struct incoming *in, void *to, size_t len)
{
	char *at = to;

	while (len) {
		union {
			char bytes[CMSG_SPACE(sizeof(int) * 253)];
			struct cmsghdr align;
		} control;
		struct iovec iov = {at, len};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = control.bytes,
				     .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(m->fd, &msg, MSG_CMSG_CLOEXEC);

		if (n <= 0)
			return false;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
				if (in->n_fds < VHOST_USER_FDS_MAX)
					in->fds[in->n_fds++] = fd;
				else
					close(fd);
			}
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static bool reply(struct mutant *m, uint32_t request, const void *payload, uint32_t size)
{
	const struct vhost_user_header h = {
		request, VHOST_USER_VERSION | (is(m, M_REPLY_FLAG) ? 0 : VHOST_USER_REPLY), size};
	uint8_t bytes[sizeof(h) + sizeof(union vhost_user_payload)];

	memcpy(bytes, &h, sizeof(h));
	memcpy(bytes + sizeof(h), payload, size);
	return send(m->fd, bytes, sizeof(h) + size, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)(sizeof(h) + size);
}

static bool reply_u64(struct mutant *m, uint32_t request, uint64_t value)
{
	return reply(m, request, &value, sizeof(value));
}

static void forget_queue(struct queue *q, unsigned index)
{
	if (q->kick >= 0)
		close(q->kick);
	if (q->call >= 0)
		close(q->call);
	if (q->old_call >= 0)
		close(q->old_call);
	*q = (struct queue){.index = index, .kick = -1, .call = -1, .old_call = -1};
}

void connection_reset(struct mutant *m)
{
	for (unsigned i = 0; i < QUEUES; i++)
		forget_queue(&m->queues[i], i);
	guest_forget(m);
	if (m->log)
		munmap(m->log, m->log_size);
	m->log = NULL;
	if (is(m, M_ZONED_STAY))
		mzones_init(m);
	m->features = m->protocol = 0;
	m->features_set = false;
	m->status = 0;
	m->asked = 0;
	mutant_config(m);
	if (is(m, M_FLUSH_NOTHING) || (is(m, M_THROUGH_NOTHING) && !m->flushed))
		memcpy(m->disk, m->stable, sizeof(m->disk));
	memcpy(m->stable, m->disk, sizeof(m->stable));
	m->flushed = false;
}

/* Memory */

static bool file_holds(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;

	return !fstat(fd, &st) && offset + size >= offset && offset + size <= (uint64_t)st.st_size;
}

static bool map(struct mutant *m, const struct vhost_user_region *r, int fd)
{
	struct region *new = &m->regions[m->n_regions];

	if (m->n_regions == REGIONS_MAX || !r->size || r->gpa + r->size < r->gpa ||
	    r->offset % 4096 || r->gpa % 4096 || !file_holds(fd, r->offset, r->size))
		return false;
	for (unsigned i = 0; i < m->n_regions; i++)
		if (r->gpa < m->regions[i].gpa + m->regions[i].size &&
		    m->regions[i].gpa < r->gpa + r->size)
			return false;
	*new = (struct region){r->gpa, r->size, r->user, r->offset, NULL};
	new->host = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)r->offset);
	if (new->host == MAP_FAILED)
		return false;
	m->n_regions++;
	return true;
}

static bool mem_table(struct mutant *m, struct incoming *in)
{
	const struct vhost_user_mem_table *t = &in->p.table;
	bool again = m->n_regions;

	if (in->h.size < 8 || !t->n || t->n > VHOST_USER_TABLE_REGIONS_MAX ||
	    in->h.size != 8 + t->n * 32 || in->n_fds != t->n)
		return false;
	guest_forget(m);
	for (unsigned i = 0; i < (is(m, M_ONE_REGION) ? 1 : t->n); i++)
		if (!map(m, &t->regions[i], in->fds[i]))
			return false;
	for (unsigned i = 0; again && is(m, M_TABLE_FORGETS) && i < QUEUES; i++)
		m->queues[i].addressed = false;
	return true;
}

static bool mem_remove(struct mutant *m, const struct vhost_user_region *r)
{
	bool found = false;

	for (unsigned i = 0; i < m->n_regions;) {
		const struct region *k = &m->regions[i];

		if (!is(m, M_REM_ALL) &&
		    (k->gpa != r->gpa || k->size != r->size || k->user != r->user ||
		     (is(m, M_REM_OFFSET) && k->offset != r->offset))) {
			i++;
			continue;
		}
		munmap(k->host, k->size);
		m->regions[i] = m->regions[--m->n_regions];
		found = true;
	}
	return found;
}

static bool log_base(struct mutant *m, struct incoming *in)
{
	uint64_t size, offset;

	if (in->h.size != 16 || in->n_fds != 1)
		return false;
	memcpy(&size, in->p.bytes, 8);
	memcpy(&offset, in->p.bytes + 8, 8);
	if (!size || offset % 4096 || !file_holds(in->fds[0], offset, size))
		return false;
	for (unsigned i = 0; i < m->n_regions; i++)
		if ((m->regions[i].gpa + m->regions[i].size) / 4096 / 8 > size)
			return false;
	if (m->log)
		munmap(m->log, m->log_size);
	m->log = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, in->fds[0], (off_t)offset);
	if (m->log == MAP_FAILED) {
		m->log = NULL;
		return false;
	}
	m->log_size = size;
	return true;
}

/* Rings */

static struct queue *queue_of(struct mutant *m, uint64_t index)
{
	if (index < QUEUES)
		return &m->queues[index];
	if (is(m, M_DIE_INDEX))
		abort();
	return NULL;
}

static bool vring_base(struct mutant *m, struct queue *q, uint32_t num)
{
	if (has(m, VIRTIO_F_RING_PACKED)) {
		q->last_avail = num & 0x7fff;
		q->avail_wrap = num >> 15 & 1;
		q->last_used = num >> 16 & 0x7fff;
		q->used_wrap = num >> 31;
		return q->num && q->last_avail < q->num && q->last_used < q->num;
	}
	if (num > 65535)
		return false;
	if (is(m, M_BASE_IGNORED))
		num = 0;
	if (!is(m, M_BASE_STICKS) || !q->last_avail)
		q->last_avail = q->last_used = (uint16_t)num;
	return true;
}

static bool vring_stop(struct mutant *m, uint32_t index)
{
	struct queue *q = queue_of(m, index);
	struct vhost_user_vring_state s = {.index = index};

	if (!q)
		return false;
	queue_stopped(m, q);
	s.num = q->last_avail;
	if (has(m, VIRTIO_F_RING_PACKED)) {
		s.num = q->last_avail | (uint32_t)q->last_used << 16;
		if (!is(m, M_PK_BASE))
			s.num |= (q->avail_wrap ? 0x8000u : 0) | (q->used_wrap ? 0x80000000u : 0);
	} else if (is(m, M_BASE_WRONG) && s.num) {
		s.num--;
	}
	q->broken = false;
	return reply(m, VHOST_USER_GET_VRING_BASE, &s, sizeof(s));
}

static bool vring_fd(struct mutant *m, struct incoming *in)
{
	struct queue *q = queue_of(m, in->p.u64 & VHOST_USER_VRING_INDEX_MASK);
	bool none = in->p.u64 & VHOST_USER_VRING_NOFD;
	int fd;

	if (!q || in->h.size != 8 || in->n_fds != !none)
		return false;
	fd = none ? -1 : in->fds[0];
	in->n_fds = 0;
	if (in->h.request == VHOST_USER_SET_VRING_KICK) {
		if (q->kick >= 0)
			close(q->kick);
		q->kick = fd;
		q->started = true;
	} else if (in->h.request == VHOST_USER_SET_VRING_CALL) {
		if (is(m, M_CALL_SWAP) || is(m, M_CALL_OLD)) {
			if (q->old_call < 0)
				q->old_call = q->call;
			else if (q->call >= 0)
				close(q->call);
		} else if (q->call >= 0) {
			close(q->call);
		}
		q->call = fd;
	} else if (fd >= 0) {
		close(fd);
	}
	return true;
}

static bool vring_enable(struct mutant *m, struct queue *q, uint32_t on)
{
	if (!on && is(m, M_DISABLE_IGNORED))
		return true;
	if (!on && is(m, M_DISABLE_STOPS))
		q->broken = true;
	if (!on && is(m, M_DISABLE_ALL))
		for (unsigned i = 0; i < QUEUES; i++)
			m->queues[i].enabled = false;
	if (on && is(m, M_KICK_FIRST) && !q->enabled) {
		q->enabled = true;
		return true; /* and does not look until the next kick */
	}
	q->enabled = on;
	return true;
}

static bool set_features(struct mutant *m, uint64_t features)
{
	bool protocol = features >> VHOST_USER_F_PROTOCOL_FEATURES & 1;

	if (features & ~mutant_offers(m) && !is(m, M_FEATURES_OK))
		return false;
	if (m->zoned && !(features >> VIRTIO_BLK_F_ZONED & 1) && !is(m, M_ZONED_DECLINED) &&
	    !is(m, M_ZONED_FIELDS))
		return false;
	m->features = features;
	m->features_set = true;
	for (unsigned i = 0; i < QUEUES; i++)
		if (!protocol && !is(m, M_PLAIN))
			m->queues[i].enabled = true;
		else if (is(m, M_FEATURES_DISABLE))
			m->queues[i].enabled = false;
	mutant_config(m);
	return true;
}

static void reset(struct mutant *m)
{
	if (is(m, M_RESET_IGNORED))
		return;
	for (unsigned i = 0; i < QUEUES; i++)
		forget_queue(&m->queues[i], i);
	if (is(m, M_RESET_FORGETS))
		guest_forget(m);
	m->features_set = false;
	m->status = 0;
}

static bool set_status(struct mutant *m, uint64_t status)
{
	if (status) {
		m->status = (uint8_t)status;
		return true;
	}
	if (!is(m, M_STATUS_RESET))
		for (unsigned i = 0; i < QUEUES; i++)
			queue_stopped(m, &m->queues[i]);
	m->status = is(m, M_STATUS_STUCK) ? m->status : 0;
	return true;
}

/* Configuration */

static bool get_config(struct mutant *m, struct incoming *in)
{
	struct vhost_user_config *c = &in->p.config;
	uint32_t head = (uint32_t)offsetof(struct vhost_user_config, data);
	uint32_t offset = is(m, M_CONFIG_OFFSET) ? 0 : c->offset;

	if (in->h.size < head || (uint64_t)offset + c->size > sizeof(m->config) ||
	    in->h.size != head + c->size)
		return reply(m, VHOST_USER_GET_CONFIG, c, head);
	if (is(m, M_CONFIG_SIZE))
		c->size = sizeof(m->config);
	memset(c->data, 0, sizeof(c->data));
	if (!is(m, M_CONFIG_EARLY) || m->features_set)
		memcpy(c->data, (uint8_t *)&m->config + offset,
		       c->size < 96 - offset ? c->size : 96 - offset);
	return reply(m, VHOST_USER_GET_CONFIG, c, head + c->size);
}

static bool set_config(struct mutant *m, struct incoming *in)
{
	const struct vhost_user_config *c = &in->p.config;

	if (in->h.size < 12 || c->size > VHOST_USER_CONFIG_MAX || in->h.size != 12 + c->size)
		return false;
	if (is(m, M_CONFIG_WRITE) && (uint64_t)c->offset + c->size <= sizeof(m->config)) {
		static struct virtio_blk_config written;

		memcpy((uint8_t *)&written + c->offset, c->data, c->size);
		m->config.capacity = written.capacity;
		return true;
	}
	if (c->offset != 32 || c->size != 1 || !has(m, VIRTIO_BLK_F_CONFIG_WCE))
		return false;
	m->config.writeback = c->data[0] & 1;
	return true;
}

/* Messages without a reply of their own: 0 done, 1 refused. */
static uint64_t obey(struct mutant *m, struct incoming *in)
{
	struct queue *q;

	switch (in->h.request) {
	case VHOST_USER_SET_FEATURES:
		return in->h.size != 8 || !set_features(m, in->p.u64);
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_OWNER:
	case VHOST_USER_SET_LOG_FD:
	case VHOST_USER_SET_BACKEND_REQ_FD:
		return 0;
	case VHOST_USER_SET_MEM_TABLE:
		return !mem_table(m, in);
	case VHOST_USER_ADD_MEM_REG:
		return in->h.size != 40 || in->n_fds != 1 || !map(m, &in->p.reg.region, in->fds[0]);
	case VHOST_USER_REM_MEM_REG:
		return in->h.size != 40 || !mem_remove(m, &in->p.reg.region);
	case VHOST_USER_SET_VRING_NUM:
	case VHOST_USER_SET_VRING_BASE:
	case VHOST_USER_SET_VRING_ENABLE:
		q = queue_of(m, in->p.state.index);
		if (in->h.size != 8 || !q)
			return 1;
		if (in->h.request == VHOST_USER_SET_VRING_BASE)
			return !vring_base(m, q, in->p.state.num);
		if (in->h.request == VHOST_USER_SET_VRING_ENABLE)
			return !vring_enable(m, q, in->p.state.num);
		q->num = in->p.state.num;
		return (q->num == 0 && !is(m, M_DIE_ZERO)) || q->num > RING_MAX;
	case VHOST_USER_SET_VRING_ADDR:
		q = queue_of(m, in->p.addr.index);
		if (in->h.size != 40 || !q)
			return 1;
		q->desc_user = in->p.addr.desc;
		q->driver_user = in->p.addr.avail;
		q->device_user = in->p.addr.used;
		q->log = in->p.addr.log;
		q->log_used = in->p.addr.flags & 1;
		q->addressed = true;
		return 0;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return !vring_fd(m, in);
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		m->protocol = in->p.u64 & mutant_protocols();
		return in->h.size != 8 || in->p.u64 & ~mutant_protocols();
	case VHOST_USER_SET_CONFIG:
		return !set_config(m, in);
	case VHOST_USER_RESET_DEVICE:
		reset(m);
		return 0;
	case VHOST_USER_SET_STATUS:
		return in->h.size != 8 || !set_status(m, in->p.u64);
	default:
		if (is(m, M_DIE_UNKNOWN))
			abort();
		return 1;
	}
}

/* Messages that have a reply of their own; 1: not one of them. */
static int answer(struct mutant *m, struct incoming *in)
{
	switch (in->h.request) {
	case VHOST_USER_GET_FEATURES: {
		bool twice = is(m, M_ACK_TWICE) && in->h.flags & VHOST_USER_NEED_REPLY;
		uint64_t offers = mutant_offers(m) ^ (is(m, M_UNSTABLE) && m->asked++ > 2 ? 2 : 0);

		return reply_u64(m, in->h.request, offers) &&
				       (!twice || reply_u64(m, in->h.request, 0))
			       ? 0
			       : -1;
	}
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		return reply_u64(m, in->h.request, mutant_protocols()) ? 0 : -1;
	case VHOST_USER_GET_QUEUE_NUM:
		return reply_u64(m, in->h.request, is(m, M_QUEUE_NUM) ? 0 : QUEUES) ? 0 : -1;
	case VHOST_USER_GET_MAX_MEM_SLOTS:
		return reply_u64(m, in->h.request, REGIONS_MAX) ? 0 : -1;
	case VHOST_USER_GET_VRING_BASE:
		return in->h.size == 8 && vring_stop(m, in->p.state.index) ? 0 : -1;
	case VHOST_USER_GET_CONFIG:
		return get_config(m, in) ? 0 : -1;
	case VHOST_USER_GET_STATUS:
		return reply_u64(m, in->h.request, m->status) ? 0 : -1;
	case VHOST_USER_SET_LOG_BASE:
		return log_base(m, in) && reply_u64(m, in->h.request, 0) ? 0 : -1;
	default:
		return 1;
	}
}

bool message_handle(struct mutant *m)
{
	struct incoming in = {0};
	uint64_t refused;
	bool ack, ok;
	int rc;

	ok = take(m, &in, &in.h, sizeof(in.h)) &&
	     (in.h.flags & VHOST_USER_VERSION_MASK) == VHOST_USER_VERSION &&
	     in.h.size <= sizeof(in.p) && take(m, &in, &in.p, in.h.size);
	if (!ok) {
		close_fds(&in);
		return false;
	}
	if (is(m, M_ONE_MESSAGE)) {
		char rest[256];

		while (recv(m->fd, rest, sizeof(rest), MSG_DONTWAIT) > 0)
			;
	}
	rc = answer(m, &in);
	if (rc <= 0) {
		close_fds(&in);
		return !rc;
	}
	refused = obey(m, &in);
	close_fds(&in);
	ack = (in.h.flags & VHOST_USER_NEED_REPLY &&
	       m->protocol >> VHOST_USER_PROTOCOL_F_REPLY_ACK & 1) ||
	      (is(m, M_ACK_ALWAYS) && in.h.request == VHOST_USER_SET_VRING_NUM);
	if (is(m, M_NO_ACK) && in.h.request == VHOST_USER_SET_VRING_NUM)
		ack = false;
	if (is(m, M_ACK_WRONG) && in.h.request == VHOST_USER_SET_VRING_ERR)
		refused = 1;
	if (ack)
		return reply_u64(m, in.h.request, refused);
	return !refused;
}
