/* SPDX-License-Identifier: MIT */
#include "backend/ide/piix3_ide.h"

#include <errno.h>
#include <stdlib.h>

#define BM_BAR	 4
#define BM_PORTS 16

static struct piix3_ide *of(struct pci_function *fn)
{
	return container_of(fn, struct piix3_ide, fn);
}

/* ---- bus master ports ---- */

static uint64_t bm_read(struct sysbus_region *r, uint64_t offset, unsigned size)
{
	struct piix3_ide *ide = of(pci_bar_of(r)->fn);
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)offset + i;
		uint8_t byte = ide_channel_bm_read(&ide->channels[at / BM_CHANNEL],
						   at % BM_CHANNEL);

		v |= (uint64_t)byte << (8 * i);
	}
	ide->channels[offset / BM_CHANNEL].counters.registers++;
	return v;
}

static void bm_write(struct sysbus_region *r, uint64_t offset, uint64_t value, unsigned size)
{
	struct piix3_ide *ide = of(pci_bar_of(r)->fn);

	ide->channels[offset / BM_CHANNEL].counters.registers++;
	for (unsigned i = 0; i < size; i++) {
		unsigned at = (unsigned)offset + i;

		ide_channel_bm_write(&ide->channels[at / BM_CHANNEL], at % BM_CHANNEL,
				     (uint8_t)(value >> (8 * i)));
	}
}

static const struct sysbus_region_ops bm_ops = {
	.sizes = SYSBUS_UP_TO_DWORD,
	.read = bm_read,
	.write = bm_write,
};

/* ---- configuration ---- */

static void piix3_ide_update(struct piix3_ide *ide)
{
	uint16_t command = pci_function_get16(&ide->fn, PCI_COMMAND);

	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++) {
		uint16_t timing = pci_function_get16(&ide->fn, PIIX3_IDE_TIMING + 2 * i);

		ide_channel_decode(&ide->channels[i],
				   (command & PCI_COMMAND_IO) && (timing & PIIX3_IDE_DECODE));
		ide_channel_enable_dma(&ide->channels[i], command & PCI_COMMAND_MASTER);
	}
}

static void piix3_ide_config_written(struct pci_function *fn, unsigned offset, unsigned size)
{
	if (ranges_overlap(offset, size, PCI_COMMAND, 2) ||
	    ranges_overlap(offset, size, PIIX3_IDE_TIMING, 4))
		piix3_ide_update(of(fn));
}

static void piix3_ide_reset(struct pci_function *fn)
{
	struct piix3_ide *ide = of(fn);

	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++)
		ide_channel_reset(&ide->channels[i]);
	piix3_ide_update(ide);
}

static const struct pci_function_ops piix3_ide_ops = {
	.config_written = piix3_ide_config_written,
	.reset = piix3_ide_reset,
};

/* ---- the card's verbs ---- */

static struct piix3_ide *of_card(struct card *card)
{
	return container_of(card, struct piix3_ide, card);
}

static void ide_tell_quiet(struct piix3_ide *ide)
{
	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++)
		if (ide_channel_flies(&ide->channels[i]))
			return;
	card_is_quiet(&ide->card);
}

static void channel_idle(struct ide_channel *ch)
{
	/* The first element of the array that the channel stands in. */
	struct ide_channel *first = ch - ch->index;
	struct piix3_ide *ide = container_of(first, struct piix3_ide, channels[0]);

	if (ide->card.state == CARD_QUIETING)
		ide_tell_quiet(ide);
}

static void ide_quiesce(struct card *card)
{
	struct piix3_ide *ide = of_card(card);

	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++)
		ide_channel_quiesce(&ide->channels[i]);
	ide_tell_quiet(ide);
}

static void ide_reset(struct card *card)
{
	pci_function_reset(&of_card(card)->fn);
}

static void ide_destroy(struct card *card)
{
	struct piix3_ide *ide = of_card(card);

	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++) {
		struct ide_channel *ch = &ide->channels[i];

		fair_lock_take(ch->lock);
		ide_channel_reset(ch);
		fair_lock_give(ch->lock);
		ide_channel_fini(ch);
	}
	pci_bus_detach(&ide->fn);
	pci_function_fini(&ide->fn);
	worker_destroy(&ide->io);
	free(ide);
}

static const struct card_ops ide_card_ops = {
	.quiesce = ide_quiesce,
	.reset = ide_reset,
	.destroy = ide_destroy,
};

/* ---- life ---- */

int piix3_ide_create(struct piix3_ide **out, struct backplane *plane, struct pci_bus *bus,
		     struct gmem *mem, uint32_t poll_us, struct error *err)
{
	static const struct pci_identity id = {
		.vendor = 0x8086, .device = 0x7010, .class_code = 0x010180};
	const struct worker_config worker = {
		.name = "ide", .reactor = {.uring = true, .poll_us = poll_us}, .cpu = -1};
	struct piix3_ide *ide = calloc(1, sizeof(*ide));
	int rc;

	if (!ide)
		return error_set(err, -ENOMEM, "cannot make an IDE controller");
	rc = worker_create(&ide->io, &worker, err);
	if (rc) {
		free(ide);
		return rc;
	}
	pci_function_init(&ide->fn, "PIIX3 IDE", &piix3_ide_ops, &id);
	pci_function_bar(&ide->fn, BM_BAR, "ide-bus-master", PCI_BAR_IO, BM_PORTS, &bm_ops);
	for (unsigned i = 0; i < PIIX3_IDE_CHANNELS; i++) {
		unsigned timing = PIIX3_IDE_TIMING + 2 * i;

		ide_channel_init(&ide->channels[i], i, bus->sysbus, mem, &plane->lock);
		ide->channels[i].idle = channel_idle;
		pci_function_put16(&ide->fn, timing, PIIX3_IDE_DECODE);
		pci_function_allow16(&ide->fn, timing, 0xffff);
	}
	ide->fn.writable[PIIX3_IDE_TIMING_SECOND] = 0xff;
	rc = pci_bus_attach(bus, &ide->fn, PCI_DEVFN(1, 1), err);
	if (rc) {
		ide_destroy(&ide->card);
		return rc;
	}
	backplane_add(plane, &ide->card, &ide_card_ops, "pc/ide");
	*out = ide;
	return 0;
}

int piix3_ide_add(struct piix3_ide *ide, const struct ide_drive_options *o, struct storage *storage,
		  struct error *err)
{
	int rc;

	if (ide->n_disks == PIIX3_IDE_DISKS_MAX)
		return error_set(err, -ENOSPC, "there is room for %u IDE disks only",
				 PIIX3_IDE_DISKS_MAX);
	rc = ide_drive_init(piix3_ide_drive(ide, ide->n_disks), o, storage, ide->io, err);
	if (!rc)
		ide->n_disks++;
	return rc;
}
