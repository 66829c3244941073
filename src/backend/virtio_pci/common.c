/* SPDX-License-Identifier: MIT */
/*
 * The common configuration (virtio 1.4, 4.1.4.3): one function per register and direction,
 * and the table of them.
 */
#include "backend/virtio_pci/board_priv.h"
#include "wire/virtio.h"

/* ---- features ---- */

static uint32_t read_device_feature_select(struct virtio_pci *b)
{
	return b->device_feature_select;
}
static void write_device_feature_select(struct virtio_pci *b, uint32_t v)
{
	b->device_feature_select = v;
}
static uint32_t offered_word(const struct virtio_pci *b, uint32_t select)
{
	return select < 2 ? (uint32_t)(b->vdev->offered >> 32 * select) : 0;
}
static uint32_t read_device_feature(struct virtio_pci *b)
{
	return offered_word(b, b->device_feature_select);
}
static uint32_t read_driver_feature_select(struct virtio_pci *b)
{
	return b->driver_feature_select;
}
static void write_driver_feature_select(struct virtio_pci *b, uint32_t v)
{
	b->driver_feature_select = v;
}
static uint32_t read_driver_feature(struct virtio_pci *b)
{
	uint32_t select = b->driver_feature_select;

	return select < ARRAY_SIZE(b->driver_features)
		       ? b->driver_features[select] & offered_word(b, select)
		       : 0;
}
static void write_driver_feature(struct virtio_pci *b, uint32_t v)
{
	if (virtio_pci_status(b) & VIRTIO_STATUS_FEATURES_OK && !b->resetting)
		return;
	/*
	 * Bits far beyond any that were offered count as one of the last word, so that
	 * they are refused, too.
	 */
	if (b->driver_feature_select < ARRAY_SIZE(b->driver_features))
		b->driver_features[b->driver_feature_select] = v;
	else if (v)
		b->driver_features[ARRAY_SIZE(b->driver_features) - 1] |= 1;
}

/* ---- the device ---- */

static uint32_t read_config_vector(struct virtio_pci *b)
{
	return b->config_vector;
}
static uint32_t read_num_queues(struct virtio_pci *b)
{
	return b->n_queues;
}
static void write_status(struct virtio_pci *b, uint32_t v)
{
	b->legacy_driver = false;
	virtio_pci_set_status(b, (uint8_t)v);
}
/*
 * One step for any number of changes since it was last read: eight bits never come round unnoticed.
 */
static uint32_t read_generation(struct virtio_pci *b)
{
	uint32_t now = b->vdev->generation;

	if (now != b->generation_seen) {
		b->generation_seen = now;
		b->generation++;
	}
	return b->generation;
}

/* ---- the selected queue ---- */

static uint32_t read_queue_select(struct virtio_pci *b)
{
	return b->queue_select;
}
static void write_queue_select(struct virtio_pci *b, uint32_t v)
{
	b->queue_select = (uint16_t)v;
}
/* What an enabled queue was set up with stays. */
static struct virtio_pci_queue *writable_queue(struct virtio_pci *b)
{
	struct virtio_pci_queue *q = virtio_pci_selected(b);

	return q && !q->enabled && !q->resetting ? q : NULL;
}
static uint32_t read_queue_size(struct virtio_pci *b)
{
	const struct virtio_pci_queue *q = virtio_pci_selected(b);

	return q ? q->size : 0;
}
static void write_queue_size(struct virtio_pci *b, uint32_t v)
{
	struct virtio_pci_queue *q = writable_queue(b);
	bool packed = b->driver_features[1] >> (VIRTIO_F_RING_PACKED - 32) & 1;

	if (q)
		q->size = v <= virtio_pci_queue_max(b) && vring_num_ok(v, packed) ? (uint16_t)v : 0;
}
static uint32_t read_queue_enable(struct virtio_pci *b)
{
	const struct virtio_pci_queue *q = virtio_pci_selected(b);

	return q && q->enabled;
}
static void write_queue_enable(struct virtio_pci *b, uint32_t v)
{
	struct virtio_pci_queue *q = writable_queue(b);

	if (q && v == 1)
		virtio_pci_queue_enable(q);
}
static uint32_t read_queue_notify_off(struct virtio_pci *b)
{
	return virtio_pci_selected(b) ? b->queue_select : 0;
}

#define HALVES(name)                                                                    \
	static uint32_t read_queue_##name##_lo(struct virtio_pci *b)                    \
	{                                                                               \
		const struct virtio_pci_queue *q = virtio_pci_selected(b);              \
                                                                                        \
		return q ? (uint32_t)q->name : 0;                                       \
	}                                                                               \
	static uint32_t read_queue_##name##_hi(struct virtio_pci *b)                    \
	{                                                                               \
		const struct virtio_pci_queue *q = virtio_pci_selected(b);              \
                                                                                        \
		return q ? (uint32_t)(q->name >> 32) : 0;                               \
	}                                                                               \
	static void write_queue_##name##_lo(struct virtio_pci *b, uint32_t v)           \
	{                                                                               \
		struct virtio_pci_queue *q = writable_queue(b);                         \
                                                                                        \
		if (q)                                                                  \
			q->name = (q->name & ~UINT64_C(0xffffffff)) | v;                \
	}                                                                               \
	static void write_queue_##name##_hi(struct virtio_pci *b, uint32_t v)           \
	{                                                                               \
		struct virtio_pci_queue *q = writable_queue(b);                         \
                                                                                        \
		if (q)                                                                  \
			q->name = (q->name & UINT64_C(0xffffffff)) | (uint64_t)v << 32; \
	}
HALVES(desc)
HALVES(driver)
HALVES(device)

static uint32_t read_queue_reset(struct virtio_pci *b)
{
	const struct virtio_pci_queue *q = virtio_pci_selected(b);

	return q && q->resetting;
}
static void write_queue_reset(struct virtio_pci *b, uint32_t v)
{
	struct virtio_pci_queue *q = virtio_pci_selected(b);

	if (q && v == 1 && q->enabled && !q->resetting &&
	    virtio_device_has(b->vdev, VIRTIO_F_RING_RESET))
		virtio_pci_queue_reset(q);
}

/* ---- the table ---- */

static const struct virtio_pci_register common[] = {
	{0, 4, read_device_feature_select, write_device_feature_select},
	{4, 4, read_device_feature, NULL},
	{8, 4, read_driver_feature_select, write_driver_feature_select},
	{12, 4, read_driver_feature, write_driver_feature},
	{16, 2, read_config_vector, virtio_pci_set_config_vector},
	{18, 2, read_num_queues, NULL},
	{20, 1, virtio_pci_status, write_status},
	{21, 1, read_generation, NULL},
	{22, 2, read_queue_select, write_queue_select},
	{24, 2, read_queue_size, write_queue_size},
	{26, 2, virtio_pci_queue_vector, virtio_pci_set_queue_vector},
	{28, 2, read_queue_enable, write_queue_enable},
	{30, 2, read_queue_notify_off, NULL},
	{32, 4, read_queue_desc_lo, write_queue_desc_lo},
	{36, 4, read_queue_desc_hi, write_queue_desc_hi},
	{40, 4, read_queue_driver_lo, write_queue_driver_lo},
	{44, 4, read_queue_driver_hi, write_queue_driver_hi},
	{48, 4, read_queue_device_lo, write_queue_device_lo},
	{52, 4, read_queue_device_hi, write_queue_device_hi},
	{56, 2, NULL, NULL}, /* queue_notif_config_data */
	{58, 2, read_queue_reset, write_queue_reset},
	{60, 2, NULL, NULL}, /* admin_queue_index */
	{62, 2, NULL, NULL}, /* admin_queue_num */
};

uint64_t virtio_pci_common_read(struct virtio_pci *b, uint64_t offset, unsigned size)
{
	return virtio_pci_registers_read(b, common, ARRAY_SIZE(common), offset, size);
}

void virtio_pci_common_write(struct virtio_pci *b, uint64_t offset, uint64_t value, unsigned size)
{
	virtio_pci_registers_write(b, common, ARRAY_SIZE(common), offset, value, size);
}
