/* SPDX-License-Identifier: MIT */
#include "cli/serve_verbs.h"

#include "base/aside.h"
#include "base/atomic.h"
#include "cli/tree.h"

#include <errno.h>
#include <string.h>

/* ---- what is on offer ---- */

/* NULL: a network card. */
static struct storage *offer_storage(const struct server_offer *o)
{
	struct virtio_device *vdev = o->ops->device(o);

	return vdev->cls->id == VIRTIO_ID_BLOCK ? virtio_blk_of(vdev)->storage : NULL;
}

/* "throttle/errors/file" */
static json_t *stack_of(const struct storage *s)
{
	char text[200];
	size_t n = 0;

	for (; s && n < sizeof(text); s = storage_below(s))
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", n ? "/" : "",
				      storage_kind(s));
	return json_string(n ? text : "");
}

json_t *serve_control_row(const struct server_offer *o)
{
	const struct virtio_device *vdev = o->ops->device(o);
	const struct storage *s = offer_storage(o);
	json_t *row = json_pack(
		"{ss ss ss ss sI}", "name", vdev->path, "protocol", o->ops->protocol, "socket",
		o->door.listener.path ? o->door.listener.path : "", "client",
		o->door.busy ? "served" : "none", "queues", (json_int_t)vdev->n_queues);

	if (s) {
		json_object_set_new(row, "size", json_integer((json_int_t)storage_size(s)));
		json_object_set_new(row, "readonly", json_boolean(storage_readonly(s)));
		json_object_set_new(row, "storage", stack_of(s));
	}
	return row;
}

static json_t *counters_of(const struct server_offer *o)
{
	const struct virtio_device *vdev = o->ops->device(o);
	const struct storage *s = offer_storage(o);
	json_t *queues = json_array();

	for (unsigned i = 0; i < vdev->n_queues; i++) {
		const struct virtio_queue *q = &vdev->queues[i];

		json_array_append_new(
			queues, json_pack("{sI sI sI}", "kicks", (json_int_t)read_once(&q->kicks),
					  "requests", (json_int_t)read_once(&q->requests), "calls",
					  (json_int_t)read_once(&q->calls)));
	}
	return json_pack("{ss so so}", "name", vdev->path, "queues", queues, "layers",
			 s ? instance_layers(s) : json_object());
}

struct server_offer *serve_control_offer(const struct control_call *call, struct error *err)
{
	const char *name = control_string(call, "name");
	struct server_offer *o = server_find(serve_control_of(call)->server, name);

	if (!o)
		error_set(err, -ENOENT, "nothing here is called %s; ctl list has the names.", name);
	return o;
}

/* ---- verbs ---- */

static void list_one(void *opaque, const struct server_offer *o)
{
	json_array_append_new(opaque, serve_control_row(o));
}

static void run_list(struct control_call *call)
{
	json_t *all = json_array();

	server_show(serve_control_of(call)->server, list_one, all);
	control_reply(call, all);
}

static void run_show(struct control_call *call)
{
	struct error err;
	const struct server_offer *o = serve_control_offer(call, &err);
	json_t *all = NULL;

	if (o) {
		all = serve_control_row(o);
		json_object_set_new(all, "tree", tree_offer(NULL, o));
	}
	instance_answer(call, all, &err);
}

static void run_tree(struct control_call *call)
{
	control_reply(call, tree_server(serve_control_of(call)->server));
}

static void stats_one(void *opaque, const struct server_offer *o)
{
	json_array_append_new(opaque, counters_of(o));
}

static void run_stats(struct control_call *call)
{
	const struct server_offer *o = NULL;
	json_t *all = NULL;
	struct error err;

	if (control_string(call, "name")) {
		o = serve_control_offer(call, &err);
		all = o ? json_pack("[o]", counters_of(o)) : NULL;
	} else {
		all = json_array();
		server_show(serve_control_of(call)->server, stats_one, all);
	}
	instance_answer(call, all, &err);
}

static const struct control_param one_params[] = {INSTANCE_DISK, {0}};
static const struct control_param stats_params[] = {
	{.name = "name", .type = CONTROL_STRING, .optional = true, .text = "one disk's alone"},
	{0},
};

static const struct control_verb verb_list = {
	.name = "list", .text = "what is on offer, a line each", .run = run_list};
static const struct control_verb verb_show = {
	.name = "show",
	.text = "one disk: its socket, client, features, queues, storage",
	.params = one_params,
	.run = run_show,
};
static const struct control_verb verb_tree = {
	.name = "tree", .text = "sockets and devices as they are", .run = run_tree};
static const struct control_verb verb_stats = {
	.name = "stats",
	.text = "what was counted until now",
	.params = stats_params,
	.run = run_stats,
};

static const struct control_verb *const verbs[] = {
	&verb_list,    &verb_show,    &verb_tree,	&verb_stats,	&serve_add, &serve_remove,
	&serve_resize, &instance_set, &instance_resume, &instance_stop, NULL,
};

static void serve_stop(struct instance *in)
{
	server_stop(container_of(in, struct serve_control, instance)->server);
}

int serve_control_open(struct serve_control *c, struct server *server,
		       const struct control_places *places, struct error *err)
{
	int rc = aside_create(&c->slow, server_home(server));

	if (rc)
		return error_set(err, rc, "cannot answer questions");
	list_init(&c->additions);
	list_init(&c->resizes);
	c->server = server;
	c->instance.storages = server_room(server)->storages;
	c->instance.stop = serve_stop;
	rc = control_open(&c->instance.control, verbs, places, server_home(server), err);
	if (rc)
		aside_release(&c->slow);
	return rc;
}

void serve_control_close(struct serve_control *c)
{
	if (!c->slow)
		return;
	control_close(&c->instance.control);
	serve_change_end(c);
	aside_release(&c->slow);
}
