/* SPDX-License-Identifier: MIT */
/*
 * What both halves of a virtqueue agree on: its layout, size and negotiated features
 * (virtio 1.4, 2.7 split, 2.8 packed).
 */
#ifndef VRING_VRING_H
#define VRING_VRING_H

#include "mem/gmem.h"
#include "vring/size.h"

#include <stdbool.h>
#include <stdint.h>

struct vring_config {
	uint16_t num;	/* entries; split: a power of two; packed: any size >= 1           */
	bool packed;	/* VIRTIO_F_RING_PACKED                                            */
	bool event_idx; /* VIRTIO_F_EVENT_IDX                                              */
	bool indirect;	/* VIRTIO_F_INDIRECT_DESC                                          */
	bool in_order;	/* VIRTIO_F_IN_ORDER                                               */
	gpa_t desc;	/* split: descriptor table;   packed: descriptor ring               */
	gpa_t driver;	/* split: available ring;     packed: driver event suppression      */
	gpa_t device;	/* split: used ring;          packed: device event suppression      */
	/*
	 * Where to start, as vhost-user's SET_VRING_BASE says it.  Split: the next avail index.
	 * Packed: bits 0-14 and 15 the next available slot and its wrap counter, bits 16-30 and 31
	 * the same of the next used slot.
	 */
	uint32_t base;
};

/*
 * The longest chain that is believed on a ring of @num entries, its indirect table's entries
 * included.  The standard's limit is the ring's size (2.7.5.3.1), yet drivers in the field go by
 * QEMU's and Linux vhost's, 1024, whatever the ring's size: Windows' viostor sends up to 514 on a
 * ring of 128.
 */
static inline uint32_t vring_chain_max(uint16_t num)
{
	return num > 1024 ? num : 1024;
}

/* The base of a fresh ring: split 0, packed both wrap counters 1. */
static inline uint32_t vring_base_initial(bool packed)
{
	return packed ? 0x80008000u : 0;
}

/* Bytes of the three areas, by the standard's formulas (with the event fields). */
uint64_t vring_desc_bytes(const struct vring_config *c);
uint64_t vring_driver_bytes(const struct vring_config *c);
uint64_t vring_device_bytes(const struct vring_config *c);

/* Size and alignment of the three areas as the standard demands them: 0 or -EINVAL. */
int vring_config_check(const struct vring_config *c);

#endif
