/* SPDX-License-Identifier: MIT */
/* What a front end may not do with rings. */
#include "server/vhost_user/bad_rig_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- V-07: rings ---- */

static void kb_63_queues_that_do_not_exist(void **state)
{
	static const uint32_t indexes[] = {QUEUES, 0xff, 0x100, 0x10000, 0x80000000, 0xffffffff};
	int fd = eventfd(0, EFD_CLOEXEC);

	(void)state;
	rig.fds++;
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
		uint32_t index = indexes[i];
		struct vhost_user_vring_addr addr = front_ring_addr(0);
		struct vhost_user_vring_state s = {index, 0};
		uint64_t v = index == 0x100 ? 0x200 : index;

		addr.index = index;
		refused_state(VHOST_USER_SET_VRING_NUM, index, 64);
		refused_state(VHOST_USER_SET_VRING_BASE, index, 0);
		refused_state(VHOST_USER_SET_VRING_ENABLE, index, 1);
		refused(&(struct bad){VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), {0}, 0});
		refused_fd(VHOST_USER_SET_VRING_KICK, v & ~UINT64_C(0x100), fd);
		refused_fd(VHOST_USER_SET_VRING_CALL, v & ~UINT64_C(0x100), fd);
		refused_fd(VHOST_USER_SET_VRING_ERR, v & ~UINT64_C(0x100), fd);
		/* Its reply has no way to say no. */
		closes(VHOST_USER_GET_VRING_BASE, FLAGS_REPLY, &s, sizeof(s));
	}
	refused_fd(VHOST_USER_SET_VRING_CALL, UINT64_C(1) << 32, fd);
	close(fd);
	rig.fds--;
}

static void v_07_sizes_that_cannot_be(void **state)
{
	(void)state;
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 0);
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 32769);
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 65536 + 64);
	refused_state(VHOST_USER_SET_VRING_NUM, 0, 0xffffffff);
	refused_state(VHOST_USER_SET_VRING_ENABLE, 0, 2);
}

/* Said in good order, and wrong only together: refused where the ring would start. */
static void no_start(uint32_t num, uint32_t base, const struct vhost_user_vring_addr *addr)
{
	struct front f;

	front_join(&f, &rig, 0);
	if (num)
		assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, num), 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_BASE, 0, base), 0);
	if (addr)
		assert_int_equal(
			front_ack(&f, VHOST_USER_SET_VRING_ADDR, addr, sizeof(*addr), NULL, 0), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 1);
	/* And it can be mended. */
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
	rig_quiet(&rig);
}

static void v_07_rings_that_cannot_start(void **state)
{
	struct vhost_user_vring_addr good = front_ring_addr(0), a;

	(void)state;
	no_start(0, 0, &good);
	no_start(64, 0, NULL);
	no_start(3, 0, &good);
	no_start(64, 65536, &good);
	no_start(64, 0xffffffff, &good);
	a = good, a.desc += 8, no_start(64, 0, &a);
	a = good, a.avail += 1, no_start(64, 0, &a);
	a = good, a.used += 2, no_start(64, 0, &a);
	a = good, a.desc = 0, no_start(64, 0, &a);
	a = good, a.desc = FRONT_USER + FRONT_MEM - 16, no_start(64, 0, &a);
	a = good, a.used = UINT64_MAX - 3, no_start(64, 0, &a);
	a = good, a.avail = FRONT_GPA, no_start(64, 0, &a);
	a = good, a.desc += FRONT_MEM - 0x40000, no_start(32768, 0, &a);
}

static void v_07_kick_before_memory(void **state)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front f;

	(void)state;
	front_open(&f, &rig);
	front_negotiate(&f);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 1);
	front_share_memory(&f);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
}

static void kb_68_a_running_ring_stays_as_it_is(void **state)
{
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front f;

	(void)state;
	open_at(&f, true);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, 2 * RING_NUM), 1);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_BASE, 0, 5), 1);
	addr.desc = 0x1000;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	addr = front_ring_addr(0);
	addr.flags = 2;
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 1);
	front_echo(&f, 0);
	front_close(&f);
}

/* The guest breaks one ring: the others, and the connection, go on; stopped and started, it heals.
 */
static void a_broken_ring_is_signalled_and_heals(void **state)
{
	struct front f;
	int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = {.fd = err, .events = POLLIN};

	(void)state;
	rig.fds++;
	open_at(&f, true);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_ERR, 0, err), 0);
	*(uint16_t *)(void *)(f.mem + 0x1002) = 1000; /* avail.idx */
	assert_int_equal(write(f.rings[0].kick, &(uint64_t){1}, 8), 8);
	assert_int_equal(poll(&p, 1, PATIENCE_S * 1000), 1);
	front_echo(&f, 1);
	front_echo(&f, 2);
	assert_int_equal(front_get_base(&f, 0), 0);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_echo(&f, 0);
	front_close(&f);
	close(err);
	rig.fds--;
}

static void kb_69_a_million_kicks_on_an_empty_ring(void **state)
{
	uint64_t one = 1;
	struct front f;

	(void)state;
	open_at(&f, true);
	for (int i = 0; i < 1000000; i++)
		assert_int_equal(write(f.rings[0].kick, &one, sizeof(one)), sizeof(one));
	front_echo(&f, 0);
	front_close(&f);
}

static void kb_69_a_kick_fd_that_is_a_closed_pipe(void **state)
{
	int fds[2];

	(void)state;
	assert_false(pipe2(fds, O_CLOEXEC));
	close(fds[1]);
	rig.fds++;
	refused_fd(VHOST_USER_SET_VRING_KICK, 0, fds[0]);
	close(fds[0]);
	rig.fds--;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(kb_63_queues_that_do_not_exist),
		CASE(v_07_sizes_that_cannot_be),
		CASE(v_07_rings_that_cannot_start),
		CASE(v_07_kick_before_memory),
		CASE(kb_68_a_running_ring_stays_as_it_is),
		CASE(a_broken_ring_is_signalled_and_heals),
		CASE(kb_69_a_million_kicks_on_an_empty_ring),
		CASE(kb_69_a_kick_fd_that_is_a_closed_pipe),
	};

	signal(SIGPIPE, SIG_IGN);
	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/bad_ring", tests, NULL, NULL);
}
