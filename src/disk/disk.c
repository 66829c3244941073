/* SPDX-License-Identifier: MIT */
#include "disk/disk.h"

#include <errno.h>

int disk_room_init(struct disk_room *room, struct reactor *home,
		   const struct worker_pool_config *config, struct error *err)
{
	*room = (struct disk_room){.home = home};
	list_init(&room->ahead);
	room->storages = storage_set_create();
	if (!room->storages)
		return error_set(err, -ENOMEM, "cannot create a room for disks");
	return worker_pool_init(&room->pool, config, err);
}

void disk_room_fini(struct disk_room *room)
{
	if (room->storages)
		disk_ahead_end(room);
	worker_pool_fini(&room->pool);
	storage_set_put(&room->storages);
}

static struct storage_options disk_storage_options(struct disk_room *room,
						   const struct disk_spec *spec, const char *name)
{
	struct storage_options o = spec->storage;

	o.disk = name;
	o.set = room->storages;
	return o;
}

static int open_any(struct disk_room *room, const struct disk_spec *spec, const char *name,
		    struct storage **out, struct error *err)
{
	const struct storage_options o = disk_storage_options(room, spec, name);

	*out = disk_ahead_take(room, spec);
	return *out ? 0 : storage_open(&o, out, err);
}

int disk_open_begin(struct disk_room *room, const struct disk_spec *spec, const char *name,
		    struct storage_opening *op, struct error *err)
{
	const struct storage_options o = disk_storage_options(room, spec, name);

	return storage_open_begin(&o, room->home, op, err);
}

int disk_open_storage(struct disk_room *room, const struct disk_spec *spec, const char *name,
		      struct storage **out, struct error *err)
{
	int rc = open_any(room, spec, name, out, err);

	if (rc || !storage_limits_zoned(storage_limits(*out)))
		return rc;
	storage_close(out);
	return error_set(err, -EINVAL,
			 "%s: a disk of host-managed zones can be a virtio-blk disk alone.",
			 spec->file);
}

struct virtio_blk_options disk_blk_options(const struct disk_spec *spec, const char *name)
{
	return (struct virtio_blk_options){
		.path = name,
		.serial = spec->serial,
		.queues = spec->queues,
		.queue_size = spec->queue_size,
		.no_packed = !spec->packed,
		.no_event_idx = !spec->event_idx,
		.write_through = !spec->wce,
	};
}

int disk_from_spec(struct disk_room *room, const struct disk_spec *spec, const char *name,
		   struct virtio_blk **out, struct error *err)
{
	const struct virtio_blk_options o = disk_blk_options(spec, name);
	struct worker_pool *pool = &room->pool;
	struct storage *storage;
	int rc = open_any(room, spec, name, &storage, err);

	if (rc)
		return rc;
	rc = virtio_blk_create(out, &o, storage, room->home, pool->workers, pool->n,
			       worker_pool_take(pool, spec->queues), err);
	if (rc)
		storage_close(&storage);
	return rc;
}
