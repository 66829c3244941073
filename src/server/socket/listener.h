/* SPDX-License-Identifier: MIT */
/*
 * Where front ends come from: a Unix socket by its address (base/sock_address.h), a listening
 * socket that somebody handed over (--fd, socket activation), or one that is connected already and
 * so brings a single front end.
 *
 * Invariants: a live server's socket is never displaced; the socket file goes when we go, unless
 * somebody else has put another in its place.  An abstract socket has no permissions: a mode that
 * lets in nobody but the owner is kept by asking each client who he is, any other mode is refused.
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
	const char *path; /* or @name; NULL: use @fd                             */
	int mode;	  /* of the socket; -1: what the umask says              */
	int fd;		  /* taken over by socket_listener_open(), on success    */
};

struct socket_listener {
	int fd;	      /* -1: closed                                            */
	bool single;  /* @fd is a connection, to be handed out once            */
	bool private; /* for our own user and root only: ask who comes         */
	char *path;   /* as it was given; NULL: an fd was                       */
	bool file;    /* it is a file that we made, to be unlinked            */
	dev_t device; /* that file as we made it                               */
	ino_t inode;
};

/* 0 or -errno: -ENAMETOOLONG, -EADDRINUSE (a server answers there), -EEXIST (a file that is no
 * socket), ... */
int socket_listener_open(struct socket_listener *l, const struct socket_place *where,
			 struct error *err);
/* Unlinks the file. */
void socket_listener_close(struct socket_listener *l);

/* Of a single one: the connection, non-blocking, close-on-exec and the caller's; -ENOTCONN: it has
 * been taken.  Who comes to the others is let in by an acceptor at @fd, which is non-blocking. */
int socket_listener_take(struct socket_listener *l);

#endif
