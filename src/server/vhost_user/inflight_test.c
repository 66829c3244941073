/* SPDX-License-Identifier: MIT */
/* The in-flight region, as front ends of good will use it. */
#include "server/vhost_user/rig_test.h"

#include "wire/vhost_user_inflight.h"
#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define SPLIT  0
#define PACKED BIT64(VIRTIO_F_RING_PACKED)

static struct vhost_user_inflight usual(void)
{
	return (struct vhost_user_inflight){.num_queues = QUEUES, .queue_size = RING_NUM};
}

static void start_rings(struct front *f)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		front_ring_start(f, i);
		front_ring_enable(f, i);
	}
}

/* Up to the region being set; *@in and the fd returned describe it. */
static int open_with_region(struct front *f, struct rig *rig, uint64_t features,
			    struct vhost_user_inflight *in)
{
	int fd;

	front_join(f, rig, features);
	*in = usual();
	fd = front_get_inflight(f, in, sizeof(*in));
	assert_true(fd >= 0);
	assert_int_equal(front_set_inflight(f, in, fd), 0);
	for (unsigned i = 0; i < QUEUES; i++)
		front_ring_setup(f, i);
	return fd;
}

/*
 * As QEMU comes back: the same memory, rings and region on another socket, with a
 * base that nobody kept.
 */
static void come_back(struct front *f, struct rig *rig, const struct vhost_user_inflight *in,
		      int fd)
{
	struct front again;

	close(f->sock);
	front_open(&again, rig);
	f->sock = again.sock;
	munmap(again.mem, FRONT_MEM);
	close(again.memfd);
	for (unsigned i = 0; i < QUEUES; i++) {
		close(again.rings[i].kick);
		close(again.rings[i].call);
	}
	front_negotiate(f);
	front_share_memory(f);
	assert_int_equal(front_set_inflight(f, in, fd), 0);
}

static void goes_on_where_the_last_one_ended(void **state)
{
	static const uint64_t sets[] = {SPLIT, PACKED, BIT64(VIRTIO_F_IN_ORDER),
					PACKED | BIT64(VIRTIO_F_EVENT_IDX)};
	struct vhost_user_inflight in;
	struct rig rig;

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		struct front f;
		int fd, fds;

		rig_start(&rig);
		fds = rig.fds;
		fd = open_with_region(&f, &rig, sets[s], &in);
		start_rings(&f);
		for (unsigned round = 0; round < 5; round++) {
			for (unsigned n = 0; n < 100; n++)
				front_echo(&f, n % QUEUES);
			come_back(&f, &rig, &in, fd);
			start_rings(&f);
		}
		for (unsigned n = 0; n < 100; n++)
			front_echo(&f, n % QUEUES);
		front_close(&f);
		close(fd);
		rig.fds = fds;
		rig_stop(&rig);
	}
}

/*
 * The region and the memory as they were while requests were in flight are what a killed back end
 * leaves behind; the rig's own one then ends undisturbed, on other memory.
 */
static void what_was_in_flight_is_done_once(void **state)
{
	static const uint64_t sets[] = {SPLIT, PACKED};
	static uint8_t mem[FRONT_MEM], region[1 << 18];
	struct vhost_user_inflight in;

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		struct rig rig;
		struct front f;
		uint8_t *at;
		int fd, fds;

		rig_start(&rig);
		fds = rig.fds;
		fd = open_with_region(&f, &rig, sets[s], &in);
		assert_true(in.mmap_size <= sizeof(region));
		at = mmap(NULL, in.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_true(at != MAP_FAILED);
		start_rings(&f);
		for (unsigned n = 0; n < 70; n++)
			front_echo(&f, n % QUEUES);
		echo_mode(&rig, ECHO_HOLD);
		for (unsigned i = 0; i < QUEUES; i++) {
			front_submit(&f, i, 8);
			front_kick(&f, i);
		}
		echo_wait_popped(&rig, 70 + 8 * QUEUES);
		memcpy(mem, f.mem, FRONT_MEM);
		memcpy(region, at, in.mmap_size);
		close(f.sock);
		f.sock = -1;
		echo_release(&rig);
		rig.fds +=
			2 +
			2 * QUEUES; /* the front end's: its memory, the region, kicks and calls */
		rig_quiet(&rig);
		memcpy(f.mem, mem, FRONT_MEM);
		memcpy(at, region, in.mmap_size);

		come_back(&f, &rig, &in, fd);
		start_rings(&f);
		for (unsigned i = 0; i < QUEUES; i++)
			front_complete(&f, i, 8);
		assert_int_equal(rig.echo.popped, 70 + 16 * QUEUES);
		for (unsigned n = 0; n < 70; n++)
			front_echo(&f, n % QUEUES);
		front_close(&f);
		munmap(at, in.mmap_size);
		close(fd);
		rig.fds = fds;
		rig_stop(&rig);
	}
}

/* A ring that is stopped before it was ever enabled still owes what was in flight. */
static void a_stop_waits_for_what_was_in_flight(void **state)
{
	static uint8_t mem[FRONT_MEM], region[1 << 18];
	struct vhost_user_inflight in;
	struct rig rig;
	struct front f;
	uint8_t *at;
	int fd, fds;

	(void)state;
	rig_start(&rig);
	fds = rig.fds;
	fd = open_with_region(&f, &rig, SPLIT, &in);
	at = mmap(NULL, in.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	start_rings(&f);
	echo_mode(&rig, ECHO_HOLD);
	front_submit(&f, 0, 8);
	front_kick(&f, 0);
	echo_wait_popped(&rig, 8);
	memcpy(mem, f.mem, FRONT_MEM);
	memcpy(region, at, in.mmap_size);
	close(f.sock);
	f.sock = -1;
	echo_release(&rig);
	rig.fds += 2 + 2 * QUEUES;
	rig_quiet(&rig);
	memcpy(f.mem, mem, FRONT_MEM);
	memcpy(at, region, in.mmap_size);

	come_back(&f, &rig, &in, fd);
	front_ring_start(&f, 0);
	assert_int_equal(front_get_base(&f, 0), 8);
	front_complete(&f, 0, 8);
	front_close(&f);
	munmap(at, in.mmap_size);
	close(fd);
	rig.fds = fds;
	rig_stop(&rig);
}

static void kb_64_get_inflight_in_a_loop(void **state)
{
	struct rig rig;
	struct front f;
	int before;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	before = count_fds();
	for (unsigned n = 0; n < 2000; n++) {
		struct vhost_user_inflight in = usual();
		/* Some front ends send the padding too, and want it back. */
		int fd = front_get_inflight(&f, &in, n % 2 ? 20 : 24);

		assert_true(fd >= 0);
		assert_int_equal(in.num_queues, QUEUES);
		assert_int_equal(in.queue_size, RING_NUM);
		assert_true(in.mmap_size >= QUEUES * inflight_bytes(RING_NUM, true));
		/* Nobody can take it away from anybody. */
		assert_int_equal(ftruncate(fd, 0), -1);
		close(fd);
	}
	assert_true(front_alive(&f)); /* the server has closed what it sent last */
	assert_int_equal(count_fds(), before);
	front_close(&f);
	rig_healthy(&rig);
	rig_stop(&rig);
}

static void look_recorded(void *arg)
{
	struct {
		struct rig *rig;
		unsigned queue;
		bool recorded;
	} *look = arg;

	look->recorded = look->rig->echo.vdev.queues[look->queue].record_mem;
}

/* Asked on the control thread: it lets go of the record when the connection ends. */
static bool is_recorded(struct rig *rig, unsigned queue)
{
	struct {
		struct rig *rig;
		unsigned queue;
		bool recorded;
	} look = {rig, queue, false};

	rig_call(rig, look_recorded, &look);
	return look.recorded;
}

/*
 * QEMU asks for a record of queue-size= entries (128, say), and a driver may make the ring longer:
 * the region has room from the start.
 */
static void a_ring_longer_than_the_record_that_was_asked_for(void **state)
{
	struct vhost_user_inflight in = {.num_queues = QUEUES, .queue_size = 8};
	struct rig rig;
	struct front f;
	int fd;

	(void)state;
	rig_start(&rig);
	front_join(&f, &rig, 0);
	fd = front_get_inflight(&f, &in, sizeof(in));
	assert_true(fd >= 0);
	assert_int_equal(in.queue_size, 8);
	assert_true(in.mmap_size >= QUEUES * inflight_bytes(1024, true));
	assert_int_equal(front_set_inflight(&f, &in, fd), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		front_ring_setup(&f, i);
		front_ring_start(&f, i);
		front_ring_enable(&f, i);
		front_echo(&f, i);
		assert_true(is_recorded(&rig, i));
	}
	front_close(&f);
	close(fd);
	rig_quiet(&rig);
	rig_stop(&rig);
}

/* A region of another's making that is too small for the ring: served all the same, without. */
static void a_record_too_small_for_the_ring(void **state)
{
	struct vhost_user_inflight in = {.mmap_size = QUEUES * inflight_bytes(8, true),
					 .num_queues = QUEUES,
					 .queue_size = 8};
	int fd = inflight_region_fd(in.mmap_size);
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_join(&f, &rig, 0);
	assert_int_equal(front_set_inflight(&f, &in, fd), 0);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	assert_false(is_recorded(&rig, 0));
	front_close(&f);
	close(fd);
	rig_end(&rig);
}

static void kb_73_set_twice_before_the_start(void **state)
{
	static const uint64_t sets[] = {SPLIT, PACKED};
	struct rig rig;

	(void)state;
	rig_start(&rig);
	for (size_t s = 0; s < ARRAY_SIZE(sets); s++) {
		struct vhost_user_inflight in, other = usual();
		struct front f;
		int fd = open_with_region(&f, &rig, sets[s], &in), other_fd;

		other_fd = front_get_inflight(&f, &other, sizeof(other));
		assert_true(other_fd >= 0);
		assert_int_equal(front_set_inflight(&f, &other, other_fd), 0);
		assert_int_equal(front_set_inflight(&f, &in, fd), 0);
		start_rings(&f);
		front_echo(&f, 0);
		/* Not while they run. */
		assert_int_equal(front_set_inflight(&f, &other, other_fd), 1);
		front_echo(&f, 0);
		front_close(&f);
		close(fd);
		close(other_fd);
		rig_quiet(&rig);
	}
	rig_stop(&rig);
}

/* A reset is a new driver: what the record says is not about its ring. */
static void a_reset_lets_go_of_the_region(void **state)
{
	struct vhost_user_inflight in;
	struct rig rig;
	struct front f;
	int fd;

	(void)state;
	rig_start(&rig);
	fd = open_with_region(&f, &rig, PACKED, &in);
	start_rings(&f);
	for (unsigned n = 0; n < 70; n++)
		front_echo(&f, 0);
	assert_int_equal(front_ack(&f, VHOST_USER_RESET_DEVICE, NULL, 0, NULL, 0), 0);
	assert_int_equal(front_ack_u64(&f, VHOST_USER_SET_FEATURES, f.features), 0);
	memset(f.mem, 0, FRONT_MEM);
	for (unsigned i = 0; i < QUEUES; i++)
		front_ring_setup(&f, i);
	start_rings(&f);
	for (unsigned n = 0; n < 70; n++)
		front_echo(&f, 0);
	front_close(&f);
	close(fd);
	rig_quiet(&rig);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_longer_than_the_record_that_was_asked_for),
		cmocka_unit_test(a_record_too_small_for_the_ring),
		cmocka_unit_test(goes_on_where_the_last_one_ended),
		cmocka_unit_test(what_was_in_flight_is_done_once),
		cmocka_unit_test(a_stop_waits_for_what_was_in_flight),
		cmocka_unit_test(kb_64_get_inflight_in_a_loop),
		cmocka_unit_test(kb_73_set_twice_before_the_start),
		cmocka_unit_test(a_reset_lets_go_of_the_region),
	};

	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/inflight", tests, NULL, NULL);
}
