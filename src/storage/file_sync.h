/* SPDX-License-Identifier: MIT */
/*
 * Syncs of a file that goes through the page cache.
 *
 * The kernel tells of a page that could not be written once, to whoever syncs first, and calls the
 * page clean then: every sync after that one succeeds, the ones that were under way at the same
 * time included, though data that were told to be written are lost.  So one sync is under way at a
 * time; those that come meanwhile share the next one; and once one has failed all fail, until the
 * image is opened anew.
 *
 *      join -> leads --kernel--> leave: outcome for it and its members; the next one leads those
 *           `-> waits                   that waited
 *
 * O_DIRECT does without: there are no pages.  An NBD disk does the same, as its server most likely
 * syncs a file (nbd_io.c).
 *
 * Threads: any; the lock protects all but @lost.
 */
#ifndef STORAGE_FILE_SYNC_H
#define STORAGE_FILE_SYNC_H

#include "storage/io_fifo.h"

#include <pthread.h>

struct file_sync {
	pthread_mutex_t lock;
	bool under_way;
	struct io_fifo members; /* of the one under way; they came before it began */
	struct io_fifo waiting; /* for the next one                                */
	int lost;		/* atomic: -errno of the one that failed; 0: none  */
};

void file_sync_init(struct file_sync *s);
void file_sync_fini(struct file_sync *s);

/* true: @io leads, and syncs now; false: it is told later. */
bool file_sync_join(struct file_sync *s, struct storage_io *io);
/* The kernel has told of lost data; before the leave of who was told.  true: for the first time. */
bool file_sync_lose(struct file_sync *s, int err);
/*
 * The sync under way has ended with @res.  Returns what that means; @told are others that have the
 * same outcome; *next syncs now, NULL: nobody waits.
 */
int file_sync_leave(struct file_sync *s, int res, struct io_fifo *told, struct storage_io **next);

/*
 * Takes those for which @which out of the ones that wait and that share the sync under way; not who
 * leads.
 */
void file_sync_withdraw(struct file_sync *s, bool (*which)(const struct storage_io *io),
			struct io_fifo *out);

#endif
