/* SPDX-License-Identifier: MIT */
/*
 * The control socket: what a running program tells about itself.
 *
 *      asks      one line of JSON, {"request": "tree"}
 *      answers   one line of JSON, {"answer": ...} or {"error": "a sentence"}
 *
 * Whoever connects may ask as often as it likes.  The socket's mode lets only its owner in.
 *
 * Invariants: a peer costs a bounded amount of memory besides its one answer, and is not read while
 * that has not gone out; nobody waits for a peer, and one that asks without end has only so much of
 * each turn; what it sends wrongly is answered.
 *
 * Threads: the reactor's; for a machine that is its control thread, under the machine lock.
 */
#ifndef CLI_CONTROL_H
#define CLI_CONTROL_H

#include "base/acceptor.h"
#include "base/error.h"
#include "base/reactor.h"
#include "server/socket/listener.h"

#include <jansson.h>

#define CONTROL_PEERS	 8
#define CONTROL_LINE_MAX 4096

struct control;

struct control_peer {
	struct control *control;
	int fd; /* -1: nobody */
	struct reactor_watch watch;
	char line[CONTROL_LINE_MAX];
	size_t line_n;
	char *answer; /* on its way out, NULL: none */
	size_t answer_n, sent;
	bool too_long; /* the line that is arriving */
	bool broken;   /* there was no memory for an answer */
	struct reactor_timer again;
};

struct control_ops {
	/* The answer to that request, a new reference; NULL: there is no such request. */
	json_t *(*answer)(struct control *c, const char *request);
};

struct control {
	const struct control_ops *ops;
	struct reactor *home;
	struct socket_listener listener;
	struct acceptor acceptor;
	struct control_peer *peers; /* CONTROL_PEERS of them; NULL: not open */
};

/* Listens at @path. */
int control_open(struct control *c, const struct control_ops *ops, const char *path,
		 struct reactor *home, struct error *err);
/* Harmless when zeroed. */
void control_close(struct control *c);

/* The other side: asks the program that listens at @path.  *answer is the caller's. */
int control_ask(const char *path, const char *request, json_t **answer, struct error *err);

#endif
