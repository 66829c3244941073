/* SPDX-License-Identifier: MIT */
#include "backend/lsi/lsi_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A long program goes on after this: others get the lock meanwhile. */
#define PAUSE_NS 100000u

/* ---- interrupts ---- */

void lsi_update_irq(struct lsi *lsi)
{
	uint16_t enabled = (uint16_t)(lsi->reg[LSI_SIEN] | lsi->reg[LSI_SIEN + 1] << 8);
	bool up = lsi->reg[LSI_ISTAT] & ISTAT_INTF || lsi->dstat & lsi->reg[LSI_DIEN] ||
		  lsi->sist & enabled;

	if (lsi->reg[LSI_ISTAT1] & ISTAT1_SIRQD || lsi->reg[LSI_DCNTL] & DCNTL_IRQD)
		up = false;
	if (up && !lsi->fn.intx)
		lsi->stats.interrupts++;
	if (up != lsi->fn.intx)
		pci_function_set_intx(&lsi->fn, up);
}

void lsi_dma_interrupt(struct lsi *lsi, uint8_t bits)
{
	if (bits & (DSTAT_BF | DSTAT_IID))
		log_limited(&lsi->limit, LOG_LEVEL_WARN, lsi->path,
			    "the program at 0x%x: %s (%08x %08x)", lsi->insn_at,
			    bits & DSTAT_BF ? "an address leads nowhere" : "an illegal instruction",
			    lsi->insn[0], lsi->insn[1]);
	lsi->dstat |= bits;
	lsi_halt(lsi);
}

void lsi_scsi_interrupt(struct lsi *lsi, uint16_t bits)
{
	uint16_t enabled = (uint16_t)(lsi->reg[LSI_SIEN] | lsi->reg[LSI_SIEN + 1] << 8);

	lsi->sist |= bits;
	if (bits & (SIST_FATAL | enabled))
		lsi_halt(lsi);
}

/* ---- reset ---- */

void lsi_soft_reset(struct lsi *lsi)
{
	lsi_halt(lsi);
	/* The card lets go of all lines. */
	spi_drop(&lsi->bus);
	memset(lsi->reg, 0, sizeof(lsi->reg));
	lsi->reg[LSI_SCNTL0] = 0xc0;
	lsi->reg[LSI_CTEST1] = 0xf0;
	lsi->reg[LSI_GPCNTL] = 0x0f;
	lsi->dstat = 0;
	lsi->sist = 0;
	lsi->carry = false;
	lsi->timed_out = false;
}

static void lsi_power_on(struct pci_function *fn)
{
	struct lsi *lsi = container_of(fn, struct lsi, fn);

	lsi->stopped = false;
	lsi_soft_reset(lsi);
	spi_reset(&lsi->bus, SCSI_ASC_POWER_ON);
	memset(lsi->ram, 0, sizeof(lsi->ram));
}

static const struct pci_function_ops lsi_function_ops = {
	.reset = lsi_power_on,
};

/* ---- the card's verbs ---- */

static struct lsi *of_card(struct card *card)
{
	return container_of(card, struct lsi, card);
}

static bool is_quiet(const struct lsi *lsi)
{
	for (unsigned i = 0; i < SPI_IDS; i++)
		if (lsi->bus.disks[i] && !scsi_disk_quiet(lsi->bus.disks[i]))
			return false;
	return !lsi->posted;
}

static void lsi_tell_quiet(struct lsi *lsi)
{
	if (lsi->card.state == CARD_QUIETING && is_quiet(lsi))
		card_is_quiet(&lsi->card);
}

static void disk_quiet(struct scsi_disk_watcher *w)
{
	lsi_tell_quiet(container_of(w, struct lsi, watcher));
}

static void lsi_quiesce(struct card *card)
{
	struct lsi *lsi = of_card(card);

	lsi->stopped = true;
	lsi_halt(lsi);
	reactor_timer_stop(lsi->home, &lsi->pause);
	spi_drop(&lsi->bus);
	spi_reset(&lsi->bus, SCSI_ASC_POWER_ON);
	for (unsigned i = 0; i < SPI_IDS; i++)
		if (lsi->bus.disks[i])
			scsi_disk_stop(lsi->bus.disks[i]);
	lsi_tell_quiet(lsi);
}

static void lsi_refresh(struct card *card)
{
	struct lsi *lsi = of_card(card);

	for (unsigned i = 0; i < SPI_IDS; i++)
		if (lsi->bus.disks[i])
			scsi_disk_refresh(lsi->bus.disks[i]);
}

static void lsi_reset(struct card *card)
{
	pci_function_reset(&of_card(card)->fn);
}

static void lsi_destroy(struct card *card)
{
	struct lsi *lsi = of_card(card);

	pci_bus_detach(&lsi->fn);
	pci_function_fini(&lsi->fn);
	for (unsigned i = 0; i < SPI_IDS; i++)
		scsi_disk_destroy(&lsi->bus.disks[i]);
	worker_destroy(&lsi->io);
	gmem_put(lsi->mem);
	free(lsi);
}

static const struct card_ops lsi_card_ops = {
	.quiesce = lsi_quiesce,
	.refresh = lsi_refresh,
	.reset = lsi_reset,
	.destroy = lsi_destroy,
};

/* ---- going on by itself ---- */

static void bus_changed(struct spi_bus *bus)
{
	struct lsi *lsi = container_of(bus, struct lsi, bus);

	if (lsi->wait != LSI_RUNS)
		lsi_run(lsi);
}

/* Not at once: the thread that handles messages holds the machine lock all the while. */
static void lsi_pause_begin(struct reactor_msg *msg)
{
	struct lsi *lsi = container_of(msg, struct lsi, msg);

	lsi->posted = false;
	if (lsi->running && !lsi->stopped && !list_is_linked(&lsi->pause.link))
		reactor_timer_start(lsi->home, &lsi->pause, PAUSE_NS);
	lsi_tell_quiet(lsi);
}

static void lsi_pause_over(struct reactor_timer *t)
{
	struct lsi *lsi = container_of(t, struct lsi, pause);

	lsi->stats.resumptions++;
	lsi_run(lsi);
}

/* ---- life ---- */

int lsi_create(struct lsi **out, const struct lsi_options *o, struct backplane *plane,
	       struct pci_bus *bus, struct gmem *mem, struct error *err)
{
	static const struct pci_identity id = {
		.vendor = 0x1000,
		.device = 0x0012,
		.revision = 1,
		.class_code = 0x010000,
		.subsystem_vendor = 0x1000,
		.subsystem = 0x1000,
		.pin = true,
	};
	struct lsi *lsi = calloc(1, sizeof(*lsi));
	const struct worker_config worker = {
		.name = "scsi", .reactor = {.uring = true, .poll_us = o->poll_us}, .cpu = -1};
	int rc = 0;

	if (!lsi)
		return error_set(err, -ENOMEM, "%s: cannot set up the card", o->path);
	if (o->own_worker)
		rc = worker_create(&lsi->io, &worker, err);
	if (rc) {
		free(lsi);
		return rc;
	}
	lsi->lock = o->own_worker ? &plane->lock : NULL;
	lsi->watcher.quiet = disk_quiet;
	snprintf(lsi->path, sizeof(lsi->path), "%s", o->path);
	pci_function_init(&lsi->fn, "LSI53C895A", &lsi_function_ops, &id);
	pci_function_bar(&lsi->fn, 0, "registers", PCI_BAR_IO, LSI_REGISTERS, &lsi_register_ops);
	pci_function_bar(&lsi->fn, 1, "registers", 0, 0x400, &lsi_register_ops);
	pci_function_bar(&lsi->fn, 2, "scripts-ram", 0, LSI_RAM_BYTES, &lsi_ram_ops);
	spi_init(&lsi->bus, bus_changed);
	lsi->home = plane->home;
	lsi->mem = gmem_get(mem);
	lsi->msg.run = lsi_pause_begin;
	reactor_timer_init(&lsi->pause, lsi_pause_over);
	lsi_soft_reset(lsi);
	rc = pci_bus_attach(bus, &lsi->fn, o->devfn, err);
	if (rc) {
		lsi_destroy(&lsi->card);
		return rc;
	}
	backplane_add(plane, &lsi->card, &lsi_card_ops, lsi->path);
	*out = lsi;
	return 0;
}

int lsi_free_id(const struct lsi *lsi)
{
	for (unsigned i = 0; i < SPI_IDS; i++)
		if (!lsi->bus.disks[i] && i != LSI_HOST_ID)
			return (int)i;
	return -ENOSPC;
}

int lsi_add_disk(struct lsi *lsi, unsigned id, struct scsi_disk *disk, struct error *err)
{
	if (id >= SPI_IDS || id == LSI_HOST_ID)
		return error_set(err, -EINVAL, "%s: a disk's ID is 0 to 15, but not %u.", lsi->path,
				 LSI_HOST_ID);
	if (lsi->bus.disks[id])
		return error_set(err, -EBUSY, "%s: ID %u is taken.", lsi->path, id);
	lsi->bus.disks[id] = disk;
	disk->watcher = &lsi->watcher;
	return 0;
}

struct scsi_disk_threads lsi_threads(const struct lsi *lsi)
{
	return (struct scsi_disk_threads){
		.io = lsi->io,
		.reactor = lsi->io ? NULL : lsi->home,
		.lock = lsi->lock,
	};
}
