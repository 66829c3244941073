/* SPDX-License-Identifier: MIT */
/*
 * Between the files of this folder.
 *
 * They call each other in a ring that is the chip's own: a write to a register starts a program
 * (registers.c -> script.c), a program's moves and loads go to memory (script.c, move.c -> dma.c),
 * and the chip's own registers are memory to them (dma.c -> registers.c).  lsi_run() does nothing
 * inside of a turn, so the ring is entered once.  spi.c, the bus, knows none of them: it tells of
 * changes by a callback.
 */
#ifndef BACKEND_LSI_LSI_PRIV_H
#define BACKEND_LSI_LSI_PRIV_H

#include "backend/lsi/lsi.h"

static inline uint32_t lsi_get32(const struct lsi *lsi, unsigned at)
{
	return lsi->reg[at] | (uint32_t)lsi->reg[at + 1] << 8 | (uint32_t)lsi->reg[at + 2] << 16 |
	       (uint32_t)lsi->reg[at + 3] << 24;
}

static inline void lsi_put32(struct lsi *lsi, unsigned at, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		lsi->reg[at + i] = (uint8_t)(v >> (8 * i));
}

/* ---- lsi.c ---- */

/* The pin follows behind each access of the CPU and each turn; a reset of the bus lowers it. */
void lsi_update_irq(struct lsi *lsi);
/* Interrupt conditions; those that stop SCRIPTS do. */
void lsi_dma_interrupt(struct lsi *lsi, uint8_t bits);
void lsi_scsi_interrupt(struct lsi *lsi, uint16_t bits);
/* ISTAT.SRST */
void lsi_soft_reset(struct lsi *lsi);

/* ---- registers.c ---- */

uint8_t lsi_reg_read(struct lsi *lsi, unsigned at);
void lsi_reg_write(struct lsi *lsi, unsigned at, uint8_t value);
extern const struct sysbus_region_ops lsi_register_ops, lsi_ram_ops;

/* ---- dma.c ---- */

/*
 * Memory and on-chip RAM.  false: some byte of it is nowhere, or the card may not master the bus;
 * then nothing was moved.
 */
bool lsi_dma_read(struct lsi *lsi, uint64_t from, void *to, uint32_t len);
bool lsi_dma_write(struct lsi *lsi, uint64_t to, const void *from, uint32_t len);
/* For memory moves, load and store: the card's own registers, too. */
bool lsi_dma_read_any(struct lsi *lsi, uint64_t from, void *to, uint32_t len);
bool lsi_dma_write_any(struct lsi *lsi, uint64_t to, const void *from, uint32_t len);

/* ---- script.c ---- */

/* From the address in DSP. */
void lsi_start(struct lsi *lsi);
void lsi_halt(struct lsi *lsi);
/* A turn, if there is something to do; does nothing inside of one. */
void lsi_run(struct lsi *lsi);
/* The instruction at hand cannot go on. */
void lsi_wait(struct lsi *lsi, enum lsi_wait what);
/* A signed 24-bit displacement. */
static inline uint32_t lsi_displaced(uint32_t base, uint32_t word)
{
	return base + (word & 0xffffff) - (word & 0x800000 ? 0x1000000 : 0);
}

/* ---- move.c, connect.c: one kind of instruction each ---- */

void lsi_block_move(struct lsi *lsi);
void lsi_io(struct lsi *lsi);
/* Behind whatever may have ended the connection. */
void lsi_connection_changed(struct lsi *lsi, bool was_connected);
/* Whether the bus asks for a byte; else the instruction waits, or ends by a time-out. */
bool lsi_await_phase(struct lsi *lsi);

#endif
