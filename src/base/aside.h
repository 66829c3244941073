/* SPDX-License-Identifier: MIT */
/*
 * Calls that may hang, on a thread that nobody needs.
 *
 * A peer's file descriptor can make whoever touches it wait, for as long as the peer likes: close()
 * of a TCP socket with SO_LINGER, anything at all on a file of a FUSE file system.  So what may
 * hang is done aside: each peer has a lane of its own, whose jobs are done one after the other, and
 * a lane that hangs keeps up nobody but the peer whose lane it is.
 *
 * Who can wait a limited time uses base/apart.h, which says what else there is.
 *
 * The thread of a lane exists only while there is something to do.  A lane that is released while a
 * job hangs is left to itself: nobody waits for it, at the end of the process neither.  Where no
 * thread is to be had it is tried again in a moment; at the release, for the last time: jobs are
 * dropped then without having run, and fds closed at once, which may wait but loses nothing.
 *
 * Threads: the thread of @home.
 */
#ifndef BASE_ASIDE_H
#define BASE_ASIDE_H

#include "base/list.h"
#include "base/reactor.h"

struct aside;

struct aside_job {
	void (*run)(struct aside_job *job); /* on the lane's thread */
	/*
	 * On @home's, when @run is over; not if the lane was released before: then drop() comes, on
	 * whichever thread, and perhaps without run().
	 */
	void (*done)(struct aside_job *job);
	void (*drop)(struct aside_job *job);

	/* The lane's: */
	struct reactor_msg msg;
	struct list link;
};

/* 0 or -ENOMEM. */
int aside_create(struct aside **out, struct reactor *home);
/* NULLs *a. */
void aside_release(struct aside **a);
/* Its thread gets a stack as others have, not a small one: for libraries.  Before the first job. */
void aside_make_roomy(struct aside *a);

/* Closes @fd (-1: nothing), some time. */
void aside_close(struct aside *a, int fd);
/* @job must stay until done() or drop(). */
void aside_run(struct aside *a, struct aside_job *job);
/* How many fds and jobs wait, the one at hand included. */
unsigned aside_waiting(const struct aside *a);
/*
 * Whether more wait than come together in passing, of which there may be @usual more than of most
 * peers.  From such a peer nothing more is taken until some have been through: what waits here is
 * files of this process.
 */
bool aside_is_stuck(const struct aside *a, unsigned usual);

#endif
