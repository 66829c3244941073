/* SPDX-License-Identifier: MIT */
/* The virtio bus over vhost-user: messages, and the bring-up that consists of them. */
#include "conform/carrier.h"
#include "vring/vring.h"
#include "wire/vhost_user_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Messages */

static _Noreturn void no_answer(struct trial *t, uint32_t request, int rc)
{
	char expected[128];

	snprintf(expected, sizeof(expected), "the back end takes %s and goes on",
		 vhost_user_request_name(request));
	if (rc == -ETIMEDOUT)
		trial_fail(t, expected, "no answer within %d ms", t->peer.timeout_ms);
	if (rc == -EPROTO)
		trial_fail(t, expected, "an answer that is no vhost-user message");
	trial_fail(t, expected, "the back end closed the connection");
}

static void vu_put(struct trial *t, uint32_t request, uint32_t flags, const void *payload,
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
		 vhost_user_request_name(request), request, min_size);
	if (m->h.request != request || (m->h.flags & ~VHOST_USER_NEED_REPLY) != 0x5u ||
	    m->h.size < min_size) {
		message_close_fds(m);
		trial_fail(t, expected, "request %u, flags 0x%x, %u bytes", m->h.request,
			   m->h.flags, m->h.size);
	}
}

void send_msg(struct trial *t, uint32_t request, const void *payload, uint32_t size, int fd)
{
	vu_put(t, request, 0, payload, size, fd);
}

void ask(struct trial *t, uint32_t request, const void *payload, uint32_t size,
	 struct message *answer)
{
	vu_put(t, request, 0, payload, size, -1);
	hear(t, request, 0, answer);
}

uint64_t ask_u64(struct trial *t, uint32_t request)
{
	struct message m;

	vu_put(t, request, 0, NULL, 0, -1);
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
		vu_put(t, request, 0, payload, size, fd);
		sync_messages(t);
		return 0;
	}
	vu_put(t, request, VHOST_USER_NEED_REPLY, payload, size, fd);
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
	snprintf(expected, sizeof(expected), "%s succeeds", vhost_user_request_name(request));
	trial_fail(t, expected, "the back end answers %llu, which means failure",
		   (unsigned long long)said);
}

void set_vring(struct trial *t, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhost_user_vring_state s = {index, num};

	must_tell(t, request, &s, sizeof(s), -1);
}

/* Bring-up */

static void vu_dial(struct trial *t)
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
static bool vu_config(struct trial *t)
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

static void vu_share_memory(struct trial *t)
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

static void vu_accept_features(struct trial *t, uint64_t bits)
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

static void vu_ring_start(struct ring *r, uint32_t base)
{
	uint64_t index = r->index;

	set_vring(r->t, VHOST_USER_SET_VRING_NUM, r->index, r->num);
	set_vring(r->t, VHOST_USER_SET_VRING_BASE, r->index, base);
	ring_addresses(r);
	must_tell(r->t, VHOST_USER_SET_VRING_CALL, &index, sizeof(index), r->call);
	ring_kick_fd(r);
}

static void vu_ring_enable(struct ring *r, bool on)
{
	if (!(r->t->peer.acked & FEAT_PROTOCOL))
		return;
	set_vring(r->t, VHOST_USER_SET_VRING_ENABLE, r->index, on);
	r->enabled = on;
}

static uint32_t vu_ring_stop(struct ring *r)
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

static void vu_reach(struct trial *t)
{
	int rc = peer_connect(&t->peer, t->o->path, t->o->timeout_ms);

	if (rc)
		trial_fail(t, "the back end takes the connection", "%s", strerror(-rc));
}

static void vu_kick(struct ring *r)
{
	uint64_t one = 1;

	if (write(r->kick, &one, sizeof(one)) < 0)
		return; /* full: the back end is woken in any case */
}

static uint64_t vu_calls(struct ring *r, int ms)
{
	return eventfd_wait(r->call, ms);
}

static bool vu_gone(struct trial *t)
{
	return peer_closed(&t->peer, 0);
}

static void vu_hang_up(struct trial *t)
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
				return;
			message_close_fds(&m);
		} while (m.h.request != VHOST_USER_GET_VRING_BASE);
	}
}

const struct carrier carrier_vhost_user = {
	.reach = vu_reach,
	.dial = vu_dial,
	.config = vu_config,
	.share_memory = vu_share_memory,
	.accept_features = vu_accept_features,
	.ring_start = vu_ring_start,
	.ring_enable = vu_ring_enable,
	.ring_stop = vu_ring_stop,
	.kick = vu_kick,
	.calls = vu_calls,
	.gone = vu_gone,
	.hang_up = vu_hang_up,
};
