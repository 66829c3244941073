/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk around its commands: how many there may be, those that are forgotten, an image that
 * changes under it.
 */
#include "backend/scsi/rig_test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void spc_tasks_are_bounded(void **state)
{
	static struct scsi_task *tasks[SCSI_TASKS_MAX];
	const uint8_t cdb[SCSI_CDB_MAX] = {0};
	struct scsi_rig *r = sr_disk();

	(void)state;
	for (unsigned i = 0; i < SCSI_TASKS_MAX; i++)
		assert_non_null(tasks[i] = scsi_task_new(r->disk, 0, cdb, sr_task_done));
	assert_null(scsi_task_new(r->disk, 0, cdb, sr_task_done));
	for (unsigned i = 0; i < SCSI_TASKS_MAX; i++)
		scsi_task_free(tasks[i]);
	sr_free(r);
}

static void spc_buffers_are_bounded(void **state)
{
	static struct scsi_task *tasks[SCSI_BUFFERS_MAX / SCSI_TRANSFER_MAX + 1];
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];
	unsigned n;

	(void)state;
	sr_rw(cdb, SCSI_WRITE_16, 0, SCSI_TRANSFER_MAX / 512);
	for (n = 0; n < ARRAY_SIZE(tasks); n++) {
		tasks[n] = scsi_task_new(r->disk, 0, cdb, sr_task_done);
		if (scsi_task_start(tasks[n]) == SCSI_DONE)
			break;
	}
	assert_int_equal(n, ARRAY_SIZE(tasks) - 1);
	assert_int_equal(tasks[n]->status, SCSI_TASK_SET_FULL);
	for (unsigned i = 0; i <= n; i++)
		scsi_task_free(tasks[i]);
	sr_free(r);
}

static void sbc_a_forgotten_task_finishes_by_itself(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];
	struct scsi_task *task;

	(void)state;
	sr_rw(cdb, SCSI_READ_10, 0, 64);
	task = scsi_task_new(r->disk, 0, cdb, sr_task_done);
	task->owner = r;
	r->done = false;
	assert_int_equal(scsi_task_start(task), SCSI_BUSY);
	scsi_task_free(task); /* before the storage has even seen it */
	reactor_turn(r->home);
	assert_false(r->done);
	assert_int_equal(r->disk->stats.reads, 0);
	sr_free(r);
}

static void sbc_a_second_sense_waits_for_the_first(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX], out[512] = {1};
	struct scsi_task *task;

	(void)state;
	sr_rw(cdb, SCSI_VERIFY_10, 0, 1);
	cdb[1] = 2;
	task = scsi_task_new(r->disk, 0, cdb, sr_task_done);
	task->owner = r;
	r->done = false;
	assert_int_equal(scsi_task_start(task), SCSI_WANTS_DATA);
	memcpy(task->data, out, 512);
	assert_int_equal(scsi_task_data(task), SCSI_BUSY);
	/* Meanwhile another one fails; the first is done with, and must not take its sense away. */
	{
		struct scsi_task *other = scsi_task_new(r->disk, 0, CDB(0xff), sr_task_done);

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
			r->disk, 0, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), sr_task_done);

		sense->owner = r;
		assert_int_equal(scsi_task_start(sense), SCSI_DONE);
		assert_int_equal(scsi_get16(sense->data + 12), SCSI_ASC_OPCODE);
		scsi_task_free(sense);
	}
	while (!r->done)
		reactor_turn(r->home);
	assert_int_equal(task->status, SCSI_CHECK_CONDITION);
	scsi_task_free(task);
	sr_check_sense(r, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	sr_free(r);
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
	struct scsi_rig *r;

	(void)state;
	image_make(path, 8 << 20);
	r = sr_new(path, (struct scsi_disk_options){.wce = true}, false);
	sr_rw(cdb, SCSI_WRITE_10, 0, 64);
	for (uint32_t i = 0; i < 20; i++) {
		struct scsi_task *task = scsi_task_new(r->disk, 0, cdb, sr_task_done);

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
		assert_int_equal(sr_command(r, cdb, newer), SCSI_GOOD);
		assert_int_equal(r->disk->orphans, 0);
		assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_10, 0, 64), NULL), SCSI_GOOD);
		assert_memory_equal(r->data, newer, sizeof(newer));
		sr_rw(cdb, SCSI_WRITE_10, 0, 64);
		r->disk->stats.writes = 0;
	}
	sr_free(r);
	unlink(path);
}

static void sbc_an_image_that_changes_its_size(void **state)
{
	char path[] = "/tmp/ringside-scsi-XXXXXX";
	uint8_t cdb[SCSI_CDB_MAX];
	struct scsi_rig *r;

	(void)state;
	image_make(path, 8 << 20);
	r = sr_new(path, (struct scsi_disk_options){.wce = true}, false);
	/* Shorter, and nobody has noticed: the storage fails. */
	assert_int_equal(truncate(path, 4 << 20), 0);
	assert_int_equal(sr_command(r, sr_rw(cdb, SCSI_READ_10, BLOCKS - 8, 8), NULL),
			 SCSI_CHECK_CONDITION);
	sr_check_sense(r, SCSI_KEY_MEDIUM_ERROR, SCSI_ASC_READ_ERROR);
	/* Noticed: the initiator is told once. */
	scsi_disk_refresh(r->disk);
	sr_check_refused(r, CDB(SCSI_TEST_UNIT_READY), NULL, SCSI_KEY_UNIT_ATTENTION,
			 SCSI_ASC_CAPACITY_CHANGED);
	assert_int_equal(sr_command(r, CDB(SCSI_READ_CAPACITY_10), NULL), SCSI_GOOD);
	assert_int_equal(scsi_get32(r->data), BLOCKS / 2 - 1);
	sr_check_refused(r, sr_rw(cdb, SCSI_READ_10, BLOCKS - 8, 8), NULL, SCSI_KEY_ILLEGAL_REQUEST,
			 SCSI_ASC_LBA);
	scsi_disk_refresh(r->disk);
	assert_int_equal(sr_command(r, CDB(SCSI_TEST_UNIT_READY), NULL), SCSI_GOOD);
	sr_free(r);
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
		cmocka_unit_test(spc_tasks_are_bounded),
		cmocka_unit_test(spc_buffers_are_bounded),
		cmocka_unit_test(sbc_a_forgotten_task_finishes_by_itself),
		cmocka_unit_test(sbc_a_second_sense_waits_for_the_first),
		cmocka_unit_test(sbc_a_forgotten_write_holds_newer_ones_up),
		cmocka_unit_test(sbc_an_image_that_changes_its_size),
		cmocka_unit_test(sbc_refuses_odd_disks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
