/* SPDX-License-Identifier: MIT */
/*
 * The storages of several disks are opened side by side, before the disks are made: a server that
 * does not answer delays its own sentence and nobody else's, and whoever waits can be told to stop.
 *
 *      begin ... begin -> wait -> disk_open_storage() finds them
 *
 * Threads: the control thread, which turns its reactor while it waits.
 */
#ifndef DISK_AHEAD_H
#define DISK_AHEAD_H

#include "disk/spec.h"

struct disk_room;

/* @spec is what disk_open_storage() will be asked for, by the same @name.  0 or -ENOMEM. */
int disk_ahead_begin(struct disk_room *room, const struct disk_spec *spec, const char *name,
		     struct error *err);
/*
 * Return: 0 - all are open;  -errno - the sentence of the first that failed, which the others do not
 * delay;  -ECANCELED - @stopped said so, which is asked after each turn.
 */
int disk_ahead_wait(struct disk_room *room, bool (*stopped)(void *opaque), void *opaque,
		    struct error *err);
/* One that was opened otherwise, for disk_ahead_take(); the room's.  -ENOMEM: it is closed. */
int disk_ahead_put(struct disk_room *room, const struct disk_spec *spec, struct storage *s,
		   struct error *err);
/* The storage that was opened for @spec, the caller's now.  NULL: none was. */
struct storage *disk_ahead_take(struct disk_room *room, const struct disk_spec *spec);
/* Closes what nobody took, and cancels what is under way; disk_room_fini() does it, too. */
void disk_ahead_end(struct disk_room *room);

#endif
