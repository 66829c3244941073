/* SPDX-License-Identifier: MIT */
/*
 * A backplane with a PCI bus and a virtio-blk-pci (or virtio-net-pci) in it, behind them the device
 * on its worker; in front of them our own driver half, which finds the board on the bus.  The host
 * below notes everything (noting_host.h).
 *
 * The test's thread is processor and control thread at once.
 */
#ifndef TESTS_PAIR_BOARD_RIG_H
#define TESTS_PAIR_BOARD_RIG_H

#include "backend/blk/virtio_blk.h"
#include "backend/board/virtio_card.h"
#include "backend/net/virtio_net.h"
#include "backend/pci/host.h"
#include "backend/pci/piix3.h"
#include "frontend/virtio_pci/vpci.h"
#include "noting_host.h"
#include "vring/driver.h"

#define BR_RAM	    UINT64_C(0x100000) /* where guest memory begins */
#define BR_RAM_SIZE (16u << 20)
#define BR_QUEUES   4
#define BR_MSI	    NOTING_MSI

struct br_options {
	struct virtio_pci_options board;
	unsigned queues; /* 0: 1 */
	unsigned queue_size;
	struct noting_host_options host;
	bool waits;		 /* an access may wait until the device is ready for it */
	struct storage *storage; /* NULL: 1 MiB of memory */
	struct net_link *net;	 /* a network card on this link instead of the disk ... */
	unsigned pairs;		 /* ... with as many pairs of queues */
};

struct br_queue {
	struct vqdrv drv;
	struct vpci_ring ring;
	struct vpci_kick kick;
	void *state;
};

struct board_rig {
	struct backplane plane;
	struct noting_host below;
	struct pci_host host;
	struct piix3 isa;
	struct worker *worker;
	struct virtio_pci *board;
	struct virtio_blk *blk; /* one of these two */
	struct virtio_net *net;
	struct gmem *mem;
	uint8_t *ram;
	uint64_t used;
	bool busy;	/* the control thread runs with each access */
	unsigned waits; /* moments that accesses have waited */
	void (*on_wait)(struct board_rig *r);

	unsigned kick_exits; /* writes to a notification address that reached the board */
	unsigned isr_reads;

	/* The driver. */
	struct pci_access access;
	struct pcidev_window ports, memory;
	struct pcidev dev;
	struct vpci v;
	uint64_t features;
	struct br_queue queues[BR_QUEUES];
	unsigned n_queues;
	bool msix;
};

void br_init(struct board_rig *r, const struct br_options *o);
void br_fini(struct board_rig *r);

uint64_t br_alloc(struct board_rig *r, uint64_t bytes, uint64_t align);
void *br_at(struct board_rig *r, uint64_t gpa);

/* The level of the card's line. */
bool br_disk_line(const struct board_rig *r);
static inline bool br_line(const struct board_rig *r, unsigned gsi)
{
	return noting_host_line(&r->below, gsi);
}
static inline void br_host(struct board_rig *r)
{
	noting_host_look(&r->below);
}
static inline void br_eoi(struct board_rig *r, unsigned gsi)
{
	noting_host_eoi(&r->below, gsi);
}
/* Reads the ISR, then ends the interrupt, as a handler does. */
uint8_t br_acknowledge(struct board_rig *r);

/* Lets control thread and host do what has come in; waits a moment for it. */
void br_pump(struct board_rig *r);
/* Pumps until @done or, after long enough to call it a hang, fails the test. */
void br_until(struct board_rig *r, bool (*done)(struct board_rig *r, void *arg), void *arg);

/* Finds the disk, gives its BARs addresses. */
void br_find(struct board_rig *r, enum vpci_how how);
/* Reset, features (of what is offered without @without), all queues, DRIVER_OK. */
void br_start(struct board_rig *r, uint64_t without, bool msix);
void br_reset(struct board_rig *r);
/* The reset line, of a machine that does not wait for anything. */
void br_reset_line(struct board_rig *r);
/*
 * A fresh ring for queue @i of the driver's, @num 0: of the size that the board names; set up and
 * enabled.
 */
void br_queue(struct board_rig *r, uint16_t i, uint16_t num);

/*
 * A request of @len bytes at @data; published and kicked if wanted.  Then waits for it and for the
 * interrupt; returns the status byte.
 */
struct br_io {
	uint64_t header, status;
	bool done;
	uint32_t used_len;
};
void br_submit(struct board_rig *r, unsigned queue, struct br_io *io, uint32_t type,
	       uint64_t sector, uint64_t data, uint32_t len);
int br_finish(struct board_rig *r, unsigned queue, struct br_io *io);
int br_do(struct board_rig *r, unsigned queue, uint32_t type, uint64_t sector, uint64_t data,
	  uint32_t len);
/*
 * A read whose completion is awaited by looking at the ring, not by an interrupt, though one is
 * asked for; then time for it to come: the call has reached the host when this returns.
 */
void br_complete(struct board_rig *r, unsigned queue);
/* Time enough for whatever is under way. */
void br_settle(struct board_rig *r);
/* Writes a pattern to a sector of its own through each queue, reads it back. */
void br_check_io(struct board_rig *r);

#endif
