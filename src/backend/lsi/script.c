/* SPDX-License-Identifier: MIT */
/* The SCRIPTS processor: fetching, jumps, arithmetic on registers, memory moves, load and store. */
#include "backend/lsi/lsi_priv.h"

/* Work of one turn: an instruction is 1, and so are 256 bytes that it moves. */
#define TURN_WORK 8192u

/* ---- turns ---- */

void lsi_start(struct lsi *lsi)
{
	lsi->running = true;
	lsi->resume = false;
	lsi->move.active = false;
	lsi->wait = LSI_RUNS;
}

void lsi_halt(struct lsi *lsi)
{
	/* What it was at is forgotten by the next start. */
	lsi->running = false;
}

void lsi_wait(struct lsi *lsi, enum lsi_wait what)
{
	lsi->wait = what;
	lsi->resume = true;
}

/* ---- jumps ---- */

#define RELATIVE    BIT64(23)
#define ON_CARRY    BIT64(21)
#define ON_THE_FLY  BIT64(20)
#define IF_TRUE	    BIT64(19)
#define WITH_DATA   BIT64(18)
#define WITH_PHASE  BIT64(17)
#define AWAIT_PHASE BIT64(16)

static bool condition(const struct lsi *lsi, uint32_t word)
{
	uint8_t care = (uint8_t) ~(word >> 8);

	if (word & ON_CARRY)
		return lsi->carry;
	if (word & WITH_PHASE && (!lsi->bus.now || lsi->bus.phase != (word >> 24 & 7)))
		return false;
	return !(word & WITH_DATA) || !((lsi->reg[LSI_SFBR] ^ word) & care);
}

static void transfer_control(struct lsi *lsi)
{
	uint32_t word = lsi->insn[0], dsp = lsi_get32(lsi, LSI_DSP);
	uint32_t to = word & RELATIVE ? lsi_displaced(dsp, lsi->insn[1]) : lsi->insn[1];

	if (word & AWAIT_PHASE && !lsi_await_phase(lsi))
		return;
	if (condition(lsi, word) != !!(word & IF_TRUE))
		return;
	switch (word >> 27 & 7) {
	case 0:
		lsi_put32(lsi, LSI_DSP, to);
		break;
	case 1:
		lsi_put32(lsi, LSI_TEMP, dsp);
		lsi_put32(lsi, LSI_DSP, to);
		break;
	case 2:
		lsi_put32(lsi, LSI_DSP, lsi_get32(lsi, LSI_TEMP));
		break;
	case 3:
		if (word & ON_THE_FLY) {
			lsi->reg[LSI_ISTAT] |= ISTAT_INTF;
			lsi->stats.flying++;
			break;
		}
		lsi_dma_interrupt(lsi, DSTAT_SIR);
		break;
	default:
		lsi_dma_interrupt(lsi, DSTAT_IID);
	}
}

/* ---- arithmetic ---- */

#define WITH_SFBR BIT64(23)

static uint8_t compute(struct lsi *lsi, unsigned op, uint8_t a, uint8_t b)
{
	unsigned v;

	switch (op) {
	case 1: /* shifts go through the carry */
		v = (unsigned)a << 1 | lsi->carry;
		lsi->carry = a >> 7;
		return (uint8_t)v;
	case 2:
		return a | b;
	case 3:
		return a ^ b;
	case 4:
		return a & b;
	case 5:
		v = (unsigned)a >> 1 | (unsigned)lsi->carry << 7;
		lsi->carry = a & 1;
		return (uint8_t)v;
	case 6:
	case 7:
		v = (unsigned)a + b + (op == 7 && lsi->carry);
		lsi->carry = v >> 8;
		return (uint8_t)v;
	default:
		return b;
	}
}

static void read_write(struct lsi *lsi)
{
	uint32_t word = lsi->insn[0];
	unsigned reg = (word >> 16 & 0x7f) | (word & 0x80), op = word >> 24 & 7;
	uint8_t b = word & WITH_SFBR ? lsi->reg[LSI_SFBR] : (uint8_t)(word >> 8), a;

	switch (word >> 27 & 7) {
	case 5:
		lsi_reg_write(lsi, reg, compute(lsi, op, lsi->reg[LSI_SFBR], b));
		break;
	case 6:
		a = op ? lsi_reg_read(lsi, reg) : 0;
		lsi->reg[LSI_SFBR] = compute(lsi, op, a, b);
		break;
	default:
		a = op ? lsi_reg_read(lsi, reg) : 0;
		lsi_reg_write(lsi, reg, compute(lsi, op, a, b));
	}
}

/* ---- memory ---- */

#define PIECE 4096u

static void memory_move(struct lsi *lsi)
{
	uint64_t from = (uint64_t)lsi_get32(lsi, LSI_MMRS) << 32 | lsi->insn[1];
	uint64_t to = (uint64_t)lsi_get32(lsi, LSI_MMWS) << 32 | lsi->insn[2];
	uint32_t left = lsi->insn[0] & 0xffffff;
	uint8_t piece[PIECE];

	/* Both ends have the same place in their words. */
	if (!left || (from ^ to) & 3) {
		lsi_dma_interrupt(lsi, DSTAT_IID);
		return;
	}
	lsi->left -= (uint32_t)min_u64(lsi->left, left / 256);
	for (uint32_t n; left && lsi->running; left -= n, from += n, to += n) {
		n = (uint32_t)min_u64(left, PIECE);
		if (!lsi_dma_read_any(lsi, from, piece, n) ||
		    !lsi_dma_write_any(lsi, to, piece, n)) {
			lsi_dma_interrupt(lsi, DSTAT_BF);
			return;
		}
		lsi->stats.bytes_moved += n;
	}
}

#define FROM_DSA BIT64(28)
#define LOADS	 BIT64(24)

static void load_store(struct lsi *lsi)
{
	uint32_t word = lsi->insn[0], n = word & 7;
	bool load = word & LOADS;
	unsigned reg = word >> 16 & 0xff;
	uint8_t bytes[4] = {0};
	uint64_t at;

	if (word & FROM_DSA)
		at = (uint64_t)lsi_get32(lsi, LSI_DRS) << 32 |
		     lsi_displaced(lsi_get32(lsi, LSI_DSA), lsi->insn[1]);
	else
		at = (uint64_t)lsi_get32(lsi, load ? LSI_MMRS : LSI_MMWS) << 32 | lsi->insn[1];
	/* Within one word on either side, at the same place. */
	if (!n || (reg & 3) + n > 4 || (reg ^ at) & 3) {
		lsi_dma_interrupt(lsi, DSTAT_IID);
		return;
	}
	lsi->stats.bytes_moved += n;
	if (load) {
		if (!lsi_dma_read_any(lsi, at, bytes, n)) {
			lsi_dma_interrupt(lsi, DSTAT_BF);
			return;
		}
		for (unsigned i = 0; i < n; i++)
			lsi_reg_write(lsi, reg + i, bytes[i]);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		bytes[i] = lsi_reg_read(lsi, reg + i);
	if (!lsi_dma_write_any(lsi, at, bytes, n))
		lsi_dma_interrupt(lsi, DSTAT_BF);
}

/* ---- one instruction ---- */

static unsigned words_of(const struct lsi *lsi, uint32_t first)
{
	bool memory = first >> 29 == 6;
	bool direct64 = !(first >> 28) && lsi->reg[LSI_CCNTL1] & CCNTL1_DIRECT64;

	return memory || direct64 ? 3 : 2;
}

static bool fetch(struct lsi *lsi)
{
	uint32_t dsp = lsi_get32(lsi, LSI_DSP) & ~3u;
	uint64_t at = (uint64_t)lsi_get32(lsi, LSI_SFS) << 32 | dsp;
	unsigned words;

	lsi->insn_at = dsp;
	lsi->insn[0] = lsi->insn[1] = lsi->insn[2] = 0;
	if (!lsi_dma_read(lsi, at, lsi->insn, 8))
		return false;
	words = words_of(lsi, le32toh(lsi->insn[0]));
	if (words == 3 && !lsi_dma_read(lsi, at + 8, &lsi->insn[2], 4))
		return false;
	for (unsigned i = 0; i < 3; i++)
		lsi->insn[i] = le32toh(lsi->insn[i]);
	lsi_put32(lsi, LSI_DBC, lsi->insn[0]);
	lsi_put32(lsi, LSI_DSPS, lsi->insn[1]);
	if (words == 3 && lsi->insn[0] >> 29 == 6)
		lsi_put32(lsi, LSI_TEMP, lsi->insn[2]);
	lsi_put32(lsi, LSI_DSP, dsp + 4 * words);
	return true;
}

static void carry_out(struct lsi *lsi)
{
	switch (lsi->insn[0] >> 29) {
	case 0:
	case 1:
		lsi_block_move(lsi);
		break;
	case 2:
	case 3:
		if ((lsi->insn[0] >> 27 & 7) < 5)
			lsi_io(lsi);
		else
			read_write(lsi);
		break;
	case 4:
	case 5:
		transfer_control(lsi);
		break;
	case 6:
		memory_move(lsi);
		break;
	default:
		load_store(lsi);
	}
}

static void script_step(struct lsi *lsi)
{
	if (!lsi->resume) {
		if (!fetch(lsi)) {
			lsi_dma_interrupt(lsi, DSTAT_BF);
			return;
		}
		lsi->stats.instructions++;
	}
	lsi->resume = false;
	lsi->wait = LSI_RUNS;
	carry_out(lsi);
	if (lsi->reg[LSI_DCNTL] & DCNTL_SSM && lsi->running && lsi->wait == LSI_RUNS)
		lsi_dma_interrupt(lsi, DSTAT_SSI);
}

/* ---- a turn ---- */

void lsi_run(struct lsi *lsi)
{
	if (lsi->in_run || !lsi->running || lsi->stopped)
		return;
	lsi->in_run = true;
	lsi->stats.turns++;
	lsi->left = TURN_WORK;
	do {
		script_step(lsi);
		lsi->left -= lsi->left > 0;
	} while (lsi->running && lsi->wait == LSI_RUNS && lsi->left);
	lsi->in_run = false;
	/* INT behind a selection that nobody answered: the time-out comes all the same. */
	if (!lsi->running && lsi->timed_out) {
		lsi->timed_out = false;
		lsi_scsi_interrupt(lsi, SIST_STO);
	}
	if (lsi->running && lsi->wait == LSI_RUNS && !lsi->posted) {
		lsi->posted = true;
		reactor_post(lsi->home, &lsi->msg);
	}
	lsi_update_irq(lsi);
}
