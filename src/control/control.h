/* SPDX-License-Identifier: MIT */
/*
 * The control socket: what a running program tells about itself.
 *
 *      asks      one line of JSON, {"request": "tree"}, or with what it is about:
 *                {"request": "resume", "arguments": ["disk0"]}
 *      answers   one line of JSON, {"answer": ...} or {"error": "a sentence"}
 *
 * Whoever connects may ask as often as it likes.  The socket's mode lets only its owner in.
 *
 *      control.c   the socket: who comes, who has gone
 *      peer.c      one client: lines in, answers out
 *      client.c    the other side
 *
 * Invariants: as many clients as there are files for; when files run out one more is served at a
 * time, for a short while, with a descriptor that is kept for it: nobody who asks is left without
 * an answer.  A peer costs a bounded amount of memory besides its one answer, and is not read while
 * that has not gone out; nobody waits for a peer, and one that asks without end has only so much of
 * each turn; what it sends wrongly is answered; who sends files along is hung up on.
 *
 * What the requests are and mean is the business of those whom they are about (struct control_ops).
 *
 * Threads: the reactor's; for a machine that is its control thread, under the machine lock.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "base/acceptor.h"
#include "base/error.h"
#include "base/list.h"
#include "base/reactor.h"
#include "server/socket/listener.h"

#include <jansson.h>

#define CONTROL_LINE_MAX 4096

struct control;

struct control_ops {
	/*
	 * The answer to that request, a new reference; NULL: @err says why not, or nothing, and
	 * then there is no such request.  @arguments: an array of strings, empty if none was given.
	 */
	json_t *(*answer)(struct control *c, const char *request, const json_t *arguments,
			  struct error *err);
	const char *requests; /* all that there are, for who asks something else */
};

struct control {
	const struct control_ops *ops;
	struct reactor *home; /* NULL: not open */
	struct socket_listener listener;
	struct acceptor acceptor;
	struct list peers;
};

/* Listens at @path, which may be @name. */
int control_open(struct control *c, const struct control_ops *ops, const char *path,
		 struct reactor *home, struct error *err);
/* Harmless when zeroed. */
void control_close(struct control *c);

/*
 * The other side: asks the program that listens at @path, with @n arguments.  *answer is the
 * caller's.
 */
int control_ask(const char *path, const char *request, char *const *arguments, unsigned n,
		json_t **answer, struct error *err);

#endif
