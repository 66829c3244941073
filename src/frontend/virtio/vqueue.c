/* SPDX-License-Identifier: MIT */
#include "frontend/virtio/vqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* No two areas in one cache line. */
#define LINE 64

uint16_t vqueue_size(uint32_t want, uint32_t max, bool packed)
{
	uint32_t num = want < max ? want : max;

	if (num > VRING_SIZE_MAX)
		num = VRING_SIZE_MAX;
	if (!packed)
		while (num & (num - 1))
			num &= num - 1;
	return (uint16_t)num;
}

struct layout {
	uint64_t driver, device, tables, end; /* desc is at 0 */
};

static struct layout layout(uint16_t num, bool packed, uint16_t table_len)
{
	struct layout l;

	l.driver = align_up(vring_desc_size(num), LINE);
	l.device = align_up(l.driver + vring_driver_size(num, packed), LINE);
	l.tables = align_up(l.device + vring_device_size(num, packed), LINE);
	l.end = align_up(l.tables + vqdrv_tables_bytes(num, table_len), LINE);
	return l;
}

uint64_t vqueue_bytes(uint16_t num, bool packed, uint16_t table_len)
{
	return layout(num, packed, table_len).end;
}

int vqueue_init(struct vqueue *q, struct vdriver *v, uint16_t index, uint16_t num,
		uint16_t table_len, void *shared, struct error *err)
{
	*q = (struct vqueue){.v = v,
			     .index = index,
			     .num = num,
			     .table_len = table_len,
			     .shared = shared,
			     .call_fd = -1};
	q->state = calloc(1, vqdrv_state_bytes(num));
	if (!q->state)
		return error_set(err, -ENOMEM, "no memory for a queue of %u", num);
	q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (q->call_fd < 0) {
		int rc = error_set(err, -errno, "cannot make an eventfd");

		free(q->state);
		q->state = NULL;
		return rc;
	}
	return 0;
}

void vqueue_fini(struct vqueue *q)
{
	if (!q->state)
		return;
	close(q->call_fd);
	free(q->state);
	q->state = NULL;
	q->call_fd = -1;
}

int vqueue_start(struct vqueue *q, struct error *err)
{
	bool packed = vdriver_has(q->v, VIRTIO_F_RING_PACKED);
	struct layout l = layout(q->num, packed, q->table_len);
	struct vqdrv_config config = {
		.num = q->num,
		.packed = packed,
		.event_idx = vdriver_has(q->v, VIRTIO_F_EVENT_IDX),
		.indirect = vdriver_has(q->v, VIRTIO_F_INDIRECT_DESC),
		.in_order = vdriver_has(q->v, VIRTIO_F_IN_ORDER),
		.desc = q->shared,
		.driver = q->shared + l.driver,
		.device = q->shared + l.device,
		.state = q->state,
		.tables = q->shared + l.tables,
		.tables_addr = (uintptr_t)(q->shared + l.tables),
		.table_len = q->table_len,
	};
	struct transport_queue tq = {
		.index = q->index,
		.num = q->num,
		.packed = packed,
		.desc = config.desc,
		.driver = config.driver,
		.device = config.device,
		.call_fd = q->call_fd,
	};
	int rc;

	rc = vqdrv_init(&q->ring, &config);
	if (rc)
		return error_set(err, rc, "a ring of %u entries is not possible", q->num);
	vqdrv_calls_off(&q->ring);
	q->armed = false;
	rc = q->v->t->ops->queue_setup(q->v->t, &tq, err);
	return rc ? rc : q->v->t->ops->queue_enable(q->v->t, q->index, err);
}

bool vqueue_arm(struct vqueue *q)
{
	if (vqdrv_calls_on(&q->ring))
		return true;
	q->armed = true;
	return false;
}

void vqueue_calls_off(struct vqueue *q)
{
	vqdrv_calls_off(&q->ring);
	q->armed = false;
}

void vqueue_disarm(struct vqueue *q)
{
	eventfd_t n;

	vqueue_calls_off(q);
	if (!eventfd_read(q->call_fd, &n))
		q->calls += n;
}

void vqueue_wake(const struct vqueue *q)
{
	(void)eventfd_write(q->call_fd, 1);
}
