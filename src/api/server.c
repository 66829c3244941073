/* SPDX-License-Identifier: MIT */
/* <ringside/server.h>: the installed face of src/server. */
#include "ringside/server.h"
#include "base/error.h"
#include "base/log.h"
#include "mem/gmem.h"
#include "server/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct ringside_error) == sizeof(struct error), "one is copied to the other");

struct ringside_server {
	struct server *server;
	ringside_log_fn *log; /* NULL: silence */
	void *log_opaque;
};

/* Set-up calls inside fill a struct error; the installed ones give it to the caller. */
static int api_error(struct ringside_error *out, const struct error *err, int rc)
{
	if (rc && out)
		memcpy(out->text, err->text, sizeof(out->text));
	return rc;
}

/* ---- the log ---- */

_Static_assert((int)RINGSIDE_LOG_ERROR == LOG_LEVEL_ERR &&
		       (int)RINGSIDE_LOG_WARNING == LOG_LEVEL_WARN &&
		       (int)RINGSIDE_LOG_INFO == LOG_LEVEL_INFO,
	       "levels are handed on as they are");

static void api_log(void *opaque, enum log_level level, const char *line)
{
	const struct ringside_server *s = opaque;

	if (s && s->log)
		s->log(s->log_opaque, (enum ringside_log_level)level, line);
}

/* ---- life ---- */

static int check_options(const struct ringside_server_options *o, struct error *err)
{
	bool zero = !o->reserved0;

	for (unsigned i = 0; i < sizeof(o->reserved) / sizeof(o->reserved[0]); i++)
		zero &= !o->reserved[i];
	if (!zero)
		return error_set(err, -EINVAL, "the reserve of the options must be zero.");
	if (o->any_memory > 1)
		return error_set(err, -EINVAL, "any_memory is 0 or 1.");
	return 0;
}

int ringside_server_create(const struct ringside_server_options *options,
			   struct ringside_server **server, struct ringside_error *err)
{
	struct server_config config = {
		.workers = {.n = options && options->workers ? options->workers : 1,
			    .reactor = {.uring = true, .poll_us = options ? options->poll_us : 0}},
		.any_memory = options && options->any_memory,
	};
	struct ringside_server *s;
	struct error e = {""};
	int rc = options ? check_options(options, &e) : 0;

	if (rc)
		return api_error(err, &e, rc);
	s = calloc(1, sizeof(*s));
	if (!s)
		return api_error(err, &e, error_set(&e, -ENOMEM, "cannot create a server"));
	s->log = options ? options->log : NULL;
	s->log_opaque = options ? options->log_opaque : NULL;
	log_setup(LOG_LEVEL_INFO, api_log, s);
	rc = server_create(&s->server, &config, &e);
	if (rc) {
		log_let_go(s);
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
	rc = server_add_disk(s->server, &spec, NULL, where, &e);
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
	log_let_go(*server);
	free(*server);
	*server = NULL;
}

int ringside_server_guard_memory(struct ringside_error *err)
{
	struct error e = {""};

	return api_error(err, &e, gmem_guard_install(&e));
}
