/* SPDX-License-Identifier: MIT */
/*
 * What the device half pays in system calls for requests that come 32 at a time from a driver that
 * sleeps until it is called: one call for all of them, and one to wait for the next.  Counted, not
 * timed: driver and worker take turns on one thread.
 */
#include "test.h"

#include "counts/batch.h"

#include "backend/virtio/device.h"
#include "base/bits.h"

#define BATCHES 100

struct counted {
	struct batch batch;
	uint64_t system_calls, calls;
	bool reactor_is_uring;
};

static void run_batch(struct batch *b)
{
	struct vqdrv *drv = batch_drv(b);
	struct virtio_queue *q = batch_queue(b);
	unsigned done = 0;

	/* Nothing has come back since it asked: it sleeps. */
	assert_false(vqdrv_calls_on(drv));
	(void)batch_submit(drv, b);
	reactor_poller_activate(q->reactor, &q->poller);
	/* It would wake up after the first; what is counted is the device. */
	while (done < BATCH) {
		reactor_turn(q->reactor);
		done += batch_reap(drv);
	}
}

static void run_batches(void *arg)
{
	struct counted *c = arg;
	const struct virtio_queue *q = batch_queue(&c->batch);
	const struct reactor_stats *stats = reactor_stats(q->reactor);
	uint64_t before, calls;

	c->reactor_is_uring = reactor_is_uring(q->reactor);
	/* What the start left over. */
	run_batch(&c->batch);
	before = stats->syscalls;
	calls = q->calls;
	for (unsigned i = 0; i < BATCHES; i++)
		run_batch(&c->batch);
	c->system_calls = stats->syscalls - before;
	c->calls = q->calls - calls;
}

static void count(bool packed, bool peer)
{
	struct rig_options o = {.num = 128, .without = BIT64(VIRTIO_F_IN_ORDER)};
	struct counted c = {0};
	uint64_t all;

	if (!packed)
		o.without |= BIT64(VIRTIO_F_RING_PACKED);
	assert_int_equal(batch_init(&c.batch, &o), 0);
	/* A peer's call fd is signalled by a system call of its own. */
	batch_queue(&c.batch)->call.foreign = peer;
	worker_call(c.batch.rig.dev.workers[0], run_batches, &c);
	if (!c.reactor_is_uring) {
		print_message("io_uring cannot be used here\n");
		rig_fini(&c.batch.rig);
		skip();
	}
	all = c.system_calls + (peer ? c.calls : 0);
	assert_int_equal(c.calls, BATCHES);
	/* With the one that waits: 1/16 of a request. */
	if (all > BATCHES)
		fail_msg("%llu system calls for %u batches", (unsigned long long)all, BATCHES);
	rig_fini(&c.batch.rig);
}

static void one_call_and_one_wait_for_32_requests(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (int peer = 0; peer < 2; peer++)
			count(packed, peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_call_and_one_wait_for_32_requests),
	};

	return cmocka_run_group_tests_name("counts/syscalls", tests, NULL, NULL);
}
