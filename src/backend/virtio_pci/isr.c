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

static bool called(const struct virtio_pci_queue *q)
{
	return q->running && calls(q->board, q->index) != q->calls_seen;
}

static bool any_called(const struct virtio_pci *b)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		if (called(&b->queues[i]))
			return true;
	return false;
}

void virtio_pci_isr_forget(struct virtio_pci_queue *q)
{
	write_once(&q->calls_seen, calls(q->board, q->index));
}

uint32_t virtio_pci_isr_read(struct virtio_pci *b)
{
	uint32_t isr = b->isr;

	b->isr = 0;
	for (unsigned i = 0; i < b->n_queues; i++) {
		if (!called(&b->queues[i]))
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
	/* Acquire and release: a look that takes the flag back later sees what was seen here. */
	if (maybe_called(b) && !__atomic_exchange_n(&b->look_posted, true, __ATOMIC_ACQ_REL))
		reactor_post(b->home, &b->look);
}

static void look(struct reactor_msg *msg)
{
	struct virtio_pci *b = container_of(msg, struct virtio_pci, look);

	(void)__atomic_exchange_n(&b->look_posted, false, __ATOMIC_ACQ_REL);
	virtio_pci_isr_look(b);
	virtio_pci_tell_stopped(b);
}

bool virtio_pci_isr_is_quiet(const struct virtio_pci *b)
{
	return !load_acquire(&b->look_posted);
}

/* ---- life ---- */

static void start_watch(void *arg)
{
	struct virtio_pci *b = arg;

	if (reactor_watch_start(worker_reactor(b->looker), &b->resample, b->resample_fd, EPOLLIN))
		b->looker = NULL;
}

static void stop_watch(void *arg)
{
	struct virtio_pci *b = arg;

	reactor_watch_stop(worker_reactor(b->looker), &b->resample);
}

int virtio_pci_isr_init(struct virtio_pci *b, struct error *err)
{
	if (!b->n_queues)
		return 0;
	b->resample.ready = resampled;
	b->look.run = look;
	b->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->resample_fd < 0)
		return error_set(err, -errno, "%s: cannot make an eventfd", b->options.name);
	b->looker = b->vdev->queues[0].worker;
	worker_call(b->looker, start_watch, b);
	if (!b->looker) {
		close(b->resample_fd);
		b->resample_fd = -1;
		return error_set(err, -EIO, "%s: cannot wait for an eventfd", b->options.name);
	}
	b->fn.resample_fd = b->resample_fd;
	return 0;
}

void virtio_pci_isr_stop(struct virtio_pci *b)
{
	if (b->looker)
		worker_call(b->looker, stop_watch, b);
	b->looker = NULL;
}

void virtio_pci_isr_fini(struct virtio_pci *b)
{
	virtio_pci_isr_stop(b);
	b->fn.resample_fd = -1;
	if (b->resample_fd >= 0)
		close(b->resample_fd);
	b->resample_fd = -1;
}
