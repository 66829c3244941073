/* SPDX-License-Identifier: MIT */
/*
 * Reads of 4 KiB from a null disk, 32 at a time, driver half and device half in turn on one thread:
 * what a counting tool sees in device_turn(), driver_submit() and driver_reap() is the cost of a
 * request in user space, without a system call and the same in every run.
 *
 *      requests LAYOUT BATCHES        LAYOUT: split, packed, tables
 */
#include "test.h"

#include "counts/batch.h"

#include "base/bits.h"

#include <stdio.h>

static __attribute__((noinline)) void driver_submit(struct vqdrv *drv, struct batch *b)
{
	(void)batch_submit(drv, b);
}

static __attribute__((noinline)) unsigned driver_reap(struct vqdrv *drv)
{
	return batch_reap(drv);
}

static __attribute__((noinline)) void device_turn(struct virtio_queue *q)
{
	q->poller.poll(&q->poller);
}

struct job {
	struct batch batch;
	unsigned long batches;
};

static void run_batches(void *arg)
{
	struct job *job = arg;
	struct vqdrv *drv = batch_drv(&job->batch);

	vqdrv_calls_off(drv);
	for (unsigned long i = 0; i < job->batches; i++) {
		driver_submit(drv, &job->batch);
		for (unsigned done = 0; done < BATCH; done += driver_reap(drv))
			device_turn(batch_queue(&job->batch));
	}
}

int main(int argc, char **argv)
{
	struct rig_options o = {.num = 128, .no_uring = true};
	struct job job = {0};

	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "packed"))
		o.without |= BIT64(VIRTIO_F_RING_PACKED);
	if (strcmp(argv[1], "tables"))
		o.without |= BIT64(VIRTIO_F_INDIRECT_DESC);
	o.without |= BIT64(VIRTIO_F_IN_ORDER);
	job.batches = strtoul(argv[2], NULL, 10);
	if (batch_init(&job.batch, &o))
		return 1;
	worker_call(job.batch.rig.dev.workers[0], run_batches, &job);
	printf("%u a batch\n", BATCH);
	rig_fini(&job.batch.rig);
	return 0;
}
