/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI: identity, capabilities, common configuration, and the legacy
 * header (virtio 1.4, 4.1).
 */
#ifndef WIRE_VIRTIO_PCI_H
#define WIRE_VIRTIO_PCI_H

#include "base/endian.h"

#include <stddef.h>

/* 4.1.2 */
#define VIRTIO_PCI_VENDOR	       0x1af4
#define VIRTIO_PCI_DEVICE_MODERN       0x1040 /* plus the device type */
#define VIRTIO_PCI_DEVICE_MODERN_MAX   0x107f
#define VIRTIO_PCI_DEVICE_LEGACY       0x1000 /* 4.1.2.3: to 0x103f; the type is the subsystem id */
#define VIRTIO_PCI_DEVICE_LEGACY_NET   0x1000
#define VIRTIO_PCI_DEVICE_LEGACY_BLOCK 0x1001

/* 4.1.4: what a vendor capability describes */
#define VIRTIO_PCI_CAP_COMMON_CFG 1
#define VIRTIO_PCI_CAP_NOTIFY_CFG 2
#define VIRTIO_PCI_CAP_ISR_CFG	  3
#define VIRTIO_PCI_CAP_DEVICE_CFG 4
#define VIRTIO_PCI_CAP_PCI_CFG	  5

struct virtio_pci_cap {
	uint8_t vndr;
	uint8_t next;
	uint8_t len;
	uint8_t cfg_type;
	uint8_t bar;
	uint8_t id;
	uint8_t padding[2];
	le32 offset;
	le32 length;
};
_Static_assert(sizeof(struct virtio_pci_cap) == 16, "virtio 1.4, 4.1.4");

/* 4.1.4.4 */
struct virtio_pci_notify_cap {
	struct virtio_pci_cap cap;
	le32 notify_off_multiplier;
};
_Static_assert(sizeof(struct virtio_pci_notify_cap) == 20, "virtio 1.4, 4.1.4.4");

/* 4.1.4.9 */
struct virtio_pci_cfg_cap {
	struct virtio_pci_cap cap;
	uint8_t data[4];
};
_Static_assert(sizeof(struct virtio_pci_cfg_cap) == 20, "virtio 1.4, 4.1.4.9");

/* 4.1.4.3 */
struct virtio_pci_common_cfg {
	le32 device_feature_select;
	le32 device_feature;
	le32 driver_feature_select;
	le32 driver_feature;
	le16 config_msix_vector;
	le16 num_queues;
	uint8_t device_status;
	uint8_t config_generation;
	le16 queue_select;
	le16 queue_size;
	le16 queue_msix_vector;
	le16 queue_enable;
	le16 queue_notify_off;
	le32 queue_desc[2]; /* low and high half, as all below */
	le32 queue_driver[2];
	le32 queue_device[2];
	le16 queue_notif_config_data;
	le16 queue_reset;
	le16 admin_queue_index;
	le16 admin_queue_num;
};
_Static_assert(sizeof(struct virtio_pci_common_cfg) == 64, "virtio 1.4, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common_cfg, device_status) == 20, "virtio 1.4, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common_cfg, queue_desc) == 32, "virtio 1.4, 4.1.4.3");
_Static_assert(offsetof(struct virtio_pci_common_cfg, queue_reset) == 58, "virtio 1.4, 4.1.4.3");
/* What a device of virtio 1.0 has of it. */
#define VIRTIO_PCI_COMMON_CFG_MIN offsetof(struct virtio_pci_common_cfg, queue_notif_config_data)

#define VIRTIO_MSI_NO_VECTOR	  0xffff

/* 4.1.4.5 */
#define VIRTIO_PCI_ISR_QUEUE  1u
#define VIRTIO_PCI_ISR_CONFIG 2u

/* 4.1.4.10: the legacy header in BAR 0 */
#define VIRTIO_PCI_LEGACY_DEVICE_FEATURES 0
#define VIRTIO_PCI_LEGACY_DRIVER_FEATURES 4
#define VIRTIO_PCI_LEGACY_QUEUE_PFN	  8
#define VIRTIO_PCI_LEGACY_QUEUE_SIZE	  12
#define VIRTIO_PCI_LEGACY_QUEUE_SELECT	  14
#define VIRTIO_PCI_LEGACY_QUEUE_NOTIFY	  16
#define VIRTIO_PCI_LEGACY_STATUS	  18
#define VIRTIO_PCI_LEGACY_ISR		  19
#define VIRTIO_PCI_LEGACY_CONFIG_VECTOR	  20 /* these two with MSI-X enabled only */
#define VIRTIO_PCI_LEGACY_QUEUE_VECTOR	  22
/* Where the device's own configuration begins. */
#define VIRTIO_PCI_LEGACY_CONFIG(msix) ((msix) ? 24u : 20u)

/* 2.7.2: queue alignment, and the unit of QUEUE_PFN */
#define VIRTIO_PCI_LEGACY_PAGE 4096u

#endif
