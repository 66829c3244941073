/* SPDX-License-Identifier: MIT */
/*
 * The inside of src/storage: which blocks a guest is shown, and which sizes a disk can have.
 *
 * The guest sees 512-byte logical and 4096-byte physical blocks, whatever the host's file system or
 * device prefers: an image that is moved, cloned, or copied to a device of 4096-byte sectors keeps
 * its partitions and boots as before.  Only words of the user change that.  What the host prefers
 * is the engine's own affair (struct storage: size_unit, O_DIRECT's raster).  The one fact of the
 * host that is passed on is the discard granularity, since no smaller discard gives space back.
 */
#ifndef STORAGE_GEOMETRY_H
#define STORAGE_GEOMETRY_H

#include "storage/engine.h"

/* Whether what the user asked for can be; before anything is opened. */
int geometry_check(const struct storage_geometry *asked, const char *target, struct error *err);

/* Completes the limits of a storage that its engine has opened: the words of the user where there
 * are any, else the default. */
void geometry_apply(struct storage *s, const struct storage_geometry *asked);

/* Whether a disk can have this size.  The one judge: at open, and for each size seen later. */
int geometry_judge_size(const struct storage *s, const char *target, uint64_t size,
			struct error *err);

#endif
