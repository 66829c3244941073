/* SPDX-License-Identifier: MIT */
/*
 * The inside of perform.c, for what is done elsewhere: the requests of zoned disks (zones.c) and the
 * medium's life (lifetime.c).
 */
#ifndef BACKEND_BLK_PERFORM_PRIV_H
#define BACKEND_BLK_PERFORM_PRIV_H

#include "backend/blk/perform.h"
#include "backend/blk/request.h"

/* Requests in flight on one queue, whatever the ring's size: what waits longer waits in the ring. */
#define TASKS_MAX 1024
/* Slices that a task keeps in itself; longer ones, and ranges, are in a block beside it. */
#define SLICES_INSIDE 8
/* Of such a block: what a driver was told it may send, and some for memory regions' borders. */
#define SLICES_BLOCK (BLK_SEG_MAX + 10)
/* Slices in blocks, of all tasks in flight: nothing more is popped from here on. */
#define SLICES_MAX 32768

/* A request in flight. */
struct blk_task {
	struct storage_io io;
	struct blk_queue *bq;
	uint8_t *status;
	struct vq_ticket ticket;
	uint32_t writable;   /* bytes in front of the status byte; a chain has no 4 GiB of them */
	uint32_t data_in;    /* bytes of them that success writes                               */
	uint32_t slices_out; /* in @block; 0: there is none                                     */
	void *block;	     /* slices or ranges                                                */
	union {
		struct iovec inside[SLICES_INSIDE];
		struct {
			unsigned at; /* the one being worked on */
			unsigned n;
		} range;
		struct {
			struct storage_lifetime found;
			struct iovec iov; /* of that */
			/* No more slices than bytes. */
			struct iovec to[sizeof(struct virtio_blk_lifetime)];
			int n;
		} life;
	};
};

/* A block that nobody uses. */
struct blk_block {
	struct blk_block *next;
};
#define BLOCK_BYTES (SLICES_BLOCK * sizeof(struct iovec))

struct blk_queue {
	struct virtio_blk *blk;
	struct virtio_queue *q;
	struct storage_channel *channel;
	struct blk_task *tasks;	  /* as many as the ring has entries, at most TASKS_MAX */
	struct storage_io *free;  /* last in, first out: the warm ones are used again   */
	struct blk_block *blocks; /* as many as were in use at once                     */
	unsigned n_tasks, fresh;  /* tasks[fresh..] were never used                     */
	unsigned slices_out;	  /* in blocks                                          */
	bool write_through;	  /* the driver can neither flush nor say so            */
	unsigned again;		  /* STORAGE_AGAIN while a chain of the record is begun */
	struct blk_limits limits;
	struct blk_request request; /* of the chain at hand */
	int scratch_max;
	struct iovec scratch[]; /* the chain at hand, however long */
};

/* Room for @slices beside the task; NULL: no memory. */
void *blk_task_block(struct blk_task *task, unsigned slices);
struct blk_task *blk_task_begin_slow(struct blk_queue *bq, const struct vq_ticket *ticket,
				     uint8_t *status, uint64_t writable);
/* Answers and gives back the task. */
void blk_task_finish(struct blk_task *task, int err);
/* What a write is to be. */
unsigned blk_flags(const struct blk_queue *bq);
/* An answer without a task, to bq->request. */
void blk_answer(struct blk_queue *bq, const struct vq_ticket *ticket, uint8_t value);

/* ---- lifetime.c ---- */

void blk_get_lifetime(struct blk_queue *bq, const struct vq_ticket *ticket);

#endif
