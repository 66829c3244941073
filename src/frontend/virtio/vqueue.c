/* SPDX-License-Identifier: MIT */
#include "frontend/virtio/vqueue.h"

#include "frontend/virtio/os.h"

#include <errno.h>

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

/*
 * Behind an IOMMU no used element shall lie in two pages: the four bytes in front of the first one
 * end a line.  QEMU 7.2 writes the second half of one that does to a wrong address.  A used ring
 * needs no more than an alignment of 4 (virtio 1.4, 2.7).
 */
static struct layout layout(const struct vdriver *v, uint16_t num, uint16_t table_len)
{
	bool packed = vdriver_has(v, VIRTIO_F_RING_PACKED);
	uint32_t legacy = v->t->legacy_align;
	struct layout l;

	l.driver = align_up(vring_desc_size(num), legacy ? 1 : LINE);
	l.device = align_up(l.driver + vring_driver_size(num, packed), legacy ? legacy : LINE);
	if (v->shifts && !packed && !legacy)
		l.device += LINE - offsetof(struct virtq_used, ring);
	l.tables = align_up(l.device + vring_device_size(num, packed), LINE);
	l.end = align_up(l.tables + vqdrv_tables_bytes(num, table_len), LINE);
	return l;
}

uint64_t vqueue_bytes(const struct vdriver *v, uint16_t num, uint16_t table_len)
{
	return layout(v, num, table_len).end;
}

uint32_t vqueue_align(const struct vdriver *v)
{
	return v->t->legacy_align > LINE ? v->t->legacy_align : LINE;
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
	q->state = os_alloc((size_t)vqdrv_state_bytes(num), _Alignof(struct vqdrv_slot));
	if (!q->state)
		return error_set(err, -ENOMEM, "no memory for a queue of %u", num);
	q->call_fd = os_event_create(err);
	if (q->call_fd < 0) {
		os_free(q->state);
		q->state = NULL;
		return q->call_fd;
	}
	return 0;
}

void vqueue_fini(struct vqueue *q)
{
	if (!q->state)
		return;
	os_event_close(q->call_fd);
	os_free(q->state);
	q->state = NULL;
	q->call_fd = -1;
}

int vqueue_start(struct vqueue *q, struct error *err)
{
	bool packed = vdriver_has(q->v, VIRTIO_F_RING_PACKED);
	struct layout l = layout(q->v, q->num, q->table_len);
	unsigned hint = 0;
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
		.tables_addr = vdriver_address(q->v, q->shared + l.tables, &hint),
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
	if (q->v->t->no_calls)
		return true;
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
	vqueue_calls_off(q);
	q->calls += os_event_take(q->call_fd);
}

void vqueue_wake(const struct vqueue *q)
{
	os_event_signal(q->call_fd);
}
