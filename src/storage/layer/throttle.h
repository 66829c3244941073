/* SPDX-License-Identifier: MIT */
/*
 * throttle: how many requests and bytes a second pass, by disk or by group of disks.
 *
 *	throttle_rate.c	  the accounting
 *	throttle_group.c  who shares it, and whose turn it is
 *	throttle.c	  the layer
 *
 * A member is one channel of one disk.  Requests that must wait do so in their member, and members
 * take turns, one request each, reads and writes apart: a member with one request in flight gets as
 * many turns as one with a thousand.  One member that is called the keeper has the timer for all of
 * the group; whom it gives a turn on another thread it tells by that channel's bell.
 *
 * Flushes pass at once: they carry no data, and what they make stable has passed before.
 * A discard counts as a request without bytes.
 *
 * Threads: a group is shared, under its lock, which is taken before the lock of a layer.  Groups are
 * found, made and freed on the control thread.
 */
#ifndef STORAGE_LAYER_THROTTLE_H
#define STORAGE_LAYER_THROTTLE_H

#include "storage/layer/layer.h"
#include "storage/layer/throttle_rate.h"

struct throttle_io {
	struct layer_io l; /* l.next: the next one that waits, or may go */
	enum throttle_direction dir;
	uint64_t bytes;
};

struct throttle_fifo {
	struct layer_io *head, *tail;
};

struct throttle_member;

struct throttle_group {
	struct storage_set *set; /* NULL: none */
	struct list link;	 /* in the set's throttle_groups; its lock, as users */
	char *name;		 /* NULL: of one disk alone */
	unsigned users;		 /* disks */
	uint64_t (*now)(void);

	pthread_mutex_t lock; /* protects what follows, and of members what says so */
	struct storage_throttle_options options;
	struct throttle_rate rate;
	bool limits; /* there is a limit at all */
	struct list waiting[THROTTLE_DIRECTIONS];
	enum throttle_direction first; /* who is looked at first the next time */
	struct throttle_member *keeper;
	uint64_t busy_ns; /* when one that had waited got its turn */
	uint64_t waited;  /* requests that had to wait, until now */
	unsigned n_waiting;
};

struct throttle_member {
	struct layer_channel ch;
	struct throttle_group *group;
	struct reactor_timer timer;
	/* Under the group's lock: */
	struct list turn[THROTTLE_DIRECTIONS]; /* in group.waiting, while there is something in */
	struct throttle_fifo waits[THROTTLE_DIRECTIONS];
	struct throttle_fifo may_go;
};

/* ---- throttle_group.c ---- */

/* The group that the options name, or a new one; the caller's.  Control thread. */
int throttle_group_get(const struct storage_options *o, struct throttle_group **out,
		       struct error *err);
void throttle_group_put(struct throttle_group *g);
void throttle_group_change(struct throttle_group *g, const struct storage_throttle_options *o);

/* true: it may go at once; else it waits. */
bool throttle_group_enter(struct throttle_member *m, struct throttle_io *t);
/* What may go now; and, if @m is the keeper, gives turns.  The list is linked by next. */
struct layer_io *throttle_group_look(struct throttle_member *m);
/* The same, of everything that waits: nobody waits here any longer. */
struct layer_io *throttle_group_let_go(struct throttle_member *m);
/* @m has nothing that waits, and goes. */
void throttle_group_leave(struct throttle_member *m);

#endif
