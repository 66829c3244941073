/* SPDX-License-Identifier: MIT */
#include "backend/ide/dma.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>

#define PRD_BYTES_MAX 0x10000u

void ide_dma_reset(struct ide_dma *dma)
{
	dma->command = dma->status = 0;
	dma->table = 0;
	dma->place = (struct ide_dma_place){.last = true};
}

void ide_dma_start(struct ide_dma *dma)
{
	dma->starts++;
	dma->status |= BM_STATUS_ACTIVE;
	dma->place = (struct ide_dma_place){.entry = dma->table};
}

static int next_entry(struct ide_dma *dma)
{
	struct ide_dma_place *p = &dma->place;
	const struct bm_prd *prd = gmem_at_read(dma->mem, &dma->hint, gpa(p->entry), sizeof(*prd));
	uint16_t bytes;

	if (!prd || p->entries == BM_PRD_TABLE / sizeof(*prd))
		return -EFAULT;
	p->at = le32_read(&prd->address) & ~UINT32_C(1);
	bytes = le16_read(&prd->bytes) & 0xfffe;
	p->left = bytes ? bytes : PRD_BYTES_MAX;
	p->last = le16_read(&prd->flags) & BM_PRD_LAST;
	p->entry += sizeof(*prd);
	p->entries++;
	return 0;
}

/* Appends slices; one that goes on where the last ended becomes part of it. */
static int append(struct ide_dma *dma, uint32_t bytes, bool to_memory, struct iovec *iov, int max,
		  int n)
{
	int more = gmem_slices(dma->mem, &dma->hint, gpa(dma->place.at), bytes, to_memory, iov + n,
			       max - n);

	if (more < 0)
		return more;
	if (n && more == 1 &&
	    (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == iov[n].iov_base) {
		iov[n - 1].iov_len += iov[n].iov_len;
		more = 0;
	}
	dma->place.at += bytes;
	dma->place.left -= bytes;
	return n + more;
}

/* 0: the next sectors (at least one, at most @max_sectors) are in @iov; *sectors says how many. */
static int take_some(struct ide_dma *dma, uint32_t max_sectors, bool to_memory, struct iovec *iov,
		     int max, int *n, uint32_t *sectors)
{
	uint32_t bytes = 0, here;
	int rc;

	do {
		if (!dma->place.left) {
			if (dma->place.last)
				return -ENODATA;
			rc = next_entry(dma);
			if (rc)
				return rc;
		}
		here = ATA_SECTOR - bytes;
		if (!bytes && dma->place.left >= ATA_SECTOR)
			here = (uint32_t)min_u64(dma->place.left / ATA_SECTOR, max_sectors) *
			       ATA_SECTOR;
		here = (uint32_t)min_u64(here, dma->place.left);
		rc = append(dma, here, to_memory, iov, max, *n);
		if (rc < 0)
			return rc;
		*n = rc;
		bytes += here;
	} while (bytes % ATA_SECTOR);
	*sectors = bytes / ATA_SECTOR;
	return 0;
}

int ide_dma_take(struct ide_dma *dma, uint32_t sectors, bool to_memory, struct iovec *iov, int max,
		 int *n)
{
	uint32_t taken = 0;
	int rc = 0;

	*n = 0;
	while (taken < sectors && !rc) {
		const struct ide_dma_place before = dma->place;
		const struct iovec tail = *n ? iov[*n - 1] : (struct iovec){0};
		const int slices = *n;
		uint32_t more = 0;

		rc = take_some(dma, sectors - taken, to_memory, iov, max, n, &more);
		taken += more;
		if (!rc)
			continue;
		/*
		 * What belongs to no whole sector is given back, for the next request to find
		 * again.
		 */
		dma->place = before;
		*n = slices;
		if (slices)
			iov[slices - 1] = tail;
	}
	if (taken)
		return (int)taken;
	return rc == -ENODATA ? 0 : -EFAULT;
}

void ide_dma_done(struct ide_dma *dma)
{
	if (dma->place.last && !dma->place.left)
		dma->status &= (uint8_t)~BM_STATUS_ACTIVE;
}

void ide_dma_stop(struct ide_dma *dma, uint8_t status)
{
	dma->status = (uint8_t)((dma->status & ~BM_STATUS_ACTIVE) | status);
}
