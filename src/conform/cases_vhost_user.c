/* SPDX-License-Identifier: MIT */
/* The vhost-user protocol: messages, features, configuration, memory. */
#include "conform/cases.h"

#include "conform/blk.h"
#include "wire/vhost_user_names.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* Replies */

static void reply_header(struct trial *t)
{
	static const uint32_t requests[] = {VHOST_USER_GET_FEATURES,
					    VHOST_USER_GET_PROTOCOL_FEATURES};

	dial(t);
	for (unsigned i = 0; i < (t->peer.offered & FEAT_PROTOCOL ? 2 : 1); i++) {
		struct message m;

		trial_sent(t, "%s", vhost_user_request_name(requests[i]));
		ask(t, requests[i], NULL, 0, &m);
		message_close_fds(&m);
		if (m.h.flags != (VHOST_USER_VERSION | VHOST_USER_REPLY) || m.h.size != 8)
			trial_fail(t, "a reply of 8 bytes with flags 0x5 (version 1, reply)",
				   "flags 0x%x, %u bytes", m.h.flags, m.h.size);
	}
}

static void need_ack(struct trial *t)
{
	dial(t);
	if (!(t->peer.proto & PROTO(REPLY_ACK)))
		trial_skip(t, "the back end has no protocol feature REPLY_ACK (3)");
}

static void ack_each(struct trial *t)
{
	uint64_t features, index = 0;
	struct vhost_user_vring_state s = {0, 64};
	struct ring *r;

	need_ack(t);
	features = t->peer.offered & FEAT_LEAST;
	/* tell() waits for the answer, and fails the case if it is missing or something else. */
	must_tell(t, VHOST_USER_SET_OWNER, NULL, 0, -1);
	must_tell(t, VHOST_USER_SET_PROTOCOL_FEATURES, &t->peer.proto, 8, -1);
	must_tell(t, VHOST_USER_SET_FEATURES, &features, 8, -1);
	t->peer.acked = features;
	share_memory(t);
	r = ring_new(t, 0, 64);
	must_tell(t, VHOST_USER_SET_VRING_NUM, &s, sizeof(s), -1);
	s.num = 0;
	must_tell(t, VHOST_USER_SET_VRING_BASE, &s, sizeof(s), -1);
	ring_addresses(r);
	must_tell(t, VHOST_USER_SET_VRING_CALL, &index, 8, r->call);
	must_tell(t, VHOST_USER_SET_VRING_ERR, &index, 8, r->call);
	ring_kick_fd(r);
	ring_enable(r, true);
	blk_read_and_forget(r);
}

static void ack_own_reply(struct trial *t)
{
	struct message m;

	need_ack(t);
	trial_sent(t, "GET_FEATURES with need_reply");
	if (peer_send(&t->peer, VHOST_USER_GET_FEATURES, VHOST_USER_NEED_REPLY, NULL, 0, NULL, 0) ||
	    peer_recv(&t->peer, &m, t->o->timeout_ms))
		trial_fail(t, "the back end answers", "no answer");
	message_close_fds(&m);
	if (m.payload.u64 != t->peer.offered)
		trial_fail(t, "its own reply, as without need_reply", "0x%llx",
			   (unsigned long long)m.payload.u64);
	if (peer_readable(&t->peer, t->o->quiet_ms))
		trial_fail(t,
			   "one reply: need_reply changes nothing for a message with a reply of "
			   "its own",
			   "a second message");
}

static void not_asked(struct trial *t)
{
	uint64_t features;
	struct vhost_user_vring_state s = {0, 64};

	need_ack(t);
	features = t->peer.offered & FEAT_LEAST;
	trial_sent(t, "SET_FEATURES, SET_VRING_NUM, SET_VRING_BASE without need_reply");
	send_msg(t, VHOST_USER_SET_FEATURES, &features, 8, -1);
	send_msg(t, VHOST_USER_SET_VRING_NUM, &s, sizeof(s), -1);
	s.num = 0;
	send_msg(t, VHOST_USER_SET_VRING_BASE, &s, sizeof(s), -1);
	if (peer_readable(&t->peer, t->o->quiet_ms))
		trial_fail(t,
			   "a message without need_reply and without a reply of its own is not "
			   "answered",
			   "a message, or the end of the connection");
}

static void no_ack_feature(struct trial *t)
{
	struct ring *r;

	t->protos_wanted = PROTO(MQ) | PROTO(CONFIG);
	r = disk_up(t, (struct setup){0});
	blk_read_and_forget(r);
	trial_sent(t, "a whole set-up without REPLY_ACK accepted");
	if (peer_readable(&t->peer, t->o->quiet_ms))
		trial_fail(t, "nothing but the replies that the protocol knows", "a message more");
}

static void plain_front_end(struct trial *t)
{
	struct ring *r;

	/* A front end that knows nothing of protocol features: rings are enabled from the start. */
	dial(t);
	if (t->peer.proto_offered) {
		redial(t);
		t->peer.fd = -1;
		if (peer_connect(&t->peer, t->o->path, t->o->timeout_ms))
			trial_fail(t, "the back end takes the connection", "it does not");
		t->dialled = true;
		t->peer.proto = t->peer.proto_offered = 0;
		send_msg(t, VHOST_USER_SET_OWNER, NULL, 0, -1);
		t->peer.offered = ask_u64(t, VHOST_USER_GET_FEATURES);
		t->queues = 1;
	}
	trial_sent(t, "a set-up without PROTOCOL_FEATURES accepted and without SET_VRING_ENABLE, "
		      "then a read");
	accept_features(t, t->peer.offered & (FEAT(VERSION_1) | BLK(ZONED)));
	share_memory(t);
	r = ring_tell(t, 0, 64);
	blk_read_and_forget(r);
}

/* Features and queues */

static void early_protocol(struct trial *t)
{
	dial(t);
	if (!(t->peer.offered & FEAT_PROTOCOL))
		trial_skip(t, "the back end does not offer PROTOCOL_FEATURES (30)");
	/* dial() has done it: GET and SET_PROTOCOL_FEATURES before SET_FEATURES. */
	sync_messages(t);
}

static void queue_num(struct trial *t)
{
	uint64_t n;

	dial(t);
	if (!(t->peer.proto & PROTO(MQ)))
		trial_skip(t, "the back end has no protocol feature MQ (0)");
	n = ask_u64(t, VHOST_USER_GET_QUEUE_NUM);
	if (!n || n > 65535)
		trial_fail(t, "GET_QUEUE_NUM answers 1 to 65535", "%llu", (unsigned long long)n);
}

static void inband(struct trial *t)
{
	dial(t);
	if (t->peer.proto_offered & BIT64(14) &&
	    (t->peer.proto_offered & (PROTO(BACKEND_REQ) | PROTO(REPLY_ACK))) !=
		    (PROTO(BACKEND_REQ) | PROTO(REPLY_ACK)))
		trial_fail(t,
			   "in-band notifications (14) only along with REPLY_ACK (3) and "
			   "BACKEND_REQ (5)",
			   "protocol features 0x%llx", (unsigned long long)t->peer.proto_offered);
}

static void features_again(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	blk_read_and_forget(r);
	trial_sent(t, "SET_FEATURES once more with the same bits while the ring runs, then a read");
	accept_features(t, t->peer.acked);
	blk_read_and_forget(r);
}

static void owner_twice(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	trial_sent(t, "RESET_OWNER, which is deprecated, while nothing runs; then everything anew");
	ring_stop(r);
	tell(t, VHOST_USER_RESET_OWNER, NULL, 0, -1);
	redial(t);
	r = disk_up(t, (struct setup){0});
	blk_read_and_forget(r);
}

/* Configuration */

static void need_config(struct trial *t)
{
	dial(t);
	read_config(t);
}

static void config_sizes(struct trial *t)
{
	need_config(t);
	for (uint32_t size = 1; size <= t->config_len; size++) {
		struct vhost_user_config c = {.size = size};
		struct message m;

		trial_sent(t, "GET_CONFIG of %u bytes at offset 0", size);
		ask(t, VHOST_USER_GET_CONFIG, &c, 12 + size, &m);
		message_close_fds(&m);
		if (m.h.size == 12 && size < 8)
			continue; /* refused: allowed, and nobody asks for less than the capacity */
		if (m.h.size != 12 + size || m.payload.config.size != size)
			trial_fail(t, "a payload as long as the one that was asked for",
				   "%u bytes with size %u, not %u with size %u", m.h.size,
				   m.payload.config.size, 12 + size, size);
		if (memcmp(m.payload.config.data, &t->config, size))
			trial_fail(t, "the same bytes as in a read of the whole", "other bytes");
	}
}

static void config_parts(struct trial *t)
{
	static const struct {
		uint32_t offset, size;
	} parts[] = {{0, 8}, {8, 4}, {12, 4}, {20, 4}, {32, 1}, {34, 2}, {36, 12}, {48, 9}};

	need_config(t);
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		struct vhost_user_config c = {.offset = parts[i].offset, .size = parts[i].size};
		struct message m;

		if (parts[i].offset + parts[i].size > t->config_len)
			continue;
		trial_sent(t, "GET_CONFIG of %u bytes at offset %u", c.size, c.offset);
		ask(t, VHOST_USER_GET_CONFIG, &c, 12 + c.size, &m);
		message_close_fds(&m);
		if (m.h.size != 12 + c.size ||
		    memcmp(m.payload.config.data, (const uint8_t *)&t->config + c.offset, c.size))
			trial_fail(t, "the same bytes as in a read of the whole",
				   "%u bytes that differ", m.h.size - 12);
	}
}

static void config_read_only(struct trial *t)
{
	struct vhost_user_config c = {.offset = 0, .size = 8};
	uint64_t before;

	need_config(t);
	before = le64_get(t->config.capacity);
	memset(c.data, 0x11, 8);
	trial_sent(t, "SET_CONFIG of the capacity, flags 0");
	if (peer_send(&t->peer, VHOST_USER_SET_CONFIG, 0, &c, 12 + 8, NULL, 0))
		return;
	/* Closing the connection is a way to refuse, too. */
	if (peer_closed(&t->peer, t->o->quiet_ms)) {
		redial(t);
		dial(t);
	}
	read_config(t);
	if (le64_get(t->config.capacity) != before)
		trial_fail(t, "a read-only field is not written",
			   "the capacity went from %llu to %llu", (unsigned long long)before,
			   (unsigned long long)le64_get(t->config.capacity));
}

/* Memory */

static void two_areas(struct trial *t)
{
	struct vhost_user_mem_table table = {.n = 2};
	struct area *a, *b;
	struct ring *r;
	struct req q;
	int fds[2];

	dial(t);
	accept_features(t, t->peer.offered & FEAT_LEAST);
	a = peer_area(&t->peer, PEER_MEM);
	b = peer_area(&t->peer, 1 << 20);
	if (!a || !b)
		trial_skip(t, "out of memory");
	t->next_gpa = a->gpa;
	table.regions[0] = peer_region(a);
	table.regions[1] = peer_region(b);
	fds[0] = a->fd;
	fds[1] = b->fd;
	trial_sent(t, "SET_MEM_TABLE with 2 regions");
	if (peer_send(&t->peer, VHOST_USER_SET_MEM_TABLE, 0, &table, 8 + 2 * 32, fds, 2))
		trial_fail(t, "the back end takes it", "the connection is closed");
	sync_messages(t);
	r = ring_tell(t, 0, 64);
	ring_enable(r, true);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	q.data = b->gpa + 4096;
	req_ok(r, &q);
}

static void two_areas_adjacent(struct trial *t)
{
	struct area *b;
	struct ring *r;
	struct req q;

	two_areas(t);
	r = &t->rings[0];
	b = &t->peer.areas[1];
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 4096);
	q.data = b->gpa - 1024;
	trial_sent(t, "a read of 4 KiB whose buffer begins in one region and ends in the next");
	{
		const struct seg segs[] = {
			{q.header, 16, 0}, {q.data, 4096, F_WRITE}, {q.status, 1, F_WRITE}};

		expect_status(t, req_run_segs(r, &q, segs, 3), VIRTIO_BLK_S_OK);
	}
}

static void table_again(struct trial *t)
{
	struct vhost_user_mem_table table = {.n = 1};
	struct ring *r = disk_up(t, (struct setup){0});
	struct area *a = &t->peer.areas[0];

	blk_read_and_forget(r);
	table.regions[0] = peer_region(a);
	trial_sent(
		t,
		"SET_MEM_TABLE once more with the same memory while the ring is idle, then a read");
	must_tell(t, VHOST_USER_SET_MEM_TABLE, &table, 8 + 32, a->fd);
	blk_read_and_forget(r);
}

static void need_slots(struct trial *t)
{
	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) |
			   PROTO(CONFIGURE_MEM_SLOTS);
	dial(t);
	if (!(t->peer.proto & PROTO(CONFIGURE_MEM_SLOTS)))
		trial_skip(t, "the back end has no protocol feature CONFIGURE_MEM_SLOTS (15)");
}

static void add_area(struct trial *t, struct area *a)
{
	const struct vhost_user_mem_reg reg = {.region = peer_region(a)};

	must_tell(t, VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), a->fd);
}

static void slots(struct trial *t)
{
	struct area *a, *b;
	struct vhost_user_mem_reg reg = {0};
	struct ring *r;
	struct req q;
	uint64_t n;

	need_slots(t);
	n = ask_u64(t, VHOST_USER_GET_MAX_MEM_SLOTS);
	if (!n)
		trial_fail(t, "GET_MAX_MEM_SLOTS answers at least 1", "0");
	accept_features(t, t->peer.offered & FEAT_LEAST);
	a = peer_area(&t->peer, PEER_MEM);
	b = peer_area(&t->peer, 1 << 20);
	if (!a || !b)
		trial_skip(t, "out of memory");
	t->next_gpa = a->gpa;
	add_area(t, a);
	if (n > 1)
		add_area(t, b);
	r = ring_tell(t, 0, 64);
	ring_enable(r, true);
	blk_read_and_forget(r);
	if (n < 2)
		return;
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	q.data = b->gpa;
	req_ok(r, &q);
	reg.region = peer_region(b);
	reg.region.offset = 0; /* means nothing here */
	trial_sent(t, "REM_MEM_REG of a region that no ring uses, its offset given as 0, then a "
		      "read elsewhere");
	must_tell(t, VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), -1);
	blk_read_and_forget(r);
	add_area(t, b);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	q.data = b->gpa;
	req_ok(r, &q);
}

static void slots_fd(struct trial *t)
{
	struct area *a, *b;
	struct vhost_user_mem_reg reg = {0};
	struct ring *r;

	need_slots(t);
	accept_features(t, t->peer.offered & FEAT_LEAST);
	a = peer_area(&t->peer, PEER_MEM);
	b = peer_area(&t->peer, 1 << 20);
	if (!a || !b)
		trial_skip(t, "out of memory");
	t->next_gpa = a->gpa;
	add_area(t, a);
	add_area(t, b);
	r = ring_tell(t, 0, 64);
	ring_enable(r, true);
	reg.region = peer_region(b);
	trial_sent(t, "REM_MEM_REG with a file descriptor, as old front ends send it");
	must_tell(t, VHOST_USER_REM_MEM_REG, &reg, sizeof(reg), b->fd);
	blk_read_and_forget(r);
}

static void slots_many(struct trial *t)
{
	uint64_t n;

	need_slots(t);
	n = ask_u64(t, VHOST_USER_GET_MAX_MEM_SLOTS);
	if (n < 8)
		trial_fail(t, "at least the 8 regions that SET_MEM_TABLE can hold", "%llu slots",
			   (unsigned long long)n);
}

static void backend_channel(struct trial *t)
{
	int pair[2];

	t->protos_wanted = PROTO(MQ) | PROTO(REPLY_ACK) | PROTO(CONFIG) | PROTO(BACKEND_REQ);
	dial(t);
	if (!(t->peer.proto & PROTO(BACKEND_REQ)))
		trial_skip(t, "the back end has no protocol feature BACKEND_REQ (5)");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		trial_skip(t, "no socket pair");
	trial_sent(t, "SET_BACKEND_REQ_FD with one end of a socket pair");
	if (peer_send(&t->peer, VHOST_USER_SET_BACKEND_REQ_FD, 0, NULL, 0, &pair[1], 1)) {
		close(pair[0]);
		close(pair[1]);
		trial_fail(t, "the back end takes it", "the connection is closed");
	}
	close(pair[1]);
	close(pair[0]);
	/* A channel whose other end is gone must not matter. */
	blk_read_and_forget(disk_up(t, (struct setup){0}));
}

/* The socket */

static void byte_by_byte(struct trial *t)
{
	const struct vhost_user_header h = {VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0};
	struct message m;

	dial(t);
	trial_sent(t, "GET_FEATURES, one byte at a time");
	for (size_t i = 0; i < sizeof(h); i++) {
		if (peer_send_raw(&t->peer, (const char *)&h + i, 1, NULL, 0))
			trial_fail(t, "a message may arrive in pieces",
				   "the connection is closed after %zu bytes", i);
		usleep(2000);
	}
	if (peer_recv(&t->peer, &m, t->o->timeout_ms))
		trial_fail(t, "the answer to it", "none");
	message_close_fds(&m);
	if (m.h.request != VHOST_USER_GET_FEATURES || m.payload.u64 != t->peer.offered)
		trial_fail(t, "the answer to it", "something else");
}

static void together(struct trial *t)
{
	struct vhost_user_header h[8];

	dial(t);
	for (unsigned i = 0; i < 8; i++)
		h[i] = (struct vhost_user_header){VHOST_USER_GET_FEATURES, VHOST_USER_VERSION, 0};
	trial_sent(t, "8 times GET_FEATURES in one write");
	if (peer_send_raw(&t->peer, h, sizeof(h), NULL, 0))
		trial_fail(t, "messages may arrive together", "the connection is closed");
	for (unsigned i = 0; i < 8; i++) {
		struct message m;

		if (peer_recv(&t->peer, &m, t->o->timeout_ms))
			trial_fail(t, "8 answers", "%u", i);
		message_close_fds(&m);
		if (m.h.request != VHOST_USER_GET_FEATURES || m.payload.u64 != t->peer.offered)
			trial_fail(t, "8 times the answer to GET_FEATURES",
				   "something else in place %u", i);
	}
}

static void connects(struct trial *t)
{
	for (unsigned i = 0; i < 100; i++) {
		if (peer_connect(&t->peer, t->o->path, t->o->timeout_ms))
			trial_fail(t, "the back end takes the connection",
				   "connection %u is refused", i);
		if (i % 3 == 1)
			peer_send(&t->peer, VHOST_USER_GET_FEATURES, 0, NULL, 0, NULL, 0);
		redial(t);
	}
	blk_read_and_forget(disk_up(t, (struct setup){0}));
}

static const struct conform_case cases[] = {
	{"VU-H.reply", "vhost-user, Header", LEVEL_MUST, 0,
	 "A reply carries the request's number, version 1 and the reply flag.", reply_header},
	{"VU-H.pieces", "practice", LEVEL_PRACTICE, 0, "A message may arrive one byte at a time.",
	 byte_by_byte},
	{"VU-H.together", "vhost-user, Communication", LEVEL_MUST, 0,
	 "Several messages may arrive at once.", together},
	{"VU-H.connects", "practice", LEVEL_PRACTICE, 0,
	 "100 front ends that come and go do no harm.", connects},
	{"VU-ACK.each", "vhost-user, REPLY_ACK", LEVEL_MUST, 0,
	 "A message with need_reply is answered with one u64, 0 for success.", ack_each},
	{"VU-ACK.own-reply", "vhost-user, REPLY_ACK", LEVEL_MUST, 0,
	 "need_reply changes nothing for a message with a reply of its own.", ack_own_reply},
	{"VU-ACK.unasked", "vhost-user, Communication", LEVEL_MUST, 0,
	 "A message without need_reply and without a reply of its own is not answered.", not_asked},
	{"VU-ACK.without", "vhost-user, Communication", LEVEL_MUST, 0,
	 "Without REPLY_ACK only the messages that have a reply are answered.", no_ack_feature},
	{"VU-1.plain", "vhost-user, Ring states", LEVEL_MUST, 0,
	 "Without PROTOCOL_FEATURES accepted, rings are enabled from the start.", plain_front_end},
	{"VU-2.again", "vhost-user, Ring states", LEVEL_MUST, 0,
	 "SET_FEATURES does not disable a ring.", features_again},
	{"VU-4.reset-owner", "vhost-user, RESET_OWNER", LEVEL_PRACTICE, 0,
	 "RESET_OWNER does no harm.", owner_twice},
	{"VU-15.early", "vhost-user, GET_PROTOCOL_FEATURES", LEVEL_MUST, 0,
	 "Protocol features are negotiated before SET_FEATURES.", early_protocol},
	{"VU-15.inband", "vhost-user, In-band notifications", LEVEL_PRACTICE, 0,
	 "In-band notifications are not offered alone.", inband},
	{"VU-17.queues", "vhost-user, GET_QUEUE_NUM", LEVEL_MUST, 0,
	 "GET_QUEUE_NUM answers at least 1.", queue_num},
	{"VU-5.two-regions", "vhost-user, SET_MEM_TABLE", LEVEL_MUST, 0,
	 "Memory may consist of several regions, each with its own file.", two_areas},
	{"VU-5.across", "practice", LEVEL_PRACTICE, 0,
	 "A buffer may lie across two regions that touch each other.", two_areas_adjacent},
	{"VU-5.again", "vhost-user, SET_MEM_TABLE", LEVEL_MUST, 0,
	 "The memory table may be told again while rings are there.", table_again},
	{"VU-36.slots", "practice", LEVEL_PRACTICE, 0, "There are at least 8 memory slots.",
	 slots_many},
	{"VU-37.add-remove", "vhost-user, ADD_MEM_REG, REM_MEM_REG", LEVEL_MUST, 0,
	 "Regions can be added and removed one by one.", slots},
	{"VU-38.fd", "vhost-user, REM_MEM_REG", LEVEL_PRACTICE, 0,
	 "A file descriptor that comes with REM_MEM_REG is closed and does no harm.", slots_fd},
	{"VU-21.channel", "vhost-user, SET_BACKEND_REQ_FD", LEVEL_MUST, 0,
	 "The channel for requests of the back end is taken.", backend_channel},
	{"VU-24.sizes", "vhost-user, GET_CONFIG", LEVEL_MUST, 0,
	 "GET_CONFIG answers with as many bytes as were asked for.", config_sizes},
	{"VU-24.parts", "vhost-user, GET_CONFIG", LEVEL_MUST, 0,
	 "GET_CONFIG of a part gives the same bytes as of the whole.", config_parts},
	{"VU-25.read-only", "vhost-user, SET_CONFIG", LEVEL_MUST, 0,
	 "SET_CONFIG does not write read-only fields.", config_read_only},
};
const struct case_table vhost_user_cases = {"vhost-user: messages", cases, ARRAY_SIZE(cases),
					    BY_VHOST_USER};
