/* SPDX-License-Identifier: MIT */
/* I/O instructions: select, wait for disconnection or reselection, set and clear lines. */
#include "backend/lsi/lsi_priv.h"

#define RELATIVE    BIT64(26)
#define FROM_TABLE  BIT64(25)
#define WITH_ATN    BIT64(24)
#define LINE_CARRY  BIT64(10)
#define LINE_TARGET BIT64(9)
#define LINE_ACK    BIT64(6)
#define LINE_ATN    BIT64(3)

bool lsi_await_phase(struct lsi *lsi)
{
	if (lsi->timed_out) {
		lsi->timed_out = false;
		lsi_scsi_interrupt(lsi, SIST_STO);
		return false;
	}
	if (lsi->bus.req)
		return true;
	lsi_wait(lsi, LSI_WAITS_PHASE);
	return false;
}

void lsi_connection_changed(struct lsi *lsi, bool was_connected)
{
	if (!was_connected || lsi->bus.now)
		return;
	lsi->reg[LSI_SSTAT2] |= SSTAT2_LDSC;
	if (lsi->reg[LSI_SCNTL2] & SCNTL2_SDU)
		lsi_scsi_interrupt(lsi, SIST_UDC);
}

/*
 * SeaBIOS' programs do not clear ACK behind the last message.  An instruction that needs the bus to
 * be free would never get on then: ACK goes down for it, and the disconnection is an expected one.
 */
static void connect_let_go(struct lsi *lsi)
{
	bool was = lsi->bus.now;

	lsi->reg[LSI_SCNTL2] &= (uint8_t)~SCNTL2_SDU;
	spi_ack(&lsi->bus);
	lsi_connection_changed(lsi, was);
}

static bool reselected(struct lsi *lsi)
{
	if (!(lsi->reg[LSI_SCID] & SCID_RRE) || !spi_reselect(&lsi->bus))
		return false;
	lsi->stats.reselections++;
	lsi->reg[LSI_SSID] = (uint8_t)(SSID_VAL | lsi->bus.now->id);
	lsi->reg[LSI_SSTAT2] &= (uint8_t)~SSTAT2_LDSC;
	lsi->reg[LSI_SCNTL2] |= SCNTL2_SDU;
	return true;
}

static uint32_t alternative(const struct lsi *lsi)
{
	if (lsi->insn[0] & RELATIVE)
		return lsi_displaced(lsi_get32(lsi, LSI_DSP), lsi->insn[1]);
	return lsi->insn[1];
}

static void select_target(struct lsi *lsi)
{
	unsigned id = lsi->insn[0] >> 16 & 0xf;
	uint8_t entry[4];

	if (lsi->insn[0] & FROM_TABLE) {
		uint64_t at = (uint64_t)lsi_get32(lsi, LSI_DRS) << 32 |
			      lsi_displaced(lsi_get32(lsi, LSI_DSA), lsi->insn[0]);

		if (!lsi_dma_read(lsi, at, entry, sizeof(entry))) {
			lsi_dma_interrupt(lsi, DSTAT_BF);
			return;
		}
		lsi->reg[LSI_SXFER] = entry[1];
		lsi->reg[LSI_SCNTL3] = entry[3];
		id = entry[2] & 0xf;
	}
	connect_let_go(lsi);
	if (lsi->bus.now || reselected(lsi)) {
		lsi_put32(lsi, LSI_DSP, alternative(lsi));
		return;
	}
	lsi->stats.selections++;
	lsi->reg[LSI_SDID] = (uint8_t)id;
	lsi->reg[LSI_SSTAT0] |= SSTAT0_WOA;
	lsi->reg[LSI_SSTAT2] &= (uint8_t)~SSTAT2_LDSC;
	if (spi_select(&lsi->bus, id, lsi->insn[0] & WITH_ATN))
		lsi->reg[LSI_SCNTL2] |= SCNTL2_SDU;
	else
		lsi->timed_out = true;
}

static void wait_disconnect(struct lsi *lsi)
{
	connect_let_go(lsi);
	if (lsi->bus.now)
		lsi_wait(lsi, LSI_WAITS_FREE);
}

static void wait_reselect(struct lsi *lsi)
{
	connect_let_go(lsi);
	if (lsi->bus.now || reselected(lsi))
		return;
	if (lsi->reg[LSI_ISTAT] & ISTAT_SIGP)
		lsi_put32(lsi, LSI_DSP, alternative(lsi));
	else
		lsi_wait(lsi, LSI_WAITS_RESELECT);
}

static void set_lines(struct lsi *lsi, bool up)
{
	uint32_t which = lsi->insn[0];
	bool was = lsi->bus.now;

	if (which & LINE_CARRY)
		lsi->carry = up;
	if (which & LINE_TARGET)
		lsi->reg[LSI_SCNTL0] = (uint8_t)((lsi->reg[LSI_SCNTL0] & ~SCNTL0_TRG) | up);
	if (which & LINE_ATN && was)
		spi_set_atn(&lsi->bus, up);
	/* ACK by hand is for those who move bytes by hand; taking it away ends a message. */
	if (which & LINE_ACK && !up && was) {
		spi_ack(&lsi->bus);
		lsi_connection_changed(lsi, was);
	}
}

void lsi_io(struct lsi *lsi)
{
	unsigned opcode = lsi->insn[0] >> 27 & 7;

	if (lsi->reg[LSI_SCNTL0] & SCNTL0_TRG && opcode < 3) {
		lsi_dma_interrupt(lsi, DSTAT_IID);
		return;
	}
	switch (opcode) {
	case 0:
		select_target(lsi);
		break;
	case 1:
		if (lsi->timed_out)
			lsi_await_phase(lsi);
		else
			wait_disconnect(lsi);
		break;
	case 2:
		wait_reselect(lsi);
		break;
	default: /* the caller has only 3 and 4 left */
		set_lines(lsi, opcode == 3);
	}
}
