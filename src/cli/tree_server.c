/* SPDX-License-Identifier: MIT */
#include "cli/tree.h"
#include "server/vhost_user/export.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const states[] = {
	[VHOST_USER_IDLE] = "nobody is here",
	[VHOST_USER_SERVING] = "serving",
	[VHOST_USER_WAITING] = "serving",
	[VHOST_USER_CLOSING] = "draining",
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

static void add_offer(void *opaque, const struct virtio_device *vdev,
		      const struct vhost_user_export *where)
{
	const struct vhost_user_connection *c = &where->connection;
	json_t *socket = tree_node(opaque, NULL, "vhost-user"), *device;

	if (where->door.listener.path)
		tree_property(socket, "socket", "%s", where->door.listener.path);
	tree_property(socket, "front-end", "%s", states[c->state]);
	if (c->state != VHOST_USER_IDLE) {
		tree_property(socket, "protocol-features", "0x%" PRIx64, c->protocol_features);
		tree_property(socket, "memory-regions", "%u", c->mem ? c->mem->n : 0);
		tree_property(socket, "in-flight-record", "%s", c->inflight.mem ? "kept" : "none");
	}
	device = tree_device(tree_node(socket, NULL, "virtio-bus"), vdev);
	for (unsigned i = 0; i < vdev->n_queues; i++)
		if (c->vrings[i].running)
			add_queue(device, i, &c->vrings[i], &vdev->queues[i]);
}

json_t *tree_server(const struct server *s)
{
	json_t *root = tree_node(NULL, NULL, "server");

	server_show(s, add_offer, root);
	return root;
}
