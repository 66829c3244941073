/* SPDX-License-Identifier: MIT */
#include "backend/lsi/lsi_priv.h"

#define CHIP_TYPE     0xd0 /* MACNTL, upper half: 53C895A */
#define CHIP_REVISION 0x10 /* CTEST3, upper half          */

/* ---- reading ---- */

static uint8_t istat(const struct lsi *lsi)
{
	uint16_t enabled = (uint16_t)(lsi->reg[LSI_SIEN] | lsi->reg[LSI_SIEN + 1] << 8);

	return (uint8_t)(lsi->reg[LSI_ISTAT] | (lsi->bus.now ? ISTAT_CON : 0) |
			 (lsi->dstat ? ISTAT_DIP : 0) |
			 (lsi->sist & (SIST_FATAL | enabled) ? ISTAT_SIP : 0));
}

static uint8_t bus_lines(const struct lsi *lsi)
{
	const struct spi_bus *bus = &lsi->bus;

	if (!bus->now)
		return 0;
	return (uint8_t)(SBCL_BSY | (unsigned)bus->phase | (bus->req ? SBCL_REQ : 0) |
			 (bus->held ? SBCL_ACK : 0) | (bus->atn ? SBCL_ATN : 0));
}

static uint8_t take_dstat(struct lsi *lsi)
{
	uint8_t v = (uint8_t)(lsi->dstat | DSTAT_DFE);

	lsi->dstat = 0;
	return v;
}

static uint8_t take_sist(struct lsi *lsi, unsigned shift)
{
	uint8_t v = (uint8_t)(lsi->sist >> shift);

	lsi->sist &= (uint16_t) ~(0xffu << shift);
	return v;
}

/* Reading tells programs that they were signalled. */
static uint8_t take_ctest2(struct lsi *lsi)
{
	uint8_t v = 0x31; /* mapped to ports and to memory; no DMA request */

	if (lsi->reg[LSI_ISTAT] & ISTAT_SIGP)
		v |= CTEST2_SIGP;
	lsi->reg[LSI_ISTAT] &= (uint8_t)~ISTAT_SIGP;
	return v;
}

uint8_t lsi_reg_read(struct lsi *lsi, unsigned at)
{
	uint8_t raw = lsi->reg[at];

	switch (at) {
	case LSI_SCNTL1:
		return (uint8_t)(raw | (lsi->bus.now ? SCNTL1_CON : 0));
	case LSI_GPREG:
		/* Pins that are inputs are pulled up: no EEPROM answers. */
		return (uint8_t)(raw | (lsi->reg[LSI_GPCNTL] & 0x1f));
	case LSI_SBCL:
		return bus_lines(lsi);
	case LSI_DSTAT:
		return take_dstat(lsi);
	case LSI_SSTAT0:
		return (uint8_t)(raw | (lsi->reg[LSI_SCNTL1] & SCNTL1_RST ? SSTAT0_RST : 0));
	case LSI_SSTAT1:
		return lsi->bus.now ? (uint8_t)lsi->bus.phase : 0;
	case LSI_ISTAT:
		return istat(lsi);
	case LSI_ISTAT1:
		return (uint8_t)(raw | (lsi->running ? ISTAT1_SCRUN : 0));
	case LSI_CTEST2:
		return take_ctest2(lsi);
	case LSI_CTEST3:
		return raw | CHIP_REVISION;
	case LSI_DFIFO: /* nothing is left in it: it stands where DBC does */
		return lsi->reg[LSI_DBC];
	case LSI_CTEST5:
		return (uint8_t)((raw & 0xfc) | (lsi->reg[LSI_DBC + 1] & 3));
	case LSI_SIST:
		return take_sist(lsi, 0);
	case LSI_SIST + 1:
		return take_sist(lsi, 8);
	case LSI_MACNTL:
		return raw | CHIP_TYPE;
	case LSI_STEST4:
		return STEST4_LVD;
	case LSI_SBDL:
		return lsi->bus.now ? lsi->reg[LSI_SIDL] : 0;
	default:
		return raw;
	}
}

/* ---- writing ---- */

static void write_scntl1(struct lsi *lsi, uint8_t v)
{
	bool was = lsi->reg[LSI_SCNTL1] & SCNTL1_RST;

	lsi->reg[LSI_SCNTL1] = v & (uint8_t)~SCNTL1_CON;
	if (!(v & SCNTL1_RST) || was)
		return;
	spi_reset(&lsi->bus, SCSI_ASC_BUS_RESET);
	lsi->timed_out = false;
	lsi->move.active = false;
	lsi_scsi_interrupt(lsi, SIST_RST);
}

static void write_istat(struct lsi *lsi, uint8_t v)
{
	uint8_t was = lsi->reg[LSI_ISTAT], kept = was & ISTAT_INTF;

	if (v & ISTAT_INTF)
		kept = 0;
	lsi->reg[LSI_ISTAT] = (uint8_t)((v & (ISTAT_ABRT | ISTAT_SRST | ISTAT_SIGP | ISTAT_SEM)) |
					kept);
	if (v & ISTAT_SRST && !(was & ISTAT_SRST)) {
		lsi_soft_reset(lsi);
		lsi->reg[LSI_ISTAT] = ISTAT_SRST;
	} else if (v & ISTAT_ABRT && !(was & ISTAT_ABRT)) {
		lsi->timed_out = false;
		lsi_dma_interrupt(lsi, DSTAT_ABRT);
	}
}

static void write_dcntl(struct lsi *lsi, uint8_t v)
{
	lsi->reg[LSI_DCNTL] = v & (uint8_t) ~(DCNTL_STD | DCNTL_PFF);
	if (v & DCNTL_STD)
		lsi_start(lsi);
}

void lsi_reg_write(struct lsi *lsi, unsigned at, uint8_t v)
{
	switch (at) {
	case LSI_SCNTL1:
		write_scntl1(lsi, v);
		return;
	case LSI_ISTAT:
		write_istat(lsi, v);
		return;
	case LSI_DCNTL:
		write_dcntl(lsi, v);
		return;
	case LSI_SCNTL2: /* the bits of chained moves stay clear */
		lsi->reg[at] = v & 0xb6;
		return;
	case LSI_ISTAT1:
		lsi->reg[at] = v & ISTAT1_SIRQD;
		return;
	case LSI_CTEST3: /* flushing and clearing FIFOs is over at once */
		lsi->reg[at] = v & 0x03;
		return;
	case LSI_STEST3:
		lsi->reg[at] = v & (uint8_t)~STEST3_CSF;
		return;
	case LSI_MACNTL:
		lsi->reg[at] = v & 0x0f;
		return;
	case LSI_DSP + 3:
		lsi->reg[at] = v;
		if (!(lsi->reg[LSI_DMODE] & DMODE_MAN))
			lsi_start(lsi);
		return;
	case LSI_SSID:
	case LSI_SBCL:
	case LSI_DSTAT:
	case LSI_SSTAT0:
	case LSI_SSTAT1:
	case LSI_SSTAT2:
	case LSI_CTEST1:
	case LSI_CTEST2:
	case LSI_DFIFO:
	case LSI_SIST:
	case LSI_SIST + 1:
	case LSI_STEST0:
	case LSI_SIDL:
	case LSI_SIDL + 1:
	case LSI_STEST4:
	case LSI_SBDL:
	case LSI_SBDL + 1:
		return;
	default:
		lsi->reg[at] = v;
	}
}

/* ---- the CPU's accesses ---- */

static struct lsi *lsi_of(struct sysbus_region *r)
{
	return container_of(pci_bar_of(r)->fn, struct lsi, fn);
}

static uint64_t registers_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct lsi *lsi = lsi_of(r);
	uint64_t v = 0;

	lsi->stats.reads++;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)lsi_reg_read(lsi, (unsigned)(offset + i) % LSI_REGISTERS) << (8 * i);
	lsi_update_irq(lsi);
	return v;
}

static void registers_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct lsi *lsi = lsi_of(r);

	lsi->stats.writes++;
	for (unsigned i = 0; i < size; i++)
		lsi_reg_write(lsi, (unsigned)(offset + i) % LSI_REGISTERS,
			      (uint8_t)(value >> (8 * i)));
	lsi_run(lsi);
	lsi_update_irq(lsi);
}

const struct sysbus_region_ops lsi_register_ops = {
	.sizes = SYSBUS_ANY_SIZE,
	.unaligned = true,
	.read = registers_read,
	.write = registers_write,
};

static uint64_t ram_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct lsi *lsi = lsi_of(r);
	uint64_t v = 0;

	lsi->stats.reads++;
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)lsi->ram[(offset + i) % LSI_RAM_BYTES] << (8 * i);
	return v;
}

static void ram_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct lsi *lsi = lsi_of(r);

	lsi->stats.writes++;
	for (unsigned i = 0; i < size; i++)
		lsi->ram[(offset + i) % LSI_RAM_BYTES] = (uint8_t)(value >> (8 * i));
}

const struct sysbus_region_ops lsi_ram_ops = {
	.sizes = SYSBUS_ANY_SIZE,
	.unaligned = true,
	.read = ram_read,
	.write = ram_write,
};
