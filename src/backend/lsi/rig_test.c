/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "backend/lsi/rig_test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void pin(struct pci_bus *bus, unsigned slot, unsigned p, bool level)
{
	struct lsi_rig *r = container_of(bus, struct lsi_rig, pci);

	(void)slot;
	(void)p;
	(void)level;
	r->pin_changes++;
}

static void add_disk(struct lsi_rig *r, unsigned id, const char *target)
{
	const struct storage_options so = {.target = target, .no_lock = true};
	const struct scsi_disk_options o = {.path = "test/disk", .serial = "abc", .wce = true};
	const struct scsi_disk_threads threads = lsi_threads(r->lsi);
	struct storage *storage;
	struct scsi_disk *disk;

	assert_int_equal(storage_open(&so, &storage, NULL), 0);
	assert_int_equal(scsi_disk_create(&disk, &o, storage, &threads, NULL), 0);
	disk->attention = 0;
	assert_int_equal(lsi_add_disk(r->lsi, id, disk, NULL), 0);
}

void lr_init(struct lsi_rig *r, const char *target)
{
	lr_init_threads(r, target, false);
}

void lr_init_threads(struct lsi_rig *r, const char *target, bool worker)
{
	const struct lsi_options o = {.path = "test/lsi", .devfn = -1, .own_worker = worker};
	struct pci_function *fn;

	memset(r, 0, sizeof(*r));
	assert_int_equal(backplane_init(&r->plane, NULL, NULL), 0);
	r->home = r->plane.home;
	pci_bus_init(&r->pci, "pci.0", &r->plane.bus);
	r->pci.intx = pin;
	r->ram = mmap(NULL, LR_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->ram, MAP_FAILED);
	assert_int_equal(gmem_with_host(NULL, 0, LR_RAM, 0, r->ram, &r->mem, NULL), 0);
	assert_int_equal(lsi_create(&r->lsi, &o, &r->plane, &r->pci, r->mem, NULL), 0);
	add_disk(r, 0, target ? target : "memory:1M");
	add_disk(r, 3, target ? target : "memory:1M");
	fn = &r->lsi->fn;
	pci_function_config_write(fn, PCI_BAR0, LR_PORTS, 4);
	pci_function_config_write(fn, PCI_BAR0 + 4, LR_REGISTERS, 4);
	pci_function_config_write(fn, PCI_BAR0 + 8, LR_ONCHIP, 4);
	pci_function_config_write(fn, PCI_COMMAND, 7, 2);
	lr_out8(r, LSI_SCID, SCID_RRE | 7);
	lr_out8(r, LSI_DIEN, 0x7f);
	lr_out8(r, LSI_SIEN, 0xff & ~0x60u);
	lr_out8(r, LSI_SIEN + 1, 0x04);
	lr_begin(r);
}

void lr_fini(struct lsi_rig *r)
{
	backplane_remove_cards(&r->plane);
	gmem_put(r->mem);
	munmap(r->ram, LR_RAM);
	backplane_fini(&r->plane);
}

uint8_t lr_in8(struct lsi_rig *r, unsigned reg)
{
	return (uint8_t)sysbus_read(&r->plane.bus, SYSBUS_MEMORY, LR_REGISTERS + reg, 1);
}

uint32_t lr_in32(struct lsi_rig *r, unsigned reg)
{
	return (uint32_t)sysbus_read(&r->plane.bus, SYSBUS_MEMORY, LR_REGISTERS + reg, 4);
}

void lr_out8(struct lsi_rig *r, unsigned reg, uint8_t v)
{
	sysbus_write(&r->plane.bus, SYSBUS_MEMORY, LR_REGISTERS + reg, v, 1);
}

void lr_out32(struct lsi_rig *r, unsigned reg, uint32_t v)
{
	sysbus_write(&r->plane.bus, SYSBUS_MEMORY, LR_REGISTERS + reg, v, 4);
}

uint32_t lr_get32(const struct lsi_rig *r, uint32_t at)
{
	uint32_t v;

	memcpy(&v, r->ram + at, 4);
	return le32toh(v);
}

void lr_put32(struct lsi_rig *r, uint32_t at, uint32_t v)
{
	v = htole32(v);
	memcpy(r->ram + at, &v, 4);
}

/* ---- programs ---- */

void lr_begin(struct lsi_rig *r)
{
	r->at = LR_CODE;
}

uint32_t lr_emit(struct lsi_rig *r, uint32_t first, uint32_t second)
{
	uint32_t at = r->at;

	lr_put32(r, at, first);
	lr_put32(r, at + 4, second);
	r->at += 8;
	return at;
}

uint32_t lr_emit3(struct lsi_rig *r, uint32_t first, uint32_t second, uint32_t third)
{
	uint32_t at = lr_emit(r, first, second);

	lr_put32(r, r->at, third);
	r->at += 4;
	return at;
}

void lr_wait(struct lsi_rig *r)
{
	while (!(lr_in8(r, LSI_ISTAT) & (ISTAT_SIP | ISTAT_DIP)))
		reactor_turn(r->home);
}

void lr_run(struct lsi_rig *r)
{
	lr_out32(r, LSI_DSP, LR_CODE);
	lr_wait(r);
}

void lr_run_to(struct lsi_rig *r, uint32_t number)
{
	lr_run(r);
	assert_int_equal(lr_in8(r, LSI_SIST), 0);
	assert_int_equal(lr_in8(r, LSI_SIST + 1), 0);
	assert_int_equal(lr_in8(r, LSI_DSTAT), DSTAT_DFE | DSTAT_SIR);
	assert_int_equal(lr_in32(r, LSI_DSPS), number);
}

/* ---- the driver ---- */

/* A slot's table. */
#define T_SELECT  0u
#define T_MESSAGE 4u
#define T_CDB	  12u
#define T_DATA	  20u
#define T_STATUS  64u
#define T_MSGIN	  68u
#define T_OUT	  80u
#define T_CDBS	  112u

static uint32_t table_of(unsigned slot)
{
	return LR_TABLE + slot * 0x100;
}

uint8_t *lr_status(struct lsi_rig *r, unsigned slot)
{
	return r->ram + table_of(slot) + T_STATUS;
}

static void tables(struct lsi_rig *r, const struct lr_command *c)
{
	uint32_t t = table_of(c->slot);

	memset(r->ram + t, 0, 0x100);
	r->ram[t + T_STATUS] = 0xee;
	lr_put32(r, t + T_SELECT, c->id << 16);
	memcpy(r->ram + t + T_OUT, c->message, sizeof(c->message));
	lr_put32(r, t + T_MESSAGE, c->message_n);
	lr_put32(r, t + T_MESSAGE + 4, t + T_OUT);
	memcpy(r->ram + t + T_CDBS, c->cdb, scsi_cdb_bytes(c->cdb[0]));
	lr_put32(r, t + T_CDB, scsi_cdb_bytes(c->cdb[0]));
	lr_put32(r, t + T_CDB + 4, t + T_CDBS);
	lr_put32(r, t + T_DATA, c->len);
	lr_put32(r, t + T_DATA + 4, LR_DATA_OF(c->slot));
}

/* A jump whose target is not known yet, and what makes it known. */
static void land(struct lsi_rig *r, uint32_t jump)
{
	lr_put32(r, jump + 4, r->at);
}

uint32_t lr_driver(struct lsi_rig *r, const struct lr_command *c)
{
	uint32_t t = table_of(c->slot), start = r->at, dispatch, in, status, data, reselect, saved;
	uint32_t complete, disconnected, identified, tagged;

	tables(r, c);
	lr_emit(r, S_SELECT(0) | S_SEL_TABLE | S_ATN | T_SELECT, LR_NOBODY);
	lr_emit(r, S_MOVE(SPI_MSG_OUT, 0) | S_TABLE, T_MESSAGE);
	dispatch = r->at;
	in = lr_emit(r, S_JUMP | S_TRUE | S_WHEN(SPI_MSG_IN), 0);
	status = lr_emit(r, S_JUMP | S_TRUE | S_IF(SPI_STATUS), 0);
	data = lr_emit(r, S_JUMP | S_IF(SPI_COMMAND), 0); /* not so */
	lr_emit(r, S_MOVE(SPI_COMMAND, 0) | S_TABLE, T_CDB);
	lr_emit(r, S_JUMP | S_TRUE, dispatch);
	land(r, data);
	lr_emit(r, S_MOVE(c->out ? SPI_DATA_OUT : SPI_DATA_IN, 0) | S_TABLE, T_DATA);
	lr_emit(r, S_JUMP | S_TRUE, dispatch);
	land(r, status);
	lr_emit(r, S_MOVE(SPI_STATUS, 1), t + T_STATUS);
	lr_emit(r, S_JUMP | S_TRUE, dispatch);
	land(r, in);
	lr_emit(r, S_MOVE(SPI_MSG_IN, 1), t + T_MSGIN);
	complete = lr_emit(r, S_JUMP | S_TRUE | S_DATA(SPI_MSG_COMPLETE, 0), 0);
	disconnected = lr_emit(r, S_JUMP | S_TRUE | S_DATA(SPI_MSG_DISCONNECT, 0), 0);
	saved = lr_emit(r, S_JUMP | S_TRUE | S_DATA(SPI_MSG_SAVE_POINTER, 0), 0);
	identified = lr_emit(r, S_JUMP | S_TRUE | S_DATA(0x80, 0x7f), 0);
	tagged = lr_emit(r, S_JUMP | S_TRUE | S_DATA(SPI_MSG_SIMPLE_TAG, 0), 0);
	lr_emit(r, S_INT | S_TRUE, LR_INT_STRANGE);
	land(r, tagged);
	lr_emit(r, S_CLEAR(S_LINE_ACK), 0);
	lr_emit(r, S_MOVE(SPI_MSG_IN, 1), t + T_MSGIN + 1);
	land(r, saved);
	land(r, identified);
	lr_emit(r, S_CLEAR(S_LINE_ACK), 0);
	lr_emit(r, S_JUMP | S_TRUE, dispatch);
	land(r, disconnected);
	lr_emit(r, S_REG_REG | S_REG(LSI_SCNTL2) | S_OP(4, 0x7f), 0);
	lr_emit(r, S_CLEAR(S_LINE_ACK), 0);
	lr_emit(r, S_WAIT_DISC, 0);
	reselect = lr_emit(r, S_WAIT_RESEL, 0);
	lr_put32(r, reselect + 4, reselect);
	lr_emit(r, S_JUMP | S_TRUE, dispatch);
	land(r, complete);
	lr_emit(r, S_REG_REG | S_REG(LSI_SCNTL2) | S_OP(4, 0x7f), 0);
	lr_emit(r, S_CLEAR(S_LINE_ACK), 0);
	lr_emit(r, S_WAIT_DISC, 0);
	lr_emit(r, S_INT | S_TRUE, LR_INT_DONE);
	return start;
}

uint8_t lr_do(struct lsi_rig *r, const struct lr_command *c)
{
	lr_begin(r);
	lr_driver(r, c);
	lr_out32(r, LSI_DSA, table_of(c->slot));
	lr_run_to(r, LR_INT_DONE);
	assert_null(r->lsi->bus.now);
	return *lr_status(r, c->slot);
}
