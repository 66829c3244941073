/* SPDX-License-Identifier: MIT */
/*
 * Something that may take long, or for ever, done by a thread of its own while its caller waits a
 * limited time: names that do not resolve, servers that are mute, file systems that hang.
 *
 * Of the three ways to do things apart this is the one whose caller waits: a call of a library's, by a
 * thread that has nothing else to do.  base/aside.h is for one who goes on, with a reactor to be told
 * by.  The threads of a disk in a file (storage/file_threads.c) are neither: they stay, and carry out
 * requests in parallel, each of which must end before the disk does.
 *
 * The work belongs to the caller again when apart_do() returns 0.  After -ETIMEDOUT it belongs to
 * its thread, which calls drop() at the end of run(), whenever that is: what run() made is undone
 * and freed there.
 *
 * Threads: any may call; run() and drop() are on the thread of the work.
 */
#ifndef BASE_APART_H
#define BASE_APART_H

#include <pthread.h>
#include <stdbool.h>

struct apart {
	void (*run)(struct apart *a);
	void (*drop)(struct apart *a);

	pthread_mutex_t lock; /* protects what follows; taken alone */
	pthread_cond_t changed;
	bool over, left;
};

/* 0; -ETIMEDOUT: see above; -errno: it could not be started, and run() was never called. */
int apart_do(struct apart *a, unsigned seconds);

#endif
