/* SPDX-License-Identifier: MIT */
/* The driver half: what a hostile device cannot make it do. */
#include "vring/driver_fixture_test.h"

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
		cmocka_unit_test(r_20_kb_93_used_id),
		cmocka_unit_test(r_20_vq_g_12_used_index_too_far),
		cmocka_unit_test(r_20_kb_92_vq_g_08_used_length),
		cmocka_unit_test(r_20_kb_93_descriptors_rewritten_by_the_device),
		cmocka_unit_test(r_20_kb_93_packed_used_id_and_length),
		cmocka_unit_test(r_20_in_order_batch_beyond_the_index),
		cmocka_unit_test(kb_96_outstanding_chains_come_back_after_reset),
	};

	return cmocka_run_group_tests_name("vring/driver_bad", tests, NULL, NULL);
}
