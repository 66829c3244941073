/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "rig.h"

#include "base/atomic.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define HANG_NS (20 * NSEC_PER_SEC)

uint64_t rig_alloc(struct rig *rig, uint64_t bytes, uint64_t align)
{
	uint64_t at = align_up(rig->used, align);

	assert_true(at + bytes <= rig->ram_size);
	rig->used = at + bytes;
	return RIG_BASE + at;
}

void *rig_at(struct rig *rig, uint64_t gpa)
{
	assert_true(gpa >= RIG_BASE && gpa < RIG_BASE + rig->ram_size);
	return rig->ram + (gpa - RIG_BASE);
}

static void waiter_done(struct virtio_waiter *w)
{
	container_of(w, struct rig, waiter)->waiter_done = true;
}

struct virtio_waiter *rig_waiter(struct rig *rig)
{
	rig->waiter = (struct virtio_waiter){.done = waiter_done};
	rig->waiter_done = false;
	return &rig->waiter;
}

void rig_pump(struct rig *rig)
{
	struct pollfd p = {.fd = reactor_fd(rig->home), .events = POLLIN};

	poll(&p, 1, 1);
	reactor_process(rig->home);
}

int rig_wait(struct rig *rig)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (!rig->waiter_done && clock_ns() < end)
		rig_pump(rig);
	assert_true(rig->waiter_done);
	return rig->waiter.rc;
}

static void on_config_changed(struct virtio_bus *bus)
{
	container_of(bus, struct rig, bus)->config_changes++;
}

static void on_queue_broken(struct virtio_bus *bus, struct virtio_queue *q)
{
	(void)q;
	container_of(bus, struct rig, bus)->broken++;
}

static const struct virtio_bus_ops rig_bus_ops = {
	.config_changed = on_config_changed,
	.queue_broken = on_queue_broken,
};

struct storage *rig_memory(uint64_t bytes)
{
	char target[40];
	struct storage_options o = {.target = target};
	struct storage *s;

	snprintf(target, sizeof(target), "memory:%llu", (unsigned long long)bytes);
	assert_int_equal(storage_open(&o, &s, NULL), 0);
	return s;
}

void rig_start_queue(struct rig *rig, unsigned i, uint16_t num, uint32_t base)
{
	struct rig_queue *rq = &rig->queues[i];
	struct virtio_device *vdev = &rig->blk->vdev;
	struct vring_config *c = &rq->config;
	struct vqdrv_config d = {.num = num};

	*c = (struct vring_config){
		.num = num,
		.packed = virtio_device_has(vdev, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_device_has(vdev, VIRTIO_F_EVENT_IDX),
		.indirect = virtio_device_has(vdev, VIRTIO_F_INDIRECT_DESC),
		.in_order = virtio_device_has(vdev, VIRTIO_F_IN_ORDER),
	};
	c->base = base ? base : vring_base_initial(c->packed);
	c->desc = gpa(rig_alloc(rig, vring_desc_bytes(c), 16));
	c->driver = gpa(rig_alloc(rig, vring_driver_bytes(c), 4));
	c->device = gpa(rig_alloc(rig, vring_device_bytes(c), 4));
	d.packed = c->packed;
	d.event_idx = c->event_idx;
	d.indirect = c->indirect;
	d.in_order = c->in_order;
	d.desc = rig_at(rig, c->desc.v);
	d.driver = rig_at(rig, c->driver.v);
	d.device = rig_at(rig, c->device.v);
	free(rq->state);
	rq->state = calloc(1, vqdrv_state_bytes(num));
	assert_non_null(rq->state);
	d.state = rq->state;
	if (c->indirect) {
		d.table_len = RIG_TABLE;
		d.tables_addr = rig_alloc(rig, vqdrv_tables_bytes(num, RIG_TABLE), 16);
		d.tables = rig_at(rig, d.tables_addr);
	}
	assert_int_equal(vqdrv_init(&rq->drv, &d), 0);
	assert_int_equal(virtio_queue_start(&vdev->queues[i], c, rig->mem, rig_waiter(rig)), 0);
	assert_int_equal(rig_wait(rig), 0);
}

void rig_init(struct rig *rig, struct storage *storage, const struct rig_options *o)
{
	struct virtio_blk_options blk = {.path = "disk0", .serial = "ringside-rig"};
	struct reactor_config epoll = {.uring = false};
	uint64_t features;

	memset(rig, 0, sizeof(*rig));
	rig->n_queues = o->queues ? o->queues : 1;
	rig->n_workers = o->workers ? o->workers : 1;
	rig->ram_size = 64u << 20;
	rig->ram = mmap(NULL, rig->ram_size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(rig->ram != MAP_FAILED);
	assert_int_equal(
		gmem_with_host(NULL, RIG_BASE, rig->ram_size, 0, rig->ram, &rig->mem, NULL), 0);
	assert_int_equal(reactor_create(&rig->home, &epoll, NULL), 0);
	for (unsigned i = 0; i < rig->n_workers; i++) {
		struct worker_config w = {.name = "rig", .reactor.uring = !o->no_uring, .cpu = -1};

		assert_int_equal(worker_create(&rig->workers[i], &w, NULL), 0);
	}
	blk.queues = rig->n_queues;
	blk.write_through = o->write_through;
	assert_int_equal(virtio_blk_create(&rig->blk, &blk, storage, rig->home, rig->workers,
					   rig->n_workers, 0, NULL),
			 0);
	rig->bus.name = "rig";
	rig->bus.ops = &rig_bus_ops;
	assert_int_equal(virtio_bus_attach(&rig->bus, &rig->blk->vdev, NULL), 0);

	features = (o->features ? o->features & rig->blk->vdev.offered : rig->blk->vdev.offered) &
		   ~o->without;
	assert_int_equal(virtio_device_set_features(&rig->blk->vdev, features), 0);
	virtio_device_set_status(&rig->blk->vdev, 15);
	assert_int_equal(rig->blk->vdev.status, 15);
	for (unsigned i = 0; i < rig->n_queues; i++) {
		struct virtio_queue *q = &rig->blk->vdev.queues[i];
		struct rig_queue *rq = &rig->queues[i];

		rq->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		rq->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_int_equal(virtio_queue_set_kick(q, dup(rq->kick), NULL), 0);
		assert_int_equal(virtio_queue_set_call(q, dup(rq->call), NULL), 0);
		assert_int_equal(virtio_queue_set_enabled(q, true, NULL), 0);
		rig_start_queue(rig, i, o->num ? o->num : 64, o->base);
	}
}

void rig_fini(struct rig *rig)
{
	assert_int_equal(virtio_device_reset(&rig->blk->vdev, rig_waiter(rig)), 0);
	rig_wait(rig);
	virtio_bus_detach(&rig->bus);
	virtio_blk_destroy(&rig->blk);
	for (unsigned i = 0; i < rig->n_workers; i++)
		worker_destroy(&rig->workers[i]);
	rig_pump(rig);
	reactor_destroy(&rig->home);
	for (unsigned i = 0; i < rig->n_queues; i++) {
		close(rig->queues[i].kick);
		close(rig->queues[i].call);
		free(rig->queues[i].state);
	}
	gmem_put(rig->mem);
	munmap(rig->ram, rig->ram_size);
}

/* ---- requests ---- */

void rig_submit_bufs(struct rig *rig, unsigned queue, struct rig_io *io,
		     const struct vqdrv_buf *bufs, unsigned readable, unsigned writable)
{
	struct rig_queue *rq = &rig->queues[queue];
	uint64_t one = 1;

	io->done = false;
	assert_int_equal(vqdrv_add(&rq->drv, bufs, readable, writable, io), 0);
	vqdrv_publish(&rq->drv);
	if (vqdrv_needs_kick(&rq->drv))
		assert_int_equal(write(rq->kick, &one, sizeof(one)), sizeof(one));
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
	struct rig_queue *rq = &rig->queues[queue];
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
		if (rig->broken || !reactor_fd(rig->home))
			return false;
		reactor_process(rig->home);
		if (rig->broken && !vqdrv_waiting(&rq->drv))
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

	rig->broken = 0;
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

/* ---- the disk that holds ---- */

static void held_perform(struct held_disk *d, struct storage_io *io, int err)
{
	uint64_t at = io->offset;

	for (int i = 0; !err && i < io->iovcnt && io->op <= STORAGE_WRITE; i++) {
		if (io->op == STORAGE_READ)
			memcpy(io->iov[i].iov_base, d->bytes + at, io->iov[i].iov_len);
		else
			memcpy(d->bytes + at, io->iov[i].iov_base, io->iov[i].iov_len);
		at += io->iov[i].iov_len;
	}
	if (!err && io->op > STORAGE_FLUSH)
		memset(d->bytes + io->offset, 0, io->len);
	io->done(io, err);
}

static void held_submit(struct storage_channel *ch, struct storage_io *io)
{
	struct held_disk *d = container_of(ch->storage, struct held_disk, storage);

	if (io->op == STORAGE_FLUSH)
		__atomic_add_fetch(&d->flushes, 1, __ATOMIC_RELAXED);
	else if (io->op != STORAGE_READ)
		__atomic_add_fetch(io->flags & STORAGE_FUA ? &d->fua : &d->rest, 1,
				   __ATOMIC_RELAXED);
	if (!read_once(&d->hold)) {
		held_perform(d, io, 0);
		return;
	}
	assert_true(d->n < HELD_MAX);
	d->held[d->n] = io;
	store_release(&d->n, d->n + 1);
}

static int held_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			     struct error *err)
{
	struct held_disk *d = container_of(s, struct held_disk, storage);

	(void)err;
	d->channel.storage = s;
	d->channel.reactor = r;
	*out = &d->channel;
	return 0;
}

static void held_channel_close(struct storage_channel *ch)
{
	(void)ch;
}

static void held_close(struct storage *s)
{
	struct held_disk *d = container_of(s, struct held_disk, storage);

	free(d->bytes);
	free(d);
}

static const struct storage_engine_ops held_ops = {
	.name = "held",
	.close = held_close,
	.channel_open = held_channel_open,
	.channel_close = held_channel_close,
	.submit = held_submit,
};

struct held_disk *held_disk_new(uint64_t bytes)
{
	struct held_disk *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->bytes = calloc(1, bytes);
	assert_non_null(d->bytes);
	d->storage.ops = &held_ops;
	d->storage.size = bytes;
	d->storage.limits = (struct storage_limits){
		.block_size = 512,
		.physical_block_size = 512,
		.max_discard = 1u << 30,
		.discard_alignment = 512,
		.max_write_zeroes = 1u << 30,
		.write_zeroes_unmaps = true,
		.volatile_cache = true,
	};
	return d;
}

struct release {
	struct held_disk *d;
	int err;
};

static void release_on_worker(void *arg)
{
	struct release *r = arg;
	unsigned n = r->d->n;

	store_release(&r->d->n, 0);
	for (unsigned i = 0; i < n; i++)
		held_perform(r->d, r->d->held[i], r->err);
}

void held_disk_release(struct rig *rig, struct held_disk *d, int err)
{
	struct release r = {d, err};

	worker_call(rig->workers[0], release_on_worker, &r);
}

void held_disk_wait(struct held_disk *d, unsigned n)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (load_acquire(&d->n) < n && clock_ns() < end)
		usleep(100);
	assert_true(load_acquire(&d->n) >= n);
}
