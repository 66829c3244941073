/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk, command by command, without a bus: what it answers, what it refuses and with which
 * sense.
 */
#include "test.h"

#include "backend/scsi/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCKS 16384u /* 8 MiB */

struct rig {
	struct reactor *home;
	struct scsi_disk *disk;
	bool done;
	enum scsi_step step;
	uint8_t status;
	uint8_t data[SCSI_TRANSFER_MAX];
	uint32_t len;
};

static struct rig *of_task(struct scsi_task *task)
{
	return task->owner;
}

static void task_done(struct scsi_task *task, enum scsi_step step)
{
	struct rig *r = of_task(task);

	r->done = true;
	r->step = step;
}

static struct rig *rig_new(const char *target, struct scsi_disk_options o, bool readonly)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct storage_options so = {.target = target, .readonly = readonly, .no_lock = true};
	const struct reactor_config config = {.uring = false};
	struct storage *storage;

	assert_non_null(r);
	assert_int_equal(reactor_create(&r->home, &config, NULL), 0);
	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	o.path = "test/disk";
	assert_int_equal(scsi_disk_create(&r->disk, &o, storage,
					  &(struct scsi_disk_threads){.reactor = r->home}, NULL),
			 0);
	r->disk->attention = 0;
	return r;
}

static struct rig *rig(void)
{
	return rig_new("memory:8M", (struct scsi_disk_options){.serial = "abc", .wce = true},
		       false);
}

static void rig_free(struct rig *r)
{
	scsi_disk_stop(r->disk);
	while (!scsi_disk_quiet(r->disk))
		reactor_turn(r->home);
	assert_int_equal(r->disk->n_tasks, 0);
	assert_int_equal(r->disk->buffers, 0);
	scsi_disk_destroy(&r->disk);
	reactor_destroy(&r->home);
	free(r);
}

/*
 * One command from its CDB to its status; data for the disk, if it asks for some, come from @out.
 */
static uint8_t command_lun(struct rig *r, unsigned lun, const uint8_t *cdb, const void *out)
{
	uint8_t whole[SCSI_CDB_MAX] = {0};
	struct scsi_task *task;

	memcpy(whole, cdb, scsi_cdb_bytes(cdb[0]));
	task = scsi_task_new(r->disk, lun, whole, task_done);
	assert_non_null(task);
	task->owner = r;
	r->done = false;
	r->step = scsi_task_start(task);
	for (;;) {
		if (r->step == SCSI_WANTS_DATA) {
			assert_non_null(out);
			memcpy(task->data, out, task->len);
			r->done = false;
			r->step = scsi_task_data(task);
		} else if (r->step == SCSI_BUSY) {
			while (!r->done)
				reactor_turn(r->home);
		} else {
			break;
		}
	}
	r->status = task->status;
	r->len = task->len;
	memcpy(r->data, task->data ? task->data : r->data, task->len);
	scsi_task_free(task);
	return r->status;
}

static uint8_t command(struct rig *r, const uint8_t *cdb, const void *out)
{
	return command_lun(r, 0, cdb, out);
}

#define CDB(...) ((const uint8_t[SCSI_CDB_MAX]){__VA_ARGS__})

/* Fetches sense, which must be this. */
static void check_sense(struct rig *r, uint8_t key, uint16_t asc)
{
	assert_int_equal(command(r, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 18);
	assert_int_equal(r->data[0], 0x70);
	assert_int_equal(r->data[2], key);
	assert_int_equal(scsi_get16(r->data + 12), asc);
}

static void check_refused(struct rig *r, const uint8_t *cdb, const void *out, uint8_t key,
			  uint16_t asc)
{
	assert_int_equal(command(r, cdb, out), SCSI_CHECK_CONDITION);
	assert_int_equal(r->len, 0);
	check_sense(r, key, asc);
}

static const uint8_t *rw(uint8_t *cdb, uint8_t op, uint64_t lba, uint32_t blocks)
{
	memset(cdb, 0, SCSI_CDB_MAX);
	cdb[0] = op;
	switch (op >> 5) {
	case 0:
		scsi_put32(cdb, (uint32_t)op << 24 | (uint32_t)lba);
		cdb[4] = (uint8_t)blocks;
		break;
	case 4:
		scsi_put64(cdb + 2, lba);
		scsi_put32(cdb + 10, blocks);
		break;
	case 5:
		scsi_put32(cdb + 2, (uint32_t)lba);
		scsi_put32(cdb + 6, blocks);
		break;
	default:
		scsi_put32(cdb + 2, (uint32_t)lba);
		scsi_put16(cdb + 7, blocks);
	}
	return cdb;
}

static void fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* ---- SPC: what every device does ---- */

static void spc_inquiry(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 0, 0, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 96);
	assert_int_equal(r->data[0], 0);
	assert_int_equal(r->data[4], 91);
	assert_int_equal(r->data[7] & 2, 2);
	assert_memory_equal(r->data + 8, "RINGSIDESCSI DISK       1.0 ", 28);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 0, 0, 0, 5), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 5);
	check_refused(r, CDB(SCSI_INQUIRY, 0, 1, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void spc_inquiry_of_a_lun_that_is_not_there(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command_lun(r, 3, CDB(SCSI_INQUIRY, 0, 0, 0, 36), NULL), SCSI_GOOD);
	assert_int_equal(r->data[0], 0x7f);
	assert_int_equal(command_lun(r, 3, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_CHECK_CONDITION);
	assert_int_equal(command_lun(r, 3, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data + 12), SCSI_ASC_LUN);
	rig_free(r);
}

static void spc_vital_product_data(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, ((uint8_t[]){0, 0, 0, 6, 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2}),
			    10);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0x80, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, "\0\x80\0\3abc", 7);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0x83, 0, 255), NULL), SCSI_GOOD);
	assert_memory_equal(r->data + 4, "\2\1\0\13RINGSIDEabc", 15);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0xb0, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data + 8), SCSI_TRANSFER_MAX / 512);
	assert_true(scsi_get32(r->data + 20) > 0);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0xb1, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data + 4), 1);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[5], 0x80);
	check_refused(r, CDB(SCSI_INQUIRY, 1, 0x42, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void spc_unit_attention_after_power_on(void **state)
{
	struct rig *r = rig();

	(void)state;
	scsi_disk_reset(r->disk, SCSI_ASC_POWER_ON);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 0, 0, 0, 36), NULL), SCSI_GOOD);
	assert_int_equal(command(r, CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 16), NULL),
			 SCSI_GOOD);
	check_refused(r, CDB(SCSI_TEST_UNIT_READY), NULL, SCSI_KEY_UNIT_ATTENTION,
		      SCSI_ASC_POWER_ON);
	assert_int_equal(command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	rig_free(r);
}

static void spc_request_sense_takes_unit_attention(void **state)
{
	struct rig *r = rig();

	(void)state;
	scsi_disk_reset(r->disk, SCSI_ASC_BUS_RESET);
	check_sense(r, SCSI_KEY_UNIT_ATTENTION, SCSI_ASC_BUS_RESET);
	assert_int_equal(command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	check_sense(r, SCSI_KEY_NONE, 0);
	rig_free(r);
}

static void spc_sense_is_lost_with_the_next_command(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(0xff), NULL), SCSI_CHECK_CONDITION);
	assert_int_equal(command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	check_sense(r, SCSI_KEY_NONE, 0);
	rig_free(r);
}

static void spc_unknown_opcodes(void **state)
{
	static const uint8_t none[] = {0x01, 0x04, 0x1e, 0x3b, 0x3c, 0x4d,
				       0x5e, 0x7f, 0x83, 0x85, 0xc0, 0xff};
	struct rig *r = rig();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		check_refused(r, CDB(none[i]), NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_OPCODE);
	check_refused(r, CDB(SCSI_SERVICE_IN_16, 0x12), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_OPCODE);
	rig_free(r);
}

static void spc_report_luns(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 1, 0), NULL),
			 SCSI_GOOD);
	assert_int_equal(r->len, 16);
	assert_int_equal(scsi_get32(r->data), 8);
	assert_int_equal(scsi_get64(r->data + 8), 0);
	check_refused(r, CDB(SCSI_REPORT_LUNS, 0, 0, 0, 0, 0, 0, 0, 0, 8), NULL,
		      SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void spc_report_supported_opcodes(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r,
				 CDB(SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_OPCODES, 1,
				     SCSI_WRITE_SAME_16, 0, 0, 0, 0, 1, 0),
				 NULL),
			 SCSI_GOOD);
	assert_int_equal(r->data[1], 3);
	assert_int_equal(scsi_get16(r->data + 2), 16);
	assert_int_equal(r->len, 20);
	assert_int_equal(
		command(r,
			CDB(SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_OPCODES, 1, 0x85, 0, 0, 0, 0, 1, 0),
			NULL),
		SCSI_GOOD);
	assert_int_equal(r->data[1], 1);
	assert_int_equal(
		command(r, CDB(SCSI_MAINTENANCE_IN, SCSI_SA_REPORT_OPCODES, 0, 0, 0, 0, 0, 1, 0, 0),
			NULL),
		SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data) + 4, r->len);
	assert_true(r->len > 100);
	rig_free(r);
}

static void spc_mode_sense(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_MODE_SENSE_6, 0, 8, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[0] + 1u, r->len);
	assert_int_equal(r->data[2], 0x10);
	assert_int_equal(r->data[3], 8);
	assert_int_equal(scsi_get32(r->data + 4), BLOCKS);
	assert_int_equal(scsi_get32(r->data + 8), 512);
	assert_int_equal(r->data[12], 8);
	assert_int_equal(r->data[14], 4);
	assert_int_equal(command(r, CDB(SCSI_MODE_SENSE_10, 8, 0x3f, 0, 0, 0, 0, 1, 0), NULL),
			 SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data) + 2u, r->len);
	assert_int_equal(scsi_get16(r->data + 6), 0);
	assert_int_equal(r->data[8], SCSI_PAGE_ERROR_RECOVERY);
	assert_int_equal(command(r, CDB(SCSI_MODE_SENSE_10, 0x10, 0x0a, 0, 0, 0, 0, 1, 0), NULL),
			 SCSI_GOOD);
	assert_int_equal(scsi_get16(r->data + 6), 16);
	assert_int_equal(scsi_get64(r->data + 8), BLOCKS);
	check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0x08 | 0xc0, 0, 255), NULL,
		      SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_SAVING);
	check_refused(r, CDB(SCSI_MODE_SENSE_6, 0, 0x2a, 0, 255), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void spc_mode_select_changes_the_write_cache_and_nothing_else(void **state)
{
	uint8_t list[24] = {0, 0, 0, 0, 8, 18};
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list), SCSI_GOOD);
	assert_false(r->disk->wce);
	assert_int_equal(r->disk->stats.flushes, 1);
	list[6] = 4;
	assert_int_equal(command(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list), SCSI_GOOD);
	assert_true(r->disk->wce);
	list[6] = 5;
	check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_LIST_FIELD);
	list[6] = 4;
	list[5] = 40;
	check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_LIST_LENGTH);
	check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x11, 0, 0, 24), list, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_CDB_FIELD);
	check_refused(r, CDB(SCSI_MODE_SELECT_6, 0x10, 0, 0, 2), list, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_LIST_LENGTH);
	rig_free(r);
}

static void spc_tasks_are_bounded(void **state)
{
	static struct scsi_task *tasks[SCSI_TASKS_MAX];
	const uint8_t cdb[SCSI_CDB_MAX] = {0};
	struct rig *r = rig();

	(void)state;
	for (unsigned i = 0; i < SCSI_TASKS_MAX; i++)
		assert_non_null(tasks[i] = scsi_task_new(r->disk, 0, cdb, task_done));
	assert_null(scsi_task_new(r->disk, 0, cdb, task_done));
	for (unsigned i = 0; i < SCSI_TASKS_MAX; i++)
		scsi_task_free(tasks[i]);
	rig_free(r);
}

static void spc_buffers_are_bounded(void **state)
{
	static struct scsi_task *tasks[SCSI_BUFFERS_MAX / SCSI_TRANSFER_MAX + 1];
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];
	unsigned n;

	(void)state;
	rw(cdb, SCSI_WRITE_16, 0, SCSI_TRANSFER_MAX / 512);
	for (n = 0; n < ARRAY_SIZE(tasks); n++) {
		tasks[n] = scsi_task_new(r->disk, 0, cdb, task_done);
		if (scsi_task_start(tasks[n]) == SCSI_DONE)
			break;
	}
	assert_int_equal(n, ARRAY_SIZE(tasks) - 1);
	assert_int_equal(tasks[n]->status, SCSI_TASK_SET_FULL);
	for (unsigned i = 0; i <= n; i++)
		scsi_task_free(tasks[i]);
	rig_free(r);
}

/* ---- SBC: what disks do ---- */

static void sbc_read_capacity(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), BLOCKS - 1);
	assert_int_equal(scsi_get32(r->data + 4), 512);
	assert_int_equal(command(r,
				 CDB(SCSI_SERVICE_IN_16, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32),
				 NULL),
			 SCSI_GOOD);
	assert_int_equal(scsi_get64(r->data), BLOCKS - 1);
	assert_int_equal(scsi_get32(r->data + 8), 512);
	assert_int_equal(r->data[14], 0x80);
	rig_free(r);
	r = rig_new("null:4T", (struct scsi_disk_options){0}, false);
	assert_int_equal(command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), UINT32_MAX);
	rig_free(r);
}

static void sbc_reads_what_was_written_by_every_length_of_cdb(void **state)
{
	static const struct {
		uint8_t write, read;
	} pairs[] = {{SCSI_WRITE_6, SCSI_READ_6},	  {SCSI_WRITE_10, SCSI_READ_10},
		     {SCSI_WRITE_12, SCSI_READ_12},	  {SCSI_WRITE_16, SCSI_READ_16},
		     {SCSI_WRITE_VERIFY_10, SCSI_READ_6}, {SCSI_WRITE_VERIFY_12, SCSI_READ_10},
		     {SCSI_WRITE_VERIFY_16, SCSI_READ_16}};
	static uint8_t out[256 * 512];
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		uint32_t n = i ? 7 + i : 0; /* READ(6): none means 256 */

		fill(out, sizeof(out), i);
		assert_int_equal(command(r, rw(cdb, pairs[i].write, 1000 * i + 5, n), out),
				 SCSI_GOOD);
		assert_int_equal(command(r, rw(cdb, pairs[i].read, 1000 * i + 5, n), NULL),
				 SCSI_GOOD);
		assert_int_equal(r->len, (n ? n : 256) * 512);
		assert_memory_equal(r->data, out, r->len);
	}
	rig_free(r);
}

static void sbc_nothing_is_nothing_but_in_six_bytes(void **state)
{
	static const uint8_t ops[] = {SCSI_READ_10, SCSI_WRITE_10, SCSI_READ_12,  SCSI_WRITE_12,
				      SCSI_READ_16, SCSI_WRITE_16, SCSI_VERIFY_10};
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++) {
		assert_int_equal(command(r, rw(cdb, ops[i], BLOCKS, 0), NULL), SCSI_GOOD);
		assert_int_equal(r->len, 0);
	}
	assert_int_equal(r->disk->stats.reads + r->disk->stats.writes, 0);
	rig_free(r);
}

static void sbc_blocks_past_the_end(void **state)
{
	static const uint8_t ops[] = {SCSI_READ_6,	 SCSI_WRITE_6,	     SCSI_READ_10,
				      SCSI_WRITE_10,	 SCSI_READ_12,	     SCSI_WRITE_12,
				      SCSI_READ_16,	 SCSI_WRITE_16,	     SCSI_VERIFY_10,
				      SCSI_VERIFY_16,	 SCSI_SYNC_CACHE_10, SCSI_WRITE_SAME_10,
				      SCSI_WRITE_SAME_16};
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++)
		check_refused(r, rw(cdb, ops[i], BLOCKS - 1, 2), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			      SCSI_ASC_LBA);
	check_refused(r, rw(cdb, SCSI_READ_16, UINT64_MAX, UINT32_MAX), NULL,
		      SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	check_refused(r, rw(cdb, SCSI_WRITE_SAME_16, UINT64_MAX - 5, 6), NULL,
		      SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	assert_int_equal(r->disk->stats.reads + r->disk->stats.writes, 0);
	rig_free(r);
}

static void sbc_more_than_the_limit_tells(void **state)
{
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	check_refused(r, rw(cdb, SCSI_READ_16, 0, SCSI_TRANSFER_MAX / 512 + 1), NULL,
		      SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_16, 0, SCSI_TRANSFER_MAX / 512), NULL),
			 SCSI_GOOD);
	assert_int_equal(r->len, SCSI_TRANSFER_MAX);
	rig_free(r);
}

static void sbc_protection_information_is_refused(void **state)
{
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	rw(cdb, SCSI_READ_10, 0, 1);
	cdb[1] = 0x20;
	check_refused(r, cdb, NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void sbc_readonly(void **state)
{
	static const uint8_t ops[] = {SCSI_WRITE_6,  SCSI_WRITE_10,	 SCSI_WRITE_12,
				      SCSI_WRITE_16, SCSI_WRITE_SAME_10, SCSI_UNMAP};
	struct rig *r = rig_new("null:8M", (struct scsi_disk_options){.wce = true}, true);
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(ops); i++)
		check_refused(r, rw(cdb, ops[i], 0, 1), NULL, SCSI_KEY_DATA_PROTECT,
			      SCSI_ASC_WRITE_PROTECTED);
	assert_int_equal(command(r, CDB(SCSI_MODE_SENSE_6, 0, 8, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[2] & 0x80, 0x80);
	assert_int_equal(command(r, CDB(SCSI_SYNC_CACHE_10), NULL), SCSI_GOOD);
	rig_free(r);
}

static void sbc_verify_compares(void **state)
{
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX], out[1024];

	(void)state;
	fill(out, sizeof(out), 9);
	assert_int_equal(command(r, rw(cdb, SCSI_WRITE_10, 20, 2), out), SCSI_GOOD);
	rw(cdb, SCSI_VERIFY_10, 20, 2);
	assert_int_equal(command(r, cdb, NULL), SCSI_GOOD);
	cdb[1] = 2;
	assert_int_equal(command(r, cdb, out), SCSI_GOOD);
	out[1023] ^= 1;
	check_refused(r, cdb, out, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	cdb[1] = 6;
	check_refused(r, cdb, out, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void sbc_synchronize_cache(void **state)
{
	struct rig *r = rig();

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_SYNC_CACHE_10), NULL), SCSI_GOOD);
	assert_int_equal(command(r, CDB(SCSI_SYNC_CACHE_16), NULL), SCSI_GOOD);
	assert_int_equal(r->disk->stats.flushes, 2);
	rig_free(r);
}

static void sbc_stopped_unit_is_not_ready(void **state)
{
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_START_STOP_UNIT), NULL), SCSI_GOOD);
	check_refused(r, rw(cdb, SCSI_READ_10, 0, 1), NULL, SCSI_KEY_NOT_READY,
		      SCSI_ASC_START_NEEDED);
	check_refused(r, CDB(SCSI_TEST_UNIT_READY), NULL, SCSI_KEY_NOT_READY,
		      SCSI_ASC_START_NEEDED);
	assert_int_equal(command(r, CDB(SCSI_START_STOP_UNIT, 0, 0, 0, 1), NULL), SCSI_GOOD);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_10, 0, 1), NULL), SCSI_GOOD);
	rig_free(r);
}

static void sbc_unmap(void **state)
{
	uint8_t list[8 + 32] = {0, 38, 0, 32}, cdb[SCSI_CDB_MAX], out[512];
	struct rig *r = rig();

	(void)state;
	fill(out, sizeof(out), 3);
	assert_int_equal(command(r, rw(cdb, SCSI_WRITE_10, 100, 1), out), SCSI_GOOD);
	scsi_put64(list + 8, 100);
	scsi_put32(list + 16, 1);
	scsi_put64(list + 24, 4000);
	scsi_put32(list + 32, 2000);
	memset(cdb, 0, sizeof(cdb));
	cdb[0] = SCSI_UNMAP;
	cdb[8] = sizeof(list);
	assert_int_equal(command(r, cdb, list), SCSI_GOOD);
	assert_int_equal(r->disk->stats.writes, 3);
	/* Nothing is done if the last one is wrong. */
	scsi_put32(list + 32, BLOCKS);
	check_refused(r, cdb, list, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	assert_int_equal(r->disk->stats.writes, 3);
	scsi_put16(list + 2, 48);
	check_refused(r, cdb, list, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_FIELD);
	cdb[8] = 4;
	check_refused(r, cdb, list, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LIST_LENGTH);
	cdb[8] = 0;
	assert_int_equal(command(r, cdb, NULL), SCSI_GOOD);
	rig_free(r);
}

static void sbc_unmap_is_unknown_without_discard(void **state)
{
	const struct storage_options so = {.target = "memory:8M", .no_discard = true};
	struct scsi_disk_options o = {.path = "test/disk"};
	struct rig *r = rig();
	struct storage *storage;

	(void)state;
	scsi_disk_destroy(&r->disk);
	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	assert_int_equal(scsi_disk_create(&r->disk, &o, storage,
					  &(struct scsi_disk_threads){.reactor = r->home}, NULL),
			 0);
	r->disk->attention = 0;
	check_refused(r, CDB(SCSI_UNMAP, 0, 0, 0, 0, 0, 0, 0, 24), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_OPCODE);
	assert_int_equal(command(r, CDB(SCSI_INQUIRY, 1, 0xb2, 0, 255), NULL), SCSI_GOOD);
	assert_int_equal(r->data[5], 0);
	rig_free(r);
}

static void sbc_write_same(void **state)
{
	uint8_t cdb[SCSI_CDB_MAX], out[512];
	struct rig *r = rig();

	(void)state;
	fill(out, sizeof(out), 77);
	/* More than one piece. */
	assert_int_equal(command(r, rw(cdb, SCSI_WRITE_SAME_16, 10, 5000), out), SCSI_GOOD);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_16, 5009, 2), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, out, 512);
	assert_int_equal(r->data[512], 0);
	memset(out, 0, sizeof(out));
	assert_int_equal(command(r, rw(cdb, SCSI_WRITE_SAME_10, 11, 10), out), SCSI_GOOD);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_16, 11, 1), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, out, 512);
	rw(cdb, SCSI_WRITE_SAME_16, 100, 1);
	cdb[1] = 1; /* no data */
	assert_int_equal(command(r, cdb, NULL), SCSI_GOOD);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_16, 100, 1), NULL), SCSI_GOOD);
	assert_memory_equal(r->data, out, 512);
	check_refused(r, rw(cdb, SCSI_WRITE_SAME_16, 0, 0), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_CDB_FIELD);
	rw(cdb, SCSI_WRITE_SAME_16, 100, 1);
	cdb[1] = 8; /* unmap */
	check_refused(r, cdb, NULL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	rig_free(r);
}

static void sbc_blocks_of_4096_bytes(void **state)
{
	struct rig *r = rig_new("memory:8M", (struct scsi_disk_options){.block_size = 4096}, false);
	uint8_t cdb[SCSI_CDB_MAX];
	static uint8_t out[8192];

	(void)state;
	assert_int_equal(command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), 2047);
	assert_int_equal(scsi_get32(r->data + 4), 4096);
	fill(out, sizeof(out), 5);
	assert_int_equal(command(r, rw(cdb, SCSI_WRITE_10, 2046, 2), out), SCSI_GOOD);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_10, 2046, 2), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 8192);
	assert_memory_equal(r->data, out, 8192);
	check_refused(r, rw(cdb, SCSI_READ_10, 2047, 2), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_LBA);
	rig_free(r);
}

/* ---- tasks that are forgotten ---- */

static void sbc_a_forgotten_task_finishes_by_itself(void **state)
{
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX];
	struct scsi_task *task;

	(void)state;
	rw(cdb, SCSI_READ_10, 0, 64);
	task = scsi_task_new(r->disk, 0, cdb, task_done);
	task->owner = r;
	r->done = false;
	assert_int_equal(scsi_task_start(task), SCSI_BUSY);
	scsi_task_free(task); /* before the storage has even seen it */
	reactor_turn(r->home);
	assert_false(r->done);
	assert_int_equal(r->disk->stats.reads, 0);
	rig_free(r);
}

static void sbc_a_second_sense_waits_for_the_first(void **state)
{
	struct rig *r = rig();
	uint8_t cdb[SCSI_CDB_MAX], out[512] = {1};
	struct scsi_task *task;

	(void)state;
	rw(cdb, SCSI_VERIFY_10, 0, 1);
	cdb[1] = 2;
	task = scsi_task_new(r->disk, 0, cdb, task_done);
	task->owner = r;
	r->done = false;
	assert_int_equal(scsi_task_start(task), SCSI_WANTS_DATA);
	memcpy(task->data, out, 512);
	assert_int_equal(scsi_task_data(task), SCSI_BUSY);
	/* Meanwhile another one fails; the first is done with, and must not take its sense away. */
	{
		struct scsi_task *other = scsi_task_new(r->disk, 0, CDB(0xff), task_done);

		other->owner = r;
		assert_int_equal(scsi_task_start(other), SCSI_DONE);
		assert_int_equal(other->status, SCSI_CHECK_CONDITION);
		scsi_task_free(other);
	}
	for (int i = 0; i < 4; i++)
		reactor_process(r->home);
	assert_false(r->done);
	{
		struct scsi_task *sense = scsi_task_new(
			r->disk, 0, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), task_done);

		sense->owner = r;
		assert_int_equal(scsi_task_start(sense), SCSI_DONE);
		assert_int_equal(scsi_get16(sense->data + 12), SCSI_ASC_OPCODE);
		scsi_task_free(sense);
	}
	while (!r->done)
		reactor_turn(r->home);
	assert_int_equal(task->status, SCSI_CHECK_CONDITION);
	scsi_task_free(task);
	check_sense(r, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	rig_free(r);
}

static void image_make(char *path, off_t size)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

/* What an aborted write still does must be over before anything newer is done. */
static void sbc_a_forgotten_write_holds_newer_ones_up(void **state)
{
	char path[] = "/tmp/ringside-scsi-XXXXXX";
	static uint8_t newer[64 * 512];
	uint8_t cdb[SCSI_CDB_MAX];
	struct rig *r;

	(void)state;
	image_make(path, 8 << 20);
	r = rig_new(path, (struct scsi_disk_options){.wce = true}, false);
	rw(cdb, SCSI_WRITE_10, 0, 64);
	for (uint32_t i = 0; i < 20; i++) {
		struct scsi_task *task = scsi_task_new(r->disk, 0, cdb, task_done);

		task->owner = r;
		assert_int_equal(scsi_task_start(task), SCSI_WANTS_DATA);
		memset(task->data, 0xaa, task->len);
		r->done = false;
		assert_int_equal(scsi_task_data(task), SCSI_BUSY);
		while (!r->disk->stats.writes || r->disk->posted)
			reactor_turn(r->home);
		if (r->done)
			assert_int_equal(task->status, SCSI_GOOD);
		scsi_task_free(task);
		memset(newer, (int)i, sizeof(newer));
		assert_int_equal(command(r, cdb, newer), SCSI_GOOD);
		assert_int_equal(r->disk->orphans, 0);
		assert_int_equal(command(r, rw(cdb, SCSI_READ_10, 0, 64), NULL), SCSI_GOOD);
		assert_memory_equal(r->data, newer, sizeof(newer));
		rw(cdb, SCSI_WRITE_10, 0, 64);
		r->disk->stats.writes = 0;
	}
	rig_free(r);
	unlink(path);
}

static void sbc_an_image_that_changes_its_size(void **state)
{
	char path[] = "/tmp/ringside-scsi-XXXXXX";
	uint8_t cdb[SCSI_CDB_MAX];
	struct rig *r;

	(void)state;
	image_make(path, 8 << 20);
	r = rig_new(path, (struct scsi_disk_options){.wce = true}, false);
	/* Shorter, and nobody has noticed: the storage fails. */
	assert_int_equal(truncate(path, 4 << 20), 0);
	assert_int_equal(command(r, rw(cdb, SCSI_READ_10, BLOCKS - 8, 8), NULL),
			 SCSI_CHECK_CONDITION);
	check_sense(r, SCSI_KEY_MEDIUM_ERROR, SCSI_ASC_READ_ERROR);
	/* Noticed: the initiator is told once. */
	scsi_disk_refresh(r->disk);
	check_refused(r, CDB(SCSI_TEST_UNIT_READY), NULL, SCSI_KEY_UNIT_ATTENTION,
		      SCSI_ASC_CAPACITY_CHANGED);
	assert_int_equal(command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), BLOCKS / 2 - 1);
	check_refused(r, rw(cdb, SCSI_READ_10, BLOCKS - 8, 8), NULL, SCSI_KEY_ILLEGAL_REQUEST,
		      SCSI_ASC_LBA);
	scsi_disk_refresh(r->disk);
	assert_int_equal(command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	rig_free(r);
	unlink(path);
}

static void sbc_refuses_odd_disks(void **state)
{
	const struct storage_options so = {.target = "memory:1M"};
	const struct reactor_config config = {.uring = false};
	struct scsi_disk_options o = {.path = "test/disk", .block_size = 65536};
	struct storage *storage;
	struct reactor *home;
	struct scsi_disk *disk = NULL;
	struct error err;

	(void)state;
	assert_int_equal(reactor_create(&home, &config, NULL), 0);
	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	assert_int_equal(scsi_disk_create(&disk, &o, storage,
					  &(struct scsi_disk_threads){.reactor = home}, &err),
			 -EINVAL);
	assert_null(disk);
	storage_close(&storage);
	reactor_destroy(&home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spc_inquiry),
		cmocka_unit_test(spc_inquiry_of_a_lun_that_is_not_there),
		cmocka_unit_test(spc_vital_product_data),
		cmocka_unit_test(spc_unit_attention_after_power_on),
		cmocka_unit_test(spc_request_sense_takes_unit_attention),
		cmocka_unit_test(spc_sense_is_lost_with_the_next_command),
		cmocka_unit_test(spc_unknown_opcodes),
		cmocka_unit_test(spc_report_luns),
		cmocka_unit_test(spc_report_supported_opcodes),
		cmocka_unit_test(spc_mode_sense),
		cmocka_unit_test(spc_mode_select_changes_the_write_cache_and_nothing_else),
		cmocka_unit_test(spc_tasks_are_bounded),
		cmocka_unit_test(spc_buffers_are_bounded),
		cmocka_unit_test(sbc_read_capacity),
		cmocka_unit_test(sbc_reads_what_was_written_by_every_length_of_cdb),
		cmocka_unit_test(sbc_nothing_is_nothing_but_in_six_bytes),
		cmocka_unit_test(sbc_blocks_past_the_end),
		cmocka_unit_test(sbc_more_than_the_limit_tells),
		cmocka_unit_test(sbc_protection_information_is_refused),
		cmocka_unit_test(sbc_readonly),
		cmocka_unit_test(sbc_verify_compares),
		cmocka_unit_test(sbc_synchronize_cache),
		cmocka_unit_test(sbc_stopped_unit_is_not_ready),
		cmocka_unit_test(sbc_unmap),
		cmocka_unit_test(sbc_unmap_is_unknown_without_discard),
		cmocka_unit_test(sbc_write_same),
		cmocka_unit_test(sbc_blocks_of_4096_bytes),
		cmocka_unit_test(sbc_a_forgotten_task_finishes_by_itself),
		cmocka_unit_test(sbc_a_second_sense_waits_for_the_first),
		cmocka_unit_test(sbc_a_forgotten_write_holds_newer_ones_up),
		cmocka_unit_test(sbc_an_image_that_changes_its_size),
		cmocka_unit_test(sbc_refuses_odd_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
