/* SPDX-License-Identifier: MIT */
/* Frames through the whole device, both ways (virtio 1.4, 5.1.6.1 to 5.1.6.4). */
#include "test.h"

#include "net_rig.h"

#include <string.h>

#define V1 BIT64(VIRTIO_F_VERSION_1)

static struct net_rig R;

static const struct nr_options layouts[] = {
	{0},
	{.without = BIT64(VIRTIO_F_RING_PACKED)},
	{.without = BIT64(VIRTIO_F_IN_ORDER)},
	{.without = BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER)},
	{.without = BIT64(VIRTIO_F_EVENT_IDX) | BIT64(VIRTIO_F_INDIRECT_DESC)},
	{.without = BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX) |
		    BIT64(VIRTIO_F_INDIRECT_DESC)},
	{.without = BIT64(VIRTIO_NET_F_MRG_RXBUF)},
	{.legacy = true},
	{.legacy = true, .without = BIT64(VIRTIO_NET_F_MRG_RXBUF)},
};

/* One frame into one buffer; the header comes back. */
static struct virtio_net_hdr receive_one(const uint8_t *frame, size_t len,
					 const struct virtio_net_hdr *h)
{
	struct virtio_net_hdr got = {0};
	unsigned header = net_header_bytes(R.net);
	uint32_t used;
	void *cookie;

	nr_buffer(&R, 0, 2048);
	nr_wire_send(R.wire, 0, h, frame, len);
	assert_true(nr_reap(&R, 0, &cookie, &used));
	assert_int_equal(used, header + len);
	assert_memory_equal((uint8_t *)cookie + header, frame, len);
	memcpy(&got, cookie, header);
	return got;
}

static void net_d_02_frames_in_every_layout(void **state)
{
	uint8_t frame[1514], back[2048];
	struct virtio_net_hdr h;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		nr_init(&R, &layouts[i]);
		for (unsigned n = 0; n < 200; n++) {
			size_t len = 14 + n * 37 % 1501;

			nr_frame(frame, len, (uint8_t)n);
			h = receive_one(frame, len, NULL);
			if (net_header_bytes(R.net) == sizeof(h))
				assert_int_equal(le16_get(h.num_buffers), 1);
			assert_int_equal(h.flags, 0);
			nr_transmit(&R, 0, NULL, frame, len);
			assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), len);
			assert_memory_equal(back, frame, len);
		}
		assert_int_equal(R.net->pairs[0].received.frames, 200);
		assert_int_equal(R.net->pairs[0].sent.frames, 200);
		nr_fini(&R);
	}
}

static void net_d_02_legacy_header_has_ten_bytes(void **state)
{
	struct nr_options o = {.legacy = true, .without = BIT64(VIRTIO_NET_F_MRG_RXBUF)};

	(void)state;
	nr_init(&R, &o);
	assert_int_equal(net_header_bytes(R.net), 10);
	o.without = 0;
	nr_restart(&R, &o);
	assert_int_equal(net_header_bytes(R.net), 12);
	nr_fini(&R);
}

/*
 * A frame over buffers of 12 bytes to 3000: all but the last are full, and all
 * are published at once.
 */
static void net_d_02_mergeable_buffers_are_filled_completely(void **state)
{
	static const uint32_t sizes[] = {12, 13, 60, 100, 1000, 1526, 2000, 3000, 70000};
	static uint8_t frame[65589], got[70012];

	(void)state;
	for (size_t l = 0; l < 2; l++) {
		struct nr_options o = {.num = 1024, .without = l ? BIT64(VIRTIO_F_RING_PACKED) : 0};

		nr_init(&R, &o);
		for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
			size_t len = min_u64(sizeof(frame), (uint64_t)sizes[s] * 900);
			size_t n = (12 + len + sizes[s] - 1) / sizes[s], at = 0;
			struct virtio_net_hdr h;

			nr_frame(frame, len, (uint8_t)s);
			for (size_t i = 0; i < n; i++)
				nr_buffer(&R, 0, sizes[s]);
			nr_wire_send(R.wire, 0, NULL, frame, len);
			for (size_t i = 0; i < n; i++) {
				uint32_t used;
				void *cookie;

				assert_true(nr_reap(&R, 0, &cookie, &used));
				if (i + 1 < n)
					assert_int_equal(used, sizes[s]);
				/* All of it is there as soon as any is. */
				if (!i && n > 1)
					assert_true(vqdrv_waiting(&R.dev.queues[0].drv));
				memcpy(got + at, cookie, used);
				at += used;
			}
			assert_int_equal(at, 12 + len);
			memcpy(&h, got, sizeof(h));
			assert_int_equal(le16_get(h.num_buffers), n);
			assert_memory_equal(got + 12, frame, len);
			nr_nothing(&R, 0);
		}
		assert_int_equal(R.net->pairs[0].received.lost, 0);
		nr_fini(&R);
	}
}

/*
 * Buffers come one by one; the frame waits for the last, and the device asks for kicks meanwhile.
 */
static void net_d_02_frame_waits_for_all_its_buffers(void **state)
{
	uint8_t frame[1000];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		nr_init(&R, &layouts[i]);
		nr_frame(frame, sizeof(frame), 3);
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		for (unsigned n = 0; n < 10; n++) {
			nr_nothing(&R, 0);
			nr_buffer(&R, 0, 100);
		}
		nr_nothing(&R, 0);
		nr_buffer(&R, 0, 100);
		for (unsigned n = 0; n < 11; n++) {
			uint32_t used;
			void *cookie;

			assert_true(nr_reap(&R, 0, &cookie, &used));
			assert_int_equal(used, n < 10 ? 100 : 12);
		}
		nr_fini(&R);
	}
}

/*
 * Reset, queue reset, new memory: what was in hand goes back, the ring is as if it
 * had not been looked at.
 */
static void net_d_02_buffers_in_hand_are_put_back(void **state)
{
	uint8_t frame[1000];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct gmem *again;
		uint32_t used;
		void *cookie;

		nr_init(&R, &layouts[i]);
		nr_frame(frame, sizeof(frame), 3);
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		for (unsigned n = 0; n < 10; n++)
			nr_buffer(&R, 0, 100);
		nr_nothing(&R, 0);
		/* A new map drains the queue, and it goes on. */
		assert_int_equal(
			gmem_with_host(NULL, DR_BASE, R.dev.ram_size, 0, R.dev.ram, &again, NULL),
			0);
		virtio_queue_set_mem(&R.net->vdev.queues[0], again, nr_waiter(&R));
		assert_int_equal(nr_wait(&R), 0);
		gmem_put(again);
		nr_nothing(&R, 0);
		nr_buffer(&R, 0, 100);
		for (unsigned n = 0; n < 11; n++) {
			assert_true(nr_reap(&R, 0, &cookie, &used));
			assert_int_equal(used, n < 10 ? 100 : 12);
		}
		/* And with some in hand at the end. */
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		nr_buffer(&R, 0, 100);
		nr_nothing(&R, 0);
		nr_restart(&R, &layouts[i]);
		assert_int_equal(R.net->vdev.queues[0].ring.in_flight, 0);
		receive_one(frame, sizeof(frame), NULL);
		nr_fini(&R);
	}
}

static void net_d_02_unpop_leaves_the_base_as_it_was(void **state)
{
	uint8_t frame[1000];

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct virtio_queue *q;
		uint32_t used;
		void *cookie;

		nr_init(&R, &(struct nr_options){.num = 16, .without = layouts[i].without});
		q = &R.net->vdev.queues[0];
		/* Some laps, so that the places wrap round. */
		nr_frame(frame, sizeof(frame), 3);
		for (unsigned n = 0; n < 14; n++)
			receive_one(frame, sizeof(frame), NULL);
		for (unsigned n = 0; n < 5; n++)
			nr_buffer(&R, 0, 100);
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		nr_nothing(&R, 0);
		virtio_queue_stop(q, nr_waiter(&R));
		assert_int_equal(nr_wait(&R), 0);
		if (!R.dev.queues[0].config.packed)
			assert_int_equal(q->base, 14);
		else
			assert_int_equal(q->base & 0xffff, (14 | 0x8000));
		/* It goes on from there, and all five come back in order. */
		R.dev.queues[0].config.base = q->base;
		assert_int_equal(
			virtio_queue_start(q, &R.dev.queues[0].config, R.dev.mem, nr_waiter(&R)),
			0);
		assert_int_equal(nr_wait(&R), 0);
		nr_wire_send(R.wire, 0, NULL, frame, 400);
		for (unsigned n = 0; n < 5; n++) {
			assert_true(nr_reap(&R, 0, &cookie, &used));
			assert_int_equal(used, n < 4 ? 100 : 12);
		}
		nr_fini(&R);
	}
}

/* 5.1.6.4.2: without GUEST_CSUM flags are zero, without GUEST_TSO* there is no gso_type. */
static void net_d_03_only_what_was_agreed_on_arrives(void **state)
{
	struct nr_options plain = {.without = NR_OFFLOADS |
					      BIT64(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)};
	struct virtio_net_hdr valid = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	struct virtio_net_hdr partial = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 .csum_start = le16_make(34),
					 .csum_offset = le16_make(16)};
	struct virtio_net_hdr large = partial, got;
	uint8_t frame[1000];

	(void)state;
	large.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	large.gso_size = le16_make(500);
	nr_frame(frame, sizeof(frame), 9);

	nr_init(&R, &(struct nr_options){0});
	assert_int_equal(receive_one(frame, sizeof(frame), &valid).flags,
			 VIRTIO_NET_HDR_F_DATA_VALID);
	got = receive_one(frame, sizeof(frame), &partial);
	assert_int_equal(got.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(le16_get(got.csum_start), 34);
	assert_int_equal(le16_get(got.csum_offset), 16);
	got = receive_one(frame, sizeof(frame), &large);
	assert_int_equal(got.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16_get(got.gso_size), 500);
	assert_true(le16_get(got.hdr_len) >= 54);

	nr_restart(&R, &plain);
	assert_int_equal(R.wire->offloads, 0);
	got = receive_one(frame, sizeof(frame), &valid);
	assert_int_equal(got.flags, 0);
	nr_wire_send(R.wire, 0, &partial, frame, sizeof(frame));
	nr_wire_send(R.wire, 0, &large, frame, sizeof(frame));
	receive_one(frame, 700, NULL);
	assert_int_equal(R.net->pairs[0].received.bad, 2);
	nr_fini(&R);
}

static void net_d_03_transmitted_headers_are_checked_and_passed_on(void **state)
{
	struct virtio_net_hdr large = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | 0x40 |
						VIRTIO_NET_HDR_F_DATA_VALID,
				       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				       .gso_size = le16_make(1448),
				       .hdr_len = le16_make(3),
				       .csum_start = le16_make(34),
				       .csum_offset = le16_make(16),
				       .num_buffers = le16_make(77)};
	static uint8_t frame[60000], back[70000];
	struct virtio_net_hdr h, lie;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	nr_frame(frame, sizeof(frame), 9);
	nr_transmit(&R, 0, &large, frame, sizeof(frame));
	assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), sizeof(frame));
	assert_memory_equal(back, frame, sizeof(frame));
	assert_int_equal(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(le16_get(h.gso_size), 1448);
	assert_int_equal(le16_get(h.hdr_len), 54);
	assert_int_equal(le16_get(h.num_buffers), 0);

	lie = large;
	lie.csum_start = le16_make(59999);
	nr_transmit(&R, 0, &lie, frame, sizeof(frame));
	lie = large;
	lie.gso_size = le16_make(0);
	nr_transmit(&R, 0, &lie, frame, sizeof(frame));
	lie = large;
	lie.flags = 0;
	nr_transmit(&R, 0, &lie, frame, sizeof(frame));
	lie = large;
	lie.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	nr_transmit(&R, 0, &lie, frame, sizeof(frame));
	assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), -1);
	assert_int_equal(R.net->pairs[0].sent.bad, 4);
	assert_int_equal(R.dev.broken, 0);
	nr_fini(&R);
}

/* 5.1.6.2, 2.7.4: nothing is assumed about how header and frame are cut. */
static void net_d_02_header_and_frame_cut_anyhow(void **state)
{
	uint8_t frame[60], back[100];
	struct virtio_net_hdr h;
	uint32_t used;
	void *cookie;

	(void)state;
	nr_init(&R, &(struct nr_options){.num = 128});
	nr_frame(frame, sizeof(frame), 1);
	for (unsigned step = 1; step < 72; step++) {
		uint64_t at = nr_alloc(&R, 72, 1);
		struct vqdrv_buf bufs[72];
		unsigned n = 0;

		memset(nr_at(&R, at), 0, 12);
		memcpy(nr_at(&R, at + 12), frame, sizeof(frame));
		for (unsigned i = 0; i < 72; i += step)
			bufs[n++] = (struct vqdrv_buf){at + i, (uint32_t)min_u64(step, 72 - i)};
		nr_add(&R, 1, bufs, n, 0, &R);
		assert_true(nr_reap(&R, 1, &cookie, &used));
		assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), 60);
		assert_memory_equal(back, frame, 60);
	}
	/* A receive buffer in single bytes. */
	for (unsigned step = 1; step < 72; step++) {
		uint64_t at = nr_alloc(&R, 72, 1);
		struct vqdrv_buf bufs[72];
		unsigned n = 0;

		for (unsigned i = 0; i < 72; i += step)
			bufs[n++] = (struct vqdrv_buf){at + i, (uint32_t)min_u64(step, 72 - i)};
		nr_add(&R, 0, bufs, 0, n, &R);
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		assert_true(nr_reap(&R, 0, &cookie, &used));
		assert_int_equal(used, 72);
		assert_memory_equal(nr_at(&R, at + 12), frame, 60);
	}
	nr_fini(&R);
}

/*
 * As many descriptors as a ring can have: with the header, one more piece than a system call takes.
 */
static void net_d_02_frame_in_a_thousand_pieces(void **state)
{
	struct nr_options o = {.num = 1024,
			       .without = BIT64(VIRTIO_F_RING_PACKED) |
					  BIT64(VIRTIO_F_INDIRECT_DESC)};
	static struct vqdrv_buf bufs[1024];
	uint8_t frame[1024], back[1100];
	struct virtio_net_hdr h;
	uint64_t at;
	uint32_t used;
	void *cookie;

	(void)state;
	for (unsigned extra = 0; extra < 2; extra++) {
		nr_init(&R, &o);
		at = nr_alloc(&R, 1036, 1);
		nr_frame(frame, sizeof(frame), 1);
		memset(nr_at(&R, at), 0, 12);
		memcpy(nr_at(&R, at + 12), frame, sizeof(frame));
		bufs[0] = (struct vqdrv_buf){at, 12 + extra};
		for (unsigned i = 1; i < 1024; i++)
			bufs[i] = (struct vqdrv_buf){at + 11 + extra + i, 1};
		nr_add(&R, 1, bufs, 1024, 0, &R);
		assert_true(nr_reap(&R, 1, &cookie, &used));
		assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), 1023 + extra);
		assert_memory_equal(back, frame, 1023 + extra);
		nr_fini(&R);
	}
}

static void net_d_04_only_pair_0_before_pairs_set(void **state)
{
	struct nr_options o = {.pairs = 4, .workers = 3};
	le16 n = le16_make(3);
	uint8_t frame[100], back[200];
	struct virtio_net_hdr h;
	uint32_t used;
	void *cookie;

	(void)state;
	nr_init(&R, &o);
	nr_frame(frame, sizeof(frame), 0);
	assert_int_equal(R.wire->pairs, 1);
	for (unsigned i = 0; i < 4; i++)
		nr_buffer(&R, i, 256);
	nr_wire_send(R.wire, 1, NULL, frame, sizeof(frame));
	nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
	assert_true(nr_reap(&R, 0, &cookie, &used));
	nr_nothing(&R, 2);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MQ, 0, &n, 2), VIRTIO_NET_OK);
	assert_int_equal(R.wire->pairs, 3);
	for (unsigned i = 1; i < 3; i++) {
		nr_wire_send(R.wire, i, NULL, frame, sizeof(frame));
		assert_true(nr_reap(&R, 2 * i, &cookie, &used));
		assert_int_equal(used, 112);
		nr_transmit(&R, i, NULL, frame, sizeof(frame));
		assert_int_equal(nr_wire_receive(R.wire, i, &h, back, sizeof(back)), 100);
	}
	nr_wire_send(R.wire, 3, NULL, frame, sizeof(frame));
	nr_nothing(&R, 6);
	/* Back to one; a reset does the same. */
	n = le16_make(1);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MQ, 0, &n, 2), VIRTIO_NET_OK);
	nr_buffer(&R, 1, 256);
	nr_wire_send(R.wire, 1, NULL, frame, sizeof(frame));
	nr_nothing(&R, 2);
	nr_restart(&R, &o);
	assert_int_equal(R.wire->pairs, 1);
	nr_fini(&R);
}

/* 5.1.2: without MQ the control queue is the third, whatever the device could have. */
static void net_d_04_control_queue_without_mq(void **state)
{
	struct nr_options o = {.pairs = 4, .without = BIT64(VIRTIO_NET_F_MQ)};
	uint8_t on = 1;
	le16 n = le16_make(2);

	(void)state;
	nr_init(&R, &o);
	assert_int_equal(nr_control(&R), 2);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_RX, 0, &on, 1), VIRTIO_NET_OK);
	assert_int_equal(nr_command(&R, VIRTIO_NET_CTRL_MQ, 0, &n, 2), VIRTIO_NET_ERR);
	nr_fini(&R);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(net_d_02_frames_in_every_layout),
		cmocka_unit_test(net_d_02_legacy_header_has_ten_bytes),
		cmocka_unit_test(net_d_02_mergeable_buffers_are_filled_completely),
		cmocka_unit_test(net_d_02_frame_waits_for_all_its_buffers),
		cmocka_unit_test(net_d_02_buffers_in_hand_are_put_back),
		cmocka_unit_test(net_d_02_unpop_leaves_the_base_as_it_was),
		cmocka_unit_test(net_d_03_only_what_was_agreed_on_arrives),
		cmocka_unit_test(net_d_03_transmitted_headers_are_checked_and_passed_on),
		cmocka_unit_test(net_d_02_header_and_frame_cut_anyhow),
		cmocka_unit_test(net_d_02_frame_in_a_thousand_pieces),
		cmocka_unit_test(net_d_04_only_pair_0_before_pairs_set),
		cmocka_unit_test(net_d_04_control_queue_without_mq),
	};

	return cmocka_run_group_tests_name("net_frames", tests, NULL, NULL);
}
