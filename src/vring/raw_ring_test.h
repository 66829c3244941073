/* SPDX-License-Identifier: MIT */
/*
 * For tests: a ring written by hand, as the worst of drivers would, and a device half on it.
 *
 * Guest memory: 64 KiB from RAW_BASE with the ring, tables and data, then 4 KiB that touch it and
 * lie elsewhere in the host, then nothing.
 */
#ifndef VRING_RAW_RING_TEST_H
#define VRING_RAW_RING_TEST_H

#include "test.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "vring/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RAW_BASE   0x10000u
#define RAW_DRIVER (RAW_BASE + 0x1000u)
#define RAW_DEVICE (RAW_BASE + 0x2000u)
#define RAW_TABLE  (RAW_BASE + 0x4000u)
#define RAW_DATA   (RAW_BASE + 0x8000u)
#define RAW_SECOND (RAW_BASE + 0x10000u)
#define RAW_END	   (RAW_SECOND + 0x1000u)

#define F_NEXT	   VIRTQ_DESC_F_NEXT
#define F_WRITE	   VIRTQ_DESC_F_WRITE
#define F_INDIRECT VIRTQ_DESC_F_INDIRECT

struct raw_ring {
	struct vring_config config;
	struct gmem *mem;
	uint8_t *block, *second;
	struct vqdev dev;
	struct iovec iov[1100]; /* vqdev_slices_max() of a small ring, and more */
	struct vq_chain chain;
	uint16_t slot; /* packed: where raw_put() writes next ...  */
	bool wrap;     /* ... and the lap                          */
};

static inline void *raw_at(const struct raw_ring *r, uint64_t at)
{
	return r->block + (at - RAW_BASE);
}
static inline struct virtq_desc *raw_desc(const struct raw_ring *r)
{
	return raw_at(r, RAW_BASE);
}
static inline struct pvirtq_desc *raw_packed(const struct raw_ring *r)
{
	return raw_at(r, RAW_BASE);
}
static inline struct virtq_avail *raw_avail(const struct raw_ring *r)
{
	return raw_at(r, RAW_DRIVER);
}
static inline struct virtq_used *raw_used(const struct raw_ring *r)
{
	return raw_at(r, RAW_DEVICE);
}
static inline struct pvirtq_event *raw_driver_event(const struct raw_ring *r)
{
	return raw_at(r, RAW_DRIVER);
}
static inline struct pvirtq_event *raw_device_event(const struct raw_ring *r)
{
	return raw_at(r, RAW_DEVICE);
}

static inline void raw_start(struct raw_ring *r)
{
	assert_int_equal(vqdev_init(&r->dev, &r->config, r->mem, NULL), 0);
}

/* @config: features, num and base; the addresses are set here. */
static inline void raw_init(struct raw_ring *r, struct vring_config config)
{
	struct gmem *first;

	memset(r, 0, sizeof(*r));
	r->block = aligned_alloc(4096, RAW_SECOND - RAW_BASE);
	r->second = aligned_alloc(4096, RAW_END - RAW_SECOND);
	assert_non_null(r->block);
	assert_non_null(r->second);
	memset(r->block, 0, RAW_SECOND - RAW_BASE);
	memset(r->second, 0, RAW_END - RAW_SECOND);
	assert_int_equal(
		gmem_with_host(NULL, RAW_BASE, RAW_SECOND - RAW_BASE, 0, r->block, &first, NULL),
		0);
	assert_int_equal(gmem_with_host(first, RAW_SECOND, RAW_END - RAW_SECOND, 0, r->second,
					&r->mem, NULL),
			 0);
	gmem_put(first);
	config.desc = gpa(RAW_BASE);
	config.driver = gpa(RAW_DRIVER);
	config.device = gpa(RAW_DEVICE);
	r->config = config;
	r->chain.iov = r->iov;
	r->chain.iov_max = (int)ARRAY_SIZE(r->iov);
	r->slot = config.packed ? config.base & 0x7fff : 0;
	r->wrap = config.base & 0x8000;
	raw_start(r);
}

static inline void raw_fini(struct raw_ring *r)
{
	vqdev_fini(&r->dev);
	gmem_put(r->mem);
	free(r->block);
	free(r->second);
}

/* Split: entry @i of the table at guest address @table. */
static inline void raw_entry(struct raw_ring *r, uint64_t table, unsigned i, uint64_t addr,
			     uint32_t len, unsigned flags, uint16_t next)
{
	const struct virtq_desc d = {le64_make(addr), le32_make(len), le16_make((uint16_t)flags),
				     le16_make(next)};

	memcpy((uint8_t *)raw_at(r, table) + i * sizeof(d), &d, sizeof(d));
}

static inline void raw_set(struct raw_ring *r, unsigned i, uint64_t addr, uint32_t len,
			   unsigned flags, uint16_t next)
{
	raw_entry(r, RAW_BASE, i, addr, len, flags, next);
}

/* Split: one more available head. */
static inline void raw_offer(struct raw_ring *r, uint16_t head)
{
	struct virtq_avail *a = raw_avail(r);
	uint16_t idx = le16_read(&a->idx);

	le16_write(&a->ring[idx & (r->config.num - 1)], head);
	le16_store_release(&a->idx, (uint16_t)(idx + 1));
}

/* Packed: an indirect table's entry. */
static inline void raw_packed_entry(struct raw_ring *r, uint64_t table, unsigned i, uint64_t addr,
				    uint32_t len, unsigned flags, uint16_t id)
{
	raw_entry(r, table, i, addr, len, id, (uint16_t)flags);
}

/* Packed: the next descriptor of the ring, made available at once. */
static inline void raw_put(struct raw_ring *r, uint64_t addr, uint32_t len, unsigned flags,
			   uint16_t id)
{
	struct pvirtq_desc *d = &raw_packed(r)[r->slot];

	le64_write(&d->addr, addr);
	le32_write(&d->len, len);
	le16_write(&d->id, id);
	le16_store_release(&d->flags,
			   (uint16_t)(flags | (r->wrap ? VIRTQ_DESC_F_AVAIL : VIRTQ_DESC_F_USED)));
	if (++r->slot == r->config.num) {
		r->slot = 0;
		r->wrap = !r->wrap;
	}
}

static inline int raw_pop(struct raw_ring *r)
{
	return vqdev_pop(&r->dev, &r->chain);
}

/* The device half must find the ring broken, stay so, say why in words that contain @why, and be
 * well after a new start. */
static inline void raw_expect_broken(struct raw_ring *r, const char *why)
{
	unsigned in_flight = vqdev_in_flight(&r->dev);

	assert_int_equal(raw_pop(r), -EPROTO);
	assert_true(vqdev_broken(&r->dev));
	assert_non_null(vqdev_why(&r->dev));
	if (!strstr(vqdev_why(&r->dev), why))
		fail_msg("broken by \"%s\", not by \"%s\"", vqdev_why(&r->dev), why);
	assert_int_equal(raw_pop(r), -EPROTO);
	assert_int_equal(vqdev_in_flight(&r->dev), in_flight);
	assert_false(vqdev_waiting(&r->dev));
	assert_false(vqdev_kicks_on(&r->dev));
	vqdev_publish(&r->dev);
	vqdev_kicks_off(&r->dev);

	/* The health check: reset, and one good chain. */
	vqdev_fini(&r->dev);
	memset(r->block, 0, RAW_TABLE - RAW_BASE);
	r->config.base = vring_base_initial(r->config.packed);
	raw_start(r);
	r->slot = 0;
	r->wrap = true;
	if (r->config.packed) {
		raw_put(r, RAW_DATA, 16, F_WRITE, 0);
	} else {
		raw_set(r, 0, RAW_DATA, 16, F_WRITE, 0);
		raw_offer(r, 0);
	}
	assert_int_equal(raw_pop(r), 1);
	assert_int_equal(r->chain.writable_len, 16);
	vqdev_push(&r->dev, &r->chain.ticket, 16);
	vqdev_publish(&r->dev);
	assert_int_equal(raw_pop(r), 0);
	vqdev_fini(&r->dev);
	memset(r->block, 0, RAW_TABLE - RAW_BASE);
	raw_start(r);
	r->slot = 0;
	r->wrap = true;
}

#endif
