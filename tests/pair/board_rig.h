/* SPDX-License-Identifier: MIT */
/*
 * A backplane with a PCI bus and a virtio-blk-pci (or virtio-net-pci) in it, behind them the device on its worker; in front of them our own driver half, which finds the
 * board on the bus.
 * The host of the backplane is a double that records messages and levels, and does by itself
 * what KVM would: signal the eventfds that writes were bound to, send the messages and raise the
 * lines that eventfds were bound to, lower such a line at an end of interrupt and tell those who
 * asked for it.
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
#include "vring/driver.h"

#define BR_RAM	    UINT64_C(0x100000) /* where guest memory begins */
#define BR_RAM_SIZE (16u << 20)
#define BR_QUEUES   4
#define BR_MSI	    UINT64_C(0xfee00000)
#define BR_VECTORS  64 /* message data below this are counted */
#define BR_BOUND    64

struct br_options {
	struct virtio_pci_options board;
	unsigned queues; /* 0: 1 */
	unsigned queue_size;
	bool no_ioeventfd, no_irqfd, no_line_irqfd; /* the host cannot */
	bool no_any_size;			    /* the host's ioeventfds need a width */
	bool waits;		 /* an access may wait until the device is ready for it */
	struct storage *storage; /* NULL: 1 MiB of memory */
	struct net_link *net;	 /* a network card on this link instead of the disk ... */
	unsigned pairs;		 /* ... with as many pairs of queues */
};

struct br_bound {
	int fd; /* -1: free */
	enum sysbus_space space;
	uint64_t addr;
	unsigned size;
	bool match;
	uint64_t value;
	uint32_t data; /* irqfd */
};

struct br_bound_line {
	int fd; /* -1: free */
	int resample_fd;
	unsigned gsi;
};

struct br_queue {
	struct vqdrv drv;
	struct vpci_ring ring;
	struct vpci_kick kick;
	void *state;
};

struct board_rig {
	struct backplane plane;
	struct sysbus_host below;
	struct sysbus_host_ops host_ops;
	struct pci_host host;
	struct piix3 isa;
	struct worker *worker;
	struct virtio_pci *board;
	struct virtio_blk *blk; /* one of these two */
	struct virtio_net *net;
	struct gmem *mem;
	uint8_t *ram;
	uint64_t used;
	bool no_any_size;
	bool busy;	/* the control thread runs with each access */
	unsigned waits; /* moments that accesses have waited */
	void (*on_wait)(struct board_rig *r);
	int call_fds[BR_VECTORS]; /* what a message signals, 0: nothing */

	/* What the host has seen. */
	unsigned messages[BR_VECTORS]; /* by data */
	unsigned sent_by_hand, strange_messages;
	bool line[16];
	unsigned rises[16];
	struct br_bound kicks[BR_BOUND], irqfds[BR_BOUND];
	struct br_bound_line lines[BR_BOUND];
	bool raised[16];     /* by an irqfd, until the end of interrupt */
	unsigned raises[16]; /* signals of irqfds */
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

/* The level of a line, whoever raised it; of the disk's. */
bool br_line(const struct board_rig *r, unsigned gsi);
bool br_disk_line(const struct board_rig *r);
/* Host: takes what irqfds were signalled. */
void br_host(struct board_rig *r);
/* The processor ends an interrupt of that line. */
void br_eoi(struct board_rig *r, unsigned gsi);
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
