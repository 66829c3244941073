/* SPDX-License-Identifier: MIT */
#include "backend/blk/options.h"

struct virtio_blk_options virtio_blk_options_from(const struct disk_spec *spec, const char *path)
{
	return (struct virtio_blk_options){
		.path = path,
		.serial = spec->serial,
		.queues = spec->queues,
		.queue_size = spec->queue_size,
		.no_packed = !spec->packed,
		.no_event_idx = !spec->event_idx,
		.write_through = !spec->wce,
	};
}
