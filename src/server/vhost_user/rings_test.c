/* SPDX-License-Identifier: MIT */
/* What a front end may do with rings and memory that keeps to the protocol, in every order. */
#include "server/vhost_user/rig_test.h"

#include "wire/virtio.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOFD VHOST_USER_VRING_NOFD

/* ---- starting and enabling ---- */

static void kb_70_a_kick_before_enable_is_not_lost(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_join(&f, &rig, 0);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_submit(&f, 0, 3);
	front_kick(&f, 0);
	rig_settle(&rig);
	front_ring_enable(&f, 0);
	front_complete(&f, 0, 3);
	front_close(&f);
	rig_stop(&rig);
}

static void a_ring_is_looked_at_when_it_starts(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_join(&f, &rig, 0);
	front_ring_setup(&f, 0);
	front_submit(&f, 0, 3);
	front_ring_enable(&f, 0);
	front_ring_start(&f, 0); /* and no kick at all */
	front_complete(&f, 0, 3);
	front_close(&f);
	rig_stop(&rig);
}

static void a_disabled_ring_is_left_alone(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	front_echo(&f, 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_ENABLE, 0, 0), 0);
	front_submit(&f, 0, 2);
	front_kick(&f, 0);
	front_echo(&f, 2); /* of the same worker */
	rig_settle(&rig);
	assert_int_equal(rig.echo.popped, 2);
	/* Stopped and started meanwhile, they are still there. */
	assert_int_equal(front_get_base(&f, 0), 1);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_ring_enable(&f, 0);
	front_complete(&f, 0, 2);
	front_close(&f);
	rig_stop(&rig);
}

static void without_bit_30_rings_are_enabled_at_once(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	f.features &= ~PROTOCOL;
	front_negotiate(&f);
	front_share_memory(&f);
	front_ring_setup(&f, 1);
	front_ring_start(&f, 1);
	front_echo(&f, 1);
	/* With it they are not disabled again. */
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES, f.features | PROTOCOL), 0);
	front_echo(&f, 1);
	front_close(&f);
	rig_stop(&rig);
}

static void kb_71_a_legacy_driver_is_served(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	f.features = PROTOCOL;
	front_start(&f);
	front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

static void kb_72_enable_first_and_config_again_and_again(void **state)
{
	struct vhost_user_config c = {.size = VHOST_USER_CONFIG_MAX};
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	front_ring_enable(&f, 0);
	for (int i = 0; i < 4; i++) {
		struct vhost_user_header h;
		union vhost_user_payload reply;

		front_send(&f, VHOST_USER_GET_CONFIG, FLAGS_PLAIN, &c, sizeof(c), NULL, 0);
		assert_true(front_recv(&f, &h, &reply));
		assert_int_equal(h.size, VHOST_USER_CONFIG_HEADER + VHOST_USER_CONFIG_MAX);
		assert_int_equal(reply.config.size, VHOST_USER_CONFIG_MAX);
		assert_memory_equal(reply.config.data, rig.echo.config, CONFIG_LEN);
		for (int b = CONFIG_LEN; b < VHOST_USER_CONFIG_MAX; b++)
			assert_int_equal(reply.config.data[b], 0);
	}
	front_share_memory(&f);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

/* The order of a front end that acknowledges features first and says the size last. */
static void ring_messages_come_in_any_order(void **state)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_send(&f, VHOST_USER_SET_VRING_ADDR, FLAGS_PLAIN, &addr, sizeof(addr), NULL, 0);
	front_negotiate(&f);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, f.rings[0].call), 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	front_share_memory(&f);
	front_ring_setup(&f, 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

static void without_a_kick_fd_the_ring_is_polled(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_VRING_KICK, NOFD), 0);
	for (int i = 0; i < 5; i++) {
		front_submit(&f, 0, 2);
		front_complete(&f, 0, 2);
	}
	/* And by its fd again. */
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

/* ---- stopping ---- */

static void get_vring_base_drains(void **state)
{
	struct vhost_user_vring_state s = {.index = 0};
	struct vhost_user_header h;
	union vhost_user_payload reply;
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	echo_mode(&rig, ECHO_HOLD);
	front_submit(&f, 0, 4);
	front_kick(&f, 0);
	echo_wait_popped(&rig, 4);
	front_send(&f, VHOST_USER_GET_VRING_BASE, FLAGS_PLAIN, &s, sizeof(s), NULL, 0);
	rig_settle(&rig);
	assert_int_equal(recv(f.sock, &h, 1, MSG_DONTWAIT), -1);
	echo_release(&rig);
	assert_true(front_recv(&f, &h, &reply));
	assert_int_equal(reply.state.num, 4);
	front_complete(&f, 0, 4);

	/* Nobody looks at it now ... */
	front_submit(&f, 0, 1);
	front_kick(&f, 0);
	front_echo(&f, 2);
	rig_settle(&rig);
	assert_int_equal(rig.echo.popped, 5);
	/* ... and it goes on where it stood. */
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	front_complete(&f, 0, 1);
	front_echo(&f, 0);
	assert_int_equal(front_get_base(&f, 0), 6);
	front_close(&f);
	rig_stop(&rig);
}

static void get_vring_base_of_a_ring_never_started(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	assert_int_equal(front_get_base(&f, 0), 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_BASE, 0, 77), 0);
	assert_int_equal(front_get_base(&f, 0), 77);
	assert_int_equal(front_get_base(&f, 0), 77);
	front_close(&f);
	rig_healthy(&rig);
	rig_stop(&rig);
}

static void a_packed_base_has_four_parts(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	f.features |= BIT64(VIRTIO_F_RING_PACKED);
	front_start(&f);
	for (int i = 0; i < 40; i++) /* two descriptors each, once round and 16 on */
		front_echo(&f, 0);
	assert_int_equal(front_get_base(&f, 0), 16 << 16 | 16);
	/* Some front ends leave the used half out. */
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_BASE, 0, 16), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 0);
	for (int i = 0; i < 40; i++)
		front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

/* ---- swaps under load ---- */

static void call_swaps_lose_no_interrupt(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	echo_mode(&rig, ECHO_DELAY);
	for (int i = 0; i < 300; i++) {
		int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		front_submit(&f, 0, 8);
		front_kick(&f, 0);
		if (i % 3 == 0)
			assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_VRING_CALL, NOFD), 0);
		assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_CALL, 0, call), 0);
		close(f.rings[0].call);
		f.rings[0].call = call;
		front_complete(&f, 0, 8);
	}
	front_close(&f);
	rig_stop(&rig);
}

static void kick_swaps_lose_no_kick(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	for (int i = 0; i < 300; i++) {
		int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		front_submit(&f, 0, 4);
		front_kick(&f, 0);
		front_send(&f, VHOST_USER_SET_VRING_KICK, FLAGS_PLAIN, &(uint64_t){0}, 8, &kick, 1);
		close(f.rings[0].kick);
		f.rings[0].kick = kick;
		front_complete(&f, 0, 4);
	}
	front_close(&f);
	rig_stop(&rig);
}

static void memory_is_swapped_under_load(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	echo_mode(&rig, ECHO_DELAY);
	for (int i = 0; i < 200; i++) {
		for (unsigned q = 0; q < QUEUES; q++) {
			front_submit(&f, q, 8);
			front_kick(&f, q);
		}
		front_share_memory(&f);
		for (unsigned q = 0; q < QUEUES; q++)
			front_complete(&f, q, 8);
	}
	front_close(&f);
	rig_stop(&rig);
}

static void memory_slots_come_and_go(void **state)
{
	struct vhost_user_mem_reg a = {.region = front_table().regions[0]}, b;
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	assert_int_equal(front_get_u64(&f, VHOST_USER_GET_MAX_MEM_SLOTS), GMEM_REGIONS_MAX);
	assert_int_equal(front_ack(&f, VHOST_USER_ADD_MEM_REG, &a, sizeof(a), &f.memfd, 1), 0);
	for (unsigned q = 0; q < QUEUES; q++) {
		front_ring_setup(&f, q);
		front_ring_start(&f, q);
		front_ring_enable(&f, q);
	}
	b = a;
	b.region.gpa = b.region.user = UINT64_C(0x600000000000); /* one and the same, as some do */
	for (int i = 0; i < 50; i++) {
		front_submit(&f, 0, 8);
		front_kick(&f, 0);
		assert_int_equal(front_ack(&f, VHOST_USER_ADD_MEM_REG, &b, sizeof(b), &f.memfd, 1),
				 0);
		front_complete(&f, 0, 8);
		front_submit(&f, 0, 8);
		front_kick(&f, 0);
		/* Some send an fd along. */
		assert_int_equal(
			front_ack(&f, VHOST_USER_REM_MEM_REG, &b, sizeof(b), &f.memfd, i % 2), 0);
		front_complete(&f, 0, 8);
	}
	front_close(&f);
	rig_stop(&rig);
}

static void addresses_given_again_move_the_ring(void **state)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	const ptrdiff_t by = 4 * RING_SPAN;
	struct rig rig;
	struct front f;
	struct vqdrv *d;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	front_echo(&f, 0);
	addr.flags = VHOST_USER_VRING_F_LOG; /* the same ones: nothing happens */
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	front_echo(&f, 0);

	addr.desc += (uint64_t)by;
	addr.avail += (uint64_t)by;
	addr.used += (uint64_t)by;
	memcpy(f.mem + by, f.mem, 0x3000);
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	memset(f.mem, 0xff, 0x3000);
	d = &f.rings[0].drv;
	d->split.desc = (void *)((char *)d->split.desc + by);
	d->split.avail = (void *)((char *)d->split.avail + by);
	d->split.used_event = (void *)((char *)d->split.used_event + by);
	d->split.used = (const void *)((const char *)d->split.used + by);
	d->split.avail_event = (const void *)((const char *)d->split.avail_event + by);
	for (int i = 0; i < 100; i++)
		front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kb_70_a_kick_before_enable_is_not_lost),
		cmocka_unit_test(a_ring_is_looked_at_when_it_starts),
		cmocka_unit_test(a_disabled_ring_is_left_alone),
		cmocka_unit_test(without_bit_30_rings_are_enabled_at_once),
		cmocka_unit_test(kb_71_a_legacy_driver_is_served),
		cmocka_unit_test(kb_72_enable_first_and_config_again_and_again),
		cmocka_unit_test(ring_messages_come_in_any_order),
		cmocka_unit_test(without_a_kick_fd_the_ring_is_polled),
		cmocka_unit_test(get_vring_base_drains),
		cmocka_unit_test(get_vring_base_of_a_ring_never_started),
		cmocka_unit_test(a_packed_base_has_four_parts),
		cmocka_unit_test(call_swaps_lose_no_interrupt),
		cmocka_unit_test(kick_swaps_lose_no_kick),
		cmocka_unit_test(memory_is_swapped_under_load),
		cmocka_unit_test(memory_slots_come_and_go),
		cmocka_unit_test(addresses_given_again_move_the_ring),
	};

	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/rings", tests, NULL, NULL);
}
