/* SPDX-License-Identifier: MIT */
/*
 * The inside of src/storage: disks that are images of a Ceph cluster.
 *
 *      rbd_lib.c      librbd and librados, loaded when they are needed
 *      rbd_cluster.c  one connection to a cluster, shared by all its disks
 *      rbd.c          the engine: names, an image opened, watched and closed
 *      rbd_io.c       requests
 *
 * librbd is asynchronous and may be called from any thread, so there is one image handle for all
 * channels.  What opens and closes waits for the cluster and is done apart, for RBD_OPEN_SECONDS
 * and RBD_CLOSE_SECONDS at most; what the cluster answers later is undone there.
 *
 * Data goes by buffers of our own: librbd's threads read and write it, and stand in no guard of the
 * guest's memory (mem/gmem.h).  Our thread copies.
 *
 * librbd answers what it should refuse: a read across the end comes short, writes and discards
 * across it are cut and succeed, and a write behind it is never answered.  So each request is held
 * against the size of the image, which librbd tells us when it changes, before and after.
 *
 * What librbd has been given cannot be called back: a drain waits for it, as long as the cluster
 * hangs.  What waits here for a piece, with a cluster that is mute, is answered instead of being
 * sent, too.
 *
 * Durability: a write that is answered is on all replicas that the pool asks for, unless the
 * client's cache is on; we switch it off, but an image's own settings may switch it on.  Then, and
 * if it cannot be told, FUA is a flush behind the write.
 *
 * Ownership: the image's exclusive lock is taken at open and kept, so a second writer is refused.
 * Whoever takes it by force has the cluster blocklist us, and every request fails from then on
 * (ESHUTDOWN): the disk has ended.  librbd 16.2 may then wait for ever, where an image has an object
 * map.  So when nothing has been answered between two looks at the size, the cluster is asked by a
 * way of our own whether it still takes us; if not, what is in flight is answered without librbd.
 */
#ifndef STORAGE_RBD_H
#define STORAGE_RBD_H

#include "base/apart.h"
#include "base/list.h"
#include "mem/far_copy.h"
#include "storage/engine.h"
#include "storage/io_fifo.h"
#include "storage/rbd_lib.h"

#include <pthread.h>

#define RBD_OPEN_SECONDS  30
#define RBD_MOUNT_SECONDS "20" /* for the monitors; less than that */
#define RBD_CLOSE_SECONDS 5

#define RBD_PIECES	  128
#define RBD_PIECE_BYTES	  ((size_t)1 << 20)
#define RBD_KEPT_BYTES	  ((size_t)16 << 10)

struct rbd_cluster {
	struct rbd_lib lib;
	char *conf, *name, *keyring; /* as asked for; NULL: by default */
	struct storage_set *set;     /* NULL: none */
	struct list link;	     /* in @set; its lock */
	unsigned users;		     /* disks that are open or opening; @set's lock */
	unsigned refs;		     /* atomic: those, and what was left behind */

	pthread_mutex_t lock; /* protects what follows; taken alone */
	bool connected;
	rados_t rados;
};

/* The cluster of that disk, perhaps not connected yet. */
int rbd_cluster_get(const struct storage_options *o, struct rbd_cluster **out, struct error *err);
/* The disk is done with it; what was left behind may not be. */
void rbd_cluster_leave(struct rbd_cluster *c);
void rbd_cluster_ref(struct rbd_cluster *c);
void rbd_cluster_unref(struct rbd_cluster *c);
/* Connects, if it is not yet.  Waits for the cluster. */
int rbd_cluster_connect(struct rbd_cluster *c, struct error *err);

struct rbd_disk {
	struct storage base;
	struct rbd_cluster *cluster;
	char *target;
	rados_ioctx_t pool;
	rbd_image_t image;
	uint64_t watch;
	bool watched;
	pthread_mutex_t lock; /* protects @closing and @channels; taken before a channel's */
	bool closing;	      /* nobody is to be told of changes any more     */
	bool through;	      /* no cache anywhere: what is written is stable */
	bool ended;	      /* atomic: we are blocklisted                   */
	bool mute;	      /* atomic: nothing was answered between the last two looks */
	int lost;	      /* atomic: of a flush that failed while a cache was on; 0: none */
	uint64_t known;	      /* atomic: the image's size                     */
	unsigned news;	      /* atomic: how often it has changed             */
	/* Pieces, atomic; and at the last look, control thread. */
	uint64_t sent, answered, answered_before;
	bool looked_mute;
	bool probing; /* @lock */
	pthread_cond_t probed;
	struct list channels; /* @lock */
};

struct rbd_channel;

struct rbd_piece {
	struct rbd_piece *next;
	struct rbd_channel *ch;
	struct storage_io *io; /* NULL: idle, or its request has been answered without it */
	rbd_completion_t completion;
	uint8_t *data;
	size_t room;
	uint64_t skip; /* bytes of the request before this piece */
	uint64_t len;
};

struct rbd_channel {
	struct storage_channel base;
	struct list link; /* in rbd_disk.channels */
	struct io_fifo waiting;
	unsigned requests; /* in flight                               */
	bool draining;	   /* until there are none                    */
	struct far_copy copy;
	struct rbd_piece *idle;
	unsigned in_flight; /* atomic: pieces            */
	unsigned news;	    /* of the disk, as seen last */

	pthread_mutex_t lock; /* protects what follows; taken before no other lock */
	struct rbd_piece *answered;
	bool posted;   /* @msg is under way                                            */
	bool closed;   /* whoever comes last of those that are left frees it           */
	unsigned left; /* pieces that librbd has not answered, and @msg               */
	struct reactor_msg msg;

	struct rbd_piece pieces[RBD_PIECES];
};

int rbd_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
		     struct error *err);
void rbd_channel_close(struct storage_channel *ch);
void rbd_submit(struct storage_channel *ch, struct storage_io *io);
void rbd_drain(struct storage_channel *ch, struct storage_drain *d);
/* Nothing has come from the cluster for a while; any thread. */
void rbd_disk_is_mute(struct rbd_disk *d);
/* The image has another size; any thread. */
void rbd_disk_news(struct rbd_disk *d);
/* The cluster takes no more of us; any thread. */
void rbd_disk_end(struct rbd_disk *d);

static inline struct rbd_disk *rbd_disk_of(struct storage *s)
{
	return container_of(s, struct rbd_disk, base);
}

#endif
