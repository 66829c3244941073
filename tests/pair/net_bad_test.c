/* SPDX-License-Identifier: MIT */
/*
 * A network driver that does not behave, and a wire that does not: nothing grows, nothing hangs,
 * each chain comes back once.
 */
#include "test.h"

#include "net_rig.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct net_rig R;

static void transmit_len(uint32_t len)
{
	uint64_t at = nr_alloc(&R, len ? len : 1, 16);
	struct vqdrv_buf buf = {at, len};
	uint32_t used;
	void *cookie;

	memset(nr_at(&R, at), 0, len);
	nr_add(&R, 1, &buf, 1, 0, &R);
	assert_true(nr_reap(&R, 1, &cookie, &used));
	assert_int_equal(used, 0);
}

static void frame_goes_out(void)
{
	uint8_t frame[60], back[100];
	struct virtio_net_hdr h;

	nr_frame(frame, sizeof(frame), 1);
	nr_transmit(&R, 0, NULL, frame, sizeof(frame));
	assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), sizeof(frame));
	assert_memory_equal(back, frame, sizeof(frame));
}

static void runts_and_giants_are_dropped_and_given_back(void **state)
{
	static const uint32_t bad[] = {1,      9,      10, 11, 12, 13, 25, 12 + NET_FRAME_MAX + 1,
				       100000, 1 << 20};
	static uint8_t back[NET_FRAME_MAX + 1];
	struct virtio_net_hdr h;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		transmit_len(bad[i]);
	assert_int_equal(R.net->pairs[0].sent.bad, ARRAY_SIZE(bad));
	assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), -1);
	transmit_len(12 + 14);
	assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), 14);
	transmit_len(12 + NET_FRAME_MAX);
	assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), NET_FRAME_MAX);
	frame_goes_out();
	assert_int_equal(R.dev.broken, 0);
	nr_fini(&R);
}

static void transmit_chain_with_only_writable_buffers_comes_back(void **state)
{
	struct vqdrv_buf buf;
	uint32_t used;
	void *cookie;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	buf = (struct vqdrv_buf){nr_alloc(&R, 1000, 16), 1000};
	nr_add(&R, 1, &buf, 0, 1, &R);
	assert_true(nr_reap(&R, 1, &cookie, &used));
	assert_int_equal(used, 0);
	assert_int_equal(R.net->pairs[0].sent.bad, 1);
	frame_goes_out();
	nr_fini(&R);
}

static void broken_soon(unsigned n)
{
	for (unsigned i = 0; R.dev.broken < n && i < 5000; i++)
		nr_pump(&R);
	assert_int_equal(R.dev.broken, n);
	assert_true(R.net->vdev.status & VIRTIO_STATUS_NEEDS_RESET);
}

/* 5.1.6.3.1: at least the header must fit, and something must be writable.  A reset heals it. */
static void receive_buffer_without_room_for_a_header_breaks_the_queue(void **state)
{
	uint8_t frame[60];

	(void)state;
	nr_frame(frame, sizeof(frame), 1);
	nr_init(&R, &(struct nr_options){0});
	for (unsigned i = 0; i < 3; i++) {
		uint64_t at = nr_alloc(&R, 2000, 16);
		struct vqdrv_buf bufs[] = {{at, 2000}, {at, 11}};

		if (i == 0)
			nr_add(&R, 0, bufs, 1, 0, &R);
		else
			nr_add(&R, 0, bufs, 1, 1, &R);
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		broken_soon(i + 1);
		/* The other queue goes on. */
		frame_goes_out();
		nr_restart(&R, &(struct nr_options){0});
	}
	nr_buffer(&R, 0, 100);
	nr_fini(&R);
}

static void receive_chain_with_readable_buffers_too_is_used(void **state)
{
	uint8_t frame[60];
	struct vqdrv_buf bufs[2];
	uint32_t used;
	void *cookie;

	(void)state;
	nr_frame(frame, sizeof(frame), 1);
	nr_init(&R, &(struct nr_options){0});
	bufs[0] = (struct vqdrv_buf){nr_alloc(&R, 50, 16), 50};
	bufs[1] = (struct vqdrv_buf){nr_alloc(&R, 100, 16), 100};
	nr_add(&R, 0, bufs, 1, 1, &R);
	nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
	assert_true(nr_reap(&R, 0, &cookie, &used));
	assert_int_equal(used, 72);
	assert_memory_equal(nr_at(&R, bufs[1].addr + 12), frame, 60);
	nr_fini(&R);
}

/*
 * Without MRG_RXBUF a frame that does not fit its buffer is lost, and the buffer serves the next.
 */
static void small_buffers_without_mrg_rxbuf(void **state)
{
	struct nr_options o = {.without = BIT64(VIRTIO_NET_F_MRG_RXBUF)};
	uint8_t frame[500];
	uint32_t used;
	void *cookie;

	(void)state;
	nr_frame(frame, sizeof(frame), 1);
	nr_init(&R, &o);
	nr_buffer(&R, 0, 12);
	nr_buffer(&R, 0, 112);
	nr_wire_send(R.wire, 0, NULL, frame, 500);
	nr_wire_send(R.wire, 0, NULL, frame, 100);
	nr_nothing(&R, 0);
	assert_int_equal(R.net->pairs[0].received.lost, 2);
	nr_fini(&R);
	nr_init(&R, &o);
	nr_buffer(&R, 0, 112);
	nr_wire_send(R.wire, 0, NULL, frame, 500);
	nr_wire_send(R.wire, 0, NULL, frame, 100);
	assert_true(nr_reap(&R, 0, &cookie, &used));
	assert_int_equal(used, 112);
	assert_int_equal(R.net->pairs[0].received.lost, 1);
	nr_fini(&R);
}

/* Two pieces of ten bytes and forty. */
static uint64_t cut_buffer(void)
{
	uint64_t at = nr_alloc(&R, 50, 16);
	struct vqdrv_buf bufs[] = {{at, 10}, {at + 10, 40}};

	nr_add(&R, 0, bufs, 0, 2, nr_at(&R, at));
	return at;
}

/*
 * The whole ring cannot hold the frame: it is lost rather than waited for for ever, and every
 * buffer that was in hand for it serves another.
 */
static void frame_larger_than_the_whole_ring_is_lost(void **state)
{
	static const uint64_t without[] = {
		0, BIT64(VIRTIO_F_RING_PACKED), BIT64(VIRTIO_F_INDIRECT_DESC),
		BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_INDIRECT_DESC)};
	uint8_t frame[1000];
	uint32_t used;
	void *cookie;

	(void)state;
	for (size_t l = 0; l < ARRAY_SIZE(without); l++) {
		bool cut = without[l] & BIT64(VIRTIO_F_INDIRECT_DESC);
		unsigned n = cut ? 4 : 8;
		uint64_t at[8];

		nr_init(&R, &(struct nr_options){.num = 8, .without = without[l]});
		for (unsigned i = 0; i < n; i++)
			at[i] = cut ? cut_buffer() : nr_buffer(&R, 0, 50);
		nr_frame(frame, sizeof(frame), 1);
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
		nr_wire_send(R.wire, 0, NULL, frame, 60);
		assert_true(nr_reap(&R, 0, &cookie, &used));
		assert_int_equal(used, 50);
		assert_true(nr_reap(&R, 0, &cookie, &used));
		assert_int_equal(used, 22);
		assert_int_equal(R.net->pairs[0].received.lost, 1);
		for (unsigned i = 2; i < n; i++) {
			nr_frame(frame, 38, (uint8_t)i);
			nr_wire_send(R.wire, 0, NULL, frame, 38);
			assert_true(nr_reap(&R, 0, &cookie, &used));
			assert_int_equal(used, 50);
			assert_ptr_equal(cookie, nr_at(&R, at[i]));
			assert_memory_equal((uint8_t *)cookie + 12, frame, 38);
		}
		nr_fini(&R);
	}
}

static void read_turns(void *turns)
{
	*(uint64_t *)turns = reactor_stats(worker_reactor(R.dev.workers[0]))->turns;
}

static uint64_t turns_taken(void)
{
	uint64_t turns;

	worker_call(R.dev.workers[0], read_turns, &turns);
	return turns;
}

/*
 * No buffers at all: the device takes one frame and leaves the rest to the wire; it does not spin,
 * and all goes on later.
 */
static void receive_ring_never_filled(void **state)
{
	uint8_t frame[100];
	uint64_t turns;

	(void)state;
	nr_frame(frame, sizeof(frame), 1);
	nr_init(&R, &(struct nr_options){0});
	for (unsigned i = 0; i < 50; i++)
		nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
	for (unsigned i = 0; i < 20; i++)
		frame_goes_out();
	nr_nothing(&R, 0);
	turns = turns_taken();
	for (unsigned i = 0; i < 30; i++)
		nr_pump(&R);
	assert_true(turns_taken() < turns + 100);
	for (unsigned i = 0; i < 50; i++) {
		uint32_t used;
		void *cookie;

		nr_buffer(&R, 0, 200);
		assert_true(nr_reap(&R, 0, &cookie, &used));
		assert_int_equal(used, 112);
	}
	nr_fini(&R);
}

/* A full ring of buffers and no frames: the device sleeps and asks for no kicks. */
static void idle_receive_queue_sleeps(void **state)
{
	uint64_t turns;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	for (unsigned i = 0; i < 40; i++)
		nr_buffer(&R, 0, 2048);
	nr_nothing(&R, 0);
	for (unsigned i = 0; i < 30; i++)
		nr_pump(&R);
	turns = turns_taken();
	for (unsigned i = 0; i < 30; i++)
		nr_pump(&R);
	assert_true(turns_taken() < turns + 20);
	vqdrv_publish(&R.dev.queues[0].drv);
	assert_false(vqdrv_needs_kick(&R.dev.queues[0].drv));
	nr_fini(&R);
}

static void wire_with_runts_and_lies(void **state)
{
	struct virtio_net_hdr lie = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				     .csum_start = le16_make(99),
				     .csum_offset = le16_make(0)};
	uint8_t frame[100];
	uint32_t used;
	void *cookie;

	(void)state;
	nr_frame(frame, sizeof(frame), 1);
	nr_init(&R, &(struct nr_options){0});
	nr_buffer(&R, 0, 200);
	nr_wire_send(R.wire, 0, NULL, frame, 1);
	nr_wire_send(R.wire, 0, NULL, frame, 13);
	nr_wire_send(R.wire, 0, &lie, frame, 100);
	nr_wire_send(R.wire, 0, NULL, frame, 14);
	assert_true(nr_reap(&R, 0, &cookie, &used));
	assert_int_equal(used, 26);
	assert_int_equal(R.net->pairs[0].received.bad, 3);
	nr_fini(&R);
}

static void command_without_a_byte_for_its_answer_breaks_the_queue(void **state)
{
	struct vqdrv_buf buf;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	buf = (struct vqdrv_buf){R.ctrl, 16};
	nr_add(&R, 2, &buf, 1, 0, &R);
	broken_soon(1);
	frame_goes_out();
	nr_fini(&R);
}

static void command_of_no_bytes_is_refused(void **state)
{
	struct vqdrv_buf buf;
	uint32_t used;
	void *cookie;

	(void)state;
	nr_init(&R, &(struct nr_options){0});
	for (uint32_t len = 0; len < 2; len++) {
		struct vqdrv_buf bufs[] = {{R.ctrl, 1}, {R.ctrl + 100, 5}};

		buf = bufs[1];
		if (len)
			nr_add(&R, 2, bufs, 1, 1, &R);
		else
			nr_add(&R, 2, &buf, 0, 1, &R);
		assert_true(nr_reap(&R, 2, &cookie, &used));
		assert_int_equal(used, 1);
		assert_int_equal(*(uint8_t *)nr_at(&R, R.ctrl + 100), VIRTIO_NET_ERR);
	}
	nr_fini(&R);
}

/* Reset while frames pour in and out and a command is under way. */
static void resets_under_load(void **state)
{
	uint8_t frame[1000];
	uint8_t on = 1;

	(void)state;
	nr_frame(frame, sizeof(frame), 1);
	nr_init(&R, &(struct nr_options){.pairs = 2, .workers = 3});
	for (unsigned k = 0; k < 30; k++) {
		struct virtio_net_ctrl head = {VIRTIO_NET_CTRL_RX, 0};
		struct vqdrv_buf bufs[] = {{R.ctrl, 3}, {R.ctrl + 64, 1}};
		uint64_t at = nr_alloc(&R, 100, 16);
		struct vqdrv_buf out = {at, 100};

		memcpy(nr_at(&R, R.ctrl), &head, 2);
		memcpy(nr_at(&R, R.ctrl + 2), &on, 1);
		for (unsigned i = 0; i < 10; i++) {
			nr_buffer(&R, i % 2, 300);
			nr_wire_send(R.wire, 0, NULL, frame, sizeof(frame));
			nr_add(&R, 1, &out, 1, 0, &R);
			nr_add(&R, 4, bufs, 1, 1, &R);
		}
		nr_restart(&R, &(struct nr_options){0});
	}
	assert_int_equal(R.dev.broken, 0);
	nr_fini(&R);
}

/* ---- memory that goes away ---- */

#define PAGE 4096u

/* A file without contents where guest memory is: the next touch raises SIGBUS. */
static uint64_t lost_page(void)
{
	uint64_t at = nr_alloc(&R, PAGE, PAGE);
	int fd = memfd_create("taken-away", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_ptr_equal(
		mmap(nr_at(&R, at), PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0),
		nr_at(&R, at));
	close(fd);
	return at;
}

/* Zeroes would be a header that may be, and a frame that is long enough. */
static void what_is_in_no_memory_does_not_go_out(void **state)
{
	uint8_t back[2000];
	struct virtio_net_hdr h;

	(void)state;
	assert_int_equal(gmem_guard_install(NULL), 0);
	for (unsigned where = 0; where < 3; where++) {
		struct vqdrv_buf bufs[2];

		nr_init(&R, &(struct nr_options){0});
		R.wire->link.copies = where == 2;
		bufs[0] = (struct vqdrv_buf){where ? nr_alloc(&R, 12, 16) : lost_page(), 12};
		bufs[1] = (struct vqdrv_buf){where ? lost_page() : nr_alloc(&R, 1000, 16), 1000};
		if (where)
			memset(nr_at(&R, bufs[0].addr), 0, 12);
		nr_add(&R, 1, bufs, 2, 0, &R);
		for (unsigned i = 0; i < 20000 && !read_once(&R.net->pairs[0].sent.lost); i++) {
			nr_pump(&R);
			usleep(1000);
		}
		assert_int_equal(read_once(&R.net->pairs[0].sent.lost), 1);
		assert_int_equal(read_once(&R.net->pairs[0].sent.frames), 0);
		assert_int_equal(nr_wire_receive(R.wire, 0, &h, back, sizeof(back)), -1);
		nr_fini(&R);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runts_and_giants_are_dropped_and_given_back),
		cmocka_unit_test(transmit_chain_with_only_writable_buffers_comes_back),
		cmocka_unit_test(receive_buffer_without_room_for_a_header_breaks_the_queue),
		cmocka_unit_test(receive_chain_with_readable_buffers_too_is_used),
		cmocka_unit_test(small_buffers_without_mrg_rxbuf),
		cmocka_unit_test(frame_larger_than_the_whole_ring_is_lost),
		cmocka_unit_test(what_is_in_no_memory_does_not_go_out),
		cmocka_unit_test(receive_ring_never_filled),
		cmocka_unit_test(idle_receive_queue_sleeps),
		cmocka_unit_test(wire_with_runts_and_lies),
		cmocka_unit_test(command_without_a_byte_for_its_answer_breaks_the_queue),
		cmocka_unit_test(command_of_no_bytes_is_refused),
		cmocka_unit_test(resets_under_load),
	};

	return cmocka_run_group_tests_name("net_bad", tests, NULL, NULL);
}
