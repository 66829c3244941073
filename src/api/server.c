/* SPDX-License-Identifier: MIT */
/* <ringside/server.h>: the installed face of src/server. */
#include "ringside/server.h"
#include "base/error.h"
#include "mem/gmem.h"
#include "server/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct ringside_error) == sizeof(struct error), "one is copied to the other");

struct ringside_server {
	struct server *server;
};

/* Set-up calls of the house fill a struct error; the installed ones give it to the caller. */
static int api_error(struct ringside_error *out, const struct error *err, int rc)
{
	if (rc && out)
		memcpy(out->text, err->text, sizeof(out->text));
	return rc;
}

int ringside_server_create(const struct ringside_server_options *options,
			   struct ringside_server **server, struct ringside_error *err)
{
	struct server_config config = {
		.workers = {.n = options && options->workers ? options->workers : 1,
			    .reactor = {.uring = true, .poll_us = options ? options->poll_us : 0}},
	};
	struct ringside_server *s = calloc(1, sizeof(*s));
	struct error e = {""};
	int rc;

	if (!s)
		return api_error(err, &e, error_set(&e, -ENOMEM, "cannot create a server"));
	rc = server_create(&s->server, &config, &e);
	if (rc) {
		free(s);
		return api_error(err, &e, rc);
	}
	*server = s;
	return 0;
}

static int add(struct ringside_server *s, const struct socket_place *where, const char *disk,
	       struct ringside_error *err)
{
	struct error e = {""};
	struct disk_spec spec;
	int rc = disk_spec_parse(disk, &spec, &e);

	if (rc)
		return api_error(err, &e, rc);
	rc = server_add_disk(s->server, &spec, where, &e);
	disk_spec_fini(&spec);
	return api_error(err, &e, rc);
}

int ringside_server_add(struct ringside_server *server, const char *socket_path, const char *disk,
			struct ringside_error *err)
{
	struct socket_place where = {.path = socket_path, .mode = -1, .fd = -1};

	return add(server, &where, disk, err);
}

int ringside_server_add_fd(struct ringside_server *server, int fd, const char *disk,
			   struct ringside_error *err)
{
	struct socket_place where = {.path = NULL, .mode = -1, .fd = fd};

	return add(server, &where, disk, err);
}

int ringside_server_fd(const struct ringside_server *server)
{
	return server_fd(server->server);
}

int ringside_server_timeout_ms(const struct ringside_server *server)
{
	return server_timeout_ms(server->server);
}

int ringside_server_process(struct ringside_server *server)
{
	return server_process(server->server);
}

void ringside_server_stop(struct ringside_server *server)
{
	server_stop(server->server);
}

void ringside_server_destroy(struct ringside_server **server)
{
	if (!*server)
		return;
	server_destroy(&(*server)->server);
	free(*server);
	*server = NULL;
}

int ringside_server_guard_memory(struct ringside_error *err)
{
	struct error e = {""};

	return api_error(err, &e, gmem_guard_install(&e));
}
