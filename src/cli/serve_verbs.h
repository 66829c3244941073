/* SPDX-License-Identifier: MIT */
/* What a server can be asked, and told, over its control socket.  Control thread. */
#ifndef CLI_SERVE_VERBS_H
#define CLI_SERVE_VERBS_H

#include "cli/instance.h"
#include "server/server.h"

struct serve_control {
	struct instance instance;
	struct server *server;
	int mode;	       /* of sockets that are added, -1: what the umask leaves */
	bool readonly;	       /* every disk is */
	struct list additions; /* whose storage is being opened         */
	struct list resizes;   /* that wait for their size to be seen    */
	struct aside *slow;    /* what may take long, since file systems may hang */
};

static inline struct serve_control *serve_control_of(const struct control_call *call)
{
	return container_of(instance_of(call), struct serve_control, instance);
}

/* What the call is about; NULL and a sentence. */
struct server_offer *serve_control_offer(const struct control_call *call, struct error *err);

/* Its line in the list; the caller's. */
json_t *serve_control_row(const struct server_offer *o);

/* serve_change.c:  add   remove NAME   resize NAME SIZE */
extern const struct control_verb serve_add, serve_remove, serve_resize;
/* The server ends: nobody waits for them any more. */
void serve_change_end(struct serve_control *c);

int serve_control_open(struct serve_control *c, struct server *server,
		       const struct control_places *places, struct error *err);
/* Harmless when zeroed. */
void serve_control_close(struct serve_control *c);

#endif
