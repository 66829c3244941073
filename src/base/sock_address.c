/* SPDX-License-Identifier: MIT */
#include "base/sock_address.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* A path needs a zero behind it; the name of an abstract socket has one in front. */
#define NAME_MAX_BYTES (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

int sock_address(struct sock_address *a, const char *text, struct error *err)
{
	bool abstract = *text == '@';
	const char *name = text + abstract;
	size_t n = strlen(name);

	*a = (struct sock_address){.un.sun_family = AF_UNIX};
	if (!n)
		return error_set(err, -EINVAL,
				 abstract ? "the socket \"@\" has no name; give @NAME."
					  : "the socket path is empty.");
	if (n > NAME_MAX_BYTES)
		return error_set(err, -ENAMETOOLONG,
				 "socket path %s is too long: it has %zu bytes, and a Unix "
				 "socket's %s at most %zu; a relative path may be shorter.",
				 text, n, abstract ? "name" : "path", NAME_MAX_BYTES);
	memcpy(a->un.sun_path + abstract, name, n);
	/* The length ends an abstract name; a path's zero is part of its address. */
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

const char *sock_address_text(const struct sock_address *a, char text[SOCK_ADDRESS_TEXT])
{
	bool abstract = sock_address_is_abstract(a);
	/* A path's zero is copied along, a name has none. */
	size_t n = a->len ? a->len - offsetof(struct sockaddr_un, sun_path) : 0;

	memcpy(text, a->un.sun_path, n);
	text[n] = '\0';
	if (abstract)
		*text = '@';
	return text;
}
