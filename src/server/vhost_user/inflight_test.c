/* SPDX-License-Identifier: MIT */
/* The in-flight region, as front ends of good and of bad will use it. */
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

/*
 * GET_INFLIGHT_FD with a payload of @len bytes: the answer in @in, its fd; -1: the
 * back end has closed.
 */
static int get_inflight(struct front *f, struct vhost_user_inflight *in, uint32_t len)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct vhost_user_header h;
	struct iovec iov[2] = {{&h, sizeof(h)}, {in, len}};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	front_send(f, VHOST_USER_GET_INFLIGHT_FD, FLAGS_PLAIN, in, len, NULL, 0);
	if (recvmsg(f->sock, &msg, MSG_CMSG_CLOEXEC | MSG_WAITALL) != (ssize_t)(sizeof(h) + len))
		return -1;
	assert_int_equal(h.request, VHOST_USER_GET_INFLIGHT_FD);
	assert_int_equal(h.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	assert_int_equal(h.size, len);
	assert_non_null(CMSG_FIRSTHDR(&msg));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static int set_inflight(struct front *f, const struct vhost_user_inflight *in, int fd)
{
	return front_ack(f, VHOST_USER_SET_INFLIGHT_FD, in, sizeof(*in), &fd, fd < 0 ? 0 : 1);
}

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

	front_open(f, rig);
	f->features |= features;
	front_negotiate(f);
	front_share_memory(f);
	*in = usual();
	fd = get_inflight(f, in, sizeof(*in));
	assert_true(fd >= 0);
	assert_int_equal(set_inflight(f, in, fd), 0);
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
	assert_int_equal(set_inflight(f, in, fd), 0);
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
		int fd = get_inflight(&f, &in, n % 2 ? 20 : 24);

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

static int region_fd(uint64_t size)
{
	int fd = memfd_create("region", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_false(ftruncate(fd, (off_t)size));
	return fd;
}

static void kb_65_counts_and_sizes_that_do_not_fit(void **state)
{
	const uint64_t need = QUEUES * inflight_bytes(RING_NUM, false);
	const struct vhost_user_inflight bad[] = {
		{need, 0, 0, RING_NUM},
		{need, 0, QUEUES + 1, RING_NUM},
		{need, 0, 0xffff, RING_NUM},
		{need, 0, QUEUES, 0},
		{need, 0, QUEUES, 0xffff},
		{need, 0, QUEUES, RING_NUM + 8},
		{need - 1, 0, QUEUES, RING_NUM},
		{0, 0, QUEUES, RING_NUM},
		{need, 64, QUEUES, RING_NUM},
		{need + 1, 0, QUEUES, RING_NUM},
		{need, 8, QUEUES, RING_NUM},
		{UINT64_MAX, 64, QUEUES, RING_NUM},
		{need, UINT64_MAX - 63, QUEUES, RING_NUM},
	};
	int fd = region_fd(need), pipes[2];
	struct rig rig;
	struct front f;

	(void)state;
	assert_false(pipe2(pipes, O_CLOEXEC));
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(set_inflight(&f, &bad[i], fd), 1);
	assert_int_equal(
		set_inflight(&f, &(struct vhost_user_inflight){need, 0, QUEUES, RING_NUM}, -1), 1);
	assert_int_equal(set_inflight(&f, &(struct vhost_user_inflight){need, 0, QUEUES, RING_NUM},
				      pipes[0]),
			 1);
	assert_true(front_alive(&f));
	/* Big enough for a split ring only. */
	assert_int_equal(
		set_inflight(&f, &(struct vhost_user_inflight){need, 0, QUEUES, RING_NUM}, fd), 0);
	front_close(&f);

	for (size_t i = 0; i < 5; i++) {
		struct vhost_user_inflight in = bad[i];

		if (in.num_queues == QUEUES + 1) /* too many, but no harm */
			continue;
		front_open(&f, &rig);
		front_negotiate(&f);
		assert_int_equal(get_inflight(&f, &in, sizeof(in)), -1);
		front_close(&f);
	}
	rig_quiet(&rig);
	rig_healthy(&rig);
	rig_stop(&rig);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
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
	front_open(&f, &rig);
	front_negotiate(&f);
	front_share_memory(&f);
	fd = get_inflight(&f, &in, sizeof(in));
	assert_true(fd >= 0);
	assert_int_equal(in.queue_size, 8);
	assert_true(in.mmap_size >= QUEUES * inflight_bytes(1024, true));
	assert_int_equal(set_inflight(&f, &in, fd), 0);
	for (unsigned i = 0; i < QUEUES; i++) {
		front_ring_setup(&f, i);
		front_ring_start(&f, i);
		front_ring_enable(&f, i);
		front_echo(&f, i);
		/* With a record. */
		assert_non_null(rig.echo.vdev.queues[i].record_mem);
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
	int fd = region_fd(in.mmap_size);
	struct rig rig;
	struct front f;

	(void)state;
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	front_share_memory(&f);
	assert_int_equal(set_inflight(&f, &in, fd), 0);
	front_ring_setup(&f, 0);
	front_ring_start(&f, 0);
	front_ring_enable(&f, 0);
	front_echo(&f, 0);
	assert_null(rig.echo.vdev.queues[0].record_mem);
	front_close(&f);
	close(fd);
	rig_end(&rig);
}

/* The ring does not start, and whatever is beside its part of the region stays as it was. */
static void start_fails(struct rig *rig, uint64_t features, void (*spoil)(void *part))
{
	uint64_t part = inflight_bytes(RING_NUM, features != 0), size = 4 * part;
	struct vhost_user_inflight in = {.mmap_size = 2 * part,
					 .mmap_offset = 4096,
					 .num_queues = 2,
					 .queue_size = RING_NUM};
	int fd = region_fd(size + 4096);
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front f;
	uint8_t *at = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(at != MAP_FAILED);
	memset(at, 0xa5, size + 4096);
	memset(at + 4096, 0, part);
	spoil(at + 4096);
	front_open(&f, rig);
	f.features |= features;
	front_negotiate(&f);
	front_share_memory(&f);
	assert_int_equal(set_inflight(&f, &in, fd), 0);
	front_ring_setup(&f, 0);
	assert_int_equal(front_ack_state(&f, VHOST_USER_SET_VRING_NUM, 0, RING_NUM), 0);
	assert_int_equal(front_ack(&f, VHOST_USER_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
	assert_int_equal(front_ack_fd(&f, VHOST_USER_SET_VRING_KICK, 0, f.rings[0].kick), 1);
	assert_true(front_alive(&f));
	for (uint64_t i = 0; i < 4096; i++)
		assert_int_equal(at[i], 0xa5);
	for (uint64_t i = 4096 + part; i < size + 4096; i++)
		assert_int_equal(at[i], 0xa5);
	front_close(&f);
	munmap(at, size + 4096);
	close(fd);
	rig_quiet(rig);
}

static void split_head(void *part)
{
	struct inflight_split *r = part;

	r->version = INFLIGHT_VERSION;
	r->desc_num = RING_NUM;
}

static void split_version(void *part)
{
	split_head(part);
	((struct inflight_split *)part)->version = 2;
}

static void split_size(void *part)
{
	split_head(part);
	((struct inflight_split *)part)->desc_num = RING_NUM * 2;
}

static void split_used(void *part)
{
	split_head(part);
	((struct inflight_split *)part)->used_idx = 100;
}

static void split_batch_head(void *part)
{
	split_head(part);
	((struct inflight_split *)part)->used_idx = 0xffff;
	((struct inflight_split *)part)->last_batch_head = 0xfffe;
}

static void split_batch_loop(void *part)
{
	split_head(part);
	((struct inflight_split *)part)->used_idx = 0xfffe;
}

static void packed_head(void *part)
{
	struct inflight_packed *r = part;

	r->heads.version = INFLIGHT_VERSION;
	r->heads.desc_num = RING_NUM;
	for (uint16_t i = 0; i < RING_NUM; i++)
		r->desc[i].next = (uint16_t)(i + 1);
}

static void packed_used(void *part)
{
	struct inflight_packed *r = part;

	packed_head(part);
	r->places.used_idx = r->places.old_used_idx = RING_NUM;
}

static void packed_wrap(void *part)
{
	packed_head(part);
	((struct inflight_packed *)part)->places.old_used_wrap = 2;
}

static void packed_free_loop(void *part)
{
	packed_head(part);
	((struct inflight_packed *)part)->desc[RING_NUM - 1].next = 0;
}

static void packed_free_short(void *part)
{
	packed_head(part);
	((struct inflight_packed *)part)->desc[3].next = 0xffff;
}

static void packed_chain(struct inflight_packed *r, uint16_t num, uint16_t last)
{
	packed_head(r);
	r->heads.free_head = r->heads.old_free_head = 4;
	r->desc[0].inflight = 1;
	r->desc[0].num = num;
	r->desc[0].last = last;
}

static void packed_chain_empty(void *part)
{
	packed_chain(part, 0, 3);
}

static void packed_chain_long(void *part)
{
	packed_chain(part, 0xffff, 3);
}

static void packed_chain_loop(void *part)
{
	packed_chain(part, 4, 3);
	((struct inflight_packed *)part)->desc[2].next = 1;
}

static void packed_chain_outside(void *part)
{
	packed_chain(part, 4, 0xfff0);
	((struct inflight_packed *)part)->desc[2].next = 0xfff0;
}

static void kb_65_v_10_garbage_in_the_region(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig);
	start_fails(&rig, SPLIT, split_version);
	start_fails(&rig, SPLIT, split_size);
	start_fails(&rig, SPLIT, split_used);
	start_fails(&rig, SPLIT, split_batch_head);
	start_fails(&rig, SPLIT, split_batch_loop);
	start_fails(&rig, PACKED, packed_used);
	start_fails(&rig, PACKED, packed_wrap);
	start_fails(&rig, PACKED, packed_free_loop);
	start_fails(&rig, PACKED, packed_free_short);
	start_fails(&rig, PACKED, packed_chain_empty);
	start_fails(&rig, PACKED, packed_chain_long);
	start_fails(&rig, PACKED, packed_chain_loop);
	start_fails(&rig, PACKED, packed_chain_outside);
	rig_healthy(&rig);
	rig_stop(&rig);
}

/* In flight it says, and in the ring there is nothing: the queue breaks, the server stays. */
static void v_10_chains_that_never_were(void **state)
{
	struct rig rig;

	(void)state;
	rig_start(&rig);
	for (unsigned n = 0; n < 2; n++) {
		struct vhost_user_inflight in;
		struct front f;
		int fd = open_with_region(&f, &rig, n ? PACKED : SPLIT, &in);
		uint8_t *at;

		/* One without room to spare instead. */
		close(fd);
		in.mmap_size = QUEUES * inflight_bytes(RING_NUM, true);
		fd = region_fd(in.mmap_size);
		at = mmap(NULL, in.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_true(at != MAP_FAILED);
		assert_int_equal(set_inflight(&f, &in, fd), 0);
		if (n) {
			packed_chain((struct inflight_packed *)(void *)at, 4, 3);
		} else {
			struct inflight_split *r = (void *)at;

			split_head(r);
			for (unsigned i = 0; i < RING_NUM; i++) {
				r->desc[i].inflight = 0xff;
				r->desc[i].counter = UINT64_MAX - i / 2;
				/* A loop of descriptors, too. */
				((struct virtq_desc *)(void *)f.mem)[i] = (struct virtq_desc){
					.flags = le16_make(VIRTQ_DESC_F_NEXT)};
			}
		}
		front_ring_start(&f, 0);
		front_ring_enable(&f, 0);
		front_get_base(&f, 0);
		assert_true(front_alive(&f));
		front_close(&f);
		munmap(at, in.mmap_size);
		close(fd);
		rig_quiet(&rig);
	}
	rig_healthy(&rig);
	rig_stop(&rig);
}

/* The front end's own memory, not sealed: it is shortened while the rings run. */
static void v_10_region_is_taken_away(void **state)
{
	const uint64_t size = QUEUES * inflight_bytes(RING_NUM, true);
	struct vhost_user_inflight in = {size, 0, QUEUES, RING_NUM};
	struct error err;
	struct rig rig;

	(void)state;
	assert_int_equal(gmem_guard_install(&err), 0);
	rig_start(&rig);
	for (unsigned n = 0; n < 2; n++) {
		int fd = region_fd(size);
		struct front f;

		front_open(&f, &rig);
		f.features |= n ? PACKED : SPLIT;
		front_negotiate(&f);
		front_share_memory(&f);
		assert_int_equal(set_inflight(&f, &in, fd), 0);
		/*
		 * One ring, for ThreadSanitizer's sake: pages put where some were lost look to it
		 * like a race of the workers.
		 */
		front_ring_setup(&f, 0);
		front_ring_start(&f, 0);
		front_ring_enable(&f, 0);
		front_echo(&f, 0);
		assert_false(ftruncate(fd, 0));
		front_submit(&f, 0, 1);
		front_kick(&f, 0);
		front_get_base(&f, 0);
		assert_true(front_alive(&f));
		front_close(&f);
		close(fd);
		rig_quiet(&rig);
	}
	rig_healthy(&rig);
	rig_stop(&rig);
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

		other_fd = get_inflight(&f, &other, sizeof(other));
		assert_true(other_fd >= 0);
		assert_int_equal(set_inflight(&f, &other, other_fd), 0);
		assert_int_equal(set_inflight(&f, &in, fd), 0);
		start_rings(&f);
		front_echo(&f, 0);
		/* Not while they run. */
		assert_int_equal(set_inflight(&f, &other, other_fd), 1);
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
		cmocka_unit_test(kb_65_counts_and_sizes_that_do_not_fit),
		cmocka_unit_test(kb_65_v_10_garbage_in_the_region),
		cmocka_unit_test(v_10_chains_that_never_were),
		cmocka_unit_test(v_10_region_is_taken_away),
		cmocka_unit_test(kb_73_set_twice_before_the_start),
		cmocka_unit_test(a_reset_lets_go_of_the_region),
	};

	return cmocka_run_group_tests_name("server/vhost_user/inflight", tests, NULL, NULL);
}
