/* SPDX-License-Identifier: MIT */
/*
 * For tests: a driver half on memory of its own, and a device played by hand, as honest or not as
 * the test likes.
 */
#ifndef VRING_DRIVER_FIXTURE_TEST_H
#define VRING_DRIVER_FIXTURE_TEST_H

#include "test.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "vring/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLES_ADDR 0x7000000u
#define TABLE_LEN   4

struct fixture {
	struct vqdrv_config config;
	struct vqdrv vq;
};

static inline struct virtq_desc *desc(const struct fixture *f)
{
	return f->config.desc;
}
static inline struct virtq_avail *avail(const struct fixture *f)
{
	return f->config.driver;
}
static inline struct virtq_used *used(const struct fixture *f)
{
	return f->config.device;
}
static inline struct pvirtq_desc *ring(const struct fixture *f)
{
	return f->config.desc;
}

static inline void *memory(uint64_t len)
{
	void *p = aligned_alloc(64, align_up(len, 64));

	assert_non_null(p);
	memset(p, 0xee, align_up(len, 64));
	return p;
}

static inline void setup(struct fixture *f, struct vqdrv_config c)
{
	c.desc = memory(vring_desc_size(c.num));
	c.driver = memory(vring_driver_size(c.num, c.packed));
	c.device = memory(vring_device_size(c.num, c.packed));
	c.state = memory(vqdrv_state_bytes(c.num));
	c.tables = memory(vqdrv_tables_bytes(c.num, TABLE_LEN));
	c.tables_addr = TABLES_ADDR;
	c.table_len = TABLE_LEN;
	f->config = c;
	assert_int_equal(vqdrv_init(&f->vq, &c), 0);
}

static inline void teardown(struct fixture *f)
{
	free(f->config.desc);
	free(f->config.driver);
	free(f->config.device);
	free(f->config.state);
	free(f->config.tables);
}

/* A chain of @readable and @writable buffers of 100 bytes each. */
static inline int add(struct fixture *f, unsigned readable, unsigned writable, uintptr_t cookie)
{
	struct vqdrv_buf bufs[64];

	for (unsigned i = 0; i < readable + writable; i++)
		bufs[i] = (struct vqdrv_buf){0x1000 + i * 0x100, 100};
	return vqdrv_add(&f->vq, bufs, readable, writable, (void *)cookie);
}

/* A split device, as honest or not as the test likes. */
static inline void use(struct fixture *f, uint32_t id, uint32_t len)
{
	uint16_t idx = le16_read(&used(f)->idx);
	struct virtq_used_elem *e = &used(f)->ring[idx & (f->config.num - 1)];

	le32_write(&e->id, id);
	le32_write(&e->len, len);
	le16_store_release(&used(f)->idx, (uint16_t)(idx + 1));
}

static inline void use_packed(struct fixture *f, unsigned slot, uint16_t id, uint32_t len,
			      bool wrap)
{
	struct pvirtq_desc *d = &ring(f)[slot];

	le32_write(&d->len, len);
	le16_write(&d->id, id);
	le16_store_release(&d->flags,
			   (uint16_t)(VIRTQ_DESC_F_WRITE |
				      (wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0)));
}

static inline void expect_reap(struct fixture *f, uintptr_t cookie, uint32_t len)
{
	uint32_t got;
	void *c;

	assert_int_equal(vqdrv_reap(&f->vq, &c, &got), 1);
	assert_int_equal((uintptr_t)c, cookie);
	assert_int_equal(got, len);
}

static inline void expect_nothing(struct fixture *f)
{
	uint32_t got;
	void *c;

	assert_int_equal(vqdrv_reap(&f->vq, &c, &got), 0);
}

/* The queue breaks, stays so, and everything outstanding comes back exactly once. */
static inline void expect_broken(struct fixture *f, const char *why)
{
	uint16_t n = vqdrv_outstanding(&f->vq);
	uint64_t seen = 0;
	uint32_t len;
	void *c;

	assert_int_equal(vqdrv_reap(&f->vq, &c, &len), -EPROTO);
	assert_true(vqdrv_broken(&f->vq));
	assert_non_null(strstr(vqdrv_why(&f->vq), why));
	assert_int_equal(vqdrv_reap(&f->vq, &c, &len), -EPROTO);
	assert_int_equal(add(f, 1, 0, 1), -EPROTO);
	assert_false(vqdrv_waiting(&f->vq));
	assert_false(vqdrv_calls_on(&f->vq));
	while (vqdrv_detach(&f->vq, &c)) {
		assert_false(seen & BIT64((uintptr_t)c));
		seen |= BIT64((uintptr_t)c);
		n--;
	}
	assert_int_equal(n, 0);
	assert_int_equal(vqdrv_init(&f->vq, &f->config), 0);
	assert_false(vqdrv_broken(&f->vq));
}

#define SPLIT(...)  ((struct vqdrv_config){.num = 8, __VA_ARGS__})
#define PACKED(...) ((struct vqdrv_config){.num = 8, .packed = true, __VA_ARGS__})

#endif
