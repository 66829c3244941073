/* SPDX-License-Identifier: MIT */
/*
 * The control socket: what a running program tells about itself, and how it is changed.
 *
 * JSON-RPC 2.0, one message a line (docs/control.md):
 *
 *      asks      {"jsonrpc": "2.0", "method": "show", "params": {"name": "disk0"}, "id": 1}
 *      answers   {"jsonrpc": "2.0", "result": ..., "id": 1}
 *                {"jsonrpc": "2.0", "error": {"code": -32000, "message": "a sentence"}, "id": 1}
 *      events    {"jsonrpc": "2.0", "method": "event", "params": {"event": "disk-added", ...}}
 *
 *      control.c   the sockets: who comes, who has gone; events
 *      peer.c      one client: lines in, answers and events out
 *      call.c      one request: which verb, are its parameters right, its answer
 *      schema.c    all verbs, for a program that asks
 *      client.c    the other side
 *
 * What there is to ask for stands in tables of verbs, which belong to those whom the verbs are
 * about.  Parameters are checked here, by the table, so that a verb finds what it was promised.
 *
 * Invariants: as many clients as there are files for; when files run out one more is served at a
 * time, for a short while, with a descriptor that is kept for it: nobody who asks is left without
 * an answer.  A peer costs a bounded amount of memory besides its one answer, and is not read while
 * that has not gone out or is not known yet; nobody waits for a peer, and one that asks without end
 * has only so much of each turn; what it sends wrongly is answered; events that it does not take are
 * dropped and counted; who sends files along is hung up on.
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

#define CONTROL_LINE_MAX 16384

/* Codes of errors; those of JSON-RPC, and one for whatever a verb refuses. */
#define CONTROL_NO_JSON	   (-32700)
#define CONTROL_NO_REQUEST (-32600)
#define CONTROL_NO_VERB	   (-32601)
#define CONTROL_BAD_PARAMS (-32602)
#define CONTROL_REFUSED	   (-32000)

struct control;
struct control_call;
struct control_peer;

enum control_type {
	CONTROL_STRING,
	CONTROL_NUMBER, /* not negative */
	CONTROL_BOOL,
	CONTROL_STRINGS, /* an array of at least one; the last parameter that has a place */
};

struct control_param {
	const char *name; /* NULL: behind the last */
	enum control_type type;
	bool optional;
	bool option; /* people write --NAME VALUE; else it has its place behind the verb */
	const char *text;
};

struct control_verb {
	const char *name;
	const char *text; /* one line for people                                       */
	bool changes;	  /* not over a socket that is for reading                      */
	bool slow;	  /* the answer may take longer than a program that lives needs */
	const struct control_param *params; /* NULL: none */
	/*
	 * call->params is an object with what the table says.  The call is answered once, by
	 * control_reply() or control_refuse(), from inside or at any later time.
	 */
	void (*run)(struct control_call *call);
};

/* Who asks may be gone before the answer is known; the call stays until it is answered. */
struct control_call {
	struct control *control; /* only from inside run() */
	const struct control_verb *verb;
	json_t *params;

	struct control_peer *peer; /* NULL: gone */
	json_t *id;		   /* NULL: nobody wants the answer */
};

/* The result, a reference that is taken over; NULL: out of memory.  Frees the call. */
void control_reply(struct control_call *call, json_t *result);
void control_refuse(struct control_call *call, const struct error *err);

/* The parameter; NULL or false: it was not given. */
const char *control_string(const struct control_call *call, const char *name);
bool control_flag(const struct control_call *call, const char *name);

/* Where clients come in. */
struct control_socket {
	struct control *control; /* NULL: not open */
	struct socket_listener listener;
	struct acceptor acceptor;
	bool reads; /* nothing can be changed over it */
};

struct control {
	const struct control_verb *const *verbs; /* NULL behind the last */
	struct reactor *home;
	struct control_socket all, reads;
	struct list peers;
};

struct control_places {
	const char *all;   /* path or @name; NULL: none */
	const char *reads; /* the same, for reading     */
	int mode;	   /* of both; 0: 0600          */
};

/* Listens.  Nothing is open where both places are NULL; -errno and a sentence. */
int control_open(struct control *c, const struct control_verb *const *verbs,
		 const struct control_places *places, struct reactor *home, struct error *err);
/* Harmless when zeroed.  Calls under way may be answered later. */
void control_close(struct control *c);

/* Tells whoever subscribed.  @about: an object that is taken over, or NULL.  Harmless when zeroed. */
void control_event(struct control *c, const char *event, json_t *about);

/* ---- the other side ---- */

struct control_question {
	const char *method;
	json_t *params; /* stays the caller's; NULL: none */
	bool slow;	/* wait for the answer as long as it takes */
};
/*
 * Asks the program that listens at @path.  *result is the caller's.  -EPROTO: it refuses, or is no
 * control socket.
 */
int control_ask(const char *path, const struct control_question *q, json_t **result,
		struct error *err);
/*
 * Subscribes and calls @event with each that comes, until that returns false (0), or the other side
 * has gone (-ENOTCONN).
 */
int control_listen(const char *path, bool (*event)(void *opaque, const json_t *params),
		   void *opaque, struct error *err);

#endif
