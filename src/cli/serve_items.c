/* SPDX-License-Identifier: MIT */
#include "cli/serve_items.h"

#include "base/grow.h"
#include "base/log.h"
#include "server/disk.h"
#include "server/offer_vfio_user.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int serve_items_place(struct serve_items *items, enum serve_protocol protocol, const char *path,
		      int fd)
{
	struct serve_place *all = grow_for_one(items->places, items->n_places, sizeof(*all));

	if (!all)
		return -ENOMEM;
	items->places = all;
	all[items->n_places++] = (struct serve_place){
		.protocol = protocol, .where = {.path = path, .fd = fd, .mode = -1}};
	return 0;
}

static int add_thing(struct serve_items *items, bool is_net, char *words)
{
	struct serve_thing *all = grow_for_one(items->things, items->n_things, sizeof(*all));

	if (all)
		items->things = all;
	if (!all || !words) {
		free(words);
		return -ENOMEM;
	}
	all[items->n_things++] = (struct serve_thing){
		.is_net = is_net, .name = items->name, .words = words};
	items->name = NULL;
	return 0;
}

int serve_items_name(struct serve_items *items, const char *name)
{
	if (items->name)
		return -EEXIST;
	items->name = name;
	return 0;
}

int serve_items_disk(struct serve_items *items, const char *words)
{
	return add_thing(items, false, strdup(words));
}

int serve_items_net(struct serve_items *items, const char *words)
{
	return add_thing(items, true, strdup(words));
}

int serve_items_file(struct serve_items *items, const char *path)
{
	char *words = malloc(strlen(path) * 2 + sizeof("file=")), *to;

	if (!words)
		return -ENOMEM;
	to = stpcpy(words, "file=");
	for (; *path; path++) {
		*to++ = *path;
		if (*path == ',')
			*to++ = ',';
	}
	*to = '\0';
	return add_thing(items, false, words);
}

/* ---- both sides together ---- */

static int understand(struct serve_thing *t, enum serve_protocol protocol, struct error *err)
{
	struct error why;
	int rc;

	if (t->is_net && protocol != SERVE_VFIO_USER)
		return error_set(err, -EINVAL,
				 "--net %s: a network card goes behind --vfio-user only.",
				 t->words);
	if (t->is_net)
		rc = net_words_parse(t->words, &t->net, &why);
	else if (protocol == SERVE_VFIO_USER)
		rc = disk_words_parse(t->words, &t->disk, &why);
	else
		rc = disk_spec_parse(t->words, &t->disk.disk, &why);
	if (!rc && !t->is_net)
		rc = storage_judge_options(&t->disk.disk.storage, &why);
	if (rc)
		error_set(err, rc, "--%s %s: %s.", t->is_net ? "net" : "disk", t->words, why.text);
	return rc;
}

static int judge_name(const struct serve_items *items, unsigned i, struct error *err)
{
	const char *name = items->things[i].name;

	if (!name)
		return 0;
	for (unsigned before = 0; before < i; before++)
		if (items->things[before].name && !strcmp(items->things[before].name, name))
			return error_set(err, -EINVAL, "--name %s is there twice.", name);
	return server_name_is_good(name, err);
}

int serve_items_check(struct serve_items *items, struct error *err)
{
	unsigned places = items->n_places, things = items->n_things;

	if (!things)
		return error_set(err, -EINVAL, "which disk? Give --disk file=PATH.");
	if (!places)
		return error_set(err, -EINVAL,
				 "where? Give --vhost-user SOCKET or --vfio-user SOCKET for it.");
	if (items->name)
		return error_set(err, -EINVAL, "--name %s: no --disk follows that it could name.",
				 items->name);
	if (places != things)
		return error_set(err, -EINVAL,
				 "%u socket%s for %u disk%s: each --disk needs one --vhost-user or "
				 "--vfio-user.",
				 places, places == 1 ? "" : "s", things, things == 1 ? "" : "s");
	for (unsigned i = 0; i < things; i++) {
		int rc = judge_name(items, i, err);

		if (rc)
			return rc;
		rc = understand(&items->things[i], items->places[i].protocol, err);

		if (rc)
			return rc;
	}
	return 0;
}

static unsigned thing_queues(const struct serve_thing *t)
{
	/* A pair of queues for each, and one to control them. */
	return t->is_net ? 2u * t->net.net.queues + 1 : t->disk.disk.queues;
}

unsigned serve_items_queues(const struct serve_items *items)
{
	unsigned n = 0;

	for (unsigned i = 0; i < items->n_things; i++)
		n += thing_queues(&items->things[i]);
	return n;
}

static int offer_net(struct serve_thing *t, struct server *server, const struct socket_place *where,
		     struct error *err)
{
	struct worker_pool *pool = &server_room(server)->pool;
	struct virtio_net_options o;
	struct virtio_net *net;
	struct net_link *link;
	char own[SERVER_NAME_MAX + 1];
	const char *name = t->name ? t->name : server_free_name(server, "net", own);
	int rc = server_judge_name(server, name, err);

	if (rc)
		return rc;
	o = net_spec_options(&t->net.net, name);
	rc = net_spec_open(&t->net.net, &link, err);
	if (rc)
		return rc;
	rc = virtio_net_create(&net, &o, link, server_home(server), pool->workers, pool->n,
			       worker_pool_take(pool, thing_queues(t)), err);
	if (rc) {
		net_link_close(&link);
		return rc;
	}
	return server_add_vfio_user(server, &net->vdev, &t->net.board, where, err);
}

static bool is_stopping(void *server)
{
	return server_is_stopping(server);
}

static bool is_named(const struct serve_items *items, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(items->things[i].name, name))
			return true;
	return false;
}

/* As server_free_name() would, when those before it are on offer. */
static void choose_name(struct serve_items *items, unsigned i)
{
	struct serve_thing *t = &items->things[i];
	unsigned n = i;

	if (t->name)
		return;
	do
		snprintf(t->own, sizeof(t->own), "%s%u", t->is_net ? "net" : "disk", n++);
	while (is_named(items, i, t->own));
	t->name = t->own;
}

int serve_items_open(struct serve_items *items, struct server *server, struct error *err)
{
	struct disk_room *room = server_room(server);
	int rc = 0;

	for (unsigned i = 0; !rc && i < items->n_things; i++) {
		struct serve_thing *t = &items->things[i];

		choose_name(items, i);
		if (!t->is_net)
			rc = disk_ahead_begin(room, &t->disk.disk, t->name, err);
	}
	if (!rc)
		rc = disk_ahead_wait(room, is_stopping, server, err);
	if (rc)
		disk_ahead_end(room);
	return rc;
}

int serve_items_offer(struct serve_items *items, unsigned i, struct server *server,
		      struct error *err)
{
	const struct serve_place *place = &items->places[i];
	struct serve_thing *t = &items->things[i];
	const char *what = t->is_net ? t->words : t->disk.disk.file;
	int rc;

	if (t->is_net)
		rc = offer_net(t, server, &place->where, err);
	else if (place->protocol == SERVE_VFIO_USER)
		rc = server_add_vfio_user_disk(server, &t->disk.disk, t->name, &t->disk.board,
					       &place->where, err);
	else
		rc = server_add_disk(server, &t->disk.disk, t->name, &place->where, err);
	if (rc)
		return rc;
	if (place->where.path)
		log_info(NULL, "%s on %s", what, place->where.path);
	else
		log_info(NULL, "%s on file descriptor %d", what, place->where.fd);
	return 0;
}

void serve_items_fini(struct serve_items *items)
{
	for (unsigned i = 0; i < items->n_things; i++) {
		disk_words_fini(&items->things[i].disk);
		free(items->things[i].words);
	}
	free(items->things);
	free(items->places);
	*items = (struct serve_items){0};
}
