/* SPDX-License-Identifier: MIT */
/*
 * A call: the signal from the device to the driver's side, an eventfd.
 *
 * Our own (an irqfd, whose other end is the kernel) rides with the reactor's next submission, so
 * that it costs no system call.  A peer's (vhost-user call and error fds) may be full and in
 * blocking mode, and its mode may change between a look at it and the write: it is signalled by
 * base/evsignal.h, which never waits, at one system call each.  Where that is not to be had, poll() is
 * asked before each write; a peer that fills the counter just in between can make the sender wait.
 *
 * Signalling never raises SIGPIPE (the process ignores it) and never fails.
 *
 * Threads: owned by one reactor's thread.
 */
#ifndef BASE_NOTIFIER_H
#define BASE_NOTIFIER_H

#include <stdbool.h>
#include <stdint.h>

struct reactor;

struct notifier {
	int fd;		  /* -1: nobody listens                                  */
	bool foreign;	  /* a peer holds it, too                                */
	bool blocking;	  /* one of ours: its mode, looked up now and then       */
	uint32_t signals; /* since the last look                                 */
	uint64_t total;	  /* signals sent, for the counters                      */
};

void notifier_init(struct notifier *n);
/* Takes over @fd (-1: none), one of ours, and closes the one before. */
void notifier_set(struct notifier *n, struct reactor *r, int fd);
/* The same for a fd that a peer holds, too (@foreign), and the one before (-1: none) becomes the
 * caller's. */
int notifier_swap(struct notifier *n, struct reactor *r, int fd, bool foreign);
void notifier_signal(struct notifier *n, struct reactor *r);
/* Signals a peer's eventfd, on @r's thread: the one place that does. */
void notifier_signal_foreign(struct reactor *r, int fd);

#endif
