/* SPDX-License-Identifier: MIT */
/* Answers of VFIO, good and bad ones: nothing is read outside of them, and a chain always ends. */
#include "test.h"

#include "frontend/pci/vfio_info.h"

#include <linux/vfio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

/* An answer of exactly @size bytes, so that a sanitizer sees every step beyond it. */
static void *copy_of(const void *from, uint32_t size)
{
	void *to = malloc(size ? size : 1);

	assert_non_null(to);
	memcpy(to, from, size);
	return to;
}

struct region {
	struct vfio_region_info info;
	struct vfio_info_cap_header other;
	struct {
		struct vfio_info_cap_header header;
		uint32_t nr_areas, reserved;
	} sparse;
	struct vfio_region_sparse_mmap_area areas[10];
};

static const uint32_t sparse_at = offsetof(struct region, sparse);

static struct region region(unsigned n)
{
	return (struct region){
		.info = {.argsz = sizeof(struct region),
			 .flags = VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS,
			 .cap_offset = offsetof(struct region, other),
			 .size = 0x10000},
		.other = {.id = 0x777, .next = sparse_at},
		.sparse = {.header = {.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP}, .nr_areas = n},
	};
}

static unsigned areas_of(const struct region *r, uint32_t size, struct vfio_area *areas)
{
	void *info = copy_of(r, size);
	unsigned n = vfio_info_areas(info, size, PAGE, areas);

	free(info);
	return n;
}

static void all_of_a_region_or_nothing(void **state)
{
	struct vfio_area a[VFIO_AREAS_MAX];
	struct region r = region(0);

	(void)state;
	r.info.flags = VFIO_REGION_INFO_FLAG_MMAP;
	assert_int_equal(areas_of(&r, sizeof(r.info), a), 1);
	assert_int_equal(a[0].offset, 0);
	assert_int_equal(a[0].size, 0x10000);
	r.info.size = 0x1234;
	assert_int_equal(areas_of(&r, sizeof(r.info), a), 1);
	assert_int_equal(a[0].size, 0x1000); /* whole pages */
	r.info.size = 0xfff;
	assert_int_equal(areas_of(&r, sizeof(r.info), a), 0);
	r.info.size = UINT64_MAX;
	assert_int_equal(areas_of(&r, sizeof(r.info), a), 0);
	r.info.size = 0x10000;
	r.info.flags = 0;
	assert_int_equal(areas_of(&r, sizeof(r.info), a), 0);
	assert_int_equal(areas_of(&r, sizeof(r.info) - 1, a), 0);
}

static void sparse_areas_are_found_behind_other_capabilities(void **state)
{
	struct vfio_area a[VFIO_AREAS_MAX];
	struct region r = region(2);

	(void)state;
	r.areas[0] = (struct vfio_region_sparse_mmap_area){.offset = 0, .size = 0x2000};
	r.areas[1] = (struct vfio_region_sparse_mmap_area){.offset = 0x4000, .size = 0xc000};
	assert_int_equal(areas_of(&r, sizeof(r), a), 2);
	assert_int_equal(a[1].offset, 0x4000);
	assert_int_equal(a[1].size, 0xc000);
	/* None at all: the table of MSI-X fills the region. */
	r.sparse.nr_areas = 0;
	assert_int_equal(areas_of(&r, sizeof(r), a), 0);
}

static void sparse_areas_that_cannot_be(void **state)
{
	struct vfio_area a[VFIO_AREAS_MAX];
	struct region r = region(5);

	(void)state;
	r.areas[0] = (struct vfio_region_sparse_mmap_area){.offset = 0x10000, .size = 1};
	r.areas[1] = (struct vfio_region_sparse_mmap_area){.offset = 0, .size = 0x10001};
	r.areas[2] = (struct vfio_region_sparse_mmap_area){.offset = UINT64_MAX, .size = 0x1000};
	r.areas[3] = (struct vfio_region_sparse_mmap_area){.offset = 0x800, .size = 0x1000};
	r.areas[4] = (struct vfio_region_sparse_mmap_area){.offset = 0x800, .size = 0x2000};
	assert_int_equal(areas_of(&r, sizeof(r), a), 1);
	assert_int_equal(a[0].offset, 0x1000);
	assert_int_equal(a[0].size, 0x1000);
}

static void more_areas_are_said_than_there_are(void **state)
{
	struct vfio_area a[VFIO_AREAS_MAX];
	struct region r = region(UINT32_MAX);

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		r.areas[i] = (struct vfio_region_sparse_mmap_area){.offset = i * 0x1000,
								   .size = 0x1000};
	assert_int_equal(areas_of(&r, sizeof(r), a), VFIO_AREAS_MAX);
	for (uint32_t size = 0; size < sizeof(r); size++) {
		unsigned n = areas_of(&r, size, a);

		if (size >= sparse_at + sizeof(r.sparse))
			assert_true(n <=
				    (size - sparse_at - sizeof(r.sparse)) / sizeof(r.areas[0]));
		else if (size >= sizeof(r.info))
			assert_int_equal(n, 1); /* the capability is not there */
	}
}

static void chains_that_lead_nowhere(void **state)
{
	static const uint32_t nexts[] = {0,
					 1,
					 sizeof(struct vfio_region_info) - 1,
					 sizeof(struct region),
					 sizeof(struct region) - 1,
					 0x80000000,
					 UINT32_MAX};
	struct region r = region(1);
	uint32_t left;

	(void)state;
	for (size_t i = 0; i < sizeof(nexts) / sizeof(nexts[0]); i++) {
		void *info;

		r.other.next = nexts[i];
		info = copy_of(&r, sizeof(r));
		assert_int_equal(vfio_info_cap(info, sizeof(r), r.info.cap_offset,
					       VFIO_REGION_INFO_CAP_SPARSE_MMAP, 16, &left),
				 0);
		assert_int_equal(vfio_info_cap(info, sizeof(r), nexts[i], 0x4242, 8, &left), 0);
		free(info);
	}
	/* Round and round: itself, and back. */
	r = region(1);
	r.sparse.header.id = 0x778;
	r.sparse.header.next = r.info.cap_offset;
	assert_int_equal(vfio_info_cap(&r, sizeof(r), r.info.cap_offset, 1, 8, &left), 0);
	r.sparse.header.next = sparse_at;
	assert_int_equal(vfio_info_cap(&r, sizeof(r), r.info.cap_offset, 1, 8, &left), 0);
	/* There, but cut off. */
	r = region(1);
	assert_int_equal(vfio_info_cap(&r, sparse_at + 15, r.info.cap_offset,
				       VFIO_REGION_INFO_CAP_SPARSE_MMAP, 16, &left),
			 0);
	assert_int_equal(vfio_info_cap(&r, sparse_at + 16, r.info.cap_offset,
				       VFIO_REGION_INFO_CAP_SPARSE_MMAP, 16, &left),
			 sparse_at);
	assert_int_equal(left, 16);
}

struct iommu {
	struct vfio_iommu_type1_info info;
	struct {
		struct vfio_info_cap_header header;
		uint32_t nr_iovas, reserved;
	} ranges;
	struct vfio_iova_range list[40];
};

static void iova_of(const struct iommu *i, uint32_t size, struct iova_space *s)
{
	void *info = copy_of(i, size);

	vfio_info_iova(info, size, PAGE, s);
	free(info);
}

static void addresses_that_the_iommu_allows(void **state)
{
	struct iova_space s;
	struct iommu i = {
		.info = {.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS,
			 .iova_pgsizes = 0xfffffffffffff000,
			 .cap_offset = offsetof(struct iommu, ranges)},
		.ranges = {.header = {.id = VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE}, .nr_iovas = 2},
		.list = {{0, 0xfedfffff}, {0xfef00000, 0x7fffffffff}},
	};

	(void)state;
	iova_of(&i, sizeof(i), &s);
	assert_int_equal(s.page, PAGE);
	assert_int_equal(s.n_allowed, 2);
	assert_int_equal(s.allowed[1].first, 0xfef00000);
	assert_int_equal(s.allowed[1].last, 0x7fffffffff);
	/* Larger pages than ours; more ranges than are there. */
	i.info.iova_pgsizes = 0x10000 | 0x200000;
	i.ranges.nr_iovas = UINT32_MAX;
	iova_of(&i, offsetof(struct iommu, list) + 3 * sizeof(i.list[0]) - 1, &s);
	assert_int_equal(s.page, 0x10000);
	assert_int_equal(s.n_allowed, 2);
}

static void addresses_where_the_kernel_does_not_say(void **state)
{
	struct iommu i = {.info = {.flags = VFIO_IOMMU_INFO_PGSIZES, .iova_pgsizes = 0}};
	struct iova_space s;

	(void)state;
	for (uint32_t size = 0; size <= sizeof(i.info); size++) {
		iova_of(&i, size, &s);
		assert_int_equal(s.page, PAGE);
		assert_int_equal(s.n_allowed, 2);
		assert_int_equal(s.allowed[0].last, 0xfedfffff);
		assert_int_equal(s.allowed[1].first, 0xfef00000);
		assert_int_equal(s.allowed[1].last, 0x7fffffffff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_region_or_nothing),
		cmocka_unit_test(sparse_areas_are_found_behind_other_capabilities),
		cmocka_unit_test(sparse_areas_that_cannot_be),
		cmocka_unit_test(more_areas_are_said_than_there_are),
		cmocka_unit_test(chains_that_lead_nowhere),
		cmocka_unit_test(addresses_that_the_iommu_allows),
		cmocka_unit_test(addresses_where_the_kernel_does_not_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
