/* SPDX-License-Identifier: MIT */
/*
 * DATA SET MANAGEMENT with TRIM (ATA8-ACS, 7.10): ranges in blocks of 64, discarded one after
 * another.
 */
#include "backend/ide/drive.h"
#include "base/bits.h"

#include <string.h>

static void trim_next_range(struct ide_drive *d);

static void trim_landed(struct ide_drive *d, int err)
{
	if (err)
		ide_drive_fail(d, ATA_STATUS_ERR | ATA_STATUS_FAULT, ATA_ERROR_ABORTED);
	else
		trim_next_range(d);
}

static uint64_t trim_range(const struct ide_drive *d, unsigned i)
{
	le64 v;

	memcpy(&v, d->buffer + i * sizeof(v), sizeof(v));
	return le64_get(v);
}

static bool trim_is_possible(const struct ide_drive *d, uint64_t v)
{
	return ATA_TRIM_SECTOR(v) <= d->sectors &&
	       ATA_TRIM_COUNT(v) <= d->sectors - ATA_TRIM_SECTOR(v);
}

/* A range of no sectors is none. */
static void trim_next_range(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;
	uint64_t most = storage_limits(d->storage)->max_discard / ATA_SECTOR;

	for (; t->range < t->left * ATA_TRIM_RANGES; t->range++, t->discarded = 0) {
		uint64_t v = trim_range(d, t->range), lba = ATA_TRIM_SECTOR(v) + t->discarded;
		uint32_t n = (uint32_t)min_u64(ATA_TRIM_COUNT(v) - t->discarded, most);

		if (!n)
			continue;
		t->discarded += n;
		ide_drive_submit(d, STORAGE_DISCARD, t->flags, lba, n, 0, trim_landed);
		return;
	}
	ide_drive_done(d);
}

/* Nothing is discarded when one of them is wrong. */
void ide_trim_ranges(struct ide_drive *d)
{
	struct ide_transfer *t = &d->t;

	for (unsigned i = 0; i < t->left * ATA_TRIM_RANGES; i++) {
		if (trim_is_possible(d, trim_range(d, i)))
			continue;
		ide_drive_fail(d, ATA_STATUS_ERR, ATA_ERROR_NO_ADDRESS | ATA_ERROR_ABORTED);
		return;
	}
	trim_next_range(d);
}

void ide_trim_begin(struct ide_drive *d, uint32_t blocks)
{
	ide_transfer_begin(d,
			   &(struct ide_transfer){.kind = IDE_TRIM, .ext = true, .left = blocks});
}
