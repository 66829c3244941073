/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "rig.h"

#include "base/atomic.h"
#include "base/clock.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANG_NS	 (20 * NSEC_PER_SEC)
#define INDIRECT 160 /* entries of a table */

struct storage *rig_memory(uint64_t bytes)
{
	char target[40];
	struct storage_options o = {.target = target};
	struct storage *s;

	snprintf(target, sizeof(target), "memory:%llu", (unsigned long long)bytes);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	return s;
}

void rig_init(struct rig *rig, struct storage *storage, const struct rig_options *o)
{
	struct virtio_blk_options blk = {.path = "disk0",
					 .serial = "ringside-rig",
					 .queues = o->queues ? o->queues : 1,
					 .write_through = o->write_through};
	struct device_rig *d = &rig->dev;

	dr_init(d, "rig", 64u << 20, o->workers ? o->workers : 1, !o->no_uring && test_uring());
	d->table_len = o->table ? o->table : INDIRECT;
	assert_int_equal(virtio_blk_create(&rig->blk, &blk, storage, d->home, d->workers,
					   d->n_workers, 0, NULL),
			 0);
	dr_attach(d, &rig->blk->vdev, blk.queues);
	dr_drive(d, dr_features(&rig->blk->vdev, o->features, o->without), o->num ? o->num : 64,
		 o->base);
}

void rig_fini(struct rig *rig)
{
	dr_reset(&rig->dev);
	dr_detach(&rig->dev);
	virtio_blk_destroy(&rig->blk);
	dr_fini(&rig->dev);
}

/* ---- requests ---- */

void rig_submit_bufs(struct rig *rig, unsigned queue, struct rig_io *io,
		     const struct vqdrv_buf *bufs, unsigned readable, unsigned writable)
{
	io->done = false;
	dr_add(&rig->dev, queue, bufs, readable, writable, io);
}

void rig_submit(struct rig *rig, unsigned queue, struct rig_io *io, uint32_t type, uint64_t sector,
		uint64_t len, bool data_readable)
{
	struct virtio_blk_req header = {le32_make(type), le32_make(0), le64_make(sector)};
	struct vqdrv_buf bufs[3];
	unsigned n = 0;

	if (!io->header) {
		io->header = rig_alloc(rig, sizeof(header), 16);
		io->status = rig_alloc(rig, 1, 1);
	}
	if (len > io->len || !io->data) {
		io->data = rig_alloc(rig, len ? len : 1, 512);
		io->len = len;
	}
	memcpy(rig_at(rig, io->header), &header, sizeof(header));
	*(uint8_t *)rig_at(rig, io->status) = 0xff;
	bufs[n++] = (struct vqdrv_buf){io->header, sizeof(header)};
	if (len)
		bufs[n++] = (struct vqdrv_buf){io->data, (uint32_t)len};
	bufs[n++] = (struct vqdrv_buf){io->status, 1};
	rig_submit_bufs(rig, queue, io, bufs, data_readable ? n - 1 : 1, data_readable ? 1 : n - 1);
}

bool rig_finish(struct rig *rig, unsigned queue, struct rig_io *io)
{
	struct dr_queue *rq = &rig->dev.queues[queue];
	uint64_t end = clock_ns() + HANG_NS, count;

	while (!io->done) {
		struct pollfd p = {.fd = rq->call, .events = POLLIN};
		void *cookie;
		uint32_t len;
		int rc;

		while ((rc = vqdrv_reap(&rq->drv, &cookie, &len)) > 0) {
			struct rig_io *done = cookie;

			done->done = true;
			done->used_len = len;
		}
		if (rc < 0 || clock_ns() > end)
			return false;
		if (io->done || vqdrv_calls_on(&rq->drv))
			continue;
		/*
		 * Sleeps only as a guest would: an interrupt that never comes shows as a hang here.
		 */
		if (poll(&p, 1, 200) > 0 && read(rq->call, &count, sizeof(count)) < 0)
			return false;
		vqdrv_calls_off(&rq->drv);
		if (rig->dev.broken || !reactor_fd(rig->dev.home))
			return false;
		reactor_process(rig->dev.home);
		if (rig->dev.broken && !vqdrv_waiting(&rq->drv))
			return false;
	}
	return true;
}

uint8_t rig_status(struct rig *rig, const struct rig_io *io)
{
	return *(uint8_t *)rig_at(rig, io->status);
}

int rig_do(struct rig *rig, unsigned queue, struct rig_io *io, uint32_t type, uint64_t sector,
	   uint64_t len, bool data_readable)
{
	rig_submit(rig, queue, io, type, sector, len, data_readable);
	return rig_finish(rig, queue, io) ? rig_status(rig, io) : -1;
}

int rig_range(struct rig *rig, struct rig_io *io, uint32_t type, uint64_t sector, uint32_t n,
	      uint32_t flags)
{
	struct virtio_blk_range r = {le64_make(sector), le32_make(n), le32_make(flags)};

	if (!io->data) {
		io->data = rig_alloc(rig, 4096, 16);
		io->len = 4096;
	}
	memcpy(rig_at(rig, io->data), &r, sizeof(r));
	return rig_do(rig, 0, io, type, 0, sizeof(r), true);
}

bool rig_healthy(struct rig *rig, unsigned queue)
{
	struct rig_io io = {.len = 0};
	uint8_t pattern[512];
	bool ok;

	rig->dev.broken = 0;
	for (size_t i = 0; i < sizeof(pattern); i++)
		pattern[i] = (uint8_t)(i * 7 + queue);
	io.data = rig_alloc(rig, 512, 512);
	io.len = 512;
	memcpy(rig_at(rig, io.data), pattern, 512);
	ok = rig_do(rig, queue, &io, VIRTIO_BLK_T_OUT, queue, 512, true) == 0;
	memset(rig_at(rig, io.data), 0, 512);
	ok = ok && rig_do(rig, queue, &io, VIRTIO_BLK_T_IN, queue, 512, false) == 0;
	return ok && !memcmp(rig_at(rig, io.data), pattern, 512) && io.used_len == 513;
}
