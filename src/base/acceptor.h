/* SPDX-License-Identifier: MIT */
/*
 * Connections from a listening socket.
 *
 * A watch tells of a client once.  If accept() fails then, for want of files, say, the client would
 * wait until another one comes.  So whatever fails is tried again in a moment, with a line in the
 * log that says what is short; and the number of clients in one turn is bounded.
 *
 * Who must be reached even then keeps a file for that moment (@keep_spare): one client at a time is
 * let in with it, and should not be kept for long (@on_spare).
 *
 * Threads: the reactor's.
 */
#ifndef BASE_ACCEPTOR_H
#define BASE_ACCEPTOR_H

#include "base/log.h"
#include "base/reactor.h"

struct acceptor {
	const char *name; /* for the log; NULL: the program's own                              */
	/* A connection, close-on-exec and non-blocking: the callee's.  false: no others before
	 * acceptor_look().  It may stop the acceptor. */
	bool (*came)(struct acceptor *a, int fd);
	/* To be set between init and start. */
	bool owner_only; /* our own user and root; strangers are hung up on    */
	bool keep_spare; /* a file for a client who finds none                  */

	/*
	 * The acceptor's, from start to stop: closes what may take long, strangers for example, who
	 * may have sent files along.  While too many take long, nobody else is let in.
	 */
	struct aside *aside;
	bool on_spare;	      /* within came(): this one has that file              */
	int spare;	      /* -1: none                                           */
	struct reactor *home; /* NULL: stopped */
	int fd;
	bool full; /* the last came() said so */
	struct reactor_watch watch;
	struct reactor_timer again;
	struct log_limit complaints;
};

/* @name stays the caller's. */
void acceptor_init(struct acceptor *a, const char *name, bool (*came)(struct acceptor *a, int fd));
/* Waits for clients at @fd, a listening socket in non-blocking mode, which stays the caller's.  0 or
 * -errno. */
int acceptor_start(struct acceptor *a, struct reactor *home, int fd);
/* There is room again for those who wait.  Harmless when stopped. */
void acceptor_look(struct acceptor *a);
/* A connection has been closed: its file may be kept for the next one.  Harmless when stopped. */
void acceptor_restock(struct acceptor *a);
/* Harmless when stopped. */
void acceptor_stop(struct acceptor *a);

#endif
