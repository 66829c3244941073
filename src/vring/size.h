/* SPDX-License-Identifier: MIT */
/* Bytes of a ring's three areas, by the formulas of virtio 1.4, 2.7 and 2.8, event fields included.
 */
#ifndef VRING_SIZE_H
#define VRING_SIZE_H

#include "wire/vring.h"

#include <stdbool.h>

#define VRING_SIZE_MAX 32768

/* Whether a ring of this layout can have @num entries. */
static inline bool vring_num_ok(uint32_t num, bool packed)
{
	return num >= 1 && num <= VRING_SIZE_MAX && (packed || !(num & (num - 1)));
}

static inline uint32_t vring_desc_size(uint32_t num)
{
	return num * (uint32_t)sizeof(struct virtq_desc);
}

static inline uint32_t vring_driver_size(uint32_t num, bool packed)
{
	if (packed)
		return sizeof(struct pvirtq_event);
	return (uint32_t)(sizeof(struct virtq_avail) + sizeof(le16)) + num * (uint32_t)sizeof(le16);
}

static inline uint32_t vring_device_size(uint32_t num, bool packed)
{
	if (packed)
		return sizeof(struct pvirtq_event);
	return (uint32_t)(sizeof(struct virtq_used) + sizeof(le16)) +
	       num * (uint32_t)sizeof(struct virtq_used_elem);
}

#endif
