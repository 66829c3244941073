/* SPDX-License-Identifier: MIT */
/*
 * The ISR and the interrupt pin (virtio 1.4, 4.1.4.5, 4.1.5.4).
 *
 * Nobody sets the ISR's queue bit: it is there when a queue has called more often than it had when
 * the driver last read the ISR.  So a worker counts its call, then signals it, and that is all,
 * whether the signal is an MSI-X message or the pin; and whoever looks finds the bit no later than
 * the interrupt.
 *
 * By irqfd the pin's line goes up without us and comes down at the guest's end of interrupt.  A
 * call that came after the driver had read the ISR, but before that end, or one of another card on
 * the same line, would be lost then; as would every call of a guest that acknowledges first and
 * reads later.  So the host signals the end, a worker looks whether the ISR has something to say
 * that nobody has read, and only then asks the control thread to raise the pin by hand, which comes
 * down when the ISR is read.
 */
#include "backend/virtio_pci/board_priv.h"
#include "base/atomic.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static uint64_t calls(const struct virtio_pci *b, unsigned queue)
{
	return load_acquire(&b->vdev->queues[queue].calls);
}

/* ---- with the lock ---- */

bool virtio_pci_isr_called(const struct virtio_pci_queue *q)
{
	return q->running && calls(q->board, q->index) != q->calls_seen;
}

static bool any_called(const struct virtio_pci *b)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		if (virtio_pci_isr_called(&b->queues[i]))
			return true;
	return false;
}

void virtio_pci_isr_forget(struct virtio_pci_queue *q)
{
	write_once(&q->calls_seen, calls(q->board, q->index));
}

void virtio_pci_isr_load(struct virtio_pci_queue *q, bool called)
{
	write_once(&q->calls_seen, calls(q->board, q->index) - called);
}

uint32_t virtio_pci_isr_read(struct virtio_pci *b)
{
	uint32_t isr = b->isr;

	b->isr = 0;
	for (unsigned i = 0; i < b->n_queues; i++) {
		if (!virtio_pci_isr_called(&b->queues[i]))
			continue;
		virtio_pci_isr_forget(&b->queues[i]);
		isr |= VIRTIO_PCI_ISR_QUEUE;
	}
	pci_function_set_intx(&b->fn, false);
	return isr;
}

void virtio_pci_isr_config(struct virtio_pci *b)
{
	b->isr |= VIRTIO_PCI_ISR_CONFIG;
	if (!b->fn.msix.enabled)
		pci_function_set_intx(&b->fn, true);
}

void virtio_pci_isr_look(struct virtio_pci *b)
{
	if (!b->fn.msix.enabled && any_called(b))
		pci_function_set_intx(&b->fn, true);
}

/* ---- the end of an interrupt ---- */

/* On a worker: may say yes for nothing, when a queue is being stopped. */
static bool maybe_called(const struct virtio_pci *b)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		if (calls(b, i) != read_once(&b->queues[i].calls_seen))
			return true;
	return false;
}

static void resampled(struct reactor_watch *w, uint32_t events)
{
	struct virtio_pci *b = container_of(w, struct virtio_pci, resample);

	(void)events;
	if (maybe_called(b))
		(void)eventfd_write(b->look_fd, 1);
}

/* A counter, not a message: nothing of it is under way when the watch has been taken away. */
static void look_ready(struct reactor_watch *w, uint32_t events)
{
	(void)events;
	virtio_pci_isr_look(container_of(w, struct virtio_pci, look));
}

/* ---- life ---- */

static void start_watch(void *arg)
{
	struct virtio_pci *b = arg;

	if (reactor_watch_start(worker_reactor(b->eoi_worker), &b->resample, b->resample_fd,
				EPOLLIN))
		b->eoi_worker = NULL;
}

static void stop_watch(void *arg)
{
	struct virtio_pci *b = arg;

	reactor_watch_stop(worker_reactor(b->eoi_worker), &b->resample);
}

static void close_fds(struct virtio_pci *b)
{
	if (b->resample_fd >= 0)
		close(b->resample_fd);
	if (b->look_fd >= 0)
		close(b->look_fd);
	b->resample_fd = b->look_fd = -1;
}

int virtio_pci_isr_init(struct virtio_pci *b, struct error *err)
{
	int rc;

	if (!b->n_queues)
		return 0;
	b->resample.ready = resampled;
	b->look.ready = look_ready;
	b->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->resample_fd < 0 || b->look_fd < 0) {
		rc = error_set(err, -errno, "%s: cannot make an eventfd", b->options.name);
		goto close_fds;
	}
	rc = reactor_watch_start(b->home, &b->look, b->look_fd, EPOLLIN);
	if (!rc) {
		b->eoi_worker = b->vdev->queues[0].worker;
		worker_call(b->eoi_worker, start_watch, b);
	}
	if (!b->eoi_worker) {
		reactor_watch_stop(b->home, &b->look);
		rc = error_set(err, rc ? rc : -EIO, "%s: cannot wait for an eventfd",
			       b->options.name);
		goto close_fds;
	}
	b->fn.resample_fd = b->resample_fd;
	return 0;
close_fds:
	close_fds(b);
	return rc;
}

void virtio_pci_isr_fini(struct virtio_pci *b)
{
	if (b->eoi_worker)
		worker_call(b->eoi_worker, stop_watch, b);
	b->eoi_worker = NULL;
	reactor_watch_stop(b->home, &b->look);
	b->fn.resample_fd = -1;
	close_fds(b);
}
