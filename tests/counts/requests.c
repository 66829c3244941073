/* SPDX-License-Identifier: MIT */
/*
 * Reads of 4 KiB from a null disk, 32 at a time, driver half and device half in turn on one thread:
 * what a counting tool sees in device_turn(), driver_submit() and driver_reap() is the cost of a
 * request in user space, without a system call and the same in every run.
 *
 *      requests LAYOUT BATCHES        LAYOUT: split, packed, tables
 */
#include "test.h"

#include "pair/rig.h"

#include "base/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH 32

struct batch {
	struct rig *rig;
	unsigned long batches;
	struct vqdrv_buf bufs[DEPTH][3];
};

static __attribute__((noinline)) void driver_submit(struct vqdrv *drv, struct batch *b)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (vqdrv_add(drv, b->bufs[i], 1, 2, b->bufs[i]))
			abort();
	vqdrv_publish(drv);
	vqdrv_needs_kick(drv);
}

static __attribute__((noinline)) unsigned driver_reap(struct vqdrv *drv)
{
	unsigned n = 0;
	uint32_t len;
	void *cookie;

	while (vqdrv_reap(drv, &cookie, &len) > 0)
		n++;
	return n;
}

static __attribute__((noinline)) void device_turn(struct virtio_queue *q)
{
	q->poller.poll(&q->poller);
}

static void run_batches(void *arg)
{
	struct batch *b = arg;
	struct virtio_queue *q = &b->rig->blk->vdev.queues[0];
	struct vqdrv *drv = &b->rig->dev.queues[0].drv;

	vqdrv_calls_off(drv);
	for (unsigned long i = 0; i < b->batches; i++) {
		driver_submit(drv, b);
		for (unsigned done = 0; done < DEPTH; done += driver_reap(drv))
			device_turn(q);
	}
}

int main(int argc, char **argv)
{
	struct storage_options null = {.target = "null:64M"};
	struct rig_options o = {.num = 128, .no_uring = true};
	struct storage *storage;
	struct batch b = {0};
	struct rig rig;

	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "packed"))
		o.without |= BIT64(VIRTIO_F_RING_PACKED);
	if (strcmp(argv[1], "tables"))
		o.without |= BIT64(VIRTIO_F_INDIRECT_DESC);
	o.without |= BIT64(VIRTIO_F_IN_ORDER);
	b.batches = strtoul(argv[2], NULL, 10);
	if (storage_open(&null, &storage, NULL))
		return 1;
	rig_init(&rig, storage, &o);
	b.rig = &rig;
	for (unsigned i = 0; i < DEPTH; i++) {
		uint64_t header = rig_alloc(&rig, 16, 16), data = rig_alloc(&rig, 4096, 4096);
		const struct virtio_blk_req h = {le32_make(VIRTIO_BLK_T_IN), le32_make(0),
						 le64_make(i * 8)};

		memcpy(rig_at(&rig, header), &h, sizeof(h));
		b.bufs[i][0] = (struct vqdrv_buf){header, 16};
		b.bufs[i][1] = (struct vqdrv_buf){data, 4096};
		b.bufs[i][2] = (struct vqdrv_buf){rig_alloc(&rig, 1, 1), 1};
	}
	worker_call(rig.dev.workers[0], run_batches, &b);
	printf("%u a batch\n", DEPTH);
	rig_fini(&rig);
	return 0;
}
