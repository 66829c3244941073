/* SPDX-License-Identifier: MIT */
/*
 * The log that the record layer writes, and what can be made of it.
 *
 *	sector 0   the log's header
 *	...	   entries, each a sector, and behind that of a write its data
 *
 * A change or flush has two entries: SUBMIT before the storage is asked, DONE before the device is
 * told.  Where an entry stands is settled by one counter: what is DONE in front of another's SUBMIT
 * had completed before that was sent.  An entry's sector is written behind its data, so an entry
 * that is there is whole.  A program that was killed leaves gaps of entries under way: they are
 * skipped, since nothing was done for them (SUBMIT), or nobody was told (DONE).
 *
 * What a crash at a point of the log may leave: every change whose DONE stands there and which is
 * stable, by FUA or by a flush that was submitted behind its DONE and is DONE itself, or because it
 * is a secure erase; and of all other changes that were submitted any subset, of one that is not
 * DONE any part.
 *
 * A log is a file that anybody may have made.  An entry that cannot be, by its numbers or by where
 * the log ends, is none: it is skipped as a gap is.
 *
 * Threads: one at a time.
 */
#ifndef STORAGE_LAYER_RECORD_LOG_H
#define STORAGE_LAYER_RECORD_LOG_H

#include "base/endian.h"
#include "storage/storage.h"

#define RECORD_SECTOR 512u

enum record_type {
	RECORD_SUBMIT = 1,
	RECORD_DONE = 2,
};

/* Sector 0. */
struct record_header {
	char magic[8]; /* RECORD_MAGIC */
	le32 version;  /* 1 */
	le32 crc;      /* of the sector, with 0 here */
	uint8_t id[16];
	le64 disk_size; /* at the start */
};
#define RECORD_MAGIC "RINGREC\n"

struct record_sector {
	uint8_t id[16]; /* the header's */
	le64 at;	/* its own place, in bytes */
	le32 crc;	/* of the sector, with 0 here */
	uint8_t type, op, flags, zero;
	le32 error; /* DONE: 0 or an errno */
	le32 zero2;
	le64 of;     /* DONE: where its SUBMIT stands */
	le64 offset; /* SUBMIT: of the disk, in bytes, as what follows */
	le64 len;
};

uint32_t record_crc(const void *sector);
/* Makes a whole sector of it, its crc included. */
void record_seal(uint8_t *sector, const void *what, size_t size, size_t crc_at);

/* ---- reading ---- */

struct record_event {
	enum record_type type;
	enum storage_op op;
	unsigned flags; /* STORAGE_FUA, STORAGE_UNMAP */
	uint64_t at;	/* in the log */
	uint64_t offset, len;
	int err;
	size_t partner; /* the other event of the request; SIZE_MAX: there is none */
};

struct record_log {
	int fd;
	uint64_t disk_size;
	struct record_event *events; /* in the log's order */
	size_t n;
};

int record_log_open(struct record_log *l, const char *path, struct error *err);
void record_log_close(struct record_log *l);

/* Whether it is a SUBMIT of something that changes the disk. */
bool record_is_change(const struct record_event *e);
/* Whether a crash behind the first @n events must leave the change of event @i. */
bool record_is_stable(const struct record_log *l, size_t n, size_t i);
/* Changes among the first @n events of which a crash may leave less than all. */
size_t record_volatile(const struct record_log *l, size_t n);

/* What becomes of the k-th of those: */
enum record_fate {
	RECORD_KEPT,
	RECORD_LOST,
	RECORD_TORN, /* of one that is not DONE some sectors; else as lost or kept */
};
struct record_choice {
	enum record_fate (*fate)(struct record_choice *c, size_t k);
	uint64_t (*random)(struct record_choice *c);
};

/*
 * Carries out on @fd, which holds what the disk held at the log's beginning, what the first @n
 * events leave.  0 or -errno.
 */
int record_apply(const struct record_log *l, size_t n, struct record_choice *c, int fd,
		 struct error *err);

#endif
