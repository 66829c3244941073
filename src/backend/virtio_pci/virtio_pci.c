/* SPDX-License-Identifier: MIT */
#include "backend/virtio_pci/virtio_pci.h"

#include "backend/virtio_pci/board_priv.h"
#include "wire/virtio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 4.1.2.1: at least 0x40; what other boards of this kind say. */
#define MODERN_SUBSYSTEM 0x1100

/* ---- interrupt vectors ---- */

static uint16_t possible_vector(const struct virtio_pci *b, uint32_t v)
{
	return v < b->fn.msix.n ? (uint16_t)v : VIRTIO_MSI_NO_VECTOR;
}

void virtio_pci_set_config_vector(struct virtio_pci *b, uint32_t v)
{
	b->config_vector = possible_vector(b, v);
}

uint32_t virtio_pci_queue_vector(struct virtio_pci *b)
{
	const struct virtio_pci_queue *q = virtio_pci_selected(b);

	return q ? q->vector : VIRTIO_MSI_NO_VECTOR;
}

void virtio_pci_set_queue_vector(struct virtio_pci *b, uint32_t v)
{
	struct virtio_pci_queue *q = virtio_pci_selected(b);

	if (!q)
		return;
	q->vector = possible_vector(b, v);
	pci_call_set_vector(&q->call, q->vector);
}

/* ---- the device's configuration ---- */

static void config_changed(struct virtio_bus *bus)
{
	struct virtio_pci *b = virtio_pci_of_bus(bus);

	/* A board that stands still tells nobody anything. */
	b->changed_frozen |= b->frozen;
	if (b->frozen || b->resetting || !(b->vdev->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	virtio_pci_isr_config(b);
	pci_msix_notify(&b->fn, b->config_vector);
}

/* How many of @size bytes at @offset the configuration has. */
static unsigned config_has(const struct virtio_pci *b, uint64_t offset, unsigned size)
{
	uint64_t end = b->vdev->cls->config_size;

	return offset < end ? (unsigned)min_u64(size, end - offset) : 0;
}

uint64_t virtio_pci_config_read(struct virtio_pci *b, uint64_t offset, unsigned size)
{
	uint8_t bytes[8];
	uint64_t value = 0;

	memset(bytes, 0xff, sizeof(bytes));
	virtio_device_config_read(b->vdev, offset, bytes, config_has(b, offset, size));
	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

void virtio_pci_config_write(struct virtio_pci *b, uint64_t offset, uint64_t value, unsigned size)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < size; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
	/* There is no way to refuse a write, but to let the driver read back what it was before. */
	(void)virtio_device_config_write(b->vdev, offset, bytes, config_has(b, offset, size));
}

/* ---- the modern BAR ---- */

static uint64_t modern_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct virtio_pci *b = virtio_pci_of_region(r);

	if (offset < VIRTIO_PCI_AT_ISR)
		return virtio_pci_common_read(b, offset - VIRTIO_PCI_AT_COMMON, size);
	if (offset < VIRTIO_PCI_AT_DEVICE)
		return offset == VIRTIO_PCI_AT_ISR ? virtio_pci_isr_read(b) : 0;
	if (offset < VIRTIO_PCI_AT_NOTIFY)
		return virtio_pci_config_read(b, offset - VIRTIO_PCI_AT_DEVICE, size);
	return 0;
}

static void modern_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio_pci *b = virtio_pci_of_region(r);

	if (offset < VIRTIO_PCI_AT_ISR) {
		virtio_pci_common_write(b, offset - VIRTIO_PCI_AT_COMMON, value, size);
	} else if (offset >= VIRTIO_PCI_AT_NOTIFY) {
		/* The place says which queue it is; a write over several places is one for each. */
		uint64_t first = (offset - VIRTIO_PCI_AT_NOTIFY) / VIRTIO_PCI_NOTIFY_STRIDE;
		uint64_t last = (offset - VIRTIO_PCI_AT_NOTIFY + size - 1) /
				VIRTIO_PCI_NOTIFY_STRIDE;

		for (uint64_t i = first; i <= last && i < b->n_queues; i++)
			virtio_pci_queue_kick(&b->queues[i]);
	} else if (offset >= VIRTIO_PCI_AT_DEVICE) {
		virtio_pci_config_write(b, offset - VIRTIO_PCI_AT_DEVICE, value, size);
	}
}

static const struct sysbus_region_ops modern_ops = {
	.sizes = SYSBUS_ANY_SIZE,
	.read = modern_read,
	.write = modern_write,
};

/* ---- the configuration access capability (4.1.4.9) ---- */

#define CFG_BAR	   offsetof(struct virtio_pci_cap, bar)
#define CFG_OFFSET offsetof(struct virtio_pci_cap, offset)
#define CFG_LENGTH offsetof(struct virtio_pci_cap, length)
#define CFG_DATA   offsetof(struct virtio_pci_cfg_cap, data)

/* The BAR that the window looks into; NULL for a place or length that cannot be. */
static struct pci_bar *window(struct virtio_pci *b, uint32_t *offset, unsigned *length)
{
	uint8_t index = b->fn.config[b->cfg_cap + CFG_BAR];
	struct pci_bar *bar;

	*offset = pci_function_get32(&b->fn, b->cfg_cap + (unsigned)CFG_OFFSET);
	*length = pci_function_get32(&b->fn, b->cfg_cap + (unsigned)CFG_LENGTH);
	if (index >= PCI_BARS || (*length != 1 && *length != 2 && *length != 4) ||
	    *offset % *length)
		return NULL;
	bar = &b->fn.bars[index];
	return *offset < bar->region.size && *length <= bar->region.size - *offset ? bar : NULL;
}

static void config_reading(struct pci_function *fn, unsigned offset, unsigned size)
{
	struct virtio_pci *b = virtio_pci_of_fn(fn);
	struct pci_bar *bar;
	uint32_t at, value = UINT32_MAX;
	unsigned length;

	/* The interrupt bit of the status register is right when it is looked at. */
	if (ranges_overlap(offset, size, PCI_STATUS, 2))
		virtio_pci_isr_look(b);
	if (!b->cfg_cap || !ranges_overlap(offset, size, b->cfg_cap + CFG_DATA, 4))
		return;
	bar = window(b, &at, &length);
	if (bar)
		value = (uint32_t)bar->region.ops->read(&bar->region, at, length);
	pci_function_put32(fn, b->cfg_cap + (unsigned)CFG_DATA, value);
}

static void config_written(struct pci_function *fn, unsigned offset, unsigned size)
{
	struct virtio_pci *b = virtio_pci_of_fn(fn);
	struct pci_bar *bar;
	uint32_t at, value;
	unsigned length;

	if (ranges_overlap(offset, size, PCI_COMMAND, 2))
		virtio_pci_update_master(b);
	if (!b->cfg_cap || offset != b->cfg_cap + CFG_DATA)
		return;
	value = pci_function_get32(fn, b->cfg_cap + (unsigned)CFG_DATA);
	bar = window(b, &at, &length);
	if (bar)
		bar->region.ops->write(&bar->region, at, value & (BIT64(8 * length) - 1), length);
}

static void bar_mapped(struct pci_function *fn, struct pci_bar *bar)
{
	struct virtio_pci *b = virtio_pci_of_fn(fn);

	(void)bar;
	for (unsigned i = 0; i < b->n_queues; i++)
		virtio_pci_queue_update_kicks(&b->queues[i]);
}

static void bar_unmapping(struct pci_function *fn, struct pci_bar *bar)
{
	struct virtio_pci *b = virtio_pci_of_fn(fn);

	for (unsigned i = 0; i < b->n_queues; i++)
		virtio_pci_queue_drop_kicks(&b->queues[i], bar);
}

static void machine_reset(struct pci_function *fn)
{
	struct virtio_pci *b = virtio_pci_of_fn(fn);

	b->master = b->master_gone = b->frozen = false;
	virtio_pci_reset(b);
}

static const struct pci_function_ops function_ops = {
	.config_reading = config_reading,
	.config_written = config_written,
	.bar_mapped = bar_mapped,
	.bar_unmapping = bar_unmapping,
	.reset = machine_reset,
};

/* ---- plugging a device in ---- */

static int add_cap(struct virtio_pci *b, uint8_t type, uint32_t offset, uint32_t length)
{
	struct virtio_pci_notify_cap c = {
		.cap = {.len = sizeof(c.cap),
			.cfg_type = type,
			.bar = VIRTIO_PCI_BAR_MODERN,
			.offset = le32_make(offset),
			.length = le32_make(length)},
		.notify_off_multiplier = le32_make(VIRTIO_PCI_NOTIFY_STRIDE),
	};

	if (type == VIRTIO_PCI_CAP_NOTIFY_CFG)
		c.cap.len = sizeof(c);
	return pci_function_add_cap(&b->fn, PCI_CAP_VENDOR, &c, c.cap.len);
}

static int add_cfg_cap(struct virtio_pci *b)
{
	struct virtio_pci_cfg_cap c = {
		.cap = {.len = sizeof(c), .cfg_type = VIRTIO_PCI_CAP_PCI_CFG},
	};
	int at = pci_function_add_cap(&b->fn, PCI_CAP_VENDOR, &c, sizeof(c));

	if (at < 0)
		return at;
	b->cfg_cap = (unsigned)at;
	b->fn.writable[b->cfg_cap + CFG_BAR] = 0xff;
	memset(&b->fn.writable[b->cfg_cap + CFG_OFFSET], 0xff, CFG_DATA + 4 - CFG_OFFSET);
	return 0;
}

static int add_modern_face(struct virtio_pci *b)
{
	uint32_t notify = b->n_queues * VIRTIO_PCI_NOTIFY_STRIDE;
	uint64_t size = 4 * 4096;
	int rc;

	while (size < VIRTIO_PCI_AT_NOTIFY + notify)
		size *= 2;
	pci_function_bar(&b->fn, VIRTIO_PCI_BAR_MODERN, "virtio-pci", PCI_BAR_64, size,
			 &modern_ops);
	rc = add_cap(b, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_AT_COMMON,
		     sizeof(struct virtio_pci_common_cfg));
	if (rc >= 0)
		rc = add_cap(b, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_AT_ISR, 1);
	if (rc >= 0 && b->vdev->cls->config_size)
		rc = add_cap(b, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_AT_DEVICE,
			     (uint32_t)b->vdev->cls->config_size);
	if (rc >= 0)
		rc = add_cap(b, VIRTIO_PCI_CAP_NOTIFY_CFG, VIRTIO_PCI_AT_NOTIFY, notify);
	return rc < 0 ? rc : add_cfg_cap(b);
}

static void add_legacy_face(struct virtio_pci *b)
{
	uint64_t size = 32;

	while (size < VIRTIO_PCI_LEGACY_CONFIG(true) + b->vdev->cls->config_size)
		size *= 2;
	pci_function_bar(&b->fn, VIRTIO_PCI_BAR_LEGACY, "virtio-pci-legacy", PCI_BAR_IO, size,
			 &virtio_pci_legacy_ops);
}

/* 4.1.2.3: the ids of before version 1, for those types that had one. */
static uint16_t legacy_device_id(uint16_t type)
{
	switch (type) {
	case VIRTIO_ID_NET:
		return VIRTIO_PCI_DEVICE_LEGACY_NET;
	case VIRTIO_ID_BLOCK:
		return VIRTIO_PCI_DEVICE_LEGACY_BLOCK;
	default:
		return 0;
	}
}

static struct pci_identity identity(const struct virtio_pci *b)
{
	uint16_t type = b->vdev->cls->id;
	struct pci_identity id = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (uint16_t)(VIRTIO_PCI_DEVICE_MODERN + type),
		.revision = 1,
		.class_code = b->options.class_code,
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = MODERN_SUBSYSTEM,
		.pin = true,
	};

	if (virtio_pci_is_legacy(b)) {
		id.device = legacy_device_id(type);
		id.revision = 0;
		id.subsystem = type;
	}
	return id;
}

static void drop_queues(struct virtio_pci *b)
{
	while (b->n_queues)
		virtio_pci_queue_fini(&b->queues[--b->n_queues]);
	free(b->queues);
	b->queues = NULL;
}

static int make_queues(struct virtio_pci *b, struct error *err)
{
	unsigned n = b->vdev->n_queues;

	b->queues = calloc(n, sizeof(b->queues[0]));
	if (!b->queues)
		return error_set(err, -ENOMEM, "%s: no memory for %u queues", b->options.name, n);
	for (; b->n_queues < n; b->n_queues++) {
		int rc = virtio_pci_queue_init(b, b->n_queues, err);

		if (rc) {
			drop_queues(b);
			return rc;
		}
		b->queues[b->n_queues].size = virtio_pci_queue_max(b);
	}
	return 0;
}

static int plugged(struct virtio_bus *bus, struct virtio_device *vdev, struct error *err)
{
	struct virtio_pci *b = virtio_pci_of_bus(bus);
	const struct virtio_pci_options *o = &b->options;
	unsigned vectors = o->vectors ? o->vectors : vdev->n_queues + 1;
	struct pci_identity id;
	int rc;

	b->vdev = vdev;
	id = identity(b);
	if (o->no_modern && o->no_legacy)
		return error_set(err, -EINVAL, "%s: neither modern nor legacy.", o->name);
	if (!id.device)
		return error_set(err, -EINVAL, "%s: a %s was never a legacy device.", o->name,
				 vdev->cls->name);
	pci_function_init(&b->fn, o->name, &function_ops, &id);
	b->fn.no_irqfd = o->no_irqfd;
	if (!o->no_msix) {
		rc = pci_msix_init(&b->fn, VIRTIO_PCI_BAR_MSIX,
				   (unsigned)min_u64(vectors, PCI_MSIX_VECTORS_MAX), err);
		if (rc)
			return rc;
	}
	rc = make_queues(b, err);
	if (rc)
		goto fini_function;
	rc = virtio_pci_isr_init(b, err);
	if (rc)
		goto drop_queues;
	if (virtio_pci_is_legacy(b))
		add_legacy_face(b);
	if (virtio_pci_is_modern(b)) {
		rc = add_modern_face(b);
		if (rc) {
			error_set(err, rc, "%s: no room for its capabilities", o->name);
			goto fini_isr;
		}
		vdev->offered = virtio_features_grounded(vdev->offered |
							 BIT64(VIRTIO_F_RING_RESET));
	}
	return 0;
fini_isr:
	virtio_pci_isr_fini(b);
drop_queues:
	drop_queues(b);
fini_function:
	pci_function_fini(&b->fn);
	return rc;
}

static const struct virtio_bus_ops bus_ops = {
	.plugged = plugged,
	.config_changed = config_changed,
};

/* ---- life ---- */

void virtio_pci_init(struct virtio_pci *board, const struct virtio_pci_options *options,
		     struct reactor *home)
{
	memset(board, 0, sizeof(*board));
	board->options = *options;
	board->home = home;
	board->config_vector = VIRTIO_MSI_NO_VECTOR;
	board->resample_fd = board->look_fd = -1;
	board->bus.name = options->name;
	board->bus.ops = &bus_ops;
	board->bus.foreign_fds = options->foreign_fds;
}

void virtio_pci_fini(struct virtio_pci *board)
{
	if (board->bus.child) {
		/*
		 * Leaving the bus resets the function, and the device has been reset for good: no
		 * new orders come of it.
		 */
		pci_bus_detach(&board->fn);
		virtio_pci_isr_fini(board);
		drop_queues(board);
		pci_function_fini(&board->fn);
		board->vdev->offered &= ~BIT64(VIRTIO_F_RING_RESET);
		virtio_bus_detach(&board->bus);
	}
	gmem_put(board->mem);
	board->mem = NULL;
}

void virtio_pci_set_mem(struct virtio_pci *board, struct gmem *mem, struct virtio_waiter *waiter)
{
	struct gmem *before = board->mem;

	board->mem = gmem_get(mem);
	for (unsigned i = 0; i < board->n_queues; i++) {
		const struct virtio_pci_queue *q = &board->queues[i];

		/* One that is being stopped has requests in flight in the map of before. */
		if (q->running || q->resetting || board->resetting)
			virtio_queue_set_mem(&board->vdev->queues[i], mem, waiter);
	}
	gmem_put(before);
}
