/* SPDX-License-Identifier: MIT */
/*
 * The network driver over the PCI transport against the whole card; two machines
 * joined by a socket pair.
 */
#include "test.h"

#include "board_place.h"
#include "net_wire.h"

#include "backend/net/links.h"
#include "base/clock.h"
#include "frontend/net/nic.h"
#include "wire/virtio.h"

#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES 300

struct machine {
	struct place place;
	struct nic *nic;
	uint8_t *memory; /* that the card reaches */
	unsigned received, sent;
	uint32_t last_len;
	struct virtio_net_hdr last_header;
	uint8_t last[NIC_FRAME_MAX];
};

static struct machine A, B;

static void fill(uint8_t *frame, size_t len, const uint8_t *to, unsigned seed)
{
	memcpy(frame, to, 6);
	for (size_t i = 6; i < len; i++)
		frame[i] = (uint8_t)(i * 3 + seed);
}

static void frame_came(void *opaque, const struct virtio_net_hdr *h, const uint8_t *frame,
		       uint32_t len)
{
	struct machine *m = opaque;

	m->received++;
	m->last_len = len;
	m->last_header = *h;
	memcpy(m->last, frame, len);
}

static void frame_sent(void *opaque, void *cookie)
{
	struct machine *m = opaque;

	assert_ptr_equal(cookie, m);
	m->sent++;
}

static void machine_init(struct machine *m, struct net_link *link, const struct br_options *bo,
			 const struct nic_options *no, const struct vpci_platform_ops *ops)
{
	struct br_options o = *bo;
	struct error err = {""};
	void *memory;

	memset(m, 0, sizeof(*m));
	o.net = link;
	place_init(&m->place, &o, ops);
	if (nic_open(&m->place.t.base, no, &m->nic, &err))
		fail_msg("%s", err.text);
	assert_int_equal(vdriver_mem_alloc(&m->nic->v, NIC_FRAME_MAX, &memory, &err), 0);
	m->memory = memory;
	if (nic_start(m->nic, &err))
		fail_msg("%s", err.text);
}

static void machine_fini(struct machine *m)
{
	nic_close(&m->nic);
	place_fini(&m->place);
}

/* Polls as a guest that sleeps between would: until so many have been received and sent in all. */
static void until(struct machine *m, unsigned pair, unsigned received, unsigned sent)
{
	uint64_t end = clock_ns() + 20 * NSEC_PER_SEC;

	while (m->received < received || m->sent < sent) {
		int n = nic_poll(&m->nic->pairs[pair], frame_came, frame_sent, m);

		assert_true(n >= 0);
		assert_true(clock_ns() < end);
		if (!n && !nic_arm(&m->nic->pairs[pair]))
			br_pump(&m->place.rig);
	}
	assert_int_equal(m->received, received);
	assert_int_equal(m->sent, sent);
}

static void send_one(struct machine *m, unsigned pair, const struct virtio_net_hdr *h, uint32_t len)
{
	assert_int_equal(nic_send(&m->nic->pairs[pair], h, m->memory, len, m), 0);
	nic_commit(&m->nic->pairs[pair]);
}

static const struct nic_options flavours[] = {
	{0},
	{.features_off = BIT64(VIRTIO_F_RING_PACKED)},
	{.features_off = BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER) |
			 BIT64(VIRTIO_F_EVENT_IDX)},
	{.features_off = BIT64(VIRTIO_F_INDIRECT_DESC)},
	{.features_off = BIT64(VIRTIO_NET_F_MRG_RXBUF)},
	{.features_off = BIT64(VIRTIO_NET_F_MRG_RXBUF) | NR_OFFLOADS, .queue_size = 16},
	{.features_off = BIT64(VIRTIO_NET_F_CTRL_VQ)},
};

static void net_d_02_driver_and_card(void **state)
{
	static const uint32_t lens[] = {14, 60, 1514, 9014, 65589};
	static uint8_t frame[NIC_FRAME_MAX];

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(flavours); f++) {
		uint64_t off = flavours[f].features_off;
		bool large = !(off & BIT64(VIRTIO_NET_F_MRG_RXBUF)) ||
			     !(off & BIT64(VIRTIO_NET_F_GUEST_TSO4));
		struct nr_wire *wire = nr_wire_new();
		unsigned n = 0;

		machine_init(&A, &wire->link, &(struct br_options){0}, &flavours[f], &place_ops);
		assert_true(nic_link_up(A.nic));
		for (size_t l = 0; l < ARRAY_SIZE(lens) && (large || lens[l] <= 1514); l++, n++) {
			struct virtio_net_hdr h;

			fill(frame, lens[l], A.nic->mac, (unsigned)l);
			nr_wire_send(wire, 0, NULL, frame, lens[l]);
			until(&A, 0, n + 1, n);
			assert_int_equal(A.last_len, lens[l]);
			assert_memory_equal(A.last, frame, lens[l]);
			memcpy(A.memory, frame, lens[l]);
			send_one(&A, 0, NULL, lens[l]);
			until(&A, 0, n + 1, n + 1);
			assert_int_equal(nr_wire_receive(wire, 0, &h, frame, sizeof(frame)),
					 lens[l]);
			assert_memory_equal(A.memory, frame, lens[l]);
		}
		assert_int_equal(A.nic->pairs[0].stats.bad, 0);
		machine_fini(&A);
	}
}

static void net_d_03_offloads_pass_both_ways(void **state)
{
	struct virtio_net_hdr large = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				       .gso_size = le16_make(1448),
				       .hdr_len = le16_make(54),
				       .csum_start = le16_make(34),
				       .csum_offset = le16_make(16)};
	struct nic_options plain = {.features_off = NR_OFFLOADS};
	struct nr_wire *wire = nr_wire_new();
	static uint8_t frame[30000];
	struct virtio_net_hdr h;

	(void)state;
	machine_init(&A, &wire->link, &(struct br_options){0}, &flavours[0], &place_ops);
	fill(frame, sizeof(frame), A.nic->mac, 1);
	memcpy(A.memory, frame, sizeof(frame));
	send_one(&A, 0, &large, sizeof(frame));
	until(&A, 0, 0, 1);
	assert_int_equal(nr_wire_receive(wire, 0, &h, frame, sizeof(frame)), sizeof(frame));
	assert_memory_equal(&h, &large, 10);
	nr_wire_send(wire, 0, &large, frame, sizeof(frame));
	until(&A, 0, 1, 1);
	assert_memory_equal(&A.last_header, &large, 10);
	assert_int_equal(le16_get(A.last_header.num_buffers), 15);
	machine_fini(&A);

	/* Not agreed on: the driver does not even try. */
	wire = nr_wire_new();
	machine_init(&A, &wire->link, &(struct br_options){0}, &plain, &place_ops);
	assert_int_equal(nic_send(&A.nic->pairs[0], &large, A.memory, 1000, &A), -EINVAL);
	assert_int_equal(nic_send(&A.nic->pairs[0], NULL, frame, 1000, &A), -EINVAL);
	machine_fini(&A);
}

static void net_d_04_commands(void **state)
{
	static const uint8_t other[6] = {2, 9, 9, 9, 9, 9};
	struct nic_options o = {.pairs = 3};
	struct nr_wire *wire = nr_wire_new();
	uint8_t frame[100];

	(void)state;
	machine_init(&A, &wire->link, &(struct br_options){.pairs = 4}, &o, &place_ops);
	assert_int_equal(wire->pairs, 3);
	fill(frame, sizeof(frame), other, 1);
	assert_int_equal(nic_set_promisc(A.nic, true), 0);
	assert_int_equal(nic_set_promisc(A.nic, false), 0);
	assert_int_equal(nic_set_mac(A.nic, other), 0);
	for (unsigned i = 0; i < 3; i++) {
		nr_wire_send(wire, i, NULL, frame, sizeof(frame));
		until(&A, i, i + 1, 0);
	}
	assert_int_equal(nic_command(A.nic, VIRTIO_NET_CTRL_MQ, 0, "\0\0", 2), -EPERM);
	assert_int_equal(nic_set_pairs(A.nic, 1), 0);
	assert_int_equal(wire->pairs, 1);
	assert_int_equal(nic_set_pairs(A.nic, 4), -EINVAL);
	machine_fini(&A);
}

static void life(struct machine *m, struct nr_wire *wire)
{
	uint8_t frame[100];

	fill(frame, sizeof(frame), m->nic->mac, 1);
	for (unsigned i = 0; i < 5; i++) {
		struct error err;

		m->received = 0;
		nr_wire_send(wire, 0, NULL, frame, sizeof(frame));
		until(m, 0, 1, 0);
		assert_int_equal(nic_stop(m->nic, &err), 0);
		assert_int_equal(nic_start(m->nic, &err), 0);
	}
}

static void stop_and_start(void **state)
{
	const struct br_options boards[] = {
		{.pairs = 1},
		{.board.no_msix = true, .host.no_ioeventfd = true},
		{.host.no_irqfd = true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(boards); i++) {
		struct nr_wire *wire = nr_wire_new();

		machine_init(&A, &wire->link, &boards[i], &flavours[0],
			     boards[i].board.no_msix ? &place_polling_ops : &place_ops);
		life(&A, wire);
		machine_fini(&A);
	}
}

/* Frames from A to B and back, by two whole machines with a worker each. */
static void two_machines(void **state)
{
	uint64_t end = clock_ns() + 60 * NSEC_PER_SEC;
	struct net_link *a, *b;
	unsigned returned = 0;
	int fd[2];

	(void)state;
	for (size_t f = 0; f < 2; f++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
		assert_int_equal(net_socket_adopt(&a, fd[0], NULL), 0);
		assert_int_equal(net_socket_adopt(&b, fd[1], NULL), 0);
		machine_init(&A, a, &(struct br_options){0}, &flavours[f], &place_ops);
		machine_init(&B, b, &(struct br_options){0}, &flavours[f], &place_ops);
		assert_int_equal(nic_set_mac(B.nic, (const uint8_t[6]){2, 2, 2, 2, 2, 2}), 0);
		for (returned = 0; returned < FRAMES; returned++) {
			uint32_t len = 60 + returned * 31 % 1400;

			fill(A.memory, len, B.nic->mac, returned);
			send_one(&A, 0, NULL, len);
			until(&B, 0, returned + 1, returned);
			assert_int_equal(B.last_len, len);
			assert_memory_equal(B.last, A.memory, len);
			memcpy(B.memory, B.last, len);
			memcpy(B.memory, A.nic->mac, 6);
			send_one(&B, 0, NULL, len);
			until(&B, 0, returned + 1, returned + 1);
			until(&A, 0, returned + 1, returned + 1);
			assert_int_equal(A.last_len, len);
			assert_true(clock_ns() < end);
		}
		/* The other one is switched off: the link goes down, and nothing else. */
		machine_fini(&B);
		while (nic_link_up(A.nic)) {
			assert_true(clock_ns() < end);
			br_pump(&A.place.rig);
		}
		send_one(&A, 0, NULL, 60);
		until(&A, 0, FRAMES, FRAMES + 1);
		assert_int_equal(A.place.rig.net->pairs[0].sent.lost, 1);
		machine_fini(&A);
	}
}

/*
 * A whole burst at once: nothing is lost as long as the socket can hold it, and
 * what is, is counted.
 */
static void two_machines_burst(void **state)
{
	struct net_counters *sent, *received;
	struct net_link *a, *b;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	assert_int_equal(net_socket_adopt(&a, fd[0], NULL), 0);
	assert_int_equal(net_socket_adopt(&b, fd[1], NULL), 0);
	machine_init(&A, a, &(struct br_options){0}, &flavours[0], &place_ops);
	machine_init(&B, b, &(struct br_options){0}, &flavours[0], &place_ops);
	assert_int_equal(nic_set_mac(B.nic, (const uint8_t[6]){2, 2, 2, 2, 2, 2}), 0);
	sent = &A.place.rig.net->pairs[0].sent;
	received = &B.place.rig.net->pairs[0].received;
	fill(A.memory, 1000, B.nic->mac, 0);
	for (unsigned k = 0; k < 10; k++) {
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(nic_send(&A.nic->pairs[0], NULL, A.memory, 1000, &A), 0);
		nic_commit(&A.nic->pairs[0]);
		until(&A, 0, 0, 100 * (k + 1));
		until(&B, 0, (unsigned)sent->frames, 0);
	}
	assert_int_equal(sent->frames + sent->lost, 1000);
	assert_int_equal(received->frames, sent->frames);
	machine_fini(&A);
	machine_fini(&B);
}

/* ---- a device that takes its time ---- */

struct pause {
	struct reactor_msg msg;
	sem_t in, go;
};

static void pause_run(struct reactor_msg *msg)
{
	struct pause *p = container_of(msg, struct pause, msg);

	sem_post(&p->in);
	while (sem_wait(&p->go))
		;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* What it says at last is no answer to what is asked next. */
static void a_late_answer_is_nobody_elses(void **state)
{
	struct pause pause = {.msg.run = pause_run};
	struct error err = {""};

	(void)state;
	machine_init(&A, &nr_wire_new()->link, &(struct br_options){0}, &(struct nic_options){0},
		     &place_ops);
	sem_init(&pause.in, 0, 0);
	sem_init(&pause.go, 0, 0);
	reactor_post(worker_reactor(A.place.rig.worker), &pause.msg);
	while (sem_wait(&pause.in))
		;
	A.nic->options.command_ms = 1;
	assert_int_equal(nic_set_promisc(A.nic, true), -ETIMEDOUT);
	A.nic->options.command_ms = 0;
	sem_post(&pause.go);
	for (unsigned i = 0; i < 3; i++)
		worker_call(A.place.rig.worker, nothing, NULL);
	assert_int_equal(nic_set_promisc(A.nic, false), -EPROTO);
	assert_int_equal(nic_stop(A.nic, &err), 0);
	assert_int_equal(nic_start(A.nic, &err), 0);
	assert_int_equal(nic_set_promisc(A.nic, false), 0);
	machine_fini(&A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net_d_02_driver_and_card),
		cmocka_unit_test(net_d_03_offloads_pass_both_ways),
		cmocka_unit_test(net_d_04_commands),
		cmocka_unit_test(stop_and_start),
		cmocka_unit_test(a_late_answer_is_nobody_elses),
		cmocka_unit_test(two_machines),
		cmocka_unit_test(two_machines_burst),
	};

	return cmocka_run_group_tests_name("board_net", tests, NULL, NULL);
}
