/* SPDX-License-Identifier: MIT */
/*
 * An IDE channel: two places for disks, the ports by which a processor reaches them, a bus master.
 *
 *      0x1f0..0x1f7  command block: what is written goes to both disks, what is read comes from
 *                    the one that the device register selects
 *      0x3f6         control block: interrupt enable, reset; status without its side effect
 *      IRQ 14        the selected disk's, while interrupts are on; reading the status register
 *                    takes it back
 *
 * A disk that is missing beside one that is there shows status 0; where both are missing the bus
 * floats, with its line 7 pulled down.
 *
 * Channel and drives call each other, and cannot be untied.  Down goes what the guest writes; up
 * comes a drive's interrupt request, that it waits for the bus master, and EXECUTE DEVICE
 * DIAGNOSTIC, which is one drive's command and both drives' work.  So drive.c, ata.c and transfer.c
 * include this header, for the functions "for the drives" alone.  Within a drive, transfer.c fetches
 * the ranges of a TRIM for trim.c and hands them back to it.
 *
 * Threads: the machine lock.  Whoever takes the bus master away waits for the storage, and lets go
 * of it meanwhile.
 */
#ifndef BACKEND_IDE_CHANNEL_H
#define BACKEND_IDE_CHANNEL_H

#include "backend/ide/dma.h"
#include "backend/ide/drive.h"
#include "backend/sysbus/sysbus.h"
#include "base/fair_lock.h"

#define IDE_DRIVES 2u

struct ide_counters {
	uint64_t registers;  /* accesses to registers, the bus master's included    */
	uint64_t data;	     /* accesses to the data port                           */
	uint64_t copied;     /* bytes that were moved by the processor              */
	uint64_t direct;     /* bytes between storage and guest memory              */
	uint64_t commands;   /* that the guest gave                                 */
	uint64_t requests;   /* at the storage                                      */
	uint64_t interrupts; /* times the line went up                              */
	uint64_t resets;     /* by the guest                                        */
	uint64_t errors;     /* commands that failed                                */
};

struct ide_channel {
	const char *name; /* "ide.0" */
	struct sysbus *bus;
	struct fair_lock *lock; /* the machine lock */
	unsigned index;		/* of the controller's channels */
	unsigned irq;
	struct sysbus_region command, control;
	bool decoded; /* they are mapped */
	uint8_t control_register;
	uint8_t selected;
	bool irq_shown; /* and so the bus has been told */
	struct ide_dma dma;
	struct ide_counters counters;
	pthread_cond_t landed; /* a request came back from the storage */
	/* ... and no other is there.  With the lock, on the drives' worker.  NULL: nobody asks. */
	void (*idle)(struct ide_channel *ch);
	struct ide_drive drives[IDE_DRIVES];
};

void ide_channel_init(struct ide_channel *ch, unsigned index, struct sysbus *bus, struct gmem *mem,
		      struct fair_lock *lock);
/* Nothing is in flight. */
void ide_channel_fini(struct ide_channel *ch);
/* Whether it answers at its ports. */
void ide_channel_decode(struct ide_channel *ch, bool on);
/* Gives up what the drives are at; what is in flight comes back later. */
void ide_channel_quiesce(struct ide_channel *ch);
/* A request of one of its drives is at the storage. */
bool ide_channel_flies(const struct ide_channel *ch);
/* Power-on state; waits for what is in flight. */
void ide_channel_reset(struct ide_channel *ch);

/* A register of the bus master, from its first port on, byte by byte. */
uint8_t ide_channel_bm_read(struct ide_channel *ch, unsigned reg);
void ide_channel_bm_write(struct ide_channel *ch, unsigned reg, uint8_t value);
/*
 * Whether the function may be bus master.  When it may no more, waits until no guest memory is in
 * use.
 */
void ide_channel_enable_dma(struct ide_channel *ch, bool on);

/* ---- for the drives ---- */

/* A drive's interrupt request, or the selection, has changed. */
void ide_channel_update_irq(struct ide_channel *ch);
/* A drive waits for the bus master, or the bus master for a drive: brings them together. */
void ide_channel_match(struct ide_channel *ch);
/* EXECUTE DEVICE DIAGNOSTIC: both drives do it, the first one tells. */
void ide_channel_diagnose(struct ide_channel *ch);

#endif
