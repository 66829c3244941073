/* SPDX-License-Identifier: MIT */
#include "backend/scsi/disk_priv.h"

#include <string.h>

/* START STOP UNIT, byte 4 */
#define STOP_START    0x01
#define STOP_EJECT    0x02
#define STOP_NO_FLUSH 0x04
/* SEND DIAGNOSTIC, byte 1 */
#define DEFAULT_TEST	 0x04
#define FOREGROUND_SHORT 5
#define FOREGROUND_LONG	 6
/* RESERVE, RELEASE, byte 1 */
#define RESERVE_EXTENT	    0x01
#define RESERVE_LONG_ID	    0x02
#define RESERVE_THIRD_PARTY 0x10
/* READ CAPACITY */
#define CAPACITY_RELATIVE 0x01
#define CAPACITY_PMI	  0x01

/* ---- what needs no storage ---- */

static enum scsi_step test_unit_ready(struct scsi_task *task)
{
	return scsi_good(task);
}

static enum scsi_step request_sense(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;
	uint8_t *p, key = SCSI_KEY_NONE;
	uint16_t asc = 0;

	/* The descriptor format is for those who offer it. */
	if (task->cdb[1] & 1)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!scsi_task_room(task, SCSI_SENSE_BYTES))
		return SCSI_DONE;
	if (task->lun) {
		key = SCSI_KEY_ILLEGAL_REQUEST;
		asc = SCSI_ASC_LUN;
	} else if (disk->ca) {
		key = disk->key;
		asc = disk->asc;
		disk->ca = false;
	} else if (disk->attention) {
		key = SCSI_KEY_UNIT_ATTENTION;
		asc = disk->attention;
		disk->attention = 0;
	}
	p = task->data;
	p[0] = 0x70; /* current error, fixed format */
	p[2] = key;
	p[7] = SCSI_SENSE_BYTES - 8;
	scsi_put16(p + 12, asc);
	return scsi_reply(task, SCSI_SENSE_BYTES, task->cdb[4]);
}

static enum scsi_step report_luns(struct scsi_task *task)
{
	uint32_t allocated = scsi_get32(task->cdb + 6);

	/* All that there is has one LUN; well-known ones (2: nothing else) there are none. */
	if (allocated < 16 || task->cdb[2] > 2)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!scsi_task_room(task, 16))
		return SCSI_DONE;
	if (task->cdb[2] == 1)
		return scsi_reply(task, 8, allocated);
	scsi_put32(task->data, 8);
	return scsi_reply(task, 16, allocated);
}

static enum scsi_step unit_stopped(struct scsi_task *task, int err)
{
	if (err)
		return scsi_check_errno(task, err);
	task->disk->halted = true;
	return scsi_good(task);
}

/*
 * Power conditions that there are (active, idle, standby, by timers or at once) change nothing: the
 * next command finds the disk awake.  The medium stays where it is.
 */
static enum scsi_step start_stop_unit(struct scsi_task *task)
{
	static const uint16_t conditions = 1u << 1 | 1u << 2 | 1u << 3 | 1u << 7 | 1u << 10 |
					   1u << 11;
	uint8_t how = task->cdb[4], condition = how >> 4;

	if (condition ? !(conditions >> condition & 1) : how & STOP_EJECT)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (condition)
		return scsi_good(task);
	if (!(how & STOP_START))
		return how & STOP_NO_FLUSH ? unit_stopped(task, 0)
					   : scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, unit_stopped);
	task->disk->halted = false;
	return scsi_good(task);
}

/*
 * The self-test, which passes; no pages.  Tests in the background would tell their outcome in a
 * log page, which there is not.
 */
static enum scsi_step send_diagnostic(struct scsi_task *task)
{
	uint8_t test = task->cdb[1] >> 5;

	if (scsi_get16(task->cdb + 3) ||
	    (test &&
	     (test < FOREGROUND_SHORT || test > FOREGROUND_LONG || task->cdb[1] & DEFAULT_TEST)))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	return scsi_good(task);
}

/*
 * There is one initiator: a reservation shuts nobody out.  None for a third party, none of a part
 * of the disk.
 */
static enum scsi_step reserve(struct scsi_task *task)
{
	bool ten = task->cdb[0] == SCSI_RESERVE_10 || task->cdb[0] == SCSI_RELEASE_10;

	if (task->cdb[1] & (RESERVE_THIRD_PARTY | RESERVE_LONG_ID | RESERVE_EXTENT) ||
	    scsi_get16(task->cdb + (ten ? 7 : 3)))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	return scsi_good(task);
}

static enum scsi_step read_capacity_10(struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;

	/* A place may be named with PMI: there is no delay behind any block before the last one. */
	if (task->cdb[1] & CAPACITY_RELATIVE ||
	    (scsi_get32(task->cdb + 2) && !(task->cdb[8] & CAPACITY_PMI)))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!scsi_task_room(task, 8))
		return SCSI_DONE;
	scsi_put32(task->data, (uint32_t)min_u64(disk->blocks - 1, UINT32_MAX));
	scsi_put32(task->data + 4, disk->block_size);
	return scsi_reply(task, 8, 8);
}

static enum scsi_step read_capacity_16(struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;
	uint32_t physical = storage_limits(disk->storage)->physical_block_size;
	unsigned exponent = 0;

	if (scsi_get64(task->cdb + 2) && !(task->cdb[14] & CAPACITY_PMI))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!scsi_task_room(task, 32))
		return SCSI_DONE;
	while (exponent < 15 && disk->block_size << (exponent + 1) <= physical)
		exponent++;
	scsi_put64(task->data, disk->blocks - 1);
	scsi_put32(task->data + 8, disk->block_size);
	task->data[13] = (uint8_t)exponent;
	if (scsi_unmaps(disk))
		task->data[14] = 0x80; /* thin; what reads of unmapped blocks give is not told */
	return scsi_reply(task, 32, scsi_get32(task->cdb + 10));
}

static enum scsi_step report_opcodes(struct scsi_task *task);

/* ---- the table ---- */

#define DATA_IN	 (SCSI_CMD_MEDIUM)
#define DATA_OUT (SCSI_CMD_MEDIUM | SCSI_CMD_WRITES)

static const struct scsi_command commands[] = {
	{SCSI_TEST_UNIT_READY, SCSI_CMD_MEDIUM, 0, test_unit_ready},
	{SCSI_REQUEST_SENSE, SCSI_CMD_ANY_LUN | SCSI_CMD_ATTENTION, 0, request_sense},
	{SCSI_READ_6, DATA_IN, 0, scsi_read},
	{SCSI_WRITE_6, DATA_OUT, 0, scsi_write},
	{SCSI_INQUIRY, SCSI_CMD_ANY_LUN | SCSI_CMD_ATTENTION, 0, scsi_inquiry},
	{SCSI_MODE_SELECT_6, 0, 0, scsi_mode_select},
	{SCSI_RESERVE_6, 0, 0, reserve},
	{SCSI_RELEASE_6, 0, 0, reserve},
	{SCSI_MODE_SENSE_6, 0, 0, scsi_mode_sense},
	{SCSI_START_STOP_UNIT, 0, 0, start_stop_unit},
	{SCSI_SEND_DIAGNOSTIC, 0, 0, send_diagnostic},
	{SCSI_READ_CAPACITY_10, DATA_IN, 0, read_capacity_10},
	{SCSI_READ_10, DATA_IN, 0, scsi_read},
	{SCSI_WRITE_10, DATA_OUT, 0, scsi_write},
	{SCSI_WRITE_VERIFY_10, DATA_OUT, 0, scsi_write},
	{SCSI_VERIFY_10, DATA_IN, 0, scsi_verify},
	{SCSI_SYNC_CACHE_10, DATA_IN, 0, scsi_sync_cache},
	{SCSI_WRITE_SAME_10, DATA_OUT, 0, scsi_write_same},
	{SCSI_UNMAP, DATA_OUT, 0, scsi_unmap},
	{SCSI_MODE_SELECT_10, 0, 0, scsi_mode_select},
	{SCSI_RESERVE_10, 0, 0, reserve},
	{SCSI_RELEASE_10, 0, 0, reserve},
	{SCSI_MODE_SENSE_10, 0, 0, scsi_mode_sense},
	{SCSI_READ_16, DATA_IN, 0, scsi_read},
	{SCSI_WRITE_16, DATA_OUT, 0, scsi_write},
	{SCSI_WRITE_VERIFY_16, DATA_OUT, 0, scsi_write},
	{SCSI_VERIFY_16, DATA_IN, 0, scsi_verify},
	{SCSI_SYNC_CACHE_16, DATA_IN, 0, scsi_sync_cache},
	{SCSI_WRITE_SAME_16, DATA_OUT, 0, scsi_write_same},
	{SCSI_SERVICE_IN_16, DATA_IN | SCSI_CMD_ACTION, SCSI_SA_READ_CAPACITY, read_capacity_16},
	{SCSI_REPORT_LUNS, SCSI_CMD_ANY_LUN | SCSI_CMD_ATTENTION, 0, report_luns},
	{SCSI_MAINTENANCE_IN, SCSI_CMD_ACTION, SCSI_SA_REPORT_OPCODES, report_opcodes},
	{SCSI_READ_12, DATA_IN, 0, scsi_read},
	{SCSI_WRITE_12, DATA_OUT, 0, scsi_write},
	{SCSI_WRITE_VERIFY_12, DATA_OUT, 0, scsi_write},
	{SCSI_VERIFY_12, DATA_IN, 0, scsi_verify},
};

const struct scsi_command *scsi_command_find(uint8_t opcode, uint32_t action)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct scsi_command *c = &commands[i];

		if (c->opcode == opcode && (!(c->flags & SCSI_CMD_ACTION) || c->action == action))
			return c;
	}
	return NULL;
}

unsigned scsi_cdb_bytes(uint8_t opcode)
{
	static const uint8_t bytes[8] = {6, 10, 10, 6, 16, 12, 6, 6};

	return bytes[opcode >> 5];
}

/* ---- REPORT SUPPORTED OPERATION CODES ---- */

static bool offered(const struct scsi_disk *disk, const struct scsi_command *c)
{
	return c->opcode != SCSI_UNMAP || scsi_unmaps(disk);
}

/* Any command with this opcode. */
static const struct scsi_command *find_opcode(uint8_t opcode)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].opcode == opcode)
			return &commands[i];
	return NULL;
}

static enum scsi_step report_one(struct scsi_task *task, uint32_t allocated)
{
	uint8_t options = task->cdb[2] & 7, opcode = task->cdb[3];
	uint32_t action = scsi_get16(task->cdb + 4);
	const struct scsi_command *any = find_opcode(opcode), *c = NULL;
	bool with_action = any && any->flags & SCSI_CMD_ACTION;
	unsigned bytes = scsi_cdb_bytes(opcode);

	/* 1: an opcode without service actions, 2: with one, 3: either */
	if (any && options < 3 && (options == 2) != with_action)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (options < 3 || with_action || !action)
		c = scsi_command_find(opcode, action);
	if (!c || !offered(task->disk, c)) {
		task->data[1] = 1; /* not supported */
		return scsi_reply(task, 4, allocated);
	}
	task->data[1] = 3;
	scsi_put16(task->data + 2, bytes);
	task->data[4] = opcode;
	memset(task->data + 5, 0xff, bytes - 2); /* all but the control byte, the last one */
	if (c->flags & SCSI_CMD_ACTION)
		task->data[5] = c->action;
	return scsi_reply(task, 4 + bytes, allocated);
}

static enum scsi_step report_opcodes(struct scsi_task *task)
{
	uint32_t allocated = scsi_get32(task->cdb + 6);
	uint8_t options = task->cdb[2];
	uint8_t *p;

	/* Time-outs are not told. */
	if (options & 0x80 || (options & 7) > 3)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (!scsi_task_room(task, 4 + 8 * ARRAY_SIZE(commands)))
		return SCSI_DONE;
	if (options & 7)
		return report_one(task, allocated);
	p = task->data + 4;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct scsi_command *c = &commands[i];

		if (!offered(task->disk, c))
			continue;
		p[0] = c->opcode;
		p[3] = c->action;
		p[5] = c->flags & SCSI_CMD_ACTION ? 1 : 0;
		scsi_put16(p + 6, scsi_cdb_bytes(c->opcode));
		p += 8;
	}
	scsi_put32(task->data, (uint32_t)(p - task->data) - 4);
	return scsi_reply(task, (uint32_t)(p - task->data), allocated);
}
