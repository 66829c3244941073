/* SPDX-License-Identifier: MIT */
/* A SCSI disk without a bus, for tests: commands go in, status and data come out. */
#ifndef BACKEND_SCSI_RIG_TEST_H
#define BACKEND_SCSI_RIG_TEST_H

#include "test.h"

#include "backend/scsi/disk.h"

#define BLOCKS 16384u /* 8 MiB */

struct scsi_rig {
	struct reactor *home;
	struct scsi_disk *disk;
	bool done;
	enum scsi_step step;
	uint8_t status;
	uint8_t data[SCSI_TRANSFER_MAX];
	uint32_t len;
};

#define CDB(...) ((const uint8_t[SCSI_CDB_MAX]){__VA_ARGS__})

/* Its unit attention of power-on has been taken. */
struct scsi_rig *sr_new(const char *target, struct scsi_disk_options o, bool readonly);
struct scsi_rig *sr_new_blocks(const char *target, uint32_t block_size);
struct scsi_rig *sr_new_on(const struct storage_options *so, struct scsi_disk_options o);
/* 8 MiB in memory, serial number "abc", a write cache. */
struct scsi_rig *sr_disk(void);
/* Whatever was forgotten comes to its end first; nothing may be left then. */
void sr_free(struct scsi_rig *r);

/* For tasks that a test starts itself; their owner is the rig. */
void sr_task_done(struct scsi_task *task, enum scsi_step step);

/*
 * One command from its CDB to its status; data for the disk, if it asks for some, come from @out.
 */
uint8_t sr_command(struct scsi_rig *r, const uint8_t *cdb, const void *out);
uint8_t sr_command_lun(struct scsi_rig *r, unsigned lun, const uint8_t *cdb, const void *out);

/* Fetches sense, which must be this. */
void sr_check_sense(struct scsi_rig *r, uint8_t key, uint16_t asc);
/* The command is refused, with this sense. */
void sr_check_refused(struct scsi_rig *r, const uint8_t *cdb, const void *out, uint8_t key,
		      uint16_t asc);

/* A CDB of any length for @blocks at @lba; returns @cdb. */
const uint8_t *sr_rw(uint8_t *cdb, uint8_t op, uint64_t lba, uint32_t blocks);
/* Bytes that look like nothing, other ones for another @seed. */
void sr_fill(uint8_t *p, size_t n, uint32_t seed);

#endif
