/* SPDX-License-Identifier: MIT */
/* The driver half: what it writes, and what a hostile device cannot make it do. */
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

static struct virtq_desc *desc(const struct fixture *f)
{
	return f->config.desc;
}
static struct virtq_avail *avail(const struct fixture *f)
{
	return f->config.driver;
}
static struct virtq_used *used(const struct fixture *f)
{
	return f->config.device;
}
static struct pvirtq_desc *ring(const struct fixture *f)
{
	return f->config.desc;
}

static void *memory(uint64_t len)
{
	void *p = aligned_alloc(64, align_up(len, 64));

	assert_non_null(p);
	memset(p, 0xee, align_up(len, 64));
	return p;
}

static void setup(struct fixture *f, struct vqdrv_config c)
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

static void teardown(struct fixture *f)
{
	free(f->config.desc);
	free(f->config.driver);
	free(f->config.device);
	free(f->config.state);
	free(f->config.tables);
}

/* A chain of @readable and @writable buffers of 100 bytes each. */
static int add(struct fixture *f, unsigned readable, unsigned writable, uintptr_t cookie)
{
	struct vqdrv_buf bufs[64];

	for (unsigned i = 0; i < readable + writable; i++)
		bufs[i] = (struct vqdrv_buf){0x1000 + i * 0x100, 100};
	return vqdrv_add(&f->vq, bufs, readable, writable, (void *)cookie);
}

/* A split device, as honest or not as the test likes. */
static void use(struct fixture *f, uint32_t id, uint32_t len)
{
	uint16_t idx = le16_read(&used(f)->idx);
	struct virtq_used_elem *e = &used(f)->ring[idx & (f->config.num - 1)];

	le32_write(&e->id, id);
	le32_write(&e->len, len);
	le16_store_release(&used(f)->idx, (uint16_t)(idx + 1));
}

static void use_packed(struct fixture *f, unsigned slot, uint16_t id, uint32_t len, bool wrap)
{
	struct pvirtq_desc *d = &ring(f)[slot];

	le32_write(&d->len, len);
	le16_write(&d->id, id);
	le16_store_release(&d->flags,
			   (uint16_t)(VIRTQ_DESC_F_WRITE |
				      (wrap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0)));
}

static void expect_reap(struct fixture *f, uintptr_t cookie, uint32_t len)
{
	uint32_t got;
	void *c;

	assert_int_equal(vqdrv_reap(&f->vq, &c, &got), 1);
	assert_int_equal((uintptr_t)c, cookie);
	assert_int_equal(got, len);
}

static void expect_nothing(struct fixture *f)
{
	uint32_t got;
	void *c;

	assert_int_equal(vqdrv_reap(&f->vq, &c, &got), 0);
}

/* The queue breaks, stays so, and everything outstanding comes back exactly once. */
static void expect_broken(struct fixture *f, const char *why)
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

/* ---- split: what it writes ---- */

static void vq_g_01_bad_sizes_and_alignments_are_refused(void **state)
{
	static const uint16_t sizes[] = {0, 3, 6, 32769, 65535};
	struct vqdrv_config c;
	struct fixture f;
	struct vqdrv vq;

	(void)state;
	setup(&f, SPLIT(.indirect = true));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		c = f.config;
		c.num = sizes[i];
		assert_int_equal(vqdrv_init(&vq, &c), -EINVAL);
	}
	for (unsigned i = 0; i < 5; i++) {
		c = f.config;
		switch (i) {
		case 0:
			c.desc = (uint8_t *)c.desc + 8;
			break;
		case 1:
			c.driver = (uint8_t *)c.driver + 1;
			break;
		case 2:
			c.device = (uint8_t *)c.device + 2;
			break;
		case 3:
			c.state = NULL;
			break;
		default:
			c.tables = (uint8_t *)c.tables + 8;
			break;
		}
		assert_int_equal(vqdrv_init(&vq, &c), -EINVAL);
	}
	teardown(&f);
}

static void vq_g_02_writable_after_readable_vq_g_03_no_loop(void **state)
{
	struct fixture f;
	uint16_t at;

	(void)state;
	setup(&f, SPLIT());
	assert_int_equal(add(&f, 2, 3, 1), 0);
	vqdrv_publish(&f.vq);
	at = le16_read(&avail(&f)->ring[0]);
	for (unsigned i = 0; i < 5; i++) {
		const struct virtq_desc *d = &desc(&f)[at];
		unsigned flags = (i >= 2 ? VIRTQ_DESC_F_WRITE : 0) |
				 (i < 4 ? VIRTQ_DESC_F_NEXT : 0);

		assert_int_equal(le16_read(&d->flags), flags);
		assert_int_equal(le64_read(&d->addr), 0x1000 + i * 0x100);
		assert_int_equal(le32_read(&d->len), 100);
		at = le16_read(&d->next);
	}
	assert_int_equal(vqdrv_free(&f.vq), 3);
	teardown(&f);
}

static void vq_g_03_pk_g_04_limits(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		const struct vqdrv_buf huge[3] = {{0, 0xffffffff}, {0, 1}, {0, 1}};
		struct fixture f;

		setup(&f, SPLIT(.packed = packed));
		assert_int_equal(add(&f, 0, 0, 1), -EINVAL);
		assert_int_equal(add(&f, 9, 0, 1), -E2BIG);
		assert_int_equal(vqdrv_add(&f.vq, huge, 0x80000000u, 0x80000001u, NULL), -E2BIG);
		assert_int_equal(vqdrv_add(&f.vq, huge, 1, 2, NULL), -EINVAL); /* more than 4 GiB */
		assert_int_equal(vqdrv_add(&f.vq, huge, 1, 1, NULL), 0);
		assert_int_equal(add(&f, 5, 2, 1), -ENOSPC);
		assert_int_equal(vqdrv_free(&f.vq), 6);
		assert_int_equal(add(&f, 4, 2, 1), 0);
		assert_int_equal(add(&f, 1, 0, 1), -ENOSPC);
		teardown(&f);
	}
}

static void vq_g_04_in_order_takes_entries_in_ring_order(void **state)
{
	struct fixture f;
	uint16_t want = 0;

	(void)state;
	setup(&f, SPLIT(.in_order = true));
	for (uint16_t i = 0; i < 50; i++) {
		uint16_t head, n = (uint16_t)(1 + i % 5);

		assert_int_equal(add(&f, 0, n, i), 0);
		vqdrv_publish(&f.vq);
		head = le16_read(&avail(&f)->ring[i & 7]);
		assert_int_equal(head, want);
		for (unsigned k = 0; k + 1u < n; k++)
			assert_int_equal(le16_read(&desc(&f)[(head + k) & 7].next),
					 (head + k + 1) & 7);
		want = (want + n) & 7;
		use(&f, head, i);
		expect_reap(&f, i, i);
	}
	teardown(&f);
}

static void vq_g_05_indirect_only_when_negotiated(void **state)
{
	(void)state;
	for (int indirect = 0; indirect < 2; indirect++) {
		struct fixture f;
		const struct virtq_desc *t;

		setup(&f, SPLIT(.indirect = indirect));
		assert_int_equal(add(&f, 1, 2, 1), 0);
		if (!indirect) {
			assert_int_equal(vqdrv_free(&f.vq), 5);
			for (unsigned i = 0; i < 8; i++)
				assert_false(le16_read(&desc(&f)[i].flags) & VIRTQ_DESC_F_INDIRECT);
			teardown(&f);
			continue;
		}
		assert_int_equal(vqdrv_free(&f.vq), 7);
		assert_int_equal(le16_read(&desc(&f)[0].flags), VIRTQ_DESC_F_INDIRECT);
		assert_int_equal(le32_read(&desc(&f)[0].len), 3 * 16);
		assert_int_equal(le64_read(&desc(&f)[0].addr), TABLES_ADDR);
		t = f.config.tables;
		for (unsigned i = 0; i < 3; i++) {
			assert_int_equal(le16_read(&t[i].flags),
					 (i ? VIRTQ_DESC_F_WRITE : 0) |
						 (i < 2 ? VIRTQ_DESC_F_NEXT : 0));
			if (i < 2)
				assert_int_equal(le16_read(&t[i].next), i + 1);
		}
		/* One descriptor needs no table; one more than a table holds goes without. */
		assert_int_equal(add(&f, 1, 0, 1), 0);
		assert_int_equal(vqdrv_free(&f.vq), 6);
		assert_int_equal(add(&f, 1, 4, 1), 0);
		assert_int_equal(vqdrv_free(&f.vq), 1);
		teardown(&f);
	}
}

static void vq_g_06_avail_index_runs_forward_over_the_wrap(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, SPLIT());
	for (uint32_t i = 0; i < 70000; i++) {
		assert_int_equal(add(&f, 1, 1, 5), 0);
		assert_int_equal(le16_read(&avail(&f)->idx), (uint16_t)i);
		vqdrv_publish(&f.vq);
		vqdrv_publish(&f.vq);
		assert_int_equal(le16_read(&avail(&f)->idx), (uint16_t)(i + 1));
		use(&f, le16_read(&avail(&f)->ring[i & 7]), 100);
		expect_reap(&f, 5, 100);
		expect_nothing(&f);
	}
	teardown(&f);
}

static void vq_g_07_avail_flags_and_spurious_interrupts(void **state)
{
	(void)state;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct fixture f;

		setup(&f, SPLIT(.event_idx = event_idx));
		assert_int_equal(le16_read(&avail(&f)->flags), 0);
		for (unsigned i = 0; i < 100; i++)
			expect_nothing(&f); /* interrupts without cause */
		vqdrv_calls_off(&f.vq);
		assert_int_equal(le16_read(&avail(&f)->flags), event_idx ? 0 : 1);
		assert_false(vqdrv_calls_on(&f.vq));
		assert_int_equal(le16_read(&avail(&f)->flags), 0);
		assert_int_equal(add(&f, 1, 1, 3), 0);
		vqdrv_publish(&f.vq);
		vqdrv_calls_off(&f.vq);
		use(&f, 0, 7);
		assert_true(vqdrv_calls_on(&f.vq)); /* it slipped in */
		assert_int_equal(le16_read(&avail(&f)->flags), event_idx ? 0 : 1);
		expect_reap(&f, 3, 7);
		assert_false(vqdrv_calls_on(&f.vq));
		if (event_idx)
			assert_int_equal(le16_read(&avail(&f)->ring[8]), 1);
		teardown(&f);
	}
}

static void vq_g_09_used_flags_decide_without_event_idx(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, SPLIT());
	assert_int_equal(le16_read(&used(&f)->flags), 0); /* zeroed when the ring was made */
	assert_false(vqdrv_needs_kick(&f.vq));
	le16_write((le16 *)(void *)&used(&f)->ring[8], 0x4711); /* avail_event means nothing */
	assert_int_equal(add(&f, 1, 0, 0), 0);
	assert_false(vqdrv_needs_kick(&f.vq)); /* not published */
	vqdrv_publish(&f.vq);
	assert_true(vqdrv_needs_kick(&f.vq));
	assert_false(vqdrv_needs_kick(&f.vq));
	le16_write(&used(&f)->flags, 1);
	assert_int_equal(add(&f, 1, 0, 0), 0);
	vqdrv_publish(&f.vq);
	assert_false(vqdrv_needs_kick(&f.vq));
	teardown(&f);
}

static void vq_g_10_avail_event_at_every_distance(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 4; n++)
		for (int event = -6; event <= 6; event++) {
			struct fixture f;

			setup(&f, SPLIT(.event_idx = true));
			le16_write(&used(&f)->flags, 1); /* bit 0 means nothing */
			le16_write((le16 *)(void *)&used(&f)->ring[8], (uint16_t)event);
			for (unsigned i = 0; i < n; i++)
				assert_int_equal(add(&f, 1, 0, i), 0);
			vqdrv_publish(&f.vq);
			assert_int_equal(vqdrv_needs_kick(&f.vq), event >= 0 && event < (int)n);
			teardown(&f);
		}
}

static void notification_data(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, SPLIT());
	assert_int_equal(add(&f, 1, 1, 0), 0);
	assert_int_equal(add(&f, 1, 1, 0), 0);
	assert_int_equal(vqdrv_notify_value(&f.vq, 3), 3 | 2u << 16);
	teardown(&f);
	/* PK-G-03: the next descriptor not yet made available, and its wrap counter. */
	setup(&f, PACKED());
	assert_int_equal(vqdrv_notify_value(&f.vq, 3), 3 | 0x80000000u);
	assert_int_equal(add(&f, 2, 3, 0), 0);
	assert_int_equal(vqdrv_notify_value(&f.vq, 3), 3 | 0x80050000u);
	assert_int_equal(add(&f, 2, 1, 0), 0);
	assert_int_equal(vqdrv_notify_value(&f.vq, 3), 3);
	teardown(&f);
}

/* ---- packed: what it writes ---- */

static void pk_g_02_pk_g_04_head_last(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, PACKED());
	assert_int_equal(add(&f, 1, 2, 0), 0);
	assert_int_equal(add(&f, 1, 0, 1), 0);
	/* All is there but the first flags. */
	assert_int_equal(le16_read(&ring(&f)[0].flags), 0);
	assert_int_equal(le16_read(&ring(&f)[1].flags),
			 VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT);
	assert_int_equal(le16_read(&ring(&f)[2].flags), VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_WRITE);
	assert_int_equal(le16_read(&ring(&f)[3].flags), VIRTQ_DESC_F_AVAIL);
	vqdrv_publish(&f.vq);
	assert_int_equal(le16_read(&ring(&f)[0].flags), VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_NEXT);
	vqdrv_publish(&f.vq);
	teardown(&f);
}

static void pk_g_05_pk_g_06_indirect_table_has_only_write(void **state)
{
	const struct pvirtq_desc *t;
	struct fixture f;

	(void)state;
	setup(&f, PACKED(.indirect = true));
	assert_int_equal(add(&f, 2, 2, 0), 0);
	vqdrv_publish(&f.vq);
	assert_int_equal(le16_read(&ring(&f)[0].flags), VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_INDIRECT);
	assert_int_equal(le32_read(&ring(&f)[0].len), 4 * 16);
	t = f.config.tables;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(le16_read(&t[i].flags), i < 2 ? 0 : VIRTQ_DESC_F_WRITE);
	assert_int_equal(vqdrv_free(&f.vq), 7);
	teardown(&f);
}

static void pk_g_07_device_event_flags(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 4; flags++)
		for (unsigned slot = 0; slot < 8; slot++) {
			struct pvirtq_event *e;
			struct fixture f;

			setup(&f, PACKED(.event_idx = true));
			e = f.config.device;
			le16_write(&e->off_wrap, (uint16_t)(slot | RING_EVENT_WRAP));
			le16_write(&e->flags, (uint16_t)flags);
			assert_int_equal(add(&f, 2, 1, 0), 0);
			vqdrv_publish(&f.vq);
			assert_int_equal(vqdrv_needs_kick(&f.vq),
					 flags == 0 || flags == 3 || (flags == 2 && slot < 3));
			teardown(&f);
		}
}

/* ---- hostile devices ---- */

static void r_20_kb_93_used_id(void **state)
{
	static const uint32_t bad[] = {1, 3, 7, 8, 0x10000, 0x7fffffff, 0xffffffff};
	struct fixture f;

	(void)state;
	setup(&f, SPLIT());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(add(&f, 1, 2, 1), 0); /* entries 0, 1, 2: only 0 is a head */
		assert_int_equal(add(&f, 1, 0, 2), 0);
		vqdrv_publish(&f.vq);
		if (bad[i] == 3) { /* known to the driver, not to the device */
			assert_int_equal(vqdrv_init(&f.vq, &f.config), 0);
			assert_int_equal(add(&f, 1, 2, 1), 0);
			vqdrv_publish(&f.vq);
			assert_int_equal(add(&f, 1, 0, 2), 0);
		}
		use(&f, bad[i], 0);
		expect_broken(&f, "used id");
	}
	/* Twice the same. */
	assert_int_equal(add(&f, 0, 1, 1), 0);
	assert_int_equal(add(&f, 0, 1, 2), 0);
	vqdrv_publish(&f.vq);
	use(&f, 0, 10);
	use(&f, 0, 10);
	expect_reap(&f, 1, 10);
	expect_broken(&f, "not outstanding");
	teardown(&f);
}

static void r_20_vq_g_12_used_index_too_far(void **state)
{
	static const uint16_t bad[] = {3, 8, 9, 0x7fff, 0x8000, 0xffff};
	struct fixture f;

	(void)state;
	setup(&f, SPLIT());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(add(&f, 0, 1, 1), 0);
		assert_int_equal(add(&f, 0, 1, 2), 0);
		vqdrv_publish(&f.vq);
		assert_int_equal(add(&f, 0, 1, 3), 0); /* not published: does not count */
		le16_write(&used(&f)->idx, bad[i]);
		expect_broken(&f, "used index");
	}
	teardown(&f);
}

static void r_20_kb_92_vq_g_08_used_length(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, SPLIT());
	/* Short and zero are the device's right; readable bytes do not count. */
	for (uint32_t len = 0; len <= 200; len += 50) {
		assert_int_equal(add(&f, 1, 2, 1), 0);
		vqdrv_publish(&f.vq);
		use(&f, 0, len);
		expect_reap(&f, 1, len);
	}
	assert_int_equal(add(&f, 1, 2, 1), 0);
	vqdrv_publish(&f.vq);
	use(&f, 0, 201);
	expect_broken(&f, "used length");
	assert_int_equal(add(&f, 1, 0, 1), 0);
	vqdrv_publish(&f.vq);
	use(&f, 0, 0xffffffff);
	expect_broken(&f, "used length");
	teardown(&f);
}

static void r_20_kb_93_descriptors_rewritten_by_the_device(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (int indirect = 0; indirect < 2; indirect++) {
			struct fixture f;
			uint64_t seen = 0;

			setup(&f, SPLIT(.packed = packed, .indirect = indirect));
			for (unsigned round = 0; round < 20; round++) {
				assert_int_equal(add(&f, 1, 2, 1), 0);
				assert_int_equal(add(&f, 2, 2, 2), 0);
				vqdrv_publish(&f.vq);
				seen = 0;
				/* Next links, lengths, ids, tables: all scribbled over. */
				memset(f.config.desc, 0xff, 8 * 16);
				memset(f.config.tables, 0xff, vqdrv_tables_bytes(8, TABLE_LEN));
				if (!packed)
					memset(avail(&f)->ring, 0xff, 16);
				for (uintptr_t c = 1; c <= 2; c++) {
					uint16_t id = 0;

					while (!f.vq.slots[id].out ||
					       f.vq.slots[id].cookie != (void *)c)
						id++;
					if (packed)
						use_packed(&f, f.vq.used, id, 200, f.vq.used_wrap);
					else
						use(&f, id, 200);
					expect_reap(&f, c, 200);
					seen |= BIT64(c);
				}
				assert_int_equal(seen, 6);
				assert_int_equal(vqdrv_free(&f.vq), 8);
			}
			teardown(&f);
		}
}

static void r_20_kb_93_packed_used_id_and_length(void **state)
{
	static const uint16_t bad[] = {1, 7, 8, 0x8000, 0xffff};
	struct fixture f;

	(void)state;
	setup(&f, PACKED());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(add(&f, 1, 2, 1), 0);
		vqdrv_publish(&f.vq);
		use_packed(&f, 0, bad[i], 0, true);
		expect_broken(&f, "used id");
	}
	assert_int_equal(add(&f, 1, 2, 1), 0);
	vqdrv_publish(&f.vq);
	use_packed(&f, 0, 0, 201, true);
	expect_broken(&f, "used length");
	/* Without the WRITE flag nothing was written, and the length means nothing. */
	assert_int_equal(add(&f, 1, 0, 1), 0);
	vqdrv_publish(&f.vq);
	use_packed(&f, 0, 0, 100, true);
	le16_write(&ring(&f)[0].flags, VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED);
	expect_reap(&f, 1, 0);
	/* A used entry where nothing is outstanding. */
	use_packed(&f, 1, 0, 0, true);
	expect_broken(&f, "not outstanding");
	teardown(&f);
}

static void in_order_batches_are_understood(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct fixture f;
		uint16_t heads[3];

		setup(&f, SPLIT(.packed = packed, .in_order = true));
		for (unsigned round = 0; round < 9; round++) {
			uint16_t slot = f.vq.avail;
			bool wrap = f.vq.avail_wrap;

			for (uint16_t i = 0; i < 3; i++) {
				assert_int_equal(add(&f, 1, i, i + 1u), 0);
				heads[i] = (uint16_t)(packed ? (round * 3 + i) % 8
							     : (round * 6u +
								(i ? i * (i + 1u) / 2 : 0)) %
								       8);
			}
			vqdrv_publish(&f.vq);
			/* One entry, that of the last; the others count as used in full. */
			if (packed) {
				use_packed(&f, slot, heads[2], 77, wrap);
			} else {
				uint16_t idx = le16_read(&used(&f)->idx);

				le32_write(&used(&f)->ring[idx & 7].id, heads[2]);
				le32_write(&used(&f)->ring[idx & 7].len, 77);
				le16_write(&used(&f)->idx, (uint16_t)(idx + 3));
			}
			assert_true(vqdrv_waiting(&f.vq));
			expect_reap(&f, 1, 0);
			assert_true(vqdrv_waiting(&f.vq));
			expect_reap(&f, 2, 100);
			assert_true(vqdrv_waiting(&f.vq));
			expect_reap(&f, 3, 77);
			expect_nothing(&f);
			assert_int_equal(vqdrv_free(&f.vq), 8);
		}
		teardown(&f);
	}
}

static void r_20_in_order_batch_beyond_the_index(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, SPLIT(.in_order = true));
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(add(&f, 0, 1, i + 1), 0);
	vqdrv_publish(&f.vq);
	use(&f, 2, 0); /* stands for three, but the index moved by one */
	expect_broken(&f, "out of order");
	teardown(&f);
}

static void kb_96_outstanding_chains_come_back_after_reset(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (int in_order = 0; in_order < 2; in_order++) {
			struct fixture f;
			unsigned seen = 0;
			void *c;

			setup(&f, SPLIT(.packed = packed, .in_order = in_order));
			for (uintptr_t i = 0; i < 4; i++)
				assert_int_equal(add(&f, 1, 1, i), 0);
			while (vqdrv_detach(&f.vq, &c))
				seen |= 1u << (uintptr_t)c;
			assert_int_equal(seen, 15);
			assert_int_equal(add(&f, 1, 1, 0), -EPROTO);
			assert_int_equal(vqdrv_init(&f.vq, &f.config), 0);
			assert_int_equal(add(&f, 1, 1, 0), 0);
			teardown(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_g_01_bad_sizes_and_alignments_are_refused),
		cmocka_unit_test(vq_g_02_writable_after_readable_vq_g_03_no_loop),
		cmocka_unit_test(vq_g_03_pk_g_04_limits),
		cmocka_unit_test(vq_g_04_in_order_takes_entries_in_ring_order),
		cmocka_unit_test(vq_g_05_indirect_only_when_negotiated),
		cmocka_unit_test(vq_g_06_avail_index_runs_forward_over_the_wrap),
		cmocka_unit_test(vq_g_07_avail_flags_and_spurious_interrupts),
		cmocka_unit_test(vq_g_09_used_flags_decide_without_event_idx),
		cmocka_unit_test(vq_g_10_avail_event_at_every_distance),
		cmocka_unit_test(notification_data),
		cmocka_unit_test(pk_g_02_pk_g_04_head_last),
		cmocka_unit_test(pk_g_05_pk_g_06_indirect_table_has_only_write),
		cmocka_unit_test(pk_g_07_device_event_flags),
		cmocka_unit_test(r_20_kb_93_used_id),
		cmocka_unit_test(r_20_vq_g_12_used_index_too_far),
		cmocka_unit_test(r_20_kb_92_vq_g_08_used_length),
		cmocka_unit_test(r_20_kb_93_descriptors_rewritten_by_the_device),
		cmocka_unit_test(r_20_kb_93_packed_used_id_and_length),
		cmocka_unit_test(in_order_batches_are_understood),
		cmocka_unit_test(r_20_in_order_batch_beyond_the_index),
		cmocka_unit_test(kb_96_outstanding_chains_come_back_after_reset),
	};

	return cmocka_run_group_tests_name("vring/driver", tests, NULL, NULL);
}
