/* SPDX-License-Identifier: MIT */
/* The legacy header (virtio 1.4, 4.1.4.10), for drivers of before version 1. */
#include "backend/virtio_pci/board_priv.h"
#include "vring/size.h"
#include "wire/virtio.h"

static uint32_t read_device_features(struct virtio_pci *b)
{
	/* 2.7.4.3: our parsers take any layout; what came with version 1 stands in the upper half. */
	return (uint32_t)virtio_device_legacy_offer(b->vdev) | 1u << VIRTIO_F_ANY_LAYOUT;
}
static uint32_t read_driver_features(struct virtio_pci *b)
{
	return b->driver_features[0];
}
static void write_driver_features(struct virtio_pci *b, uint32_t v)
{
	b->legacy_driver = true;
	virtio_pci_set_legacy_features(b, v);
}

static uint32_t read_pfn(struct virtio_pci *b)
{
	const struct virtio_pci_queue *q = virtio_pci_selected(b);

	return q && q->enabled && !q->resetting ? (uint32_t)(q->desc / VIRTIO_PCI_LEGACY_PAGE) : 0;
}

/*
 * 2.7.2: all three areas follow from one page number and the size, which the driver cannot choose.
 */
static void write_pfn(struct virtio_pci *b, uint32_t pfn)
{
	struct virtio_pci_queue *q = virtio_pci_selected(b);

	if (!q || q->resetting)
		return;
	b->legacy_driver = true;
	if (!pfn) {
		if (!q->enabled)
			return;
		virtio_pci_queue_reset(q);
		virtio_pci_await_queue_reset(q);
		return;
	}
	if (q->enabled)
		return;
	q->size = virtio_pci_queue_max(b);
	q->desc = (uint64_t)pfn * VIRTIO_PCI_LEGACY_PAGE;
	q->driver = q->desc + vring_desc_size(q->size);
	q->device = align_up(q->driver + vring_driver_size(q->size, false), VIRTIO_PCI_LEGACY_PAGE);
	virtio_pci_queue_enable(q);
}

static uint32_t read_size(struct virtio_pci *b)
{
	return virtio_pci_selected(b) ? virtio_pci_queue_max(b) : 0;
}
static uint32_t read_select(struct virtio_pci *b)
{
	return b->queue_select;
}
static void write_select(struct virtio_pci *b, uint32_t v)
{
	b->queue_select = (uint16_t)v;
}

static void write_notify(struct virtio_pci *b, uint32_t v)
{
	struct virtio_pci_queue *q;

	if (v >= b->n_queues)
		return;
	q = &b->queues[v];
	/* 3.1.2: drivers of old used their device before they said DRIVER_OK. */
	if (b->legacy_driver && q->enabled && !q->running && !q->resetting && !b->resetting &&
	    !(virtio_pci_status(b) & VIRTIO_STATUS_NEEDS_RESET))
		virtio_pci_queue_start(q);
	virtio_pci_queue_kick(q);
}

static uint32_t read_status(struct virtio_pci *b)
{
	return b->resetting ? b->wanted_status : virtio_pci_status(b);
}
static void write_status(struct virtio_pci *b, uint32_t v)
{
	b->legacy_driver = true;
	virtio_pci_set_status(b, (uint8_t)v);
	if (!v)
		virtio_pci_await_reset(b);
}

static uint32_t read_config_vector(struct virtio_pci *b)
{
	return b->config_vector;
}

static const struct virtio_pci_register legacy[] = {
	{VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4, read_device_features, NULL},
	{VIRTIO_PCI_LEGACY_DRIVER_FEATURES, 4, read_driver_features, write_driver_features},
	{VIRTIO_PCI_LEGACY_QUEUE_PFN, 4, read_pfn, write_pfn},
	{VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2, read_size, NULL},
	{VIRTIO_PCI_LEGACY_QUEUE_SELECT, 2, read_select, write_select},
	{VIRTIO_PCI_LEGACY_QUEUE_NOTIFY, 2, NULL, write_notify},
	{VIRTIO_PCI_LEGACY_STATUS, 1, read_status, write_status},
	{VIRTIO_PCI_LEGACY_ISR, 1, virtio_pci_isr_read, NULL},
	{VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 2, read_config_vector, virtio_pci_set_config_vector},
	{VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2, virtio_pci_queue_vector, virtio_pci_set_queue_vector},
};
#define WITHOUT_MSIX (ARRAY_SIZE(legacy) - 2)

static uint64_t legacy_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct virtio_pci *b = virtio_pci_of_region(r);
	bool msix = b->fn.msix.enabled;
	unsigned config = VIRTIO_PCI_LEGACY_CONFIG(msix);

	if (offset >= config)
		return virtio_pci_config_read(b, offset - config, size);
	return virtio_pci_registers_read(b, legacy, msix ? ARRAY_SIZE(legacy) : WITHOUT_MSIX,
					 offset, size);
}

static void legacy_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct virtio_pci *b = virtio_pci_of_region(r);
	bool msix = b->fn.msix.enabled;
	unsigned config = VIRTIO_PCI_LEGACY_CONFIG(msix);

	if (offset >= config)
		virtio_pci_config_write(b, offset - config, value, size);
	else
		virtio_pci_registers_write(b, legacy, msix ? ARRAY_SIZE(legacy) : WITHOUT_MSIX,
					   offset, value, size);
}

const struct sysbus_region_ops virtio_pci_legacy_ops = {
	.sizes = SYSBUS_UP_TO_DWORD,
	.read = legacy_read,
	.write = legacy_write,
};
