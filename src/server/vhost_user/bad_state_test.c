/* SPDX-License-Identifier: MIT */
/* What a front end may not agree on or ask for; peers that do not read; messages at random. */
#include "server/vhost_user/bad_rig_test.h"

#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- V-08: features ---- */

static void v_08_features_never_offered(void **state)
{
	(void)state;
	refused_u64(VHOST_USER_SET_FEATURES, ~UINT64_C(0));
	refused_u64(VHOST_USER_SET_FEATURES, BIT64(VIRTIO_F_VERSION_1) | BIT64(VHOST_F_LOG_ALL));
	refused_u64(VHOST_USER_SET_FEATURES,
		    BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM));
	refused_u64(VHOST_USER_SET_FEATURES, BIT64(VIRTIO_F_RING_PACKED)); /* without its ground */
	refused_u64(VHOST_USER_SET_PROTOCOL_FEATURES, BIT64(1));
	refused_u64(VHOST_USER_SET_PROTOCOL_FEATURES, ~UINT64_C(0));
	refused_u64(VHOST_USER_SET_STATUS, 0x100);
}

static void v_08_features_while_rings_run(void **state)
{
	struct front f;

	(void)state;
	open_at(&f, true);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES,
				       f.features | BIT64(VIRTIO_F_RING_PACKED)),
			 1);
	front_echo(&f, 0);
	front_close(&f);
}

/* ---- V-09: config space ---- */

static void v_09_config_that_cannot_be_read(void **state)
{
	static const uint32_t ranges[][2] = {
		{0, 0}, {0, 257}, {256, 1}, {255, 2}, {1, 256}, {0xffffffff, 2}, {2, 0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		struct vhost_user_config c = {.offset = ranges[i][0], .size = ranges[i][1]};
		struct vhost_user_header h;
		union vhost_user_payload reply;
		struct front f;

		open_at(&f, true);
		front_send(&f, VHOST_USER_GET_CONFIG, FLAGS_REPLY, &c, sizeof(c), NULL, 0);
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.request, VHOST_USER_GET_CONFIG);
		assert_int_equal(h.size, 0);
		assert_true(front_alive(&f));
		front_close(&f);
	}
}

static void v_09_config_that_cannot_be_written(void **state)
{
	static const struct vhost_user_config bad[] = {
		{.offset = 0, .size = 1},
		{.offset = CONFIG_WRITABLE, .size = 2},
		{.offset = CONFIG_WRITABLE, .size = 1, .data = {7}},
		{.offset = CONFIG_WRITABLE, .size = 0},
		{.offset = CONFIG_LEN, .size = 1},
		{.offset = CONFIG_LEN - 1, .size = 2, .flags = 1},
		{.offset = 0, .size = 257},
		{.offset = 0xffffffff, .size = 2},
		{.offset = 2, .size = 0xffffffff},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refused(&(struct bad){VHOST_USER_SET_CONFIG, &bad[i], sizeof(bad[i]), {0}, 0});
}

/* ---- V-12, V-13, KB-61 to 65 ---- */

static void v_12_kb_75_a_peer_that_never_reads(void **state)
{
	struct vhost_user_header ask[64];
	struct rig other;
	struct front deaf, f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ask); i++)
		ask[i] = (struct vhost_user_header){VHOST_USER_GET_FEATURES, FLAGS_REPLY, 0};
	rig_start(&other);
	front_open(&deaf, &rig);
	while (send(deaf.sock, ask, sizeof(ask), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		rig_settle(&rig);
	front_open(&f, &other);
	front_start(&f);
	front_echo(&f, 0);
	front_close(&deaf);
	front_close(&f);
	rig_quiet(&other);
	rig_end(&other);
}

/* It reads in the end: nothing was lost. */
static void v_12_replies_wait_for_a_slow_reader(void **state)
{
	struct vhost_user_header ask = {VHOST_USER_GET_FEATURES, FLAGS_REPLY, 0}, h;
	union vhost_user_payload reply;
	unsigned asked = 0;
	struct front f;

	(void)state;
	front_open(&f, &rig);
	while (send(f.sock, &ask, sizeof(ask), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(ask)) {
		asked++;
		if (asked % 64 == 0)
			rig_settle(&rig);
	}
	for (unsigned i = 0; i < asked; i++) {
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.request, VHOST_USER_GET_FEATURES);
		assert_int_equal(reply.u64, OFFERED | PROTOCOL);
	}
	front_close(&f);
}

/* In blocking mode, and full: nobody waits for it, and it is readable for whoever reads it. */
static void v_13_a_call_fd_that_is_full(void **state)
{
	int call = eventfd(0, EFD_CLOEXEC);
	struct front f;

	(void)state;
	assert_int_equal(write(call, &(uint64_t){UINT64_MAX - 1}, 8), 8);
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, call), 0);
	front_submit(&f, 0, 4);
	front_kick(&f, 0);
	echo_wait_popped(&rig, 4);
	rig_settle(&rig);
	front_echo(&f, 2); /* of the same worker */
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, f.rings[0].call), 0);
	front_complete(&f, 0, 4);
	front_close(&f);
	close(call);
	rig.fds--;
}

struct toggler {
	int fd;
	atomic_bool stop;
};

/* Fills the counter and changes the mode, over and over: whoever looks first and writes then waits. */
static void *toggle(void *arg)
{
	struct toggler *t = arg;

	while (!t->stop) {
		eventfd_t n;

		fcntl(t->fd, F_SETFL, O_NONBLOCK);
		if (!eventfd_read(t->fd, &n))
			fcntl(t->fd, F_SETFL, 0);
		fcntl(t->fd, F_SETFL, O_NONBLOCK);
		(void)!eventfd_write(t->fd, UINT64_MAX - 1);
		fcntl(t->fd, F_SETFL, 0);
	}
	return NULL;
}

static void v_13_a_call_fd_whose_mode_changes(void **state)
{
	struct toggler t = {.fd = eventfd(0, EFD_CLOEXEC)};
	pthread_t thread;
	struct front f;

	(void)state;
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, t.fd), 0);
	assert_int_equal(pthread_create(&thread, NULL, toggle, &t), 0);
	for (unsigned i = 0; i < 500; i++) {
		unsigned back = 0;

		front_submit(&f, 0, 4);
		front_kick(&f, 0);
		front_echo(&f, 2); /* of the same worker */
		while (back < 4) {
			uint32_t len;
			void *cookie;
			int n = vqdrv_reap(&f.rings[0].drv, &cookie, &len);

			assert_true(n >= 0);
			back += (unsigned)n;
		}
	}
	t.stop = true;
	pthread_join(thread, NULL);
	front_close(&f);
	close(t.fd);
	rig.fds--;
}

static void kb_61_the_same_message_again_and_again(void **state)
{
	static const uint32_t requests[] = {VHOST_USER_SET_VRING_CALL, VHOST_USER_SET_VRING_KICK,
					    VHOST_USER_SET_VRING_ERR};
	struct vhost_user_vring_state s = {0, RING_NUM};
	struct front f;

	(void)state;
	open_at(&f, true);
	for (int i = 0; i < 100000; i++)
		front_send(&f, VHOST_USER_SET_VRING_NUM, FLAGS_PLAIN, &s, sizeof(s), NULL, 0);
	for (int i = 0; i < 3000; i++)
		front_send(&f, requests[i % 3], FLAGS_PLAIN, &(uint64_t){0}, 8, &f.rings[0].call,
			   1);
	for (int i = 0; i < 50; i++) {
		int pair[2];

		assert_false(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		assert_int_equal(front_ack(&f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, pair, 1), 0);
		close(pair[0]);
		close(pair[1]);
	}
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_echo(&f, 0);
	front_close(&f);
}

/* What is not offered is not known, whatever is in it. */
static void kb_62_64_65_logs_and_inflight_areas(void **state)
{
	struct vhost_user_log log = {UINT64_MAX, UINT64_MAX};
	struct vhost_user_inflight inflight = {UINT64_MAX, 1, 65535, 65535};
	int fd = memfd_create("area", MFD_CLOEXEC);

	(void)state;
	rig.fds++;
	refused(&(struct bad){VHOST_USER_SET_LOG_BASE, &log, sizeof(log), {fd}, 1});
	refused(&(struct bad){VHOST_USER_SET_LOG_FD, NULL, 0, {fd}, 1});
	/* A request with an answer of its own has none that says no. */
	for (int i = 0; i < 20; i++)
		closes(VHOST_USER_GET_INFLIGHT_FD, FLAGS_PLAIN, &inflight, 20);
	refused(&(struct bad){VHOST_USER_SET_INFLIGHT_FD, &inflight, 20, {fd}, 1});
	close(fd);
	rig.fds--;
}

/* ---- everything at once ---- */

static uint32_t next_random(uint32_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x;
}

/* A number that means something somewhere, or none. */
static uint64_t some_number(uint32_t *x)
{
	static const uint64_t known[] = {0,
					 1,
					 2,
					 QUEUES,
					 8,
					 RING_NUM,
					 0x100,
					 0x101,
					 0x1000,
					 32768,
					 0xffff,
					 0x10000,
					 FRONT_MEM,
					 FRONT_GPA,
					 FRONT_USER,
					 FRONT_USER + 0x1000,
					 FRONT_USER + 0x2000,
					 FRONT_USER + FRONT_MEM - 64,
					 BIT64(VIRTIO_F_VERSION_1),
					 BIT64(VIRTIO_F_VERSION_1) | PROTOCOL,
					 BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK),
					 UINT32_MAX,
					 UINT64_MAX - 0xfff,
					 UINT64_MAX};
	uint32_t n = next_random(x) % (ARRAY_SIZE(known) + 1);

	return n < ARRAY_SIZE(known) ? known[n] : (uint64_t)next_random(x) << 32 | next_random(x);
}

static void random_message(struct front *f, uint32_t *x)
{
	uint32_t request = next_random(x) % VHOST_USER_REQUEST_MAX, size, words;
	const struct vhost_user_rule *rule = vhost_user_rule(request);
	uint64_t payload[64];
	int fds[VHOST_USER_FDS_MAX], n_fds = 0;

	if (!rule)
		return; /* it would only end the connection */
	size = rule->size_min;
	if (rule->size_max > rule->size_min)
		size += next_random(x) % (rule->size_max - rule->size_min + 1u);
	for (words = 0; words < ARRAY_SIZE(payload); words++)
		payload[words] = words % 2 ? some_number(x)
					   : some_number(x) << 32 | (uint32_t)some_number(x);
	if (next_random(x) % 2)
		payload[0] = next_random(x) % (QUEUES + 1);
	while (n_fds < rule->fds_max && next_random(x) % 8)
		fds[n_fds++] = next_random(x) % 4 ? f->rings[0].kick : f->memfd;
	if (request == VHOST_USER_SET_MEM_TABLE || request == VHOST_USER_ADD_MEM_REG)
		for (int i = 0; i < n_fds; i++)
			fds[i] = f->memfd;
	front_send(f, request, next_random(x) % 4 ? FLAGS_REPLY : FLAGS_PLAIN, payload, size, fds,
		   n_fds);
}

/* Messages of the right form and no sense, thrown in between those of a usual start. */
static void messages_at_random(void **state)
{
	uint32_t x = 1;

	(void)state;
	echo_mode(&rig, ECHO_DELAY);
	for (int round = 0; round < 600; round++) {
		uint32_t until = next_random(&x) % 40;
		struct vhost_user_vring_addr addr = front_ring_addr(0);
		struct vhost_user_vring_state size = {0, RING_NUM};
		struct vhost_user_mem_table table = front_table();
		uint64_t v = BIT64(VHOST_USER_PROTOCOL_F_REPLY_ACK);
		struct front f;

		front_open(&f, &rig);
		front_ring_setup(&f, 0);
		front_submit(&f, 0, 8);
		front_send(&f, VHOST_USER_SET_PROTOCOL_FEATURES, FLAGS_PLAIN, &v, 8, NULL, 0);
		for (uint32_t i = 0; i < until; i++) {
			random_message(&f, &x);
			if (i == 5)
				front_send(&f, VHOST_USER_SET_MEM_TABLE, FLAGS_REPLY, &table, 40,
					   &f.memfd, 1);
			if (i == 8)
				front_send(&f, VHOST_USER_SET_VRING_NUM, FLAGS_REPLY, &size,
					   sizeof(size), NULL, 0);
			if (i == 9)
				front_send(&f, VHOST_USER_SET_VRING_ADDR, FLAGS_REPLY, &addr,
					   sizeof(addr), NULL, 0);
			if (i == 12)
				front_send(&f, VHOST_USER_SET_VRING_KICK, FLAGS_REPLY,
					   &(uint64_t){0}, 8, &f.rings[0].kick, 1);
			if (i == 14)
				front_send(&f, VHOST_USER_SET_VRING_ENABLE, FLAGS_REPLY,
					   &(struct vhost_user_vring_state){0, 1}, 8, NULL, 0);
		}
		front_close(&f);
	}
	echo_mode(&rig, ECHO_AT_ONCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(v_08_features_never_offered),
		CASE(v_08_features_while_rings_run),
		CASE(v_09_config_that_cannot_be_read),
		CASE(v_09_config_that_cannot_be_written),
		CASE(v_12_kb_75_a_peer_that_never_reads),
		CASE(v_12_replies_wait_for_a_slow_reader),
		CASE(v_13_a_call_fd_that_is_full),
		CASE(v_13_a_call_fd_whose_mode_changes),
		CASE(kb_61_the_same_message_again_and_again),
		CASE(kb_62_64_65_logs_and_inflight_areas),
		CASE(messages_at_random),
	};

	signal(SIGPIPE, SIG_IGN);
	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/bad_state", tests, NULL, NULL);
}
