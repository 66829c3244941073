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
 * Threads: one, which must live as long as the server.
 */
#ifndef STORAGE_NBD_SERVER_H
#define STORAGE_NBD_SERVER_H

#include "base/log.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define NBD_SERVER_TERM_MS 5000	 /* until SIGTERM, if it does not end by itself */
#define NBD_SERVER_KILL_MS 15000 /* and until SIGKILL                           */

struct nbd_server {
	pid_t pid; /* 0: none */
	int words; /* its standard error and output, not blocking */
	struct log_limit log;
	char part[256]; /* of a line that has no end yet */
	char said[256]; /* its last line                 */
	char dir[64];
	char path[80]; /* of the socket */
};

/* 0 or -errno. */
int nbd_server_start(struct nbd_server *s, char **argv);
/* Who shall connect has: the socket's name goes away. */
void nbd_server_hide(struct nbd_server *s);
/* Takes in what it says, into the log too. false: it says nothing any more. */
bool nbd_server_listen(struct nbd_server *s, const char *name);
/* Its connection is closed: waits for its end.  @now: it has never served, and need not finish. */
void nbd_server_end(struct nbd_server *s, const char *name, bool now);

#endif
