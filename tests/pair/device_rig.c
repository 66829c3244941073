/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "device_rig.h"

#include "base/clock.h"
#include "wire/virtio.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define HANG_NS (20 * NSEC_PER_SEC)

/* ---- memory and time ---- */

uint64_t dr_alloc(struct device_rig *d, uint64_t bytes, uint64_t align)
{
	uint64_t at = align_up(d->used, align);

	assert_true(at + bytes <= d->ram_size);
	d->used = at + bytes;
	return DR_BASE + at;
}

void *dr_at(struct device_rig *d, uint64_t at)
{
	assert_true(at >= DR_BASE && at < DR_BASE + d->ram_size);
	return d->ram + (at - DR_BASE);
}

static void waiter_done(struct virtio_waiter *w)
{
	container_of(w, struct device_rig, waiter)->waiter_done = true;
}

struct virtio_waiter *dr_waiter(struct device_rig *d)
{
	d->waiter = (struct virtio_waiter){.done = waiter_done};
	d->waiter_done = false;
	return &d->waiter;
}

void dr_pump(struct device_rig *d)
{
	struct pollfd p = {.fd = reactor_fd(d->home), .events = POLLIN};

	poll(&p, 1, 1);
	reactor_process(d->home);
}

int dr_wait(struct device_rig *d)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (!d->waiter_done && clock_ns() < end)
		dr_pump(d);
	assert_true(d->waiter_done);
	return d->waiter.rc;
}

/* ---- rings ---- */

void dr_start_queue(struct device_rig *d, unsigned i, uint16_t num, uint32_t base)
{
	struct dr_queue *q = &d->queues[i];
	struct vring_config *c = &q->config;
	struct vqdrv_config v = {.num = num};

	*c = (struct vring_config){
		.num = num,
		.packed = virtio_device_has(d->vdev, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_device_has(d->vdev, VIRTIO_F_EVENT_IDX),
		.indirect = virtio_device_has(d->vdev, VIRTIO_F_INDIRECT_DESC),
		.in_order = virtio_device_has(d->vdev, VIRTIO_F_IN_ORDER),
	};
	c->base = base ? base : vring_base_initial(c->packed);
	c->desc = gpa(dr_alloc(d, vring_desc_bytes(c), 16));
	c->driver = gpa(dr_alloc(d, vring_driver_bytes(c), 4));
	c->device = gpa(dr_alloc(d, vring_device_bytes(c), 4));
	v.packed = c->packed;
	v.event_idx = c->event_idx;
	v.indirect = c->indirect;
	v.in_order = c->in_order;
	v.desc = dr_at(d, c->desc.v);
	v.driver = dr_at(d, c->driver.v);
	v.device = dr_at(d, c->device.v);
	free(q->state);
	q->state = v.state = calloc(1, vqdrv_state_bytes(num));
	assert_non_null(q->state);
	if (c->indirect) {
		v.table_len = d->table_len;
		v.tables_addr = dr_alloc(d, vqdrv_tables_bytes(num, d->table_len), 16);
		v.tables = dr_at(d, v.tables_addr);
	}
	assert_int_equal(vqdrv_init(&q->drv, &v), 0);
	assert_int_equal(virtio_queue_start(&d->vdev->queues[i], c, d->mem, dr_waiter(d)), 0);
	assert_int_equal(dr_wait(d), 0);
}

void dr_add(struct device_rig *d, unsigned queue, const struct vqdrv_buf *bufs, unsigned readable_n,
	    unsigned writable, void *cookie)
{
	struct dr_queue *q = &d->queues[queue];

	assert_int_equal(vqdrv_add(&q->drv, bufs, readable_n, writable, cookie), 0);
	vqdrv_publish(&q->drv);
	if (vqdrv_needs_kick(&q->drv))
		assert_int_equal(eventfd_write(q->kick, 1), 0);
}

/* ---- life ---- */

static void on_config_changed(struct virtio_bus *bus)
{
	container_of(bus, struct device_rig, bus)->config_changes++;
}

static void on_queue_broken(struct virtio_bus *bus, struct virtio_queue *q)
{
	(void)q;
	container_of(bus, struct device_rig, bus)->broken++;
}

static const struct virtio_bus_ops bus_ops = {
	.config_changed = on_config_changed,
	.queue_broken = on_queue_broken,
};

void dr_init(struct device_rig *d, const char *name, uint64_t ram, unsigned workers, bool uring)
{
	struct reactor_config epoll = {.uring = false};

	memset(d, 0, sizeof(*d));
	d->bus.name = name;
	d->bus.ops = &bus_ops;
	d->ram_size = ram;
	d->ram = mmap(NULL, ram, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(d->ram != MAP_FAILED);
	assert_int_equal(gmem_with_host(NULL, DR_BASE, ram, 0, d->ram, &d->mem, NULL), 0);
	assert_int_equal(reactor_create(&d->home, &epoll, NULL), 0);
	for (d->n_workers = 0; d->n_workers < workers; d->n_workers++) {
		struct worker_config w = {.name = name, .reactor.uring = uring, .cpu = -1};

		assert_int_equal(worker_create(&d->workers[d->n_workers], &w, NULL), 0);
	}
}

void dr_attach(struct device_rig *d, struct virtio_device *vdev, unsigned queues)
{
	assert_true(queues <= DR_QUEUES);
	d->vdev = vdev;
	d->n_queues = queues;
	assert_int_equal(virtio_bus_attach(&d->bus, vdev, NULL), 0);
	for (unsigned i = 0; i < queues; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		d->queues[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		d->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		virtio_queue_set_kick(q, dup(d->queues[i].kick), NULL);
		virtio_queue_set_call(q, dup(d->queues[i].call), NULL);
	}
}

uint64_t dr_features(const struct virtio_device *vdev, uint64_t wanted, uint64_t without)
{
	return (wanted ? wanted & vdev->offered : vdev->offered) & ~without;
}

void dr_drive(struct device_rig *d, uint64_t features, uint16_t num, uint32_t base)
{
	assert_int_equal(virtio_device_set_features(d->vdev, features), 0);
	virtio_device_set_status(d->vdev, 15);
	assert_int_equal(d->vdev->status, 15);
	for (unsigned i = 0; i < d->n_queues; i++) {
		virtio_queue_set_enabled(&d->vdev->queues[i], true, NULL);
		dr_start_queue(d, i, num, base);
	}
}

int dr_reset(struct device_rig *d)
{
	virtio_device_reset(d->vdev, dr_waiter(d));
	return dr_wait(d);
}

void dr_detach(struct device_rig *d)
{
	virtio_bus_detach(&d->bus);
}

void dr_fini(struct device_rig *d)
{
	for (unsigned i = 0; i < d->n_workers; i++)
		worker_destroy(&d->workers[i]);
	dr_pump(d);
	reactor_destroy(&d->home);
	for (unsigned i = 0; i < d->n_queues; i++) {
		close(d->queues[i].kick);
		close(d->queues[i].call);
		free(d->queues[i].state);
	}
	gmem_put(d->mem);
	munmap(d->ram, d->ram_size);
}
