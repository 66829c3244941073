/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/driver_test.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "wire/virtio.h"
#include "wire/virtio_blk.h"
#include "wire/virtio_pci.h"
#include "wire/vring.h"

#include <string.h>

#define HANG_NS	      (20 * NSEC_PER_SEC)
#define BAR	      4
#define NOTIFY	      0x3000u
#define COMMON(field) offsetof(struct virtio_pci_common_cfg, field)

void *drv_at(struct drv *d, uint64_t iova)
{
	assert_in_range(iova, RIG_MEM_AT, RIG_MEM_AT + RIG_MEM_SIZE - 1);
	return d->r->mem + (iova - RIG_MEM_AT);
}

uint8_t drv_status(struct drv *d)
{
	return (uint8_t)rig_get(d->r, BAR, COMMON(device_status), 1);
}

void drv_set_status(struct drv *d, uint8_t status)
{
	rig_put(d->r, BAR, COMMON(device_status), status, 1);
}

static void put64(struct drv *d, uint64_t at, uint64_t v)
{
	rig_put(d->r, BAR, at, (uint32_t)v, 4);
	rig_put(d->r, BAR, at + 4, (uint32_t)(v >> 32), 4);
}

static void drv_features(struct drv *d, uint64_t features)
{
	for (uint32_t half = 0; half < 2; half++) {
		rig_put(d->r, BAR, COMMON(driver_feature_select), half, 4);
		rig_put(d->r, BAR, COMMON(driver_feature), (uint32_t)(features >> 32 * half), 4);
	}
}

static void drv_queue_up(struct drv *d, unsigned q)
{
	d->q[q] = (struct drv_queue){.avail_wrap = true, .used_wrap = true};
	memset(drv_at(d, DRV_RING(q)), 0, 0x3000);
	rig_put(d->r, BAR, COMMON(queue_select), q, 2);
	rig_put(d->r, BAR, COMMON(queue_size), DRV_NUM, 2);
	rig_put(d->r, BAR, COMMON(queue_msix_vector), q, 2);
	put64(d, COMMON(queue_desc), DRV_RING(q));
	put64(d, COMMON(queue_driver), DRV_DRIVER(q));
	put64(d, COMMON(queue_device), DRV_DEVICE(q));
	rig_put(d->r, BAR, COMMON(queue_enable), 1, 2);
}

void drv_prepare(struct drv *d, struct rig *r, unsigned queues, bool packed, uint64_t features)
{
	const uint8_t up = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

	*d = (struct drv){.r = r, .packed = packed, .n_queues = queues};
	features |= BIT64(VIRTIO_F_VERSION_1) | (packed ? BIT64(VIRTIO_F_RING_PACKED) : 0);
	rig_put(r, VFIO_USER_REGION_CONFIG, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY,
		2);
	drv_set_status(d, up);
	drv_features(d, features);
	drv_set_status(d, up | VIRTIO_STATUS_FEATURES_OK);
	assert_true(drv_status(d) & VIRTIO_STATUS_FEATURES_OK);
	assert_true(queues <= rig_get(r, BAR, COMMON(num_queues), 2));
	for (unsigned q = 0; q < queues; q++)
		drv_queue_up(d, q);
}

void drv_up(struct drv *d, struct rig *r, unsigned queues, bool packed, uint64_t features)
{
	drv_prepare(d, r, queues, packed, features);
	drv_set_status(d, drv_status(d) | VIRTIO_STATUS_DRIVER_OK);
}

/* ---- requests ---- */

struct piece {
	uint64_t addr;
	uint32_t len;
	bool write;
};

static unsigned drv_pieces(struct drv *d, const struct drv_request *what, struct piece *p)
{
	struct virtio_blk_req header = {.type = le32_make(what->type),
					.sector = le64_make(what->sector)};
	unsigned n = 0;

	if (what->header >= RIG_MEM_AT && what->header < RIG_MEM_AT + RIG_MEM_SIZE)
		memcpy(drv_at(d, what->header), &header, sizeof(header));
	p[n++] = (struct piece){what->header, sizeof(header), false};
	if (what->len)
		p[n++] = (struct piece){what->data, what->len, what->type != VIRTIO_BLK_T_OUT};
	p[n++] = (struct piece){what->status, 1, true};
	return n;
}

static void offer_split(struct drv *d, unsigned q, unsigned i, const struct piece *p, unsigned n)
{
	struct virtq_desc *desc = drv_at(d, DRV_RING(q));
	struct virtq_avail *avail = drv_at(d, DRV_DRIVER(q));
	struct drv_queue *dq = &d->q[q];

	for (unsigned k = 0; k < n; k++) {
		struct virtq_desc *at = &desc[3 * i + k];

		le64_write(&at->addr, p[k].addr);
		le32_write(&at->len, p[k].len);
		le16_write(&at->flags, (uint16_t)((k + 1 < n ? VIRTQ_DESC_F_NEXT : 0) |
						  (p[k].write ? VIRTQ_DESC_F_WRITE : 0)));
		le16_write(&at->next, (uint16_t)(3 * i + k + 1));
	}
	le16_write(&avail->ring[dq->avail % DRV_NUM], (uint16_t)(3 * i));
	le16_store_release(&avail->idx, ++dq->avail);
}

static void offer_packed(struct drv *d, unsigned q, unsigned i, const struct piece *p, unsigned n)
{
	struct pvirtq_desc *ring = drv_at(d, DRV_RING(q));
	struct drv_queue *dq = &d->q[q];
	uint16_t first_flags = 0, first = dq->avail;

	for (unsigned k = 0; k < n; k++) {
		struct pvirtq_desc *at = &ring[dq->avail];
		uint16_t flags = (uint16_t)((k + 1 < n ? VIRTQ_DESC_F_NEXT : 0) |
					    (p[k].write ? VIRTQ_DESC_F_WRITE : 0) |
					    (dq->avail_wrap ? VIRTQ_DESC_F_AVAIL
							    : VIRTQ_DESC_F_USED));

		le64_write(&at->addr, p[k].addr);
		le32_write(&at->len, p[k].len);
		le16_write(&at->id, (uint16_t)i);
		if (k)
			le16_write(&at->flags, flags);
		else
			first_flags = flags;
		if (++dq->avail == DRV_NUM) {
			dq->avail = 0;
			dq->avail_wrap = !dq->avail_wrap;
		}
	}
	le16_store_release(&ring[first].flags, first_flags);
}

void drv_offer(struct drv *d, unsigned q, unsigned i, const struct drv_request *what)
{
	struct piece p[3];
	unsigned n = drv_pieces(d, what, p);

	assert_true(i < DRV_REQUESTS_MAX && !d->q[q].busy[i]);
	d->q[q].busy[i] = true;
	d->q[q].out++;
	/* A packed chain of two slots leaves holes in nothing; a split one has its three descriptors. */
	if (d->packed)
		offer_packed(d, q, i, p, n);
	else
		offer_split(d, q, i, p, n);
}

void drv_kick(struct drv *d, unsigned q)
{
	rig_put(d->r, BAR, NOTIFY + 4 * q, q, 2);
}

static int take_split(struct drv *d, unsigned q, uint32_t *len)
{
	struct virtq_used *used = drv_at(d, DRV_DEVICE(q));
	struct drv_queue *dq = &d->q[q];
	const struct virtq_used_elem *e = &used->ring[dq->used % DRV_NUM];

	if (le16_load_acquire(&used->idx) == dq->used)
		return -1;
	dq->used++;
	*len = le32_read(&e->len);
	assert_int_equal(le32_read(&e->id) % 3, 0);
	return (int)le32_read(&e->id) / 3;
}

static int take_packed(struct drv *d, unsigned q, uint32_t *len)
{
	struct pvirtq_desc *ring = drv_at(d, DRV_RING(q));
	struct drv_queue *dq = &d->q[q];
	const struct pvirtq_desc *at = &ring[dq->used];
	uint16_t flags = le16_load_acquire(&at->flags);
	bool avail = flags & VIRTQ_DESC_F_AVAIL, used = flags & VIRTQ_DESC_F_USED;

	if (avail != used || used != dq->used_wrap)
		return -1;
	*len = le32_read(&at->len);
	/* All chains of the tests that use packed rings have three pieces. */
	dq->used = (uint16_t)(dq->used + 3);
	if (dq->used >= DRV_NUM) {
		dq->used = (uint16_t)(dq->used - DRV_NUM);
		dq->used_wrap = !dq->used_wrap;
	}
	return le16_read(&at->id);
}

int drv_take(struct drv *d, unsigned q, uint32_t *len)
{
	int i = d->packed ? take_packed(d, q, len) : take_split(d, q, len);

	if (i < 0)
		return -1;
	/* Exactly once. */
	assert_true(i < DRV_REQUESTS_MAX && d->q[q].busy[i]);
	d->q[q].busy[i] = false;
	d->q[q].out--;
	return i;
}

int drv_wait(struct drv *d, unsigned q, uint32_t *len)
{
	uint64_t until = clock_ns() + HANG_NS;
	int i;

	while ((i = drv_take(d, q, len)) < 0) {
		assert_true(clock_ns() < until);
		if (drv_status(d) & VIRTIO_STATUS_NEEDS_RESET)
			return -1;
		rig_turn(d->r, 1);
	}
	return i;
}

int drv_do(struct drv *d, const struct drv_request *what)
{
	uint32_t len;

	drv_offer(d, 0, 0, what);
	drv_kick(d, 0);
	if (drv_wait(d, 0, &len) < 0)
		return 255;
	return *(volatile uint8_t *)drv_at(d, what->status);
}
