/* SPDX-License-Identifier: MIT */
/*
 * record: every change and flush, in its order and with its data, in a log (record_log.h).
 *
 *	begin   a write's data into the log, then its SUBMIT
 *	   `->  the storage below
 *	           `->  DONE into the log
 *	                   `->  the device is told
 *
 * The log is a storage of its own, read and written as any other: nobody waits for it but the
 * request at hand.  It has a size from the beginning, of holes, and is cut at the end.  What cannot
 * be recorded is not done: the request is answered by the log's error.  A file system may take data
 * and tell of a failure later, at a sync: so a flush of the disk comes after one of the log, and the
 * log is synced at its end.
 *
 * Threads: channels share the counter alone.
 */
#include "base/atomic.h"
#include "base/log.h"
#include "storage/layer/layer.h"
#include "storage/layer/record_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of holes; less where the file system has no such files. */
#define LOG_SIZE     (UINT64_C(1) << 42)
#define LOG_SIZE_MIN (UINT64_C(1) << 30)

struct record {
	struct layer layer;
	struct storage *log;
	char *path;
	int fd; /* to cut it, whatever its name is by then */
	uint8_t id[16];
	uint64_t tail; /* atomic: where the next entry goes */
	bool failed;   /* atomic: said so */
};

struct record_io {
	struct layer_io l;
	struct storage_io log;
	struct iovec iov;
	uint64_t at; /* of its SUBMIT */
	int err;
	uint8_t sector[RECORD_SECTOR];
};

struct record_channel {
	struct layer_channel ch;
	struct storage_channel *log;
};

static struct record *record_of(const struct storage *s)
{
	return container_of(layer_of(s), struct record, layer);
}

static struct record *disk_of(const struct record_io *r)
{
	return record_of(r->l.ch->base.storage);
}

/* ---- the log ---- */

static void record_write(struct record_io *r, uint64_t at, struct iovec *iov, int n, uint64_t len,
			 void (*done)(struct storage_io *io, int err))
{
	struct record_channel *ch = container_of(r->l.ch, struct record_channel, ch);

	r->log.op = STORAGE_WRITE;
	r->log.flags = 0;
	r->log.offset = at;
	r->log.len = len;
	r->log.iov = iov;
	r->log.iovcnt = n;
	r->log.done = done;
	storage_submit(ch->log, &r->log);
}

static void record_entry(struct record_io *r, enum record_type type, uint64_t at,
			 void (*done)(struct storage_io *io, int err))
{
	const struct storage_io *io = r->l.parent;
	struct record_sector s = {
		.at = le64_make(at),
		.type = (uint8_t)type,
		.op = (uint8_t)io->op,
		.flags = (uint8_t)io->flags,
		.error = le32_make((uint32_t)-r->err),
		.of = le64_make(type == RECORD_DONE ? r->at : 0),
		.offset = le64_make(io->offset),
		.len = le64_make(io->len),
	};

	memcpy(s.id, disk_of(r)->id, sizeof(s.id));
	record_seal(r->sector, &s, sizeof(s), offsetof(struct record_sector, crc));
	r->iov = (struct iovec){r->sector, sizeof(r->sector)};
	record_write(r, at, &r->iov, 1, sizeof(r->sector), done);
}

/* A place of @len bytes; 0: the log is full. */
static uint64_t record_place(struct record *d, uint64_t len)
{
	uint64_t at = __atomic_fetch_add(&d->tail, len, __ATOMIC_SEQ_CST);

	return at + len <= storage_size(d->log) ? at : 0;
}

static void record_fail(struct record_io *r, int err)
{
	struct record *d = disk_of(r);

	if (!__atomic_exchange_n(&d->failed, true, __ATOMIC_RELAXED))
		log_err(d->layer.path, "cannot record in %s, so changes fail: %s", d->path,
			strerror(-err));
	layer_answer(&r->l, err);
}

/* ---- the way of a request ---- */

static struct record_io *io_of_log(struct storage_io *log)
{
	return container_of(log, struct record_io, log);
}

static void record_told(struct storage_io *log, int err)
{
	struct record_io *r = io_of_log(log);

	if (unlikely(err))
		record_fail(r, err);
	else
		layer_answer(&r->l, r->err);
}

static void record_done(struct storage_io *io, int err)
{
	struct record_io *r = container_of(io, struct record_io, l.io);
	uint64_t at = record_place(disk_of(r), RECORD_SECTOR);

	r->err = err;
	if (unlikely(!at))
		record_fail(r, -ENOSPC);
	else
		record_entry(r, RECORD_DONE, at, record_told);
}

static void record_stable(struct storage_io *log, int err)
{
	struct record_io *r = io_of_log(log);

	if (unlikely(err))
		record_fail(r, err);
	else
		layer_pass(&r->l, record_done);
}

/* Up to here; what is behind a flush is none of its. */
static void record_flush(struct record_io *r)
{
	struct record_channel *ch = container_of(r->l.ch, struct record_channel, ch);

	r->log.op = STORAGE_FLUSH;
	r->log.offset = r->log.len = 0;
	r->log.done = record_stable;
	storage_submit(ch->log, &r->log);
}

static void record_submitted(struct storage_io *log, int err)
{
	struct record_io *r = io_of_log(log);

	if (unlikely(err))
		record_fail(r, err);
	else if (r->l.parent->op == STORAGE_FLUSH)
		record_flush(r);
	else
		layer_pass(&r->l, record_done);
}

static void record_data_written(struct storage_io *log, int err)
{
	struct record_io *r = io_of_log(log);

	if (unlikely(err))
		record_fail(r, err);
	else
		record_entry(r, RECORD_SUBMIT, r->at, record_submitted);
}

static void record_passed(struct storage_io *io, int err)
{
	layer_answer(container_of(io, struct layer_io, io), err);
}

static void record_begin(struct layer_io *l)
{
	struct record_io *r = container_of(l, struct record_io, l);
	const struct storage_io *io = l->parent;
	uint64_t data = io->op == STORAGE_WRITE ? io->len : 0;

	if (io->op == STORAGE_READ || io->op == STORAGE_LIFETIME) {
		layer_pass(l, record_passed);
		return;
	}
	r->err = 0;
	r->at = record_place(disk_of(r), RECORD_SECTOR + data);
	if (unlikely(!r->at))
		record_fail(r, -ENOSPC);
	else if (data)
		record_write(r, r->at + RECORD_SECTOR, io->iov, io->iovcnt, data,
			     record_data_written);
	else
		record_entry(r, RECORD_SUBMIT, r->at, record_submitted);
}

static const struct layer_channel_ops channel_ops = {
	.io_size = sizeof(struct record_io),
	.begin = record_begin,
};

/* ---- life ---- */

static int record_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			       struct error *err)
{
	struct record_channel *ch = calloc(1, sizeof(*ch));
	int rc;

	if (!ch)
		return error_set(err, -ENOMEM, "cannot set up a channel of %s", layer_of(s)->path);
	rc = storage_channel_open(record_of(s)->log, r, &ch->log, err);
	if (rc)
		goto free_channel;
	rc = layer_channel_init(&ch->ch, &channel_ops, s, r, err);
	if (rc)
		goto close_log;
	*out = &ch->ch.base;
	return 0;
close_log:
	storage_channel_close(&ch->log);
free_channel:
	free(ch);
	return rc;
}

static void record_channel_close(struct storage_channel *base)
{
	struct record_channel *ch = container_of(layer_channel_of(base), struct record_channel, ch);

	layer_channel_fini(&ch->ch);
	storage_channel_close(&ch->log);
	free(ch);
}

static bool record_wanted(const struct storage_options *o)
{
	return o->layers.record;
}

/* A new file, or an empty one: nobody's log is written over. */
static int log_make(struct record *d, uint64_t disk_size, struct error *err)
{
	int fd = open(d->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600), rc;
	struct record_header h = {.version = le32_make(1), .disk_size = le64_make(disk_size)};
	uint8_t sector[RECORD_SECTOR];
	uint64_t size = LOG_SIZE;
	struct stat st;

	memcpy(h.magic, RECORD_MAGIC, sizeof(h.magic));
	if (fd < 0)
		return error_set(err, -errno, "cannot make the log %s", d->path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size) {
		close(fd);
		return error_set(err, -EEXIST,
				 "%s exists and is not empty; a log is begun in a new file.",
				 d->path);
	}
	if (getrandom(d->id, sizeof(d->id), 0) != sizeof(d->id)) {
		rc = -EIO;
		goto fail;
	}
	memcpy(h.id, d->id, sizeof(h.id));
	record_seal(sector, &h, sizeof(h), offsetof(struct record_header, crc));
	while (ftruncate(fd, (off_t)size) < 0) {
		rc = -errno;
		size /= 2;
		if (size < LOG_SIZE_MIN)
			goto fail;
	}
	rc = pwrite(fd, sector, sizeof(sector), 0) == sizeof(sector) ? 0 : -EIO;
	if (rc)
		goto fail;
	d->fd = fd;
	d->tail = RECORD_SECTOR;
	return 0;
fail:
	unlink(d->path);
	close(fd);
	return error_set(err, rc, "cannot make the log %s", d->path);
}

static bool log_is_in_place(const struct record *d)
{
	struct stat named, ours;

	return !stat(d->path, &named) && !fstat(d->fd, &ours) && named.st_dev == ours.st_dev &&
	       named.st_ino == ours.st_ino;
}

/*
 * What is behind the last entry is holes.  A log of nothing is in the way of the next one.  Closes
 * the log; that may be where a file system tells that it has not kept it.
 */
static void log_end(const struct record *d)
{
	bool lost = false;

	if (d->tail == RECORD_SECTOR && log_is_in_place(d)) {
		unlink(d->path);
	} else {
		if (ftruncate(d->fd, (off_t)min_u64(d->tail, LOG_SIZE)) < 0)
			log_warn(d->layer.path, "cannot cut the log %s at its end: %s", d->path,
				 strerror(errno));
		lost = fsync(d->fd) < 0;
	}
	if (close(d->fd) < 0 || lost)
		log_err(d->layer.path, "the log %s may lack what was recorded: %s", d->path,
			strerror(errno));
}

static int record_judge(const struct storage_options *o, struct error *err)
{
	if (o->readonly == STORAGE_READONLY)
		return error_set(err, -EINVAL, "%s: a read-only disk has no changes to record.",
				 o->target);
	return 0;
}

static int record_stack(const struct storage_options *o, struct storage *below,
			struct storage **out, struct error *err)
{
	struct storage_options log = {.readonly = STORAGE_WRITABLE};
	struct record *d;
	int rc;

	if (below->readonly)
		return error_set(err, -EINVAL, "%s: a read-only disk has no changes to record.",
				 o->target);
	d = calloc(1, sizeof(*d));
	/* A path, whatever it looks like. */
	if (!d || asprintf(&d->path, "%s%s", *o->layers.record == '/' ? "" : "./",
			   o->layers.record) < 0) {
		free(d);
		return error_set(err, -ENOMEM, "cannot set up the record of %s", o->target);
	}
	rc = log_make(d, below->size, err);
	if (rc)
		goto free_record;
	log.target = d->path;
	rc = storage_open(&log, &d->log, err);
	if (rc) {
		unlink(d->path);
		close(d->fd);
		goto free_record;
	}
	layer_init(&d->layer, o, below);
	if (below->limits.max_secure_erase)
		log_warn(d->layer.path, "what the guest erases for good stays in the log %s",
			 d->path);
	*out = &d->layer.base;
	return 0;
free_record:
	free(d->path);
	free(d);
	return rc;
}

static void record_close(struct storage *s)
{
	struct record *d = record_of(s);

	storage_close(&d->log);
	log_end(d);
	layer_fini(&d->layer);
	free(d->path);
	free(d);
}

static void record_describe(const struct storage *s, char *text, size_t size)
{
	const struct record *d = record_of(s);

	snprintf(text, size, "%" PRIu64 " bytes in %s%s",
		 min_u64(__atomic_load_n(&d->tail, __ATOMIC_RELAXED), storage_size(d->log)),
		 d->path, read_once(&d->failed) ? ", FAILED" : "");
}

static const struct word record_words[] = {
	{"record", .kind = WORD_TEXT, .min = 1, .sample = "PATH",
	 .help = "a log of all changes and flushes, for ringside replay; a new file",
	 WORD_FIELD(struct storage_options, layers.record)},
};

const struct storage_engine_ops record_layer_ops = {
	.kind = "record",
	.words = WORDS_TABLE("a recorded disk", record_words),
	.wanted = record_wanted,
	.judge = record_judge,
	.stack = record_stack,
	.passes = true,
	.close = record_close,
	.channel_open = record_channel_open,
	.channel_close = record_channel_close,
	.submit = layer_submit,
	.drain = layer_drain,
	.describe = record_describe,
};
