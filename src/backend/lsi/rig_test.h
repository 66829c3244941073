/* SPDX-License-Identifier: MIT */
/*
 * An adapter with two disks on a PCI bus, memory for its programs, and a small driver that is
 * nothing but a program.
 */
#ifndef BACKEND_LSI_RIG_TEST_H
#define BACKEND_LSI_RIG_TEST_H

#include "backend/lsi/lsi.h"

#define LR_RAM	     0x100000u /* bytes from address 0 */
#define LR_PORTS     0xc000u
#define LR_REGISTERS 0xe0000000u
#define LR_ONCHIP    0xe0010000u

/* Where things stand in memory. */
#define LR_CODE	  0x1000u
#define LR_TABLE  0x8000u
#define LR_DATA	  0x20000u
#define LR_NOBODY 0x40000000u

/* Instructions. */
#define S_MOVE(phase, n) (0x08000000u | (uint32_t)(phase) << 24 | (n))
#define S_TABLE		 0x10000000u
#define S_INDIRECT	 0x20000000u
#define S_SELECT(id)	 (0x40000000u | (uint32_t)(id) << 16)
#define S_ATN		 0x01000000u
#define S_SEL_TABLE	 0x02000000u
#define S_WAIT_DISC	 0x48000000u
#define S_WAIT_RESEL	 0x50000000u
#define S_SET(lines)	 (0x58000000u | (lines))
#define S_CLEAR(lines)	 (0x60000000u | (lines))
#define S_LINE_CARRY	 0x400u
#define S_LINE_ACK	 0x40u
#define S_LINE_ATN	 0x08u
#define S_JUMP		 0x80000000u
#define S_CALL		 0x88000000u
#define S_RETURN	 0x90000000u
#define S_INT		 0x98000000u
#define S_FLY		 0x00100000u
#define S_REL		 0x00800000u
#define S_CARRY		 0x00200000u
#define S_TRUE		 0x00080000u
#define S_DATA(d, mask)	 (0x00040000u | (uint32_t)(mask) << 8 | (d))
#define S_IF(phase)	 (0x00020000u | (uint32_t)(phase) << 24)
#define S_WHEN(phase)	 (0x00030000u | (uint32_t)(phase) << 24)
#define S_REG(reg)	 (((reg)&0x7fu) << 16 | ((reg)&0x80u))
#define S_TO_REG	 0x68000000u
#define S_FROM_REG	 0x70000000u
#define S_REG_REG	 0x78000000u
#define S_OP(op, data)	 ((uint32_t)(op) << 24 | (uint32_t)(data) << 8)
#define S_MEMORY(n)	 (0xc0000000u | (n))
#define S_LOAD(reg, n)	 (0xe1000000u | (uint32_t)(reg) << 16 | (n))
#define S_STORE(reg, n)	 (0xe0000000u | (uint32_t)(reg) << 16 | (n))
#define S_DSA		 0x10000000u

struct lsi_rig {
	struct backplane plane;
	struct pci_bus pci;
	struct reactor *home;
	uint8_t *ram;
	struct gmem *mem;
	struct lsi *lsi;
	uint32_t at; /* where the next words of the program go */
	unsigned pin_changes;
};

/* @target: of both disks; NULL: memory:1M */
void lr_init(struct lsi_rig *r, const char *target);
/* With a worker, or with the disks on the home reactor. */
void lr_init_threads(struct lsi_rig *r, const char *target, bool worker);
void lr_fini(struct lsi_rig *r);

uint8_t lr_in8(struct lsi_rig *r, unsigned reg);
uint32_t lr_in32(struct lsi_rig *r, unsigned reg);
void lr_out8(struct lsi_rig *r, unsigned reg, uint8_t v);
void lr_out32(struct lsi_rig *r, unsigned reg, uint32_t v);
uint32_t lr_get32(const struct lsi_rig *r, uint32_t at);
void lr_put32(struct lsi_rig *r, uint32_t at, uint32_t v);

/* A new program begins at LR_CODE. */
void lr_begin(struct lsi_rig *r);
/* Puts an instruction at its end; returns where it is. */
uint32_t lr_emit(struct lsi_rig *r, uint32_t first, uint32_t second);
uint32_t lr_emit3(struct lsi_rig *r, uint32_t first, uint32_t second, uint32_t third);
/* Runs it until an interrupt. */
void lr_run(struct lsi_rig *r);
/* Turns the reactor until an interrupt. */
void lr_wait(struct lsi_rig *r);
/* lr_run(), then the program must have ended by INT with this number. */
void lr_run_to(struct lsi_rig *r, uint32_t number);

/* ---- a whole command ---- */

struct lr_command {
	unsigned id;
	uint8_t message[16]; /* IDENTIFY, perhaps a tag, perhaps a negotiation */
	unsigned message_n;
	const uint8_t *cdb;
	uint32_t len; /* room for data, at LR_DATA (+ slot * 64 KiB) */
	bool out;
	unsigned slot; /* of four: tables of its own */
};

#define LR_DATA_OF(slot) (LR_DATA + (slot)*0x10000u)

/* Writes the driver's program and tables; returns where to start.  It ends by INT: see below. */
uint32_t lr_driver(struct lsi_rig *r, const struct lr_command *c);
#define LR_INT_DONE    0x100u /* COMMAND COMPLETE and bus free */
#define LR_INT_STRANGE 0x101u /* a message that the program does not know */

/* The command from selection to COMMAND COMPLETE; returns the status. */
uint8_t lr_do(struct lsi_rig *r, const struct lr_command *c);
/* Tables' parts, to look at afterwards. */
uint8_t *lr_status(struct lsi_rig *r, unsigned slot);

#endif
