/* SPDX-License-Identifier: MIT */
/* What a front end may not send: bytes, headers, fds. */
#include "server/vhost_user/bad_rig_test.h"

#include "lingering.h"
#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* ---- V-01: bytes ---- */

static void v_01_kb_75_header_cut_short(void **state)
{
	struct vhost_user_header h = {VHOST_USER_GET_FEATURES, FLAGS_PLAIN, 0};

	(void)state;
	for (size_t n = 1; n < sizeof(h); n++) {
		struct front f;

		open_at(&f, n % 2);
		front_write(&f, &h, n, NULL, 0);
		shutdown(f.sock, SHUT_WR);
		assert_true(front_closed(&f));
		front_close(&f);
	}
}

static void v_01_payload_cut_short(void **state)
{
	struct {
		struct vhost_user_header h;
		uint8_t payload[40];
	} msg = {{VHOST_USER_SET_VRING_ADDR, FLAGS_REPLY, 40}, {0}};

	(void)state;
	for (size_t n = sizeof(msg.h); n < sizeof(msg); n += 3) {
		struct front f;

		open_at(&f, false);
		/* fds that came with half a message are closed, too. */
		front_write(&f, &msg, n, &f.memfd, 1);
		front_close(&f);
		rig_quiet(&rig);
	}
}

static void v_01_kb_75_one_byte_at_a_time(void **state)
{
	struct {
		struct vhost_user_header h;
		struct vhost_user_mem_table table;
	} __attribute__((packed)) msg = {.h = {VHOST_USER_SET_MEM_TABLE, FLAGS_REPLY, 8 + 32}};
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct front f;

	(void)state;
	msg.table = front_table();
	open_at(&f, true);
	for (size_t i = 0; i < sizeof(msg.h) + 40; i++) {
		assert_true(front_write(&f, (char *)&msg + i, 1, &f.memfd, i == 0));
		rig_settle(&rig);
	}
	assert_true(front_recv(&f, &h, &reply));
	assert_int_equal(reply.u64, 0);
	front_echo(&f, 0);
	front_close(&f);
}

static void v_01_others_are_served_meanwhile(void **state)
{
	struct rig other;
	struct front half, f;

	(void)state;
	rig_start(&other);
	front_open(&half, &rig);
	front_write(&half, "\1\0\0\0\1", 5, NULL, 0);
	front_open(&f, &other);
	front_start(&f);
	front_echo(&f, 0);
	front_close(&half);
	front_close(&f);
	rig_quiet(&other);
	rig_end(&other);
}

static void v_01_messages_glued_together(void **state)
{
	struct {
		struct vhost_user_header h;
		uint64_t v;
	} __attribute__((packed)) msg[100];
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct front f;

	(void)state;
	open_at(&f, true);
	for (size_t i = 0; i < ARRAY_SIZE(msg); i++) {
		msg[i].h = (struct vhost_user_header){VHOST_USER_SET_FEATURES, FLAGS_REPLY, 8};
		msg[i].v = f.features;
	}
	assert_true(front_write(&f, msg, sizeof(msg), NULL, 0));
	for (size_t i = 0; i < ARRAY_SIZE(msg); i++) {
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.request, VHOST_USER_SET_FEATURES);
		assert_int_equal(reply.u64, 0);
	}
	assert_true(front_alive(&f));
	front_close(&f);
}

/* ---- V-02, V-03: headers ---- */

static void v_02_kb_75_size_that_cannot_be(void **state)
{
	static const uint32_t sizes[] = {4097, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vhost_user_header h = {VHOST_USER_SET_FEATURES, FLAGS_REPLY, sizes[i]};
		struct front f;

		open_at(&f, i % 2);
		front_write(&f, &h, sizeof(h), NULL, 0);
		assert_true(front_closed(&f));
		front_close(&f);
	}
}

static void v_02_size_wrong_for_the_request(void **state)
{
	static const uint8_t zeroes[4096];

	(void)state;
	for (uint32_t request = 0; request < VHOST_USER_REQUEST_MAX; request++) {
		const struct vhost_user_rule *rule = vhost_user_rule(request);

		if (!rule)
			continue;
		if (rule->size_min)
			closes(request, FLAGS_REPLY, zeroes, rule->size_min - 1u);
		closes(request, FLAGS_REPLY, zeroes, rule->size_max + 1u);
		closes(request, FLAGS_REPLY, zeroes, 4096);
	}
}

static void v_03_unknown_requests(void **state)
{
	static const uint32_t requests[] = {0,	19, 20, 22,  23,      26,	  27,	     28,
					    29, 30, 33, 35,  41,      42,	  43,	     44,
					    45, 46, 99, 255, 0x10001, 0x80000001, 0xffffffff};
	static const uint8_t payload[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		refused_when(false, &(struct bad){requests[i], payload, (uint32_t)i, {0}, 0});
}

static void v_03_version_and_reply_bits(void **state)
{
	(void)state;
	closes(VHOST_USER_GET_FEATURES, 0, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, 2, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, 3, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, FLAGS_PLAIN | VHOST_USER_REPLY, NULL, 0);
	closes(VHOST_USER_GET_FEATURES, FLAGS_REPLY | VHOST_USER_REPLY, NULL, 0);
}

/* Each request answered once: with its own reply, or with an acknowledgement if that is on. */
static void kb_74_need_reply_on_everything(void **state)
{
	(void)state;
	for (int acks = 0; acks < 2; acks++) {
		struct vhost_user_header h;
		union vhost_user_payload reply;
		struct front f;

		front_open(&f, &rig);
		if (acks) {
			uint64_t v = BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK);

			assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_PROTOCOL_FEATURES, v), 0);
		}
		for (int i = 0; i < 3; i++) {
			uint64_t features = BIT64(VIRTIO_F_VERSION_1);

			front_send(&f, VHOST_USER_SET_OWNER, FLAGS_REPLY, NULL, 0, NULL, 0);
			front_send(&f, VHOST_USER_RESET_OWNER, FLAGS_REPLY, NULL, 0, NULL, 0);
			front_send(&f, VHOST_USER_SET_FEATURES, FLAGS_REPLY, &features, 8, NULL, 0);
			front_send(&f, VHOST_USER_RESET_DEVICE, FLAGS_REPLY, NULL, 0, NULL, 0);
			front_send(&f, VHOST_USER_GET_FEATURES, FLAGS_REPLY, NULL, 0, NULL, 0);
			for (int n = acks ? 0 : 4; n < 5; n++) {
				assert_true(front_recv(&f, &h, &reply));
				assert_int_equal(h.flags, 5);
				if (n < 4)
					assert_int_equal(reply.u64, 0);
			}
			assert_int_equal(h.request, VHOST_USER_GET_FEATURES);
			assert_int_equal(reply.u64, OFFERED | PROTOCOL);
		}
		front_close(&f);
		rig_quiet(&rig);
	}
}

/* ---- V-04: fds ---- */

static void v_04_fds_where_none_are_taken(void **state)
{
	uint64_t features = BIT64(VIRTIO_F_VERSION_1) | PROTOCOL;
	struct bad b = {VHOST_USER_SET_FEATURES, &features, 8, {0}, 8};

	(void)state;
	for (int i = 0; i < 8; i++)
		b.fds[i] = STDIN_FILENO;
	refused(&b);
	b = (struct bad){VHOST_USER_SET_OWNER, NULL, 0, {STDIN_FILENO}, 1};
	refused(&b);
}

static void v_04_kb_66_more_fds_than_a_message_may_have(void **state)
{
	static const int counts[] = {9, 10, 64, 253};
	struct vhost_user_header h = {VHOST_USER_SET_OWNER, FLAGS_REPLY, 0};
	int fds[253];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = STDIN_FILENO;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct front f;

		open_at(&f, false);
		front_write(&f, &h, sizeof(h), fds, counts[i]);
		assert_true(front_closed(&f));
		front_close(&f);
		rig_quiet(&rig);
	}
}

/* A byte each with an fd: more than eight over one message. */
static void kb_66_fds_all_along_one_message(void **state)
{
	struct {
		struct vhost_user_header h;
		uint64_t v;
	} __attribute__((packed)) msg = {{VHOST_USER_SET_FEATURES, FLAGS_REPLY, 8}, 0};
	struct front f;

	(void)state;
	open_at(&f, false);
	for (size_t i = 0; i < sizeof(msg); i++)
		if (!front_write(&f, (char *)&msg + i, 1, &f.memfd, 1))
			break;
	assert_true(front_closed(&f));
	front_close(&f);
}

static void v_04_fds_missing(void **state)
{
	struct vhost_user_mem_reg reg = {.region = front_table().regions[0]};
	struct vhost_user_mem_table table = front_table();

	(void)state;
	reg.region.gpa += FRONT_MEM;
	reg.region.user += FRONT_MEM;
	refused_u64(VHOST_USER_SET_VRING_KICK, 0);
	refused_u64(VHOST_USER_SET_VRING_CALL, 0);
	refused_u64(VHOST_USER_SET_VRING_ERR, 0);
	refused_u64(VHOST_USER_SET_BACKEND_REQ_FD, 0);
	refused(&(struct bad){VHOST_USER_ADD_MEM_REG, &reg, sizeof(reg), {0}, 0});
	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {0}, 0});
	refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {0, 0}, 2});
}

/* Ours may be the last to be closed: not on this thread, either. */
static void *close_ours(void *fd)
{
	close(*(int *)fd);
	return NULL;
}

/* In a message, in half of one, in one too many, in one that is never read: nobody waits for it. */
static void kb_66_fds_whose_closing_waits(void **state)
{
	struct vhost_user_header half = {VHOST_USER_SET_OWNER, FLAGS_REPLY, 0};
	int other[4], fds[4], nine[9];
	pthread_t closers[4];
	struct front f;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		fds[i] = test_lingering(&other[i]);
	for (unsigned i = 0; i < 9; i++)
		nine[i] = fds[2];
	rig.fds += 4; /* the other ends */
	open_at(&f, false);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, fds[0]), 1);
	front_write(&f, &half, 4, &fds[1], 1);
	front_close(&f);
	open_at(&f, false);
	front_write(&f, &half, sizeof(half), nine, 9);
	front_close(&f);
	open_at(&f, false);
	front_write(&f, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, NULL, 0);
	front_write(&f, &half, sizeof(half), &fds[3], 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&closers[i], NULL, close_ours, &fds[i]), 0);
	front_close(&f);
	/* The next one is served, while all of them wait to be closed. */
	open_at(&f, true);
	front_echo(&f, 0);
	front_close(&f);
	for (unsigned i = 0; i < 4; i++)
		close(other[i]);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(closers[i], NULL);
	rig.fds -= 4;
}

static void v_04_fds_of_the_wrong_kind(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
					    VHOST_USER_SET_VRING_ERR};
	struct vhost_user_mem_table table = front_table();
	int directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int file = memfd_create("file", MFD_CLOEXEC);
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int pipes[2], timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	int fds[] = {directory, null, file, sock, timer, -1};

	(void)state;
	assert_false(pipe2(pipes, O_CLOEXEC));
	fds[5] = pipes[1];
	rig.fds += 7;
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		for (size_t r = 0; r < ARRAY_SIZE(requests); r++)
			refused_fd(requests[r], 0, fds[i]);
		refused(&(struct bad){VHOST_USER_SET_MEM_TABLE, &table, 40, {fds[i]}, 1});
		if (fds[i] != sock)
			refused_fd(VHOST_USER_SET_BACKEND_REQ_FD, 0, fds[i]);
		close(fds[i]);
		rig.fds--;
	}
}

/* The bit that says there is none, and one all the same. */
static void v_04_no_fd_and_an_fd(void **state)
{
	(void)state;
	refused_fd(VHOST_USER_SET_VRING_CALL, VHOST_USER_VRING_NOFD, STDIN_FILENO);
	refused_fd(VHOST_USER_SET_VRING_KICK, VHOST_USER_VRING_NOFD, STDIN_FILENO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(v_01_kb_75_header_cut_short),
		CASE(v_01_payload_cut_short),
		CASE(v_01_kb_75_one_byte_at_a_time),
		CASE(v_01_others_are_served_meanwhile),
		CASE(v_01_messages_glued_together),
		CASE(v_02_kb_75_size_that_cannot_be),
		CASE(v_02_size_wrong_for_the_request),
		CASE(v_03_unknown_requests),
		CASE(v_03_version_and_reply_bits),
		CASE(kb_74_need_reply_on_everything),
		CASE(v_04_fds_where_none_are_taken),
		CASE(v_04_kb_66_more_fds_than_a_message_may_have),
		CASE(kb_66_fds_all_along_one_message),
		CASE(v_04_fds_missing),
		CASE(v_04_fds_of_the_wrong_kind),
		CASE(kb_66_fds_whose_closing_waits),
		CASE(v_04_no_fd_and_an_fd),
	};

	signal(SIGPIPE, SIG_IGN);
	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/bad_message", tests, NULL, NULL);
}
