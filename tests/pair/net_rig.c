/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "net_rig.h"

#include "base/atomic.h"
#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define HANG_NS (20 * NSEC_PER_SEC)

const uint8_t nr_mac[VIRTIO_NET_MAC_BYTES] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55};

/* ---- memory and time ---- */

uint64_t nr_alloc(struct net_rig *r, uint64_t bytes, uint64_t align)
{
	uint64_t at = align_up(r->used, align);

	assert_true(at + bytes <= r->ram_size);
	r->used = at + bytes;
	return NR_BASE + at;
}

void *nr_at(struct net_rig *r, uint64_t at)
{
	assert_true(at >= NR_BASE && at < NR_BASE + r->ram_size);
	return r->ram + (at - NR_BASE);
}

static void waiter_done(struct virtio_waiter *w)
{
	container_of(w, struct net_rig, waiter)->waiter_done = true;
}

struct virtio_waiter *nr_waiter(struct net_rig *r)
{
	r->waiter = (struct virtio_waiter){.done = waiter_done};
	r->waiter_done = false;
	return &r->waiter;
}

void nr_pump(struct net_rig *r)
{
	struct pollfd p = {.fd = reactor_fd(r->home), .events = POLLIN};

	poll(&p, 1, 1);
	reactor_process(r->home);
}

int nr_wait(struct net_rig *r)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (!r->waiter_done && clock_ns() < end)
		nr_pump(r);
	assert_true(r->waiter_done);
	return r->waiter.rc;
}

/* ---- life ---- */

static void on_config_changed(struct virtio_bus *bus)
{
	container_of(bus, struct net_rig, bus)->config_changes++;
}

static void on_queue_broken(struct virtio_bus *bus, struct virtio_queue *q)
{
	(void)q;
	container_of(bus, struct net_rig, bus)->broken++;
}

static const struct virtio_bus_ops bus_ops = {
	.config_changed = on_config_changed,
	.queue_broken = on_queue_broken,
};

static void start_queue(struct net_rig *r, unsigned i, uint16_t num)
{
	struct nr_queue *nq = &r->queues[i];
	struct virtio_device *vdev = &r->net->vdev;
	struct vring_config *c = &nq->config;
	struct vqdrv_config d = {.num = num};

	*c = (struct vring_config){
		.num = num,
		.packed = virtio_device_has(vdev, VIRTIO_F_RING_PACKED),
		.event_idx = virtio_device_has(vdev, VIRTIO_F_EVENT_IDX),
		.indirect = virtio_device_has(vdev, VIRTIO_F_INDIRECT_DESC),
		.in_order = virtio_device_has(vdev, VIRTIO_F_IN_ORDER),
	};
	c->base = vring_base_initial(c->packed);
	c->desc = gpa(nr_alloc(r, vring_desc_bytes(c), 16));
	c->driver = gpa(nr_alloc(r, vring_driver_bytes(c), 4));
	c->device = gpa(nr_alloc(r, vring_device_bytes(c), 4));
	d.packed = c->packed;
	d.event_idx = c->event_idx;
	d.indirect = c->indirect;
	d.in_order = c->in_order;
	d.desc = nr_at(r, c->desc.v);
	d.driver = nr_at(r, c->driver.v);
	d.device = nr_at(r, c->device.v);
	free(nq->state);
	nq->state = d.state = calloc(1, vqdrv_state_bytes(num));
	assert_non_null(nq->state);
	if (c->indirect) {
		d.table_len = NR_TABLE;
		d.tables_addr = nr_alloc(r, vqdrv_tables_bytes(num, NR_TABLE), 16);
		d.tables = nr_at(r, d.tables_addr);
	}
	assert_int_equal(vqdrv_init(&nq->drv, &d), 0);
	assert_int_equal(virtio_queue_start(&vdev->queues[i], c, r->mem, nr_waiter(r)), 0);
	assert_int_equal(nr_wait(r), 0);
}

static void negotiate(struct net_rig *r, const struct nr_options *o)
{
	struct virtio_device *vdev = &r->net->vdev;
	uint64_t features = (o->features ? o->features & vdev->offered : vdev->offered) &
			    ~o->without;

	if (o->legacy)
		features = virtio_features_grounded(features & (BIT64(32) - 1));
	r->bus.takes_legacy = o->legacy;
	assert_int_equal(virtio_device_set_features(vdev, features), 0);
	virtio_device_set_status(vdev, 15);
	assert_int_equal(vdev->status, 15);
	for (unsigned i = 0; i < r->n_queues; i++) {
		assert_int_equal(virtio_queue_set_enabled(&vdev->queues[i], true, NULL), 0);
		start_queue(r, i, o->num ? o->num : 64);
	}
}

void nr_init(struct net_rig *r, const struct nr_options *o)
{
	struct virtio_net_options net = {.path = "net0",
					 .pairs = o->pairs ? o->pairs : 1,
					 .mtu = o->mtu,
					 .speed = o->speed,
					 .queue_size = NET_QUEUE_SIZE_MAX};
	struct reactor_config epoll = {.uring = false};

	memset(r, 0, sizeof(*r));
	memcpy(net.mac, nr_mac, sizeof(nr_mac));
	r->n_queues = 2 * net.pairs + 1;
	r->n_workers = o->workers ? o->workers : 1;
	r->ram_size = 256u << 20;
	r->ram = mmap(NULL, r->ram_size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(r->ram != MAP_FAILED);
	assert_int_equal(gmem_with_host(NULL, NR_BASE, r->ram_size, 0, r->ram, &r->mem, NULL), 0);
	assert_int_equal(reactor_create(&r->home, &epoll, NULL), 0);
	for (unsigned i = 0; i < r->n_workers; i++) {
		struct worker_config w = {.name = "net-rig", .reactor.uring = true, .cpu = -1};

		assert_int_equal(worker_create(&r->workers[i], &w, NULL), 0);
	}
	r->wire = nr_wire_new();
	assert_int_equal(virtio_net_create(&r->net, &net, &r->wire->link, r->home, r->workers,
					   r->n_workers, 0, NULL),
			 0);
	r->bus.name = "net-rig";
	r->bus.ops = &bus_ops;
	assert_int_equal(virtio_bus_attach(&r->bus, &r->net->vdev, NULL), 0);
	for (unsigned i = 0; i < r->n_queues; i++) {
		struct virtio_queue *q = &r->net->vdev.queues[i];

		r->queues[i].kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_int_equal(virtio_queue_set_kick(q, dup(r->queues[i].kick), NULL), 0);
		assert_int_equal(virtio_queue_set_call(q, dup(r->queues[i].call), NULL), 0);
	}
	negotiate(r, o);
	r->ctrl = nr_alloc(r, 4096, 16);
}

static void reset(struct net_rig *r)
{
	assert_int_equal(virtio_device_reset(&r->net->vdev, nr_waiter(r)), 0);
	assert_int_equal(nr_wait(r), 0);
}

void nr_restart(struct net_rig *r, const struct nr_options *o)
{
	reset(r);
	negotiate(r, o);
}

void nr_fini(struct net_rig *r)
{
	reset(r);
	virtio_bus_detach(&r->bus);
	virtio_net_destroy(&r->net);
	for (unsigned i = 0; i < r->n_workers; i++)
		worker_destroy(&r->workers[i]);
	nr_pump(r);
	reactor_destroy(&r->home);
	for (unsigned i = 0; i < r->n_queues; i++) {
		close(r->queues[i].kick);
		close(r->queues[i].call);
		free(r->queues[i].state);
	}
	gmem_put(r->mem);
	munmap(r->ram, r->ram_size);
}

/* ---- chains ---- */

void nr_add(struct net_rig *r, unsigned queue, const struct vqdrv_buf *bufs, unsigned readable_n,
	    unsigned writable, void *cookie)
{
	struct nr_queue *nq = &r->queues[queue];

	assert_int_equal(vqdrv_add(&nq->drv, bufs, readable_n, writable, cookie), 0);
	vqdrv_publish(&nq->drv);
	if (vqdrv_needs_kick(&nq->drv))
		assert_int_equal(eventfd_write(nq->kick, 1), 0);
}

bool nr_reap(struct net_rig *r, unsigned queue, void **cookie, uint32_t *len)
{
	struct nr_queue *nq = &r->queues[queue];
	uint64_t end = clock_ns() + HANG_NS;

	for (;;) {
		struct pollfd p = {.fd = nq->call, .events = POLLIN};
		eventfd_t n;
		int rc = vqdrv_reap(&nq->drv, cookie, len);

		if (rc)
			return rc > 0;
		if (clock_ns() > end)
			return false;
		if (vqdrv_calls_on(&nq->drv))
			continue;
		/* Sleeps as a guest would: an interrupt that never comes shows as a hang here. */
		if (poll(&p, 1, 20) == 1)
			(void)eventfd_read(nq->call, &n);
		reactor_process(r->home);
		vqdrv_calls_off(&nq->drv);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

void nr_nothing(struct net_rig *r, unsigned queue)
{
	uint32_t len;
	void *cookie;

	/* Every worker has been through its whole loop. */
	for (unsigned k = 0; k < 3; k++)
		for (unsigned i = 0; i < r->n_workers; i++)
			worker_call(r->workers[i], nothing, NULL);
	assert_int_equal(vqdrv_reap(&r->queues[queue].drv, &cookie, &len), 0);
}

uint64_t nr_buffer(struct net_rig *r, unsigned pair, uint32_t len)
{
	uint64_t at = nr_alloc(r, len, 16);
	struct vqdrv_buf buf = {at, len};

	memset(nr_at(r, at), 0xee, len);
	nr_add(r, 2 * pair, &buf, 0, 1, nr_at(r, at));
	return at;
}

void nr_frame(uint8_t *frame, size_t len, uint8_t seed)
{
	static const uint8_t head[8] = {0x02, 0x66, 0x77, 0x88, 0x99, 0xaa, 0x08, 0x00};

	memcpy(frame, nr_mac, sizeof(nr_mac));
	memcpy(frame + sizeof(nr_mac), head, sizeof(head));
	for (size_t i = 14; i < len; i++)
		frame[i] = (uint8_t)(i * 7 + seed);
}

void nr_transmit(struct net_rig *r, unsigned pair, const struct virtio_net_hdr *h,
		 const void *frame, size_t len)
{
	struct virtio_net_hdr none = {0};
	unsigned header = net_header_bytes(r->net);
	uint64_t at = nr_alloc(r, header + len + 1, 16);
	struct vqdrv_buf bufs[] = {{at, header}, {at + header, (uint32_t)len}};
	uint32_t used;
	void *cookie;

	memcpy(nr_at(r, at), h ? h : &none, header);
	memcpy(nr_at(r, at + header), frame, len);
	nr_add(r, 2 * pair + 1, bufs, len ? 2 : 1, 0, r);
	assert_true(nr_reap(r, 2 * pair + 1, &cookie, &used));
	assert_ptr_equal(cookie, r);
	assert_int_equal(used, 0);
}

unsigned nr_control(const struct net_rig *r)
{
	return virtio_device_has(&r->net->vdev, VIRTIO_NET_F_MQ) ? r->n_queues - 1 : 2;
}

int nr_command(struct net_rig *r, uint8_t class, uint8_t command, const void *data, uint32_t len)
{
	struct virtio_net_ctrl head = {class, command};
	uint64_t ack = r->ctrl + sizeof(head) + len;
	struct vqdrv_buf bufs[] = {
		{r->ctrl, sizeof(head)}, {r->ctrl + sizeof(head), len}, {ack, 1}};
	uint32_t used;
	void *cookie;

	assert_true(sizeof(head) + len < 4096);
	memcpy(nr_at(r, r->ctrl), &head, sizeof(head));
	memcpy(nr_at(r, r->ctrl + sizeof(head)), data, len);
	*(uint8_t *)nr_at(r, ack) = 0xff;
	if (!len)
		bufs[1] = bufs[2];
	nr_add(r, nr_control(r), bufs, len ? 2 : 1, 1, r);
	assert_true(nr_reap(r, nr_control(r), &cookie, &used));
	assert_int_equal(used, 1);
	return *(uint8_t *)nr_at(r, ack);
}

bool nr_passes(struct net_rig *r, const uint8_t *frame, size_t len)
{
	uint8_t mark[64];
	uint32_t used;
	void *cookie;
	uint8_t *got;

	/* Behind it comes one that certainly passes: what arrives first tells. */
	nr_frame(mark, sizeof(mark), 0x5a);
	for (unsigned i = 0; i < VIRTIO_NET_MAC_BYTES; i++)
		mark[i] = (uint8_t)(read_once(&r->net->mac) >> 8 * i);
	nr_buffer(r, 0, 2048);
	nr_wire_send(r->wire, 0, NULL, frame, len);
	nr_wire_send(r->wire, 0, NULL, mark, sizeof(mark));
	assert_true(nr_reap(r, 0, &cookie, &used));
	got = (uint8_t *)cookie + net_header_bytes(r->net);
	if (used == net_header_bytes(r->net) + sizeof(mark) && !memcmp(got, mark, sizeof(mark)))
		return false;
	assert_int_equal(used, net_header_bytes(r->net) + len);
	assert_memory_equal(got, frame, len);
	nr_buffer(r, 0, 2048);
	assert_true(nr_reap(r, 0, &cookie, &used));
	return true;
}
