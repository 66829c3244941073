/* SPDX-License-Identifier: MIT */
/*
 * The board of a trial, register by register, for cases about PCI.  Helpers end the case when the
 * board does not play along; nothing here believes what it reads.
 */
#ifndef CONFORM_BOARD_H
#define CONFORM_BOARD_H

#include "base/error.h"
#include "conform/carrier.h"

#include <string.h>

/* Found on its bus, BARs with addresses, decoding on; nothing said of virtio yet. */
void board_find(struct trial *t);
/*
 * ... and its modern structures found, reset, ACKNOWLEDGE and DRIVER set.  Skips a
 * board that has none.
 */
void board_modern(struct trial *t);
/* The same through the legacy header; MSI-X off. */
void board_legacy(struct trial *t);

void board_set_status(struct trial *t, uint8_t status);
uint8_t board_status(struct trial *t);
/* Status 0, and waits until it is so. */
void board_reset(struct trial *t);
/* Waits up to the time limit. */
bool board_wait_status(struct trial *t, uint8_t mask, uint8_t value);

/* Registers of the common configuration, and of the others by area. */
uint32_t board_get(struct trial *t, const struct vpci_area *a, uint32_t at, unsigned size);
void board_put(struct trial *t, const struct vpci_area *a, uint32_t at, uint32_t value,
	       unsigned size);
#define COMMON_AT(field)   ((uint32_t)offsetof(struct virtio_pci_common_cfg, field))
#define COMMON_SIZE(field) (unsigned)sizeof(((struct virtio_pci_common_cfg *)NULL)->field)
#define common_get(t, field) \
	board_get(t, &(t)->board.v.common, COMMON_AT(field), COMMON_SIZE(field))
#define common_put(t, field, value) \
	board_put(t, &(t)->board.v.common, COMMON_AT(field), value, COMMON_SIZE(field))

static inline uint32_t config_get(struct trial *t, unsigned offset, unsigned size)
{
	return pcidev_config_read(&t->board.dev, offset, size);
}
static inline void config_put(struct trial *t, unsigned offset, uint32_t value, unsigned size)
{
	pcidev_config_write(&t->board.dev, offset, value, size);
}

/*
 * Virtio capabilities: the offset of the next one of that type behind @after (0:
 * the first), 0: none.
 */
unsigned board_cap(struct trial *t, uint8_t cfg_type, unsigned after);
struct vpci_area board_cap_area(struct trial *t, unsigned cap);

/* VERSION_1, and what a device behind an IOMMU, or one with zones, cannot do without, as far as it is
 * offered. */
uint64_t board_least_features(struct trial *t);

/* MSI-X. */
void need_msix(struct trial *t, unsigned vectors);
/*
 * An eventfd behind this vector, and the vector unmasked.  What it has counted so far is forgotten.
 */
void vector_connect(struct trial *t, uint16_t vector);
/* Interrupts of that vector since the last look; waits up to @ms for the first. */
uint64_t vector_count(struct trial *t, uint16_t vector, int ms);
/* Its bit among the pending ones. */
bool vector_pending(struct trial *t, uint16_t vector);

/* The pin. */
void need_pin(struct trial *t);
bool pin(struct trial *t);
/* Waits up to the time limit. */
bool pin_becomes(struct trial *t, bool level);
bool intx_status(struct trial *t);

/* The device's configuration changes; skips where that cannot be had. */
void board_change(struct trial *t);

#endif
