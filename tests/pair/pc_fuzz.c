/* SPDX-License-Identifier: MIT */
#include "test.h"

#include "pc_fuzz.h"

#include "wire/virtio_blk.h"
#include "wire/vring.h"

#include <string.h>

#define RING_NUM 16u

/* ---- numbers and memory ---- */

uint64_t fuzz_address(struct fuzz *f, uint64_t align)
{
	uint64_t at = PC_RIG_FREE + fuzz_next(f) % (PC_RIG_MEMORY - PC_RIG_FREE);

	return at & ~(align - 1);
}

uint64_t fuzz_value(struct fuzz *f)
{
	static const uint64_t edges[] = {0,
					 1,
					 2,
					 3,
					 4,
					 7,
					 8,
					 15,
					 16,
					 0x7f,
					 0x80,
					 0xff,
					 0x100,
					 0x1f0,
					 0x7fff,
					 0xffff,
					 0x10000,
					 0xc000,
					 PC_LOW_HOLE,
					 PC_RIG_MEMORY - 1,
					 PC_RIG_MEMORY,
					 0x7fffffff,
					 0x80000000,
					 PC_PCI_HOLE,
					 0xe0004000,
					 PC_PCI_HOLE_END,
					 0xfee00000,
					 0xffffffff,
					 PC_HIGH,
					 UINT64_C(1) << 63,
					 UINT64_MAX};

	switch (fuzz_below(f, 4)) {
	case 0:
		return fuzz_next(f);
	case 1:
		return fuzz_address(f, UINT64_C(1) << fuzz_below(f, 13));
	default:
		return edges[fuzz_below(f, ARRAY_SIZE(edges))];
	}
}

void fuzz_store(struct fuzz *f, uint64_t at, const void *bytes, size_t n)
{
	uint8_t *to = pc_rig_at(f->r, at, n);
	const uint8_t *from = bytes;

	for (size_t i = 0; FUZZ_MEMORY && i < n; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELAXED);
}

/* ---- virtio ---- */

static uint32_t some_length(struct fuzz *f)
{
	static const uint32_t lengths[] = {0,	1,    12,    16,	 512,
					   513, 4096, 65536, 0x7fffffff, 0xffffffff};

	return lengths[fuzz_below(f, ARRAY_SIZE(lengths))];
}

/* Sixteen descriptors of either layout: requests that are good by chance, and their headers. */
static void fill_ring(struct fuzz *f, const struct vpci_ring *ring)
{
	const struct {
		le16 flags, idx;
		le16 heads[RING_NUM];
		le16 event;
	} avail = {.flags = le16_make((uint16_t)fuzz_below(f, 3)),
		   .idx = le16_make((uint16_t)(fuzz_below(f, 8) ? fuzz_below(f, RING_NUM + 2)
								: fuzz_next(f))),
		   .heads = {[1] = le16_make(3), [2] = le16_make(6), [3] = le16_make(9)},
		   .event = le16_make((uint16_t)fuzz_next(f))};

	for (unsigned i = 0; i < RING_NUM; i++) {
		struct virtio_blk_req header = {.type = le32_make(fuzz_below(f, 16)),
						.sector = le64_make(fuzz_below(f, 2050))};
		struct virtq_desc d = {
			.addr = le64_make(fuzz_below(f, 8) ? fuzz_address(f, 512) : fuzz_value(f)),
			.len = le32_make(i % 3 == 0   ? 16
					 : i % 3 == 2 ? 1
						      : 512 * (1 + fuzz_below(f, 8))),
			.flags = le16_make((uint16_t)(i % 3 == 0   ? VIRTQ_DESC_F_NEXT
						      : i % 3 == 2 ? VIRTQ_DESC_F_WRITE
								   : 1 | fuzz_below(f, 4))),
			.next = le16_make((uint16_t)(i + 1)),
		};

		if (!fuzz_below(f, 12))
			d.len = le32_make(some_length(f));
		if (!fuzz_below(f, 12))
			d.flags = le16_make((uint16_t)(fuzz_next(f) & 0x8087));
		if (!fuzz_below(f, 12))
			d.next = le16_make((uint16_t)fuzz_below(f, 20));
		if (le64_get(d.addr) < PC_RIG_MEMORY - 16 && le64_get(d.addr) >= PC_RIG_FREE)
			fuzz_store(f, le64_get(d.addr), &header, sizeof(header));
		fuzz_store(f, ring->desc + i * sizeof(d), &d, sizeof(d));
	}
	fuzz_store(f, ring->driver, &avail, sizeof(avail));
}

static void setup_queue(struct fuzz *f, struct vpci *v, uint16_t index, struct vpci_kick *kick)
{
	struct vpci_ring ring = {
		.num = RING_NUM, .desc = fuzz_address(f, 4096), .vector = VIRTIO_MSI_NO_VECTOR};

	if (ring.desc > PC_RIG_MEMORY - 0x10000)
		ring.desc = PC_RIG_FREE;
	if (v->legacy)
		ring.num = vpci_queue_max(v, index) & 0x3ff; /* all ones where nobody answers */
	ring.driver = ring.desc + 16u * ring.num;
	ring.device = align_up(ring.driver + 6u + 2u * ring.num, 4096);
	if (v->msix && fuzz_below(f, 4))
		ring.vector = (uint16_t)fuzz_below(f, v->n_vectors);
	fill_ring(f, &ring);
	if (!fuzz_below(f, 10))
		ring.device = fuzz_value(f);
	(void)vpci_queue_setup(v, index, &ring, kick);
	if (fuzz_below(f, 12))
		vpci_queue_enable(v, index);
}

static void drive_virtio(struct fuzz *f, struct pcidev *dev)
{
	struct vpci v;
	struct vpci_kick kicks[4] = {0};
	uint64_t features;
	unsigned n;

	if (vpci_open(&v, dev, fuzz_below(f, 3) ? VPCI_ANY : VPCI_LEGACY))
		return;
	if (fuzz_below(f, 8))
		vpci_set_status(&v, 0);
	for (unsigned turns = 0; turns < 4 && vpci_status(&v); turns++)
		pc_rig_wait(f->r, 1);
	vpci_msix(&v, fuzz_below(f, 2));
	for (uint16_t i = 0; v.msix && i < v.n_vectors; i++)
		vpci_vector(&v, i, 0xfee00000, i);
	vpci_set_status(&v, 1);
	vpci_set_status(&v, 3);
	features = vpci_features(&v);
	if (fuzz_below(f, 2))
		features &= fuzz_next(f) | UINT64_C(1) << VIRTIO_F_VERSION_1;
	vpci_set_features(&v, features);
	if (!v.legacy && fuzz_below(f, 16))
		vpci_set_status(&v, 11);
	n = v.legacy ? 4 : vpci_num_queues(&v);
	n = n > ARRAY_SIZE(kicks) ? ARRAY_SIZE(kicks) : n;
	for (uint16_t i = 0; i < n; i++)
		setup_queue(f, &v, i, &kicks[i]);
	if (fuzz_below(f, 16))
		vpci_set_status(&v, v.legacy ? 7 : 15);
	for (unsigned turns = fuzz_below(f, 4); turns--;) {
		for (uint16_t i = 0; i < n; i++)
			if (kicks[i].at)
				vpci_kick(&v, &kicks[i], (uint32_t)fuzz_next(f));
		pc_rig_wait(f->r, 1);
		if (!fuzz_below(f, 4))
			vpci_isr(&v);
	}
	if (!fuzz_below(f, 4))
		vpci_queue_reset(&v, (uint16_t)fuzz_below(f, 4));
}

/* ---- IDE: taskfile and bus master, as SFF 8038i has them ---- */

static void drive_ide(struct fuzz *f, const struct pcidev *dev)
{
	static const uint8_t commands[] = {0x00, 0x08, 0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35,
					   0x39, 0x40, 0x91, 0xa0, 0xa1, 0xb0, 0xc4, 0xc5, 0xc6,
					   0xc8, 0xca, 0xe7, 0xea, 0xec, 0xef, 0xf8, 0x90};
	uint16_t base = fuzz_below(f, 2) ? 0x1f0 : 0x170;
	uint16_t master = (uint16_t)(dev->bars[4].address + (base == 0x1f0 ? 0 : 8));
	uint64_t table = fuzz_address(f, 4);
	bool dma = dev->bars[4].address && fuzz_below(f, 2);

	for (unsigned i = 0; i < 8 && table + 8 * i + 8 <= PC_RIG_MEMORY; i++) {
		uint32_t entry[2] = {(uint32_t)fuzz_value(f),
				     (uint32_t)(fuzz_next(f) & (i == 7 ? 0x8000fffe : 0x0000fffe))};

		if (fuzz_below(f, 4))
			entry[0] = (uint32_t)fuzz_address(f, 2);
		fuzz_store(f, table + 8 * i, entry, sizeof(entry));
	}
	if (dma)
		pc_rig_write(f->r, SYSBUS_PORT, master + 4u, table, 4);
	for (uint16_t reg = 1; reg < 7; reg++)
		if (fuzz_below(f, 8))
			pc_rig_write(f->r, SYSBUS_PORT, base + reg,
				     reg == 6 ? 0xe0 | fuzz_next(f) : fuzz_value(f), 1);
	pc_rig_write(f->r, SYSBUS_PORT, base + 7u, commands[fuzz_below(f, sizeof(commands))], 1);
	if (dma)
		pc_rig_write(f->r, SYSBUS_PORT, master, 1 | (fuzz_below(f, 2) << 3), 1);
	for (unsigned n = fuzz_below(f, 300); n--;) {
		if (fuzz_below(f, 2))
			pc_rig_read(f->r, SYSBUS_PORT, base, 1u << fuzz_below(f, 3));
		else
			pc_rig_write(f->r, SYSBUS_PORT, base, fuzz_next(f), 1u << fuzz_below(f, 3));
		if (!(n % 64))
			pc_rig_turn(f->r);
	}
	pc_rig_read(f->r, SYSBUS_PORT, base + 7u, 1);
}

/* ---- LSI 53C8xx: a script in guest memory, and its start ---- */

static void drive_lsi(struct fuzz *f, const struct pcidev *dev)
{
	/* Block move, select, wait, jump, call, return, interrupt, memory move, load and store. */
	static const uint8_t ops[] = {0x00, 0x01, 0x08, 0x09, 0x0b, 0x0e, 0x40, 0x41, 0x48, 0x50,
				      0x58, 0x60, 0x78, 0x7c, 0x80, 0x88, 0x90, 0x98, 0xc0, 0xe0};
	uint64_t script = fuzz_address(f, 4);
	unsigned bar = dev->bars[1].address ? 1 : 0;

	for (unsigned i = 0; i < 16 && script + 8 * i + 8 <= PC_RIG_MEMORY; i++) {
		uint32_t step[2] = {(uint32_t)ops[fuzz_below(f, sizeof(ops))] << 24 |
					    (uint32_t)(fuzz_next(f) & 0x8ffff),
				    (uint32_t)fuzz_value(f)};

		if (fuzz_below(f, 2))
			step[1] = (uint32_t)(script + 8 * fuzz_below(f, 16));
		fuzz_store(f, script + 8 * i, step, sizeof(step));
	}
	if (!dev->bars[bar].address)
		return;
	pcidev_bar_write(dev, bar, 0x00, 0xc0 | fuzz_below(f, 64), 1);	   /* SCNTL0 */
	pcidev_bar_write(dev, bar, 0x10, (uint32_t)fuzz_address(f, 4), 4); /* DSA */
	pcidev_bar_write(dev, bar, 0x2c, (uint32_t)script, 4);		   /* DSP: off it goes */
	if (fuzz_below(f, 2))
		pcidev_bar_write(dev, bar, 0x3b, fuzz_below(f, 2) ? 0x04 : 0x14, 1); /* DCNTL */
	pc_rig_turn(f->r);
	for (uint64_t at = 0; at < 0x60; at += 4)
		pcidev_bar_read(dev, bar, at, 4);
}

/* ---- all ---- */

static bool choose(struct fuzz *f, unsigned *bdf)
{
	struct pci_function *const *functions = f->r->pc->host.bus.functions;
	unsigned n = 0;

	for (unsigned i = 0; i < PCI_DEVFNS; i++)
		if (functions[i] && !fuzz_below(f, ++n))
			*bdf = i;
	return n;
}

void fuzz_drive(struct fuzz *f)
{
	struct pcidev dev;
	unsigned bdf = 0;

	if (fuzz_below(f, 4))
		pc_rig_assign(f->r);
	if (!choose(f, &bdf) || pcidev_open(&dev, &f->r->access, bdf))
		return;
	pcidev_command(&dev, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	if (dev.vendor == VIRTIO_PCI_VENDOR)
		drive_virtio(f, &dev);
	else if (dev.class_code >> 8 == 0x0101)
		drive_ide(f, &dev);
	else if (dev.vendor == 0x1000 && dev.class_code >> 8 == 0x0100)
		drive_lsi(f, &dev);
}
