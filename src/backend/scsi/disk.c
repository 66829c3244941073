/* SPDX-License-Identifier: MIT */
#include "backend/scsi/disk_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- how a task ends ---- */

static enum scsi_step task_end(struct scsi_task *task, uint8_t status)
{
	task->status = status;
	task->len = 0;
	return SCSI_DONE;
}

enum scsi_step scsi_good(struct scsi_task *task)
{
	return task_end(task, SCSI_GOOD);
}

enum scsi_step scsi_check(struct scsi_task *task, uint8_t key, uint16_t asc)
{
	task->sense.key = key;
	task->sense.asc = asc;
	return task_end(task, SCSI_CHECK_CONDITION);
}

enum scsi_step scsi_check_errno(struct scsi_task *task, int err)
{
	bool reading = task->io.op == STORAGE_READ;

	log_limited(&task->disk->limit, LOG_LEVEL_WARN, task->disk->path, "%s failed: %s",
		    reading ? "reading" : "writing", strerror(-err));
	switch (err) {
	case -EIO:
		return scsi_check(task, SCSI_KEY_MEDIUM_ERROR,
				  reading ? SCSI_ASC_READ_ERROR : SCSI_ASC_WRITE_ERROR);
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return scsi_check(task, SCSI_KEY_DATA_PROTECT, SCSI_ASC_NO_SPACE);
	case -EROFS:
		return scsi_check(task, SCSI_KEY_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	case -EINVAL: /* the image has become smaller */
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LBA);
	default:
		return scsi_check(task, SCSI_KEY_HARDWARE_ERROR, SCSI_ASC_INTERNAL);
	}
}

enum scsi_step scsi_reply(struct scsi_task *task, uint32_t len, uint32_t allocated)
{
	task->status = SCSI_GOOD;
	task->len = (uint32_t)min_u64(len, allocated);
	return SCSI_DONE;
}

enum scsi_step scsi_take(struct scsi_task *task, uint32_t len,
			 enum scsi_step (*received)(struct scsi_task *task))
{
	if (!scsi_task_room(task, len))
		return SCSI_DONE;
	task->len = len;
	task->received = received;
	return SCSI_WANTS_DATA;
}

bool scsi_task_room(struct scsi_task *task, uint32_t len)
{
	struct scsi_disk *disk = task->disk;

	if (len <= task->room)
		return true;
	if (disk->buffers + len <= SCSI_BUFFERS_MAX) {
		task->data = calloc(1, len);
		task->room = task->data ? len : 0;
		disk->buffers += task->room;
		if (task->data)
			return true;
	}
	task_end(task, SCSI_TASK_SET_FULL);
	return false;
}

static void disk_post(struct scsi_disk *disk)
{
	if (disk->posted)
		return;
	disk->posted = true;
	reactor_post(disk->threads.reactor, &disk->msg);
}

/*
 * What an ended task means to the disk.  false: it must wait until the sense before it has been
 * fetched.
 */
static bool task_settle(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;

	task->ended = true;
	if (disk->n_ordered && !list_empty(&disk->queue))
		disk_post(disk); /* perhaps it was what others waited for */
	if (task->status != SCSI_CHECK_CONDITION)
		return true;
	if (disk->ca)
		return false;
	disk->ca = true;
	disk->key = task->sense.key;
	disk->asc = task->sense.asc;
	disk->stats.checks++;
	return true;
}

/* ---- to the storage and back ---- */

static void disk_lock(const struct scsi_disk *disk)
{
	if (disk->threads.lock)
		fair_lock_take(disk->threads.lock);
}

static void disk_unlock(const struct scsi_disk *disk)
{
	if (disk->threads.lock)
		fair_lock_give(disk->threads.lock);
}

static void task_give_back(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;

	list_del(&task->link);
	list_del(&task->queue);
	disk->n_tasks--;
	if (disk->n_ordered && !list_empty(&disk->queue))
		disk_post(disk); /* as when it has ended */
	disk->n_ordered -= task->ordered;
	disk->buffers -= task->room;
	free(task->data);
	free(task);
}

/* A task has got somewhere, without its initiator's doing. */
static void task_advance(struct scsi_task *task, enum scsi_step step)
{
	if (step == SCSI_BUSY)
		return;
	if (step == SCSI_DONE && !task_settle(task)) {
		list_add_tail(&task->disk->held, &task->queue);
		return;
	}
	task->done(task, step);
}

bool scsi_disk_quiet(const struct scsi_disk *disk)
{
	return !disk->in_flight && !disk->posted && !disk->draining;
}

static void tell_quiet(struct scsi_disk *disk)
{
	if (!scsi_disk_quiet(disk))
		return;
	pthread_cond_broadcast(&disk->quiet);
	if (disk->watcher)
		disk->watcher->quiet(disk->watcher);
}

/*
 * The cache was switched off while this was under way: whoever is told now takes it for stable, and
 * it may have come behind the flush of that.  Discards see to it themselves (provision.c).
 */
static bool task_is_unstable(const struct scsi_task *task)
{
	const struct storage_io *io = &task->io;

	return !task->disk->wce && (io->op == STORAGE_WRITE || io->op == STORAGE_WRITE_ZEROES) &&
	       !(io->flags & STORAGE_FUA);
}

static void task_landed(struct scsi_task *task, int err)
{
	struct scsi_disk *disk = task->disk;
	const struct storage_io *io = &task->io;

	disk->in_flight--;
	task->in_flight = false;
	if (task->orphan) {
		disk->orphans--;
		task_give_back(task);
		if (!disk->orphans && !list_empty(&disk->queue))
			disk_post(disk);
		return;
	}
	if (!err && io->op == STORAGE_READ)
		disk->stats.read_bytes += io->len;
	if (!err && io->op == STORAGE_WRITE)
		disk->stats.written_bytes += io->len;
	if (!err && task_is_unstable(task)) {
		scsi_io(task, STORAGE_FLUSH, 0, 0, 0, 0, task->then);
		return;
	}
	task_advance(task, task->then(task, err));
}

static void task_io_done(struct storage_io *io, int err)
{
	struct scsi_task *task = container_of(io, struct scsi_task, io);
	struct scsi_disk *disk = task->disk;

	disk_lock(disk);
	task_landed(task, err);
	tell_quiet(disk);
	disk_unlock(disk);
}

static void task_take_off(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;

	switch (task->io.op) {
	case STORAGE_READ:
		disk->stats.reads++;
		break;
	case STORAGE_FLUSH:
		disk->stats.flushes++;
		break;
	default:
		disk->stats.writes++;
	}
	disk->in_flight++;
	task->in_flight = true;
}

/* The first of those that ended badly may speak, once no other sense is waiting. */
static void release_held(struct scsi_disk *disk)
{
	struct scsi_task *task;

	if (disk->ca || list_empty(&disk->held))
		return;
	task = list_entry(disk->held.next, struct scsi_task, queue);
	list_del(&task->queue);
	task_advance(task, SCSI_DONE);
}

/*
 * Whether older tasks allow this one to go on.  Those that have ended do: to tell so, they may need
 * the bus that this one's initiator keeps.
 */
static bool in_order(const struct scsi_task *task)
{
	const struct scsi_disk *disk = task->disk;

	if (!disk->n_ordered)
		return true;
	list_for_each (l, &disk->tasks) {
		const struct scsi_task *other = list_entry(l, struct scsi_task, link);

		if (other == task)
			break;
		if (!other->ended && (task->ordered || other->ordered))
			return false;
	}
	return true;
}

/* Moves what may go now to @ready. */
static void disk_choose(struct scsi_disk *disk, struct list *ready)
{
	list_for_each_safe (l, &disk->queue) {
		struct scsi_task *task = list_entry(l, struct scsi_task, queue);

		if (disk->orphans || disk->draining)
			return;
		if (!in_order(task))
			continue;
		list_del(&task->queue);
		list_add_tail(ready, &task->queue);
		task_take_off(task);
	}
}

/*
 * The storage keeps things back again.  What would have been sent in front of this would have
 * prolonged it: an initiator that aborts one of many tasks would be rid of every limit and policy.
 */
static void disk_drained(struct storage_drain *d)
{
	struct scsi_disk *disk = container_of(d, struct scsi_disk, drain);

	disk_lock(disk);
	disk->draining = false;
	/* An engine alone drains at once: then the last orphan wakes what waits. */
	if (!disk->orphans && !list_empty(&disk->queue))
		disk_post(disk);
	tell_quiet(disk);
	disk_unlock(disk);
}

static void disk_run(struct reactor_msg *msg)
{
	struct scsi_disk *disk = container_of(msg, struct scsi_disk, msg);
	struct list ready;
	bool drains;

	list_init(&ready);
	disk_lock(disk);
	disk->posted = false;
	release_held(disk);
	/*
	 * What a completion starts waits for the next message: a guest must not keep this one going
	 * for ever.
	 */
	disk_choose(disk, &ready);
	drains = disk->orphans && !disk->draining;
	disk->draining |= drains;
	tell_quiet(disk);
	disk_unlock(disk);
	/* Nobody waits for orphans any more but those that come after. */
	if (drains)
		storage_drain(disk->channel, &disk->drain);
	/* In flight, and so left alone by everybody else. */
	while (!list_empty(&ready)) {
		struct scsi_task *task = list_entry(ready.next, struct scsi_task, queue);

		list_del(&task->queue);
		storage_submit(disk->channel, &task->io);
	}
}

enum scsi_step scsi_io(struct scsi_task *task, enum storage_op op, unsigned flags, uint64_t offset,
		       uint64_t len, uint32_t at,
		       enum scsi_step (*then)(struct scsi_task *task, int err))
{
	bool data = op == STORAGE_READ || op == STORAGE_WRITE;

	if (data)
		task->iov = (struct iovec){task->data + at, (size_t)len};
	task->io = (struct storage_io){
		.op = op,
		.flags = flags,
		.offset = offset,
		.len = len,
		.iov = data ? &task->iov : NULL,
		.iovcnt = data,
		.done = task_io_done,
	};
	task->then = then;
	list_add_tail(&task->disk->queue, &task->queue);
	disk_post(task->disk);
	return SCSI_BUSY;
}

/* ---- tasks ---- */

struct scsi_task *scsi_task_new(struct scsi_disk *disk, unsigned lun, const uint8_t *cdb,
				void (*done)(struct scsi_task *task, enum scsi_step step))
{
	struct scsi_task *task = disk->n_tasks < SCSI_TASKS_MAX ? calloc(1, sizeof(*task)) : NULL;

	if (!task)
		return NULL;
	task->disk = disk;
	task->lun = lun;
	memcpy(task->cdb, cdb, scsi_cdb_bytes(cdb[0]));
	task->done = done;
	list_init(&task->queue);
	list_add_tail(&disk->tasks, &task->link);
	disk->n_tasks++;
	return task;
}

void scsi_task_free(struct scsi_task *task)
{
	if (task->in_flight) {
		task->orphan = true;
		task->disk->orphans++;
		disk_post(task->disk);
		return;
	}
	task_give_back(task);
}

static enum scsi_step task_begin(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;
	const struct scsi_command *cmd = scsi_command_find(task->cdb[0], task->cdb[1] & 0x1f);
	unsigned flags = cmd ? cmd->flags : 0;
	uint8_t control = task->cdb[scsi_cdb_bytes(task->cdb[0]) - 1];

	if (task->lun && !(flags & SCSI_CMD_ANY_LUN))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_LUN);
	if (disk->attention && !task->lun && !(flags & SCSI_CMD_ATTENTION)) {
		uint16_t asc = disk->attention;

		disk->attention = 0;
		return scsi_check(task, SCSI_KEY_UNIT_ATTENTION, asc);
	}
	if (!cmd)
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_OPCODE);
	if (control & (SCSI_CONTROL_LINK | SCSI_CONTROL_NACA))
		return scsi_check(task, SCSI_KEY_ILLEGAL_REQUEST, SCSI_ASC_CDB_FIELD);
	if (flags & SCSI_CMD_MEDIUM && disk->halted)
		return scsi_check(task, SCSI_KEY_NOT_READY, SCSI_ASC_START_NEEDED);
	if (flags & SCSI_CMD_WRITES && disk->readonly)
		return scsi_check(task, SCSI_KEY_DATA_PROTECT, SCSI_ASC_WRITE_PROTECTED);
	return cmd->run(task);
}

enum scsi_step scsi_task_start(struct scsi_task *task)
{
	struct scsi_disk *disk = task->disk;
	enum scsi_step step;

	disk->stats.commands++;
	disk->n_ordered += task->ordered;
	/*
	 * Sense is for the command that follows; whoever asks for something else does not want it.
	 */
	if (task->cdb[0] != SCSI_REQUEST_SENSE)
		disk->ca = false;
	step = task_begin(task);
	if (step == SCSI_DONE)
		task_settle(task);
	if (!list_empty(&disk->held))
		disk_post(disk);
	return step;
}

enum scsi_step scsi_task_data(struct scsi_task *task)
{
	enum scsi_step step = task->received(task);

	/* Sense of others that still waits is older, and its turn comes first. */
	if (step == SCSI_DONE && !task_settle(task)) {
		list_add_tail(&task->disk->held, &task->queue);
		return SCSI_BUSY;
	}
	return step;
}

/* ---- life ---- */

void scsi_disk_reset(struct scsi_disk *disk, uint16_t asc)
{
	disk->ca = false;
	disk->attention = asc;
	disk->wce = disk->wce_default;
	disk->halted = false;
	if (!list_empty(&disk->held))
		disk_post(disk);
}

void scsi_disk_refresh(struct scsi_disk *disk)
{
	if (storage_refresh(disk->storage) <= 0)
		return;
	disk->blocks = storage_size(disk->storage) / disk->block_size;
	disk->attention = SCSI_ASC_CAPACITY_CHANGED;
}

struct opening {
	struct scsi_disk *disk;
	int rc;
	struct error *err;
};

static void open_channel(void *arg)
{
	struct opening *o = arg;

	o->rc = storage_channel_open(o->disk->storage, o->disk->threads.reactor, &o->disk->channel,
				     o->err);
}

static void close_channel(void *arg)
{
	struct scsi_disk *disk = arg;

	storage_channel_close(&disk->channel);
}

static void on_its_thread(const struct scsi_disk *disk, void (*fn)(void *arg), void *arg)
{
	if (disk->threads.io)
		worker_call(disk->threads.io, fn, arg);
	else
		fn(arg);
}

int scsi_disk_create(struct scsi_disk **out, const struct scsi_disk_options *o,
		     struct storage *storage, const struct scsi_disk_threads *threads,
		     struct error *err)
{
	uint32_t block = storage_limits(storage)->block_size;
	struct opening opening = {.err = err};
	struct scsi_disk *disk;

	if (block > 4096)
		return error_set(err, -EINVAL,
				 "%s: blocks of %u bytes: a SCSI disk has 512 to 4096.", o->path,
				 block);
	disk = calloc(1, sizeof(*disk));
	if (!disk)
		return error_set(err, -ENOMEM, "%s: cannot set up the disk", o->path);
	disk->storage = storage;
	disk->threads = *threads;
	if (threads->io)
		disk->threads.reactor = worker_reactor(threads->io);
	opening.disk = disk;
	on_its_thread(disk, open_channel, &opening);
	if (opening.rc) {
		free(disk);
		return opening.rc;
	}
	snprintf(disk->path, sizeof(disk->path), "%s", o->path);
	snprintf(disk->serial, sizeof(disk->serial), "%s", o->serial ? o->serial : "");
	disk->block_size = block;
	disk->blocks = storage_size(storage) / block;
	disk->readonly = storage_readonly(storage);
	disk->wce_default = o->wce;
	disk->msg.run = disk_run;
	disk->drain.done = disk_drained;
	pthread_cond_init(&disk->quiet, NULL);
	list_init(&disk->tasks);
	list_init(&disk->queue);
	list_init(&disk->held);
	scsi_disk_reset(disk, SCSI_ASC_POWER_ON);
	*out = disk;
	return 0;
}

void scsi_disk_stop(struct scsi_disk *disk)
{
	list_for_each_safe (l, &disk->tasks) {
		struct scsi_task *task = list_entry(l, struct scsi_task, link);

		if (!task->orphan)
			scsi_task_free(task);
	}
}

void scsi_disk_destroy(struct scsi_disk **diskp)
{
	struct scsi_disk *disk = *diskp;

	if (!disk)
		return;
	disk_lock(disk);
	while (disk->threads.lock && !scsi_disk_quiet(disk))
		pthread_cond_wait(&disk->quiet, &disk->threads.lock->mutex);
	disk_unlock(disk);
	on_its_thread(disk, close_channel, disk);
	storage_close(&disk->storage);
	pthread_cond_destroy(&disk->quiet);
	free(disk);
	*diskp = NULL;
}
