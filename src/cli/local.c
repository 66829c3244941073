/* SPDX-License-Identifier: MIT */
#include "cli/local.h"

#include "base/thread.h"
#include "server/disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "local:"

struct local {
	struct server *server;
	pthread_t thread;
	struct reactor_msg stop;
	char folder[64];
	char socket[80];
	char uri[100];
};

bool local_is(const char *target)
{
	return !strncmp(target, PREFIX, strlen(PREFIX));
}

static void *local_serve(void *arg)
{
	struct local *l = arg;

	server_run(l->server);
	return NULL;
}

static void local_stop_ordered(struct reactor_msg *msg)
{
	server_stop(container_of(msg, struct local, stop)->server);
}

int local_start(const char *target, struct local **out, const char **uri, struct error *err)
{
	const struct server_config config = {
		.workers = {.n = 1, .reactor = {.uring = true, .poll_us = REACTOR_POLL_US}}};
	struct socket_place where = {.mode = 0600, .fd = -1};
	const char *tmp = getenv("TMPDIR");
	struct disk_spec spec = {0};
	struct local *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return error_set(err, -ENOMEM, "cannot serve %s", target);
	rc = disk_spec_parse(target + strlen(PREFIX), &spec, err);
	if (rc)
		goto free_local;
	snprintf(l->folder, sizeof(l->folder), "%s/ringside-XXXXXX",
		 tmp && *tmp == '/' && strlen(tmp) < 40 && !strchr(tmp, '?') ? tmp : "/tmp");
	if (!mkdtemp(l->folder)) {
		rc = error_set(err, -errno, "cannot make a folder %s", l->folder);
		goto fini_spec;
	}
	snprintf(l->socket, sizeof(l->socket), "%s/socket", l->folder);
	snprintf(l->uri, sizeof(l->uri), "vhost-user:%s", l->socket);
	where.path = l->socket;
	rc = server_create(&l->server, &config, err);
	if (rc)
		goto remove_folder;
	rc = server_add_disk(l->server, &spec, NULL, &where, err);
	if (rc)
		goto destroy_server;
	rc = thread_start(&l->thread, local_serve, l);
	if (rc) {
		error_set(err, rc, "cannot serve %s", target);
		goto destroy_server;
	}
	l->stop.run = local_stop_ordered;
	disk_spec_fini(&spec);
	*out = l;
	*uri = l->uri;
	return 0;
destroy_server:
	server_destroy(&l->server);
remove_folder:
	rmdir(l->folder);
fini_spec:
	disk_spec_fini(&spec);
free_local:
	free(l);
	return rc;
}

void local_stop(struct local **lp)
{
	struct local *l = *lp;

	if (!l)
		return;
	reactor_post(server_home(l->server), &l->stop);
	pthread_join(l->thread, NULL);
	server_destroy(&l->server);
	rmdir(l->folder);
	free(l);
	*lp = NULL;
}
