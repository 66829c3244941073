/* SPDX-License-Identifier: MIT */
/*
 * What a driver can make a queue hold and do at once: memory by requests in flight and by slices,
 * work by descriptors and bytes a turn, whatever the ring's size and the chains' length; and that
 * what waits for the bounds is served.
 */
#include "test.h"

#include "rig.h"

#include "base/atomic.h"

#include <stdlib.h>
#include <string.h>

#define DISK	  (1u << 20)
#define IN_FLIGHT 1024	 /* requests */
#define SLICES	  32768u /* of long chains in flight */
#define DESCS	  1024u	 /* a turn */

static void nothing(void *arg)
{
	(void)arg;
}

/* A turn of the worker has gone by, so that what it may pop it has popped. */
static void let_worker_turn(struct rig *rig)
{
	for (int i = 0; i < 3; i++)
		worker_call(rig->dev.workers[0], nothing, NULL);
}

/* A read of @n pieces of 512 bytes, all of them the same memory. */
static void submit_pieces(struct rig *rig, unsigned queue, struct rig_io *io, unsigned n)
{
	struct vqdrv_buf *bufs = calloc(n + 2, sizeof(*bufs));

	assert_non_null(bufs);
	if (!io->header) {
		io->header = rig_alloc(rig, sizeof(struct virtio_blk_req), 16);
		io->data = rig_alloc(rig, 512, 512);
		io->status = rig_alloc(rig, 1, 1);
	}
	*(uint8_t *)rig_at(rig, io->status) = 0xff;
	bufs[0] = (struct vqdrv_buf){io->header, sizeof(struct virtio_blk_req)};
	for (unsigned i = 1; i <= n; i++)
		bufs[i] = (struct vqdrv_buf){io->data, 512};
	bufs[n + 1] = (struct vqdrv_buf){io->status, 1};
	rig_submit_bufs(rig, queue, io, bufs, 1, n + 1);
	free(bufs);
}

static void finish_all(struct rig *rig, struct rig_io *io, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		assert_true(rig_finish(rig, 0, &io[i]));
		assert_int_equal(rig_status(rig, &io[i]), 0);
	}
}

/* Long tables on small rings, as Windows' viostor makes them. */
static void tables_longer_than_the_ring_are_served(void **state)
{
	static const uint16_t rings[] = {16, 128};
	static const unsigned pieces[] = {126, 127, 512, 1022};

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++)
		for (size_t r = 0; r < ARRAY_SIZE(rings); r++) {
			struct rig_options o = {.num = rings[r], .table = 1024};
			struct rig_io io = {0};
			struct rig rig;

			if (!packed)
				o.without = BIT64(VIRTIO_F_RING_PACKED);
			rig_init(&rig, rig_memory(DISK), &o);
			for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
				submit_pieces(&rig, 0, &io, pieces[i]);
				assert_true(rig_finish(&rig, 0, &io));
				assert_int_equal(rig_status(&rig, &io), 0);
				assert_int_equal(io.used_len, pieces[i] * 512 + 1);
			}
			rig_fini(&rig);
		}
}

static void requests_in_flight_are_bounded(void **state)
{
	const unsigned n = IN_FLIGHT + 100;
	struct rig_options o = {.num = 2048};
	struct rig_io *io = calloc(n, sizeof(*io));

	(void)state;
	assert_non_null(io);
	for (unsigned packed = 0; packed < 2; packed++) {
		struct held_disk *d = held_disk_new(DISK);
		struct rig rig;

		o.without = packed ? 0 : BIT64(VIRTIO_F_RING_PACKED);
		memset(io, 0, n * sizeof(*io));
		d->hold = true;
		rig_init(&rig, &d->storage, &o);
		for (unsigned i = 0; i < n; i++)
			rig_submit(&rig, 0, &io[i], VIRTIO_BLK_T_IN, i, 512, false);
		held_disk_wait(d, IN_FLIGHT);
		let_worker_turn(&rig);
		assert_int_equal(load_acquire(&d->n), IN_FLIGHT);
		/* The rest is popped when these complete, without another kick. */
		rig_release(&rig, d, 0);
		held_disk_wait(d, 100);
		rig_release(&rig, d, 0);
		finish_all(&rig, io, n);
		rig_fini(&rig);
	}
	free(io);
}

static void slices_in_flight_are_bounded(void **state)
{
	/* The last one popped may go beyond. */
	const unsigned pieces = 500, fit = SLICES / pieces + 1, n = fit + 40;
	struct rig_options o = {.num = 128, .table = 512};
	struct held_disk *d = held_disk_new(DISK);
	struct rig_io io[128];
	struct rig rig;

	(void)state;
	memset(io, 0, sizeof(io));
	assert_true(n <= ARRAY_SIZE(io));
	d->hold = true;
	rig_init(&rig, &d->storage, &o);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < n; i++)
			submit_pieces(&rig, 0, &io[i], pieces);
		held_disk_wait(d, fit);
		let_worker_turn(&rig);
		assert_int_equal(load_acquire(&d->n), fit);
		rig_release(&rig, d, 0);
		held_disk_wait(d, n - fit);
		rig_release(&rig, d, 0);
		finish_all(&rig, io, n);
	}
	rig_fini(&rig);
}

/* A reset does not wait for what waits in the ring. */
static void a_reset_at_the_bound_ends(void **state)
{
	struct rig_options o = {.num = 2048};
	struct rig_io *io = calloc(IN_FLIGHT + 10, sizeof(*io));
	struct held_disk *d = held_disk_new(DISK);
	struct rig rig;

	(void)state;
	assert_non_null(io);
	d->hold = true;
	rig_init(&rig, &d->storage, &o);
	for (unsigned i = 0; i < IN_FLIGHT + 10; i++)
		rig_submit(&rig, 0, &io[i], VIRTIO_BLK_T_IN, i, 512, false);
	held_disk_wait(d, IN_FLIGHT);
	virtio_device_reset(&rig.blk->vdev, rig_waiter(&rig));
	let_worker_turn(&rig);
	rig_release(&rig, d, 0);
	assert_int_equal(rig_wait(&rig), 0);
	assert_int_equal(load_acquire(&d->n), 0);
	rig_fini(&rig);
	free(io);
}

/* ---- turns ---- */

/* Both queues become visible to the worker between two turns. */
static void enable_both(void *arg)
{
	struct rig *rig = arg;

	for (unsigned i = 0; i < 2; i++) {
		struct virtio_queue *q = &rig->dev.vdev->queues[i];

		q->enabled = true;
		reactor_poller_stop(q->reactor, &q->poller); /* to its place behind the other */
		reactor_poller_activate(q->reactor, &q->poller);
	}
}

static void a_turn_is_bounded_by_descriptors(void **state)
{
	static const unsigned pieces[] = {1022, 510, 2};

	(void)state;
	for (size_t p = 0; p < ARRAY_SIZE(pieces); p++) {
		struct rig_options o = {.num = 128, .table = 1024, .queues = 2};
		struct held_disk *d = held_disk_new(DISK);
		struct rig_io many[30], one = {0}; /* within what may be in flight */
		unsigned at = 0, before = 0;
		struct rig rig;

		memset(many, 0, sizeof(many));
		d->hold = true;
		rig_init(&rig, &d->storage, &o);
		for (unsigned i = 0; i < 2; i++)
			virtio_queue_set_enabled(&rig.dev.vdev->queues[i], false, rig_waiter(&rig)),
				assert_int_equal(rig_wait(&rig), 0);
		for (size_t i = 0; i < ARRAY_SIZE(many); i++)
			submit_pieces(&rig, 0, &many[i], pieces[p]);
		rig_submit(&rig, 1, &one, VIRTIO_BLK_T_IN, 0, 1024, false);
		worker_call(rig.dev.workers[0], enable_both, &rig);
		held_disk_wait(d, ARRAY_SIZE(many) + 1);
		while (d->held[at]->len != 1024 || d->held[at]->iovcnt != 1)
			at++;
		for (unsigned i = 0; i < at; i++)
			before += (unsigned)d->held[i]->iovcnt + 2;
		assert_true(at);
		assert_true(before < DESCS + pieces[p] + 2);
		rig_release(&rig, d, 0);
		finish_all(&rig, many, ARRAY_SIZE(many));
		assert_true(rig_finish(&rig, 1, &one));
		rig_fini(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_longer_than_the_ring_are_served),
		cmocka_unit_test(requests_in_flight_are_bounded),
		cmocka_unit_test(slices_in_flight_are_bounded),
		cmocka_unit_test(a_reset_at_the_bound_ends),
		cmocka_unit_test(a_turn_is_bounded_by_descriptors),
	};

	return cmocka_run_group_tests_name("pair/blk_bounds", tests, NULL, NULL);
}
