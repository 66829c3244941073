/* SPDX-License-Identifier: MIT */
/*
 * One queue of a device, from the driver's side: the ring, where it lies, the way to kick the
 * device and to sleep until it calls.
 *
 * Threads: set-up and take-down the disk's; the rest the queue's owner.
 */
#ifndef FRONTEND_VIRTIO_VQUEUE_H
#define FRONTEND_VIRTIO_VQUEUE_H

#include "frontend/virtio/vdriver.h"
#include "vring/driver.h"

struct vqueue {
	struct vqdrv ring;
	struct vdriver *v;
	uint16_t index, num, table_len;
	bool armed;	 /* interrupts were asked for                          */
	int call_fd;	 /* an event of ours                                   */
	void *state;	 /* private, of the ring                               */
	uint8_t *shared; /* vqueue_bytes() of memory that the device reaches  */
	uint64_t kicks, calls;
};

/* The size a queue gets: at most @want and @max; 0: none is possible. */
uint16_t vqueue_size(uint32_t want, uint32_t max, bool packed);

/* Shared memory a queue needs once features are settled, and what it begins on a multiple of. */
uint64_t vqueue_bytes(const struct vdriver *v, uint16_t num, uint16_t table_len);
uint32_t vqueue_align(const struct vdriver *v);

int vqueue_init(struct vqueue *q, struct vdriver *v, uint16_t index, uint16_t num,
		uint16_t table_len, void *shared, struct error *err);
void vqueue_fini(struct vqueue *q);

/* A new, empty ring, made known to the device and enabled; interrupts are off. */
int vqueue_start(struct vqueue *q, struct error *err);

/* Shows what was added, kicks if the device wants it. */
static inline void vqueue_commit(struct vqueue *q)
{
	vqdrv_publish(&q->ring);
	if (vqdrv_needs_kick(&q->ring)) {
		q->kicks++;
		q->v->t->ops->kick(q->v->t, q->index, vqdrv_notify_value(&q->ring, q->index));
	}
}

/*
 * true: something is used already and there is no need to sleep; or nobody would wake the sleeper.
 */
bool vqueue_arm(struct vqueue *q);
/* Takes back what arm asked for; the calls that came stay to be counted. */
void vqueue_calls_off(struct vqueue *q);
/* The same, and counts them: the fd is no longer readable. */
void vqueue_disarm(struct vqueue *q);
/* Makes a sleeper on the call fd wake up; any thread. */
void vqueue_wake(const struct vqueue *q);

#endif
