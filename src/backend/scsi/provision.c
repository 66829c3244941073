/* SPDX-License-Identifier: MIT */
/*
 * SBC-3, 5.31 and 5.44: UNMAP and WRITE SAME, which may need many storage requests, one after
 * another.
 */
#include "backend/scsi/disk_priv.h"

#include <errno.h>
#include <string.h>

/* A pattern is written by pieces of so many bytes. */
#define PIECE (UINT32_C(1) << 20)

static enum scsi_step provision_ended(struct scsi_task *task, int err)
{
	return err ? scsi_check_errno(task, err) : scsi_good(task);
}

/* ---- UNMAP ---- */

#define UNMAP_HEADER	 8u
#define UNMAP_DESCRIPTOR 16u

static enum scsi_step unmap_next(struct scsi_task *task, int err)
{
	const struct scsi_disk *disk = task->disk;
	uint64_t n, most = storage_limits(disk->storage)->max_discard;

	if (err)
		return scsi_check_errno(task, err);
	while (!task->left && task->at < task->len) {
		const uint8_t *d = task->data + task->at;

		task->offset = scsi_get64(d) * disk->block_size;
		task->left = (uint64_t)scsi_get32(d + 8) * disk->block_size;
		task->at += UNMAP_DESCRIPTOR;
	}
	if (!task->left)
		return disk->wce ? scsi_good(task)
				 : scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, provision_ended);
	n = min_u64(task->left, align_down(most, disk->block_size));
	task->offset += n;
	task->left -= n;
	return scsi_io(task, STORAGE_DISCARD, 0, task->offset - n, n, 0, unmap_next);
}

static enum scsi_step unmap_list(struct scsi_task *task)
{
	uint32_t bytes;

	if (task->len < UNMAP_HEADER)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_LENGTH);
	bytes = scsi_get16(task->data + 2);
	if (bytes % UNMAP_DESCRIPTOR || bytes > task->len - UNMAP_HEADER ||
	    scsi_get16(task->data) > task->len - 2)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_FIELD);
	task->len = UNMAP_HEADER + bytes;
	/* Nothing is unmapped if any of it is wrong. */
	for (uint32_t at = UNMAP_HEADER; at < task->len; at += UNMAP_DESCRIPTOR)
		if (!scsi_in_range(task->disk, scsi_get64(task->data + at),
				   scsi_get32(task->data + at + 8)))
			return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	task->at = UNMAP_HEADER;
	task->left = 0;
	return unmap_next(task, 0);
}

enum scsi_step scsi_unmap(struct scsi_task *task)
{
	uint32_t len = scsi_get16(task->cdb + 7);

	if (!scsi_unmaps(task->disk))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_OPCODE);
	/* Anchored blocks are for those who offer them. */
	if (task->cdb[1] & 1)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	return len ? scsi_take(task, len, unmap_list) : scsi_good(task);
}

/* ---- WRITE SAME ---- */

/* The next piece of at most @most bytes, then @then. */
static enum scsi_step same_next(struct scsi_task *task, int err, enum storage_op op, uint64_t most,
				enum scsi_step (*then)(struct scsi_task *task, int err))
{
	uint64_t n = min_u64(task->left, most);

	if (err)
		return scsi_check_errno(task, err);
	if (!n)
		return scsi_good(task);
	task->offset += n;
	task->left -= n;
	return scsi_io(task, op, task->disk->wce ? 0 : STORAGE_FUA, task->offset - n, n, 0, then);
}

static enum scsi_step zero_next(struct scsi_task *task, int err)
{
	const struct scsi_disk *disk = task->disk;
	uint64_t most = align_down(storage_limits(disk->storage)->max_write_zeroes,
				   disk->block_size);

	return same_next(task, err, STORAGE_WRITE_ZEROES, most, zero_next);
}

static enum scsi_step pattern_next(struct scsi_task *task, int err)
{
	return same_next(task, err, STORAGE_WRITE, task->filled, pattern_next);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return !p[0] && !memcmp(p, p + 1, n - 1);
}

/* The buffer begins with one block, and has room for a piece. */
static enum scsi_step write_same_data(struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;
	uint32_t block = disk->block_size, n = (uint32_t)min_u64(task->left, task->room);

	if (all_zero(task->data, block) && storage_limits(disk->storage)->max_write_zeroes >= block)
		return zero_next(task, 0);
	for (uint32_t at = block; at < n; at += block)
		memcpy(task->data + at, task->data, block);
	task->filled = n;
	return pattern_next(task, 0);
}

enum scsi_step scsi_write_same(struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;
	bool no_data = task->cdb[0] == SCSI_WRITE_SAME_16 && task->cdb[1] & 1;
	uint32_t blocks;
	uint64_t lba;

	scsi_range(task->cdb, &lba, &blocks);
	if (!scsi_in_range(disk, lba, blocks))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	/*
	 * No protection information, no anchoring or unmapping, no old kinds of patterns; some
	 * blocks, not too many.
	 */
	if (task->cdb[1] & 0xfe || (task->cdb[1] && !no_data) || !blocks || blocks > SCSI_RUN_MAX)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	task->offset = lba * disk->block_size;
	task->left = (uint64_t)blocks * disk->block_size;
	if (!scsi_task_room(task, (uint32_t)min_u64(task->left, PIECE)))
		return SCSI_DONE;
	return no_data ? write_same_data(task) : scsi_take(task, disk->block_size, write_same_data);
}
