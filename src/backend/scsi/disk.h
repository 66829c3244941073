/* SPDX-License-Identifier: MIT */
/*
 * A SCSI disk: one logical unit (LUN 0) that carries out commands on a storage (SPC-4, SBC-3).  It
 * knows commands, sense and mode pages, and nothing of the bus that brings them.
 *
 *      disk.c      life, tasks, the way to the storage and back
 *      command.c   the table of commands; what needs no storage
 *      inquiry.c   INQUIRY and vital product data
 *      mode.c      MODE SENSE, MODE SELECT
 *      block.c     reading, writing, verifying, flushing
 *      provision.c UNMAP, WRITE SAME
 *
 * A task is one command.  Its data go through a buffer of its own, so no storage request ever sees
 * guest memory, and an aborted task can be forgotten at once: what the storage still does for it
 * ends in that buffer.  Commands that arrive meanwhile wait until it is done, so an aborted write
 * never lands upon a later one.
 *
 * No field of a command or a parameter list goes unread: what asks for something that this disk does
 * not do is refused (5/24/00, in a list 5/26/00), never answered GOOD and forgotten.
 *
 * Tasks are carried out in any order, but for ordered ones.
 *
 * Threads: one at a time (the machine lock).  The storage channel belongs to a worker; tasks reach
 * it by a message, so that tasks may be started on any thread that holds the lock.
 * scsi_task::done comes from the worker, which has taken the lock.  Without a worker and a lock all
 * is on one thread, and its reactor does the work.
 */
#ifndef BACKEND_SCSI_DISK_H
#define BACKEND_SCSI_DISK_H

#include "base/error.h"
#include "base/fair_lock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/reactor.h"
#include "base/worker.h"
#include "storage/storage.h"
#include "wire/scsi.h"

#include <pthread.h>

#define SCSI_SERIAL_MAX 20
/* The most that one command moves; told in the block limits page. */
#define SCSI_TRANSFER_MAX (4u << 20)
/* What all tasks of a disk may have as buffers. */
#define SCSI_BUFFERS_MAX (64u << 20)
#define SCSI_TASKS_MAX	 256u

struct scsi_disk;
struct scsi_task;

enum scsi_step {
	SCSI_WANTS_DATA, /* fill task->data with task->len bytes, then scsi_task_data()      */
	SCSI_BUSY,	 /* task->done will be called                                        */
	SCSI_DONE,	 /* task->status holds; the initiator is given task->len bytes first */
};

struct scsi_task {
	struct list link;  /* disk's tasks            */
	struct list queue; /* disk's queue or held    */
	struct scsi_disk *disk;
	uint8_t cdb[SCSI_CDB_MAX];
	unsigned lun;
	/* From SCSI_BUSY to the next step; not after scsi_task_free(). */
	void (*done)(struct scsi_task *task, enum scsi_step step);
	void *owner;  /* the initiator side's */
	bool ordered; /* set before the start: after all older tasks, before all younger ones */

	uint8_t *data; /* room bytes */
	uint32_t len;  /* to be moved to or from the initiator */
	uint32_t room;
	uint8_t status;

	/* The disk's own. */
	struct {
		uint8_t key;
		uint16_t asc;
	} sense; /* for CHECK CONDITION */
	enum scsi_step (*received)(struct scsi_task *task);
	enum scsi_step (*then)(struct scsi_task *task, int err);
	struct storage_io io;
	struct iovec iov;
	bool in_flight;
	bool ended;	 /* its status is known, though it may not have been told */
	bool orphan;	 /* nobody waits for it any more */
	uint64_t offset; /* of what is left to do, in bytes */
	uint64_t left;
	uint32_t at;	 /* in a parameter list */
	uint32_t filled; /* bytes of a pattern */
};

struct scsi_disk_options {
	const char *path;   /* names it in messages; copied      */
	const char *serial; /* NULL: none                        */
	bool wce;	    /* write cache on at power-on        */
};

/* Who does the I/O. */
struct scsi_disk_threads {
	struct worker *io;	 /* NULL: the reactor of this thread           */
	struct reactor *reactor; /* with a worker: its own, and may be NULL    */
	struct fair_lock *lock;	 /* that everything else is under; with a worker */
};

struct scsi_disk_stats {
	uint64_t commands;
	uint64_t checks;		 /* of these, ended with CHECK CONDITION */
	uint64_t reads, writes, flushes; /* storage requests */
	uint64_t read_bytes, written_bytes;
};

/* Embedded by whoever waits for disks to have nothing in flight. */
struct scsi_disk_watcher {
	/* With the lock, on the thread that found it so. */
	void (*quiet)(struct scsi_disk_watcher *w);
};

struct scsi_disk {
	char path[40];
	char serial[SCSI_SERIAL_MAX + 1];
	struct storage *storage;
	struct storage_channel *channel;
	struct scsi_disk_threads threads;
	uint32_t block_size;
	uint64_t blocks;
	bool readonly;
	bool wce, wce_default;
	bool halted; /* START STOP UNIT */

	/* Contingent allegiance: sense that waits for REQUEST SENSE. */
	bool ca;
	uint8_t key;
	uint16_t asc;
	uint16_t attention; /* additional sense code of a unit attention, 0: none */

	struct list tasks;
	struct list queue; /* on their way to the storage */
	struct list held;  /* ended badly while another one's sense was waiting */
	unsigned n_tasks, n_ordered;
	uint64_t buffers; /* bytes of all tasks */
	unsigned in_flight;
	unsigned orphans; /* of these: aborted ones */
	struct storage_drain drain;
	bool draining; /* from an abort on, until nothing is in flight: nothing new goes */
	struct reactor_msg msg;
	bool posted;
	pthread_cond_t quiet;		   /* nothing is in flight */
	struct scsi_disk_watcher *watcher; /* NULL: none */
	struct log_limit limit;
	struct scsi_disk_stats stats;
};

/* Without the lock.  Takes over the storage if it succeeds. */
int scsi_disk_create(struct scsi_disk **out, const struct scsi_disk_options *o,
		     struct storage *storage, const struct scsi_disk_threads *threads,
		     struct error *err);
/* Forgets all tasks; their owners must have done so. */
void scsi_disk_stop(struct scsi_disk *disk);
bool scsi_disk_quiet(const struct scsi_disk *disk);
/*
 * Stopped.  Without the lock: waits until it is quiet; without a worker it must be.  Closes the
 * storage.
 */
void scsi_disk_destroy(struct scsi_disk **disk);

/*
 * Power-on state of mode pages and sense; @asc is the unit attention to be told.  Tasks are the
 * bus's business.
 */
void scsi_disk_reset(struct scsi_disk *disk, uint16_t asc);
/* Looks whether the image has another size now. */
void scsi_disk_refresh(struct scsi_disk *disk);

/* NULL: no more tasks at present (TASK SET FULL). */
struct scsi_task *scsi_task_new(struct scsi_disk *disk, unsigned lun, const uint8_t *cdb,
				void (*done)(struct scsi_task *task, enum scsi_step step));
enum scsi_step scsi_task_start(struct scsi_task *task);
enum scsi_step scsi_task_data(struct scsi_task *task);
/* At any time: what the storage does for it is let go. */
void scsi_task_free(struct scsi_task *task);

/* Bytes of a command with this first byte. */
unsigned scsi_cdb_bytes(uint8_t opcode);

#endif
