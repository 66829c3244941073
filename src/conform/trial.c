/* SPDX-License-Identifier: MIT */
#include "conform/trial.h"

#include "base/atomic.h"
#include "vring/vring.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void trial_fail(struct trial *t, const char *expected, const char *fmt, ...)
{
	va_list ap;

	t->outcome = OUTCOME_FAILED;
	snprintf(t->expected, sizeof(t->expected), "%s", expected);
	va_start(ap, fmt);
	vsnprintf(t->got, sizeof(t->got), fmt, ap);
	va_end(ap);
	longjmp(t->end, 1);
}

void trial_skip(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	t->outcome = OUTCOME_SKIPPED;
	va_start(ap, fmt);
	vsnprintf(t->got, sizeof(t->got), fmt, ap);
	va_end(ap);
	longjmp(t->end, 1);
}

void trial_sent(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->sent, sizeof(t->sent), fmt, ap);
	va_end(ap);
}

/* Messages */

static _Noreturn void no_answer(struct trial *t, uint32_t request, int rc)
{
	char expected[128];

	snprintf(expected, sizeof(expected), "the back end takes %s and goes on",
		 peer_request_name(request));
	if (rc == -ETIMEDOUT)
		trial_fail(t, expected, "no answer within %d ms", t->peer.timeout_ms);
	if (rc == -EPROTO)
		trial_fail(t, expected, "an answer that is no vhost-user message");
	trial_fail(t, expected, "the back end closed the connection");
}

static void put(struct trial *t, uint32_t request, uint32_t flags, const void *payload,
		uint32_t size, int fd)
{
	int rc = peer_send(&t->peer, request, flags, payload, size, &fd, fd >= 0);

	if (rc)
		no_answer(t, request, rc);
}

static void hear(struct trial *t, uint32_t request, uint32_t min_size, struct message *m)
{
	char expected[128];
	int rc = peer_recv(&t->peer, m, t->peer.timeout_ms);

	if (rc)
		no_answer(t, request, rc);
	snprintf(expected, sizeof(expected),
		 "a reply to %s: request %u, flags 0x5, at least %u bytes",
		 peer_request_name(request), request, min_size);
	if (m->h.request != request || (m->h.flags & ~VHOST_USER_NEED_REPLY) != 0x5u ||
	    m->h.size < min_size) {
		message_close_fds(m);
		trial_fail(t, expected, "request %u, flags 0x%x, %u bytes", m->h.request,
			   m->h.flags, m->h.size);
	}
}

void send_msg(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd)
{
	put(t, request, 0, payload, size, fd);
}

void ask(struct trial *t, uint32_t request, const void *payload, uint32_t size,
	 struct message *answer)
{
	put(t, request, 0, payload, size, -1);
	hear(t, request, 0, answer);
}

uint64_t ask_u64(struct trial *t, uint32_t request)
{
	struct message m;

	put(t, request, 0, NULL, 0, -1);
	hear(t, request, sizeof(uint64_t), &m);
	message_close_fds(&m);
	return m.payload.u64;
}

void sync_messages(struct trial *t)
{
	ask_u64(t, VHOST_USER_GET_FEATURES);
}

uint64_t tell(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd)
{
	struct message m;

	if (!(t->peer.proto & PROTO(REPLY_ACK))) {
		put(t, request, 0, payload, size, fd);
		sync_messages(t);
		return 0;
	}
	put(t, request, VHOST_USER_NEED_REPLY, payload, size, fd);
	hear(t, request, sizeof(uint64_t), &m);
	message_close_fds(&m);
	return m.payload.u64;
}

void must_tell(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd)
{
	uint64_t said = tell(t, request, payload, size, fd);
	char expected[128];

	if (!said)
		return;
	snprintf(expected, sizeof(expected), "%s succeeds", peer_request_name(request));
	trial_fail(t, expected, "the back end answers %llu, which means failure",
		   (unsigned long long)said);
}

void set_vring(struct trial *t, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhost_user_vring_state s = {index, num};

	must_tell(t, request, &s, sizeof(s), -1);
}

/* Bring-up */

void dial(struct trial *t)
{
	int rc = peer_connect(&t->peer, t->o->path, t->o->timeout_ms);
	uint64_t wanted = t->protos_wanted ? t->protos_wanted
					   : PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG);

	if (rc)
		trial_fail(t, "the back end takes the connection", "%s", strerror(-rc));
	t->dialled = true;
	send_msg(t, VHOST_USER_SET_OWNER, NULL, 0, -1);
	t->peer.offered = ask_u64(t, VHOST_USER_GET_FEATURES);
	t->queues = 1;
	if (!(t->peer.offered & FEAT_PROTOCOL))
		return;
	t->peer.proto_offered = ask_u64(t, VHOST_USER_GET_PROTOCOL_FEATURES);
	wanted &= t->peer.proto_offered;
	send_msg(t, VHOST_USER_SET_PROTOCOL_FEATURES, &wanted, sizeof(wanted), -1);
	t->peer.proto = wanted;
	if (wanted & PROTO(MQ))
		t->queues = (uint32_t)min_u64(ask_u64(t, VHOST_USER_GET_QUEUE_NUM), 1024);
}

/* What a back end answers more than it was asked for is VU-24.sizes' business. */
static bool try_config(struct trial *t)
{
	/* Up to where the standard of the day ends; an old back end knows less. */
	static const uint32_t lengths[] = {sizeof(t->config), 72, 60, 36, 34, 8};

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct vhost_user_config c = {.size = lengths[i]};
		uint32_t size = (uint32_t)offsetof(struct vhost_user_config, data) + lengths[i];
		struct message m;

		ask(t, VHOST_USER_GET_CONFIG, &c, size, &m);
		message_close_fds(&m);
		if (m.h.size < size)
			continue;
		memcpy(&t->config, m.payload.config.data, lengths[i]);
		t->config_len = lengths[i];
		return true;
	}
	return false;
}

void read_config(struct trial *t)
{
	if (!(t->peer.proto & PROTO(CONFIG)))
		trial_skip(t, "the back end has no protocol feature CONFIG, its configuration "
			      "cannot be read");
	if (!try_config(t))
		trial_fail(t,
			   "GET_CONFIG of some usual length (8 to 96 bytes) is answered with as "
			   "many bytes",
			   "every length is refused");
}

void share_memory(struct trial *t)
{
	struct vhost_user_mem_table table = {.n = 1};
	struct area *a = peer_area(&t->peer, PEER_MEM);

	if (!a)
		trial_skip(t, "out of memory");
	t->next_gpa = a->gpa;
	table.regions[0] = peer_region(a);
	must_tell(t, VHOST_USER_SET_MEM_TABLE, &table,
		  (uint32_t)offsetof(struct vhost_user_mem_table, regions) +
			  (uint32_t)sizeof(table.regions[0]),
		  a->fd);
	a->known = true;
}

void accept_features(struct trial *t, uint64_t bits)
{
	t->peer.acked = bits;
	must_tell(t, VHOST_USER_SET_FEATURES, &bits, sizeof(bits), -1);
}

void ring_addresses(struct ring *r)
{
	const struct vhost_user_vring_addr a = {
		.index = r->index,
		.desc = peer_user(&r->t->peer, r->desc),
		.used = peer_user(&r->t->peer, r->device),
		.avail = peer_user(&r->t->peer, r->driver),
	};

	must_tell(r->t, VHOST_USER_SET_VRING_ADDR, &a, sizeof(a), -1);
}

void ring_kick_fd(struct ring *r)
{
	uint64_t index = r->index;

	must_tell(r->t, VHOST_USER_SET_VRING_KICK, &index, sizeof(index), r->kick);
	r->told = true;
}

void ring_start(struct ring *r, uint32_t base)
{
	uint64_t index = r->index;

	set_vring(r->t, VHOST_USER_SET_VRING_NUM, r->index, r->num);
	set_vring(r->t, VHOST_USER_SET_VRING_BASE, r->index, base);
	ring_addresses(r);
	must_tell(r->t, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), r->call);
	ring_kick_fd(r);
}

struct ring *ring_new(struct trial *t, unsigned index, uint16_t num)
{
	struct ring *r = &t->rings[t->n_rings];

	if (t->n_rings == TRIAL_RINGS)
		trial_skip(t, "out of rings");
	t->n_rings++;
	ring_alloc(r, t, index, num, t->peer.acked & FEAT(RING_PACKED));
	r->event_idx = t->peer.acked & FEAT(EVENT_IDX);
	return r;
}

struct ring *ring_tell(struct trial *t, unsigned index, uint16_t num)
{
	struct ring *r = ring_new(t, index, num);

	ring_start(r, vring_base_initial(r->packed));
	return r;
}

void ring_restart_at(struct ring *r, uint16_t index)
{
	ring_stop(r);
	ring_clear(r);
	r->avail_idx = r->used_idx = index;
	le16_write(&r->avail->idx, index);
	le16_write(&r->used->idx, index);
	ring_start(r, index);
	ring_enable(r, true);
}

void ring_enable(struct ring *r, bool on)
{
	if (!(r->t->peer.acked & FEAT_PROTOCOL))
		return;
	set_vring(r->t, VHOST_USER_SET_VRING_ENABLE, r->index, on);
	r->enabled = on;
}

uint32_t ring_stop(struct ring *r)
{
	const struct vhost_user_vring_state s = {.index = r->index};
	struct message m;

	ask(r->t, VHOST_USER_GET_VRING_BASE, &s, sizeof(s), &m);
	message_close_fds(&m);
	r->told = false;
	if (m.h.size != sizeof(s) || m.payload.state.index != r->index)
		trial_fail(r->t, "GET_VRING_BASE is answered with this ring's state (8 bytes)",
			   "%u bytes, index %u", m.h.size, m.payload.state.index);
	return m.payload.state.num;
}

static const struct {
	unsigned bit;
	const char *name;
} feature_names[] = {
	{VIRTIO_BLK_F_SIZE_MAX, "SIZE_MAX"},
	{VIRTIO_BLK_F_SEG_MAX, "SEG_MAX"},
	{VIRTIO_BLK_F_GEOMETRY, "GEOMETRY"},
	{VIRTIO_BLK_F_RO, "RO"},
	{VIRTIO_BLK_F_BLK_SIZE, "BLK_SIZE"},
	{VIRTIO_BLK_F_FLUSH, "FLUSH"},
	{VIRTIO_BLK_F_TOPOLOGY, "TOPOLOGY"},
	{VIRTIO_BLK_F_CONFIG_WCE, "CONFIG_WCE"},
	{VIRTIO_BLK_F_MQ, "MQ"},
	{VIRTIO_BLK_F_DISCARD, "DISCARD"},
	{VIRTIO_BLK_F_WRITE_ZEROES, "WRITE_ZEROES"},
	{VIRTIO_BLK_F_LIFETIME, "LIFETIME"},
	{VIRTIO_BLK_F_SECURE_ERASE, "SECURE_ERASE"},
	{VIRTIO_BLK_F_ZONED, "ZONED"},
	{VIRTIO_F_INDIRECT_DESC, "INDIRECT_DESC"},
	{VIRTIO_F_EVENT_IDX, "EVENT_IDX"},
	{VHOST_USER_F_PROTOCOL_FEATURES, "PROTOCOL_FEATURES"},
	{VIRTIO_F_VERSION_1, "VERSION_1"},
	{VIRTIO_F_RING_PACKED, "RING_PACKED"},
	{VIRTIO_F_IN_ORDER, "IN_ORDER"},
	{VIRTIO_F_RING_RESET, "RING_RESET"},
	{VIRTIO_F_SUSPEND, "SUSPEND"},
};

const char *feature_name(unsigned bit)
{
	for (size_t i = 0; i < ARRAY_SIZE(feature_names); i++)
		if (feature_names[i].bit == bit)
			return feature_names[i].name;
	return "that feature";
}

void need_feature(struct trial *t, unsigned bit)
{
	if (!offered(t, bit))
		trial_skip(t, "the back end does not offer %s (%u)", feature_name(bit), bit);
}

struct ring *disk_up(struct trial *t, struct setup s)
{
	uint64_t plain = FEAT(VERSION_1) | FEAT_PROTOCOL | BLK(RO) | BLK(FLUSH);

	if (!t->dialled)
		dial(t);
	for (unsigned bit = 0; bit < 64; bit++)
		if (s.want & BIT64(bit))
			need_feature(t, bit);
	if (t->peer.proto & PROTO(CONFIG))
		try_config(t);
	accept_features(t, t->peer.offered & (((plain | s.wish) & ~s.without) | s.want));
	share_memory(t);
	if (s.stopped)
		return NULL;
	if (s.queues > t->queues)
		trial_skip(t, "the back end has %u queue%s", t->queues, t->queues == 1 ? "" : "s");
	for (unsigned i = 0; i < (s.queues ? s.queues : 1); i++) {
		struct ring *r = ring_tell(t, i, s.num ? s.num : 64);

		if (!s.idle)
			ring_enable(r, true);
	}
	return &t->rings[0];
}

void hang_up(struct trial *t)
{
	struct peer *p = &t->peer;

	for (unsigned i = 0; p->fd >= 0 && i < t->n_rings; i++) {
		const struct vhost_user_vring_state s = {.index = t->rings[i].index};
		struct message m;

		if (!t->rings[i].told)
			continue;
		if (peer_send(p, VHOST_USER_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0))
			break;
		/* Answers to what the case left unread may come first. */
		do {
			if (peer_recv(p, &m, p->timeout_ms))
				goto closed;
			message_close_fds(&m);
		} while (m.h.request != VHOST_USER_GET_VRING_BASE);
	}
closed:
	for (unsigned i = 0; i < t->n_rings; i++)
		ring_close(&t->rings[i]);
	t->n_rings = 0;
	peer_fini(p);
}

void redial(struct trial *t)
{
	hang_up(t);
	peer_init(&t->peer, t->o->timeout_ms);
	t->dialled = false;
}

/* Memory */

uint64_t mem_aligned(struct trial *t, uint32_t len, uint32_t align)
{
	uint64_t gpa = align_up(t->next_gpa, align);

	if (!peer_at(&t->peer, gpa, len))
		trial_skip(t, "out of shared memory");
	t->next_gpa = gpa + len;
	return gpa;
}

uint64_t mem(struct trial *t, uint32_t len)
{
	return mem_aligned(t, len, 64);
}

void *at(struct trial *t, uint64_t gpa, uint64_t len)
{
	void *host = peer_at(&t->peer, gpa, len);

	if (!host)
		trial_skip(t, "no memory at 0x%llx", (unsigned long long)gpa);
	return host;
}

void fill(struct trial *t, uint64_t gpa, uint8_t value, uint32_t len)
{
	memset(at(t, gpa, len), value, len);
}

bool filled(struct trial *t, uint64_t gpa, uint8_t value, uint32_t len)
{
	const uint8_t *b = at(t, gpa, len);

	for (uint32_t i = 0; i < len; i++)
		if (b[i] != value)
			return false;
	return true;
}

uint8_t byte_at(struct trial *t, uint64_t gpa)
{
	return *(volatile uint8_t *)at(t, gpa, 1);
}

void quiet(struct trial *t)
{
	usleep((unsigned)t->o->quiet_ms * 1000);
}
