/* SPDX-License-Identifier: MIT */
/*
 * Network cards behind vfio-user sockets: our driver on two boards of one server, which a pair of
 * sockets joins.  The server has threads of its own, the test's thread is both clients.
 */
#include "test.h"

#include "backend/net/links.h"
#include "backend/net/virtio_net.h"
#include "base/bits.h"
#include "base/clock.h"
#include "frontend/net/nic.h"
#include "frontend/vfio_user/board.h"
#include "server/offer_vfio_user.h"
#include "wire/virtio.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES	300u
#define HANG_NS (30 * NSEC_PER_SEC)

static char dir[32];

struct machine {
	char path[48];
	struct nic *nic;
	uint8_t *memory; /* that the card reaches */
	unsigned received, sent;
	uint32_t last_len;
	uint8_t last[NIC_FRAME_MAX];
};

static struct machine A, B;
static struct server *server;
static pthread_t server_thread;

/* ---- the server ---- */

static void add_card(struct machine *m, const char *name, struct net_link *link)
{
	const struct worker_pool *pool = &server_room(server)->pool;
	const struct virtio_net_options o = {.path = name, .pairs = 1};
	const struct virtio_pci_options board = {0};
	struct socket_place place = {.path = m->path, .mode = 0600, .fd = -1};
	struct virtio_net *net;
	struct error err = {""};

	snprintf(m->path, sizeof(m->path), "%s/%s", dir, name);
	assert_int_equal(virtio_net_create(&net, &o, link, server_home(server), pool->workers,
					   pool->n, 0, &err),
			 0);
	if (server_add_vfio_user(server, &net->vdev, &board, &place, &err))
		fail_msg("%s", err.text);
}

static void *serve(void *arg)
{
	(void)arg;
	return server_run(server) ? "" : NULL;
}

static int set_up(void **state)
{
	const struct server_config config = {
		.workers = {.n = 2, .reactor = {.uring = test_uring()}}, .signals = true};
	struct net_link *a, *b;
	int fd[2];

	(void)state;
	strcpy(dir, "/tmp/ringside-XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(server_create(&server, &config, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(net_socket_adopt(&a, fd[0], NULL), 0);
	assert_int_equal(net_socket_adopt(&b, fd[1], NULL), 0);
	add_card(&A, "a", a);
	add_card(&B, "b", b);
	assert_int_equal(pthread_create(&server_thread, NULL, serve, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	void *failed;

	(void)state;
	kill(getpid(), SIGTERM);
	pthread_join(server_thread, &failed);
	assert_null(failed);
	server_destroy(&server);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* ---- the clients ---- */

/* Memory without fds. */
static bool by_messages;

static void machine_open(struct machine *m, const struct nic_options *o, bool legacy)
{
	const struct vfio_user_board_options bo = {.queues = 3,
						   .timeout_ms = 30000,
						   .type = VIRTIO_ID_NET,
						   .legacy = legacy,
						   .dma_messages = by_messages};
	struct error err = {""};
	struct transport *t;
	void *memory;

	m->received = m->sent = 0;
	if (vfio_user_board_open(m->path, &bo, &t, &err) || nic_open(t, o, &m->nic, &err))
		fail_msg("%s", err.text);
	assert_int_equal(vdriver_mem_alloc(&m->nic->v, NIC_FRAME_MAX, &memory, &err), 0);
	m->memory = memory;
	if (nic_start(m->nic, &err))
		fail_msg("%s", err.text);
}

static void frame_came(void *opaque, const struct virtio_net_hdr *h, const uint8_t *frame,
		       uint32_t len)
{
	struct machine *m = opaque;

	(void)h;
	m->received++;
	m->last_len = len;
	memcpy(m->last, frame, len);
}

static void frame_sent(void *opaque, void *cookie)
{
	struct machine *m = opaque;

	assert_ptr_equal(cookie, m);
	m->sent++;
}

static void until(struct machine *m, unsigned received, unsigned sent)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (m->received < received || m->sent < sent) {
		assert_true(nic_poll(&m->nic->pairs[0], frame_came, frame_sent, m) >= 0);
		assert_true(clock_ns() < end);
	}
	assert_int_equal(m->received, received);
	assert_int_equal(m->sent, sent);
}

static void send_one(struct machine *m, uint32_t len)
{
	assert_int_equal(nic_send(&m->nic->pairs[0], NULL, m->memory, len, m), 0);
	nic_commit(&m->nic->pairs[0]);
}

/* A frame from A to B, which returns it. */
static void there_and_back(unsigned i)
{
	uint32_t len = 60 + i * 31 % 1400;
	unsigned n = B.received;

	memcpy(A.memory, B.nic->mac, 6);
	for (uint32_t b = 6; b < len; b++)
		A.memory[b] = (uint8_t)(b * 3 + i);
	send_one(&A, len);
	until(&B, n + 1, n);
	assert_int_equal(B.last_len, len);
	assert_memory_equal(B.last, A.memory, len);
	memcpy(B.memory, B.last, len);
	memcpy(B.memory, A.nic->mac, 6);
	send_one(&B, len);
	until(&B, n + 1, n + 1);
	until(&A, n + 1, n + 1);
	assert_int_equal(A.last_len, len);
	assert_memory_equal(A.last + 6, A.memory + 6, len - 6);
}

static const struct nic_options flavours[] = {
	{0},
	{.features_off = BIT64(VIRTIO_F_RING_PACKED)},
	{.features_off = BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER) |
			 BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_NET_F_MRG_RXBUF)},
};

static void open_both(const struct nic_options *o, bool legacy)
{
	machine_open(&A, o, legacy);
	machine_open(&B, o, legacy);
	assert_int_equal(nic_set_mac(B.nic, (const uint8_t[6]){2, 2, 2, 2, 2, 2}), 0);
	assert_true(nic_link_up(A.nic));
}

static void frames_go_both_ways(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(flavours); f++) {
		open_both(&flavours[f], false);
		for (unsigned i = 0; i < FRAMES; i++)
			there_and_back(i);
		assert_int_equal(A.nic->pairs[0].stats.bad + B.nic->pairs[0].stats.bad, 0);
		nic_close(&A.nic);
		nic_close(&B.nic);
	}
}

static void a_card_is_stopped_and_started(void **state)
{
	struct error err;

	(void)state;
	open_both(&flavours[0], false);
	for (unsigned i = 0; i < 5; i++) {
		there_and_back(i);
		assert_int_equal(nic_stop(B.nic, &err), 0);
		assert_int_equal(nic_start(B.nic, &err), 0);
	}
	nic_close(&A.nic);
	nic_close(&B.nic);
}

/* Commands, too: an address that a client has set is forgotten when it leaves. */
static void a_client_leaves_and_another_one_comes(void **state)
{
	uint8_t mac[6];

	(void)state;
	open_both(&flavours[0], false);
	assert_int_equal(nic_set_promisc(B.nic, true), 0);
	there_and_back(1);
	nic_close(&B.nic);
	machine_open(&B, &flavours[1], false);
	memcpy(mac, B.nic->mac, sizeof(mac));
	assert_memory_not_equal(mac, ((const uint8_t[6]){2, 2, 2, 2, 2, 2}), 6);
	assert_int_equal(nic_set_mac(B.nic, (const uint8_t[6]){2, 3, 3, 3, 3, 3}), 0);
	A.received = A.sent = 0;
	there_and_back(2);
	nic_close(&A.nic);
	nic_close(&B.nic);
}

static void all_of_it_by_messages(void **state)
{
	by_messages = true;
	frames_go_both_ways(state);
	a_card_is_stopped_and_started(state);
	a_client_leaves_and_another_one_comes(state);
	by_messages = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_go_both_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(all_of_it_by_messages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_card_is_stopped_and_started, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_client_leaves_and_another_one_comes, set_up,
						tear_down),
	};

	assert_int_equal(server_take_signals(NULL), 0);
	return cmocka_run_group_tests_name("pair/vfio_user_net", tests, NULL, NULL);
}
