/* SPDX-License-Identifier: MIT */
/* The driver half: what it writes. */
#include "vring/driver_fixture_test.h"

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
		cmocka_unit_test(in_order_batches_are_understood),
	};

	return cmocka_run_group_tests_name("vring/driver", tests, NULL, NULL);
}
