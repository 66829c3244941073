/* SPDX-License-Identifier: MIT */
#include "backend/scsi/rig_test.h"

#include <stdlib.h>
#include <string.h>

void sr_task_done(struct scsi_task *task, enum scsi_step step)
{
	struct scsi_rig *r = task->owner;

	r->done = true;
	r->step = step;
}

struct scsi_rig *sr_new(const char *target, struct scsi_disk_options o, bool readonly)
{
	const struct storage_options so = {.target = target, .readonly = readonly, .no_lock = true};

	return sr_new_on(&so, o);
}

struct scsi_rig *sr_new_blocks(const char *target, uint32_t block_size)
{
	const struct storage_options so = {.target = target, .geometry.block_size = block_size};

	return sr_new_on(&so, (struct scsi_disk_options){0});
}

struct scsi_rig *sr_new_on(const struct storage_options *so, struct scsi_disk_options o)
{
	struct scsi_rig *r = calloc(1, sizeof(*r));
	const struct reactor_config config = {.uring = false};
	struct storage *storage;

	assert_non_null(r);
	assert_int_equal(reactor_create(&r->home, &config, NULL), 0);
	assert_int_equal(storage_open(so, &storage, NULL), 0);
	o.path = "test/disk";
	assert_int_equal(scsi_disk_create(&r->disk, &o, storage,
					  &(struct scsi_disk_threads){.reactor = r->home}, NULL),
			 0);
	r->disk->attention = 0;
	return r;
}

struct scsi_rig *sr_disk(void)
{
	return sr_new("memory:8M", (struct scsi_disk_options){.serial = "abc", .wce = true}, false);
}

void sr_free(struct scsi_rig *r)
{
	scsi_disk_stop(r->disk);
	while (!scsi_disk_quiet(r->disk))
		reactor_turn(r->home);
	assert_int_equal(r->disk->n_tasks, 0);
	assert_int_equal(r->disk->buffers, 0);
	assert_int_equal(r->disk->n_ordered, 0);
	assert_int_equal(r->disk->orphans, 0);
	scsi_disk_destroy(&r->disk);
	assert_null(r->disk);
	reactor_destroy(&r->home);
	free(r);
}

uint8_t sr_command_lun(struct scsi_rig *r, unsigned lun, const uint8_t *cdb, const void *out)
{
	uint8_t whole[SCSI_CDB_MAX] = {0};
	struct scsi_task *task;

	memcpy(whole, cdb, scsi_cdb_bytes(cdb[0]));
	task = scsi_task_new(r->disk, lun, whole, sr_task_done);
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

uint8_t sr_command(struct scsi_rig *r, const uint8_t *cdb, const void *out)
{
	return sr_command_lun(r, 0, cdb, out);
}

void sr_check_sense(struct scsi_rig *r, uint8_t key, uint16_t asc)
{
	assert_int_equal(sr_command(r, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), NULL), SCSI_GOOD);
	assert_int_equal(r->len, 18);
	assert_int_equal(r->data[0], 0x70);
	assert_int_equal(r->data[2], key);
	assert_int_equal(scsi_get16(r->data + 12), asc);
}

void sr_check_refused(struct scsi_rig *r, const uint8_t *cdb, const void *out, uint8_t key,
		      uint16_t asc)
{
	assert_int_equal(sr_command(r, cdb, out), SCSI_CHECK_CONDITION);
	assert_int_equal(r->len, 0);
	sr_check_sense(r, key, asc);
}

const uint8_t *sr_rw(uint8_t *cdb, uint8_t op, uint64_t lba, uint32_t blocks)
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

void sr_fill(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}
