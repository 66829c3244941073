/* SPDX-License-Identifier: MIT */
/*
 * A call: the signal from the device to the driver's side, an eventfd that a peer handed us (irqfd,
 * vhost-user call fd).
 *
 * The peer is not trusted: its fd may be full, blocking, a closed pipe.  Signalling never blocks
 * the thread, never raises SIGPIPE (the process ignores it) and never fails; the signal rides with
 * the reactor's next submission where that is possible, so that it costs no system call of its own.
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
	bool blocking;	  /* the peer's choice, looked up now and then           */
	uint32_t signals; /* since the last look                                 */
	uint64_t total;	  /* signals sent, for the counters                      */
};

void notifier_init(struct notifier *n);
/* Takes over @fd (-1: none) and closes the one before. */
void notifier_set(struct notifier *n, struct reactor *r, int fd);
/* The same, and the one before (-1: none) becomes the caller's. */
int notifier_swap(struct notifier *n, struct reactor *r, int fd);
void notifier_signal(struct notifier *n, struct reactor *r);

#endif
