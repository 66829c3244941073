/* SPDX-License-Identifier: MIT */
/*
 * Where front ends come from: a Unix socket by path, a listening socket that somebody handed over
 * (--fd, socket activation), or one that is connected already and so brings a single front end.
 *
 * Invariants: a live server's socket is never displaced; the socket file goes when we go, unless
 * somebody else has put another in its place.
 *
 * Threads: one.
 */
#ifndef SERVER_SOCKET_LISTENER_H
#define SERVER_SOCKET_LISTENER_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

/* Exactly one of @path and @fd. */
struct socket_place {
	const char *path; /* NULL: use @fd                                       */
	int mode;	  /* of the socket file; -1: what the umask says         */
	int fd;		  /* taken over by socket_listener_open(), on success    */
};

struct socket_listener {
	int fd;	      /* -1: closed                                            */
	bool single;  /* @fd is a connection, to be handed out once            */
	char *path;   /* of the file to unlink, NULL: none                     */
	dev_t device; /* that file as we made it                               */
	ino_t inode;
};

/* 0 or -errno: -ENAMETOOLONG, -EADDRINUSE (a server answers there), -EEXIST (a file that is no
 * socket), ... */
int socket_listener_open(struct socket_listener *l, const struct socket_place *where,
			 struct error *err);
/* Unlinks the file. */
void socket_listener_close(struct socket_listener *l);

/* A connected socket, close-on-exec; -EAGAIN: nobody waits; -ENOTCONN: nobody will come any more;
 * or another -errno. */
int socket_listener_accept(struct socket_listener *l);

#endif
