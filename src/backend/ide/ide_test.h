/* SPDX-License-Identifier: MIT */
/*
 * A model guest for the IDE function: memory, a PCI bus, and a driver of a few lines that goes by
 * ports alone.
 *
 * The I/O thread is real; settle() waits until nothing is at the storage, and hold() keeps what is
 * submitted from getting there.
 */
#ifndef BACKEND_IDE_IDE_TEST_H
#define BACKEND_IDE_IDE_TEST_H

#include "test.h"

#include "backend/ide/piix3_ide.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#define RAM	  0x100000u
#define BM	  0xc000u
#define IDE_DEVFN PCI_DEVFN(1, 1)
#define CMD	  ATA_PRIMARY_COMMAND
#define CTL	  ATA_PRIMARY_CONTROL
#define READY	  (ATA_STATUS_READY | ATA_STATUS_SEEK)
#define DATA	  (READY | ATA_STATUS_DRQ)
#define FAILED	  (READY | ATA_STATUS_ERR)
#define TABLE	  0x1000u
#define BUFFER	  0x10000u
#define NO_COUNT  0u

struct guest {
	struct backplane plane;
	struct sysbus_host host;
	struct pci_bus pci;
	struct gmem *mem;
	uint8_t *ram;
	struct piix3_ide *ide;
	bool line[16];
	unsigned raised[16];
	struct reactor_msg gate;
	sem_t open, reached;
};

static void guest_irq(struct sysbus_host *host, unsigned gsi, bool level)
{
	struct guest *g = container_of(host, struct guest, host);

	g->line[gsi] = level;
	g->raised[gsi] += level;
}

static const struct sysbus_host_ops guest_host = {.irq_set = guest_irq};

static inline void out(struct guest *g, unsigned port, uint32_t v, unsigned size)
{
	backplane_lock(&g->plane);
	sysbus_write(&g->plane.bus, SYSBUS_PORT, port, v, size);
	backplane_unlock(&g->plane);
}

static inline uint32_t in(struct guest *g, unsigned port, unsigned size)
{
	uint64_t v;

	backplane_lock(&g->plane);
	v = sysbus_read(&g->plane.bus, SYSBUS_PORT, port, size);
	backplane_unlock(&g->plane);
	return (uint32_t)v;
}

static inline void outs(struct guest *g, const void *data, size_t n)
{
	backplane_lock(&g->plane);
	sysbus_write_string(&g->plane.bus, CMD, data, 2, (uint32_t)(n / 2));
	backplane_unlock(&g->plane);
}

static inline void ins(struct guest *g, void *data, size_t n)
{
	backplane_lock(&g->plane);
	sysbus_read_string(&g->plane.bus, CMD, data, 2, (uint32_t)(n / 2));
	backplane_unlock(&g->plane);
}

static inline void config_out(struct guest *g, unsigned offset, uint32_t v, unsigned size)
{
	backplane_lock(&g->plane);
	pci_bus_config_write(&g->pci, IDE_DEVFN, offset, v, size);
	backplane_unlock(&g->plane);
}

/* Nothing is at the storage, and nothing is on its way there. */
static inline void settle(struct guest *g)
{
	backplane_lock(&g->plane);
	for (unsigned i = 0; i < PIIX3_IDE_DISKS_MAX; i++)
		while (piix3_ide_drive(g->ide, i)->flying)
			pthread_cond_wait(&piix3_ide_drive(g->ide, i)->channel->landed,
					  &g->plane.lock.mutex);
	backplane_unlock(&g->plane);
}

static void gate_run(struct reactor_msg *msg)
{
	struct guest *g = container_of(msg, struct guest, gate);

	sem_post(&g->reached);
	while (sem_wait(&g->open))
		;
}

/* The I/O thread stands still until let_go(). */
static inline void hold(struct guest *g)
{
	g->gate.run = gate_run;
	reactor_post(worker_reactor(g->ide->io), &g->gate);
	while (sem_wait(&g->reached))
		;
}

static inline void let_go(struct guest *g)
{
	sem_post(&g->open);
}

static inline void guest_init(struct guest *g)
{
	memset(g, 0, sizeof(*g));
	assert_int_equal(backplane_init(&g->plane, NULL, NULL), 0);
	g->host.ops = &guest_host;
	g->plane.bus.host = &g->host;
	pci_bus_init(&g->pci, "pci.0", &g->plane.bus);
	sem_init(&g->open, 0, 0);
	sem_init(&g->reached, 0, 0);
	g->ram = aligned_alloc(4096, RAM);
	assert_non_null(g->ram);
	memset(g->ram, 0, RAM);
	assert_int_equal(gmem_with_host(NULL, 0, RAM, 0, g->ram, &g->mem, NULL), 0);
	assert_int_equal(piix3_ide_create(&g->ide, &g->plane, &g->pci, g->mem, 0, NULL), 0);
	config_out(g, PCI_BAR0 + 16, BM, 4);
	config_out(g, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static inline struct ide_drive *guest_disk(struct guest *g, const struct storage_options *so)
{
	const struct ide_drive_options o = {.path = "disk", .serial = "serial-0"};
	struct storage *storage;

	assert_int_equal(storage_open(so, &storage, NULL), 0);
	assert_int_equal(piix3_ide_add(g->ide, &o, storage, NULL), 0);
	return piix3_ide_drive(g->ide, g->ide->n_disks - 1);
}

static inline void guest_start(struct guest *g, const char *target)
{
	guest_init(g);
	guest_disk(g, &(struct storage_options){.target = target});
}

static inline void guest_fini(struct guest *g)
{
	backplane_remove_cards(&g->plane);
	gmem_put(g->mem);
	free(g->ram);
	sem_destroy(&g->open);
	sem_destroy(&g->reached);
	backplane_fini(&g->plane);
}

/* ---- the driver ---- */

static inline void address28(struct guest *g, uint32_t lba, unsigned count, unsigned unit)
{
	out(g, CMD + ATA_REG_DEVICE, ATA_DEVICE_LBA | unit << 4 | lba >> 24, 1);
	out(g, CMD + ATA_REG_COUNT, count & 0xff, 1);
	out(g, CMD + ATA_REG_LBA_LOW, lba & 0xff, 1);
	out(g, CMD + ATA_REG_LBA_MID, lba >> 8 & 0xff, 1);
	out(g, CMD + ATA_REG_LBA_HIGH, lba >> 16 & 0xff, 1);
}

static inline void command28(struct guest *g, uint8_t opcode, uint32_t lba, unsigned count)
{
	address28(g, lba, count, 0);
	out(g, CMD + ATA_REG_COMMAND, opcode, 1);
}

static inline void command48(struct guest *g, uint8_t opcode, uint64_t lba, unsigned count)
{
	out(g, CMD + ATA_REG_DEVICE, ATA_DEVICE_LBA, 1);
	out(g, CMD + ATA_REG_COUNT, count >> 8 & 0xff, 1);
	out(g, CMD + ATA_REG_COUNT, count & 0xff, 1);
	for (unsigned i = 0; i < 3; i++) {
		out(g, CMD + ATA_REG_LBA_LOW + i, (uint32_t)(lba >> (8 * i + 24)) & 0xff, 1);
		out(g, CMD + ATA_REG_LBA_LOW + i, (uint32_t)(lba >> (8 * i)) & 0xff, 1);
	}
	out(g, CMD + ATA_REG_COMMAND, opcode, 1);
}

/* Reading it takes the interrupt back. */
static inline uint8_t status(struct guest *g)
{
	settle(g);
	return (uint8_t)in(g, CMD + ATA_REG_STATUS, 1);
}

static inline uint8_t error(struct guest *g)
{
	return (uint8_t)in(g, CMD + ATA_REG_ERROR, 1);
}

static inline void prd(struct guest *g, unsigned i, uint32_t at, unsigned bytes, bool last)
{
	const struct bm_prd p = {le32_make(at), le16_make((uint16_t)bytes),
				 le16_make(last ? BM_PRD_LAST : 0)};

	memcpy(g->ram + TABLE + i * sizeof(p), &p, sizeof(p));
}

static inline void bm_start(struct guest *g, bool to_memory)
{
	uint8_t direction = to_memory ? BM_COMMAND_TO_MEMORY : 0;

	out(g, BM + BM_COMMAND, direction, 1);
	out(g, BM + BM_STATUS, BM_STATUS_ERROR | BM_STATUS_INTERRUPT, 1);
	out(g, BM + BM_TABLE, TABLE, 4);
	out(g, BM + BM_COMMAND, direction | BM_COMMAND_START, 1);
}

static inline uint8_t bm_status(struct guest *g)
{
	return (uint8_t)in(g, BM + BM_STATUS, 1);
}

/* A pattern that says where it is. */
static inline void fill(uint8_t *at, uint32_t lba, unsigned sectors)
{
	for (unsigned i = 0; i < sectors * ATA_SECTOR; i++)
		at[i] = (uint8_t)((lba + i / ATA_SECTOR) * 31 + i * 7 + (i % ATA_SECTOR >> 8));
}

/* The buffer's first sectors, up to 256. */
static inline void buffer_table(struct guest *g, unsigned sectors)
{
	unsigned bytes = sectors * ATA_SECTOR, first = bytes < 0x10000 ? bytes : 0x10000;

	prd(g, 0, BUFFER, first & 0xffff, bytes == first);
	prd(g, 1, BUFFER + first, (bytes - first) & 0xffff, true);
}

/* What a disk holds, past everything that is tested. */
static inline void disk_write(struct guest *g, uint32_t lba, unsigned sectors)
{
	fill(g->ram + BUFFER, lba, sectors);
	buffer_table(g, sectors);
	command28(g, ATA_WRITE_DMA, lba, sectors);
	bm_start(g, false);
	assert_int_equal(status(g), READY);
	memset(g->ram + BUFFER, 0, sectors * ATA_SECTOR);
}

static inline bool disk_holds(struct guest *g, uint32_t lba, unsigned sectors)
{
	uint8_t *want = malloc(sectors * ATA_SECTOR);
	bool same;

	assert_non_null(want);
	memset(g->ram + BUFFER, 0, sectors * ATA_SECTOR);
	buffer_table(g, sectors);
	command28(g, ATA_READ_DMA, lba, sectors);
	bm_start(g, true);
	assert_int_equal(status(g), READY);
	fill(want, lba, sectors);
	same = !memcmp(g->ram + BUFFER, want, sectors * ATA_SECTOR);
	free(want);
	return same;
}

static inline uint16_t word(const uint8_t *data, unsigned i)
{
	return (uint16_t)(data[2 * i] | data[2 * i + 1] << 8);
}

static inline void identify(struct guest *g, uint8_t data[512])
{
	out(g, CMD + ATA_REG_COMMAND, ATA_IDENTIFY, 1);
	assert_int_equal(status(g), DATA);
	ins(g, data, 512);
	assert_int_equal(status(g), READY);
}

static inline void feature(struct guest *g, uint8_t what, uint8_t count)
{
	out(g, CMD + ATA_REG_FEATURE, what, 1);
	out(g, CMD + ATA_REG_COUNT, count, 1);
	out(g, CMD + ATA_REG_COMMAND, ATA_SET_FEATURES, 1);
}

static inline void trim_range(struct guest *g, unsigned i, uint64_t lba, uint64_t n)
{
	const le64 v = le64_make(n << 48 | lba);

	memcpy(g->ram + BUFFER + 8 * i, &v, 8);
}

static inline void trim(struct guest *g, unsigned blocks)
{
	prd(g, 0, BUFFER, blocks ? blocks * 512 : 512, true);
	out(g, CMD + ATA_REG_FEATURE, 0, 1);
	out(g, CMD + ATA_REG_FEATURE, ATA_DATA_SET_TRIM, 1);
	command48(g, ATA_DATA_SET, 0, blocks);
	bm_start(g, false);
}

/* What a machine's reset leaves, and what firmware does then. */
static inline void machine_reset(struct guest *g)
{
	backplane_reset(&g->plane);
	config_out(g, PCI_BAR0 + 16, BM, 4);
	config_out(g, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
}

static inline void soft_reset(struct guest *g)
{
	out(g, CTL, ATA_CONTROL_RESET, 1);
	out(g, CTL, 0, 1);
}

/* What a failed command left: the address's 24 bits that stand in three registers. */
static inline uint32_t lba_registers(struct guest *g)
{
	return in(g, CMD + ATA_REG_LBA_LOW, 1) | in(g, CMD + ATA_REG_LBA_MID, 1) << 8 |
	       in(g, CMD + ATA_REG_LBA_HIGH, 1) << 16;
}

/* What a good disk still does, after something bad. */
static inline void healthy(struct guest *g)
{
	out(g, CTL, ATA_CONTROL_RESET, 1);
	out(g, CTL, 0, 1);
	assert_int_equal(status(g), READY);
	assert_int_equal(error(g), ATA_DIAGNOSTIC_GOOD);
	out(g, BM + BM_COMMAND, 0, 1);
	disk_write(g, 40, 3);
	assert_true(disk_holds(g, 40, 3));
}

#endif
