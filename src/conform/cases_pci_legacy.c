/* SPDX-License-Identifier: MIT */
/* The legacy header of a transitional board: virtio 1.4, 4.1.2.3, 4.1.4.10, 4.1.5.1. */
#include "conform/cases.h"

#include "conform/blk.h"
#include "conform/board.h"
#include "vring/size.h"

static uint32_t get(struct trial *t, uint32_t at, unsigned size)
{
	return board_get(t, &t->board.v.common, at, size);
}

static void legacy_put(struct trial *t, uint32_t at, uint32_t value, unsigned size)
{
	board_put(t, &t->board.v.common, at, value, size);
}

static void identity(struct trial *t)
{
	const struct pcidev *dev = &t->board.dev;

	board_legacy(t);
	if (dev->revision || dev->subsystem != VIRTIO_ID_BLOCK ||
	    dev->device != VIRTIO_PCI_DEVICE_LEGACY_BLOCK)
		trial_fail(t, "device id 0x1001, revision 0, subsystem id 2", "0x%04x, %u, %u",
			   dev->device, dev->revision, dev->subsystem);
}

static void ports(struct trial *t)
{
	const struct pcidev_bar *bar = &t->board.dev.bars[0];

	board_find(t);
	if (t->board.dev.device >= VIRTIO_PCI_DEVICE_MODERN)
		trial_skip(t, "the board is not transitional");
	if (!bar->io || bar->size < 24)
		trial_fail(t, "BAR 0 is ports, 24 of them or more", "%llu bytes of %s",
			   (unsigned long long)bar->size, bar->io ? "ports" : "memory");
}

static void registers(struct trial *t)
{
	uint32_t features, size;

	board_legacy(t);
	features = get(t, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4);
	legacy_put(t, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, ~features, 4);
	if (get(t, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4) != features)
		trial_fail(t, "device features cannot be written", "0x%x, then 0x%x", features,
			   get(t, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4));
	legacy_put(t, VIRTIO_PCI_LEGACY_DRIVER_FEATURES, features & BIT64(VIRTIO_BLK_F_FLUSH), 4);
	if (get(t, VIRTIO_PCI_LEGACY_DRIVER_FEATURES, 4) != (features & BIT64(VIRTIO_BLK_F_FLUSH)))
		trial_fail(t, "driver features read as they were written", "0x%x",
			   get(t, VIRTIO_PCI_LEGACY_DRIVER_FEATURES, 4));
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 0, 2);
	size = get(t, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2);
	if (!size || size & (size - 1))
		trial_fail(t, "queue 0 has a size that is a power of two", "%u", size);
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_SIZE, size / 2, 2);
	if (get(t, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2) != size)
		trial_fail(t, "the driver cannot choose the size", "%u, then %u", size,
			   get(t, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2));
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 0x4321, 2);
	if (get(t, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 2) != 0x4321 ||
	    get(t, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2))
		trial_fail(t, "the size is 0 where there is no queue", "%u",
			   get(t, VIRTIO_PCI_LEGACY_QUEUE_SIZE, 2));
}

static void status(struct trial *t)
{
	board_legacy(t);
	board_set_status(t, 7);
	if (board_status(t) != 7)
		trial_fail(t, "the status reads as it was written", "0x%x", board_status(t));
	vpci_set_status(&t->board.v, 0);
	if (board_status(t))
		trial_fail(t, "after 0 was written it reads 0 at once: legacy drivers do not wait",
			   "0x%x", board_status(t));
}

/* All three parts from one page number, as 2.7.2 lays them out. */
static struct ring *legacy_ring(struct trial *t, uint16_t index)
{
	uint16_t num = vpci_queue_max(&t->board.v, index);
	struct ring *r;

	if (!num || num > RING_NUM_MAX)
		trial_skip(t, "queue %u has %u entries", index, num);
	r = ring_new(t, index, num);
	r->desc = mem_aligned(t,
			      (uint32_t)(vring_desc_size(num) + vring_driver_size(num, false) +
					 vring_device_size(num, false)) +
				      VIRTIO_PCI_LEGACY_PAGE,
			      VIRTIO_PCI_LEGACY_PAGE);
	r->driver = r->desc + vring_desc_size(num);
	r->device = align_up(r->driver + vring_driver_size(num, false), VIRTIO_PCI_LEGACY_PAGE);
	r->table = at(t, r->desc, vring_desc_size(num));
	r->avail = at(t, r->driver, vring_driver_size(num, false));
	r->used = at(t, r->device, vring_device_size(num, false));
	ring_clear(r);
	ring_start(r, 0);
	return r;
}

static struct ring *legacy_up(struct trial *t)
{
	uint32_t features;
	struct ring *r;

	features = get(t, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4);
	t->peer.acked = features & (BLK(FLUSH) | BLK(RO));
	vpci_set_features(&t->board.v, t->peer.acked);
	share_memory(t);
	r = legacy_ring(t, 0);
	board_set_status(t, 7);
	return r;
}

static void io(struct trial *t)
{
	struct ring *r;

	board_legacy(t);
	r = legacy_up(t);
	trial_sent(t, "reads through the legacy header");
	for (unsigned i = 0; i < 10; i++)
		blk_read(r, 0, 512);
}

static void page_number(struct trial *t)
{
	struct ring *r;

	board_legacy(t);
	r = legacy_up(t);
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 0, 2);
	if (get(t, VIRTIO_PCI_LEGACY_QUEUE_PFN, 4) != r->desc / VIRTIO_PCI_LEGACY_PAGE)
		trial_fail(t, "the page number reads as it was written", "0x%x",
			   get(t, VIRTIO_PCI_LEGACY_QUEUE_PFN, 4));
	vpci_set_status(&t->board.v, 0);
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 0, 2);
	if (get(t, VIRTIO_PCI_LEGACY_QUEUE_PFN, 4))
		trial_fail(t, "no queue has a page after a reset", "0x%x",
			   get(t, VIRTIO_PCI_LEGACY_QUEUE_PFN, 4));
}

static void isr(struct trial *t)
{
	struct ring *r;

	board_legacy(t);
	need_pin(t);
	r = legacy_up(t);
	get(t, VIRTIO_PCI_LEGACY_ISR, 1);
	blk_read(r, 0, 512);
	if (!pin_becomes(t, true))
		trial_fail(t, "the pin is raised when a buffer was used", "it is low");
	if (!(get(t, VIRTIO_PCI_LEGACY_ISR, 1) & VIRTIO_PCI_ISR_QUEUE) ||
	    get(t, VIRTIO_PCI_LEGACY_ISR, 1))
		trial_fail(t, "a read gives bit 0 and clears it", "it does not");
	if (!pin_becomes(t, false))
		trial_fail(t, "a read of the ISR status lowers the pin", "it is still up");
}

static void vectors(struct trial *t)
{
	struct ring *r;

	board_legacy(t);
	need_msix(t, 2);
	vpci_msix(&t->board.v, true);
	legacy_put(t, VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 0, 2);
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_SELECT, 0, 2);
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 1, 2);
	trial_sent(t, "vector 0 at offset 20, vector 1 at offset 22, with MSI-X on");
	if (get(t, VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 2) ||
	    get(t, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2) != 1)
		trial_fail(t, "with MSI-X on the vectors are at 20 and 22", "0x%x, 0x%x",
			   get(t, VIRTIO_PCI_LEGACY_CONFIG_VECTOR, 2),
			   get(t, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2));
	legacy_put(t, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 0x7ff, 2);
	if (t->board.v.n_vectors < 0x7ff &&
	    get(t, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2) != VIRTIO_MSI_NO_VECTOR)
		trial_fail(t, "a vector that cannot be had reads back as NO_VECTOR", "0x%x",
			   get(t, VIRTIO_PCI_LEGACY_QUEUE_VECTOR, 2));
	r = legacy_up(t);
	blk_read(r, 0, 512);
	if (!ring_calls(r, t->o->timeout_ms))
		trial_fail(t, "the queue calls by its vector", "no message");
}

/* ---- the device's configuration ---- */

static uint64_t capacity_at(struct trial *t, uint32_t offset, unsigned width)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < 8; i += width)
		value |= (uint64_t)get(t, offset + i, width) << 8 * i;
	return value;
}

static void config_place(struct trial *t)
{
	uint64_t without, with;

	board_legacy(t);
	without = capacity_at(t, 20, 4);
	if (!t->board.v.msix_cap) {
		if (!without)
			trial_fail(t, "the configuration is at 20", "its capacity is 0");
		return;
	}
	vpci_msix(&t->board.v, true);
	with = capacity_at(t, 24, 4);
	vpci_msix(&t->board.v, false);
	if (without != with || !without)
		trial_fail(t, "the configuration is at 20, at 24 with MSI-X on",
			   "capacity %llu at 20, %llu at 24", (unsigned long long)without,
			   (unsigned long long)with);
}

static void config_widths(struct trial *t)
{
	board_legacy(t);
	if (capacity_at(t, 20, 4) != capacity_at(t, 20, 2) ||
	    capacity_at(t, 20, 4) != capacity_at(t, 20, 1))
		trial_fail(t, "one value, whether read by 4, 2 or 1 bytes",
			   "capacity %llu, %llu, %llu", (unsigned long long)capacity_at(t, 20, 4),
			   (unsigned long long)capacity_at(t, 20, 2),
			   (unsigned long long)capacity_at(t, 20, 1));
}

static void high_bits(struct trial *t)
{
	struct vpci modern;

	board_legacy(t);
	if (vpci_open(&modern, &t->board.dev, VPCI_MODERN))
		trial_skip(t, "the board has no modern interface to see it by");
	legacy_up(t);
	board_put(t, &modern.common, COMMON_AT(driver_feature_select), 1, 4);
	if (board_get(t, &modern.common, COMMON_AT(driver_feature), 4))
		trial_fail(t, "a legacy driver has accepted none of the features 32 to 63", "0x%x",
			   board_get(t, &modern.common, COMMON_AT(driver_feature), 4));
}

#define MUST(section)	  section, LEVEL_MUST, 0
#define PRACTICE(section) section, LEVEL_PRACTICE, 0

static const struct conform_case cases[] = {
	{"PCI-L-01.id", MUST("virtio 4.1.2.3"),
	 "A transitional disk has device id 0x1001, revision 0 and its type as subsystem id.",
	 identity},
	{"PCI-L-02.ports", MUST("virtio 4.1.4.10"), "The legacy header is in ports, BAR 0.", ports},
	{"PCI-L-02.registers", MUST("virtio 4.1.4.10"),
	 "Features, queue size and selector are where they belong.", registers},
	{"PCI-L-02.status", PRACTICE("practice"), "A reset is over at once for legacy drivers.",
	 status},
	{"PCI-L-02.page", MUST("virtio 4.1.5.1.3"),
	 "The page number reads as written, and 0 after a reset.", page_number},
	{"PCI-L-02.io", MUST("virtio 2.7.2, 4.1.5.1.3"),
	 "A queue given by its page number works, in the layout of old.", io},
	{"PCI-L-02.isr", MUST("virtio 4.1.4.10"), "The ISR status at 19 is read and cleared.", isr},
	{"PCI-L-02.vectors", MUST("virtio 4.1.4.10"),
	 "With MSI-X on the vectors are at 20 and 22, and work.", vectors},
	{"PCI-L-03.place", MUST("virtio 4.1.4.10"),
	 "The device configuration is at 20, with MSI-X on at 24.", config_place},
	{"PCI-L-03.widths", MUST("virtio 4.1.4.10"),
	 "The device configuration reads the same by 1, 2 and 4 bytes.", config_widths},
	{"PCI-L-04.high", MUST("virtio 4.1.4.10"),
	 "A legacy driver has accepted none of the features 32 to 63.", high_bits},
};
const struct case_table pci_legacy_cases = {"PCI: the legacy header", cases, ARRAY_SIZE(cases),
					    BY_PCI};
