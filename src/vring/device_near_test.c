/* SPDX-License-Identifier: MIT */
/*
 * The device half remembers the region that was hit last and walks most chains without asking for
 * another: what it remembers is never older than the map, nor larger than the region.
 */
#include "vring/raw_ring_test.h"

/* Where a header and a status byte lie beside data at @addr: in the same region, if it is one. */
static uint64_t beside(uint64_t addr)
{
	return addr >= RAW_SECOND && addr < RAW_END ? RAW_SECOND + 0x800 : RAW_DATA;
}

static void *host_of(const struct raw_ring *r, uint64_t addr, const uint8_t *second)
{
	return addr >= RAW_SECOND ? (void *)(uintptr_t)(second + (addr - RAW_SECOND))
				  : raw_at(r, addr);
}

/* A chain of three: 16 bytes, then those at @addr, then one byte. */
static void offer(struct raw_ring *r, uint64_t addr, uint32_t len)
{
	uint64_t header = beside(addr);

	if (r->config.packed) {
		raw_put(r, header, 16, F_NEXT, 0);
		raw_put(r, addr, len, F_WRITE | F_NEXT, 0);
		raw_put(r, header + 16, 1, F_WRITE, 0);
		return;
	}
	raw_set(r, 0, header, 16, F_NEXT, 1);
	raw_set(r, 1, addr, len, F_WRITE | F_NEXT, 2);
	raw_set(r, 2, header + 16, 1, F_WRITE, 0);
	raw_offer(r, 0);
}

/* It is taken, and lies where it should while the second region is at @second. */
static void expect_data(struct raw_ring *r, uint64_t addr, uint32_t len, const uint8_t *second)
{
	uint64_t header = beside(addr);

	offer(r, addr, len);
	assert_int_equal(raw_pop(r), 1);
	assert_int_equal(r->chain.readable, 1);
	assert_int_equal(r->chain.writable, 2);
	assert_int_equal(r->chain.readable_len, 16);
	assert_int_equal(r->chain.writable_len, len + 1);
	assert_int_equal(r->chain.descs, 3);
	assert_ptr_equal(r->iov[0].iov_base, host_of(r, header, second));
	assert_ptr_equal(r->iov[1].iov_base, host_of(r, addr, second));
	assert_int_equal(r->iov[1].iov_len, len);
	assert_ptr_equal(r->iov[2].iov_base, host_of(r, header + 16, second));
	assert_int_equal(r->iov[2].iov_len, 1);
	vqdev_push(&r->dev, &r->chain.ticket, 0);
	vqdev_publish(&r->dev);
}

static struct gmem *map_of(struct raw_ring *r, void *second)
{
	struct gmem *first, *both;

	assert_int_equal(
		gmem_with_host(NULL, RAW_BASE, RAW_SECOND - RAW_BASE, 0, r->block, &first, NULL),
		0);
	if (!second)
		return first;
	assert_int_equal(
		gmem_with_host(first, RAW_SECOND, RAW_END - RAW_SECOND, 0, second, &both, NULL), 0);
	gmem_put(first);
	return both;
}

static void for_both_layouts(void (*test)(struct raw_ring *r))
{
	for (int packed = 0; packed < 2; packed++) {
		struct raw_ring r;

		raw_init(&r, (struct vring_config){.num = 8,
						   .packed = packed,
						   .base = vring_base_initial(packed)});
		test(&r);
		raw_fini(&r);
	}
}

static void in_a_new_map(struct raw_ring *r)
{
	uint8_t *other = aligned_alloc(4096, RAW_END - RAW_SECOND);
	struct gmem *moved = map_of(r, other), *gone = map_of(r, NULL);

	expect_data(r, RAW_SECOND + 8, 64, r->second);
	assert_int_equal(vqdev_remap(&r->dev, moved), 0);
	expect_data(r, RAW_SECOND + 8, 64, other);
	assert_int_equal(vqdev_remap(&r->dev, r->mem), 0);
	expect_data(r, RAW_SECOND + 8, 64, r->second);
	/* The ring itself goes away meanwhile, and the map of before with it. */
	assert_int_equal(vqdev_remap(&r->dev, gone), 0);
	offer(r, RAW_SECOND + 8, 64);
	raw_expect_broken(r, "buffer outside memory");
	gmem_put(moved);
	gmem_put(gone);
	free(other);
}

static void a_new_map_is_asked_anew(void **state)
{
	(void)state;
	for_both_layouts(in_a_new_map);
}

static void at_the_ends(struct raw_ring *r)
{
	static const struct {
		uint64_t addr;
		uint32_t len;
	} outside[] = {
		{RAW_END - 64, 65},
		{RAW_END - 64, UINT32_MAX},
		{RAW_END, 1},
		{RAW_BASE - 1, 1},
		{RAW_BASE - 1, 2},
		{0, 1},
		{UINT64_MAX, 1},
		{UINT64_MAX, 2},
		{UINT64_MAX - 15, UINT32_MAX},
		{RAW_SECOND, 0xfffff000},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(outside); i++) {
		/* From either region. */
		expect_data(r, RAW_END - 64, 64, r->second);
		if (i % 2)
			expect_data(r, RAW_DATA + 32, 64, r->second);
		offer(r, outside[i].addr, outside[i].len);
		raw_expect_broken(r, "buffer outside memory");
	}
}

static void no_region_is_larger_than_it_is(void **state)
{
	(void)state;
	for_both_layouts(at_the_ends);
}

static void of_no_length(struct raw_ring *r)
{
	expect_data(r, RAW_DATA + 32, 64, r->second);
	for (int i = 0; i < 20; i++) {
		offer(r, i % 2 ? RAW_DATA : 0, 0);
		assert_int_equal(raw_pop(r), 1);
		assert_int_equal(r->chain.readable, 1);
		assert_int_equal(r->chain.writable, 1);
		assert_int_equal(r->chain.descs, 3);
		assert_ptr_equal(r->iov[1].iov_base, raw_at(r, RAW_DATA + 16));
		vqdev_push(&r->dev, &r->chain.ticket, 0);
		vqdev_publish(&r->dev);
	}
}

static void no_length_is_no_slice(void **state)
{
	(void)state;
	for_both_layouts(of_no_length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_map_is_asked_anew),
		cmocka_unit_test(no_region_is_larger_than_it_is),
		cmocka_unit_test(no_length_is_no_slice),
	};

	return cmocka_run_group_tests_name("vring/device_near", tests, NULL, NULL);
}
