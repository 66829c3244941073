/* SPDX-License-Identifier: MIT */
/*
 * Who writes which blocks: what makes read-modify-write safe.
 *
 * Where O_DIRECT takes whole blocks of 4096 bytes only, a write of 512 bytes is an edit: the block
 * is read, changed and written back.  Between the two nobody else may change that block, or the
 * change is lost.  So an edit holds its blocks from its first read to its last write; who wants
 * one of them waits, first come, first served.
 *
 * Writes of whole blocks are the rule and edits are rare, so whole writes pay nothing for them:
 * they are only counted, by channel, without a lock.  The first edit switches the disk to
 * "watched": whole writes hold their blocks, too, and the edit starts when those that were counted
 * before have ended on every channel.  When no edit has come for a while the watch ends.
 *
 *	unwatched --- an edit comes ---> draining --- the last counted write ends ---> watched
 *	    ^                                                                             |
 *	    +------------------- RMW_CALM whole writes without an edit -------------------+
 *
 * Requests in flight that overlap have no order, but each of them is done whole: that holds for
 * every sector of both.
 *
 * Threads: rmw_enter(), rmw_leave() and rmw_detach() on the channel's thread; @resume is called on
 * any channel's thread, without a lock.
 */
#ifndef STORAGE_RMW_H
#define STORAGE_RMW_H

#include "storage/storage.h"

#include <pthread.h>

#define RMW_CALM 64

struct rmw {
	/* The request, which waited, may start; to be told to its channel. */
	void (*resume)(struct storage_io *io);
	uint64_t align; /* of blocks */
	bool watched;	/* atomic; written under the lock */

	pthread_mutex_t lock; /* protects what follows; taken before no other lock */
	struct storage_io *held;
	struct storage_io *waiting; /* in the order in which they came      */
	struct rmw_channel *channels;
	unsigned edits;	   /* held or waiting                                  */
	unsigned draining; /* channels whose counted writes have not ended yet */
	unsigned calm;	   /* whole writes since the last edit                 */
};

struct rmw_notice;

/* One channel's part. */
struct rmw_channel {
	struct rmw *rmw;
	struct rmw_channel *next; /* rmw->lock                                           */
	bool asked;		  /* rmw->lock: rmw->draining counts this one            */
	struct reactor *reactor;
	struct rmw_notice *notice;
	unsigned counted; /* whole writes in flight that hold nothing            */
	bool draining;	  /* the last of them is to be reported                  */
};

enum rmw_way {
	RMW_COUNTED, /* go; it holds nothing                         */
	RMW_HELD,    /* go; it holds its blocks                      */
	RMW_WAITS,   /* @resume will come; then it holds its blocks  */
};

void rmw_init(struct rmw *r, uint64_t align, void (*resume)(struct storage_io *io));
/* Nobody holds or waits. */
void rmw_fini(struct rmw *r);

/* -ENOMEM. */
int rmw_attach(struct rmw *r, struct rmw_channel *ch, struct reactor *reactor);
/* The channel has nothing in flight. */
void rmw_detach(struct rmw_channel *ch);

/* @edit: it will read, modify and write; else it writes whole blocks. */
enum rmw_way rmw_enter(struct rmw_channel *ch, struct storage_io *io, bool edit);
/* It has ended, well or not. @way: RMW_COUNTED, or RMW_HELD also after a wait. */
void rmw_leave(struct rmw_channel *ch, struct storage_io *io, enum rmw_way way);

#endif
