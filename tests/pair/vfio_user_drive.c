/* SPDX-License-Identifier: MIT */
#include "vfio_user_drive.h"

#include "base/bits.h"
#include "base/clock.h"
#include "wire/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HANG_NS	  (20 * NSEC_PER_SEC)
#define PORTS_AT  0xc000u
#define MEMORY_AT 0xc0000000u

/* ---- the board by messages ---- */

static struct drive *drive_of(struct pci_access *a)
{
	return container_of(a, struct drive, access);
}

static uint32_t drive_config_read(struct pci_access *a, unsigned bdf, unsigned offset,
				  unsigned size)
{
	assert_int_equal(bdf, 0);
	return rig_get(&drive_of(a)->r, VFIO_USER_REGION_CONFIG, offset, size);
}

static void drive_config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			       unsigned size)
{
	assert_int_equal(bdf, 0);
	rig_put(&drive_of(a)->r, VFIO_USER_REGION_CONFIG, offset, value, size);
}

static uint32_t drive_bar_of(struct drive *d, uint64_t address, uint64_t *offset)
{
	for (uint32_t i = 0; i < PCI_BARS; i++) {
		const struct pcidev_bar *bar = &d->dev.bars[i];

		*offset = address - bar->address;
		if (bar->size && address >= bar->address && *offset < bar->size)
			return i;
	}
	fail_msg("no BAR is there");
	return 0;
}

static uint32_t drive_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	uint64_t offset;
	uint32_t bar = drive_bar_of(drive_of(a), address, &offset);

	(void)io;
	return rig_get(&drive_of(a)->r, bar, offset, size);
}

static void drive_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
			unsigned size)
{
	uint64_t offset;
	uint32_t bar = drive_bar_of(drive_of(a), address, &offset);

	(void)io;
	rig_put(&drive_of(a)->r, bar, offset, value, size);
}

static const struct pci_access_ops drive_access = {
	.config_read = drive_config_read,
	.config_write = drive_config_write,
	.read = drive_read,
	.write = drive_write,
};

/* ---- life ---- */

void drive_find(struct drive *d)
{
	struct pcidev_window ports = {PORTS_AT, PORTS_AT + 0x1000};
	struct pcidev_window memory = {MEMORY_AT, MEMORY_AT + 0x100000};

	d->access.ops = &drive_access;
	assert_int_equal(pcidev_open(&d->dev, &d->access, 0), 0);
	assert_int_equal(pcidev_assign(&d->dev, &ports, &memory), 0);
	assert_int_equal(vpci_open(&d->v, &d->dev, VPCI_MODERN), 0);
}

static void drive_share(struct drive *d)
{
	assert_int_equal(rig_map(&d->r, RIG_MEM_AT, RIG_MEM_SIZE,
				 VFIO_USER_DMA_READABLE | VFIO_USER_DMA_WRITABLE, 0, d->r.mem_fd),
			 0);
}

void drive_init(struct drive *d)
{
	memset(d, 0, sizeof(*d));
	d->disk = held_disk_new(DRIVE_DISK);
	rig_init_storage(&d->r, &d->disk->storage, DRIVE_QUEUES);
	for (unsigned i = 0; i < DRIVE_QUEUES; i++)
		d->queues[i].call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->pin = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	drive_find(d);
	drive_share(d);
}

void drive_fini(struct drive *d)
{
	rig_fini(&d->r);
	for (unsigned i = 0; i < DRIVE_QUEUES; i++) {
		free(d->queues[i].state);
		close(d->queues[i].call);
	}
	close(d->pin);
}

void drive_come_back(struct drive *d)
{
	rig_connect(&d->r);
	assert_int_equal(rig_version(&d->r, 0, 1, NULL), 0);
	drive_find(d);
	drive_share(d);
}

/* ---- the driver ---- */

static uint64_t drive_alloc(struct drive *d, uint64_t size, uint64_t align)
{
	uint64_t at = (d->used + align - 1) / align * align;

	d->used = at + size;
	assert_true(d->used <= RIG_MEM_SIZE);
	memset(d->r.mem + at, 0, size);
	return RIG_MEM_AT + at;
}

static void *drive_at(struct drive *d, uint64_t gpa)
{
	return d->r.mem + (gpa - RIG_MEM_AT);
}

static void drive_queue(struct drive *d, uint16_t i, uint64_t features)
{
	struct drive_queue *q = &d->queues[i];
	bool packed = features >> VIRTIO_F_RING_PACKED & 1;
	struct vqdrv_config c = {
		.num = DRIVE_SIZE,
		.packed = packed,
		.event_idx = features >> VIRTIO_F_EVENT_IDX & 1,
		.in_order = features >> VIRTIO_F_IN_ORDER & 1,
	};
	struct vpci_ring ring = {
		.num = c.num,
		.desc = drive_alloc(d, vring_desc_size(c.num), 16),
		.driver = drive_alloc(d, vring_driver_size(c.num, packed), 4),
		.device = drive_alloc(d, vring_device_size(c.num, packed), 4),
		.vector = d->msix ? i + 1 : VIRTIO_MSI_NO_VECTOR,
	};

	c.desc = drive_at(d, ring.desc);
	c.driver = drive_at(d, ring.driver);
	c.device = drive_at(d, ring.device);
	free(q->state);
	q->state = c.state = calloc(1, vqdrv_state_bytes(c.num));
	q->n_ios = 0;
	assert_int_equal(vqdrv_init(&q->drv, &c), 0);
	assert_int_equal(vpci_queue_setup(&d->v, i, &ring, &q->kick), 0);
	vpci_queue_enable(&d->v, i);
	for (unsigned n = 0; n < DRIVE_IOS; n++) {
		q->ios[n].header = drive_alloc(d, sizeof(struct virtio_blk_req), 16);
		q->ios[n].status = drive_alloc(d, 1, 1);
		q->ios[n].data = drive_alloc(d, DRIVE_PIECE, 4096);
	}
}

static void drive_reset(struct drive *d)
{
	uint64_t until = clock_ns() + HANG_NS;

	vpci_set_status(&d->v, 0);
	while (vpci_status(&d->v))
		assert_true(clock_ns() < until);
}

void drive_start(struct drive *d, uint64_t without, bool msix)
{
	uint64_t features;

	drive_reset(d);
	d->used = 0;
	d->msix = msix;
	vpci_set_status(&d->v, VIRTIO_STATUS_ACKNOWLEDGE);
	vpci_set_status(&d->v, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	features = vpci_features(&d->v) & ~without & ~BIT64(VIRTIO_F_NOTIFICATION_DATA);
	vpci_set_features(&d->v, features);
	vpci_set_status(&d->v, 11);
	assert_int_equal(vpci_status(&d->v), 11);
	assert_int_equal(vpci_msix(&d->v, msix), 0);
	for (uint16_t i = 0; i < DRIVE_QUEUES; i++) {
		if (msix)
			assert_int_equal(
				rig_irqs(&d->r,
					 VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER,
					 VFIO_USER_IRQ_MSIX, i + 1u, 1, &d->queues[i].call, 1),
				0);
		if (msix)
			vpci_vector(&d->v, i + 1, 0xfee00000, i);
		drive_queue(d, i, features);
	}
	if (!msix)
		assert_int_equal(rig_irqs(&d->r,
					  VFIO_USER_IRQ_DATA_FD | VFIO_USER_IRQ_ACTION_TRIGGER,
					  VFIO_USER_IRQ_INTX, 0, 1, &d->pin, 1),
				 0);
	vpci_set_status(&d->v, 15);
	assert_int_equal(vpci_status(&d->v), 15);
}

static uint8_t drive_pattern(unsigned queue, unsigned i)
{
	return (uint8_t)(0x10 * (queue + 1) + i + 1);
}

void drive_submit(struct drive *d, unsigned queue, uint32_t type, unsigned n)
{
	struct drive_queue *q = &d->queues[queue];

	assert_true(q->n_ios + n <= DRIVE_IOS);
	for (; n; n--, q->n_ios++) {
		struct drive_io *io = &q->ios[q->n_ios];
		bool write = type == VIRTIO_BLK_T_OUT;
		struct vqdrv_buf bufs[3] = {
			{io->header, sizeof(struct virtio_blk_req)},
			{io->data, DRIVE_PIECE},
			{io->status, 1},
		};
		uint64_t at = (queue * DRIVE_IOS + q->n_ios) * DRIVE_PIECE;
		struct virtio_blk_req h = {.type = le32_make(type),
					   .sector = le64_make(at / VIRTIO_BLK_SECTOR)};

		io->type = type;
		io->done = 0;
		memcpy(drive_at(d, io->header), &h, sizeof(h));
		memset(drive_at(d, io->data), write ? drive_pattern(queue, q->n_ios) : 0xaa,
		       DRIVE_PIECE);
		*(uint8_t *)drive_at(d, io->status) = 0xff;
		assert_int_equal(vqdrv_add(&q->drv, bufs, write ? 2 : 1, write ? 1 : 2, io), 0);
	}
	vqdrv_publish(&q->drv);
	if (vqdrv_needs_kick(&q->drv))
		vpci_kick(&d->v, &q->kick, vqdrv_notify_value(&q->drv, (uint16_t)queue));
	(void)vqdrv_calls_on(&q->drv);
}

void drive_held(struct drive *d, unsigned n)
{
	held_disk_wait(d->disk, n);
}

void drive_release(struct drive *d)
{
	write_once(&d->disk->hold, false);
	held_disk_release(d->disk, d->r.room.pool.workers[0], 0);
}

static void drive_nothing(void *arg)
{
	(void)arg;
}

unsigned drive_reap(struct drive *d, unsigned queue)
{
	struct drive_queue *q = &d->queues[queue];
	unsigned n = 0;
	uint32_t len;
	void *cookie;

	while (vqdrv_reap(&q->drv, &cookie, &len) == 1) {
		struct drive_io *io = cookie;
		unsigned i = (unsigned)(io - q->ios);
		const uint8_t *data = drive_at(d, io->data);

		/* What the worker did to the disk is seen from here on. */
		if (!n)
			worker_call(d->r.room.pool.workers[0], drive_nothing, NULL);
		assert_int_equal(++io->done, 1);
		assert_int_equal(*(uint8_t *)drive_at(d, io->status), VIRTIO_BLK_S_OK);
		for (unsigned b = 0; b < DRIVE_PIECE; b++) {
			assert_int_equal(data[b], drive_pattern(queue, i));
			assert_int_equal(d->disk->bytes[(queue * DRIVE_IOS + i) * DRIVE_PIECE + b],
					 drive_pattern(queue, i));
		}
		n++;
	}
	assert_null(vqdrv_why(&q->drv));
	return n;
}

void drive_complete(struct drive *d, unsigned queue)
{
	struct drive_queue *q = &d->queues[queue];
	uint64_t until = clock_ns() + HANG_NS;
	unsigned left = q->n_ios;

	for (unsigned i = 0; i < q->n_ios; i++)
		left -= q->ios[i].done;
	while (left) {
		assert_true(clock_ns() < until);
		rig_turn(&d->r, 1);
		left -= drive_reap(d, queue);
	}
	/* And nothing comes twice. */
	assert_int_equal(drive_reap(d, queue), 0);
	q->n_ios = 0;
}

void drive_works(struct drive *d)
{
	for (unsigned i = 0; i < DRIVE_QUEUES; i++) {
		drive_submit(d, i, VIRTIO_BLK_T_OUT, DRIVE_IOS);
		drive_complete(d, i);
		drive_submit(d, i, VIRTIO_BLK_T_IN, DRIVE_IOS);
		drive_complete(d, i);
	}
}

bool drive_signalled(int fd)
{
	eventfd_t n;

	return !eventfd_read(fd, &n);
}

void drive_wait_signal(struct drive *d, int fd)
{
	uint64_t until = clock_ns() + HANG_NS;

	while (!drive_signalled(fd)) {
		assert_true(clock_ns() < until);
		rig_turn(&d->r, 1);
	}
}
