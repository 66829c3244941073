/* SPDX-License-Identifier: MIT */
/* The device half on packed rings: what a driver may do, and what one must not get away with. */
#include "vring/raw_ring_test.h"

static struct vring_config cfg(uint16_t num)
{
	return (struct vring_config){
		.num = num, .packed = true, .indirect = true, .base = vring_base_initial(true)};
}

static uint32_t base_at(uint16_t slot, bool wrap)
{
	return (slot | (wrap ? 0x8000u : 0)) * 0x10001u;
}

static void finish(struct raw_ring *r, uint32_t len)
{
	vqdev_push(&r->dev, &r->chain.ticket, len);
	vqdev_publish(&r->dev);
}

static void put_chain(struct raw_ring *r, unsigned n, uint16_t id)
{
	for (unsigned i = 0; i < n; i++)
		raw_put(r, RAW_DATA + i * 16, 16, F_WRITE | (i + 1 < n ? F_NEXT : 0),
			(uint16_t)(i + 1 < n ? 0xdead : id));
}

static bool is_used(const struct raw_ring *r, unsigned slot, bool wrap)
{
	uint16_t flags = le16_read(&raw_packed(r)[slot].flags);

	return !!(flags & VIRTQ_DESC_F_AVAIL) == wrap && !!(flags & VIRTQ_DESC_F_USED) == wrap;
}

static void pk_d_01_used_in_the_order_of_completion(void **state)
{
	struct vq_ticket first;
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	put_chain(&r, 2, 5);
	put_chain(&r, 3, 6);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.ticket.id, 5);
	first = r.chain.ticket;
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.ticket.id, 6);
	finish(&r, 48);
	/* The second's entry stands in the first slot; the next one stands as many slots on as it
	 * has. */
	assert_true(is_used(&r, 0, true));
	assert_int_equal(le16_read(&raw_packed(&r)[0].id), 6);
	assert_int_equal(le32_read(&raw_packed(&r)[0].len), 48);
	vqdev_push(&r.dev, &first, 32);
	vqdev_publish(&r.dev);
	assert_true(is_used(&r, 3, true));
	assert_int_equal(le16_read(&raw_packed(&r)[3].id), 5);
	assert_int_equal(vqdev_base(&r.dev), base_at(5, true));
	raw_fini(&r);
}

static void pk_d_03_only_both_bits_make_a_descriptor_available(void **state)
{
	(void)state;
	for (int wrap = 0; wrap < 2; wrap++)
		for (unsigned bits = 0; bits < 4; bits++) {
			struct vring_config c = cfg(4);
			unsigned avail = bits & 1 ? VIRTQ_DESC_F_AVAIL : 0;
			unsigned used = bits & 2 ? VIRTQ_DESC_F_USED : 0;
			bool ours = wrap ? bits == 1 : bits == 2;
			struct raw_ring r;

			c.base = base_at(0, wrap);
			raw_init(&r, c);
			raw_put(&r, RAW_DATA, 16, F_WRITE, 1);
			le16_write(&raw_packed(&r)[0].flags, (uint16_t)(F_WRITE | avail | used));
			assert_int_equal(vqdev_waiting(&r.dev), ours);
			assert_int_equal(raw_pop(&r), ours);
			raw_fini(&r);
		}
}

static void pk_d_03_full_ring_twice(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 5, 7, 256};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct raw_ring r;

		raw_init(&r, cfg(sizes[i]));
		for (int lap = 0; lap < 5; lap++) {
			struct vq_ticket t[256];

			for (uint16_t n = 0; n < sizes[i]; n++)
				put_chain(&r, 1, n);
			for (uint16_t n = 0; n < sizes[i]; n++) {
				assert_int_equal(raw_pop(&r), 1);
				t[n] = r.chain.ticket;
			}
			assert_int_equal(raw_pop(&r), 0);
			for (uint16_t n = sizes[i]; n--;)
				vqdev_push(&r.dev, &t[n], 0);
			assert_int_equal(raw_pop(&r), 0);
			vqdev_publish(&r.dev);
			assert_int_equal(raw_pop(&r), 0);
		}
		raw_fini(&r);
	}
}

static void pk_d_04_nothing_shows_before_publish_and_nothing_is_touched_after(void **state)
{
	struct vq_ticket t[3];
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (uint16_t i = 0; i < 3; i++) {
		put_chain(&r, 1, i);
		assert_int_equal(raw_pop(&r), 1);
		t[i] = r.chain.ticket;
	}
	for (unsigned i = 0; i < 3; i++)
		vqdev_push(&r.dev, &t[i], 1);
	/* The driver looks at slot 0 and sees nothing yet: the batch's first flags come last. */
	assert_false(is_used(&r, 0, true));
	vqdev_publish(&r.dev);
	for (unsigned i = 0; i < 3; i++)
		assert_true(is_used(&r, i, true));
	memset(raw_packed(&r), 0x77, 3 * 16);
	vqdev_needs_interrupt(&r.dev);
	vqdev_kicks_off(&r.dev);
	vqdev_kicks_on(&r.dev);
	vqdev_publish(&r.dev);
	for (unsigned i = 0; i < 3 * 16; i++)
		assert_int_equal(r.block[i], 0x77);
	raw_fini(&r);
}

static void pk_d_05_r_19_chains_across_the_ring_end(void **state)
{
	(void)state;
	for (uint16_t num = 1; num < 9; num++)
		for (uint16_t n = 1; n <= num; n++)
			for (uint16_t start = 0; start < num; start++) {
				struct vring_config c = cfg(num);
				struct raw_ring r;

				c.base = base_at(start, true);
				raw_init(&r, c);
				for (unsigned round = 0; round < 5; round++) {
					uint16_t slot = r.slot;
					bool wrap = r.wrap;

					put_chain(&r, n, 0);
					assert_int_equal(raw_pop(&r), 1);
					assert_int_equal(r.chain.writable, n);
					assert_int_equal(r.chain.ticket.id, 0);
					assert_int_equal(r.chain.ticket.slots, n);
					assert_int_equal(raw_pop(&r), 0);
					finish(&r, n);
					assert_true(is_used(&r, slot, wrap));
					assert_int_equal(le32_read(&raw_packed(&r)[slot].len), n);
					assert_int_equal(vqdev_base(&r.dev),
							 base_at(r.slot, r.wrap));
				}
				raw_fini(&r);
			}
}

static void pk_d_06_write_flag_only_when_bytes_were_written(void **state)
{
	(void)state;
	for (uint32_t len = 0; len < 2; len++) {
		struct raw_ring r;

		raw_init(&r, cfg(4));
		put_chain(&r, 1, 3);
		assert_int_equal(raw_pop(&r), 1);
		finish(&r, len);
		assert_int_equal(le16_read(&raw_packed(&r)[0].flags),
				 VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED | (len ? F_WRITE : 0));
		raw_fini(&r);
	}
}

static void pk_d_07_only_write_counts_in_an_indirect_table(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	/* NEXT set or missing, ids and ring bits at random: the table is taken whole, in order. */
	raw_packed_entry(&r, RAW_TABLE, 0, RAW_DATA, 16, 0, 0xffff);
	raw_packed_entry(&r, RAW_TABLE, 1, RAW_DATA + 16, 16, F_NEXT | VIRTQ_DESC_F_USED, 7);
	raw_packed_entry(&r, RAW_TABLE, 2, RAW_DATA + 32, 5, F_WRITE | F_NEXT | VIRTQ_DESC_F_AVAIL,
			 2);
	raw_put(&r, RAW_TABLE, 48, F_INDIRECT | F_WRITE, 2);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.ticket.id, 2);
	assert_int_equal(r.chain.ticket.slots, 1);
	assert_int_equal(r.chain.readable_len, 32);
	assert_int_equal(r.chain.writable_len, 5);
	raw_fini(&r);
}

static void tables_of_1024_are_served_on_any_ring(void **state)
{
	static const unsigned lens[] = {5, 129, 514, 1024};
	struct vring_config c = cfg(4);
	struct raw_ring r;

	(void)state;
	/* Nobody asks whether the feature was taken. */
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		c.indirect = indirect;
		raw_init(&r, c);
		for (unsigned i = 0; i < 1025; i++)
			raw_packed_entry(&r, RAW_TABLE, i, RAW_DATA + 64, 8, F_WRITE, 0);
		for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
			raw_put(&r, RAW_TABLE, lens[i] * 16, F_INDIRECT, 1);
			assert_int_equal(raw_pop(&r), 1);
			assert_int_equal(r.chain.writable, lens[i]);
			assert_int_equal(r.chain.descs, lens[i]);
			vqdev_push(&r.dev, &r.chain.ticket, 0);
			vqdev_publish(&r.dev);
		}
		raw_put(&r, RAW_TABLE, 1025 * 16, F_INDIRECT, 1);
		raw_expect_broken(&r, "indirect table too long");
		raw_fini(&r);
	}
}

static void kb_24_kb_12_packed_table_anywhere(void **state)
{
	const struct pvirtq_desc table[2] = {
		{le64_make(RAW_DATA), le32_make(16), le16_make(0), le16_make(0)},
		{le64_make(RAW_DATA), le32_make(3), le16_make(0), le16_make(F_WRITE)},
	};

	(void)state;
	for (unsigned before = 0; before < 40; before++) {
		struct raw_ring r;
		uint64_t at = RAW_SECOND - before;
		size_t first = before < sizeof(table) ? before : sizeof(table);

		raw_init(&r, cfg(4));
		memcpy(raw_at(&r, at), table, first);
		memcpy(r.second, (const uint8_t *)table + first, sizeof(table) - first);
		raw_put(&r, at, sizeof(table), F_INDIRECT, 2);
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.readable_len, 16);
		assert_int_equal(r.chain.writable_len, 3);
		raw_fini(&r);
	}
}

/* ---- bad rings ---- */

static void r_05_kb_21_chain_without_end(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(5));
	for (unsigned i = 0; i < 5; i++)
		raw_put(&r, RAW_DATA, 16, F_NEXT, 0);
	raw_expect_broken(&r, "longer than the room");
	raw_fini(&r);
}

static void r_06_chain_into_what_is_in_flight(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	put_chain(&r, 3, 0);
	assert_int_equal(raw_pop(&r), 1);
	/* One slot is left; the chain takes it and one that the first still holds. */
	raw_put(&r, RAW_DATA, 16, F_NEXT, 0);
	raw_put(&r, RAW_DATA, 16, 0, 1);
	raw_expect_broken(&r, "longer than the room");
	raw_fini(&r);
}

static void r_19_chain_runs_into_a_stale_descriptor(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	raw_put(&r, RAW_DATA, 16, F_NEXT, 0);
	raw_expect_broken(&r, "not available");
	raw_fini(&r);
}

static void r_07_kb_10_indirect_misused(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	raw_put(&r, RAW_TABLE, 16, F_INDIRECT | F_NEXT, 0);
	raw_put(&r, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_expect_broken(&r, "with a next one");

	raw_put(&r, RAW_DATA, 16, F_NEXT, 0);
	raw_put(&r, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_expect_broken(&r, "behind a direct one");

	raw_packed_entry(&r, RAW_TABLE, 0, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_put(&r, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_expect_broken(&r, "in an indirect table");
	raw_fini(&r);
}

static void r_08_kb_01_kb_06_indirect_table_of_a_bad_length(void **state)
{
	static const uint32_t bad[] = {0, 1, 15, 17, 1025 * 16, 0xfffffff0, 0xffffffff};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		raw_put(&r, RAW_TABLE, bad[i], F_INDIRECT, 0);
		raw_expect_broken(&r, "indirect table");
	}
	raw_put(&r, RAW_END - 16, 32, F_INDIRECT, 0);
	raw_expect_broken(&r, "table outside memory");
	raw_put(&r, UINT64_MAX - 15, 32, F_INDIRECT, 0);
	raw_expect_broken(&r, "table outside memory");
	raw_fini(&r);
}

static void r_09_readable_after_writable(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	/* The head last, as a driver would. */
	r.slot = 1;
	raw_put(&r, RAW_DATA, 16, 0, 0);
	r.slot = 0;
	raw_put(&r, RAW_DATA, 16, F_NEXT | F_WRITE, 0);
	raw_expect_broken(&r, "readable descriptor after");
	raw_fini(&r);
}

static void r_10_kb_31_buffers_outside_memory(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	raw_put(&r, RAW_END - 1, 2, F_WRITE, 0);
	raw_expect_broken(&r, "buffer outside memory");
	raw_put(&r, UINT64_MAX - 1, 100, 0, 0);
	raw_expect_broken(&r, "buffer outside memory");
	raw_fini(&r);
}

static void r_11_kb_18_empty_descriptors_give_no_slice(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	raw_put(&r, UINT64_MAX, 0, 0, 9);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable + r.chain.writable, 0);
	finish(&r, 0);
	assert_int_equal(raw_pop(&r), 0);
	raw_fini(&r);
}

static void r_13_r_19_id_twice_in_flight(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	put_chain(&r, 1, 2);
	put_chain(&r, 1, 2);
	assert_int_equal(raw_pop(&r), 1);
	raw_expect_broken(&r, "id already in flight");
	raw_fini(&r);
}

static void r_13_slots_offered_again_while_in_flight(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	for (uint16_t i = 0; i < 4; i++) {
		put_chain(&r, 1, i);
		assert_int_equal(raw_pop(&r), 1);
	}
	put_chain(&r, 1, 77);
	raw_expect_broken(&r, "room in the ring");
	raw_fini(&r);
}

static void r_19_any_id_comes_back_as_it_was(void **state)
{
	static const uint16_t ids[] = {0, 3, 4, 255, 0x7fff, 0x8000, 0xffff};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		uint16_t slot = r.slot;

		put_chain(&r, 1, ids[i]);
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.ticket.id, ids[i]);
		finish(&r, 0);
		assert_int_equal(le16_read(&raw_packed(&r)[slot].id), ids[i]);
	}
	raw_fini(&r);
}

static void r_19_flipped_wrap_bit_is_not_available(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(4));
	r.wrap = false;
	put_chain(&r, 4, 0);
	assert_false(vqdev_waiting(&r.dev));
	assert_int_equal(raw_pop(&r), 0);
	assert_false(vqdev_broken(&r.dev));
	raw_fini(&r);
}

static void r_15_base_and_size(void **state)
{
	/* Slots beyond the ring; used ahead of avail; more in flight than there is room for. */
	static const uint32_t bad[] = {5, 5u << 16, 0x7fff, 0x80007fff, 0x00020001, 0x00028003};
	struct raw_ring r;
	struct vqdev dev;
	struct vring_config c;

	(void)state;
	raw_init(&r, cfg(5));
	c = r.config;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		c.base = bad[i];
		assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EINVAL);
	}
	c.base = base_at(4, false);
	assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), 0);
	assert_int_equal(vqdev_base(&dev), c.base);
	vqdev_fini(&dev);
	c.num = 0;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EINVAL);
	c.num = 32769;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EINVAL);
	raw_fini(&r);
}

/* A base whose used half lags: those slots are somebody's, and a chain must not reach into them. */
static void base_with_slots_in_flight(void **state)
{
	struct vring_config c = cfg(5);
	struct raw_ring r;

	(void)state;
	c.base = 0x80008002; /* slots 0 and 1 are out */
	raw_init(&r, c);
	for (unsigned i = 0; i < 4; i++)
		raw_put(&r, RAW_DATA, 8, F_WRITE | (i < 3 ? F_NEXT : 0), 0);
	raw_expect_broken(&r, "room in the ring");
	raw_fini(&r);
}

static void r_14_kb_26_ring_addresses(void **state)
{
	struct raw_ring r;
	struct vqdev dev;
	struct vring_config c;

	(void)state;
	raw_init(&r, cfg(5));
	c = r.config;
	c.desc = gpa(RAW_SECOND - 32);
	assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EFAULT);
	c = r.config;
	c.driver.v += 2;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EINVAL);
	c = r.config;
	c.device.v = RAW_END;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EFAULT);
	raw_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pk_d_01_used_in_the_order_of_completion),
		cmocka_unit_test(pk_d_03_only_both_bits_make_a_descriptor_available),
		cmocka_unit_test(pk_d_03_full_ring_twice),
		cmocka_unit_test(pk_d_04_nothing_shows_before_publish_and_nothing_is_touched_after),
		cmocka_unit_test(pk_d_05_r_19_chains_across_the_ring_end),
		cmocka_unit_test(pk_d_06_write_flag_only_when_bytes_were_written),
		cmocka_unit_test(pk_d_07_only_write_counts_in_an_indirect_table),
		cmocka_unit_test(tables_of_1024_are_served_on_any_ring),
		cmocka_unit_test(kb_24_kb_12_packed_table_anywhere),
		cmocka_unit_test(r_05_kb_21_chain_without_end),
		cmocka_unit_test(r_06_chain_into_what_is_in_flight),
		cmocka_unit_test(r_19_chain_runs_into_a_stale_descriptor),
		cmocka_unit_test(r_07_kb_10_indirect_misused),
		cmocka_unit_test(r_08_kb_01_kb_06_indirect_table_of_a_bad_length),
		cmocka_unit_test(r_09_readable_after_writable),
		cmocka_unit_test(r_10_kb_31_buffers_outside_memory),
		cmocka_unit_test(r_11_kb_18_empty_descriptors_give_no_slice),
		cmocka_unit_test(r_13_r_19_id_twice_in_flight),
		cmocka_unit_test(r_13_slots_offered_again_while_in_flight),
		cmocka_unit_test(r_19_any_id_comes_back_as_it_was),
		cmocka_unit_test(r_19_flipped_wrap_bit_is_not_available),
		cmocka_unit_test(r_15_base_and_size),
		cmocka_unit_test(base_with_slots_in_flight),
		cmocka_unit_test(r_14_kb_26_ring_addresses),
	};

	return cmocka_run_group_tests_name("vring/device_packed", tests, NULL, NULL);
}
