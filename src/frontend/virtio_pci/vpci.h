/* SPDX-License-Identifier: MIT */
/*
 * The virtio-pci board from the driver's side: finds its structures, reads and writes its
 * registers, modern and legacy (virtio 1.4, 4.1).
 *
 * Nothing but memcpy and memset is called, so that it also runs where there is no C library.
 * transport.h makes a struct transport of it.
 *
 * Invariants: a register is accessed with its own width, 64-bit ones as two halves; the structures
 * in use lie inside a BAR that has an address; no kick goes outside the notification structure;
 * capabilities are only read.
 *
 * Threads: the owner's; vpci_kick() any.
 */
#ifndef FRONTEND_VIRTIO_PCI_VPCI_H
#define FRONTEND_VIRTIO_PCI_VPCI_H

#include "frontend/pci/pcidev.h"
#include "wire/virtio.h"
#include "wire/virtio_pci.h"

enum vpci_how {
	VPCI_ANY, /* modern if it can be had */
	VPCI_MODERN,
	VPCI_LEGACY,
};

/* A structure in a BAR; length 0: there is none. */
struct vpci_area {
	unsigned bar;
	uint32_t offset, length;
};

struct vpci {
	struct pcidev *dev;
	bool legacy;
	uint16_t type; /* VIRTIO_ID_* */
	struct vpci_area common, notify, isr, device;
	uint32_t multiplier;
	unsigned msix_cap; /* 0: no usable MSI-X */
	struct vpci_area table;
	uint16_t n_vectors;
	bool msix;	   /* on */
	uint64_t features; /* as last written */
};

/* How a queue is kicked; filled by vpci_queue_setup(). */
struct vpci_kick {
	unsigned bar;
	uint32_t at;
	uint16_t data; /* what is written, but for NOTIFICATION_DATA */
	bool wide;     /* NOTIFICATION_DATA was agreed on: 32 bits   */
};

/*
 * A board in @dev, which stays the caller's and must outlive @v; turns on its decoding and bus
 * mastering.  -ENODEV: no virtio device; -ENXIO: one without usable structures of the wanted kind.
 */
int vpci_open(struct vpci *v, struct pcidev *dev, enum vpci_how how);

uint64_t vpci_features(const struct vpci *v);
void vpci_set_features(struct vpci *v, uint64_t features);
uint8_t vpci_status(const struct vpci *v);
/* 0 asks for a reset, which is over when the status reads 0. */
void vpci_set_status(const struct vpci *v, uint8_t status);

uint32_t vpci_generation(const struct vpci *v);
/* Of a field of 1, 2, 4 or 8 bytes, or several; -EINVAL behind the end. */
int vpci_config_read(const struct vpci *v, uint32_t offset, void *buf, uint32_t len);
int vpci_config_write(const struct vpci *v, uint32_t offset, const void *buf, uint32_t len);

uint16_t vpci_num_queues(const struct vpci *v); /* legacy boards do not say: 0 */
/* 0: there is no such queue. */
uint16_t vpci_queue_max(const struct vpci *v, uint16_t index);

struct vpci_ring {
	uint16_t num; /* legacy: what vpci_queue_max() says */
	/* As the device knows them; legacy: desc on a page, the others where 2.7.2 has them. */
	uint64_t desc, driver, device;
	uint16_t vector; /* VIRTIO_MSI_NO_VECTOR: none */
};
/*
 * -EINVAL for what a legacy board cannot express, -EIO when the board does not take the vector or
 * its kick address is bad.
 */
int vpci_queue_setup(const struct vpci *v, uint16_t index, const struct vpci_ring *ring,
		     struct vpci_kick *kick);
void vpci_queue_enable(const struct vpci *v, uint16_t index);
/* Asks for it; done when vpci_queue_resetting() is false. */
void vpci_queue_reset(const struct vpci *v, uint16_t index);
bool vpci_queue_resetting(const struct vpci *v, uint16_t index);

/* @value: queue and place of the next descriptor (vqdrv_notify_value()). */
static inline void vpci_kick(const struct vpci *v, const struct vpci_kick *k, uint32_t value)
{
	if (k->wide)
		pcidev_bar_write(v->dev, k->bar, k->at, (value & 0xffff0000) | k->data, 4);
	else
		pcidev_bar_write(v->dev, k->bar, k->at, k->data, 2);
}

/* VIRTIO_PCI_ISR_* since it was last read; lowers the pin. */
uint8_t vpci_isr(const struct vpci *v);

/* MSI-X on or off; -ENOTSUP. */
int vpci_msix(struct vpci *v, bool on);
void vpci_vector(const struct vpci *v, uint16_t vector, uint64_t address, uint32_t data);
void vpci_vector_mask(const struct vpci *v, uint16_t vector, bool masked);
/* -EIO: the board does not take it. */
int vpci_config_vector(const struct vpci *v, uint16_t vector);

#endif
