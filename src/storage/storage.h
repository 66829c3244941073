/* SPDX-License-Identifier: MIT */
/*
 * Where bytes live.  One struct storage per disk, shared: size, limits, capabilities.  One struct
 * storage_channel per disk and worker, used by that worker's thread alone, without locks.
 *
 * submit cannot fail: every outcome, good or bad, arrives exactly once in io->done, on the
 * channel's thread, perhaps before submit returns. Knows bytes; knows no virtio word.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/error.h"
#include "base/list.h"
#include "base/reactor.h"
#include "base/words.h"
#include "storage/layers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* Logs of recorded disks keep these numbers (layer/record_log.h): none is changed or used again. */
enum storage_op {
	STORAGE_READ = 0,
	STORAGE_WRITE = 1,
	STORAGE_FLUSH = 2,	  /* everything completed before it is stable when it completes */
	STORAGE_DISCARD = 3,	  /* contents become undefined; space may be given back         */
	STORAGE_WRITE_ZEROES = 4, /* the range reads as zeroes                                  */
	STORAGE_SECURE_ERASE = 5, /* what was there cannot be read back below either; contents
				   * become undefined; stable at completion, whatever the flags */
	STORAGE_LIFETIME = 6,	  /* fills iov, a struct storage_lifetime; offset is 0          */

	/* Of zoned disks alone (storage_zone_limits); offset is where a zone begins. */
	STORAGE_APPEND = 7,	 /* written where the zone's write pointer is: zone->position */
	STORAGE_ZONE_REPORT = 8, /* what zones there are, from the one that holds offset on   */
	STORAGE_ZONE_OPEN = 9,	 /* explicitly */
	STORAGE_ZONE_CLOSE = 10,
	STORAGE_ZONE_FINISH = 11,    /* the zone is full                                          */
	STORAGE_ZONE_RESET = 12,     /* ... and empty: its contents are gone, at completion       */
	STORAGE_ZONE_RESET_ALL = 13, /* all that have a write pointer; offset is 0                */
};
#define STORAGE_OPS   14

#define STORAGE_FUA   1u /* WRITE, DISCARD, WRITE_ZEROES, APPEND: stable at completion */
#define STORAGE_UNMAP 2u /* WRITE_ZEROES: may give space back; else it stays taken   */
/* It was in flight when a server ended and is sent again by the next: on a zoned disk it may have been
 * done already, and that is no error. */
#define STORAGE_AGAIN 4u

/* The numbers are those of ZBC, and so of Linux and virtio. */
enum storage_zone_type {
	STORAGE_ZONE_CONVENTIONAL = 1,
	STORAGE_ZONE_SEQUENTIAL = 2, /* written at its write pointer alone */
};

enum storage_zone_condition {
	STORAGE_ZONE_NOT_WP = 0, /* conventional */
	STORAGE_ZONE_EMPTY = 1,
	STORAGE_ZONE_IMPLICIT = 2, /* open, since it was written */
	STORAGE_ZONE_EXPLICIT = 3, /* open, since somebody said so */
	STORAGE_ZONE_CLOSED = 4,
	STORAGE_ZONE_READONLY = 13,
	STORAGE_ZONE_FULL = 14,
	STORAGE_ZONE_OFFLINE = 15,
};

struct storage_zone {
	uint64_t start, size; /* bytes; the last zone of a disk may be smaller         */
	uint64_t capacity;    /* bytes from the start that can be written              */
	uint64_t wp;	      /* from the disk's beginning; while empty, open, closed  */
	uint8_t type, condition;
};

/* What APPEND and ZONE_REPORT bring beside an error; the caller's. */
struct storage_zone_reply {
	uint64_t position;	    /* APPEND: the first byte that was written */
	struct storage_zone *zones; /* ZONE_REPORT: room for @max */
	uint32_t max;
	uint32_t n; /* that were filled; 0: none are left */
};

/* How zoned disks say what is wrong with a request; in any other, these are plain failures. */
#define STORAGE_EZONE_COMMAND	EBADR  /* cannot be, in the zone's condition, or at that place */
#define STORAGE_EZONE_UNALIGNED ESPIPE /* a write that is not at the write pointer             */
#define STORAGE_EZONE_OPEN	ETOOMANYREFS /* too many open zones                           */
#define STORAGE_EZONE_ACTIVE	EOVERFLOW    /* too many active ones: open or closed         */

/* How worn the medium is, as the standards of eMMC and UFS tell it.  0: not told. */
struct storage_lifetime {
	uint16_t pre_eol; /* 1 normal, 2 warning, 3 urgent: reserved blocks are used up          */
	uint16_t a, b;	  /* two kinds of memory: 1 .. 10, tenths of the life used; 11: exceeded */
};

struct storage_io;

struct storage_io {
	/* Filled by the caller, who leaves it alone until done: */
	enum storage_op op;
	unsigned flags;
	uint64_t offset;   /* bytes                                                   */
	uint64_t len;	   /* bytes                                                   */
	struct iovec *iov; /* where there is data: covers exactly len; its entries may change
			    * meanwhile, and are as they were when done comes: it may be sent
			    * again */
	int iovcnt;
	struct storage_zone_reply *zone; /* APPEND, ZONE_REPORT */
	/* err: 0 or -errno (-EIO, -ENOSPC, ...); a short transfer is finished or is an error, never
	 * a success. */
	void (*done)(struct storage_io *io, int err);

	/* The engine's while in flight: */
	struct reactor_op rop;
	struct storage_channel *channel;
	struct storage_io *next;
	struct storage_io *hold_next;
	uint64_t progress;
	void *bounce;
	uint32_t state;
	bool hold_edit;
	int result;
	int cut; /* the entry of iov that is changed at present */
};

/*
 * Host-managed zones: all zeroes when the disk has none.  A sequential zone is written at its write
 * pointer alone; nothing crosses from one zone to the next, but between conventional ones; what lies
 * behind the write pointer reads as zeroes.
 */
struct storage_zone_limits {
	uint64_t size;		    /* bytes of a zone, power of two; 0: not zoned    */
	uint32_t max_open;	    /* zones, 0: no limit                             */
	uint32_t max_active;	    /* open or closed; 0: no limit                    */
	uint64_t max_append;	    /* bytes, 0: cannot append                        */
	uint32_t write_granularity; /* bytes: of writes to sequential zones           */
};

/* What a disk is and can do; read by any thread.  The blocks are what a guest is to be shown
 * (geometry.h); requests are taken on the raster of 512 bytes in any case. */
struct storage_limits {
	uint32_t block_size;	      /* bytes, >= 512, power of two; the size is a multiple  */
	uint32_t physical_block_size; /* >= block_size, power of two                          */
	uint32_t opt_io_size;	      /* bytes, 0: nothing to say                             */
	uint64_t max_discard;	      /* bytes in one request, 0: cannot discard              */
	uint32_t discard_alignment;   /* bytes: no smaller discard gives space back           */
	uint64_t max_write_zeroes;    /* bytes in one request, 0: cannot                      */
	bool write_zeroes_unmaps;     /* STORAGE_UNMAP may really give space back             */
	uint64_t max_secure_erase;    /* bytes in one request, 0: cannot                      */
	uint32_t erase_alignment;     /* bytes: what is off it may be refused                 */
	bool lifetime;		      /* STORAGE_LIFETIME has something to tell               */
	struct storage_zone_limits zones;
};

#define STORAGE_BLOCK_MAX 65536u

/* The blocks to show a guest, as asked for, in bytes; 0: the default. */
struct storage_geometry {
	uint32_t block_size;	      /* 512                                            */
	uint32_t physical_block_size; /* 4096, or block_size if that is larger          */
	uint32_t opt_io_size;	      /* nothing to say                                 */
	uint32_t discard_granularity; /* what the storage can give back                 */
};

/*
 * The open storages of one server or machine, so that an image that is in use can be told apart:
 * by one of our own disks, or by somebody else.
 *
 * Disks are opened by threads of their own, which have a reference; one that was given up may come
 * to its end when everybody else is gone.
 */
struct storage_set {
	pthread_mutex_t lock;	/* protects what follows; the locks of disks are taken inside it */
	pthread_cond_t settled; /* something left @opening */
	unsigned refs;		/* atomic */
	struct list all;
	struct list opening;	     /* struct storage_claim, in the order of beginning */
	struct list throttle_groups; /* those that have a name */
	struct list rbd_clusters;    /* connected; each is one for all its disks */
};

/* In memory of the caller's, who opens disks by storage_open() alone. */
static inline void storage_set_init(struct storage_set *set)
{
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->settled, NULL);
	set->refs = 1;
	list_init(&set->opening);
	list_init(&set->all);
	list_init(&set->throttle_groups);
	list_init(&set->rbd_clusters);
}

/* NULL: no memory. */
struct storage_set *storage_set_create(void);
void storage_set_ref(struct storage_set *set);
/* Of one that was created.  NULLs *set. */
void storage_set_put(struct storage_set **set);

/*
 * What every engine may be told.  Which of it an engine obeys stands in its own table of words;
 * it does not look at the rest.
 */
enum storage_access {
	STORAGE_WRITABLE = 0,
	STORAGE_READONLY = 1,
	STORAGE_AUTO = 2, /* read-only where it cannot be written */
};

enum storage_format {
	STORAGE_FORMAT_RAW = 0,
	STORAGE_FORMAT_QCOW2,
	STORAGE_FORMAT_VMDK,
	STORAGE_FORMAT_VDI,
	STORAGE_FORMAT_VHDX,
	STORAGE_FORMAT_VPC,
	STORAGE_FORMAT_PARALLELS,
	STORAGE_FORMAT_LUKS,
};

/* How what is erased for good becomes so; where that cannot be, it is not offered. */
enum storage_erase {
	STORAGE_ERASE_DEVICE = 0, /* by a block device that can */
	STORAGE_ERASE_OVERWRITE,  /* by zeroes in its place     */
	STORAGE_ERASE_OFF,
};

/* Whose life is told. */
enum storage_life {
	STORAGE_LIFE_DEVICE = 0, /* of a block device that tells it                       */
	STORAGE_LIFE_MEDIUM,	 /* of what the image lies on, too; refused where nothing is */
	STORAGE_LIFE_OFF,
};

/* What a disk of words gets, unless they say otherwise; 0: requests fail at once. */
#define STORAGE_RECONNECT_SECONDS 30

struct storage_options {
	const char *target;	 /* PATH, null:SIZE, memory:SIZE, nbd://..., rbd:...         */
	const char *disk;	 /* its name, for sentences; may be NULL                     */
	struct storage_set *set; /* to be listed in while open; NULL: none            */
	bool unlisted;		 /* a part of another disk of that set, which is listed */
	unsigned readonly;	 /* enum storage_access                                     */
	bool direct;		 /* cache=none: past the page cache                          */
	bool threads;		 /* aio=threads: no io_uring for I/O                         */
	bool no_lock;		 /* locking=off                                              */
	bool no_discard;	 /* discard=ignore: offer no discard, no unmapping         */
	unsigned format;	 /* enum storage_format; of a file alone                    */
	char *key_file;		 /* of an encrypted image; NULL: none                       */
	unsigned nbd_reconnect;	 /* seconds that requests wait for a server that is away    */
	unsigned nbd_timeout;	 /* seconds until a mute server counts as gone; 0: never    */
	char *rbd_conf, *rbd_name, *rbd_keyring,
		*rbd_namespace; /* of rbd: alone; NULL: default   */
	unsigned erase;		/* enum storage_erase                                      */
	unsigned life;		/* enum storage_life                                       */
	char *sysfs;		/* where the kernel's facts stand; NULL: /sys              */
	struct storage_geometry geometry;
	struct storage_layer_options layers;
};

struct storage; /* opaque outside src/storage */

/*
 * Whether the words of a disk go together, before anything is looked at or opened: what is wrong
 * with them alone is said here.  0, or -EINVAL and a sentence.
 */
int storage_judge_options(const struct storage_options *o, struct error *err);

/*
 * A target that no engine's prefix claims is a path, and its bytes are the disk's: formats are
 * never guessed from contents.
 *
 * Waits for names, servers and file systems, for as long as each engine does: for programs that do
 * nothing else meanwhile.
 */
int storage_open(const struct storage_options *o, struct storage **out, struct error *err);

/*
 * The same on a thread of its own: for whoever has others to serve, or opens several disks at once.
 * done() comes once, on @home's thread, unless it is cancelled before: 0 and a storage that is the
 * caller's, or -errno and a sentence.  What is opened in vain closes by itself, whenever that is.
 *
 * A disk whose target is named by one that was begun before waits for that: so it is the second of
 * them that is refused.
 */
struct storage_opening {
	void (*done)(struct storage_opening *op, int rc, struct storage *s,
		     const struct error *err);
	struct storage_opening_job *job; /* the storage's; NULL: none is under way */
};

/* Control thread, which is @home's.  @o is copied, its texts, too.  0, or -errno and no done(). */
int storage_open_begin(const struct storage_options *o, struct reactor *home,
		       struct storage_opening *op, struct error *err);
/* Harmless when none is under way. */
void storage_open_cancel(struct storage_opening *op);
/* The options of the engine that takes @target, and of all engines in turn (NULL behind the last):
 * for words that are read, and for help texts.  The fields are those of struct storage_options. */
const struct words_table *storage_words(const char *target);
const struct words_table *storage_words_at(unsigned i);
/* The same for the layers, each of which may be put on any engine. */
const struct words_table *storage_layer_words_at(unsigned i);
/* After the last channel is closed.  NULLs *s. */
void storage_close(struct storage **s);

uint64_t storage_size(const struct storage *s); /* bytes, whole blocks; any thread */
bool storage_readonly(const struct storage *s);
static inline bool storage_limits_zoned(const struct storage_limits *l)
{
	return l->zones.size;
}
/* Whether that is an answer of a zoned disk to a request that cannot be, as it was sent now. */
static inline bool storage_error_zone(int err)
{
	return err == -STORAGE_EZONE_COMMAND || err == -STORAGE_EZONE_UNALIGNED ||
	       err == -STORAGE_EZONE_OPEN || err == -STORAGE_EZONE_ACTIVE;
}
const struct storage_limits *storage_limits(const struct storage *s);
/*
 * Looks whether the size changed behind our back (file truncated or grown, block device resized)
 * and takes over the new one, if storage_open() would have taken it, too; else the old one stays,
 * and one line says so. 1: it changed; 0: it did not; -errno.  Control thread.
 */
int storage_refresh(struct storage *s);

/*
 * What to change the length of, so that the disk gets @size bytes: a descriptor for ftruncate(),
 * which is the caller's and may be used on any thread, since that call may wait; after it comes
 * storage_refresh().  -EOPNOTSUPP: this storage has no length that could be changed here; -EROFS,
 * -EINVAL; and a sentence.  Control thread.
 */
int storage_resize_fd(const struct storage *s, uint64_t size, struct error *err);

/*
 * To be told when there is reason for a storage_refresh(): by an engine that learns of a new size
 * by itself.  @changed comes on the thread of @home.  One watch for each disk; it ends with
 * storage_watch_stop(), at the latest before the storage is closed.  Control thread.  0 or -ENOMEM.
 */
struct storage_notice;
struct storage_watch {
	void (*changed)(struct storage_watch *w);
	struct storage_notice *notice; /* the storage's */
};
int storage_watch_start(struct storage *s, struct reactor *home, struct storage_watch *w);
/* Harmless when not started. */
void storage_watch_stop(struct storage *s, struct storage_watch *w);

/*
 * The stack of a disk, from the layer that is outermost down to the engine: what @s stands on; NULL
 * below the engine.
 */
struct storage *storage_below(const struct storage *s);
/* "file", "throttle". */
const char *storage_kind(const struct storage *s);
/* What was written may be lost, and no flush will succeed any more.  Any thread. */
bool storage_spoiled(const struct storage *s);
/* What it does at present, for a person; empty: nothing to say.  Any thread. */
void storage_describe(const struct storage *s, char *text, size_t size);

/* The disk of that name in the set; NULL: there is none. */
struct storage *storage_find(const struct storage_set *set, const char *disk);
/*
 * New values for options of the disk's layers, as they are written on the command line
 * ("throttle.iops=500"); what is not named stays.  -EINVAL and a sentence: nothing has changed.
 * Control thread.
 */
int storage_set_options(struct storage *s, const char *text, struct error *err);
/* What layers hold until somebody says so goes on.  How many requests that are. Control thread. */
unsigned storage_resume(struct storage *s);

/* On the reactor's thread.  The channel is used and closed there too. */
int storage_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
			 struct error *err);
/* Nothing may be in flight; not from inside a done.  NULLs *ch. */
void storage_channel_close(struct storage_channel **ch);

/*
 * Answered by -EINVAL: a range outside the disk, off the 512-byte raster, or longer than the limit
 * of its kind; by -EROFS: a change of a read-only disk; by -EOPNOTSUPP: what the limits do not
 * offer.  A length of zero is done at once.  What the zones of a zoned disk do not allow is answered
 * by the four errors above.
 */
void storage_submit(struct storage_channel *ch, struct storage_io *io);

/*
 * Nothing may be kept back any longer: what waits in the layers of this channel for its turn, for
 * time to pass or for an operator goes on at once, or is answered as if nothing could be awaited.
 * On the channel's thread; requests may complete before it returns.  Whoever wants the disk quiet
 * (a reset, a stop, a new memory map) submits no more, calls this, and waits for its requests.
 *
 * @d may be NULL, else its done() comes, once, on the channel's thread, when layers have nothing of
 * this channel in flight.  An engine alone keeps nothing back, and its requests are counted by
 * whoever sent them: there it comes at once.
 */
struct storage_drain {
	void (*done)(struct storage_drain *d);
	struct storage_drain *next; /* the layer's */
};
void storage_drain(struct storage_channel *ch, struct storage_drain *d);

#endif
