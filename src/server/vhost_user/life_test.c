/* SPDX-License-Identifier: MIT */
/* What a front end may do that keeps to the protocol, in every order that it may do it in. */
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

static void serves_every_layout(void **state)
{
	static const uint64_t sets[] = {
		0,
		BIT64(VIRTIO_F_EVENT_IDX),
		BIT64(VIRTIO_F_RING_PACKED),
		BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_EVENT_IDX),
		BIT64(VIRTIO_F_IN_ORDER),
	};
	struct rig rig;

	(void)state;
	rig_start(&rig);
	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		struct front f;

		front_open(&f, &rig);
		f.features |= sets[s];
		front_start(&f);
		for (unsigned n = 0; n < 300; n++)
			front_echo(&f, n % QUEUES);
		front_close(&f);
		rig_quiet(&rig);
	}
	rig_stop(&rig);
}

/* ---- features, status, reset ---- */

static void features_may_be_said_again(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES, f.features), 0);
		front_echo(&f, 0);
	}
	front_close(&f);
	rig_stop(&rig);
}

static void status_is_kept_and_0_resets(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	f.tells_status = true;
	front_start(&f);
	assert_int_equal(front_get_u64(&f, VHOST_USER_GET_STATUS), 0);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 11), 0);
	assert_int_equal(front_get_u64(&f, VHOST_USER_GET_STATUS), 11);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 15), 0);
	front_echo(&f, 0);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 0), 0);
	assert_int_equal(front_get_u64(&f, VHOST_USER_GET_STATUS), 0);
	assert_int_equal(rig.echo.running, 0);
	/* Memory and protocol features are as before; the rest comes anew. */
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES, f.features), 0);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 15), 0);
	front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

/* QEMU's qtests wait for it, as libvhost-user does it; not before DRIVER_OK. */
static void a_queue_that_starts_to_serve_calls_once(void **state)
{
	for (int tells = 0; tells < 2; tells++) {
		struct pollfd call = {.events = POLLIN};
		struct rig rig;
		struct front f;

		(void)state;
		rig_start(&rig);
		front_open(&f, &rig);
		f.tells_status = tells;
		front_start(&f);
		call.fd = f.rings[0].call;
		if (tells) {
			assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 11), 0);
			assert_int_equal(poll(&call, 1, 0), 0);
			assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 15), 0);
		}
		assert_int_equal(poll(&call, 1, 10000), 1);
		front_close(&f);
		rig_stop(&rig);
	}
}

static void st_d_01_nothing_is_taken_before_driver_ok(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	f.tells_status = true;
	front_start(&f);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 11), 0);
	front_submit(&f, 0, 1);
	front_kick(&f, 0);
	usleep(20000);
	assert_false(vqdrv_waiting(&f.rings[0].drv));
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_STATUS, 15), 0);
	front_complete(&f, 0, 1);
	front_close(&f);
	rig_stop(&rig);
}

static void reset_device_with_requests_in_flight(void **state)
{
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	for (int i = 0; i < 20; i++) {
		echo_mode(&rig, ECHO_DELAY);
		for (unsigned q = 0; q < QUEUES; q++) {
			front_submit(&f, q, 8);
			front_kick(&f, q);
		}
		assert_int_equal(front_ack(&f, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), 0);
		assert_int_equal(rig.echo.running, 0);
		assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES, f.features), 0);
		for (unsigned q = 0; q < QUEUES; q++) {
			front_ring_setup(&f, q);
			front_ring_start(&f, q);
			front_ring_enable(&f, q);
			front_echo(&f, q);
		}
	}
	front_close(&f);
	rig_stop(&rig);
}

static void config_is_written_where_it_may_be(void **state)
{
	struct vhost_user_config c = {.offset = CONFIG_WRITABLE, .size = 1, .data = {1}};
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	for (uint32_t flags = 0; flags < 3; flags++) {
		c.flags = flags;
		c.data[0] = flags & 1;
		assert_int_equal(front_ack(&f, VHOST_USER_SET_CONFIG, &c,
					   VHOST_USER_CONFIG_HEADER + 1, NULL, 0),
				 0);
		assert_int_equal(rig.echo.config[CONFIG_WRITABLE], flags & 1);
	}
	front_close(&f);
	rig_stop(&rig);
}

/* ---- the other way round ---- */

static void change_config(void *arg)
{
	virtio_device_config_changed(arg);
}

static void config_changes_are_told(void **state)
{
	struct vhost_user_header h;
	int pair[2];
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	rig_call(&rig, change_config, &rig.echo.vdev); /* nobody wants to know */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(front_ack(&f, VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1), 0);
	close(pair[1]);
	for (int i = 0; i < 5; i++) {
		rig_call(&rig, change_config, &rig.echo.vdev);
		assert_int_equal(recv(pair[0], &h, sizeof(h), MSG_WAITALL), sizeof(h));
		assert_int_equal(h.request, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
		assert_int_equal(h.flags, VHOST_USER_VERSION);
		assert_int_equal(h.size, 0);
	}
	/* A reply that nobody asked for. */
	h.flags |= VHOST_USER_REPLY;
	assert_int_equal(send(pair[0], &h, sizeof(h), MSG_NOSIGNAL), sizeof(h));
	/* One that is never read does not stop the server, nor does one that is closed. */
	for (int i = 0; i < 5000; i++)
		rig_call(&rig, change_config, &rig.echo.vdev);
	front_echo(&f, 0);
	close(pair[0]);
	rig_call(&rig, change_config, &rig.echo.vdev);
	front_echo(&f, 0);
	front_close(&f);
	rig_stop(&rig);
}

/* ---- coming and going ---- */

static void v_11_a_second_front_end_waits(void **state)
{
	struct rig rig;
	struct front first, second;
	struct vhost_user_header h;

	(void)state;
	rig_start(&rig);
	front_open(&first, &rig);
	front_start(&first);
	front_open(&second, &rig);
	front_send(&second, VHOST_USER_GET_QUEUE_NUM, FLAGS_PLAIN, NULL, 0, NULL, 0);
	front_echo(&first, 0);
	rig_settle(&rig);
	assert_int_equal(recv(second.sock, &h, sizeof(h), MSG_DONTWAIT), -1);
	front_close(&first);
	assert_int_equal(recv(second.sock, &h, sizeof(h), MSG_WAITALL), sizeof(h));
	assert_int_equal(h.request, VHOST_USER_GET_QUEUE_NUM);
	assert_int_equal(recv(second.sock, &h, 8, MSG_WAITALL), 8);
	front_start(&second);
	front_echo(&second, 0);
	front_close(&second);
	rig_stop(&rig);
}

static void kb_60_reconnects_with_requests_in_flight(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig);
	echo_mode(&rig, ECHO_DELAY);
	for (int i = 0; i < 1000; i++) {
		struct front f;

		front_open(&f, &rig);
		if (i % 2)
			f.features |= BIT64(VIRTIO_F_RING_PACKED);
		front_start(&f);
		for (unsigned q = 0; q < QUEUES; q++) {
			front_submit(&f, q, 16);
			front_kick(&f, q);
		}
		if (i % 3 == 0)
			front_complete(&f, 0, 16);
		front_close(&f);
	}
	rig_healthy(&rig);
	rig_stop(&rig);
}

static void v_11_many_connects(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig);
	for (int i = 0; i < 2500; i++) {
		struct front f;

		front_open(&f, &rig);
		if (i % 2)
			front_send(&f, VHOST_USER_GET_FEATURES, FLAGS_PLAIN, NULL, 0, NULL, 0);
		front_close(&f);
	}
	rig_healthy(&rig);
	rig_stop(&rig);
}

/* Between any two messages of a usual start. */
static void v_11_gone_after_any_message(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig);
	for (int stop = 0; stop < 9; stop++) {
		int step = 0;
		struct front f;

		front_open(&f, &rig);
		if (step++ < stop)
			front_negotiate(&f);
		if (step++ < stop)
			front_share_memory(&f);
		for (unsigned q = 0; q < QUEUES; q++) {
			if (step++ < stop) {
				front_ring_setup(&f, q);
				front_ring_start(&f, q);
			}
			if (step++ < stop)
				front_ring_enable(&f, q);
		}
		front_close(&f);
		rig_healthy(&rig);
	}
	rig_stop(&rig);
}

static void stop_drains_before_the_socket_closes(void **state)
{
	struct rig rig;
	struct front f;
	char byte;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_start(&f);
	echo_mode(&rig, ECHO_HOLD);
	for (unsigned q = 0; q < QUEUES; q++) {
		front_submit(&f, q, 8);
		front_kick(&f, q);
	}
	echo_wait_popped(&rig, 8 * QUEUES);
	rig_call(&rig, rig_stop_serving, &rig);
	rig_settle(&rig);
	assert_int_equal(access(rig.path, F_OK), -1);
	assert_int_equal(recv(f.sock, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	echo_release(&rig);
	assert_true(front_closed(&f));
	for (unsigned q = 0; q < QUEUES; q++)
		front_complete(&f, q, 8);
	front_close(&f);
	rig_end(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(serves_every_layout),
		cmocka_unit_test(features_may_be_said_again),
		cmocka_unit_test(status_is_kept_and_0_resets),
		cmocka_unit_test(a_queue_that_starts_to_serve_calls_once),
		cmocka_unit_test(st_d_01_nothing_is_taken_before_driver_ok),
		cmocka_unit_test(reset_device_with_requests_in_flight),
		cmocka_unit_test(config_is_written_where_it_may_be),
		cmocka_unit_test(config_changes_are_told),
		cmocka_unit_test(v_11_a_second_front_end_waits),
		cmocka_unit_test(kb_60_reconnects_with_requests_in_flight),
		cmocka_unit_test(v_11_many_connects),
		cmocka_unit_test(v_11_gone_after_any_message),
		cmocka_unit_test(stop_drains_before_the_socket_closes),
	};

	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/life", tests, NULL, NULL);
}
