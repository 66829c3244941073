/* SPDX-License-Identifier: MIT */
/*
 * Reading what VFIO answers: structures with a chain of capabilities behind them (linux/vfio.h).
 *
 * Invariants: nothing is read outside the bytes that were answered; a chain that does not
 * lead forward has ended.
 *
 * Threads: any.
 */
#ifndef FRONTEND_PCI_VFIO_INFO_H
#define FRONTEND_PCI_VFIO_INFO_H

#include "frontend/pci/iova.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Parts of a region that can be mapped. */
#define VFIO_AREAS_MAX 8

struct vfio_area {
	uint64_t offset, size; /* in the region */
};

/*
 * The capability @id in the @size bytes at @info, whose chain begins at @first: its offset, or 0
 * when there is none of at least @min bytes.  @left: the bytes from there to the end.
 */
uint32_t vfio_info_cap(const void *info, uint32_t size, uint32_t first, uint16_t id, uint32_t min,
		       uint32_t *left);

/*
 * What of a region of @region_size bytes can be mapped, page by page, by its
 * VFIO_DEVICE_GET_REGION_INFO answer: returns how many areas.  Without the capability
 * SPARSE_MMAP it is all of it.
 */
unsigned vfio_info_areas(const void *info, uint32_t size, uint64_t page,
			 struct vfio_area areas[VFIO_AREAS_MAX]);

/*
 * The addresses that a VFIO_IOMMU_GET_INFO answer allows; without its capability IOVA_RANGE, those
 * of 39 bits but for the interrupt window of x86.
 */
void vfio_info_iova(const void *info, uint32_t size, uint64_t host_page, struct iova_space *space);

#endif
