/* SPDX-License-Identifier: MIT */
/*
 * A guest without an operating system that drives a virtio-blk card by Ringside's own driver,
 * checks what it reads, measures, and ends the machine.  options.h has the words of its command
 * line.
 */
#include "base/bits.h"
#include "frontend/blk/disk.h"
#include "guest/board.h"
#include "guest/boot.h"
#include "guest/checks.h"
#include "guest/clock.h"
#include "guest/console.h"
#include "guest/io.h"
#include "guest/irq.h"
#include "guest/measure.h"
#include "guest/memory.h"
#include "guest/power.h"
#include "guest/report.h"
#include "guest/selfcheck.h"

#include <stdio.h>

void guest_main(uint32_t magic, uint32_t info);

/* The guest is one program that runs once. */
static struct boot boot;
static struct board board;
static struct io io;

static void say_card(const struct vpci *v)
{
	const struct pcidev *dev = v->dev;
	char vectors[24] = "polled";

	if (v->msix)
		snprintf(vectors, sizeof(vectors), "MSI-X with %u vectors", v->n_vectors);
	say("card %02x:%02x.%u: %04x:%04x, %s interface, %s", dev->bdf >> 8, PCI_SLOT(dev->bdf),
	    PCI_FUNC(dev->bdf), dev->vendor, dev->device, v->legacy ? "legacy" : "modern", vectors);
}

static void say_disk(const struct ringside_info *i)
{
	static const struct {
		unsigned bit;
		const char *name;
	} words[] = {
		{VIRTIO_F_INDIRECT_DESC, "indirect"},
		{VIRTIO_F_EVENT_IDX, "event-idx"},
		{VIRTIO_F_IN_ORDER, "in-order"},
		{VIRTIO_BLK_F_MQ, "mq"},
		{VIRTIO_BLK_F_FLUSH, "flush"},
		{VIRTIO_BLK_F_DISCARD, "discard"},
		{VIRTIO_BLK_F_WRITE_ZEROES, "write-zeroes"},
		{VIRTIO_F_RING_RESET, "ring-reset"},
	};
	bool packed = i->features & BIT64(VIRTIO_F_RING_PACKED);
	char text[128];
	size_t n = 0;

	text[0] = '\0';
	for (size_t w = 0; w < ARRAY_SIZE(words); w++)
		if (i->features & BIT64(words[w].bit))
			n += (size_t)snprintf(text + n, sizeof(text) - n, ", %s", words[w].name);
	say("disk: %llu bytes, %s%u queue%s of %u, %s%s", (unsigned long long)i->capacity,
	    i->readonly ? "read-only, " : "", i->queues, i->queues == 1 ? "" : "s", i->queue_size,
	    packed ? "packed" : "split", text);
	say("features 0x%llx of 0x%llx", (unsigned long long)i->features,
	    (unsigned long long)i->offered);
}

static int drive(const struct options *o, struct error *err)
{
	struct ringside_options ro = {
		.queues = (uint16_t)o->queues,
		.queue_size = (uint16_t)o->queue_size,
		.features_off = o->features_off,
		.features_on = o->features_must,
		.features_must = o->features_must,
	};
	struct ringside_error *e = (struct ringside_error *)(void *)err;
	struct ringside_disk *disk;
	int rc;

	rc = board_open(&board, o, err);
	if (rc)
		return rc;
	say_card(&board.transport.v);
	rc = disk_open(&board.transport.base, &ro, &disk, err);
	if (rc)
		return rc;
	rc = io_init(&io, disk, o, err);
	if (!rc)
		rc = ringside_start(disk, e);
	if (!rc) {
		say_disk(&io.info);
		if (o->checks)
			checks_run(&io);
		measure_run(&io);
		rc = ringside_stop(disk, e);
	}
	ringside_close(&disk);
	return rc;
}

void guest_main(uint32_t magic, uint32_t info)
{
	struct options o;
	struct error err = {""};

	boot_read(&boot, magic, info);
	console_init();
	if (!boot.way) {
		say("not ok boot: neither by multiboot nor by PVH");
		power_end(false);
	}
	memory_init(boot.memory);
	irq_init();
	clock_init();
	say("Ringside guest " RINGSIDE_VERSION ", started by %s, %zu KiB of memory, %u MHz",
	    boot.way, memory_left() / 1024, clock_mhz());
	if (options_parse(&o, boot.cmdline))
		power_end(false);
	selfcheck_run();
	if (drive(&o, &err))
		report_bad("disk", "%s", err.text);
	power_end(report_good());
}
