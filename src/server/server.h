/* SPDX-License-Identifier: MIT */
/*
 * The server: a control loop, worker threads, and the disks on offer.
 *
 * It knows sockets, and not what is offered on them: that is a device's class's and a protocol's
 * business.
 *
 * Threads: everything on the thread that called server_create(), which becomes the control thread
 * in server_run().
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "backend/virtio/device.h"
#include "base/error.h"
#include "base/reactor.h"
#include "disk/disk.h"
#include "server/socket/door.h"

struct server;
struct server_offer;

struct server_config {
	struct worker_pool_config workers;
	bool any_memory; /* front ends' memory may be any file, not only the kernel's own */
	bool stays;	 /* serves on with nothing on offer: something may be added */
	bool signals; /* SIGTERM, SIGINT and SIGHUP are server_stop(); see server_take_signals() */
};

int server_create(struct server **out, const struct server_config *config, struct error *err);

/* How many devices are on offer. */
unsigned server_offers(const struct server *s);

/* Longest name of what is on offer. */
#define SERVER_NAME_MAX 40

/* What was added last; NULL: nothing is on offer. */
struct server_offer *server_last(const struct server *s);
/* What is on offer by that name; NULL: nothing. */
struct server_offer *server_find(const struct server *s, const char *name);
/* @prefix and how many there are, or the first number behind it that nothing is called by; in @name. */
const char *server_free_name(const struct server *s, const char *prefix,
			     char name[SERVER_NAME_MAX + 1]);
/* -EINVAL: it is none. */
int server_name_is_good(const char *name, struct error *err);
/* The same; -EEXIST: something is called so. */
int server_judge_name(const struct server *s, const char *name, struct error *err);

/* Shows what is on offer, in the order of adding. */
void server_show(const struct server *s, void (*one)(void *opaque, const struct server_offer *o),
		 void *opaque);

/* server_config.any_memory, for those who speak a protocol. */
bool server_any_memory(const struct server *s);

/* For virtio_device_init(). */
struct reactor *server_home(const struct server *s);
/* Its workers, and what else disks are made with. */
struct disk_room *server_room(struct server *s);

/* ---- what is on offer ---- */

struct server_offer_ops {
	const char *protocol; /* for `ringside tree` */
	struct virtio_device *(*device)(const struct server_offer *o);
	/* Every second while the server runs: look whether the disk has another size. */
	void (*refresh)(struct server_offer *o);
	/* As those of socket_door_ops, for the offer's door. */
	int (*serve)(struct server_offer *o, int fd);
	void (*send_away)(struct server_offer *o);
	/* Nobody is served any more.  The device, too. */
	void (*destroy)(struct server_offer *o);
};

/* A device and the socket that it is offered on; embedded by who speaks the protocol. */
struct server_offer {
	const struct server_offer_ops *ops;
	struct list link;
	struct server *server;
	struct socket_door door;
	bool over; /* nobody is served any more */
	struct server_removal *removal;
};

/*
 * On success it is the server's from now on, and clients are served from the home reactor's next
 * turn on.  @name is used in messages and must outlive it.
 */
int server_add_offer(struct server *s, struct server_offer *o, const struct server_offer_ops *ops,
		     const char *name, const struct socket_place *where, struct error *err);

/* Somebody waits until an offer has gone. */
struct server_removal {
	void (*done)(struct server_removal
			     *r); /* behind the offer's end; not if the server ends before */
};
/*
 * Takes nobody new, drains and sends away who is served, then destroys the offer and its device.
 * @r stays until done().  -EALREADY: somebody does so already.
 */
int server_remove_offer(struct server_offer *o, struct server_removal *r);

/*
 * From now on SIGTERM, SIGINT and SIGHUP are server_stop(); a second one ends server_run() at once
 * without draining.  SIGPIPE and SIGXFSZ are ignored: the write that caused them fails instead.  To
 * be called before server_create(), by main.
 */
int server_take_signals(struct error *err);

/*
 * Serves until server_stop(), or until no front end can come any more (each was served on a
 * connected fd) and nothing can be added.
 *
 * Return: 0 - drained; -EINTR - a second signal: things are still in flight, the process should
 * exit without server_destroy().
 */
int server_run(struct server *s);

/*
 * For a loop that belongs to somebody else: wait for the fd or the time, then process, which never
 * waits.
 */
int server_fd(const struct server *s);
int server_timeout_ms(const struct server *s);
/* 0 - go on; 1 - stopped and drained, as when server_run() returns. */
int server_process(struct server *s);

/* Drains every disk, then server_run() returns. */
void server_stop(struct server *s);
/* Somebody said so, a signal perhaps. */
bool server_is_stopping(const struct server *s);

/* After server_run() returned 0 or server_process() 1, or before either was called.  NULLs *s. */
void server_destroy(struct server **s);

#endif
