/* SPDX-License-Identifier: MIT */
/*
 * The virtio-pci board: a PCI function that carries a virtio bus, and through it any virtio device
 * (virtio 1.4, 4.1).  It knows nothing of the device but what virtio_device says.
 *
 *      BAR 0  ports, 4.1.4.10         the legacy header; not on a modern-only board
 *      BAR 1  memory                  MSI-X table and pending bits
 *      BAR 4  memory, 64 bit          common configuration, ISR, device configuration,
 *                                     notifications; not on a legacy-only board
 *
 *      virtio_pci.c  identity, capabilities, plugging, the device configuration
 *      registers.c   a table of registers, of any access width
 *      common.c      the common configuration
 *      legacy.c      the legacy header
 *      queue.c       a queue's life, kicks and calls
 *      status.c      status, features, reset
 *      isr.c         the ISR and the interrupt pin
 *      state.c       standing still, and going on in another program
 *
 * Bus mastering that is taken away stops the queues as they are; the access ends when nothing is in
 * flight, where it can wait for that: who boots another kernel takes the memory back this way,
 * without the driver.  They go on when it comes back.  A guest that never switched it on is served
 * all the same: drivers of old did not know that they should.
 *
 * A reset takes time (what is in flight has to come back).  What the driver has set up is
 * forgotten at once; the status reads as before until the reset is over, unless the driver does
 * not wait for that (legacy ones never do): then what it writes meanwhile is shown, and carried
 * out after the reset.
 *
 * Threads: the system bus's; the home reactor runs under the same lock.
 */
#ifndef BACKEND_VIRTIO_PCI_VIRTIO_PCI_H
#define BACKEND_VIRTIO_PCI_VIRTIO_PCI_H

#include "backend/pci/bus.h"
#include "backend/virtio/device.h"
#include "wire/virtio_pci.h"

#define VIRTIO_PCI_BAR_LEGACY 0
#define VIRTIO_PCI_BAR_MSIX   1
#define VIRTIO_PCI_BAR_MODERN 4

/* A queue's size where the device names no limit. */
#define VIRTIO_PCI_QUEUE_SIZE 256

/* Layout of the modern BAR */
#define VIRTIO_PCI_AT_COMMON	 0x0000u
#define VIRTIO_PCI_AT_ISR	 0x1000u
#define VIRTIO_PCI_AT_DEVICE	 0x2000u
#define VIRTIO_PCI_AT_NOTIFY	 0x3000u
#define VIRTIO_PCI_NOTIFY_STRIDE 4u

struct virtio_pci_options {
	const char *name;    /* "virtio-blk-pci" */
	uint32_t class_code; /* 0x010000: mass storage */
	bool no_modern;	     /* the legacy interface only */
	bool no_legacy;	     /* the modern interface only */
	bool no_msix;
	bool no_ioeventfd; /* each kick leaves the guest for us */
	bool no_irqfd;	   /* each interrupt goes by our thread */
	bool foreign_fds;  /* a peer holds the eventfds of vectors and kicks, too */
	unsigned vectors;  /* of MSI-X; 0: one per queue and one for the configuration */
};

/* A kick address that the host signals by itself. */
struct virtio_pci_event {
	bool on;
	unsigned size;
	uint64_t addr;
};

struct virtio_pci;

struct virtio_pci_queue {
	struct virtio_pci *board;
	unsigned index;

	/* What the driver set up. */
	uint16_t size; /* 0: a size was asked for that cannot be */
	uint16_t vector;
	uint64_t desc, driver, device;
	bool enabled;
	bool resetting;	     /* queue reset, not over yet ... */
	bool reset_awaited;  /* ... and an access waits for that */
	bool running;	     /* a start was ordered and no stop since; of a frozen board: will be */
	bool broken;	     /* when the board was frozen: it does not start again */
	bool moved;	     /* it comes from another program: its driver is told once */
	uint32_t base;	     /* where the ring starts, or goes on */
	uint64_t calls_seen; /* of the device's queue, when the ISR was last read */

	int kick_fd, call_fd;
	struct pci_call call;
	struct virtio_pci_event modern_kick, legacy_kick;
	struct virtio_waiter start, stop;
};

struct virtio_pci {
	struct pci_function fn;
	struct virtio_bus bus;
	struct virtio_device *vdev; /* what is plugged into the bus */
	struct virtio_pci_options options;
	struct reactor *home;
	struct gmem *mem; /* the guest's memory, NULL: none yet */
	unsigned cfg_cap; /* offset of the configuration access capability, 0: none */

	/* Registers */
	uint32_t device_feature_select, driver_feature_select;
	uint32_t driver_features[4];
	uint16_t config_vector;
	uint16_t queue_select;
	uint8_t isr;		  /* but for the queues' bit: see isr.c */
	uint8_t generation;	  /* as shown ... */
	uint32_t generation_seen; /* ... for this one of the device's */
	bool legacy_driver;	  /* it speaks through the legacy header */

	/* Bus mastering, which the guest may take away under a driver. */
	bool master;	  /* as last looked at */
	bool master_gone; /* it was there, and is not any more: no queue touches memory */
	bool pausing;	  /* not all have stopped yet ... */
	bool pause_again; /* ... and it was on and off again meanwhile */
	struct virtio_waiter pause;

	/* state.h */
	bool frozen;	     /* asked to be: queues are not started */
	bool freezing;	     /* some have not stopped yet */
	bool changed_frozen; /* the driver is to be told of a change: here, or where it goes on */
	struct virtio_waiter freeze;

	bool resetting;
	bool reset_awaited;    /* by an access */
	uint8_t wanted_status; /* written while resetting */
	struct virtio_waiter reset_waiter;
	void (*quiet)(struct virtio_pci *board); /* who asked; NULL: nobody */

	struct virtio_pci_queue *queues;
	unsigned n_queues;

	/* Ends of interrupts that the host signals. */
	int resample_fd;
	struct reactor_watch resample; /* of eoi_worker */
	struct worker *eoi_worker;     /* NULL: no end is watched */
	int look_fd;		       /* eoi_worker has something to tell */
	struct reactor_watch look;     /* home's */
};

/*
 * Only remembers; the board takes shape when a device is plugged in by
 * virtio_bus_attach(&board->bus, ...).  Then it can be attached to a PCI bus.
 */
void virtio_pci_init(struct virtio_pci *board, const struct virtio_pci_options *options,
		     struct reactor *home);
/* Quiet, or never attached to a PCI bus.  Leaves the PCI bus, unplugs the device. */
void virtio_pci_fini(struct virtio_pci *board);

/*
 * Queues run in @mem (a reference is taken) from now on.  Those that run move when nothing is in
 * flight and go on; @waiter, which may be NULL, waits for them, and for those that are being reset:
 * with nothing pending after the call there was none.
 */
void virtio_pci_set_mem(struct virtio_pci *board, struct gmem *mem, struct virtio_waiter *waiter);

/*
 * Whether the access that was last made would have waited, had the host a way to wait: a reset by a
 * legacy driver, and bus mastering that is switched off, are over when nothing is in flight.
 */
bool virtio_pci_access_waits(const struct virtio_pci *board);

/*
 * Resets the device and calls @quiet, later, from the home reactor, when nothing is in flight and
 * no order is on its way any more.  The guest does not access the board before its reset
 * (pci_function_reset()), if ever.
 */
void virtio_pci_quiesce(struct virtio_pci *board, void (*quiet)(struct virtio_pci *board));

#endif
