/* SPDX-License-Identifier: MIT */
/*
 * What `ringside serve` serves, as the command line gives it: sockets on one side, disks and
 * network cards on the other, the first with the first, and so on.
 *
 * Words are understood when all is known, since those of a card are for sockets where the card is
 * ours (vfio-user).
 */
#ifndef CLI_SERVE_ITEMS_H
#define CLI_SERVE_ITEMS_H

#include "cli/disk_words.h"
#include "cli/net_words.h"
#include "server/server.h"

enum serve_protocol {
	SERVE_VHOST_USER,
	SERVE_VFIO_USER,
};

struct serve_place {
	enum serve_protocol protocol;
	struct socket_place where;
};

struct serve_thing {
	bool is_net;
	const char *name; /* NULL: the next that is free */
	char own[SERVER_NAME_MAX + 1];
	char *words;
	struct disk_words disk;
	struct net_words net;
};

/* As many as there are files for; the arrays grow. */
struct serve_items {
	struct serve_place *places;
	unsigned n_places;
	struct serve_thing *things;
	unsigned n_things;
	const char *name; /* of the next thing; NULL: none was given */
};

/* Of the next disk or card; stays the caller's.  -EEXIST: that one has a name already. */
int serve_items_name(struct serve_items *items, const char *name);
/* @path stays the caller's; NULL: @fd.  -ENOMEM */
int serve_items_place(struct serve_items *items, enum serve_protocol protocol, const char *path,
		      int fd);
int serve_items_disk(struct serve_items *items, const char *words);
/* The path as it is, commas and all. */
int serve_items_file(struct serve_items *items, const char *path);
int serve_items_net(struct serve_items *items, const char *words);

/* Holds both sides against each other and understands the words: -EINVAL and a sentence. */
int serve_items_check(struct serve_items *items, struct error *err);

/* Of all disks and cards. */
unsigned serve_items_queues(const struct serve_items *items);

/*
 * Gives names to those that have none, and opens the storages of all disks side by side.  -ECANCELED: the server was told to stop meanwhile;
 * -errno and the sentence of the first that failed.
 */
int serve_items_open(struct serve_items *items, struct server *server, struct error *err);

/* Offers number @i: -errno and a sentence. */
int serve_items_offer(struct serve_items *items, unsigned i, struct server *server,
		      struct error *err);

void serve_items_fini(struct serve_items *items);

#endif
