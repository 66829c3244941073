/* SPDX-License-Identifier: MIT */
/*
 * A virtio device, whatever its type: offered and negotiated features, status, config space, queues
 * (virtio 1.4, 2.1 to 2.6, 3).
 *
 * A device type (virtio-blk) embeds struct virtio_device, fills it by virtio_device_init() and
 * leaves its own part to its class.  A transport drives it through the functions below and never
 * asks what type it is.
 *
 * Life of the status:  0 -> ACKNOWLEDGE -> DRIVER -> FEATURES_OK -> DRIVER_OK; NEEDS_RESET and
 * FAILED on top; back to 0 by reset only.  A transport that carries no status (vhost-user without
 * protocol feature STATUS) leaves it alone and starts queues by itself.
 *
 * Threads: everything here runs on the control thread (whose reactor is @home), except where a
 * comment names the worker.
 */
#ifndef BACKEND_VIRTIO_DEVICE_H
#define BACKEND_VIRTIO_DEVICE_H

#include "backend/virtio/bus.h"
#include "backend/virtio/queue.h"
#include "base/pack.h"

struct virtio_device_class {
	const char *name;
	uint16_t id; /* VIRTIO_ID_* */
	size_t config_size;

	/* [offset, offset + len) lies inside the config space. */
	void (*config_read)(struct virtio_device *vdev, size_t offset, void *buf, size_t len);
	/* -EPERM: not a field that a driver may write; -EINVAL: not a value it may have.  Optional.
	 */
	int (*config_write)(struct virtio_device *vdev, size_t offset, const void *buf, size_t len);
	/* Takes away the type's own features that lack what they stand on.  Optional. */
	uint64_t (*grounded)(uint64_t features);
	/* Whether it can work with a driver of these features, all of which are offered.  Optional: it
	 * can with any. */
	bool (*fits)(const struct virtio_device *vdev, uint64_t features);
	/* The driver's features are settled (or changed).  Optional. */
	void (*features_set)(struct virtio_device *vdev);
	/* All queues have stopped; back to the state after init.  Optional. */
	void (*reset)(struct virtio_device *vdev);
	/* Looks whether what the device stands on has another size.  Optional. */
	void (*refresh)(struct virtio_device *vdev);
	/*
	 * No queue runs: what a driver has made of the device, beside features and status, and what
	 * must be the same where it goes on; and from there.  load: the features are set; -EINVAL
	 * for what cannot be, then the device has to be reset; *changed: the driver is to be told
	 * that the config space is another.  Optional, both or none.
	 */
	void (*save)(const struct virtio_device *vdev, struct pack *p);
	int (*load)(struct virtio_device *vdev, struct unpack *u, bool *changed, struct error *err);
	/* All queues have stopped, and it is unplugged: gives everything back. */
	void (*destroy)(struct virtio_device *vdev);

	/* Worker thread: the queue is about to run, its ring is set up. */
	int (*queue_start)(struct virtio_device *vdev, struct virtio_queue *q, struct error *err);
	/* Worker thread: it has stopped, nothing is in flight. */
	void (*queue_stop)(struct virtio_device *vdev, struct virtio_queue *q);
	/*
	 * Worker thread: pop up to @budget chains and start them, as long as the turn is not spent
	 * (virtio_queue_spent()).  Returns the number popped; a negative errno from vqdev_pop() is
	 * passed on, with the queue broken.
	 */
	int (*process)(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget);
	/*
	 * Worker thread: nothing may stay in flight: put back (vqdev_unpop()) or push what was
	 * popped and waits for something.  Optional.
	 */
	void (*let_go)(struct virtio_device *vdev, struct virtio_queue *q);
};

/* A reset under way: the queues' orders, and who is to be told; nothing is allocated for it. */
struct virtio_device_reset {
	struct virtio_waiter waiter;
	struct virtio_waiter *callers[4];
	unsigned n_callers;
};

struct virtio_device {
	const struct virtio_device_class *cls;
	struct virtio_bus *bus; /* NULL: not plugged in */
	struct reactor *home;	/* the control thread's */
	char path[64];		/* "disk0", for messages */

	uint64_t offered;
	uint64_t features; /* the driver's choice */
	uint8_t status;
	uint32_t generation; /* of the config space */
	struct log_limit complaints;

	struct virtio_queue *queues;
	unsigned n_queues;
	struct virtio_device_reset reset;
	unsigned queue_size_max; /* largest ring that is taken; 0: any that the standard allows */
};

/*
 * @workers: queue i belongs to workers[(first_worker + i) % n_workers].
 * 0 or -ENOMEM.
 */
int virtio_device_init(struct virtio_device *vdev, const struct virtio_device_class *cls,
		       const char *path, uint64_t offered, unsigned n_queues, struct reactor *home,
		       struct worker *const *workers, unsigned n_workers, unsigned first_worker,
		       struct error *err);
/* All queues have stopped. */
void virtio_device_fini(struct virtio_device *vdev);

static inline void virtio_device_refresh(struct virtio_device *vdev)
{
	if (vdev->cls->refresh)
		vdev->cls->refresh(vdev);
}

static inline bool virtio_device_has(const struct virtio_device *vdev, unsigned feature)
{
	return vdev->features & BIT64(feature);
}

/* Features that stand on others; takes away what lacks its ground. For an offer, and to check a
 * driver's choice. */
uint64_t virtio_features_grounded(uint64_t features);

/* What is shown to drivers of before version 1. */
uint64_t virtio_device_legacy_offer(const struct virtio_device *vdev);

/* Whether a driver may have chosen that. */
bool virtio_device_takes(const struct virtio_device *vdev, uint64_t features);

/*
 * The driver's choice: -EINVAL when it was not offered, a feature lacks what it stands on, or one is
 * missing without which the device is of no use; the features before stay then.
 */
int virtio_device_set_features(struct virtio_device *vdev, uint64_t features);

/*
 * The driver writes its status.  Only bits may be added; a step that the device cannot agree to
 * (FEATURES_OK with a bad choice) leaves its bit clear, as the driver will see when it reads back.
 * 0 is virtio_device_reset(), which takes time.
 */
void virtio_device_set_status(struct virtio_device *vdev, uint8_t status);

/*
 * Back to the beginning: stops every queue, waits until nothing is in flight, forgets features and
 * status.  @waiter may be NULL.  Cannot fail: memory is taken back by it.
 */
void virtio_device_reset(struct virtio_device *vdev, struct virtio_waiter *waiter);

/* -EINVAL unless the whole range lies inside the config space. */
int virtio_device_config_read(struct virtio_device *vdev, uint64_t offset, void *buf, size_t len);
int virtio_device_config_write(struct virtio_device *vdev, uint64_t offset, const void *buf,
			       size_t len);
/* A field of the config space has changed by itself: new generation, and the driver is told. */
void virtio_device_config_changed(struct virtio_device *vdev);

/* The device cannot go on: NEEDS_RESET, and the driver is told. */
void virtio_device_needs_reset(struct virtio_device *vdev);

#endif
