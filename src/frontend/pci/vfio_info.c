/* SPDX-License-Identifier: MIT */
#include "frontend/pci/vfio_info.h"

#include "base/bits.h"

#include <linux/vfio.h>
#include <string.h>

/* What the smallest of IOMMUs can translate. */
#define LAST_BY_DEFAULT (BIT64(39) - 1)
#define MSI_FIRST	0xfee00000u
#define MSI_LAST	0xfeefffffu

uint32_t vfio_info_cap(const void *info, uint32_t size, uint32_t first, uint16_t id, uint32_t min,
		       uint32_t *left)
{
	uint32_t at = first, before = 0;

	while (at > before && at < size && size - at >= sizeof(struct vfio_info_cap_header)) {
		struct vfio_info_cap_header h;

		memcpy(&h, (const uint8_t *)info + at, sizeof(h));
		if (h.id == id && size - at >= min) {
			*left = size - at;
			return at;
		}
		before = at;
		at = h.next;
	}
	return 0;
}

/* Whole pages of it that lie in the region. */
static bool fit(struct vfio_area *a, uint64_t region, uint64_t page)
{
	uint64_t end;

	if (a->offset > region || a->size > region - a->offset)
		return false;
	end = align_down(a->offset + a->size, page);
	a->offset = align_up(a->offset, page);
	a->size = end > a->offset ? end - a->offset : 0;
	return a->size;
}

unsigned vfio_info_areas(const void *info, uint32_t size, uint64_t page,
			 struct vfio_area areas[VFIO_AREAS_MAX])
{
	const uint32_t fixed = offsetof(struct vfio_region_info_cap_sparse_mmap, areas);
	struct vfio_region_info_cap_sparse_mmap sparse;
	struct vfio_region_info r;
	uint32_t at, left;
	unsigned n = 0;

	if (size < sizeof(r))
		return 0;
	memcpy(&r, info, sizeof(r));
	if (!(r.flags & VFIO_REGION_INFO_FLAG_MMAP) || r.size > INT64_MAX)
		return 0;
	at = r.flags & VFIO_REGION_INFO_FLAG_CAPS
		     ? vfio_info_cap(info, size, r.cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP,
				     fixed, &left)
		     : 0;
	if (!at) {
		areas[0] = (struct vfio_area){0, r.size};
		return fit(&areas[0], r.size, page);
	}
	memcpy(&sparse, (const uint8_t *)info + at, fixed);
	for (uint32_t i = 0; i < sparse.nr_areas && n < VFIO_AREAS_MAX; i++) {
		struct vfio_region_sparse_mmap_area a;

		if ((left - fixed) / sizeof(a) <= i)
			break;
		memcpy(&a, (const uint8_t *)info + at + fixed + i * sizeof(a), sizeof(a));
		areas[n] = (struct vfio_area){a.offset, a.size};
		n += fit(&areas[n], r.size, page);
	}
	return n;
}

void vfio_info_iova(const void *info, uint32_t size, uint64_t host_page, struct iova_space *space)
{
	const uint32_t fixed = offsetof(struct vfio_iommu_type1_info_cap_iova_range, iova_ranges);
	struct vfio_iommu_type1_info_cap_iova_range ranges;
	struct vfio_iommu_type1_info i = {0};
	uint64_t page = host_page;
	uint32_t at = 0, left;

	memcpy(&i, info, min_u64(size, sizeof(i)));
	/* Its smallest page, where that is larger than ours. */
	if (i.flags & VFIO_IOMMU_INFO_PGSIZES && i.iova_pgsizes)
		page = max_u64(page, i.iova_pgsizes & -i.iova_pgsizes);
	iova_init(space, page);
	if (i.flags & VFIO_IOMMU_INFO_CAPS)
		at = vfio_info_cap(info, size, i.cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
				   fixed, &left);
	if (!at) {
		iova_allow(space, 0, MSI_FIRST - 1);
		iova_allow(space, MSI_LAST + 1, LAST_BY_DEFAULT);
		return;
	}
	memcpy(&ranges, (const uint8_t *)info + at, fixed);
	for (uint32_t n = 0; n < ranges.nr_iovas; n++) {
		struct vfio_iova_range r;

		if ((left - fixed) / sizeof(r) <= n)
			break;
		memcpy(&r, (const uint8_t *)info + at + fixed + n * sizeof(r), sizeof(r));
		iova_allow(space, r.start, r.end);
	}
}
