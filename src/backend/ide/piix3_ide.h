/* SPDX-License-Identifier: MIT */
/*
 * The PIIX3's IDE function, 00:01.1: two channels at their legacy ports, each with a bus master
 * behind base address register 4.
 *
 *      struct piix3_ide
 *        card          in the backplane, which destroys it
 *        fn            PCI function 8086:7010
 *        channels[2]   ide.0, ide.1
 *          drives[2]   ATA disks, on the same storage as every other disk
 *
 * A channel answers while the function decodes ports and the channel's own decode bit is set, which
 * it is from power-on, as firmware would leave it.
 *
 * Threads: the machine lock; requests to the storage go by a worker of our own, which takes the
 * lock when one comes back.  Whoever holds the lock may therefore wait for a request to come back,
 * and nobody else's queue waits for the lock.
 */
#ifndef BACKEND_IDE_PIIX3_IDE_H
#define BACKEND_IDE_PIIX3_IDE_H

#include "backend/ide/channel.h"
#include "backend/pci/bus.h"
#include "backend/sysbus/backplane.h"

#define PIIX3_IDE_CHANNELS  2u
#define PIIX3_IDE_DISKS_MAX (PIIX3_IDE_CHANNELS * IDE_DRIVES)

struct piix3_ide {
	struct card card;
	struct pci_function fn;
	struct worker *io;
	unsigned n_disks;
	struct ide_channel channels[PIIX3_IDE_CHANNELS];
};

/*
 * Attaches itself to @bus at 00:01.1.  @poll_us: longest time that its worker looks for work before
 * it sleeps.  The card is the backplane's, which destroys it with its storages.
 */
int piix3_ide_create(struct piix3_ide **out, struct backplane *plane, struct pci_bus *bus,
		     struct gmem *mem, uint32_t poll_us, struct error *err);

/*
 * In the next empty place: first and second of ide.0, then of ide.1.  Takes over @storage on
 * success.  -ENOSPC.
 */
int piix3_ide_add(struct piix3_ide *ide, const struct ide_drive_options *o, struct storage *storage,
		  struct error *err);

/* The disk that was added as number @n. */
static inline struct ide_drive *piix3_ide_drive(struct piix3_ide *ide, unsigned n)
{
	return &ide->channels[n / IDE_DRIVES].drives[n % IDE_DRIVES];
}

#endif
