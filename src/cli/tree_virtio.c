/* SPDX-License-Identifier: MIT */
#include "backend/blk/virtio_blk.h"
#include "base/atomic.h"
#include "cli/tree.h"
#include "wire/virtio.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct bit_name {
	unsigned bit;
	const char *name;
};

static const struct bit_name status_names[] = {
	{0, "acknowledge"}, {1, "driver"},	{3, "features-ok"}, {2, "driver-ok"},
	{4, "suspend"},	    {6, "needs-reset"}, {7, "failed"},
};

/* Those that change how the rings work; the others are the device type's and stay numbers. */
static const struct bit_name feature_names[] = {
	{VIRTIO_F_VERSION_1, "version-1"}, {VIRTIO_F_RING_PACKED, "packed"},
	{VIRTIO_F_EVENT_IDX, "event-idx"}, {VIRTIO_F_INDIRECT_DESC, "indirect"},
	{VIRTIO_F_IN_ORDER, "in-order"},   {VIRTIO_F_ACCESS_PLATFORM, "access-platform"},
};

static void bits(json_t *node, const char *key, uint64_t value, const struct bit_name *names,
		 size_t n)
{
	char text[160] = "";
	size_t at = 0;

	for (size_t i = 0; i < n; i++)
		if (value & BIT64(names[i].bit))
			at += (size_t)snprintf(text + at, sizeof(text) - at, " %s", names[i].name);
	tree_property(node, key, "0x%" PRIx64 "%s", value, text);
}

void tree_counters(json_t *queue, const struct virtio_queue *q)
{
	tree_property(queue, "kicks", "%" PRIu64, read_once(&q->kicks));
	tree_property(queue, "requests", "%" PRIu64, read_once(&q->requests));
	tree_property(queue, "calls", "%" PRIu64, read_once(&q->calls));
}

/* ---- queues of a card ---- */

/* Vectors are known to the card's host by number, and what is in the table is not used. */
static bool host_keeps_tables(const struct virtio_pci *b)
{
	const struct sysbus_host_ops *host = sysbus_host_of(b->fn.bus->sysbus);

	return host && host->keeps_tables;
}

static const char *kick_way(const struct virtio_pci_queue *q)
{
	if (!q->running)
		return "none";
	if (q->modern_kick.on || q->legacy_kick.on)
		return "ioeventfd";
	return host_keeps_tables(q->board) ? "message" : "exit";
}

static const char *call_way(const struct pci_call *call)
{
	switch (call->way) {
	case PCI_CALL_IRQFD:
	case PCI_CALL_LINE:
		return "irqfd";
	case PCI_CALL_VECTOR:
		return "eventfd";
	default:
		return "by system call";
	}
}

static void add_call(json_t *node, const struct virtio_pci_queue *q)
{
	const struct pci_msix *msix = &q->board->fn.msix;
	const uint32_t *word;

	if (!msix->enabled) {
		tree_property(node, "interrupt", "pin, %s", call_way(&q->call));
		return;
	}
	if (q->vector >= msix->n) {
		tree_property(node, "interrupt", "none");
		return;
	}
	if (host_keeps_tables(q->board)) {
		tree_property(node, "interrupt", "vector %u, %s", q->vector, call_way(&q->call));
		return;
	}
	word = msix->entries[q->vector].word;
	tree_property(node, "interrupt", "vector %u, message 0x%x to 0x%" PRIx64 ", %s%s",
		      q->vector, word[2], word[0] | (uint64_t)word[1] << 32, call_way(&q->call),
		      word[3] & 1 ? ", masked" : "");
}

static void add_queue(json_t *device, const struct virtio_pci_queue *q,
		      const struct virtio_queue *counters)
{
	char at[16];
	json_t *n;

	snprintf(at, sizeof(at), "%u", q->index);
	n = tree_node(device, at, "queue");
	tree_property(n, "size", "%u", q->size);
	tree_property(n, "descriptors", "0x%" PRIx64, q->desc);
	tree_property(n, "driver-area", "0x%" PRIx64, q->driver);
	tree_property(n, "device-area", "0x%" PRIx64, q->device);
	tree_property(n, "state", "%s",
		      q->resetting ? "resetting"
		      : q->running ? "running"
				   : "enabled");
	tree_property(n, "kick", "%s", kick_way(q));
	add_call(n, q);
	tree_counters(n, counters);
}

/* ---- the device ---- */

void tree_storage(json_t *device, const struct storage *s)
{
	for (; s; s = storage_below(s)) {
		char state[300];

		storage_describe(s, state, sizeof(state));
		/* The engine; its file is said elsewhere. */
		if (!storage_below(s) && !*state)
			return;
		device = tree_node(device, NULL, storage_kind(s));
		if (*state)
			tree_property(device, "state", "%s", state);
	}
}

json_t *tree_device(json_t *bus, const struct virtio_device *vdev)
{
	json_t *device = tree_node(bus, NULL, vdev->cls->name);

	tree_property(device, "path", "%s", vdev->path);
	tree_property(device, "queues", "%u", vdev->n_queues);
	bits(device, "offered", vdev->offered, feature_names, ARRAY_SIZE(feature_names));
	if (vdev->status)
		bits(device, "status", vdev->status, status_names, ARRAY_SIZE(status_names));
	if (vdev->features)
		bits(device, "features", vdev->features, feature_names, ARRAY_SIZE(feature_names));
	if (vdev->cls->id == VIRTIO_ID_BLOCK)
		tree_storage(device, container_of(vdev, const struct virtio_blk, vdev)->storage);
	return device;
}

json_t *tree_virtio(json_t *card, const struct virtio_pci *board)
{
	const struct virtio_device *vdev = board->vdev;
	json_t *device = tree_device(tree_node(card, NULL, "virtio-bus"), vdev);

	/* A planned machine, or one whose guest has not come to this card. */
	if (!vdev->status)
		return device;
	tree_property(device, "interface", "%s", board->legacy_driver ? "legacy" : "modern");
	for (unsigned i = 0; i < board->n_queues; i++)
		if (board->queues[i].enabled)
			add_queue(device, &board->queues[i], &vdev->queues[i]);
	return device;
}
