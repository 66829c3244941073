/* SPDX-License-Identifier: MIT */
/* SBC-3, chapter 5: reading, writing, verifying, flushing. */
#include "backend/scsi/disk_priv.h"

#include <string.h>

#define FUA	0x08
#define BYTCHK	0x06
#define COMPARE 0x02 /* of BYTCHK: with as many blocks from the initiator */
/* Byte 1: relative addresses, which went with linked commands; protection information. */
#define RELATIVE   0x01
#define PROTECTION 0xe0

static bool odd_flags(const uint8_t *cdb)
{
	return cdb[0] >= SCSI_READ_10 && cdb[1] & (RELATIVE | PROTECTION);
}

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
	if (odd_flags(task->cdb) || task->left > SCSI_TRANSFER_MAX) {
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

static enum scsi_step read_data(struct scsi_task *task, int err)
{
	if (err)
		return scsi_check_errno(task, err);
	return scsi_io(task, STORAGE_READ, 0, task->offset, task->left, 0, has_read);
}

enum scsi_step scsi_read(struct scsi_task *task)
{
	bool fua = task->cdb[0] != SCSI_READ_6 && task->cdb[1] & FUA;

	if (!take_range(task))
		return SCSI_DONE;
	if (!task->left)
		return scsi_good(task);
	if (!scsi_task_room(task, (uint32_t)task->left))
		return SCSI_DONE;
	/* FUA: what is read is on the medium; so what the cache has must be written first. */
	if (fua && task->disk->wce)
		return scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, read_data);
	return read_data(task, 0);
}

static enum scsi_step block_ended(struct scsi_task *task, int err)
{
	return err ? scsi_check_errno(task, err) : scsi_good(task);
}

static bool verifies(const struct scsi_task *task)
{
	uint8_t op = task->cdb[0];

	return op == SCSI_WRITE_VERIFY_10 || op == SCSI_WRITE_VERIFY_12 ||
	       op == SCSI_WRITE_VERIFY_16;
}

static enum scsi_step read_back(struct scsi_task *task, int err);

static enum scsi_step write_data(struct scsi_task *task)
{
	bool fua = task->cdb[0] != SCSI_WRITE_6 && task->cdb[1] & FUA;
	bool stable = !task->disk->wce || fua || verifies(task);

	return scsi_io(task, STORAGE_WRITE, stable ? STORAGE_FUA : 0, task->offset, task->left, 0,
		       verifies(task) && task->cdb[1] & BYTCHK ? read_back : block_ended);
}

enum scsi_step scsi_write(struct scsi_task *task)
{
	bool compared = verifies(task) && task->cdb[1] & BYTCHK;

	if (compared && (task->cdb[1] & BYTCHK) != COMPARE)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!take_range(task))
		return SCSI_DONE;
	if (!task->left)
		return scsi_good(task);
	if (compared && !scsi_task_room(task, (uint32_t)(2 * task->left)))
		return SCSI_DONE;
	return scsi_take(task, (uint32_t)task->left, write_data);
}

/* ---- VERIFY ---- */

/* The buffer has what the initiator sent in its first half, what the disk holds in its second. */
static enum scsi_step block_compare(struct scsi_task *task, int err)
{
	if (err)
		return scsi_check_errno(task, err);
	if (memcmp(task->data, task->data + task->left, (size_t)task->left))
		return scsi_check(task, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	return scsi_good(task);
}

static enum scsi_step read_back(struct scsi_task *task, int err)
{
	if (err)
		return scsi_check_errno(task, err);
	return scsi_io(task, STORAGE_READ, 0, task->offset, task->left, (uint32_t)task->left,
		       block_compare);
}

static enum scsi_step verify_data(struct scsi_task *task)
{
	return read_back(task, 0);
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
		if (odd_flags(task->cdb))
			return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
		return scsi_good(task);
	}
	if ((task->cdb[1] & BYTCHK) != COMPARE)
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
	if (task->cdb[1] & RELATIVE)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	/* Whatever the range: flushing more than asked for is allowed. */
	return scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, block_ended);
}
