/* SPDX-License-Identifier: MIT */
/* The in-flight region, as front ends of bad will use it. */
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
	int fd = inflight_region_fd(need), pipes[2];
	struct rig rig;
	struct front f;

	(void)state;
	assert_false(pipe2(pipes, O_CLOEXEC));
	rig_start(&rig);
	front_open(&f, &rig);
	front_negotiate(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(front_set_inflight(&f, &bad[i], fd), 1);
	assert_int_equal(front_set_inflight(
				 &f, &(struct vhost_user_inflight){need, 0, QUEUES, RING_NUM}, -1),
			 1);
	assert_int_equal(
		front_set_inflight(&f, &(struct vhost_user_inflight){need, 0, QUEUES, RING_NUM},
				   pipes[0]),
		1);
	assert_true(front_alive(&f));
	/* Big enough for a split ring only. */
	assert_int_equal(front_set_inflight(
				 &f, &(struct vhost_user_inflight){need, 0, QUEUES, RING_NUM}, fd),
			 0);
	front_close(&f);

	for (size_t i = 0; i < 5; i++) {
		struct vhost_user_inflight in = bad[i];

		if (in.num_queues == QUEUES + 1) /* too many, but no harm */
			continue;
		front_open(&f, &rig);
		front_negotiate(&f);
		assert_int_equal(front_get_inflight(&f, &in, sizeof(in)), -1);
		front_close(&f);
	}
	rig_quiet(&rig);
	rig_healthy(&rig);
	rig_stop(&rig);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

/* The ring does not start, and whatever is beside its part of the region stays as it was. */
static void start_fails(struct rig *rig, uint64_t features, void (*spoil)(void *part))
{
	uint64_t part = inflight_bytes(RING_NUM, features != 0), size = 4 * part;
	struct vhost_user_inflight in = {.mmap_size = 2 * part,
					 .mmap_offset = 4096,
					 .num_queues = 2,
					 .queue_size = RING_NUM};
	int fd = inflight_region_fd(size + 4096);
	struct vhost_user_vring_addr addr = front_ring_addr(0);
	struct front f;
	uint8_t *at = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_true(at != MAP_FAILED);
	memset(at, 0xa5, size + 4096);
	memset(at + 4096, 0, part);
	spoil(at + 4096);
	front_join(&f, rig, features);
	assert_int_equal(front_set_inflight(&f, &in, fd), 0);
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
		/* Without room to spare. */
		const struct vhost_user_inflight in = {
			.mmap_size = QUEUES * inflight_bytes(RING_NUM, true),
			.num_queues = QUEUES,
			.queue_size = RING_NUM,
		};
		int fd = inflight_region_fd(in.mmap_size);
		struct front f;
		uint8_t *at;

		front_join(&f, &rig, n ? PACKED : SPLIT);
		for (unsigned i = 0; i < QUEUES; i++)
			front_ring_setup(&f, i);
		at = mmap(NULL, in.mmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		assert_true(at != MAP_FAILED);
		assert_int_equal(front_set_inflight(&f, &in, fd), 0);
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
		int fd = inflight_region_fd(size);
		struct front f;

		front_join(&f, &rig, n ? PACKED : SPLIT);
		assert_int_equal(front_set_inflight(&f, &in, fd), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kb_65_counts_and_sizes_that_do_not_fit),
		cmocka_unit_test(kb_65_v_10_garbage_in_the_region),
		cmocka_unit_test(v_10_chains_that_never_were),
		cmocka_unit_test(v_10_region_is_taken_away),
	};

	rig_setup();
	return cmocka_run_group_tests_name("server/vhost_user/inflight_bad", tests, NULL, NULL);
}
