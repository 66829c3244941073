/* SPDX-License-Identifier: MIT */
/* The rig's device: it copies what it reads to what it may write. */
#include "server/vhost_user/rig_test.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HELD_MAX 256
#define DELAY_NS (300 * NSEC_PER_USEC)

struct held {
	struct vq_ticket ticket;
	struct iovec iov[2];
	uint32_t len;
};

struct echo_queue {
	struct virtio_queue *q;
	struct reactor_timer timer;
	unsigned n;
	struct held held[HELD_MAX];
};

static struct echo *echo_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct echo, vdev);
}

static void finish(struct echo_queue *eq)
{
	for (unsigned i = 0; i < eq->n; i++) {
		struct held *h = &eq->held[i];

		if (h->len)
			memcpy(h->iov[1].iov_base, h->iov[0].iov_base, h->len);
		virtio_queue_push(eq->q, &h->ticket, h->len);
	}
	eq->n = 0;
}

static void delay_over(struct reactor_timer *t)
{
	finish(container_of(t, struct echo_queue, timer));
}

static int echo_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err)
{
	struct echo_queue *eq = calloc(1, sizeof(*eq));

	(void)err;
	eq->q = q;
	reactor_timer_init(&eq->timer, delay_over);
	q->device = eq;
	echo_of(vdev)->running++;
	return 0;
}

static void echo_queue_stop(struct virtio_device *vdev, struct virtio_queue *q)
{
	struct echo_queue *eq = q->device;

	reactor_timer_stop(q->reactor, &eq->timer);
	free(eq);
	q->device = NULL;
	echo_of(vdev)->running--;
}

static int echo_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget)
{
	struct echo *echo = echo_of(vdev);
	struct echo_queue *eq = q->device;
	int n = 0, rc = 0;

	while ((unsigned)n < budget && eq->n < HELD_MAX) {
		struct held *h = &eq->held[eq->n];
		struct iovec iov[64];
		struct vq_chain chain = {.iov = iov, .iov_max = 64};

		/* What was popped before the ring broke is completed all the same. */
		rc = vqdev_pop(&q->ring, &chain);
		if (rc <= 0)
			break;
		n++;
		h->ticket = chain.ticket;
		h->len = 0;
		if (chain.readable == 1 && chain.writable == 1 &&
		    iov[0].iov_len == iov[1].iov_len) {
			h->iov[0] = iov[0];
			h->iov[1] = iov[1];
			h->len = (uint32_t)iov[0].iov_len;
		}
		eq->n++;
		echo->popped++;
	}
	if (eq->n && echo->mode == ECHO_AT_ONCE)
		finish(eq);
	else if (eq->n && echo->mode == ECHO_DELAY)
		reactor_timer_start(q->reactor, &eq->timer, DELAY_NS);
	return rc < 0 ? rc : n;
}

static void echo_config_read(struct virtio_device *vdev, size_t offset, void *buf, size_t len)
{
	memcpy(buf, echo_of(vdev)->config + offset, len);
}

static int echo_config_write(struct virtio_device *vdev, size_t offset, const void *buf, size_t len)
{
	uint8_t v = *(const uint8_t *)buf;

	if (offset != CONFIG_WRITABLE || len != 1)
		return -EPERM;
	if (v > 1)
		return -EINVAL;
	echo_of(vdev)->config[CONFIG_WRITABLE] = v;
	return 0;
}

static void echo_features_set(struct virtio_device *vdev)
{
	echo_of(vdev)->features_set++;
}

static void echo_reset(struct virtio_device *vdev)
{
	echo_of(vdev)->resets++;
}

const struct virtio_device_class echo_class = {
	.name = "echo",
	.id = 0x7f,
	.config_size = CONFIG_LEN,
	.config_read = echo_config_read,
	.config_write = echo_config_write,
	.features_set = echo_features_set,
	.reset = echo_reset,
	.queue_start = echo_queue_start,
	.queue_stop = echo_queue_stop,
	.process = echo_process,
};

void echo_mode(struct rig *rig, enum echo_mode mode)
{
	rig->echo.mode = (int)mode;
}

void echo_wait_popped(struct rig *rig, unsigned n)
{
	uint64_t start = clock_ns();

	while (rig->echo.popped < n)
		rig_patience(start);
}

static void release_on_worker(void *arg)
{
	struct virtio_queue *q = arg;

	if (q->device)
		finish(q->device);
}

void echo_release(struct rig *rig)
{
	echo_mode(rig, ECHO_AT_ONCE);
	for (unsigned i = 0; i < QUEUES; i++) {
		struct virtio_queue *q = &rig->echo.vdev.queues[i];

		worker_call(q->worker, release_on_worker, q);
	}
}
