/* SPDX-License-Identifier: MIT */
#include "backend/virtio/device.h"

#include "wire/virtio.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int virtio_device_init(struct virtio_device *vdev, const struct virtio_device_class *cls,
		       const char *path, uint64_t offered, unsigned n_queues, struct reactor *home,
		       struct worker *const *workers, unsigned n_workers, unsigned first_worker,
		       struct error *err)
{
	vdev->cls = cls;
	vdev->bus = NULL;
	vdev->home = home;
	snprintf(vdev->path, sizeof(vdev->path), "%s", path);
	vdev->offered = virtio_features_grounded(offered);
	if (cls->grounded)
		vdev->offered = cls->grounded(vdev->offered);
	vdev->features = 0;
	vdev->status = 0;
	vdev->generation = 0;
	vdev->reset = (struct virtio_device_reset){.n_callers = 0};
	vdev->queues = calloc(n_queues, sizeof(vdev->queues[0]));
	if (!vdev->queues)
		return error_set(err, -ENOMEM, "cannot set up %u queues", n_queues);
	vdev->n_queues = n_queues;
	vdev->queue_size_max = 0;
	for (unsigned i = 0; i < n_queues; i++) {
		if (virtio_queue_init(&vdev->queues[i], vdev, i,
				      workers[(first_worker + i) % n_workers])) {
			vdev->n_queues = i;
			virtio_device_fini(vdev);
			return error_set(err, -ENOMEM, "cannot set up %u queues", n_queues);
		}
	}
	return 0;
}

void virtio_device_fini(struct virtio_device *vdev)
{
	for (unsigned i = 0; i < vdev->n_queues; i++)
		virtio_queue_fini(&vdev->queues[i]);
	free(vdev->queues);
	vdev->queues = NULL;
	vdev->n_queues = 0;
}

/* ---- features ---- */

uint64_t virtio_features_grounded(uint64_t features)
{
	/* The generic bits of virtio 1.4, 6: what came with version 1 makes no sense without it. */
	static const uint64_t modern = BIT64(VIRTIO_F_ACCESS_PLATFORM) |
				       BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER) |
				       BIT64(VIRTIO_F_ORDER_PLATFORM) | BIT64(VIRTIO_F_SR_IOV) |
				       BIT64(VIRTIO_F_NOTIFICATION_DATA) |
				       BIT64(VIRTIO_F_NOTIF_CONFIG_DATA) |
				       BIT64(VIRTIO_F_RING_RESET) | BIT64(VIRTIO_F_ADMIN_VQ) |
				       BIT64(VIRTIO_F_SUSPEND);

	return features & BIT64(VIRTIO_F_VERSION_1) ? features : features & ~modern;
}

uint64_t virtio_device_legacy_offer(const struct virtio_device *vdev)
{
	uint64_t f = virtio_features_grounded(vdev->offered & ~BIT64(VIRTIO_F_VERSION_1));

	return vdev->cls->grounded ? vdev->cls->grounded(f) : f;
}

bool virtio_device_takes(const struct virtio_device *vdev, uint64_t features)
{
	if (features & ~vdev->offered || virtio_features_grounded(features) != features)
		return false;
	/* A driver of before version 1 cannot be refused. */
	return !(features & BIT64(VIRTIO_F_VERSION_1)) || !vdev->cls->fits ||
	       vdev->cls->fits(vdev, features);
}

int virtio_device_set_features(struct virtio_device *vdev, uint64_t features)
{
	if (!virtio_device_takes(vdev, features))
		return -EINVAL;
	if (vdev->cls->grounded && vdev->cls->grounded(features) != features) {
		if (features & BIT64(VIRTIO_F_VERSION_1))
			return -EINVAL;
		/* A driver of before version 1 cannot be refused. */
		features = vdev->cls->grounded(features);
	}
	vdev->features = features;
	if (vdev->cls->features_set)
		vdev->cls->features_set(vdev);
	return 0;
}

/* ---- status ---- */

void virtio_device_set_status(struct virtio_device *vdev, uint8_t status)
{
	uint8_t mine = vdev->status & VIRTIO_STATUS_NEEDS_RESET;
	uint8_t added = status & (uint8_t)~vdev->status;

	/* A driver only adds bits (2.1.1); taking one back is not understood as anything but
	 * leaving it. */
	status = vdev->status |
		 (status & (uint8_t) ~(VIRTIO_STATUS_NEEDS_RESET | VIRTIO_STATUS_SUSPEND));
	if (added & VIRTIO_STATUS_FEATURES_OK && !virtio_device_has(vdev, VIRTIO_F_VERSION_1) &&
	    !(vdev->bus && vdev->bus->takes_legacy))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	vdev->status = status | mine;
}

static void device_reset_done(struct virtio_waiter *w)
{
	struct virtio_device_reset r = *container_of(w, struct virtio_device_reset, waiter);
	struct virtio_device *vdev = container_of(w, struct virtio_device, reset.waiter);

	vdev->reset.n_callers = 0;
	vdev->features = 0;
	vdev->status = 0;
	if (vdev->cls->reset)
		vdev->cls->reset(vdev);
	for (unsigned i = 0; i < r.n_callers; i++)
		if (!--r.callers[i]->pending)
			r.callers[i]->done(r.callers[i]);
}

static bool reset_is_awaited(const struct virtio_device_reset *r, const struct virtio_waiter *w)
{
	for (unsigned i = 0; i < r->n_callers; i++)
		if (r->callers[i] == w)
			return true;
	return false;
}

void virtio_device_reset(struct virtio_device *vdev, struct virtio_waiter *waiter)
{
	struct virtio_device_reset *r = &vdev->reset;

	r->waiter.done = device_reset_done;
	if (waiter && !reset_is_awaited(r, waiter)) {
		assert(r->n_callers < ARRAY_SIZE(r->callers));
		r->callers[r->n_callers++] = waiter;
		waiter->pending++;
	}
	/* Once more while one is under way: for what was started since. */
	for (unsigned i = 0; i < vdev->n_queues; i++) {
		virtio_queue_set_enabled(&vdev->queues[i], false, &r->waiter);
		virtio_queue_stop(&vdev->queues[i], &r->waiter);
	}
}

void virtio_device_needs_reset(struct virtio_device *vdev)
{
	vdev->status |= VIRTIO_STATUS_NEEDS_RESET;
	/* 2.1.2: a driver that is up is told by a configuration change notification. */
	if (vdev->bus && vdev->bus->ops->config_changed)
		vdev->bus->ops->config_changed(vdev->bus);
}

/* ---- config space ---- */

int virtio_device_config_read(struct virtio_device *vdev, uint64_t offset, void *buf, size_t len)
{
	if (offset > vdev->cls->config_size || len > vdev->cls->config_size - offset)
		return -EINVAL;
	if (len)
		vdev->cls->config_read(vdev, (size_t)offset, buf, len);
	return 0;
}

int virtio_device_config_write(struct virtio_device *vdev, uint64_t offset, const void *buf,
			       size_t len)
{
	if (offset > vdev->cls->config_size || len > vdev->cls->config_size - offset)
		return -EINVAL;
	if (!len)
		return 0;
	return vdev->cls->config_write ? vdev->cls->config_write(vdev, (size_t)offset, buf, len)
				       : -EPERM;
}

void virtio_device_config_changed(struct virtio_device *vdev)
{
	vdev->generation++;
	if (vdev->bus && vdev->bus->ops->config_changed)
		vdev->bus->ops->config_changed(vdev->bus);
}
