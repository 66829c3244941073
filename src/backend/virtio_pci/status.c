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

	return !b->driver_features[2] && !b->driver_features[3] && !(f & ~b->vdev->offered) &&
	       virtio_features_grounded(f) == f &&
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
	virtio_device_reset(b->vdev, &b->reset_waiter);
}

void virtio_pci_quiesce(struct virtio_pci *b, void (*quiet)(struct virtio_pci *b))
{
	b->quiet = quiet;
	virtio_pci_reset(b);
}

/* ---- bus mastering ---- */

static void pause_done(struct virtio_waiter *w)
{
	container_of(w, struct virtio_pci, pause)->pausing = false;
}

/* A map that is taken over anew is taken over when nothing is in flight. */
static void pause_queues(struct virtio_pci *b)
{
	struct virtio_waiter *w = b->pausing ? NULL : &b->pause;

	if (w)
		*w = (struct virtio_waiter){.done = pause_done};
	for (unsigned i = 0; i < b->n_queues; i++) {
		struct virtio_queue *vq = &b->vdev->queues[i];

		if (!b->queues[i].running)
			continue;
		virtio_queue_set_enabled(vq, false, NULL);
		if (w)
			virtio_queue_set_mem(vq, b->mem, w);
	}
	b->pausing |= w && w->pending;
}

void virtio_pci_update_master(struct virtio_pci *b)
{
	bool master = pci_function_get16(&b->fn, PCI_COMMAND) & PCI_COMMAND_MASTER;

	if (master == b->master)
		return;
	b->master = master;
	b->master_gone = !master;
	if (!master) {
		pause_queues(b);
		virtio_pci_wait_while(b, &b->pausing);
		return;
	}
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running)
			virtio_queue_set_enabled(&b->vdev->queues[i], true, NULL);
}
