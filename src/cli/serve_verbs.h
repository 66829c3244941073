/* SPDX-License-Identifier: MIT */
/* What a server can be asked, and told, over its control socket.  Control thread. */
#ifndef CLI_SERVE_VERBS_H
#define CLI_SERVE_VERBS_H

#include "cli/instance.h"
#include "server/server.h"

struct serve_control {
	struct instance instance;
	struct server *server;
};

int serve_control_open(struct serve_control *c, struct server *server,
		       const struct control_places *places, struct error *err);
/* Harmless when zeroed. */
void serve_control_close(struct serve_control *c);

#endif
