/* SPDX-License-Identifier: MIT */
/* SBC-3, chapter 5: reading, writing, verifying, flushing. */
#include "backend/scsi/disk_priv.h"

#include <string.h>

#define FUA    0x08
#define BYTCHK 0x06

void scsi_range(const uint8_t *cdb, uint64_t *lba, uint32_t *blocks)
{
	switch (cdb[0] >> 5) {
	case 0:
		*lba = scsi_get24(cdb + 1) & 0x1fffff;
		*blocks = cdb[4] ? cdb[4] : 256;
		break;
	case 4:
		*lba = scsi_get64(cdb + 2);
		*blocks = scsi_get32(cdb + 10);
		break;
	case 5:
		*lba = scsi_get32(cdb + 2);
		*blocks = scsi_get32(cdb + 6);
		break;
	default:
		*lba = scsi_get32(cdb + 2);
		*blocks = scsi_get16(cdb + 7);
	}
}

/* Sets offset and left of a transfer.  false: the task has ended. */
static bool take_range(struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;
	uint32_t blocks;
	uint64_t lba;

	scsi_range(task->cdb, &lba, &blocks);
	if (!scsi_in_range(disk, lba, blocks)) {
		scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
		return false;
	}
	task->offset = lba * disk->block_size;
	task->left = (uint64_t)blocks * disk->block_size;
	/* No protection information here. */
	if ((task->cdb[0] >= SCSI_READ_10 && task->cdb[1] & 0xe0) ||
	    task->left > SCSI_TRANSFER_MAX) {
		scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
		return false;
	}
	return true;
}

static enum scsi_step has_read(struct scsi_task *task, int err)
{
	if (err)
		return scsi_check_errno(task, err);
	return scsi_reply(task, (uint32_t)task->left, UINT32_MAX);
}

enum scsi_step scsi_read(struct scsi_task *task)
{
	if (!take_range(task))
		return SCSI_DONE;
	if (!task->left)
		return scsi_good(task);
	if (!scsi_task_room(task, (uint32_t)task->left))
		return SCSI_DONE;
	return scsi_io(task, STORAGE_READ, 0, task->offset, task->left, 0, has_read);
}

static enum scsi_step ended(struct scsi_task *task, int err)
{
	return err ? scsi_check_errno(task, err) : scsi_good(task);
}

static enum scsi_step write_data(struct scsi_task *task)
{
	uint8_t op = task->cdb[0];
	bool stable = !task->disk->wce || (op != SCSI_WRITE_6 && task->cdb[1] & FUA) ||
		      op == SCSI_WRITE_VERIFY_10 || op == SCSI_WRITE_VERIFY_12 ||
		      op == SCSI_WRITE_VERIFY_16;

	return scsi_io(task, STORAGE_WRITE, stable ? STORAGE_FUA : 0, task->offset, task->left, 0,
		       ended);
}

enum scsi_step scsi_write(struct scsi_task *task)
{
	if (!take_range(task))
		return SCSI_DONE;
	return task->left ? scsi_take(task, (uint32_t)task->left, write_data) : scsi_good(task);
}

/* ---- VERIFY ---- */

/* The buffer has what the initiator sent in its first half, what the disk holds in its second. */
static enum scsi_step compare(struct scsi_task *task, int err)
{
	if (err)
		return scsi_check_errno(task, err);
	if (memcmp(task->data, task->data + task->left, (size_t)task->left))
		return scsi_check(task, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	return scsi_good(task);
}

static enum scsi_step verify_data(struct scsi_task *task)
{
	return scsi_io(task, STORAGE_READ, 0, task->offset, task->left, (uint32_t)task->left,
		       compare);
}

enum scsi_step scsi_verify(struct scsi_task *task)
{
	uint32_t blocks;
	uint64_t lba;

	/* Without data to compare there is no medium that could have gone bad. */
	if (!(task->cdb[1] & BYTCHK)) {
		scsi_range(task->cdb, &lba, &blocks);
		if (!scsi_in_range(task->disk, lba, blocks))
			return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
		return scsi_good(task);
	}
	if ((task->cdb[1] & BYTCHK) != 0x02)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!take_range(task))
		return SCSI_DONE;
	if (!task->left)
		return scsi_good(task);
	if (!scsi_task_room(task, (uint32_t)(2 * task->left)))
		return SCSI_DONE;
	return scsi_take(task, (uint32_t)task->left, verify_data);
}

/* ---- SYNCHRONIZE CACHE ---- */

enum scsi_step scsi_sync_cache(struct scsi_task *task)
{
	uint32_t blocks;
	uint64_t lba;

	scsi_range(task->cdb, &lba, &blocks);
	if (!scsi_in_range(task->disk, lba, blocks))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	/* Whatever the range: flushing more than asked for is allowed. */
	return scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, ended);
}
