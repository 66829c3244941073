/* SPDX-License-Identifier: MIT */
/*
 * A server program of our own: started with a socket that it finds listening (systemd's socket
 * activation), ended and reaped.
 *
 * Not by libnbd's call for that: it hands the caller's blocked signals down, so that nbd_close()
 * may wait for ever for a server that never sees its SIGTERM; and the server's reason for not
 * starting is lost.  Here signals are as in a new program, and what it says is kept and logged.
 *
 * It ends with the thread that started it, however that ends, where setpriv (util-linux) is there.
 *
 * It finds a client that has connected already, and whose name is gone: nobody else can come, and
 * nothing is left behind, whenever either of us ends.
 *
 *      start -> serves -> leave --has_ended()--> SIGTERM, SIGKILL when it is late -> ended
 *
 * Threads: one, which must live as long as the server.  Nothing waits but nbd_server_end().
 */
#ifndef STORAGE_NBD_SERVER_H
#define STORAGE_NBD_SERVER_H

#include "base/log.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define NBD_SERVER_TERM_MS 5000	 /* until SIGTERM, if it does not end by itself */
#define NBD_SERVER_KILL_MS 15000 /* and until SIGKILL                           */

struct nbd_server {
	pid_t pid; /* 0: none */
	int words; /* its standard error and output, not blocking */
	struct log_limit log;
	char part[256];	  /* of a line that has no end yet */
	char said[256];	  /* its last line                 */
	int pidfd;	  /* since leave; -1: none         */
	uint64_t left_ns; /* when its connection was closed; 0: it serves */
	unsigned signals; /* that it got since                            */
};

/* The socket of its one client, the caller's; or -errno. */
int nbd_server_start(struct nbd_server *s, char **argv);
/* Takes in what it says, into the log too. false: it says nothing any more. */
bool nbd_server_listen(struct nbd_server *s, const char *name);
/* Its connection is closed.  @now: it has never served, and need not finish. */
void nbd_server_leave(struct nbd_server *s, bool now);
static inline bool nbd_server_is_leaving(const struct nbd_server *s)
{
	return s->pid && s->left_ns;
}
/* Whether it has ended, after leave; it gets what signals are due. */
bool nbd_server_has_ended(struct nbd_server *s, const char *name, uint64_t now);
/* When to ask for that again, unless @pidfd tells before. */
uint64_t nbd_server_due(const struct nbd_server *s, uint64_t now);
/* Leaves it, and waits for its end.  Harmless when there is none. */
void nbd_server_end(struct nbd_server *s, const char *name, bool now);

#endif
