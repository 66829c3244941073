/* SPDX-License-Identifier: MIT */
/* Between the files of this folder: how a command ends or goes on. */
#ifndef BACKEND_SCSI_DISK_PRIV_H
#define BACKEND_SCSI_DISK_PRIV_H

#include "backend/scsi/disk.h"

/* Blocks that one WRITE SAME or UNMAP descriptor may name. */
#define SCSI_RUN_MAX UINT32_C(0x3fffff)

struct scsi_command {
	uint8_t opcode;
	uint8_t flags;
	uint8_t action; /* service action, with SCSI_CMD_ACTION */
	enum scsi_step (*run)(struct scsi_task *task);
};

#define SCSI_CMD_ANY_LUN   1u  /* answered for a LUN that is not there, too     */
#define SCSI_CMD_ATTENTION 2u  /* not kept back by a unit attention            */
#define SCSI_CMD_MEDIUM	   4u  /* needs a started unit                         */
#define SCSI_CMD_WRITES	   8u  /* refused when read-only                       */
#define SCSI_CMD_ACTION	   16u /* chosen by its service action, too           */

/* Ends with GOOD and without data. */
enum scsi_step scsi_good(struct scsi_task *task);
/* Ends with CHECK CONDITION; no data go to the initiator. */
enum scsi_step scsi_check(struct scsi_task *task, uint8_t key, uint16_t asc);
/* The same for an errno of the storage. */
enum scsi_step scsi_check_errno(struct scsi_task *task, int err);

/*
 * A zeroed buffer of @len bytes for the task; false: it has ended, with TASK SET FULL.  It stays
 * the task's, so the first call is for the most.
 */
bool scsi_task_room(struct scsi_task *task, uint32_t len);
/*
 * Ends with GOOD and the first @len bytes of the buffer, but at most what the initiator has
 * allocated.
 */
enum scsi_step scsi_reply(struct scsi_task *task, uint32_t len, uint32_t allocated);
/* Asks the initiator for @len bytes, which is not 0. */
enum scsi_step scsi_take(struct scsi_task *task, uint32_t len,
			 enum scsi_step (*received)(struct scsi_task *task));
/* One storage request; data, if any, are @len bytes of the buffer from @at on. */
enum scsi_step scsi_io(struct scsi_task *task, enum storage_op op, unsigned flags, uint64_t offset,
		       uint64_t len, uint32_t at,
		       enum scsi_step (*then)(struct scsi_task *task, int err));

/* The command of a CDB, or NULL. */
const struct scsi_command *scsi_command_find(uint8_t opcode, uint32_t action);

/*
 * Whether blocks can be unmapped.  A disk that cannot be written to has none that can: its storage
 * offers no discard.
 */
static inline bool scsi_unmaps(const struct scsi_disk *disk)
{
	return storage_limits(disk->storage)->max_discard >= disk->block_size;
}

enum scsi_step scsi_inquiry(struct scsi_task *task);
enum scsi_step scsi_mode_sense(struct scsi_task *task);
enum scsi_step scsi_mode_select(struct scsi_task *task);
enum scsi_step scsi_read(struct scsi_task *task);
enum scsi_step scsi_write(struct scsi_task *task);
enum scsi_step scsi_verify(struct scsi_task *task);
enum scsi_step scsi_sync_cache(struct scsi_task *task);
enum scsi_step scsi_unmap(struct scsi_task *task);
enum scsi_step scsi_write_same(struct scsi_task *task);

/* LBA and number of blocks of a reading or writing CDB. */
void scsi_range(const uint8_t *cdb, uint64_t *lba, uint32_t *blocks);
static inline bool scsi_in_range(const struct scsi_disk *disk, uint64_t lba, uint64_t blocks)
{
	return lba <= disk->blocks && blocks <= disk->blocks - lba;
}

#endif
