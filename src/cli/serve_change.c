/* SPDX-License-Identifier: MIT */
/* What changes a server while it runs: disks that come, go and grow. */
#include "cli/serve_items.h"
#include "cli/serve_verbs.h"

#include "base/aside.h"
#include "base/clock.h"
#include "base/size.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- add ---- */

/* A disk whose storage is being opened, on a thread of its own: nobody waits for it. */
struct addition {
	struct serve_items items; /* one */
	struct storage_opening op;
	struct serve_control *control;
	struct control_call *call;
	struct list link; /* in control->additions */
	char name[SERVER_NAME_MAX + 1];
};

static struct serve_thing *addition_thing(struct addition *a)
{
	return &a->items.things[0];
}

static bool name_is_coming(const struct serve_control *c, const char *name)
{
	list_for_each (l, &c->additions)
		if (!strcmp(list_entry(l, const struct addition, link)->name, name))
			return true;
	return false;
}

/* So that two which are under way never get the same. */
static int addition_name(struct addition *a, struct error *err)
{
	struct serve_thing *t = addition_thing(a);
	unsigned n = server_offers(a->control->server);

	if (t->name && name_is_coming(a->control, t->name))
		return error_set(err, -EEXIST, "something that is being added is called %s.",
				 t->name);
	if (t->name)
		snprintf(a->name, sizeof(a->name), "%s", t->name);
	else
		do
			snprintf(a->name, sizeof(a->name), "%s%u", t->is_net ? "net" : "disk", n++);
		while (server_find(a->control->server, a->name) ||
		       name_is_coming(a->control, a->name));
	t->name = a->name;
	return server_judge_name(a->control->server, a->name, err);
}

/* What the call describes: -EINVAL and a sentence. */
static int addition_parse(struct addition *a, struct error *err)
{
	const struct control_call *call = a->call;
	const char *vhost = control_string(call, "vhost-user");
	const char *vfio = control_string(call, "vfio-user"), *path = vhost ? vhost : vfio;
	const char *disk = control_string(call, "disk"), *net = control_string(call, "net");
	struct serve_items *items = &a->items;
	int rc;

	if (!vhost == !vfio)
		return error_set(err, -EINVAL, "add needs one of vhost-user and vfio-user.");
	if (!disk == !net)
		return error_set(err, -EINVAL, "add needs one of disk and net.");
	rc = serve_items_place(items, vhost ? SERVE_VHOST_USER : SERVE_VFIO_USER, path, -1);
	if (!rc && control_string(call, "name"))
		rc = serve_items_name(items, control_string(call, "name"));
	if (!rc)
		rc = disk ? serve_items_disk(items, disk) : serve_items_net(items, net);
	if (rc)
		return error_set(err, rc, "cannot add it");
	rc = serve_items_check(items, err);
	if (rc)
		return rc;
	items->places[0].where.mode = a->control->mode;
	if (a->control->readonly)
		addition_thing(a)->disk.disk.storage.readonly = STORAGE_READONLY;
	return addition_name(a, err);
}

static void addition_free(struct addition *a)
{
	storage_open_cancel(&a->op);
	list_del(&a->link);
	serve_items_fini(&a->items);
	free(a);
}

/* All that may take long is over. */
static void addition_offer(struct addition *a, int rc, struct error *err)
{
	struct server *server = a->control->server;
	struct control_call *call = a->call;
	struct storage *left;
	json_t *row = NULL;

	if (!rc && server_is_stopping(server))
		rc = error_set(err, -ECANCELED, "the server is stopping.");
	if (!rc)
		rc = serve_items_offer(&a->items, 0, server, err);
	if (!rc) {
		row = serve_control_row(server_last(server));
		control_event(&a->control->instance.control, "added", json_incref(row));
	}
	/* Where it was refused before anybody took it. */
	left = a->items.n_things
		       ? disk_ahead_take(server_room(server), &addition_thing(a)->disk.disk)
		       : NULL;
	storage_close(&left);
	addition_free(a);
	instance_answer(call, row, err);
}

static void addition_opened(struct storage_opening *op, int rc, struct storage *s,
			    const struct error *why)
{
	struct addition *a = container_of(op, struct addition, op);
	struct error err = *why;

	if (!rc)
		rc = disk_ahead_put(server_room(a->control->server), &addition_thing(a)->disk.disk,
				    s, &err);
	addition_offer(a, rc, &err);
}

static void run_add(struct control_call *call)
{
	struct addition *a = calloc(1, sizeof(*a));
	struct error err;
	int rc;

	if (!a) {
		error_set(&err, -ENOMEM, "cannot add it");
		control_refuse(call, &err);
		return;
	}
	a->control = serve_control_of(call);
	a->call = call;
	a->op.done = addition_opened;
	list_init(&a->link);
	rc = addition_parse(a, &err);
	list_add_tail(&a->control->additions, &a->link);
	if (!rc && !addition_thing(a)->is_net) {
		rc = disk_open_begin(server_room(a->control->server), &addition_thing(a)->disk.disk,
				     a->name, &a->op, &err);
		if (!rc)
			return;
	}
	addition_offer(a, rc, &err);
}

/* ---- remove ---- */

struct removal {
	struct server_removal base;
	struct control *control;
	struct control_call *call;
};

static void removal_done(struct server_removal *base)
{
	struct removal *r = container_of(base, struct removal, base);

	control_event(r->control, "removed",
		      json_pack("{sO}", "name", json_object_get(r->call->params, "name")));
	control_reply(r->call, json_true());
	free(r);
}

static void run_remove(struct control_call *call)
{
	struct error err;
	struct server_offer *o = serve_control_offer(call, &err);
	struct removal *r = o ? calloc(1, sizeof(*r)) : NULL;
	int rc;

	if (!r) {
		if (o)
			error_set(&err, -ENOMEM, "cannot remove it");
		control_refuse(call, &err);
		return;
	}
	*r = (struct removal){.base.done = removal_done, .control = call->control, .call = call};
	rc = server_remove_offer(o, &r->base);
	if (!rc)
		return;
	free(r);
	error_set(&err, rc, "%s is being removed already.", control_string(call, "name"));
	control_refuse(call, &err);
}

/* ---- resize ---- */

/* How long the new size may need to be seen: it is looked at aside, too. */
#define RESIZE_LOOKS	200
#define RESIZE_PAUSE_NS (50 * NSEC_PER_MSEC)

/* The length is changed aside, where a file system may hang. */
struct resize {
	struct aside_job job;
	struct serve_control *control;
	struct control_call *call;
	struct reactor_timer again;
	struct list link; /* in control->resizes, while the timer runs */
	unsigned looks;
	uint64_t size;
	int fd, rc;
};

static void resize_end(struct resize *r, const struct error *err)
{
	json_t *about = err ? NULL
			    : json_pack("{sO sI}", "name", json_object_get(r->call->params, "name"),
					"size", (json_int_t)r->size);

	if (about)
		control_event(&r->control->instance.control, "resized", json_incref(about));
	instance_answer(r->call, about, err);
	free(r);
}

/* Whether the disk has it now: its guest has been told then. */
static void resize_look(struct resize *r)
{
	const char *name = control_string(r->call, "name");
	struct server_offer *o = server_find(r->control->server, name);
	struct error err;

	if (!o) {
		error_set(&err, -ENOENT, "%s was removed meanwhile.", name);
		resize_end(r, &err);
		return;
	}
	o->ops->refresh(o);
	if (storage_size(virtio_blk_of(o->ops->device(o))->storage) == r->size) {
		resize_end(r, NULL);
	} else if (r->looks++ < RESIZE_LOOKS) {
		list_add_tail(&r->control->resizes, &r->link);
		reactor_timer_start(server_home(r->control->server), &r->again, RESIZE_PAUSE_NS);
	} else {
		error_set(&err, -ETIMEDOUT,
			  "the image has its new length, but %s has not taken it over.", name);
		resize_end(r, &err);
	}
}

static void resize_again(struct reactor_timer *t)
{
	struct resize *r = container_of(t, struct resize, again);

	list_del(&r->link);
	resize_look(r);
}

void serve_change_end(struct serve_control *c)
{
	list_for_each_safe (l, &c->additions) {
		struct addition *a = list_entry(l, struct addition, link);

		control_reply(a->call, NULL);
		addition_free(a);
	}
	list_for_each_safe (l, &c->resizes) {
		struct resize *r = list_entry(l, struct resize, link);

		reactor_timer_stop(server_home(c->server), &r->again);
		list_del(&r->link);
		control_reply(r->call, NULL);
		free(r);
	}
}

static void resize_run(struct aside_job *job)
{
	struct resize *r = container_of(job, struct resize, job);

	r->rc = ftruncate(r->fd, (off_t)r->size) ? -errno : 0;
	close(r->fd);
	r->fd = -1;
}

static void resize_done(struct aside_job *job)
{
	struct resize *r = container_of(job, struct resize, job);
	struct error err;

	if (!r->rc) {
		resize_look(r);
		return;
	}
	error_set(&err, r->rc, "the size of %s cannot be changed", control_string(r->call, "name"));
	resize_end(r, &err);
}

/* The server has ended meanwhile, and so has whoever asked. */
static void resize_drop(struct aside_job *job)
{
	struct resize *r = container_of(job, struct resize, job);

	if (r->fd >= 0)
		close(r->fd);
	control_reply(r->call, NULL);
	free(r);
}

static struct storage *resize_storage(const struct control_call *call, struct error *err)
{
	struct server_offer *o = serve_control_offer(call, err);
	struct virtio_device *vdev = o ? o->ops->device(o) : NULL;

	if (!o)
		return NULL;
	if (vdev->cls->id != VIRTIO_ID_BLOCK) {
		error_set(err, -EINVAL, "%s is no disk.", control_string(call, "name"));
		return NULL;
	}
	return virtio_blk_of(vdev)->storage;
}

/* The descriptor to change the length of, or -errno and a sentence. */
static int resize_prepare(const struct control_call *call, uint64_t *size, struct error *err)
{
	const struct storage *s = resize_storage(call, err);

	if (!s)
		return -ENOENT;
	if (size_parse(control_string(call, "size"), size))
		return error_set(err, -EINVAL, "'%s' is no size: 20G or 1000000 would be one.",
				 control_string(call, "size"));
	if (*size < storage_size(s) && !control_flag(call, "shrink"))
		return error_set(err, -EINVAL,
				 "%s has %llu bytes, and all behind the new end would be lost: "
				 "say --shrink, too, if that is meant.",
				 control_string(call, "name"), (unsigned long long)storage_size(s));
	return storage_resize_fd(s, *size, err);
}

static void run_resize(struct control_call *call)
{
	struct resize *r = calloc(1, sizeof(*r));
	struct error err = {"out of memory"};

	if (r) {
		r->job = (struct aside_job){
			.run = resize_run, .done = resize_done, .drop = resize_drop};
		r->control = serve_control_of(call);
		r->call = call;
		reactor_timer_init(&r->again, resize_again);
		r->fd = resize_prepare(call, &r->size, &err);
	}
	if (r && r->fd >= 0) {
		aside_run(r->control->slow, &r->job);
		return;
	}
	free(r);
	control_refuse(call, &err);
}

/* ---- the verbs ---- */

static const struct control_param add_params[] = {
	{.name = "vhost-user",
	 .type = CONTROL_STRING,
	 .optional = true,
	 .option = true,
	 .text = "the socket to offer it on"},
	{.name = "vfio-user",
	 .type = CONTROL_STRING,
	 .optional = true,
	 .option = true,
	 .text = "the same, as a whole PCI board"},
	{.name = "disk",
	 .type = CONTROL_STRING,
	 .optional = true,
	 .option = true,
	 .text = "words as behind serve --disk"},
	{.name = "net",
	 .type = CONTROL_STRING,
	 .optional = true,
	 .option = true,
	 .text = "words as behind serve --net"},
	{.name = "name",
	 .type = CONTROL_STRING,
	 .optional = true,
	 .option = true,
	 .text = "what it is called; default disk and a number"},
	{0},
};
static const struct control_param remove_params[] = {INSTANCE_DISK, {0}};
static const struct control_param resize_params[] = {
	INSTANCE_DISK,
	{.name = "size", .type = CONTROL_STRING, .text = "the new one, as 20G"},
	{.name = "shrink",
	 .type = CONTROL_BOOL,
	 .optional = true,
	 .option = true,
	 .text = "it may get smaller"},
	{0},
};

const struct control_verb serve_add = {
	.name = "add",
	.text = "one more disk, with its socket",
	.changes = true,
	.slow = true,
	.params = add_params,
	.run = run_add,
};
const struct control_verb serve_remove = {
	.name = "remove",
	.text = "drains it, sends away who uses it, closes socket and image",
	.changes = true,
	.slow = true,
	.params = remove_params,
	.run = run_remove,
};
const struct control_verb serve_resize = {
	.name = "resize",
	.text = "another length for the image; the guest is told",
	.changes = true,
	.slow = true,
	.params = resize_params,
	.run = run_resize,
};
