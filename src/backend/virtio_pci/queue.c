/* SPDX-License-Identifier: MIT */
/*
 * A queue of the board: what the driver set up, when the device's queue runs, how it is
 * kicked and where it calls.
 */
#include "backend/virtio_pci/board_priv.h"
#include "base/atomic.h"
#include "vring/remote.h"
#include "wire/virtio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct virtio_queue *device_queue(const struct virtio_pci_queue *q)
{
	return &q->board->vdev->queues[q->index];
}

uint16_t virtio_pci_queue_max(const struct virtio_pci *b)
{
	unsigned max = b->vdev->queue_size_max;

	if (!max)
		return VIRTIO_PCI_QUEUE_SIZE;
	if (max > VRING_SIZE_MAX)
		max = VRING_SIZE_MAX;
	/* 4.1.4.3.1: a power of two, as long as it is not known that the ring is packed. */
	while (max & (max - 1))
		max &= max - 1;
	return (uint16_t)max;
}

/* ---- kicks ---- */

/*
 * A peer that holds the eventfd too can make a write to it wait: the counter is full, and O_NONBLOCK
 * is the peer's to take away.
 */
void virtio_pci_queue_kick(struct virtio_pci_queue *q)
{
	if (q->board->options.foreign_fds)
		virtio_queue_kick(device_queue(q));
	else
		(void)eventfd_write(q->kick_fd, 1);
}

static const struct sysbus_host_ops *host_of(const struct virtio_pci *b)
{
	return b->fn.bus ? sysbus_host_of(b->fn.bus->sysbus) : NULL;
}

static void event_off(struct virtio_pci_queue *q, struct virtio_pci_event *e, bool legacy)
{
	struct virtio_pci *b = q->board;
	const struct sysbus_host_ops *host = host_of(b);

	if (!e->on)
		return;
	e->on = false;
	if (host)
		host->ioeventfd_del(b->fn.bus->sysbus->host, legacy ? SYSBUS_PORT : SYSBUS_MEMORY,
				    e->addr, e->size, legacy, legacy ? q->index : 0, q->kick_fd);
}

static bool event_try(struct virtio_pci_queue *q, struct virtio_pci_event *e, bool legacy,
		      uint64_t addr, unsigned size)
{
	struct virtio_pci *b = q->board;

	if (host_of(b)->ioeventfd_add(b->fn.bus->sysbus->host, legacy ? SYSBUS_PORT : SYSBUS_MEMORY,
				      addr, size, legacy, legacy ? q->index : 0, q->kick_fd))
		return false;
	*e = (struct virtio_pci_event){.on = true, .size = size, .addr = addr};
	return true;
}

void virtio_pci_queue_update_kicks(struct virtio_pci_queue *q)
{
	struct virtio_pci *b = q->board;
	const struct pci_bar *modern = &b->fn.bars[VIRTIO_PCI_BAR_MODERN];
	const struct pci_bar *legacy = &b->fn.bars[VIRTIO_PCI_BAR_LEGACY];
	const struct sysbus_host_ops *host = host_of(b);
	bool wanted = q->running && host && host->ioeventfd_add && host->ioeventfd_del &&
		      !b->options.no_ioeventfd;

	if (!wanted || !modern->mapped || b->legacy_driver) {
		event_off(q, &q->modern_kick, false);
	} else if (!q->modern_kick.on) {
		uint64_t at = modern->region.base + VIRTIO_PCI_AT_NOTIFY +
			      q->index * VIRTIO_PCI_NOTIFY_STRIDE;

		/* Of any width costs the host least, but not every one can. */
		if (!event_try(q, &q->modern_kick, false, at, 0))
			event_try(q, &q->modern_kick, false, at, 2);
	}
	if (!wanted || !legacy->mapped || !b->legacy_driver)
		event_off(q, &q->legacy_kick, true);
	else if (!q->legacy_kick.on)
		event_try(q, &q->legacy_kick, true,
			  legacy->region.base + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY, 2);
}

void virtio_pci_queue_drop_kicks(struct virtio_pci_queue *q, const struct pci_bar *bar)
{
	const struct pci_function *fn = &q->board->fn;

	if (bar == &fn->bars[VIRTIO_PCI_BAR_MODERN])
		event_off(q, &q->modern_kick, false);
	else if (bar == &fn->bars[VIRTIO_PCI_BAR_LEGACY])
		event_off(q, &q->legacy_kick, true);
}

/* ---- calls ---- */

static void call_pin(struct pci_call *call)
{
	virtio_pci_isr_look(container_of(call, struct virtio_pci_queue, call)->board);
}

/* ---- starting and stopping ---- */

static struct vring_config ring_config(const struct virtio_pci_queue *q)
{
	const struct virtio_device *vdev = q->board->vdev;
	bool packed = virtio_device_has(vdev, VIRTIO_F_RING_PACKED);

	return (struct vring_config){
		.num = q->size,
		.packed = packed,
		.event_idx = virtio_device_has(vdev, VIRTIO_F_EVENT_IDX),
		.indirect = virtio_device_has(vdev, VIRTIO_F_INDIRECT_DESC),
		.in_order = virtio_device_has(vdev, VIRTIO_F_IN_ORDER),
		.desc = gpa(q->desc),
		.driver = gpa(q->driver),
		.device = gpa(q->device),
		.base = q->base,
	};
}

static void refuse(struct virtio_pci_queue *q, const char *why)
{
	struct virtio_device *vdev = q->board->vdev;

	log_limited(&vdev->complaints, LOG_LEVEL_WARN, device_queue(q)->path,
		    "the driver cannot have a ring of %u entries at 0x%llx, 0x%llx, 0x%llx: %s",
		    q->size, (unsigned long long)q->desc, (unsigned long long)q->driver,
		    (unsigned long long)q->device, why);
	virtio_device_needs_reset(vdev);
}

static void start_done(struct virtio_waiter *w)
{
	struct virtio_pci_queue *q = container_of(w, struct virtio_pci_queue, start);

	if (w->rc && q->running)
		refuse(q, w->err.text);
}

/* false: refused. */
static bool order_start(struct virtio_pci_queue *q)
{
	struct vring_config config = ring_config(q);
	struct virtio_queue *vq = device_queue(q);

	q->start = (struct virtio_waiter){.done = start_done};
	virtio_queue_set_enabled(vq, !q->board->master_gone, NULL);
	if (!virtio_queue_start(vq, &config, q->board->mem, &q->start))
		return true;
	refuse(q, "the worker cannot be told");
	return false;
}

void virtio_pci_queue_start(struct virtio_pci_queue *q)
{
	if (!q->board->mem) {
		refuse(q, "there is no memory");
		return;
	}
	/* Calls that are left over from before are not this ring's. */
	virtio_pci_isr_forget(q);
	q->base = vring_base_initial(virtio_device_has(q->board->vdev, VIRTIO_F_RING_PACKED));
	q->broken = q->moved = false;
	if (!q->board->frozen && !order_start(q))
		return;
	q->running = true;
	pci_call_start(&q->call);
	virtio_pci_queue_update_kicks(q);
}

/* Its stop has been carried out: what the worker knew is there to read. */
void virtio_pci_queue_froze(struct virtio_pci_queue *q)
{
	const struct virtio_queue *vq = device_queue(q);

	/* One whose start was refused stands where it was to start. */
	if (vq->life == vq->lives)
		q->base = vq->base;
	if (load_acquire(&vq->failed_life) != vq->lives || q->broken)
		return;
	/* The worker's own message comes too late: the queue does not count as started any more. */
	q->broken = true;
	virtio_device_needs_reset(q->board->vdev);
}

/* A call too many does no harm, one that got lost on the way would. */
static void call_once(struct virtio_pci_queue *q)
{
	struct virtio_pci *b = q->board;

	q->moved = false;
	if (b->fn.msix.enabled) {
		pci_msix_notify(&b->fn, q->vector);
		return;
	}
	virtio_pci_isr_load(q, true);
	virtio_pci_isr_look(b);
}

void virtio_pci_queue_thaw(struct virtio_pci_queue *q)
{
	if (!q->board->mem) {
		refuse(q, "there is no memory");
		return;
	}
	if (q->moved)
		call_once(q);
	if (!q->broken)
		(void)order_start(q);
}

static bool areas_lie_in_memory(const struct virtio_pci_queue *q, const struct vring_config *c)
{
	const struct gmem *mem = q->board->mem;

	return mem && !vqdev_areas_check(c, mem);
}

void virtio_pci_queue_enable(struct virtio_pci_queue *q)
{
	struct virtio_pci *b = q->board;
	struct vring_config config = ring_config(q);
	uint8_t status = b->vdev->status;

	/* Before a reset is over the features it had are still the device's: the start will tell. */
	if (!b->resetting && (vring_config_check(&config) || !areas_lie_in_memory(q, &config))) {
		refuse(q, "size, alignment, or no memory there that the device may use");
		return;
	}
	q->enabled = true;
	if (!b->resetting && status & VIRTIO_STATUS_DRIVER_OK &&
	    (b->legacy_driver || status & VIRTIO_STATUS_FEATURES_OK))
		virtio_pci_queue_start(q);
}

void virtio_pci_queue_forget(struct virtio_pci_queue *q)
{
	q->running = false;
	pci_call_stop(&q->call);
	virtio_pci_queue_update_kicks(q);
	q->enabled = false;
	q->resetting = false;
	q->size = virtio_pci_queue_max(q->board);
	q->desc = q->driver = q->device = 0;
	q->vector = VIRTIO_MSI_NO_VECTOR;
	pci_call_set_vector(&q->call, PCI_MSIX_NO_VECTOR);
}

static void stop_done(struct virtio_waiter *w)
{
	struct virtio_pci_queue *q = container_of(w, struct virtio_pci_queue, stop);

	/* Unless a reset of the whole device has come in between. */
	if (q->resetting)
		virtio_pci_queue_forget(q);
}

void virtio_pci_queue_reset(struct virtio_pci_queue *q)
{
	if (!q->running) {
		virtio_pci_queue_forget(q);
		return;
	}
	q->running = false;
	pci_call_stop(&q->call);
	virtio_pci_queue_update_kicks(q);
	q->resetting = true;
	q->reset_awaited = false;
	q->stop = (struct virtio_waiter){.done = stop_done};
	virtio_queue_set_enabled(device_queue(q), false, &q->stop);
	virtio_queue_stop(device_queue(q), &q->stop);
}

/* ---- life ---- */

int virtio_pci_queue_init(struct virtio_pci *b, unsigned index, struct error *err)
{
	struct virtio_pci_queue *q = &b->queues[index];
	struct virtio_queue *vq;
	int kick, call, rc;

	*q = (struct virtio_pci_queue){.board = b, .index = index};
	q->vector = VIRTIO_MSI_NO_VECTOR;
	q->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->kick_fd < 0)
		return error_set(err, -errno, "%s: cannot make an eventfd", b->options.name);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->call_fd < 0) {
		rc = error_set(err, -errno, "%s: cannot make an eventfd", b->options.name);
		goto close_kick;
	}
	kick = fcntl(q->kick_fd, F_DUPFD_CLOEXEC, 0);
	call = fcntl(q->call_fd, F_DUPFD_CLOEXEC, 0);
	if (kick < 0 || call < 0) {
		rc = error_set(err, -errno, "%s: cannot copy an eventfd", b->options.name);
		goto close_copies;
	}
	rc = pci_call_init(&q->call, &b->fn, b->home, q->call_fd, call, call_pin);
	if (rc) {
		error_set(err, rc, "%s: cannot wait for an eventfd", b->options.name);
		goto close_copies;
	}
	/* From here on both halves of each pair are somebody's. */
	vq = &b->vdev->queues[index];
	virtio_queue_set_kick(vq, kick, NULL);
	virtio_queue_set_call(vq, call, NULL);
	return 0;
close_copies:
	if (kick >= 0)
		close(kick);
	if (call >= 0)
		close(call);
	close(q->call_fd);
close_kick:
	close(q->kick_fd);
	return rc;
}

void virtio_pci_queue_fini(struct virtio_pci_queue *q)
{
	pci_call_fini(&q->call);
	close(q->call_fd);
	close(q->kick_fd);
}
