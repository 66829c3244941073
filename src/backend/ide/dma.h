/* SPDX-License-Identifier: MIT */
/*
 * The bus master of one channel (wire/ata.h): its registers, and the walk along the table of
 * physical regions.
 *
 * Invariants: what an entry says is used as it was read; a walk ends after the 8192 entries that a
 * table may have; addresses become memory in mem/ alone.
 *
 * Threads: the machine lock.
 */
#ifndef BACKEND_IDE_DMA_H
#define BACKEND_IDE_DMA_H

#include "mem/gmem.h"
#include "wire/ata.h"

struct ide_drive;

/* A place in the table. */
struct ide_dma_place {
	uint64_t entry;	  /* address of the next one                      */
	unsigned entries; /* taken so far                                 */
	bool last;	  /* there is no next one                         */
	uint64_t at;	  /* what is left of the present region: address, */
	uint32_t left;	  /* bytes                                        */
};

struct ide_dma {
	struct gmem *mem;
	struct gmem_hint hint;
	bool enabled; /* the function may be master on its bus */
	uint8_t command, status;
	uint32_t table;
	uint32_t starts; /* so often has it been started */
	struct ide_dma_place place;
	struct ide_drive *drive; /* that is moving data, NULL: none */
};

void ide_dma_reset(struct ide_dma *dma);
static inline bool ide_dma_active(const struct ide_dma *dma)
{
	return dma->enabled && (dma->status & BM_STATUS_ACTIVE);
}
/* The start bit went up. */
void ide_dma_start(struct ide_dma *dma);

/*
 * Up to @sectors whole sectors of guest memory from the table's next bytes on, at most @max slices.
 * Return: the number of sectors; 0: the table ends before the next sector does; -EFAULT: an entry,
 * or the memory it names, is no memory.
 */
int ide_dma_take(struct ide_dma *dma, uint32_t sectors, bool to_memory, struct iovec *iov, int max,
		 int *n);
/* The drive is done with its command: no longer active if the table is used up. */
void ide_dma_done(struct ide_dma *dma);
/* @status: BM_STATUS_ERROR or 0. */
void ide_dma_stop(struct ide_dma *dma, uint8_t status);

#endif
