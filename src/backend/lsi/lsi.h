/* SPDX-License-Identifier: MIT */
/*
 * An LSI53C895A: a PCI card with a parallel SCSI bus behind it, in full emulation.  A driver leaves
 * programs (SCRIPTS) in memory; the card's processor runs them, and they select disks and move
 * bytes.
 *
 *      lsi.c         the card on its PCI bus, its life, its interrupts
 *      registers.c   what the CPU, or a program, reads and writes
 *      dma.c         the card's own way to memory: RAM, on-chip RAM, its own registers
 *      script.c      the processor: turns, fetching, jumps, arithmetic, load and store
 *      move.c        block moves and phase mismatch
 *      connect.c     selection, reselection, disconnection
 *      spi.c         the SCSI bus with the disks
 *
 * Invariants: SCRIPTS run only inside lsi_run(), which does not nest: what a program does to the
 * card's own registers changes state, and the turn that is under way sees it.  A turn does a
 * bounded amount of work, on the thread that caused it; a program that is not through then goes on
 * from the home reactor, after a pause, so that whoever waits for the machine lock gets it.
 *
 * Not there: target mode, parity, timing (a selection that nobody answers times out at once),
 * chained moves (bytes are never left in SWIDE), the general purpose and handshake timers, the
 * serial EEPROM.
 *
 * Wider than the real card, for SeaBIOS' sake: a block move of no bytes does nothing rather than
 * stop as illegal; a command phase takes 16 bytes whatever the command; selection without ATN may
 * be followed by messages; an ACK that a program left up goes down when it needs the bus again.
 *
 * Threads: one at a time (the machine lock): those of the CPUs, the home reactor's for long
 * programs, and a worker of the card's own, on which disks do their I/O and which takes the lock
 * when they have something to tell.
 */
#ifndef BACKEND_LSI_LSI_H
#define BACKEND_LSI_LSI_H

#include "backend/lsi/registers.h"
#include "backend/lsi/spi.h"
#include "backend/pci/bus.h"
#include "backend/sysbus/backplane.h"
#include "mem/gmem.h"

#define LSI_RAM_BYTES 0x2000u
#define LSI_HOST_ID   7u

struct lsi_options {
	const char *path; /* names it in messages; copied */
	int devfn;	  /* -1: the first empty slot     */
	bool own_worker;  /* else the disks do their I/O on the home reactor              */
	uint32_t poll_us; /* longest time that the worker looks for work before it sleeps */
};

struct lsi_stats {
	uint64_t reads, writes; /* of registers and on-chip RAM, by the CPU     */
	uint64_t instructions;
	uint64_t turns;	      /* lsi_run() with something to do                */
	uint64_t resumptions; /* of these, by a timer: a long program          */
	uint64_t interrupts;  /* times that the pin went up                    */
	uint64_t flying;      /* interrupts on the fly                         */
	uint64_t selections, reselections, mismatches;
	uint64_t bytes_in, bytes_out; /* data phases, copied from and to buffers */
	uint64_t bytes_moved;	      /* by memory moves, load and store         */
};

enum lsi_wait {
	LSI_RUNS,
	LSI_WAITS_PHASE,
	LSI_WAITS_FREE,
	LSI_WAITS_RESELECT,
};

/* A block move on its way. */
struct lsi_move {
	bool active;
	uint64_t at;
	uint32_t left;
	uint32_t entry; /* address of the table's entry            */
	uint8_t top;	/* what stood above the byte count         */
};

struct lsi {
	struct card card;
	struct pci_function fn;
	struct spi_bus bus;
	char path[32];
	struct gmem *mem;
	struct gmem_hint hint;
	struct reactor *home;
	struct worker *io; /* NULL: none */
	struct fair_lock *lock;

	uint8_t reg[LSI_REGISTERS];
	uint8_t ram[LSI_RAM_BYTES];
	uint8_t dstat;
	uint16_t sist;
	bool carry;
	bool timed_out; /* a selection has, and the program has not come to where it notices */

	bool running;
	bool in_run;
	bool resume; /* the instruction at hand is to be carried out again */
	enum lsi_wait wait;
	uint32_t insn[3];
	uint32_t insn_at;
	struct lsi_move move;
	uint32_t left; /* of this turn's work */

	struct reactor_msg msg;
	bool posted;
	struct reactor_timer pause;
	bool stopped; /* until the next reset */
	struct scsi_disk_watcher watcher;
	struct log_limit limit;
	struct lsi_stats stats;
};

/*
 * On the home reactor's thread, before the machine runs.  The card is the backplane's, which
 * destroys it with its disks.
 */
int lsi_create(struct lsi **out, const struct lsi_options *o, struct backplane *plane,
	       struct pci_bus *bus, struct gmem *mem, struct error *err);
/* Takes over the disk.  -EBUSY, -EINVAL: @id is taken or none. */
int lsi_add_disk(struct lsi *lsi, unsigned id, struct scsi_disk *disk, struct error *err);
/* The lowest ID that is free, -ENOSPC. */
int lsi_free_id(const struct lsi *lsi);
/* Who does the I/O of its disks. */
struct scsi_disk_threads lsi_threads(const struct lsi *lsi);

#endif
