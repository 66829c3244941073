/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "board_rig.h"

#include "base/clock.h"
#include "wire/virtio_blk.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HANG_NS (20 * NSEC_PER_SEC)

static struct board_rig *rig_of(struct sysbus_host *host)
{
	return container_of(host, struct board_rig, below.host);
}

uint64_t br_alloc(struct board_rig *r, uint64_t bytes, uint64_t align)
{
	uint64_t at = align_up(BR_RAM + r->used, align);

	assert_true(at + bytes <= BR_RAM + BR_RAM_SIZE);
	r->used = at + bytes - BR_RAM;
	return at;
}

void *br_at(struct board_rig *r, uint64_t gpa)
{
	assert_true(gpa >= BR_RAM && gpa < BR_RAM + BR_RAM_SIZE);
	return r->ram + (gpa - BR_RAM);
}

bool br_disk_line(const struct board_rig *r)
{
	int gsi = piix3_line(&r->isa, PCI_SLOT(r->dev.bdf), 0);

	return gsi >= 0 && br_line(r, (unsigned)gsi);
}

uint8_t br_acknowledge(struct board_rig *r)
{
	int gsi = piix3_line(&r->isa, PCI_SLOT(r->dev.bdf), 0);
	uint8_t isr = vpci_isr(&r->v);

	if (gsi >= 0)
		br_eoi(r, (unsigned)gsi);
	return isr;
}

/* ---- the processor ---- */

static bool is_kick(const struct board_rig *r, const struct br_queue *q, enum sysbus_space space,
		    uint64_t addr)
{
	const struct pcidev_bar *bar = &r->dev.bars[q->kick.bar];

	return q->ring.num && bar->io == (space == SYSBUS_PORT) &&
	       bar->address + q->kick.at == addr;
}

static void cpu_write(struct board_rig *r, enum sysbus_space space, uint64_t addr, uint32_t value,
		      unsigned size)
{
	if (noting_host_takes(&r->below, space, addr, value, size))
		return;
	for (unsigned i = 0; i < r->n_queues; i++)
		if (is_kick(r, &r->queues[i], space, addr)) {
			r->kick_exits++;
			break;
		}
	sysbus_write(&r->plane.bus, space, addr, value, size);
}

static struct board_rig *rig_of_access(struct pci_access *a)
{
	return container_of(a, struct board_rig, access);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	assert_true(!(offset % size) && (size == 1 || size == 2 || size == 4));
	return pci_bus_config_read(&rig_of_access(a)->host.bus, bdf, offset, size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	assert_true(!(offset % size) && (size == 1 || size == 2 || size == 4));
	pci_bus_config_write(&rig_of_access(a)->host.bus, bdf, offset, value, size);
}

static uint32_t bar_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	struct board_rig *r = rig_of_access(a);
	const struct vpci *v = &r->v;

	if (io)
		return (uint32_t)sysbus_read(&r->plane.bus, SYSBUS_PORT, address, size);
	assert_true(!(address % size));
	if (r->busy)
		reactor_process(r->plane.home);
	if (v->isr.length)
		r->isr_reads += address == v->dev->bars[v->isr.bar].address + v->isr.offset;
	return (uint32_t)sysbus_read(&r->plane.bus, SYSBUS_MEMORY, address, size);
}

static void bar_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
		      unsigned size)
{
	assert_true(io || !(address % size));
	cpu_write(rig_of_access(a), io ? SYSBUS_PORT : SYSBUS_MEMORY, address, value, size);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = bar_read,
	.write = bar_write,
};

/* ---- time ---- */

void br_pump(struct board_rig *r)
{
	struct pollfd p = {.fd = reactor_fd(r->plane.home), .events = POLLIN};

	poll(&p, 1, 1);
	reactor_process(r->plane.home);
	br_host(r);
}

void br_until(struct board_rig *r, bool (*done)(struct board_rig *r, void *arg), void *arg)
{
	uint64_t end = clock_ns() + HANG_NS;

	while (!done(r, arg)) {
		assert_true(clock_ns() < end);
		br_pump(r);
	}
}

static bool wait_a_moment(struct sysbus_host *host)
{
	struct board_rig *r = rig_of(host);

	assert_true(++r->waits < 100000);
	if (r->on_wait)
		r->on_wait(r);
	br_pump(r);
	return true;
}

/* ---- life ---- */

static struct virtio_device *make_disk(struct board_rig *r, const struct br_options *o)
{
	const struct virtio_blk_options blk = {.path = "disk0",
					       .serial = "ringside-board",
					       .queues = o->queues ? o->queues : 1,
					       .queue_size = o->queue_size};
	const struct storage_options memory = {.target = "memory:1M"};
	struct storage *storage = o->storage;

	if (!storage)
		assert_int_equal(storage_open(&memory, &storage, NULL), 0);
	assert_int_equal(
		virtio_blk_create(&r->blk, &blk, storage, r->plane.home, &r->worker, 1, 0, NULL),
		0);
	return &r->blk->vdev;
}

static struct virtio_device *make_net(struct board_rig *r, const struct br_options *o)
{
	const struct virtio_net_options net = {.path = "net0",
					       .mac = {2, 1, 2, 3, 4, 5},
					       .pairs = o->pairs ? o->pairs : 1,
					       .queue_size = o->queue_size};

	assert_int_equal(
		virtio_net_create(&r->net, &net, o->net, r->plane.home, &r->worker, 1, 0, NULL), 0);
	return &r->net->vdev;
}

void br_init(struct board_rig *r, const struct br_options *o)
{
	struct virtio_card_place place = {
		.plane = &r->plane, .bus = &r->host.bus, .devfn = PCI_DEVFN(3, 0)};
	struct virtio_device *vdev;
	struct virtio_card *card;
	struct worker_config worker = {
		.name = "board-rig", .reactor.uring = test_uring(), .cpu = -1};

	memset(r, 0, sizeof(*r));
	noting_host_init(&r->below, &o->host);
	r->ram = mmap(NULL, BR_RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	assert_true(r->ram != MAP_FAILED);
	assert_int_equal(gmem_with_host(NULL, BR_RAM, BR_RAM_SIZE, 0, r->ram, &r->mem, NULL), 0);
	assert_int_equal(backplane_init(&r->plane, NULL, NULL), 0);
	assert_int_equal(worker_create(&r->worker, &worker, NULL), 0);

	if (o->waits)
		r->below.ops.wait = wait_a_moment;
	r->plane.bus.host = &r->below.host;
	pci_host_init(&r->host, &r->plane.bus);
	assert_int_equal(piix3_init(&r->isa, &r->host, NULL), 0);
	place.mem = r->mem;
	vdev = o->net ? make_net(r, o) : make_disk(r, o);
	assert_int_equal(virtio_card_create(&card, vdev, &o->board, &place, NULL), 0);
	r->board = &card->board;
	r->access.ops = &access_ops;
	r->ports = (struct pcidev_window){0xc000, 0x10000};
	r->memory = (struct pcidev_window){0xe0000000, 0xfec00000};
}

void br_fini(struct board_rig *r)
{
	backplane_remove_cards(&r->plane);
	noting_host_fini(&r->below);
	piix3_fini(&r->isa);
	pci_host_fini(&r->host);
	worker_destroy(&r->worker);
	br_pump(r);
	backplane_fini(&r->plane);
	for (unsigned i = 0; i < BR_QUEUES; i++)
		free(r->queues[i].state);
	gmem_put(r->mem);
	munmap(r->ram, BR_RAM_SIZE);
}

/* ---- the driver ---- */

void br_find(struct board_rig *r, enum vpci_how how)
{
	unsigned bdf = 0;

	do {
		assert_int_equal(pcidev_next(&r->dev, &r->access, bdf), 0);
		bdf = r->dev.bdf + 1;
	} while (r->dev.vendor != VIRTIO_PCI_VENDOR);
	assert_int_equal(r->dev.bdf, PCI_DEVFN(3, 0));
	assert_int_equal(pcidev_assign(&r->dev, &r->ports, &r->memory), 0);
	assert_int_equal(vpci_open(&r->v, &r->dev, how), 0);
	assert_int_equal(r->v.type, r->net ? VIRTIO_ID_NET : VIRTIO_ID_BLOCK);
}

static bool status_is_0(struct board_rig *r, void *arg)
{
	(void)arg;
	return !vpci_status(&r->v);
}

void br_reset_line(struct board_rig *r)
{
	pci_host_reset(&r->host);
	pci_function_reset(&r->board->fn);
}

void br_reset(struct board_rig *r)
{
	vpci_set_status(&r->v, 0);
	if (!r->v.legacy)
		br_until(r, status_is_0, NULL);
}

void br_queue(struct board_rig *r, uint16_t i, uint16_t num)
{
	struct br_queue *q = &r->queues[i];
	struct vqdrv_config d = {0};

	q->ring.num = num ? num : vpci_queue_max(&r->v, i);
	d.num = q->ring.num;
	d.packed = r->features >> VIRTIO_F_RING_PACKED & 1;
	d.event_idx = r->features >> VIRTIO_F_EVENT_IDX & 1;
	d.in_order = r->features >> VIRTIO_F_IN_ORDER & 1;
	q->ring.desc = br_alloc(r, vring_desc_size(d.num), VIRTIO_PCI_LEGACY_PAGE);
	q->ring.driver = br_alloc(r, vring_driver_size(d.num, d.packed), 2);
	if (d.packed)
		q->ring.driver = br_alloc(r, vring_driver_size(d.num, d.packed), 4);
	q->ring.device = br_alloc(r, vring_device_size(d.num, d.packed), VIRTIO_PCI_LEGACY_PAGE);
	q->ring.vector = r->msix ? (uint16_t)(i + 1) : VIRTIO_MSI_NO_VECTOR;
	d.desc = br_at(r, q->ring.desc);
	d.driver = br_at(r, q->ring.driver);
	d.device = br_at(r, q->ring.device);
	free(q->state);
	q->state = d.state = calloc(1, vqdrv_state_bytes(d.num));
	assert_non_null(q->state);
	assert_int_equal(vqdrv_init(&q->drv, &d), 0);
	assert_int_equal(vpci_queue_setup(&r->v, i, &q->ring, &q->kick), 0);
	vpci_queue_enable(&r->v, i);
}

void br_start(struct board_rig *r, uint64_t without, bool msix)
{
	br_reset(r);
	r->msix = msix;
	assert_int_equal(vpci_msix(&r->v, msix), 0);
	vpci_set_status(&r->v, VIRTIO_STATUS_ACKNOWLEDGE);
	vpci_set_status(&r->v, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	r->features = vpci_features(&r->v) & ~without;
	vpci_set_features(&r->v, r->features);
	if (!r->v.legacy) {
		vpci_set_status(&r->v, 11);
		assert_int_equal(vpci_status(&r->v), 11);
	}
	if (msix) {
		for (uint16_t i = 0; i < r->v.n_vectors; i++)
			vpci_vector(&r->v, i, BR_MSI, i);
		assert_int_equal(vpci_config_vector(&r->v, 0), 0);
	}
	r->n_queues = 0;
	while (r->n_queues < BR_QUEUES && vpci_queue_max(&r->v, (uint16_t)r->n_queues)) {
		br_queue(r, (uint16_t)r->n_queues, 0);
		r->n_queues++;
	}
	vpci_set_status(&r->v, r->v.legacy ? 7 : 15);
	assert_int_equal(vpci_status(&r->v), r->v.legacy ? 7 : 15);
}

/* ---- requests ---- */

void br_submit(struct board_rig *r, unsigned queue, struct br_io *io, uint32_t type,
	       uint64_t sector, uint64_t data, uint32_t len)
{
	struct virtio_blk_req header = {le32_make(type), le32_make(0), le64_make(sector)};
	struct br_queue *q = &r->queues[queue];
	struct vqdrv_buf bufs[3];
	unsigned n = 0;

	if (!io->header) {
		io->header = br_alloc(r, sizeof(header), 16);
		io->status = br_alloc(r, 1, 1);
	}
	io->done = false;
	memcpy(br_at(r, io->header), &header, sizeof(header));
	*(uint8_t *)br_at(r, io->status) = 0xff;
	bufs[n++] = (struct vqdrv_buf){io->header, sizeof(header)};
	if (len)
		bufs[n++] = (struct vqdrv_buf){data, len};
	bufs[n++] = (struct vqdrv_buf){io->status, 1};
	assert_int_equal(vqdrv_add(&q->drv, bufs, type == VIRTIO_BLK_T_OUT ? n - 1 : 1,
				   type == VIRTIO_BLK_T_OUT ? 1 : n - 1, io),
			 0);
	vqdrv_publish(&q->drv);
	if (vqdrv_needs_kick(&q->drv))
		vpci_kick(&r->v, &q->kick, vqdrv_notify_value(&q->drv, (uint16_t)queue));
}

int br_finish(struct board_rig *r, unsigned queue, struct br_io *io)
{
	struct br_queue *q = &r->queues[queue];
	uint64_t end = clock_ns() + HANG_NS;

	while (!io->done) {
		void *cookie;
		uint32_t len;
		unsigned before = r->below.messages[queue + 1];

		while (vqdrv_reap(&q->drv, &cookie, &len) > 0) {
			((struct br_io *)cookie)->done = true;
			((struct br_io *)cookie)->used_len = len;
		}
		if (io->done || vqdrv_calls_on(&q->drv))
			continue;
		/* Sleeps as a guest would, until the interrupt: one that never comes is a hang here. */
		do {
			assert_true(clock_ns() < end);
			br_pump(r);
			if (!r->msix && br_disk_line(r))
				br_acknowledge(r);
			else if (r->below.messages[queue + 1] == before)
				continue;
			break;
		} while (true);
		vqdrv_calls_off(&q->drv);
	}
	return *(uint8_t *)br_at(r, io->status);
}

int br_do(struct board_rig *r, unsigned queue, uint32_t type, uint64_t sector, uint64_t data,
	  uint32_t len)
{
	struct br_io io = {0};

	br_submit(r, queue, &io, type, sector, data, len);
	return br_finish(r, queue, &io);
}

static void nothing(void *arg)
{
	(void)arg;
}

void br_settle(struct board_rig *r)
{
	for (unsigned i = 0; i < 3; i++) {
		worker_call(r->worker, nothing, NULL);
		br_pump(r);
	}
	for (unsigned i = 0; i < 20; i++)
		br_pump(r);
}

void br_complete(struct board_rig *r, unsigned queue)
{
	struct br_queue *q = &r->queues[queue];
	uint64_t data = br_alloc(r, 512, 512);
	struct br_io io = {0};
	void *cookie;
	uint32_t len;

	while (vqdrv_calls_on(&q->drv))
		vqdrv_reap(&q->drv, &cookie, &len);
	br_submit(r, queue, &io, VIRTIO_BLK_T_IN, 0, data, 512);
	while (!vqdrv_waiting(&q->drv))
		br_pump(r);
	while (vqdrv_reap(&q->drv, &cookie, &len) > 0)
		((struct br_io *)cookie)->done = true;
	assert_true(io.done);
	br_settle(r);
}

void br_check_io(struct board_rig *r)
{
	uint64_t data = br_alloc(r, 512, 512);
	uint8_t pattern[512];

	for (unsigned q = 0; q < r->n_queues; q++) {
		for (unsigned i = 0; i < sizeof(pattern); i++)
			pattern[i] = (uint8_t)(i * 3 + q + r->below.messages[0]);
		memcpy(br_at(r, data), pattern, sizeof(pattern));
		assert_int_equal(br_do(r, q, VIRTIO_BLK_T_OUT, q, data, 512), 0);
		memset(br_at(r, data), 0, 512);
		assert_int_equal(br_do(r, q, VIRTIO_BLK_T_IN, q, data, 512), 0);
		assert_memory_equal(br_at(r, data), pattern, sizeof(pattern));
	}
	assert_int_equal(r->below.strange_messages, 0);
}
