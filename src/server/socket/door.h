/* SPDX-License-Identifier: MIT */
/*
 * Where clients come in: a listener, and whoever serves them one at a time.
 *
 * A second client may connect while one is served; it waits in the socket's backlog, unanswered,
 * and is served when the first has gone and nothing of it is left.  So a client may come back at
 * any time, and never meets what its predecessor left in flight.
 *
 *      socket_door_open() -> serve() ... socket_door_free() -> serve() ... -> over()
 *
 * Threads: the control thread.
 */
#ifndef SERVER_SOCKET_DOOR_H
#define SERVER_SOCKET_DOOR_H

#include "base/acceptor.h"
#include "server/socket/listener.h"

struct socket_door;

struct socket_door_ops {
	/* Takes over @fd, on failure too; 0: somebody is served from now on. */
	int (*serve)(struct socket_door *door, int fd);
	/* Sends away whom it serves, and calls socket_door_free() then. */
	void (*send_away)(struct socket_door *door);
	/*
	 * Nobody will be served any more: stopped, or the only client of a connected fd has left.
	 * Comes once, never from inside.
	 */
	void (*over)(struct socket_door *door);
};

struct socket_door {
	const struct socket_door_ops *ops;
	const char *name; /* for messages */
	struct reactor *home;
	struct socket_listener listener;
	struct acceptor acceptor;
	struct reactor_timer first; /* hands over a connected fd, which nobody has to knock with */
	struct reactor_msg last;
	struct log_limit complaints;
	bool busy; /* somebody is served */
	bool stopping, is_over;
};

/* Clients are served from the reactor's next turn on.  -errno and a sentence. */
int socket_door_open(struct socket_door *door, const struct socket_door_ops *ops, const char *name,
		     const struct socket_place *where, struct reactor *home, struct error *err);

/* Whoever was served is gone, and nothing of it is in use. */
void socket_door_free(struct socket_door *door);

/* Takes nobody new, unlinks the socket, sends away who is served; then over() comes.  Once more is
 * harmless. */
void socket_door_stop(struct socket_door *door);

#endif
