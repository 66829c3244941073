/* SPDX-License-Identifier: MIT */
/* The device half on split rings: what a driver may do. */
#include "vring/raw_ring_test.h"

static struct vring_config cfg(uint16_t num)
{
	return (struct vring_config){.num = num, .indirect = true};
}

/* A chain of @n descriptors of @len bytes each from entry 0 on, the first @readable readable;
 * offered. */
static void offer_chain(struct raw_ring *r, unsigned n, unsigned readable, uint32_t len)
{
	for (unsigned i = 0; i < n; i++)
		raw_set(r, i, RAW_DATA + i * len, len,
			(i < readable ? 0 : F_WRITE) | (i + 1 < n ? F_NEXT : 0), (uint16_t)(i + 1));
	raw_offer(r, 0);
}

static void finish(struct raw_ring *r, uint32_t len)
{
	vqdev_push(&r->dev, &r->chain.ticket, len);
	vqdev_publish(&r->dev);
}

static void vq_d_01_any_framing_kb_20(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(32));
	/* A 16-byte header in single bytes, then data and status in one. */
	for (unsigned i = 0; i < 16; i++)
		raw_set(&r, i, RAW_DATA + i, 1, F_NEXT, (uint16_t)(i + 1));
	raw_set(&r, 16, RAW_DATA + 64, 513, F_WRITE, 0);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable, 16);
	assert_int_equal(r.chain.readable_len, 16);
	assert_int_equal(r.chain.writable, 1);
	assert_int_equal(r.chain.writable_len, 513);
	for (unsigned i = 0; i < 16; i++)
		assert_ptr_equal(r.iov[i].iov_base, raw_at(&r, RAW_DATA + i));
	finish(&r, 1);
	/* Header and data in one, entries in no order. */
	raw_set(&r, 9, RAW_DATA, 16 + 512, F_NEXT, 3);
	raw_set(&r, 3, RAW_DATA + 0x400, 1, F_WRITE, 0);
	raw_offer(&r, 9);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.ticket.id, 9);
	assert_int_equal(r.chain.readable_len, 528);
	assert_int_equal(r.chain.writable_len, 1);
	raw_fini(&r);
}

static void vq_d_02_readable_and_writable_stay_apart(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	offer_chain(&r, 5, 2, 100);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable, 2);
	assert_int_equal(r.chain.writable, 3);
	assert_ptr_equal(r.iov[2].iov_base, raw_at(&r, RAW_DATA + 200));
	raw_fini(&r);
}

static void vq_d_03_descriptors_are_never_written(void **state)
{
	uint8_t before[0x2000], table[64];
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	offer_chain(&r, 4, 2, 64);
	raw_entry(&r, RAW_TABLE, 0, RAW_DATA, 5, F_WRITE, 0);
	raw_set(&r, 5, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_offer(&r, 5);
	memcpy(before, r.block, sizeof(before));
	memcpy(table, raw_at(&r, RAW_TABLE), sizeof(table));
	while (raw_pop(&r) == 1)
		finish(&r, 7);
	vqdev_needs_interrupt(&r.dev);
	vqdev_kicks_off(&r.dev);
	vqdev_kicks_on(&r.dev);
	/* Descriptors, tables and the driver's area. */
	assert_memory_equal(before, r.block, sizeof(before));
	assert_memory_equal(table, raw_at(&r, RAW_TABLE), sizeof(table));
	raw_fini(&r);
}

static void vq_d_04_write_on_an_indirect_descriptor_means_nothing(void **state)
{
	(void)state;
	for (unsigned flag = 0; flag <= F_WRITE; flag += F_WRITE) {
		struct raw_ring r;

		raw_init(&r, cfg(8));
		raw_entry(&r, RAW_TABLE, 0, RAW_DATA, 16, F_NEXT, 1);
		raw_entry(&r, RAW_TABLE, 1, RAW_DATA + 16, 1, F_WRITE, 0);
		raw_set(&r, 0, RAW_TABLE, 32, F_INDIRECT | flag, 0);
		raw_offer(&r, 0);
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.readable_len, 16);
		assert_int_equal(r.chain.writable_len, 1);
		raw_fini(&r);
	}
}

static void vq_d_05_direct_descriptors_then_one_indirect(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, RAW_DATA, 16, F_NEXT, 1);
	raw_set(&r, 1, RAW_TABLE, 32, F_INDIRECT, 0);
	raw_entry(&r, RAW_TABLE, 0, RAW_DATA + 16, 512, F_NEXT, 1);
	raw_entry(&r, RAW_TABLE, 1, RAW_DATA + 1024, 1, F_WRITE, 0);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable, 2);
	assert_int_equal(r.chain.readable_len, 528);
	assert_int_equal(r.chain.writable_len, 1);
	raw_fini(&r);
}

static void indirect_table_may_skip_entries_and_be_as_long_as_the_ring(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_entry(&r, RAW_TABLE, 0, RAW_DATA, 16, F_NEXT, 7);
	raw_entry(&r, RAW_TABLE, 7, RAW_DATA, 16, F_NEXT, 3);
	raw_entry(&r, RAW_TABLE, 3, RAW_DATA, 16, F_WRITE, 99);
	raw_set(&r, 0, RAW_TABLE, 8 * 16, F_INDIRECT, 99);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable_len, 32);
	assert_int_equal(r.chain.writable_len, 16);
	raw_fini(&r);
}

static void kb_24_indirect_table_at_any_address(void **state)
{
	(void)state;
	for (unsigned off = 0; off < 17; off++) {
		struct raw_ring r;

		raw_init(&r, cfg(8));
		raw_entry(&r, RAW_TABLE + off, 0, RAW_DATA, 16, F_NEXT, 1);
		raw_entry(&r, RAW_TABLE + off, 1, RAW_DATA, 1, F_WRITE, 0);
		raw_set(&r, 0, RAW_TABLE + off, 32, F_INDIRECT, 0);
		raw_offer(&r, 0);
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.readable_len, 16);
		assert_int_equal(r.chain.writable_len, 1);
		raw_fini(&r);
	}
}

static void kb_12_indirect_table_across_two_regions(void **state)
{
	(void)state;
	/* The cut falls between two entries, and into one. */
	for (unsigned cut = 1; cut < 48; cut++) {
		const struct virtq_desc table[3] = {
			{le64_make(RAW_DATA), le32_make(16), le16_make(F_NEXT), le16_make(1)},
			{le64_make(RAW_DATA + 16), le32_make(512), le16_make(F_NEXT | F_WRITE),
			 le16_make(2)},
			{le64_make(RAW_DATA + 1024), le32_make(1), le16_make(F_WRITE),
			 le16_make(0)},
		};
		struct raw_ring r;

		raw_init(&r, cfg(8));
		memcpy(raw_at(&r, RAW_SECOND - cut), table, cut);
		memcpy(r.second, (const uint8_t *)table + cut, sizeof(table) - cut);
		raw_set(&r, 0, RAW_SECOND - cut, sizeof(table), F_INDIRECT, 0);
		raw_offer(&r, 0);
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.readable_len, 16);
		assert_int_equal(r.chain.writable_len, 513);
		raw_fini(&r);
	}
}

static void too_few_slices_leave_the_chain_where_it_was(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	offer_chain(&r, 5, 2, 100);
	r.chain.iov_max = 4;
	assert_int_equal(raw_pop(&r), -E2BIG);
	assert_false(vqdev_broken(&r.dev));
	assert_true(vqdev_waiting(&r.dev));
	assert_int_equal(vqdev_in_flight(&r.dev), 0);
	r.chain.iov_max = 5;
	assert_int_equal(raw_pop(&r), 1);
	raw_fini(&r);
}

static void kb_16_exactly_full_is_not_empty(void **state)
{
	struct vring_config c = cfg(8);
	struct raw_ring r;

	(void)state;
	c.base = 65532;
	raw_init(&r, c);
	le16_write(&raw_avail(&r)->idx, 65532);
	for (uint16_t i = 0; i < 8; i++) {
		raw_set(&r, i, RAW_DATA, 8, F_WRITE, 0);
		raw_offer(&r, i);
	}
	assert_true(vqdev_waiting(&r.dev));
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(raw_pop(&r), 0);
	assert_int_equal(vqdev_base(&r.dev), 4);
	raw_fini(&r);
}

/* A table of @n entries of which all are one chain, offered at head 1. */
static void offer_table(struct raw_ring *r, unsigned n)
{
	vqdev_fini(&r->dev);
	memset(r->block, 0, RAW_TABLE - RAW_BASE);
	raw_start(r);
	for (unsigned i = 0; i < n; i++)
		raw_entry(r, RAW_TABLE, i, RAW_DATA, 8, i + 1 < n ? F_NEXT : 0, (uint16_t)(i + 1));
	raw_set(r, 1, RAW_TABLE, n * 16, F_INDIRECT, 0);
	raw_offer(r, 1);
}

static void tables_of_1024_are_served_on_any_ring(void **state)
{
	static const unsigned lens[] = {2, 129, 514, 1024};
	struct raw_ring r;

	(void)state;
	for (uint16_t num = 2; num <= 128; num *= 8) {
		raw_init(&r, cfg(num));
		for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
			offer_table(&r, lens[i]);
			assert_int_equal(raw_pop(&r), 1);
			assert_int_equal(r.chain.readable, lens[i]);
			assert_int_equal(r.chain.descs, lens[i]);
		}
		offer_table(&r, 1025);
		raw_expect_broken(&r, "chain too long");
		raw_fini(&r);
	}
}

/* As QEMU and Linux' vhost have it: what is behind the chain's end is nobody's business. */
static void a_long_table_with_a_short_chain_is_served(void **state)
{
	static const uint32_t lens[] = {9 * 16, 1100 * 16, 0xfffffff0};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		offer_table(&r, 3);
		raw_set(&r, 1, RAW_TABLE, lens[i], F_INDIRECT, 0);
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.readable, 3);
	}
	raw_fini(&r);
}

/* Neither QEMU nor Linux' vhost asks whether the feature was taken. */
static void a_table_without_the_feature_is_served(void **state)
{
	struct vring_config c = cfg(8);
	struct raw_ring r;

	(void)state;
	c.indirect = false;
	raw_init(&r, c);
	offer_table(&r, 2);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable, 2);
	raw_fini(&r);
}

static void r_10_kb_17_buffer_across_adjacent_regions_works(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, RAW_SECOND - 100, 300, F_WRITE, 0);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.writable, 2);
	assert_int_equal(r.chain.writable_len, 300);
	assert_ptr_equal(r.iov[0].iov_base, raw_at(&r, RAW_SECOND - 100));
	assert_int_equal(r.iov[0].iov_len, 100);
	assert_ptr_equal(r.iov[1].iov_base, r.second);
	assert_int_equal(r.iov[1].iov_len, 200);
	raw_fini(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_d_01_any_framing_kb_20),
		cmocka_unit_test(vq_d_02_readable_and_writable_stay_apart),
		cmocka_unit_test(vq_d_03_descriptors_are_never_written),
		cmocka_unit_test(vq_d_04_write_on_an_indirect_descriptor_means_nothing),
		cmocka_unit_test(vq_d_05_direct_descriptors_then_one_indirect),
		cmocka_unit_test(indirect_table_may_skip_entries_and_be_as_long_as_the_ring),
		cmocka_unit_test(kb_24_indirect_table_at_any_address),
		cmocka_unit_test(kb_12_indirect_table_across_two_regions),
		cmocka_unit_test(too_few_slices_leave_the_chain_where_it_was),
		cmocka_unit_test(kb_16_exactly_full_is_not_empty),
		cmocka_unit_test(tables_of_1024_are_served_on_any_ring),
		cmocka_unit_test(a_long_table_with_a_short_chain_is_served),
		cmocka_unit_test(a_table_without_the_feature_is_served),
		cmocka_unit_test(r_10_kb_17_buffer_across_adjacent_regions_works),
	};

	return cmocka_run_group_tests_name("vring/device_split", tests, NULL, NULL);
}
