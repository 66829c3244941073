/* SPDX-License-Identifier: MIT */
/*
 * From words to a disk: the storage that holds its bytes, and the virtio-blk device in front of it.
 * The one place that does this, for `ringside serve`, `pc`, `tree`, `local:` and the library.
 *
 *      spec.c   the words
 *      pool.c   the workers
 *      ahead.c  storages opened side by side, before the disks are made
 *      disk.c   storage and device of them
 *
 * Threads: the control thread.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include "backend/blk/virtio_blk.h"
#include "disk/ahead.h"
#include "disk/pool.h"
#include "disk/spec.h"

/* What the disks of one server or machine are made with. */
struct disk_room {
	struct reactor *home; /* the control thread's                            */
	struct worker_pool pool;
	struct storage_set *storages;
	struct list ahead; /* storages that are opened before their disks are made (ahead.h) */
};

/* @home stays the caller's. */
int disk_room_init(struct disk_room *room, struct reactor *home,
		   const struct worker_pool_config *config, struct error *err);
/* Nothing of it is left.  Harmless when zeroed or done before. */
void disk_room_fini(struct disk_room *room);

/*
 * The bytes alone, for devices of another kind, which know no zones.  @name: of the disk, for messages.  Waits for them,
 * unless they were opened ahead.
 */
int disk_open_storage(struct disk_room *room, const struct disk_spec *spec, const char *name,
		      struct storage **out, struct error *err);
/* The same without waiting (storage_open_begin()). */
int disk_open_begin(struct disk_room *room, const struct disk_spec *spec, const char *name,
		    struct storage_opening *op, struct error *err);

/* A virtio-blk device that stands nowhere yet.  virtio_blk_destroy() closes its storage, too. */
int disk_from_spec(struct disk_room *room, const struct disk_spec *spec, const char *name,
		   struct virtio_blk **out, struct error *err);

/* Points into @spec and @name. */
struct virtio_blk_options disk_blk_options(const struct disk_spec *spec, const char *name);

#endif
