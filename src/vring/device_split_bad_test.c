/* SPDX-License-Identifier: MIT */
/* The device half on split rings: what a driver must not get away with. */
#include "vring/raw_ring_test.h"

#include <sys/mman.h>

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

static void r_01_kb_25_avail_index_jumps_ahead(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	le16_write(&raw_avail(&r)->idx, 9);
	raw_expect_broken(&r, "avail index");
	/* With one in flight, seven is the most that can wait. */
	offer_chain(&r, 1, 0, 8);
	assert_int_equal(raw_pop(&r), 1);
	le16_write(&raw_avail(&r)->idx, 9);
	raw_expect_broken(&r, "avail index");
	raw_fini(&r);
}

static void r_02_kb_25_avail_index_goes_back(void **state)
{
	struct vring_config c = cfg(8);
	struct raw_ring r;

	(void)state;
	c.base = 3;
	raw_init(&r, c);
	le16_write(&raw_avail(&r)->idx, 2);
	raw_expect_broken(&r, "avail index");
	raw_fini(&r);
}

static void r_03_kb_33_head_out_of_range(void **state)
{
	static const uint16_t heads[] = {8, 9, 255, 0x7fff, 0x8000, 0xffff};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		raw_offer(&r, heads[i]);
		raw_expect_broken(&r, "head index");
	}
	raw_fini(&r);
}

static void r_04_kb_15_next_out_of_range(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, RAW_DATA, 8, F_NEXT, 8);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "next index out of range");
	raw_set(&r, 0, RAW_DATA, 8, F_NEXT, 0xffff);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "next index out of range");
	/* A table of 5: not a power of two, so a mask would let 5 pass. */
	raw_entry(&r, RAW_TABLE, 0, RAW_DATA, 8, F_NEXT, 5);
	raw_set(&r, 0, RAW_TABLE, 5 * 16, F_INDIRECT, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "next index beyond the indirect table");
	raw_fini(&r);
}

static void r_05_kb_14_loops(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, RAW_DATA, 8, F_NEXT, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "loop in a chain");
	for (uint16_t i = 0; i < 8; i++)
		raw_set(&r, i, RAW_DATA, 8, F_NEXT, (i + 1) & 7);
	raw_offer(&r, 3);
	raw_expect_broken(&r, "loop in a chain");
	raw_entry(&r, RAW_TABLE, 0, RAW_DATA, 8, F_NEXT, 1);
	raw_entry(&r, RAW_TABLE, 1, RAW_DATA, 8, F_NEXT, 0);
	raw_set(&r, 0, RAW_TABLE, 2 * 16, F_INDIRECT, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "loop in an indirect table");
	raw_fini(&r);
}

static void r_05_kb_02_loop_of_empty_descriptors(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, 0, 0, F_NEXT, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "loop in a chain");
	raw_fini(&r);
}

static void r_06_kb_21_chain_as_long_as_the_ring_and_longer(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	offer_chain(&r, 8, 4, 16);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable + r.chain.writable, 8);
	finish(&r, 0);
	/* Four direct ones and 1021 in a table are one too many. */
	for (unsigned n = 1020; n <= 1021; n++) {
		for (uint16_t i = 0; i < n; i++)
			raw_entry(&r, RAW_TABLE, i, RAW_DATA, 8, i + 1u < n ? F_NEXT : 0, i + 1);
		for (uint16_t i = 0; i < 4; i++)
			raw_set(&r, i, RAW_DATA, 8, F_NEXT, i + 1);
		raw_set(&r, 4, RAW_TABLE, n * 16, F_INDIRECT, 0);
		raw_offer(&r, 0);
		if (n == 1021) {
			raw_expect_broken(&r, "chain too long");
			break;
		}
		assert_int_equal(raw_pop(&r), 1);
		assert_int_equal(r.chain.descs, 1024);
		finish(&r, 0);
	}
	raw_fini(&r);
}

static void r_07_indirect_misused(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_entry(&r, RAW_TABLE, 0, RAW_TABLE + 64, 16, F_INDIRECT, 0);
	raw_entry(&r, RAW_TABLE + 64, 0, RAW_DATA, 16, 0, 0);
	raw_set(&r, 0, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "in an indirect table");

	raw_set(&r, 0, RAW_TABLE + 64, 16, F_INDIRECT | F_NEXT, 1);
	raw_set(&r, 1, RAW_TABLE + 64, 16, F_INDIRECT, 1);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "with a next one");
	raw_fini(&r);
}

static void r_08_kb_01_kb_06_indirect_table_of_a_bad_length(void **state)
{
	static const struct {
		uint32_t len;
		const char *why;
	} bad[] = {
		{0, "bad length"},  {1, "bad length"},	{15, "bad length"},
		{17, "bad length"}, {40, "bad length"}, {0xffffffff, "bad length"},
	};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		raw_set(&r, 0, RAW_TABLE, bad[i].len, F_INDIRECT, 0);
		raw_offer(&r, 0);
		raw_expect_broken(&r, bad[i].why);
	}
	raw_fini(&r);
}

static void r_08_indirect_table_outside_memory(void **state)
{
	static const uint64_t bad[] = {
		0, RAW_END, RAW_END - 16, UINT64_MAX - 15, UINT64_MAX - 31, UINT64_C(1) << 63};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		/* The part that is there leads on. */
		if (bad[i] == RAW_END - 16) {
			const struct virtq_desc d = {le64_make(RAW_DATA), le32_make(1),
						     le16_make(F_NEXT), le16_make(1)};

			memcpy(r.second + 0x1000 - 16, &d, sizeof(d));
		}
		raw_set(&r, 0, bad[i], 32, F_INDIRECT, 0);
		raw_offer(&r, 0);
		raw_expect_broken(&r, "table outside memory");
	}
	raw_fini(&r);
}

static void r_09_readable_after_writable(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, RAW_DATA, 16, F_NEXT | F_WRITE, 1);
	raw_set(&r, 1, RAW_DATA, 16, 0, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "readable descriptor after");
	raw_set(&r, 0, RAW_DATA, 16, F_NEXT | F_WRITE, 1);
	raw_set(&r, 1, RAW_TABLE, 16, F_INDIRECT, 0);
	raw_entry(&r, RAW_TABLE, 0, RAW_DATA, 16, 0, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "readable descriptor after");
	raw_fini(&r);
}

static void r_10_kb_17_kb_31_buffers_outside_memory(void **state)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} bad[] = {
		{0, 1},
		{RAW_BASE - 1, 2},
		{RAW_END, 1},
		{RAW_END - 1, 2},
		{RAW_SECOND - 1, 0x1002},
		{UINT64_MAX, 1},
		{UINT64_MAX - 15, 32},
		{UINT64_MAX - 0xffff, 0x20000},
		{RAW_DATA, 0xffffffff},
	};
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		for (unsigned flags = 0; flags <= F_WRITE; flags += F_WRITE) {
			raw_set(&r, 0, bad[i].addr, bad[i].len, flags, 0);
			raw_offer(&r, 0);
			raw_expect_broken(&r, "buffer outside memory");
		}
	raw_fini(&r);
}

static void r_11_kb_02_kb_18_empty_descriptors_give_no_slice(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, 0, 0, F_NEXT, 1);
	raw_set(&r, 1, RAW_DATA, 16, F_NEXT, 2);
	raw_set(&r, 2, UINT64_MAX, 0, F_NEXT | F_WRITE, 3);
	raw_set(&r, 3, RAW_DATA, 1, F_WRITE, 0);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable, 1);
	assert_int_equal(r.chain.writable, 1);
	finish(&r, 1);
	raw_set(&r, 5, 0, 0, F_NEXT, 6);
	raw_set(&r, 6, 0, 0, 0, 0);
	raw_offer(&r, 5);
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(r.chain.readable + r.chain.writable, 0);
	assert_int_equal(r.chain.readable_len + r.chain.writable_len, 0);
	finish(&r, 0);
	assert_int_equal(raw_pop(&r), 0);
	raw_fini(&r);
}

static void *reserve(size_t len)
{
	void *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(p != MAP_FAILED);
	return p;
}

static void r_12_kb_22_chain_of_more_than_4_gib(void **state)
{
	const uint64_t size = UINT64_C(1) << 32;
	struct raw_ring r;
	struct gmem *big;
	void *host = reserve(size);

	(void)state;
	raw_init(&r, cfg(8));
	assert_int_equal(gmem_with_host(r.mem, size, size, 0, host, &big, NULL), 0);
	assert_int_equal(vqdev_remap(&r.dev, big), 0);
	/* 4 GiB to the byte are allowed; the second descriptor says the same memory again. */
	raw_set(&r, 0, size, 0xffffffff, F_NEXT | F_WRITE, 1);
	raw_set(&r, 1, size, 1, F_WRITE, 0);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	assert_true(r.chain.writable_len == size);
	finish(&r, 1);
	raw_set(&r, 1, size, 2, F_WRITE, 0);
	raw_offer(&r, 0);
	raw_expect_broken(&r, "more than 4 GiB");
	raw_fini(&r);
	gmem_put(big);
	munmap(host, size);
}

static void r_13_kb_03_kb_27_same_head_twice_in_flight(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	offer_chain(&r, 1, 0, 8);
	raw_offer(&r, 0);
	assert_int_equal(raw_pop(&r), 1);
	raw_expect_broken(&r, "already in flight");
	/* Given back, the head is free again. */
	for (unsigned i = 0; i < 20; i++) {
		offer_chain(&r, 1, 0, 8);
		assert_int_equal(raw_pop(&r), 1);
		finish(&r, 8);
	}
	raw_fini(&r);
}

static void r_14_kb_26_ring_addresses(void **state)
{
	struct raw_ring r;
	struct vring_config c;
	struct error err;
	struct vqdev dev;

	(void)state;
	raw_init(&r, cfg(256));
	for (int area = 0; area < 3; area++) {
		const uint64_t outside[] = {0, RAW_END, RAW_SECOND + 0xff0, UINT64_MAX - 15,
					    /* first and last byte in memory, not in one piece */
					    RAW_SECOND - 0x100};

		for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
			c = r.config;
			*(area == 0   ? &c.desc
			  : area == 1 ? &c.driver
				      : &c.device) = gpa(outside[i]);
			assert_int_equal(vqdev_init(&dev, &c, r.mem, &err), -EFAULT);
		}
	}
	c = r.config;
	c.desc.v += 8;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, &err), -EINVAL);
	c = r.config;
	c.driver.v += 1;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, &err), -EINVAL);
	c = r.config;
	c.device.v += 2;
	assert_int_equal(vqdev_init(&dev, &c, r.mem, &err), -EINVAL);
	raw_fini(&r);
}

static void r_14_overlapping_areas_are_harmless(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	vqdev_fini(&r.dev);
	r.config.driver = r.config.device = r.config.desc;
	raw_start(&r);
	for (unsigned i = 0; i < 1000; i++) {
		memset(r.block, (int)i, 256);
		if (raw_pop(&r) == 1)
			finish(&r, i);
		vqdev_needs_interrupt(&r.dev);
		vqdev_kicks_on(&r.dev);
		if (vqdev_broken(&r.dev)) {
			vqdev_fini(&r.dev);
			raw_start(&r);
		}
	}
	raw_fini(&r);
}

static void r_15_sizes(void **state)
{
	static const uint16_t bad[] = {0, 3, 5, 6, 255, 257, 32767, 32769, 65535};
	struct raw_ring r;
	struct vqdev dev;

	(void)state;
	raw_init(&r, cfg(8));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vring_config c = r.config;

		c.num = bad[i];
		assert_int_equal(vqdev_init(&dev, &c, r.mem, NULL), -EINVAL);
	}
	r.config.base = 0x10000;
	assert_int_equal(vqdev_init(&dev, &r.config, r.mem, NULL), -EINVAL);
	raw_fini(&r);
}

static void kb_09_kb_29_a_driver_that_never_stops_adding(void **state)
{
	struct raw_ring r;
	unsigned popped = 0;

	(void)state;
	raw_init(&r, cfg(8));
	raw_set(&r, 0, RAW_DATA, 8, F_WRITE, 0);
	/* Without a push in between, a ring cannot yield more chains than it has entries. */
	for (;;) {
		raw_set(&r, popped & 7, RAW_DATA, 8, F_WRITE, 0);
		raw_offer(&r, popped & 7);
		if (raw_pop(&r) != 1)
			break;
		popped++;
	}
	assert_int_equal(popped, 8);
	assert_true(vqdev_broken(&r.dev));
	raw_fini(&r);
}

static void kb_35_index_is_read_again_only_when_all_is_taken(void **state)
{
	struct raw_ring r;

	(void)state;
	raw_init(&r, cfg(8));
	for (uint16_t i = 0; i < 3; i++) {
		raw_set(&r, i, RAW_DATA, 8, F_WRITE, 0);
		raw_offer(&r, i);
	}
	assert_int_equal(raw_pop(&r), 1);
	le16_write(&raw_avail(&r)->idx, 700); /* not looked at as long as two are known */
	assert_int_equal(raw_pop(&r), 1);
	assert_int_equal(raw_pop(&r), 1);
	raw_expect_broken(&r, "avail index");
	raw_fini(&r);
}

static void broken_queue_touches_the_ring_no_more(void **state)
{
	struct raw_ring r;
	struct vq_ticket ticket;

	(void)state;
	raw_init(&r, cfg(8));
	offer_chain(&r, 1, 0, 8);
	assert_int_equal(raw_pop(&r), 1);
	ticket = r.chain.ticket;
	vqdev_break(&r.dev, "memory lost");
	memset(r.block, 0xee, RAW_TABLE - RAW_BASE);
	vqdev_push(&r.dev, &ticket, 8);
	vqdev_publish(&r.dev);
	vqdev_kicks_off(&r.dev);
	assert_false(vqdev_kicks_on(&r.dev));
	assert_false(vqdev_needs_interrupt(&r.dev));
	assert_int_equal(vqdev_in_flight(&r.dev), 0);
	for (unsigned i = 0; i < RAW_TABLE - RAW_BASE; i++)
		assert_int_equal(r.block[i], 0xee);
	assert_string_equal(vqdev_why(&r.dev), "memory lost");
	raw_fini(&r);
}

static void offer_one(struct raw_ring *r, uint16_t id)
{
	if (r->config.packed) {
		raw_put(r, RAW_DATA, 16, F_WRITE, id);
	} else {
		raw_set(r, id, RAW_DATA, 16, F_WRITE, 0);
		raw_offer(r, id);
	}
}

/* A machine takes memory away and puts it back in other pieces while its driver sleeps. */
static void a_ring_that_memory_lacks_waits_until_it_is_back(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct vring_config c = {.num = 8, .event_idx = kind & 1, .packed = kind & 2};
		struct raw_ring r;
		struct gmem *none;
		uint8_t before[RAW_TABLE - RAW_BASE];

		c.base = vring_base_initial(c.packed);
		raw_init(&r, c);
		/* In the second lap of the packed layout, too. */
		for (uint16_t i = 0; i < 11; i++) {
			offer_one(&r, i % 8);
			assert_int_equal(raw_pop(&r), 1);
			vqdev_push(&r.dev, &r.chain.ticket, 0);
			vqdev_publish(&r.dev);
			(void)vqdev_needs_interrupt(&r.dev);
		}
		offer_one(&r, 3);
		assert_true(vqdev_waiting(&r.dev));
		vqdev_kicks_off(&r.dev);
		memcpy(before, r.block, sizeof(before));
		assert_int_equal(gmem_without(r.mem, RAW_BASE, RAW_SECOND - RAW_BASE, 0, &none), 0);
		for (unsigned times = 0; times < 2; times++) {
			assert_int_equal(vqdev_remap(&r.dev, none), 0);
			assert_true(vqdev_away(&r.dev));
			assert_false(vqdev_broken(&r.dev));
			assert_false(vqdev_waiting(&r.dev));
			assert_int_equal(raw_pop(&r), 0);
			assert_false(vqdev_kicks_on(&r.dev));
			assert_false(vqdev_needs_interrupt(&r.dev));
			vqdev_kicks_off(&r.dev);
		}
		assert_memory_equal(before, r.block, sizeof(before));
		/* Back again: what waited is found, and the driver is asked for kicks. */
		assert_int_equal(vqdev_remap(&r.dev, r.mem), 0);
		assert_false(vqdev_away(&r.dev));
		assert_int_equal(raw_pop(&r), 1);
		vqdev_push(&r.dev, &r.chain.ticket, 0);
		vqdev_publish(&r.dev);
		assert_int_equal(raw_pop(&r), 0);
		assert_false(vqdev_kicks_on(&r.dev));
		gmem_put(none);
		raw_fini(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r_01_kb_25_avail_index_jumps_ahead),
		cmocka_unit_test(r_02_kb_25_avail_index_goes_back),
		cmocka_unit_test(r_03_kb_33_head_out_of_range),
		cmocka_unit_test(r_04_kb_15_next_out_of_range),
		cmocka_unit_test(r_05_kb_14_loops),
		cmocka_unit_test(r_05_kb_02_loop_of_empty_descriptors),
		cmocka_unit_test(r_06_kb_21_chain_as_long_as_the_ring_and_longer),
		cmocka_unit_test(r_07_indirect_misused),
		cmocka_unit_test(r_08_kb_01_kb_06_indirect_table_of_a_bad_length),
		cmocka_unit_test(r_08_indirect_table_outside_memory),
		cmocka_unit_test(r_09_readable_after_writable),
		cmocka_unit_test(r_10_kb_17_kb_31_buffers_outside_memory),
		cmocka_unit_test(r_11_kb_02_kb_18_empty_descriptors_give_no_slice),
		cmocka_unit_test(r_12_kb_22_chain_of_more_than_4_gib),
		cmocka_unit_test(r_13_kb_03_kb_27_same_head_twice_in_flight),
		cmocka_unit_test(r_14_kb_26_ring_addresses),
		cmocka_unit_test(r_14_overlapping_areas_are_harmless),
		cmocka_unit_test(r_15_sizes),
		cmocka_unit_test(kb_09_kb_29_a_driver_that_never_stops_adding),
		cmocka_unit_test(kb_35_index_is_read_again_only_when_all_is_taken),
		cmocka_unit_test(broken_queue_touches_the_ring_no_more),
		cmocka_unit_test(a_ring_that_memory_lacks_waits_until_it_is_back),
	};

	return cmocka_run_group_tests_name("vring/device_split_bad", tests, NULL, NULL);
}
