/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk around its commands: how many there may be, those that are forgotten, an image that
 * changes under it.
 */
#include "backend/scsi/disk_priv.h"
#include "backend/scsi/rig_test.h"
#include "storage/engine.h"

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

/* ---- sense that waits ---- */

/* A task of the rig's, begun; its data, if it wants some, are @out, and nobody has turned yet. */
static struct scsi_task *begin(struct scsi_rig *r, const uint8_t *cdb, const void *out)
{
	struct scsi_task *task = scsi_task_new(r->disk, 0, cdb, sr_task_done);

	assert_non_null(task);
	task->owner = r;
	r->done = false;
	r->step = scsi_task_start(task);
	if (r->step == SCSI_WANTS_DATA && out) {
		memcpy(task->data, out, task->len);
		r->step = scsi_task_data(task);
	}
	return task;
}

static void some_turns(struct scsi_rig *r)
{
	for (int i = 0; i < 4; i++)
		reactor_process(r->home);
}

/* The storage would hold it until an operator comes; nobody waits for that behind an abort. */
static void an_aborted_task_is_held_no_longer(void **state)
{
	char rules[] = "error:op=read:times=2";
	struct scsi_rig *r = sr_new_on(
		&(struct storage_options){
			.target = "memory:8M",
			.disk = "disk",
			.layers = {.errors.rerror = STORAGE_HOLD, .faulty.rules = rules}},
		(struct scsi_disk_options){.path = "disk"});
	uint8_t cdb[SCSI_CDB_MAX];
	struct scsi_task *task;

	(void)state;
	sr_rw(cdb, SCSI_READ_10, 0, 8);
	task = begin(r, cdb, NULL);
	some_turns(r);
	assert_false(r->done);
	assert_int_equal(r->disk->in_flight, 1);
	scsi_task_free(task);
	some_turns(r);
	assert_int_equal(r->disk->in_flight, 0);
	assert_int_equal(sr_command(r, cdb, NULL), SCSI_GOOD);
	sr_free(r);
}

/* ---- an engine that takes its time for what begins at the disk's beginning ---- */

static struct storage_io *slow_io;

static void slow_submit(struct storage_channel *ch, struct storage_io *io)
{
	if (io->offset)
		memory_engine_ops.submit(ch, io);
	else
		slow_io = io;
}

/*
 * The disk need never be idle again after an abort: what is sent while the storage drains would be
 * neither held nor limited, and have it drain for ever.
 */
static void an_abort_ends_no_policy(void **state)
{
	struct storage_engine_ops slow = memory_engine_ops;
	char rules[] = "error:op=read:offset=4096:length=4096";
	struct scsi_rig *r = sr_new_on(
		&(struct storage_options){
			.target = "memory:8M",
			.disk = "disk",
			.layers = {.errors.rerror = STORAGE_HOLD, .faulty.rules = rules}},
		(struct scsi_disk_options){.path = "disk"});
	uint8_t good[SCSI_CDB_MAX], bad[SCSI_CDB_MAX];
	struct storage *engine = r->disk->storage;
	struct scsi_task *first, *aborted, *next;

	(void)state;
	while (storage_below(engine))
		engine = storage_below(engine);
	slow.submit = slow_submit;
	engine->ops = &slow;
	sr_rw(good, SCSI_READ_10, 0, 8);
	sr_rw(bad, SCSI_READ_10, 8, 8);
	first = begin(r, good, NULL);
	aborted = begin(r, bad, NULL);
	some_turns(r);
	assert_int_equal(r->disk->in_flight, 2);
	assert_non_null(slow_io);
	scsi_task_free(aborted);
	some_turns(r);
	assert_int_equal(r->disk->in_flight, 1);
	next = begin(r, bad, NULL);
	some_turns(r);
	assert_false(next->ended);
	assert_false(scsi_disk_quiet(r->disk));
	memory_engine_ops.submit(slow_io->channel, slow_io);
	assert_true(first->ended);
	some_turns(r);
	/* It is held, as anything that fails. */
	assert_int_equal(r->disk->in_flight, 1);
	assert_false(next->ended || r->disk->draining);
	scsi_task_free(next);
	scsi_task_free(first);
	sr_free(r);
}

static void fail_at_once(struct scsi_rig *r)
{
	struct scsi_task *task = begin(r, CDB(0xff), NULL);

	assert_int_equal(r->step, SCSI_DONE);
	assert_int_equal(task->status, SCSI_CHECK_CONDITION);
	scsi_task_free(task);
}

/* Unlike sr_check_sense(), turns nothing: @asc is what waits now. */
static void fetch_sense(struct scsi_rig *r, uint16_t asc)
{
	struct scsi_task *task = begin(r, CDB(SCSI_REQUEST_SENSE, 0, 0, 0, 18), NULL);

	assert_int_equal(r->step, SCSI_DONE);
	assert_int_equal(scsi_get16(task->data + 12), asc);
	scsi_task_free(task);
}

static void sbc_a_second_sense_waits_for_the_first(void **state)
{
	static const uint8_t verify[16] = {SCSI_VERIFY_10, 2, [8] = 1};
	static const uint8_t select[16] = {SCSI_MODE_SELECT_6, 0x10, 0, 0, 24};
	uint8_t ones[512] = {1}, strange[24] = {0, 0, 0, 0, 0x3e, 18};
	struct scsi_task *storage, *list;
	struct scsi_rig *r = sr_disk();

	(void)state;
	/* Two are on their way when another one fails, and its sense waits ... */
	storage = begin(r, verify, ones);
	assert_int_equal(r->step, SCSI_BUSY);
	list = scsi_task_new(r->disk, 0, select, sr_task_done);
	list->owner = r;
	assert_int_equal(scsi_task_start(list), SCSI_WANTS_DATA);
	memcpy(list->data, strange, sizeof(strange));
	fail_at_once(r);
	/* ... and then they do; neither may take the sense away from the one before. */
	assert_int_equal(scsi_task_data(list), SCSI_BUSY);
	some_turns(r);
	assert_false(r->done);
	fetch_sense(r, SCSI_ASC_OPCODE);
	some_turns(r);
	assert_true(r->done);
	assert_int_equal(list->status, SCSI_CHECK_CONDITION);
	scsi_task_free(list);
	r->done = false;
	some_turns(r);
	assert_false(r->done);
	fetch_sense(r, SCSI_ASC_LIST_FIELD);
	some_turns(r);
	assert_true(r->done);
	assert_int_equal(storage->status, SCSI_CHECK_CONDITION);
	scsi_task_free(storage);
	assert_int_equal(r->disk->stats.checks, 3);
	sr_check_sense(r, SCSI_KEY_MISCOMPARE, SCSI_ASC_MISCOMPARE);
	sr_free(r);
}

static void spc_a_reset_lets_waiting_sense_speak(void **state)
{
	static const uint8_t verify[16] = {SCSI_VERIFY_10, 2, [8] = 1};
	struct scsi_rig *r = sr_disk();
	struct scsi_task *task;
	uint8_t ones[512] = {1};

	(void)state;
	task = begin(r, verify, ones);
	fail_at_once(r);
	some_turns(r);
	scsi_disk_reset(r->disk, SCSI_ASC_BUS_RESET);
	r->done = false;
	some_turns(r);
	assert_true(r->done);
	assert_int_equal(task->status, SCSI_CHECK_CONDITION);
	scsi_task_free(task);
	sr_free(r);
}

/* ---- order ---- */

/* Two of any order, an ordered one, two again, and another ordered one at the end. */
static const bool ordered[] = {false, false, true, false, false, true};
/* Reads that have begun when each of them is done. */
static const unsigned reads[] = {2, 2, 3, 5, 5, 6};

struct row {
	struct scsi_task *tasks[ARRAY_SIZE(ordered)];
	unsigned done;
};

static void in_a_row(struct scsi_task *task, enum scsi_step step)
{
	struct row *row = task->owner;

	assert_int_equal(step, SCSI_DONE);
	assert_ptr_equal(task, row->tasks[row->done]);
	assert_int_equal(task->disk->stats.reads, reads[row->done]);
	row->done++;
}

/* One that is done holds nobody up, even if its initiator has not been told yet. */
static void sam_ordered_tasks_wait_and_are_waited_for(void **state)
{
	struct scsi_rig *r = sr_disk();
	uint8_t cdb[SCSI_CDB_MAX];
	struct row row = {0};

	(void)state;
	sr_rw(cdb, SCSI_READ_10, 0, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ordered); i++) {
		struct scsi_task *task = scsi_task_new(r->disk, 0, cdb, in_a_row);

		task->owner = &row;
		task->ordered = ordered[i];
		row.tasks[i] = task;
		assert_int_equal(scsi_task_start(task), SCSI_BUSY);
	}
	for (int i = 0; i < 4; i++)
		some_turns(r);
	assert_int_equal(row.done, ARRAY_SIZE(ordered));
	sr_free(r);
}

/* Nor does one that is aborted. */
static void sam_an_aborted_ordered_task_holds_nobody_up(void **state)
{
	struct scsi_rig *r = sr_disk();
	struct scsi_task *first, *second;
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	sr_rw(cdb, SCSI_WRITE_10, 0, 1);
	first = scsi_task_new(r->disk, 0, cdb, sr_task_done);
	first->ordered = true;
	assert_int_equal(scsi_task_start(first), SCSI_WANTS_DATA);
	second = begin(r, sr_rw(cdb, SCSI_READ_10, 0, 1), NULL);
	some_turns(r);
	assert_false(r->done);
	scsi_task_free(first);
	some_turns(r);
	assert_true(r->done);
	scsi_task_free(second);
	sr_free(r);
}

/* ---- what is in flight ---- */

struct crowd {
	struct scsi_disk *disk;
	struct scsi_task *second;
	unsigned done;
};

static void stop_while_others_fly(struct scsi_task *task, enum scsi_step step)
{
	struct crowd *c = task->owner;

	assert_int_equal(step, SCSI_DONE);
	assert_int_equal(c->disk->in_flight, 2);
	assert_false(scsi_disk_quiet(c->disk));
	c->done++;
	scsi_task_free(c->second);
	assert_int_equal(c->disk->orphans, 1);
	scsi_disk_stop(c->disk);
	assert_int_equal(c->disk->orphans, 2);
}

/* One is done, one forgotten already, one in flight. */
static void sam_a_stopped_disk_forgets_every_task_once(void **state)
{
	struct scsi_rig *r = sr_disk();
	struct crowd c = {.disk = r->disk};
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	sr_rw(cdb, SCSI_READ_10, 0, 1);
	for (unsigned i = 0; i < 3; i++) {
		struct scsi_task *task = scsi_task_new(r->disk, 0, cdb, stop_while_others_fly);

		task->owner = &c;
		if (i == 1)
			c.second = task;
		assert_int_equal(scsi_task_start(task), SCSI_BUSY);
		assert_false(scsi_disk_quiet(r->disk));
	}
	some_turns(r);
	assert_int_equal(c.done, 1);
	assert_true(scsi_disk_quiet(r->disk));
	sr_free(r);
}

/* What must be stable when it is done, and what the cache may keep. */
static void sbc_writes_that_are_stable(void **state)
{
	static const struct {
		uint8_t op, byte1;
		bool cached; /* with the cache on */
	} cases[] = {
		{SCSI_WRITE_6, 8, true}, /* an upper bit of the block's number */
		{SCSI_WRITE_10, 0, true},	  {SCSI_WRITE_10, 8, false},
		{SCSI_WRITE_12, 8, false},	  {SCSI_WRITE_16, 0x10, true}, /* DPO */
		{SCSI_WRITE_16, 8, false},	  {SCSI_WRITE_VERIFY_10, 0, false},
		{SCSI_WRITE_VERIFY_12, 0, false}, {SCSI_WRITE_VERIFY_16, 0, false},
		{SCSI_WRITE_SAME_10, 0, true},	  {SCSI_WRITE_SAME_16, 0, true},
	};
	struct scsi_rig *r = sr_new("null:1G", (struct scsi_disk_options){0}, false);
	static const uint8_t out[512] = {1};
	uint8_t cdb[SCSI_CDB_MAX];

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		bool cached = i & 1 && cases[i / 2].cached;
		struct scsi_task *task;

		sr_rw(cdb, cases[i / 2].op, 0, 1);
		cdb[1] = cases[i / 2].byte1;
		r->disk->wce = i & 1;
		task = begin(r, cdb, out);
		assert_int_equal(r->step, SCSI_BUSY);
		assert_int_equal(task->io.op, STORAGE_WRITE);
		assert_int_equal(task->io.flags, cached ? 0 : STORAGE_FUA);
		scsi_task_free(task);
	}
	sr_free(r);
}

/* Done only when a flush has come behind it. */
static void after_its_own_flush(struct scsi_task *task, enum scsi_step step)
{
	assert_int_equal(step, SCSI_DONE);
	assert_int_equal(task->status, SCSI_GOOD);
	assert_int_equal(task->disk->stats.writes, 1);
	assert_int_equal(task->disk->stats.flushes, 2);
	((struct scsi_rig *)task->owner)->done = true;
}

/*
 * A write that is under way when the cache is switched off may land behind the flush of that; from
 * then on its initiator takes what is told for stable.
 */
static void sbc_a_write_under_way_when_the_cache_goes_off_is_stable(void **state)
{
	static const uint8_t select[16] = {SCSI_MODE_SELECT_6, 0x10, 0, 0, 24};
	static const uint8_t sense[16] = {SCSI_MODE_SENSE_6, 8, SCSI_PAGE_CACHING, 0, 24};
	static const uint8_t out[512] = {1};
	struct scsi_rig *r = sr_disk();
	struct scsi_task *write, *mode;
	uint8_t cdb[SCSI_CDB_MAX], page[24];

	(void)state;
	assert_int_equal(sr_command(r, sense, NULL), SCSI_GOOD);
	memcpy(page, r->data, sizeof(page));
	page[0] = 0;
	page[2] = 0;
	page[4 + 2] &= (uint8_t)~4; /* WCE */
	write = begin(r, sr_rw(cdb, SCSI_WRITE_10, 0, 1), out);
	write->done = after_its_own_flush;
	assert_int_equal(r->step, SCSI_BUSY);
	assert_int_equal(write->io.flags, 0);
	mode = begin(r, select, page);
	assert_int_equal(r->step, SCSI_BUSY);
	assert_false(r->disk->wce);
	some_turns(r);
	assert_true(r->done);
	assert_int_equal(mode->status, SCSI_GOOD);
	assert_int_equal(r->disk->stats.flushes, 2);
	assert_int_equal(r->disk->stats.written_bytes, 512);
	scsi_task_free(write);
	scsi_task_free(mode);
	sr_free(r);
}

/* ---- when the storage fails ---- */

static void sbc_errors_of_the_storage(void **state)
{
	static const struct {
		int err;
		uint8_t key;
		uint16_t reading, writing;
	} errors[] = {
		{-EIO, SCSI_KEY_MEDIUM_ERROR, SCSI_ASC_READ_ERROR, SCSI_ASC_WRITE_ERROR},
		{-ENOSPC, SCSI_KEY_DATA_PROTECT, SCSI_ASC_NO_SPACE, SCSI_ASC_NO_SPACE},
		{-EDQUOT, SCSI_KEY_DATA_PROTECT, SCSI_ASC_NO_SPACE, SCSI_ASC_NO_SPACE},
		{-EFBIG, SCSI_KEY_DATA_PROTECT, SCSI_ASC_NO_SPACE, SCSI_ASC_NO_SPACE},
		{-EROFS, SCSI_KEY_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED, SCSI_ASC_WRITE_PROTECTED},
		{-EINVAL, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA, SCSI_ASC_LBA},
		{-EOPNOTSUPP, SCSI_KEY_HARDWARE_ERROR, SCSI_ASC_INTERNAL, SCSI_ASC_INTERNAL},
	};
	static const uint8_t cdbs[][SCSI_CDB_MAX] = {
		{SCSI_READ_10, [8] = 1},
		{SCSI_VERIFY_10, 2, [8] = 1},
		{SCSI_WRITE_10, [8] = 1},
		{SCSI_SYNC_CACHE_10},
		{SCSI_WRITE_SAME_16, [13] = 1},
		{SCSI_WRITE_SAME_16, 1, [13] = 1},
		{SCSI_UNMAP, [8] = 24},
		{SCSI_UNMAP, [8] = 8},
		{SCSI_MODE_SELECT_6, 0x10, [4] = 24},
	};
	static const uint8_t unmap[24] = {0, 22, 0, 16, [19] = 8}, none[8] = {0, 6};
	static const uint8_t cache_off[24] = {0, 0, 0, 0, 8, 18}, ones[512] = {1};
	struct scsi_rig *r = sr_disk();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cdbs) * ARRAY_SIZE(errors); i++) {
		const uint8_t *cdb = cdbs[i / ARRAY_SIZE(errors)], *out = ones;
		size_t e = i % ARRAY_SIZE(errors);
		struct scsi_task *task;
		bool reading;

		if (cdb[0] == SCSI_UNMAP)
			out = cdb[8] == 8 ? none : unmap;
		if (cdb[0] == SCSI_MODE_SELECT_6)
			out = cache_off;
		r->disk->wce = cdb[0] == SCSI_MODE_SELECT_6; /* UNMAP of nothing flushes */
		task = begin(r, cdb, out);
		assert_int_equal(r->step, SCSI_BUSY);
		reading = task->io.op == STORAGE_READ;
		/* Nobody has submitted it; this is what its completion does. */
		assert_int_equal(task->then(task, errors[e].err), SCSI_DONE);
		assert_int_equal(task->status, SCSI_CHECK_CONDITION);
		assert_int_equal(task->len, 0);
		assert_int_equal(task->sense.key, errors[e].key);
		assert_int_equal(task->sense.asc, reading ? errors[e].reading : errors[e].writing);
		scsi_task_free(task);
	}
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

static void sbc_disks_of_odd_sizes(void **state)
{
	static const struct {
		const char *target;
		uint32_t block_size;
		int rc;
	} cases[] = {
		{"memory:64K", 65536, -EINVAL},
		{"memory:1M", 8192, -EINVAL},
		{"memory:512", 512, 0},
		{"memory:4K", 4096, 0},
	};
	const struct reactor_config config = {.uring = false};
	struct reactor *home;
	struct error err;

	(void)state;
	assert_int_equal(reactor_create(&home, &config, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct storage_options so = {.target = cases[i].target,
						   .geometry.block_size = cases[i].block_size};
		const struct scsi_disk_options o = {.path = "test/disk"};
		const struct scsi_disk_threads threads = {.reactor = home};
		struct scsi_disk *disk = NULL;
		struct storage *storage;

		assert_int_equal(storage_open(&so, &storage, NULL), 0);
		assert_int_equal(scsi_disk_create(&disk, &o, storage, &threads, &err), cases[i].rc);
		if (cases[i].rc) {
			assert_null(disk);
			storage_close(&storage);
			continue;
		}
		assert_int_equal(disk->blocks, 1);
		scsi_disk_destroy(&disk);
		scsi_disk_destroy(&disk); /* none: nothing */
	}
	reactor_destroy(&home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spc_tasks_are_bounded),
		cmocka_unit_test(spc_buffers_are_bounded),
		cmocka_unit_test(sbc_a_forgotten_task_finishes_by_itself),
		cmocka_unit_test(sbc_a_second_sense_waits_for_the_first),
		cmocka_unit_test(spc_a_reset_lets_waiting_sense_speak),
		cmocka_unit_test(sam_ordered_tasks_wait_and_are_waited_for),
		cmocka_unit_test(sam_an_aborted_ordered_task_holds_nobody_up),
		cmocka_unit_test(sam_a_stopped_disk_forgets_every_task_once),
		cmocka_unit_test(sbc_writes_that_are_stable),
		cmocka_unit_test(sbc_a_write_under_way_when_the_cache_goes_off_is_stable),
		cmocka_unit_test(sbc_errors_of_the_storage),
		cmocka_unit_test(sbc_a_forgotten_write_holds_newer_ones_up),
		cmocka_unit_test(sbc_an_image_that_changes_its_size),
		cmocka_unit_test(sbc_disks_of_odd_sizes),
		cmocka_unit_test(an_aborted_task_is_held_no_longer),
		cmocka_unit_test(an_abort_ends_no_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
