/* SPDX-License-Identifier: MIT */
#include "cli/tree.h"
#include "server/offer_vfio_user.h"
#include "server/offer_vhost_user.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const states[] = {
	[VHOST_USER_IDLE] = "no front end",
	[VHOST_USER_SERVING] = "serving",
	[VHOST_USER_WAITING] = "serving",
	[VHOST_USER_CLOSING] = "draining",
};

static const char *const vfio_user_states[] = {
	[VFIO_USER_IDLE] = "none",
	[VFIO_USER_TALKING] = "serving",
	[VFIO_USER_BUSY] = "serving",
	[VFIO_USER_LEAVING] = "draining",
};

static void add_queue(json_t *device, unsigned i, const struct vhost_user_vring *ring,
		      const struct virtio_queue *q)
{
	char at[16];
	json_t *n;

	snprintf(at, sizeof(at), "%u", i);
	n = tree_node(device, at, "queue");
	tree_property(n, "size", "%u", ring->num);
	tree_property(n, "state", "%s", ring->on ? "running" : "disabled");
	tree_property(n, "kick", "%s", ring->unkicked ? "none" : "eventfd");
	tree_counters(n, q);
}

static void add_vhost_user(json_t *socket, const struct vhost_user_offer *o)
{
	const struct vhost_user_connection *c = &o->connection;
	json_t *device;

	tree_property(socket, "front-end", "%s", states[c->state]);
	if (c->state != VHOST_USER_IDLE) {
		tree_property(socket, "protocol-features", "0x%" PRIx64, c->protocol_features);
		tree_property(socket, "memory-regions", "%u", c->mem ? c->mem->n : 0);
		tree_property(socket, "in-flight-record", "%s", c->inflight.mem ? "kept" : "none");
	}
	device = tree_device(tree_node(socket, NULL, "virtio-bus"), o->vdev);
	for (unsigned i = 0; i < o->vdev->n_queues; i++)
		if (c->vrings[i].running)
			add_queue(device, i, &c->vrings[i], &o->vdev->queues[i]);
}

static void add_vfio_user(json_t *socket, const struct vfio_user_offer *o)
{
	const struct vfio_user_connection *c = &o->connection;
	const struct virtio_card *card = c->device.card;

	tree_property(socket, "client", "%s", vfio_user_states[c->state]);
	if (c->state != VFIO_USER_IDLE)
		tree_property(socket, "memory-regions", "%u", c->device.dma.n);
	tree_virtio(tree_node(socket, NULL, card->board.fn.name), &card->board);
}

json_t *tree_offer(json_t *parent, const struct server_offer *o)
{
	const struct vhost_user_offer *vhost = vhost_user_offer_of(o);
	const struct vfio_user_offer *vfio = vfio_user_offer_of(o);
	json_t *socket = tree_node(parent, NULL, o->ops->protocol);
	const char *path = o->door.listener.path;

	if (path)
		tree_property(socket, "socket", "%s", path);
	if (vhost)
		add_vhost_user(socket, vhost);
	else
		add_vfio_user(socket, vfio);
	return socket;
}

static void add_offer(void *opaque, const struct server_offer *o)
{
	(void)tree_offer(opaque, o);
}

json_t *tree_server(const struct server *s)
{
	json_t *root = tree_node(NULL, NULL, "server");

	server_show(s, add_offer, root);
	return root;
}
