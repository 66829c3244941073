/* SPDX-License-Identifier: MIT */
/*
 * The tree of buses and devices that a machine is, of one that is only planned as of one that
 * runs; and of a server.
 *
 * A node is a JSON object: "name", perhaps "at" (its address on the bus above), "properties"
 * (strings), "children".
 *
 * Threads: of a machine that runs, with the machine lock held.
 */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include "cli/pc_options.h"
#include "server/server.h"

#include <jansson.h>

/* Lives as long as its parent; without one (NULL) it is the caller's. */
json_t *tree_node(json_t *parent, const char *at, const char *name);
void tree_property(json_t *node, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * What any transport knows of a device; below @bus, whose node that is.  Returns the device's node.
 */
json_t *tree_device(json_t *bus, const struct virtio_device *vdev);
/* The layers of a disk below its device's node, the outermost first, and the engine if it has a
 * state. */
void tree_storage(json_t *device, const struct storage *s);
/* A queue's counters, on its node. */
void tree_counters(json_t *queue, const struct virtio_queue *q);

/*
 * Below a card's node: its virtio bus, the device on it, and the queues that the driver has set up.
 * Returns the device's node.
 */
json_t *tree_virtio(json_t *card, const struct virtio_pci *board);

/*
 * Below the IDE function's node: its channels and their disks, which @specs
 * described in this order.
 */
void tree_ide(json_t *function, const struct piix3_ide *ide, const struct disk_spec *specs);

/* Below the SCSI adapter's node: its bus and disks. */
void tree_scsi(json_t *card, const struct lsi *lsi, const struct pc_options *o);

/* The whole machine that @o described; the caller's. */
json_t *tree_machine(const struct pc *pc, const struct pc_options *o);

/* One socket and what is behind it; below @parent, or the caller's (NULL). */
json_t *tree_offer(json_t *parent, const struct server_offer *o);
/* The disks that a server offers; the caller's. */
json_t *tree_server(const struct server *s);

#endif
