/* SPDX-License-Identifier: MIT */
/* Status, features and reset: what concerns the device as a whole (virtio 1.4, 2.1, 2.2, 2.4). */
#include "backend/virtio_pci/board_priv.h"
#include "wire/virtio.h"

static uint64_t driver_features(const struct virtio_pci *b)
{
	return (uint64_t)b->driver_features[1] << 32 | b->driver_features[0];
}

static bool features_possible(const struct virtio_pci *b)
{
	uint64_t f = driver_features(b);

	return !b->driver_features[2] && !b->driver_features[3] &&
	       virtio_device_takes(b->vdev, f) &&
	       (b->legacy_driver || f & BIT64(VIRTIO_F_VERSION_1));
}

/* ---- status ---- */

uint32_t virtio_pci_status(struct virtio_pci *b)
{
	struct virtio_device *vdev = b->vdev;

	if (b->resetting && b->wanted_status)
		return b->wanted_status;
	return vdev->status;
}

/* Features stay as they are as long as a queue works by them. */
static bool any_queue_works(const struct virtio_pci *b)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running || b->queues[i].resetting)
			return true;
	return false;
}

/* Queues that were set up before the driver was ready. */
static void start_queues(struct virtio_pci *b)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].enabled && !b->queues[i].running && !b->queues[i].resetting)
			virtio_pci_queue_start(&b->queues[i]);
}

static void apply_status(struct virtio_pci *b, uint8_t status)
{
	struct virtio_device *vdev = b->vdev;
	uint8_t before = vdev->status;

	b->bus.takes_legacy = b->legacy_driver;
	if (status & ~before & VIRTIO_STATUS_FEATURES_OK &&
	    (any_queue_works(b) || !features_possible(b) ||
	     virtio_device_set_features(vdev, driver_features(b))))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	virtio_device_set_status(vdev, status);
	/* Not before the features are agreed on, which a legacy driver does without a word. */
	if (vdev->status & ~before & VIRTIO_STATUS_DRIVER_OK &&
	    (b->legacy_driver || vdev->status & VIRTIO_STATUS_FEATURES_OK))
		start_queues(b);
}

void virtio_pci_set_status(struct virtio_pci *b, uint8_t status)
{
	if (!status) {
		virtio_pci_reset(b);
		return;
	}
	if (!b->resetting) {
		apply_status(b, status);
		return;
	}
	if (!features_possible(b))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	b->wanted_status |= status & (uint8_t) ~(VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_SUSPEND);
}

static void apply_legacy_features(struct virtio_pci *b)
{
	/* Only bits that were offered are left, and none that needs version 1: it cannot be refused. */
	(void)virtio_device_set_features(b->vdev, driver_features(b));
}

void virtio_pci_set_legacy_features(struct virtio_pci *b, uint32_t features)
{
	if (any_queue_works(b))
		return;
	b->driver_features[0] = features & (uint32_t)b->vdev->offered;
	b->driver_features[1] = b->driver_features[2] = b->driver_features[3] = 0;
	if (!b->resetting)
		apply_legacy_features(b);
}

/* ---- reset ---- */

/* Once for each question. */
static void tell_quiet(struct virtio_pci *b)
{
	void (*quiet)(struct virtio_pci * b) = b->quiet;

	b->quiet = NULL;
	quiet(b);
}

static void reset_done(struct virtio_waiter *w)
{
	struct virtio_pci *b = container_of(w, struct virtio_pci, reset_waiter);
	uint8_t status = b->wanted_status;

	b->resetting = false;
	b->wanted_status = 0;
	if (b->quiet) {
		tell_quiet(b);
		return;
	}
	/* What a driver that did not wait has done meanwhile. */
	if (b->legacy_driver)
		apply_legacy_features(b);
	if (status)
		apply_status(b, status);
}

/* What the driver has set up. */
static void forget(struct virtio_pci *b)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		virtio_pci_queue_forget(&b->queues[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(b->driver_features); i++)
		b->driver_features[i] = 0;
	b->device_feature_select = b->driver_feature_select = 0;
	b->config_vector = VIRTIO_MSI_NO_VECTOR;
	b->queue_select = 0;
	b->legacy_driver = false;
	b->wanted_status = 0;
	b->isr = 0;
	pci_function_set_intx(&b->fn, false);
}

static bool untouched(const struct virtio_pci *b)
{
	return !any_queue_works(b) && !b->vdev->status && !b->vdev->features;
}

void virtio_pci_reset(struct virtio_pci *b)
{
	bool nothing_to_wait_for = untouched(b);

	forget(b);
	if (b->resetting || (nothing_to_wait_for && !b->quiet))
		return;
	b->reset_waiter = (struct virtio_waiter){.done = reset_done};
	b->resetting = true;
	b->reset_awaited = false;
	virtio_device_reset(b->vdev, &b->reset_waiter);
}

void virtio_pci_quiesce(struct virtio_pci *b, void (*quiet)(struct virtio_pci *b))
{
	b->quiet = quiet;
	virtio_pci_reset(b);
}

/* ---- bus mastering ---- */

/*
 * Where bus mastering is switched off the access ends when nothing is in flight any more, in two
 * steps, since orders of two kinds may overtake each other: first every queue is disabled, then
 * each takes over its map anew, which it does when nothing is in flight.  The other way about a
 * queue that had only just been enabled would go on between the two.
 */
static void pause_begin(struct virtio_pci *b);

static void pause_done(struct virtio_waiter *w)
{
	struct virtio_pci *b = container_of(w, struct virtio_pci, pause);

	b->pausing = false;
	if (b->pause_again)
		pause_begin(b);
}

static void pause_drain(struct virtio_waiter *w)
{
	struct virtio_pci *b = container_of(w, struct virtio_pci, pause);

	*w = (struct virtio_waiter){.done = pause_done};
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running)
			virtio_queue_set_mem(&b->vdev->queues[i], b->mem, w);
	if (!w->pending)
		pause_done(w);
}

static void enable_queues(struct virtio_pci *b, bool on, struct virtio_waiter *waiter)
{
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running)
			virtio_queue_set_enabled(&b->vdev->queues[i], on, waiter);
}

static void pause_begin(struct virtio_pci *b)
{
	b->pause_again = false;
	b->pause = (struct virtio_waiter){.done = pause_drain};
	enable_queues(b, false, &b->pause);
	b->pausing = b->pause.pending;
}

/* ---- who waits for what ---- */

void virtio_pci_await_reset(struct virtio_pci *b)
{
	b->reset_awaited = b->resetting;
	virtio_pci_wait_while(b, &b->resetting);
}

void virtio_pci_await_queue_reset(struct virtio_pci_queue *q)
{
	q->reset_awaited = q->resetting;
	virtio_pci_wait_while(q->board, &q->resetting);
	/* A reset of the device takes it over. */
	virtio_pci_await_reset(q->board);
}

bool virtio_pci_access_waits(const struct virtio_pci *b)
{
	if (b->pausing || (b->resetting && b->reset_awaited))
		return true;
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].resetting && b->queues[i].reset_awaited)
			return true;
	return false;
}

/* A reset that is under way has requests in flight, too. */
static void await_silence(struct virtio_pci *b)
{
	virtio_pci_wait_while(b, &b->pausing);
	virtio_pci_await_reset(b);
	for (unsigned i = 0; i < b->n_queues; i++)
		virtio_pci_await_queue_reset(&b->queues[i]);
}

void virtio_pci_update_master(struct virtio_pci *b)
{
	bool master = pci_function_get16(&b->fn, PCI_COMMAND) & PCI_COMMAND_MASTER;

	if (master == b->master)
		return;
	b->master = master;
	b->master_gone = !master;
	if (master) {
		enable_queues(b, true, NULL);
		return;
	}
	if (b->pausing) {
		/* It may have been on in between. */
		b->pause_again = true;
		enable_queues(b, false, NULL);
	} else {
		pause_begin(b);
	}
	await_silence(b);
}
