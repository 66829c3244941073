/* SPDX-License-Identifier: MIT */
#include "disk/ahead.h"

#include "disk/disk.h"

#include <errno.h>
#include <stdlib.h>

struct disk_ahead {
	struct list link; /* in the room's ahead */
	const struct disk_spec *spec;
	struct storage_opening op;
	struct storage *storage; /* NULL: not yet */
	int rc;
	struct error err;
};

static struct disk_ahead *ahead_of(struct list *l)
{
	return list_entry(l, struct disk_ahead, link);
}

static void ahead_opened(struct storage_opening *op, int rc, struct storage *s,
			 const struct error *err)
{
	struct disk_ahead *a = container_of(op, struct disk_ahead, op);

	a->storage = s;
	a->rc = rc;
	a->err = *err;
}

int disk_ahead_begin(struct disk_room *room, const struct disk_spec *spec, const char *name,
		     struct error *err)
{
	struct disk_ahead *a = calloc(1, sizeof(*a));
	int rc;

	if (!a)
		return error_set(err, -ENOMEM, "cannot open %s", spec->file);
	a->spec = spec;
	a->op.done = ahead_opened;
	rc = disk_open_begin(room, spec, name, &a->op, err);
	if (rc)
		free(a);
	else
		list_add_tail(&room->ahead, &a->link);
	return rc;
}

/* 0: all are open; -EAGAIN: some are not. */
static int ahead_look(const struct disk_room *room, struct error *err)
{
	int rc = 0;

	list_for_each (l, &room->ahead) {
		const struct disk_ahead *a = ahead_of(l);

		if (a->rc) {
			*err = a->err;
			return a->rc;
		}
		if (!a->storage)
			rc = -EAGAIN;
	}
	return rc;
}

int disk_ahead_wait(struct disk_room *room, bool (*stopped)(void *opaque), void *opaque,
		    struct error *err)
{
	int rc;

	while ((rc = ahead_look(room, err)) == -EAGAIN) {
		reactor_turn(room->home);
		if (stopped && stopped(opaque))
			return -ECANCELED;
	}
	return rc;
}

static void ahead_drop(struct disk_ahead *a)
{
	storage_open_cancel(&a->op);
	storage_close(&a->storage);
	list_del(&a->link);
	free(a);
}

int disk_ahead_put(struct disk_room *room, const struct disk_spec *spec, struct storage *s,
		   struct error *err)
{
	struct disk_ahead *a = calloc(1, sizeof(*a));

	if (!a) {
		storage_close(&s);
		return error_set(err, -ENOMEM, "cannot open %s", spec->file);
	}
	a->spec = spec;
	a->storage = s;
	list_add_tail(&room->ahead, &a->link);
	return 0;
}

struct storage *disk_ahead_take(struct disk_room *room, const struct disk_spec *spec)
{
	list_for_each_safe (l, &room->ahead) {
		struct disk_ahead *a = ahead_of(l);
		struct storage *s = a->storage;

		if (a->spec != spec || !s)
			continue;
		a->storage = NULL;
		ahead_drop(a);
		return s;
	}
	return NULL;
}

void disk_ahead_end(struct disk_room *room)
{
	list_for_each_safe (l, &room->ahead)
		ahead_drop(ahead_of(l));
}
