/* SPDX-License-Identifier: MIT */
/*
 * What all layers have in common: a storage on a storage, its channels, and their requests.
 *
 * A storage_io has one owner's private fields.  So a layer sends a request of its own below for each
 * that came from above, and has its own part beside it; both come from a pool that exists before
 * the first request does.  Who finds the pool empty waits for the next one that completes: nothing
 * is allocated on the way of a request, and submit cannot fail.
 *
 *	above   --- layer.submit(parent) --->  layer_pass(): a layer_io from the pool, a request below
 *	parent->done  <--- layer_answer() ---  io.done of the layer, when that has completed
 *
 * Invariants: each parent is answered once, by layer_answer() or, before it had a layer_io, by its
 * own done.  What a layer keeps back it keeps in lists of its own, and lets go of in drain.
 *
 * layer_ring() has every channel's thread look at what the control thread, or another channel, has
 * changed.
 *
 * Threads: a channel belongs to its reactor's thread.  struct layer is shared; its lock protects the
 * list of channels and nothing of a request, and no other lock is taken inside it.
 */
#ifndef STORAGE_LAYER_LAYER_H
#define STORAGE_LAYER_LAYER_H

#include "base/bits.h"
#include "storage/engine.h"

#include <pthread.h>

#define LAYER_IOS 1024 /* requests in flight in a layer of one channel; more wait */

struct layer_notice;

struct layer {
	struct storage base;
	char path[64];	      /* of the disk, for messages          */
	pthread_mutex_t lock; /* protects what follows */
	struct list channels;
};

struct layer_channel;

/* First member of a layer's own part of a request. */
struct layer_io {
	struct storage_io io;	   /* what goes below */
	struct storage_io *parent; /* what came from above */
	struct layer_channel *ch;
	struct layer_io *next; /* in the pool; or the layer's own while in flight */
};

struct layer_channel_ops {
	size_t io_size; /* of its struct that begins with a struct layer_io */
	/* What came from above now has a layer_io; io is the same request, for below. */
	void (*begin)(struct layer_io *l);
	/* layer_ring() was called, by somebody.  Optional. */
	void (*rung)(struct layer_channel *ch);
	/* What is kept back goes on or is answered; as long as ch->draining is set, nothing is kept
	 * back.  Optional: it never does. */
	void (*let_go)(struct layer_channel *ch);
};

struct layer_channel {
	struct storage_channel base;
	const struct layer_channel_ops *ops;
	struct storage_channel *below;
	struct list link; /* in layer.channels */
	struct layer_notice *notice;
	char *ios; /* LAYER_IOS of them; memory comes as they are used */
	unsigned fresh;
	struct layer_io *idle; /* last in, first out */
	struct storage_io *waiting, **waiting_tail;
	unsigned in_flight; /* layer_ios that are used */
	bool beginning;	    /* requests that waited                        */
	bool draining;	    /* until nothing is in flight                  */
	struct storage_drain *drains;
};

static inline struct layer *layer_of(const struct storage *s)
{
	return container_of(s, struct layer, base);
}

static inline struct layer_channel *layer_channel_of(struct storage_channel *ch)
{
	return container_of(ch, struct layer_channel, base);
}

/* A layer that offers what @below does. */
void layer_init(struct layer *l, const struct storage_options *o, struct storage *below);
void layer_fini(struct layer *l);

/* @ch is zeroed and the caller's; on failure nothing is to be undone. */
int layer_channel_init(struct layer_channel *ch, const struct layer_channel_ops *ops,
		       struct storage *s, struct reactor *r, struct error *err);
void layer_channel_fini(struct layer_channel *ch);

/* For the layer's table of ops. */
void layer_submit(struct storage_channel *ch, struct storage_io *io);
void layer_drain(struct storage_channel *ch, struct storage_drain *d);

/* Sends l->io below; l->io.done is called when it has completed. */
static inline void layer_pass(struct layer_io *l, void (*done)(struct storage_io *io, int err))
{
	struct layer_channel *ch = l->ch;
	bool draining = ch->draining;

	l->io.done = done;
	storage_submit(ch->below, &l->io);
	/* What is below may have been quiet when it was told. */
	if (unlikely(draining))
		storage_drain(ch->below, NULL);
}
/* Answers what came from above, and frees the layer_io.  The channel may be gone afterwards. */
void layer_answer(struct layer_io *l, int err);

/* Calls rung() on every channel's thread, or on this one's.  Any thread; @ch must not close. */
void layer_ring(struct layer *l);
void layer_ring_channel(struct layer_channel *ch);

#endif
