/* SPDX-License-Identifier: MIT */
/*
 * A whole PC without a processor: what pc_create() puts together, on a host that only counts.
 * The test is the processor: it reads and writes ports, memory and configuration space, and moves
 * the home reactor on.
 *
 * Threads: the test's, which holds the machine lock for each access; the devices'
 * workers run by themselves.
 */
#ifndef TESTS_PAIR_PC_RIG_H
#define TESTS_PAIR_PC_RIG_H

#include "backend/machine/pc.h"
#include "frontend/virtio_pci/vpci.h"

#define PC_RIG_MEMORY (UINT64_C(16) << 20)
/* Guest memory from here on is the test's; below are rings and data of pc_rig_check(). */
#define PC_RIG_FREE 0x400000

struct pc_rig {
	struct pc *pc;
	struct sysbus_host host;
	struct serial_line line;
	struct pci_access access; /* by configuration mechanism 1 */
	uint64_t accesses;	  /* that went to the system bus */
	uint64_t interrupts;	  /* messages and rises of lines */
	int wire;		  /* the far end of the network card's cable, 0: there is none */
};

/*
 * @devices up to a NULL, in order: "ide" an IDE disk, "net" a network card; everything else a
 * virtio-blk-pci, words in it saying of what kind (modern-only, legacy-only, no-msix, queues).
 */
void pc_rig_init(struct pc_rig *r, const char *const *devices);
void pc_rig_fini(struct pc_rig *r);

uint64_t pc_rig_read(struct pc_rig *r, enum sysbus_space space, uint64_t addr, unsigned size);
void pc_rig_write(struct pc_rig *r, enum sysbus_space space, uint64_t addr, uint64_t value,
		  unsigned size);
void *pc_rig_at(struct pc_rig *r, uint64_t gpa, uint64_t len);

/* Addresses for every BAR, as firmware gives them. */
void pc_rig_assign(struct pc_rig *r);
/* What has come in for the home reactor. */
void pc_rig_turn(struct pc_rig *r);
/* ... after at most @ms in which nothing did. */
void pc_rig_wait(struct pc_rig *r, int ms);
/* As the reset line does; returns when every device is over it, and the PCI bus has addresses. */
void pc_rig_reset(struct pc_rig *r);
/* Requests that the virtio disks have completed so far, good or bad. */
uint64_t pc_rig_requests(const struct pc_rig *r);
/*
 * Every virtio-blk of the machine is driven from reset to a write that reads back;
 * returns how many there are.
 */
unsigned pc_rig_check(struct pc_rig *r);
/* Every IDE disk tells its size. */
void pc_rig_check_ide(struct pc_rig *r);

#endif
