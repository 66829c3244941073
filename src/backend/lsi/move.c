/* SPDX-License-Identifier: MIT */
/* Block moves: bytes of one phase between the bus and memory. */
#include "backend/lsi/lsi_priv.h"

#define INDIRECT   BIT64(29)
#define FROM_TABLE BIT64(28)

/* ---- where and how much ---- */

/* The upper half of an address, from the register that a table's entry names. */
static uint32_t selector(const struct lsi *lsi, unsigned index)
{
	return index < 16 ? lsi_get32(lsi, LSI_SCRATCHC + 4 * index)
			  : lsi_get32(lsi, LSI_MMRS + 4 * (index < 22 ? index - 16 : 0));
}

static bool from_table(struct lsi *lsi, struct lsi_move *m)
{
	uint8_t mode = lsi->reg[LSI_CCNTL1];
	uint32_t entry[2];

	m->entry = lsi_displaced(lsi_get32(lsi, LSI_DSA), lsi->insn[1]);
	if (!lsi_dma_read(lsi, (uint64_t)lsi_get32(lsi, LSI_DRS) << 32 | m->entry, entry,
			  sizeof(entry)))
		return false;
	entry[0] = le32toh(entry[0]);
	m->left = entry[0] & 0xffffff;
	m->top = (uint8_t)(entry[0] >> 24);
	m->at = le32toh(entry[1]);
	if (!(mode & CCNTL1_TI64))
		m->at |= (uint64_t)lsi_get32(lsi, LSI_SBMS) << 32;
	else if (mode & CCNTL1_TI64_INDEX)
		m->at |= (uint64_t)m->top << 32;
	else
		m->at |= (uint64_t)selector(lsi, m->top & 0x1f) << 32;
	return true;
}

static bool move_begin(struct lsi *lsi)
{
	struct lsi_move *m = &lsi->move;
	bool direct64 = lsi->reg[LSI_CCNTL1] & CCNTL1_DIRECT64 && !(lsi->insn[0] & INDIRECT);
	uint64_t upper = direct64 ? lsi->insn[2] : lsi_get32(lsi, LSI_SBMS);
	uint32_t at = lsi->insn[1];

	*m = (struct lsi_move){.active = true, .top = (uint8_t)(lsi->insn[0] >> 24)};
	if (lsi->insn[0] & FROM_TABLE)
		return from_table(lsi, m);
	if (lsi->insn[0] & INDIRECT) {
		if (!lsi_dma_read(lsi, upper << 32 | at, &at, sizeof(at)))
			return false;
		at = le32toh(at);
	}
	m->left = lsi->insn[0] & 0xffffff;
	m->at = upper << 32 | at;
	return true;
}

static void show(struct lsi *lsi)
{
	lsi_put32(lsi, LSI_DBC, (lsi->insn[0] & 0xff000000) | lsi->move.left);
	lsi_put32(lsi, LSI_DNAD, (uint32_t)lsi->move.at);
}

/* ---- phase mismatch ---- */

static void mismatch(struct lsi *lsi, enum spi_phase wanted)
{
	struct lsi_move *m = &lsi->move;
	uint8_t mode = lsi->reg[LSI_CCNTL0];
	bool data = wanted == SPI_DATA_IN || wanted == SPI_DATA_OUT, second;

	lsi->stats.mismatches++;
	m->active = false;
	if (!(mode & CCNTL0_ENPMJ) || !(data || mode & CCNTL0_ENNDJ)) {
		lsi_scsi_interrupt(lsi, SIST_MA);
		return;
	}
	/* Bytes never wait in SWIDE, so with PMJCTL it is always the first address. */
	second = !(mode & CCNTL0_PMJCTL) && wanted & 1;
	lsi_put32(lsi, LSI_RBC, (uint32_t)m->top << 24 | m->left);
	lsi_put32(lsi, LSI_UA, (uint32_t)m->at);
	lsi_put32(lsi, LSI_ESA, m->entry);
	lsi_put32(lsi, LSI_IA, lsi->insn_at);
	lsi_put32(lsi, LSI_DSP, lsi_get32(lsi, second ? LSI_PMJAD2 : LSI_PMJAD1));
}

/* ---- moving ---- */

/* Returns how many bytes were moved, 0: the address is bad. */
static uint32_t move_data(struct lsi *lsi, bool in)
{
	struct lsi_move *m = &lsi->move;
	uint32_t n;
	uint8_t *bytes = spi_data(&lsi->bus, &n);

	n = (uint32_t)min_u64(n, m->left);
	if (in ? !lsi_dma_write(lsi, m->at, bytes, n) : !lsi_dma_read(lsi, m->at, bytes, n))
		return 0;
	if (in) {
		lsi->reg[LSI_SFBR] = bytes[0];
		lsi->reg[LSI_SIDL] = bytes[n - 1];
		lsi->stats.bytes_in += n;
	} else {
		lsi->stats.bytes_out += n;
	}
	spi_data_moved(&lsi->bus, n);
	return n;
}

static uint32_t move_in(struct lsi *lsi, enum spi_phase phase)
{
	struct lsi_move *m = &lsi->move;
	uint8_t bytes[SPI_MSG_IN_MAX];
	uint32_t n = 1;

	if (phase == SPI_STATUS)
		bytes[0] = spi_status(&lsi->bus);
	else
		n = spi_message_in(&lsi->bus, bytes, (unsigned)min_u64(m->left, sizeof(bytes)));
	lsi->reg[LSI_SFBR] = bytes[0];
	lsi->reg[LSI_SIDL] = bytes[n - 1];
	return lsi_dma_write(lsi, m->at, bytes, n) ? n : 0;
}

static uint32_t move_out(struct lsi *lsi, enum spi_phase phase)
{
	struct lsi_move *m = &lsi->move;
	uint8_t bytes[SPI_MSG_OUT_MAX];
	uint32_t n = (uint32_t)min_u64(m->left, sizeof(bytes));
	bool was;

	if (!lsi_dma_read(lsi, m->at, bytes, n))
		return 0;
	if (phase == SPI_COMMAND)
		return spi_command(&lsi->bus, bytes, n);
	/* The card takes ATN away before the last byte. */
	if (n == m->left)
		spi_set_atn(&lsi->bus, false);
	was = lsi->bus.now;
	n = spi_message_out(&lsi->bus, bytes, n);
	lsi_connection_changed(lsi, was);
	return n;
}

static uint32_t move_some(struct lsi *lsi, enum spi_phase phase)
{
	switch (phase) {
	case SPI_DATA_OUT:
	case SPI_DATA_IN:
		return move_data(lsi, phase == SPI_DATA_IN);
	case SPI_STATUS:
	case SPI_MSG_IN:
		return move_in(lsi, phase);
	default: /* a target has no other phases */
		return move_out(lsi, phase);
	}
}

void lsi_block_move(struct lsi *lsi)
{
	enum spi_phase phase = lsi->insn[0] >> 24 & 7;
	struct lsi_move *m = &lsi->move;
	uint32_t n;

	if (lsi->reg[LSI_SCNTL0] & SCNTL0_TRG) {
		lsi_dma_interrupt(lsi, DSTAT_IID);
		return;
	}
	if (!m->active && !move_begin(lsi)) {
		lsi_dma_interrupt(lsi, DSTAT_BF);
		return;
	}
	show(lsi);
	/* A move of nothing does nothing: SeaBIOS puts one where a command has no data. */
	while (m->left && lsi->running) {
		if (!lsi_await_phase(lsi))
			return;
		if (phase == SPI_MSG_OUT)
			spi_offer_message(&lsi->bus);
		if (lsi->bus.phase != phase) {
			mismatch(lsi, phase);
			return;
		}
		n = move_some(lsi, phase);
		if (!n) {
			lsi_dma_interrupt(lsi, DSTAT_BF);
			return;
		}
		m->left -= n;
		m->at += n;
		lsi->left -= (uint32_t)min_u64(lsi->left, 1 + n / 256);
		show(lsi);
		/* The rest in the next turn. */
		if (m->left && !lsi->left) {
			lsi->resume = true;
			return;
		}
	}
	m->active = false;
}
