/* SPDX-License-Identifier: MIT */
/*
 * The board as a PCI function: header, BARs, capabilities, access through configuration space;
 * virtio 1.4, 4.1.1 to 4.1.4.
 */
#include "conform/cases.h"

#include "conform/blk.h"
#include "conform/board.h"

#define CAP_AT(field) (unsigned)offsetof(struct virtio_pci_cap, field)

/* ---- header ---- */

static void widths(struct trial *t)
{
	board_find(t);
	for (unsigned at = 0; at < PCI_HEADER_BYTES; at += 4) {
		uint32_t whole = config_get(t, at, 4);
		uint32_t halves = config_get(t, at, 2) | config_get(t, at + 2, 2) << 16;
		uint32_t bytes = 0;

		for (unsigned i = 0; i < 4; i++)
			bytes |= config_get(t, at + i, 1) << 8 * i;
		if (halves != whole || bytes != whole)
			trial_fail(t, "one value, whether read by 4, 2 or 1 bytes",
				   "at 0x%02x: 0x%08x, 0x%08x, 0x%08x", at, whole, halves, bytes);
	}
}

static void read_only(struct trial *t)
{
	static const struct {
		uint8_t at, size;
	} fields[] = {{PCI_VENDOR_ID, 2},   {PCI_DEVICE_ID, 2},		  {PCI_REVISION, 4},
		      {PCI_HEADER_TYPE, 1}, {PCI_SUBSYSTEM_VENDOR_ID, 2}, {PCI_SUBSYSTEM_ID, 2},
		      {PCI_CAP_POINTER, 1}, {PCI_INTERRUPT_PIN, 1}};

	board_find(t);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		uint32_t before = config_get(t, fields[i].at, fields[i].size), after;

		config_put(t, fields[i].at, ~before, fields[i].size);
		after = config_get(t, fields[i].at, fields[i].size);
		if (before != after)
			trial_fail(t,
				   "identity, header type, capability pointer and pin do not "
				   "change when they are written",
				   "at 0x%02x: 0x%x, then 0x%x", fields[i].at, before, after);
	}
}

/* The bits that stay when all ones are written; decoding is off. */
static uint32_t bar_bits(struct trial *t, unsigned i)
{
	unsigned at = PCI_BAR0 + 4 * i;
	uint32_t saved = config_get(t, at, 4), bits;

	config_put(t, at, UINT32_MAX, 4);
	bits = config_get(t, at, 4);
	config_put(t, at, saved, 4);
	if (config_get(t, at, 4) != saved)
		trial_fail(t, "a BAR reads as it was written", "BAR %u: 0x%08x, then 0x%08x", i,
			   saved, config_get(t, at, 4));
	return bits;
}

static void bars(struct trial *t)
{
	struct pcidev *dev = &t->board.dev;

	board_find(t);
	pcidev_command(dev, 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	for (unsigned i = 0; i < PCI_BARS; i++) {
		uint32_t low = bar_bits(t, i);
		bool io = low & PCI_BAR_IO, wide = !io && (low & PCI_BAR_TYPE) == PCI_BAR_64;
		uint64_t mask = low & ~(io ? PCI_BAR_IO_MASK : PCI_BAR_MEM_MASK);

		if (!low)
			continue;
		if (wide)
			mask |= (uint64_t)bar_bits(t, i + 1) << 32;
		else if (!io || mask >> 16)
			mask |= ~UINT64_C(0xffffffff);
		else
			mask |= ~UINT64_C(0xffff);
		trial_sent(t, "all ones to BAR %u", i);
		if (!mask || !is_pow2(~mask + 1))
			trial_fail(t, "a size that is a power of two", "BAR %u keeps 0x%llx", i,
				   (unsigned long long)mask);
		if (~mask + 1 < (io ? 4 : 16))
			trial_fail(t, "at least 16 bytes of memory or 4 ports",
				   "BAR %u has %llu bytes", i, (unsigned long long)(~mask + 1));
		i += wide;
	}
	pcidev_command(dev, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 0);
}

static void decode(struct trial *t)
{
	uint32_t queues;

	if (!pci_target_moves_bars(t->o->pci))
		trial_skip(t, "decoding is not ours to switch here");
	board_modern(t);
	queues = common_get(t, num_queues);
	pcidev_command(&t->board.dev, 0, PCI_COMMAND_MEMORY);
	trial_sent(t, "a read of num_queues with memory decoding off");
	if (common_get(t, num_queues) != 0xffff)
		trial_fail(t, "nobody answers: all ones", "0x%04x", common_get(t, num_queues));
	pcidev_command(&t->board.dev, PCI_COMMAND_MEMORY, 0);
	if (common_get(t, num_queues) != queues)
		trial_fail(t, "with decoding on again it answers as before", "%u, then %u queues",
			   queues, common_get(t, num_queues));
}

static void moved(struct trial *t)
{
	struct pcidev_bar *bar;
	uint64_t from, to;
	unsigned at;

	if (!pci_target_moves_bars(t->o->pci))
		trial_skip(t, "BARs are not ours to move here");
	board_modern(t);
	bar = &t->board.dev.bars[t->board.v.common.bar];
	at = PCI_BAR0 + 4 * t->board.v.common.bar;
	from = bar->address;
	to = (t->o->pci->bars.end - bar->size) & ~(bar->size - 1);
	trial_sent(t, "the BAR of the common configuration from 0x%llx to 0x%llx",
		   (unsigned long long)from, (unsigned long long)to);
	common_put(t, queue_select, 0x1234);
	config_put(t, at, (uint32_t)to, 4);
	if (common_get(t, queue_select) != 0xffff)
		trial_fail(t, "nobody answers at the old address", "0x%04x",
			   common_get(t, queue_select));
	bar->address = to;
	if (common_get(t, queue_select) != 0x1234)
		trial_fail(t, "the registers answer at the new address", "queue_select is 0x%04x",
			   common_get(t, queue_select));
}

static void cap_list(struct trial *t)
{
	uint64_t seen = 0;
	unsigned at;

	board_find(t);
	if (!(config_get(t, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
		trial_skip(t, "the function has no capabilities");
	at = config_get(t, PCI_CAP_POINTER, 1);
	while (at) {
		if (at < PCI_HEADER_BYTES || at % 4)
			trial_fail(t, "capabilities begin at multiples of 4 behind the header",
				   "one is at 0x%02x", at);
		if (seen >> at / 4 & 1)
			trial_fail(t, "the list of capabilities ends", "it comes round at 0x%02x",
				   at);
		seen |= UINT64_C(1) << at / 4;
		at = config_get(t, at + 1, 1);
	}
}

/* ---- identity ---- */

static bool is_modern_id(const struct pcidev *dev)
{
	return dev->device == VIRTIO_PCI_DEVICE_MODERN + VIRTIO_ID_BLOCK;
}

static void identity(struct trial *t)
{
	const struct pcidev *dev = &t->board.dev;

	board_find(t);
	if (dev->vendor != VIRTIO_PCI_VENDOR ||
	    (!is_modern_id(dev) && dev->device != VIRTIO_PCI_DEVICE_LEGACY_BLOCK))
		trial_fail(t, "1af4:1042, or 1af4:1001 for a transitional block device",
			   "%04x:%04x", dev->vendor, dev->device);
}

static void modern_identity(struct trial *t)
{
	const struct pcidev *dev = &t->board.dev;

	board_find(t);
	if (!is_modern_id(dev))
		trial_skip(t, "the board is transitional");
	if (!dev->revision || dev->subsystem < 0x40)
		trial_fail(t, "revision 1 or more, subsystem id 0x40 or more",
			   "revision %u, subsystem id 0x%x", dev->revision, dev->subsystem);
}

/* ---- virtio capabilities ---- */

static unsigned next_cap(struct trial *t, unsigned after)
{
	return pcidev_cap(&t->board.dev, PCI_CAP_VENDOR, after);
}

/* A board that claims to be modern, whether its structures can be used or not. */
static void with_caps(struct trial *t)
{
	board_find(t);
	if (!is_modern_id(&t->board.dev) && !next_cap(t, 0))
		trial_skip(t, "the board has no modern interface");
}

static void cap_len(struct trial *t)
{
	with_caps(t);
	for (unsigned cap = next_cap(t, 0); cap; cap = next_cap(t, cap)) {
		uint32_t len = config_get(t, cap + CAP_AT(len), 1);
		uint32_t type = config_get(t, cap + CAP_AT(cfg_type), 1);
		uint32_t least = 16;

		if (type == VIRTIO_PCI_CAP_NOTIFY_CFG || type == VIRTIO_PCI_CAP_PCI_CFG)
			least = 20;
		else if (type == 8)
			least = 24;
		else if (type == 9)
			continue;
		if (len < least || cap + len > PCI_CONFIG_BYTES)
			trial_fail(t,
				   "cap_len counts the extra data, and the capability ends "
				   "inside configuration space",
				   "type %u at 0x%02x: cap_len %u", type, cap, len);
	}
}

static void inside(struct trial *t)
{
	with_caps(t);
	for (unsigned cap = next_cap(t, 0); cap; cap = next_cap(t, cap)) {
		struct vpci_area a = board_cap_area(t, cap);
		uint32_t type = config_get(t, cap + CAP_AT(cfg_type), 1);

		if (type < VIRTIO_PCI_CAP_COMMON_CFG || type > VIRTIO_PCI_CAP_DEVICE_CFG)
			continue;
		if (a.bar >= PCI_BARS || !a.length ||
		    !pcidev_bar_has(&t->board.dev, a.bar, a.offset, a.length))
			trial_fail(t, "each structure lies inside its BAR",
				   "type %u: BAR %u, offset 0x%x, length 0x%x", type, a.bar,
				   a.offset, a.length);
	}
}

static void need_aligned(struct trial *t, uint8_t type, uint32_t align, uint32_t least)
{
	unsigned cap = board_cap(t, type, 0);

	if (!cap)
		trial_fail(t, "there is such a capability", "none of type %u", type);
	for (; cap; cap = board_cap(t, type, cap)) {
		struct vpci_area a = board_cap_area(t, cap);

		if (a.offset % align || a.length < least)
			trial_fail(t, "its structure is aligned and long enough",
				   "type %u: offset 0x%x, length %u", type, a.offset, a.length);
	}
}

static void common_cap(struct trial *t)
{
	with_caps(t);
	need_aligned(t, VIRTIO_PCI_CAP_COMMON_CFG, 4, VIRTIO_PCI_COMMON_CFG_MIN);
}

static void isr_cap(struct trial *t)
{
	with_caps(t);
	need_aligned(t, VIRTIO_PCI_CAP_ISR_CFG, 1, 1);
}

static void device_cap(struct trial *t)
{
	with_caps(t);
	need_aligned(t, VIRTIO_PCI_CAP_DEVICE_CFG, 4, 8);
}

static void shared_memory(struct trial *t)
{
	unsigned cap;
	uint64_t ids = 0;

	with_caps(t);
	cap = board_cap(t, 8, 0);
	if (!cap)
		trial_skip(t, "the device has no shared memory");
	for (; cap; cap = board_cap(t, 8, cap)) {
		struct vpci_area a = board_cap_area(t, cap);
		uint32_t id = config_get(t, cap + CAP_AT(id), 1);
		uint64_t at = a.offset | (uint64_t)config_get(t, cap + 16, 4) << 32;
		uint64_t length = a.length | (uint64_t)config_get(t, cap + 20, 4) << 32;

		if (!pcidev_bar_has(&t->board.dev, a.bar, at, length) || (id < 64 && ids >> id & 1))
			trial_fail(t, "a region inside its BAR, with an id of its own",
				   "id %u: BAR %u, offset 0x%llx, length 0x%llx", id, a.bar,
				   (unsigned long long)at, (unsigned long long)length);
		ids |= id < 64 ? BIT64(id) : 0;
	}
}

static void vendor_data(struct trial *t)
{
	unsigned cap;

	with_caps(t);
	cap = board_cap(t, 9, 0);
	if (!cap)
		trial_skip(t, "the device has no vendor data");
	for (; cap; cap = board_cap(t, 9, cap))
		if (config_get(t, cap + CAP_AT(len), 1) % 4 ||
		    config_get(t, cap + 4, 2) == VIRTIO_PCI_VENDOR)
			trial_fail(t,
				   "a length that is a multiple of 4, a vendor id other than 1af4",
				   "%u bytes, vendor %04x", config_get(t, cap + CAP_AT(len), 1),
				   config_get(t, cap + 4, 2));
}

/* ---- access through configuration space ---- */

static unsigned window_cap(struct trial *t)
{
	unsigned cap = board_cap(t, VIRTIO_PCI_CAP_PCI_CFG, 0);

	if (!cap)
		trial_fail(t, "there is a capability for access through configuration space",
			   "none of type 5");
	return cap;
}

static void window_there(struct trial *t)
{
	with_caps(t);
	window_cap(t);
}

static unsigned aim(struct trial *t, const struct vpci_area *a, uint32_t at, uint32_t size)
{
	unsigned cap = window_cap(t);

	config_put(t, cap + CAP_AT(bar), a->bar, 1);
	config_put(t, cap + CAP_AT(offset), a->offset + at, 4);
	config_put(t, cap + CAP_AT(length), size, 4);
	return cap + (unsigned)offsetof(struct virtio_pci_cfg_cap, data);
}

static uint32_t window_get(struct trial *t, const struct vpci_area *a, uint32_t at, unsigned size)
{
	return config_get(t, aim(t, a, at, size), size);
}

static void window_put(struct trial *t, const struct vpci_area *a, uint32_t at, uint32_t value,
		       unsigned size)
{
	config_put(t, aim(t, a, at, size), value, size);
}

#define window_common_get(t, field) \
	window_get(t, &(t)->board.v.common, COMMON_AT(field), COMMON_SIZE(field))
#define window_common_put(t, field, value) \
	window_put(t, &(t)->board.v.common, COMMON_AT(field), value, COMMON_SIZE(field))

static void window_reads(struct trial *t)
{
	board_modern(t);
	common_put(t, device_feature_select, 1);
	if (window_common_get(t, device_feature) != common_get(t, device_feature))
		trial_fail(t, "4 bytes read through the window are those of the BAR",
			   "device_feature: 0x%x, 0x%x", window_common_get(t, device_feature),
			   common_get(t, device_feature));
	if (window_common_get(t, num_queues) != common_get(t, num_queues))
		trial_fail(t, "2 bytes read through the window are those of the BAR",
			   "num_queues: %u, %u", window_common_get(t, num_queues),
			   common_get(t, num_queues));
	if (window_common_get(t, device_status) != board_status(t))
		trial_fail(t, "1 byte read through the window is that of the BAR",
			   "device_status: 0x%x, 0x%x", window_common_get(t, device_status),
			   board_status(t));
}

static void window_writes(struct trial *t)
{
	board_modern(t);
	window_common_put(t, driver_feature_select, 1);
	if (common_get(t, driver_feature_select) != 1)
		trial_fail(t, "4 bytes written through the window arrive",
			   "driver_feature_select is %u", common_get(t, driver_feature_select));
	window_common_put(t, queue_select, 0x0102);
	if (common_get(t, queue_select) != 0x0102)
		trial_fail(t, "2 bytes written through the window arrive", "queue_select is 0x%x",
			   common_get(t, queue_select));
	board_reset(t);
	window_common_put(t, device_status, VIRTIO_STATUS_ACKNOWLEDGE);
	if (board_status(t) != VIRTIO_STATUS_ACKNOWLEDGE)
		trial_fail(t, "1 byte written through the window arrives", "the status is 0x%x",
			   board_status(t));
}

static void window_half(struct trial *t, uint32_t at, uint64_t value)
{
	window_put(t, &t->board.v.common, at, (uint32_t)value, 4);
	window_put(t, &t->board.v.common, at + 4, (uint32_t)(value >> 32), 4);
}

/* A driver that has nothing but configuration space, as firmware does. */
static void window_drives(struct trial *t)
{
	const struct virtio_blk_req header = {.type = le32_make(VIRTIO_BLK_T_IN)};
	struct used u;
	struct ring *r;
	struct seg segs[3];
	struct req q;

	board_modern(t);
	for (unsigned i = 0; i < 2; i++) {
		window_common_put(t, driver_feature_select, i);
		window_common_put(t, driver_feature, (uint32_t)(board_least_features(t) >> 32 * i));
	}
	window_common_put(t, device_status, 11);
	if (window_common_get(t, device_status) != 11)
		trial_fail(t, "FEATURES_OK stays set with VERSION_1", "the status is 0x%x",
			   window_common_get(t, device_status));
	share_memory(t);
	r = ring_new(t, 0, 16);
	window_common_put(t, queue_select, 0);
	window_common_put(t, queue_size, 16);
	window_half(t, COMMON_AT(queue_desc), r->desc);
	window_half(t, COMMON_AT(queue_driver), r->driver);
	window_half(t, COMMON_AT(queue_device), r->device);
	window_common_put(t, queue_enable, 1);
	window_common_put(t, device_status, 15);
	q = req_make(t, VIRTIO_BLK_T_IN, 0, 512);
	memcpy(at(t, q.header, sizeof(header)), &header, sizeof(header));
	ring_add(r, segs, req_segs(&q, segs));
	ring_publish(r);
	trial_sent(t, "a whole initialisation and a read, all through configuration space");
	window_put(t, &t->board.v.notify,
		   window_common_get(t, queue_notify_off) * t->board.v.multiplier, 0, 2);
	ring_wait(r, &u);
	expect_status(t, byte_at(t, q.status), VIRTIO_BLK_S_OK);
}

static void window_astray(struct trial *t)
{
	static const struct {
		uint32_t bar, offset, length;
	} places[] = {{6, 0, 4},	  {255, 0, 4},	      {4, 0, 0},       {4, 0, 3},
		      {4, 0, 8},	  {4, 0, 0xffffffff}, {4, 2, 4},       {4, 0x7fffff00, 4},
		      {4, 0xfffffffe, 2}, {5, 0, 1},	      {0, 0xfffff, 1}, {1, 0x800000, 4}};
	uint8_t before;

	board_modern(t);
	before = board_status(t);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		const struct vpci_area a = {.bar = places[i].bar, .offset = places[i].offset};
		unsigned data = aim(t, &a, 0, places[i].length);

		trial_sent(t, "BAR %u, offset 0x%x, length %u, then an access", a.bar, a.offset,
			   places[i].length);
		config_get(t, data, 4);
		config_put(t, data, 0, 4);
		if (board_status(t) != before)
			trial_fail(t, "an access to where nothing is does nothing",
				   "the status was 0x%x and is 0x%x", before, board_status(t));
	}
}

#define MUST(section)	  section, LEVEL_MUST, 0
#define SHOULD(section)	  section, LEVEL_SHOULD, 0
#define PRACTICE(section) section, LEVEL_PRACTICE, 0

static const struct conform_case cases[] = {
	{"PCI-D-01.widths", MUST("PCI 3.0, 6.1"), "The header reads the same by 1, 2 and 4 bytes.",
	 widths},
	{"PCI-D-01.read-only", MUST("PCI 3.0, 6.2.1"),
	 "Identity and layout of the header cannot be written.", read_only},
	{"PCI-D-01.bars", MUST("PCI 3.0, 6.2.5.1"),
	 "Each BAR tells a size that is a power of two and keeps its address.", bars},
	{"PCI-D-01.decode", MUST("PCI 3.0, 6.2.2"),
	 "Without memory decoding the registers do not answer.", decode},
	{"PCI-D-01.move", MUST("PCI 3.0, 6.2.5"), "A BAR can be moved at any time.", moved},
	{"PCI-D-01.caps", MUST("PCI 3.0, 6.7"),
	 "The list of capabilities is aligned, behind the header, and ends.", cap_list},
	{"PCI-D-02.id", MUST("virtio 4.1.2"), "Vendor and device id are a virtio disk's.",
	 identity},
	{"PCI-D-02.modern", SHOULD("virtio 4.1.2.1"),
	 "A modern-only board has a revision and a subsystem id that no legacy driver takes.",
	 modern_identity},
	{"PCI-D-04.cap-len", MUST("virtio 4.1.4.2"),
	 "cap_len includes what follows the common part.", cap_len},
	{"PCI-D-04.inside", MUST("virtio 4.1.4"), "Each structure lies inside its BAR.", inside},
	{"PCI-D-05.common", MUST("virtio 4.1.4.3.1"),
	 "There is a common configuration, aligned to 4.", common_cap},
	{"PCI-D-19.there", MUST("virtio 4.1.4.5.1"), "There is an ISR status.", isr_cap},
	{"PCI-D-22.there", MUST("virtio 4.1.4.6.1"),
	 "There is a device configuration, aligned to 4.", device_cap},
	{"PCI-D-23.regions", MUST("virtio 4.1.4.7.1"),
	 "Shared memory lies inside its BAR under an id of its own.", shared_memory},
	{"PCI-D-24.vendor", MUST("virtio 4.1.4.8.1"),
	 "Vendor data has a length in words and a vendor's id.", vendor_data},
	{"PCI-D-25.there", MUST("virtio 4.1.4.9.1"),
	 "There is a capability for access through configuration space.", window_there},
	{"PCI-D-26.read", MUST("virtio 4.1.4.9.1"),
	 "1, 2 and 4 bytes can be read through configuration space.", window_reads},
	{"PCI-D-26.write", MUST("virtio 4.1.4.9.1"),
	 "1, 2 and 4 bytes can be written through configuration space.", window_writes},
	{"PCI-D-26.drive", MUST("virtio 4.1.4.9.1"),
	 "The device can be driven through configuration space alone.", window_drives},
	{"PCI-D-26.astray", PRACTICE("practice"),
	 "Access to a BAR, place or length that cannot be does nothing.", window_astray},
};
const struct case_table pci_function_cases = {"PCI: the function", cases, ARRAY_SIZE(cases),
					      BY_PCI};
