/* SPDX-License-Identifier: MIT */
/*
 * A driver on the rig's board: every access is a message, interrupts are eventfds, the disk holds
 * its requests until it is told.
 */
#ifndef TESTS_PAIR_VFIO_USER_DRIVE_H
#define TESTS_PAIR_VFIO_USER_DRIVE_H

#include "server/vfio_user/rig_test.h"

#include "frontend/virtio_pci/vpci.h"
#include "held_disk.h"
#include "vring/driver.h"

#define DRIVE_QUEUES 2
#define DRIVE_SIZE   16u /* entries of a ring */
#define DRIVE_IOS    5u	 /* requests of three descriptors that go into one */
#define DRIVE_DISK   (1u << 20)
#define DRIVE_PIECE  4096u

struct drive_io {
	uint64_t header, data, status; /* guest addresses */
	uint32_t type;
	unsigned done; /* how often */
};

struct drive_queue {
	struct vqdrv drv;
	struct vpci_kick kick;
	struct drive_io ios[DRIVE_IOS];
	unsigned n_ios;
	void *state;
	int call;
};

struct drive {
	struct rig r;
	struct held_disk *disk;
	struct pci_access access;
	struct pcidev dev;
	struct vpci v;
	struct drive_queue queues[DRIVE_QUEUES];
	int pin;
	uint64_t used; /* of the memory */
	bool msix;
};

/* A disk that does not hold yet, a client that has shared its memory; BARs have addresses. */
void drive_init(struct drive *d);
void drive_fini(struct drive *d);
/* Finds the board and gives its BARs addresses; again after a reset of the device. */
void drive_find(struct drive *d);
/* The same client again, after rig_hang_up(), as drive_init() left it. */
void drive_come_back(struct drive *d);

/* Reset, features but for @without, both queues, DRIVER_OK; by vectors, or by the pin. */
void drive_start(struct drive *d, uint64_t without, bool msix);
/* @n reads or writes of a pattern, of a place of its own each, and a kick. */
void drive_submit(struct drive *d, unsigned queue, uint32_t type, unsigned n);
/* Until the disk holds so many. */
void drive_held(struct drive *d, unsigned n);
/* The disk carries out what it holds, and does not hold any more. */
void drive_release(struct drive *d);
/* Takes what is completed; how many. */
unsigned drive_reap(struct drive *d, unsigned queue);
/* Until all that was submitted to the queue is done, once each and rightly. */
void drive_complete(struct drive *d, unsigned queue);
/* Submits and completes on both queues: it works. */
void drive_works(struct drive *d);
/* Takes a signal of an eventfd; false: there is none now. */
bool drive_signalled(int fd);
/* Until there is one. */
void drive_wait_signal(struct drive *d, int fd);

#endif
