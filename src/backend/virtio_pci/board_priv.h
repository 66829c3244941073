/* SPDX-License-Identifier: MIT */
/* The inside of the board: what its files share. */
#ifndef BACKEND_VIRTIO_PCI_BOARD_PRIV_H
#define BACKEND_VIRTIO_PCI_BOARD_PRIV_H

#include "backend/virtio_pci/virtio_pci.h"

static inline struct virtio_pci *virtio_pci_of_bus(struct virtio_bus *bus)
{
	return container_of(bus, struct virtio_pci, bus);
}
static inline struct virtio_pci *virtio_pci_of_fn(struct pci_function *fn)
{
	return container_of(fn, struct virtio_pci, fn);
}
static inline struct virtio_pci *virtio_pci_of_region(struct sysbus_region *r)
{
	return virtio_pci_of_fn(pci_bar_of(r)->fn);
}
static inline bool virtio_pci_is_modern(const struct virtio_pci *b)
{
	return !b->options.no_modern;
}
static inline bool virtio_pci_is_legacy(const struct virtio_pci *b)
{
	return !b->options.no_legacy;
}
/* NULL: there is no such queue. */
static inline struct virtio_pci_queue *virtio_pci_selected(struct virtio_pci *b)
{
	return b->queue_select < b->n_queues ? &b->queues[b->queue_select] : NULL;
}

/*
 * Some drivers do not look whether the device has let go of their memory: the access that asks for
 * it ends when it has.  Where an access cannot take that long it only looks so.
 */
static inline void virtio_pci_wait_while(const struct virtio_pci *b, const bool *busy)
{
	sysbus_wait_while(b->fn.bus ? b->fn.bus->sysbus : NULL, busy);
}

/* ---- registers.c ---- */

struct virtio_pci_register {
	uint16_t offset;
	uint16_t width;
	uint32_t (*read)(struct virtio_pci *b);		 /* NULL: reads 0 */
	void (*write)(struct virtio_pci *b, uint32_t v); /* NULL: cannot be written */
};

/*
 * Access of any width at any place: each register that it touches is read or written once; one
 * written in part keeps its other bytes.  The table is sorted.
 */
uint64_t virtio_pci_registers_read(struct virtio_pci *b, const struct virtio_pci_register *regs,
				   unsigned n, uint64_t offset, unsigned size);
void virtio_pci_registers_write(struct virtio_pci *b, const struct virtio_pci_register *regs,
				unsigned n, uint64_t offset, uint64_t value, unsigned size);

uint64_t virtio_pci_common_read(struct virtio_pci *b, uint64_t offset, unsigned size);
void virtio_pci_common_write(struct virtio_pci *b, uint64_t offset, uint64_t value, unsigned size);
extern const struct sysbus_region_ops virtio_pci_legacy_ops;

/* Interrupt vectors, as both interfaces write them: what cannot be becomes NO_VECTOR. */
void virtio_pci_set_config_vector(struct virtio_pci *b, uint32_t v);
void virtio_pci_set_queue_vector(struct virtio_pci *b, uint32_t v);
uint32_t virtio_pci_queue_vector(struct virtio_pci *b);
/* Bytes of the device's own configuration; all ones behind its end. */
uint64_t virtio_pci_config_read(struct virtio_pci *b, uint64_t offset, unsigned size);
void virtio_pci_config_write(struct virtio_pci *b, uint64_t offset, uint64_t value, unsigned size);

/* ---- isr.c ---- */

/* With the device plugged in, its queues made. */
int virtio_pci_isr_init(struct virtio_pci *b, struct error *err);
void virtio_pci_isr_fini(struct virtio_pci *b);
/* As the driver reads it: afterwards it is clear, and the pin down. */
uint32_t virtio_pci_isr_read(struct virtio_pci *b);
/* The configuration has changed. */
void virtio_pci_isr_config(struct virtio_pci *b);
/* Raises the pin if a queue has called and nobody has read the ISR since. */
void virtio_pci_isr_look(struct virtio_pci *b);
/* The queue's calls so far are nobody's; it does not run. */
void virtio_pci_isr_forget(struct virtio_pci_queue *q);
/* Whether it has called since the ISR was last read; and so it is from now on. */
bool virtio_pci_isr_called(const struct virtio_pci_queue *q);
void virtio_pci_isr_load(struct virtio_pci_queue *q, bool called);

/* ---- status.c ---- */

uint32_t virtio_pci_status(struct virtio_pci *b);
void virtio_pci_set_status(struct virtio_pci *b, uint8_t status);
/* Legacy drivers do not say when they are done with it. */
void virtio_pci_set_legacy_features(struct virtio_pci *b, uint32_t features);
void virtio_pci_reset(struct virtio_pci *b);
/*
 * The access at hand ends when a reset is over that is under way: at once if there is none.  Where
 * it cannot take that long, virtio_pci_access_waits() tells so.
 */
void virtio_pci_await_reset(struct virtio_pci *b);
void virtio_pci_await_queue_reset(struct virtio_pci_queue *q);
/* The command register may have changed; may wait. */
void virtio_pci_update_master(struct virtio_pci *b);

/* ---- queue.c ---- */

int virtio_pci_queue_init(struct virtio_pci *b, unsigned index, struct error *err);
void virtio_pci_queue_fini(struct virtio_pci_queue *q);
uint16_t virtio_pci_queue_max(const struct virtio_pci *b);
/* As the driver finds it after a reset. */
void virtio_pci_queue_forget(struct virtio_pci_queue *q);
/* The driver enables it: checked, and started if the device runs. */
void virtio_pci_queue_enable(struct virtio_pci_queue *q);
void virtio_pci_queue_start(struct virtio_pci_queue *q);
/* The board stands still, the queue has stopped; and goes on. */
void virtio_pci_queue_froze(struct virtio_pci_queue *q);
void virtio_pci_queue_thaw(struct virtio_pci_queue *q);
/* Stops it alone; enabled and resetting read as 0 when that is done. */
void virtio_pci_queue_reset(struct virtio_pci_queue *q);
void virtio_pci_queue_kick(struct virtio_pci_queue *q);
/* Kick addresses follow the queue's state and the BARs. */
void virtio_pci_queue_update_kicks(struct virtio_pci_queue *q);
void virtio_pci_queue_drop_kicks(struct virtio_pci_queue *q, const struct pci_bar *bar);

#endif
