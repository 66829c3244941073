/* SPDX-License-Identifier: MIT */
/*
 * From a disk as people describe it (storage/spec.h) to the device: the one place that knows both.
 */
#ifndef BACKEND_BLK_OPTIONS_H
#define BACKEND_BLK_OPTIONS_H

#include "backend/blk/virtio_blk.h"
#include "storage/spec.h"

/* @path: the device's name for messages.  Points into @spec and @path. */
struct virtio_blk_options virtio_blk_options_from(const struct disk_spec *spec, const char *path);

#endif
