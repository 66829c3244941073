/* SPDX-License-Identifier: MIT */
/*
 * The inside of src/storage: disks behind an NBD server.
 *
 * libnbd is called on threads of our own alone, one for each connection (a link), and one more while
 * it connects (nbd_dial.c).  A link's thread waits for nothing but its next event, so that it can
 * always answer and end.  Neither a worker nor the control thread ever waits for a server; who opens
 * a disk does, for NBD_OPEN_SECONDS at most.
 *
 *      nbd.c       the engine: options, channels, what the server told of the disk
 *      nbd_link.c  one connection: connect, serve, lose, connect again
 *      nbd_dial.c  its beginning, where names are looked up
 *      nbd_io.c    one connection's requests: cut into commands, completed, repeated
 *      nbd_server.c  a server program of our own
 *      format.c    disks in an image format: a qemu-nbd of our own
 *
 * A server that allows several connections (multi-conn: what one of them flushes is what all of
 * them wrote) gets one for each channel; of any other all channels share one.  How many it allows it
 * does not say: what comes to a further connection while that one is not up goes to the first.
 *
 * A server that takes whole blocks of more than 512 bytes has one connection, where writes of less
 * are read, changed and written (nbd_io.c).
 *
 * When a connection is lost, the requests that were in flight are repeated on the next one: all of
 * them may be done twice.  None of them was answered, so a guest has given no order to them, and
 * what was answered is never repeated.  For the same reason a repeated flush waits for nothing: it
 * covers what was answered before it was asked for, and a repeat was not.
 *
 * A repeat may not meet the original: a connection is given up only when its server's host is gone
 * (nbd_host_is_gone()), or when nbd.timeout= says so.
 *
 * A drain answers what waits for a server that is away, and what is lost until it is over; what a
 * server has been sent, and may carry out any moment, nobody can call back: it is waited for.
 *
 * A server that ends may take changes with it that it had answered and not yet flushed.  Of a
 * server elsewhere we cannot know: most leave them in their kernel's page cache.  A qemu-nbd of our
 * own has metadata of the image in its memory, so if it dies with changes unflushed the disk fails
 * for good, rather than showing a guest what it had overwritten.
 *
 * A flush that the server fails is the last one that is believed, as of a file (file_sync.h): most
 * servers sync a file, and would succeed the next time.  All that follow fail, on each connection;
 * and one flush of a disk is under way at a time, as another one at the same time may succeed.
 *
 * Threads: what begins with nbd_link_ is called by any thread; nbd_io_ by the link's thread alone.
 */
#ifndef STORAGE_NBD_H
#define STORAGE_NBD_H

#include "mem/far_copy.h"
#include "storage/engine.h"
#include "storage/file_sync.h"
#include "storage/nbd_lib.h"
#include "storage/nbd_server.h"

#include <netinet/tcp.h>
#include <pthread.h>

#define NBD_OPEN_SECONDS 10
#define NBD_COMMANDS	 128		       /* in flight on one connection               */
#define NBD_RUN		 (UINT32_C(1) << 27)   /* longest trim and zero command, bytes      */
#define NBD_DATA	 (UINT32_C(128) << 10) /* of one read or write command        */
#define NBD_PAYLOAD	 (UINT32_C(32) << 20)  /* longest read and write command, bytes     */
#define NBD_GONE_MS	 30000		       /* nothing came back from the server's kernel */
#define NBD_TRIES	 16 /* connections lost under one request until it fails */

/* What the server says of the export. */
struct nbd_facts {
	uint64_t size;
	uint32_t min_block; /* >= 1 */
	uint32_t max_payload;
	bool readonly, flush, fua, trim, zero, multi;
};

/* How to get to the server; texts are owned by the link. */
struct nbd_way {
	char *uri;
	char **argv;	    /* instead: a program to start; NULL-ended           */
	char *name;	    /* for messages                                      */
	unsigned reconnect; /* seconds that requests wait for an absent server   */
	unsigned timeout;   /* seconds until a mute server is given up; 0: never */
};

struct nbd_channel {
	struct storage_channel base;
	struct nbd_link *link;
	unsigned in_flight;	/* requests; its thread                               */
	bool draining;		/* atomic, set by its thread: until nothing is in flight */
	pthread_mutex_t lock;	/* protects what follows; taken before no other lock */
	struct io_fifo done;	/* their err is io->result; all under way to the channel */
	struct reactor_msg msg; /* posted when @done is not empty any more           */
};

struct nbd_command {
	struct nbd_link *link;
	struct storage_io *io; /* NULL: free */
	struct nbd_command *next;
	void *data; /* its own */
	uint32_t room;
	uint64_t skip; /* bytes of the request before this piece */
	uint32_t len;
	uint32_t lead, span; /* of whole blocks: bytes before the data, and of all of them */
	bool edits;	     /* the blocks are read first */
	int err;
};

/* What became of a nbd_dial(). */
struct nbd_dialled {
	bool over, failed;
	struct nbd_handle *nbd; /* NULL: there was no memory */
	char why[256];
};

struct nbd_link {
	struct nbd_lib lib;
	struct nbd_way way;
	int wake; /* eventfd */
	struct nbd_link
		*main; /* another one, which takes what comes while this is not up; or NULL */

	pthread_mutex_t lock; /* protects what follows; taken before no other lock */
	pthread_cond_t changed;
	struct io_fifo inbox;
	unsigned refs;
	bool stop;
	bool ended;
	bool met;	  /* @facts are there                                        */
	struct error why; /* of the last failure to connect                          */
	struct nbd_facts facts;
	struct nbd_dialled dialled;

	struct file_sync sync; /* the disk's flushes; the first link's */

	/* The thread's: */
	struct nbd_server server; /* if it is our own */
	struct nbd_handle *nbd;
	struct log_limit log;
	bool dialling; /* there is no handle yet                  */
	bool up;
	bool proven; /* this connection has answered a request */
	bool tcp;
	bool given_up;
	bool was_lost;
	bool over; /* never again: what the server's own memory held is lost */
	/* Changes that were answered without being stable, and how many of them a flush covers. */
	uint64_t changes, stable;
	bool failed;	    /* a call of libnbd has left a reason */
	uint64_t since_ns;  /* the last sign of life                               */
	uint64_t absent_ns; /* no connection that was worth it since               */
	uint64_t connected_ns;
	uint64_t look_ns;     /* at the server's host, next */
	uint64_t next_try_ns; /* while there is no handle; else until it is given up */
	char lost_why[256];   /* to be told when its own server has ended            */
	uint64_t backoff_ns;
	struct io_fifo pending;
	struct nbd_command commands[NBD_COMMANDS];
	struct nbd_command *idle;
	struct nbd_command *answered;
	unsigned in_flight; /* commands */
	struct far_copy copy;
};

/* ---- nbd.c ---- */

/* A disk at the end of @way, whose texts it takes over in any case; waits for the server. */
int nbd_open_way(const struct storage_options *o, const struct nbd_way *way, struct storage **out,
		 struct error *err);
void nbd_way_fini(struct nbd_way *way);
void nbd_storage_close(struct storage *s);
/* The client's key that libnbd takes when the URI names none; @home may be NULL. */
int nbd_check_default_key(const char *home, const char *host, struct error *err);
bool nbd_spoiled(const struct storage *s);
int nbd_channel_open(struct storage *s, struct reactor *r, struct storage_channel **out,
		     struct error *err);
void nbd_channel_close(struct storage_channel *ch);
void nbd_submit(struct storage_channel *ch, struct storage_io *io);
void nbd_drain(struct storage_channel *ch, struct storage_drain *d);
/* What of its channel waits for a server that is away is to be answered.  Any thread. */
bool nbd_channel_drains(const struct storage_io *io);
/* io->result is set; on the link's thread. */
void nbd_channel_give_back(struct storage_io *io);

/* ---- nbd_link.c ---- */

/*
 * Copies @way.  @main: NULL for the disk's first connection; for a further one the first, whose
 * facts are there.
 */
int nbd_link_create(struct nbd_link **out, const struct nbd_way *way, struct nbd_link *main,
		    struct error *err);
/* 0: the facts are there; else the reason. */
int nbd_link_wait(struct nbd_link *l, unsigned seconds, struct error *err);
/* Nothing is in flight.  Ends the connection; waits for that @seconds at most. */
void nbd_link_release(struct nbd_link **l, unsigned seconds);
void nbd_link_submit(struct nbd_link *l, struct storage_io *io);
/* One that has been under way, as it is. */
void nbd_link_pass(struct nbd_link *l, struct storage_io *io);
/* Its thread shall look at what has changed. */
void nbd_link_wake(struct nbd_link *l);
void nbd_link_ref(struct nbd_link *l);
void nbd_link_unref(struct nbd_link *l);
/* Its kernel, too: a server that hangs is not gone. */
bool nbd_host_is_gone(const struct tcp_info *t);

/* ---- nbd_dial.c ---- */

/* Connects to l->way.uri; l->dialled tells of it.  0 or -errno. */
int nbd_dial(struct nbd_link *l);

/* ---- nbd_io.c ---- */

void nbd_io_init(struct nbd_link *l);
void nbd_io_fini(struct nbd_link *l);
/* Commands of as many pending requests as there is room for. */
void nbd_io_issue(struct nbd_link *l);
/* Takes in the answers that libnbd brought.  false: they are none of the disk's, the server goes. */
bool nbd_io_take_answers(struct nbd_link *l);
/* The handle is closed: what was in flight becomes pending again, or has failed too often. */
void nbd_io_lost(struct nbd_link *l);
/* Ends with @err what waits for this connection: all, or those for which @which. */
void nbd_io_fail(struct nbd_link *l, bool (*which)(const struct storage_io *io), int err);

#endif
