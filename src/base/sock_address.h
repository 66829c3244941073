/* SPDX-License-Identifier: MIT */
/*
 * Where a Unix socket is, as people write it: a path, or "@name" for an abstract socket, which has
 * no file and no permissions and goes with its last user.  A file whose name begins with "@" is
 * written "./@name".
 *
 * Everybody who takes a socket's place from outside reads it here.  Threads: any.
 */
#ifndef BASE_SOCK_ADDRESS_H
#define BASE_SOCK_ADDRESS_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct sock_address {
	struct sockaddr_un un;
	socklen_t len; /* for bind() and connect(); 0: none */
};

/* -EINVAL: empty; -ENAMETOOLONG. */
int sock_address(struct sock_address *a, const char *text, struct error *err);

static inline bool sock_address_is_abstract(const struct sock_address *a)
{
	return a->len && !a->un.sun_path[0];
}

/* As people write it: what sock_address() was given; empty where it refused. */
#define SOCK_ADDRESS_TEXT (sizeof(struct sockaddr_un) + 1)
const char *sock_address_text(const struct sock_address *a, char text[SOCK_ADDRESS_TEXT]);

static inline const struct sockaddr *sock_address_of(const struct sock_address *a)
{
	return (const struct sockaddr *)&a->un;
}

#endif
