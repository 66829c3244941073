/* SPDX-License-Identifier: MIT */
#include "conformance/mutant_pci.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MESSAGE_AT 0xfee00000u

static uint32_t get(const uint8_t *bytes, unsigned size)
{
	uint32_t v = 0;

	memcpy(&v, bytes, size);
	return v;
}

static void put(uint8_t *bytes, uint32_t v, unsigned size)
{
	memcpy(bytes, &v, size);
}

/* ---- interrupts ---- */

static uint16_t control(const struct mutant_pci *b)
{
	return (uint16_t)get(b->config + b->msix + PCI_MSIX_CONTROL, 2);
}

bool board_msix(const struct mutant_pci *b)
{
	return control(b) & PCI_MSIX_CONTROL_ENABLE;
}

static bool held_back(const struct mutant_pci *b, unsigned vector)
{
	if (control(b) & PCI_MSIX_CONTROL_MASK && !wrong(b, PM_FUNCTION_MASK))
		return true;
	return b->table[vector * 16 + 12] & 1 && !wrong(b, PM_MASK);
}

static void send(const struct mutant_pci *b, unsigned vector)
{
	uint32_t data = get(b->table + vector * 16 + 8, 4);

	if (get(b->table + vector * 16, 4) == MESSAGE_AT && data < BOARD_VECTORS && b->fds[data])
		(void)eventfd_write(b->fds[data] - 1, 1);
}

void board_message(struct mutant_pci *b, uint16_t vector)
{
	if (vector >= BOARD_VECTORS)
		return;
	if (!held_back(b, vector))
		send(b, vector);
	else if (!wrong(b, PM_MASK_LOST))
		b->pending |= 1u << vector;
}

void board_update_pending(struct mutant_pci *b)
{
	for (unsigned v = 0; v < BOARD_VECTORS && board_msix(b); v++)
		if (b->pending >> v & 1 && !held_back(b, v)) {
			b->pending &= ~(1u << v);
			send(b, v);
		}
}

void board_update_pin(struct mutant_pci *b)
{
	bool up = b->isr && (!board_msix(b) || wrong(b, PM_PIN_MSIX));
	bool off = get(b->config + PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;

	b->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (up && !wrong(b, PM_STATUS_BIT))
		b->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	b->pin = up && (!off || wrong(b, PM_PIN_DISABLE));
}

void board_config_changed(struct mutant_pci *b)
{
	uint16_t vector = b->config_vector;

	if (!(b->status & VIRTIO_STATUS_DRIVER_OK))
		return;
	if (!wrong(b, PM_ISR_CONFIG) && !(wrong(b, PM_ISR_MSIX) && board_msix(b)))
		b->isr |= VIRTIO_PCI_ISR_CONFIG;
	if (board_msix(b)) {
		if (wrong(b, PM_CONFIG_FIXED) ||
		    (wrong(b, PM_CONFIG_NO_0) && vector == VIRTIO_MSI_NO_VECTOR))
			vector = 0;
		if (!wrong(b, PM_VECTOR_ALONE) || vector != b->queues[0].vector)
			board_message(b, vector);
	}
	board_update_pin(b);
}

/* ---- BARs ---- */

static uint32_t table_read(struct mutant_pci *b, uint32_t at, unsigned size)
{
	if (at + size <= sizeof(b->table))
		return get(b->table + at, size);
	return at == BOARD_PBA ? b->pending : 0;
}

static void table_write(struct mutant_pci *b, uint32_t at, uint32_t value, unsigned size)
{
	if (at + size <= sizeof(b->table))
		put(b->table + at, value, size);
	board_update_pending(b);
}

static uint32_t bar_read(struct mutant_pci *b, unsigned bar, uint32_t at, unsigned size)
{
	if (bar == 0)
		return legacy_read(b, at, size);
	return bar == 1 ? table_read(b, at, size) : modern_read(b, at, size);
}

static void bar_write(struct mutant_pci *b, unsigned bar, uint32_t at, uint32_t value,
		      unsigned size)
{
	if (bar == 0)
		legacy_write(b, at, value, size);
	else if (bar == 1)
		table_write(b, at, value, size);
	else
		modern_write(b, at, value, size);
}

static uint32_t bar_size(unsigned bar)
{
	return bar == 0 ? 128 : bar == 1 ? 0x1000 : bar == 4 ? 0x4000 : 0;
}

static uint64_t bar_address(const struct mutant_pci *b, unsigned bar)
{
	uint64_t at = get(b->config + PCI_BAR0 + 4 * bar, 4);

	if (at & PCI_BAR_IO)
		return at & ~(uint64_t)PCI_BAR_IO_MASK;
	if (bar == 4)
		at |= (uint64_t)get(b->config + PCI_BAR0 + 4 * bar + 4, 4) << 32;
	return at & ~(uint64_t)PCI_BAR_MEM_MASK;
}

/* Which BAR an access goes to, -1: none. */
static int find(const struct mutant_pci *b, bool io, uint64_t address, uint32_t *at)
{
	uint32_t command = get(b->config + PCI_COMMAND, 2);

	if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)) && (io || !wrong(b, PM_DECODE)))
		return -1;
	for (unsigned bar = 0; bar < PCI_BARS; bar++) {
		uint64_t base = bar_address(b, bar);

		if (bar == 4 && wrong(b, PM_BAR_STAYS) && b->first_address)
			base = b->first_address;
		if (!bar_size(bar) || !base || (b->config[PCI_BAR0 + 4 * bar] & PCI_BAR_IO) != io)
			continue;
		if (address >= base && address - base < bar_size(bar)) {
			*at = (uint32_t)(address - base);
			return (int)bar;
		}
	}
	return -1;
}

/* ---- configuration space ---- */

static bool aimed(const struct mutant_pci *b, uint32_t *at, unsigned *size)
{
	unsigned bar = b->config[b->window + 4];

	*at = get(b->config + b->window + 8, 4);
	*size = get(b->config + b->window + 12, 4);
	return bar < PCI_BARS && bar_size(bar) && (*size == 1 || *size == 2 || *size == 4) &&
	       *at < bar_size(bar) && *size <= bar_size(bar) - *at && !(*at % *size);
}

static void window_read(struct mutant_pci *b)
{
	uint32_t at, value = UINT32_MAX;
	unsigned size;

	if (aimed(b, &at, &size))
		value = bar_read(b, b->config[b->window + 4],
				 wrong(b, PM_WINDOW_READ) ? at & ~3u : at, size);
	put(b->config + b->window + 16, value, 4);
}

static void window_write(struct mutant_pci *b, uint32_t value)
{
	uint32_t at;
	unsigned size;

	if (!aimed(b, &at, &size)) {
		if (wrong(b, PM_WINDOW_ASTRAY))
			board_reset_all(b);
		return;
	}
	if ((size == 2 && wrong(b, PM_WINDOW_WRITE)) ||
	    (b->config[b->window + 4] == 4 && at >= BOARD_NOTIFY && wrong(b, PM_WINDOW_KICK)))
		return;
	bar_write(b, b->config[b->window + 4], at, value, size);
}

static struct mutant_pci *of(struct pci_access *a)
{
	return container_of(a, struct mutant_pci, access);
}

static uint32_t config_read(struct pci_access *a, unsigned bdf, unsigned offset, unsigned size)
{
	struct mutant_pci *b = of(a);

	if (bdf != b->target.bdf)
		return UINT32_MAX >> (32 - 8 * size);
	if (b->window && offset >= b->window + 16 && offset < b->window + 20)
		window_read(b);
	if (wrong(b, PM_HEADER_HALVES) && size == 2)
		offset &= ~3u;
	return get(b->config + offset, size);
}

static void config_write(struct pci_access *a, unsigned bdf, unsigned offset, uint32_t value,
			 unsigned size)
{
	struct mutant_pci *b = of(a);

	if (bdf != b->target.bdf)
		return;
	for (unsigned i = 0; i < size; i++) {
		uint8_t mask = b->writable[offset + i];

		b->config[offset + i] = (uint8_t)((b->config[offset + i] & ~mask) |
						  (value >> 8 * i & mask));
	}
	if (b->window && offset == b->window + 16)
		window_write(b, value);
	if (offset == PCI_BAR0 + 20 && !b->first_address)
		b->first_address = bar_address(b, 4);
	board_update_pin(b);
	board_update_pending(b);
}

/* ---- the target ---- */

static uint32_t space_read(struct pci_access *a, bool io, uint64_t address, unsigned size)
{
	uint32_t at;
	int bar = find(of(a), io, address, &at);

	return bar < 0 ? UINT32_MAX >> (32 - 8 * size) : bar_read(of(a), (unsigned)bar, at, size);
}

static void space_write(struct pci_access *a, bool io, uint64_t address, uint32_t value,
			unsigned size)
{
	uint32_t at;
	int bar = find(of(a), io, address, &at);

	if (bar >= 0)
		bar_write(of(a), (unsigned)bar, at, value, size);
}

static const struct pci_access_ops access_ops = {
	.config_read = config_read,
	.config_write = config_write,
	.read = space_read,
	.write = space_write,
};

static int vector(struct vpci_platform *p, uint16_t v, int fd, uint64_t *address, uint32_t *data)
{
	struct mutant_pci *b = container_of(p, struct mutant_pci, platform);

	if (b->fds[v % BOARD_VECTORS])
		close(b->fds[v % BOARD_VECTORS] - 1);
	b->fds[v % BOARD_VECTORS] = dup(fd) + 1;
	*address = MESSAGE_AT;
	*data = v;
	return 0;
}

static const struct vpci_platform_ops platform_ops = {.vector = vector};

static bool pin(struct pci_target *t)
{
	return container_of(t, struct mutant_pci, target)->pin;
}

static void change(struct pci_target *t)
{
	struct mutant_pci *b = container_of(t, struct mutant_pci, target);

	b->changed = true;
	if (wrong(b, PM_GENERATION))
		b->generation++;
	board_config_changed(b);
}

static const struct pci_target_ops target_ops = {.pin = pin, .change = change};

/* ---- what it says of itself ---- */

static unsigned add_cap(struct mutant_pci *b, uint8_t id, const void *bytes, unsigned size)
{
	unsigned at = b->caps_end;

	memcpy(b->config + at, bytes, size);
	b->config[at] = id;
	b->config[at + 1] = 0;
	b->config[b->last_cap ? b->last_cap + 1 : PCI_CAP_POINTER] = (uint8_t)at;
	b->last_cap = at;
	b->caps_end = (at + size + 3) & ~3u;
	return at;
}

static unsigned add_structure(struct mutant_pci *b, uint8_t type, unsigned size, uint32_t offset,
			      uint32_t length, uint32_t extra)
{
	uint8_t c[24] = {[2] = (uint8_t)size, [3] = type, [4] = 4};

	put(c + 8, offset, 4);
	put(c + 12, length, 4);
	put(c + 16, extra, 4);
	return add_cap(b, PCI_CAP_VENDOR, c, size);
}

static void add_structures(struct mutant_pci *b)
{
	unsigned at;

	add_structure(b, 1, 16, wrong(b, PM_COMMON_OFFSET) ? 2 : 0, 64, 0);
	if (!wrong(b, PM_NO_ISR))
		add_structure(b, 3, 16, BOARD_ISR, 1, 0);
	if (wrong(b, PM_OUTSIDE_BAR))
		add_structure(b, 3, 16, 0x4000, 1, 0);
	if (!wrong(b, PM_NO_DEVICE))
		add_structure(b, 4, 16, BOARD_DEVICE, sizeof(b->m.config), 0);
	add_structure(b, 2, 20, BOARD_NOTIFY, wrong(b, PM_NOTIFY_SHORT) ? 4 : 4 * QUEUES,
		      wrong(b, PM_MULTIPLIER) ? 6 : 4);
	if (wrong(b, PM_NOTIFY_ODD))
		add_structure(b, 2, 20, BOARD_NOTIFY + 2, 16, 4);
	if (wrong(b, PM_SHARED))
		add_structure(b, 8, 24, 0x3000, 0x2000, 0);
	if (wrong(b, PM_VENDOR)) {
		at = add_structure(b, 9, 16, 0, 0, 0);
		put(b->config + at + 4, VIRTIO_PCI_VENDOR, 2);
	}
	if (wrong(b, PM_NO_WINDOW))
		return;
	b->window = add_structure(b, 5, 20, 0, 0, 0);
	b->writable[b->window + 4] = 0xff;
	memset(b->writable + b->window + 8, 0xff, 12);
	if (wrong(b, PM_CAP_LEN))
		b->config[b->window + 2] = 16;
}

static void add_bar(struct mutant_pci *b, unsigned bar, uint32_t flags, uint32_t size)
{
	put(b->config + PCI_BAR0 + 4 * bar, flags, 4);
	put(b->writable + PCI_BAR0 + 4 * bar, ~(size - 1), 4);
	if (flags & PCI_BAR_64)
		put(b->writable + PCI_BAR0 + 4 * bar + 4, UINT32_MAX, 4);
}

void board_init(struct mutant_pci *b, void *memory, uint64_t at, uint64_t size)
{
	uint8_t msix[12] = {0};

	put(b->config, VIRTIO_PCI_VENDOR, 2);
	put(b->config + PCI_DEVICE_ID,
	    b->modern_only    ? 0x1042
	    : wrong(b, PM_ID) ? 0x1050
			      : 0x1001,
	    2);
	b->config[PCI_REVISION] = (b->modern_only && !wrong(b, PM_REVISION)) ||
				  wrong(b, PM_LEGACY_ID);
	put(b->config + PCI_CLASS, 0x010000, 3);
	put(b->config + PCI_SUBSYSTEM_VENDOR_ID, VIRTIO_PCI_VENDOR, 2);
	put(b->config + PCI_SUBSYSTEM_ID, b->modern_only ? 0x1100 : VIRTIO_ID_BLOCK, 2);
	b->config[PCI_INTERRUPT_PIN] = 1;
	b->config[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	put(b->writable + PCI_COMMAND, 0x0547, 2);
	b->writable[PCI_INTERRUPT_LINE] = 0xff;
	if (wrong(b, PM_ID_WRITABLE))
		put(b->writable + PCI_SUBSYSTEM_ID, 0xffff, 2);
	if (!b->modern_only)
		add_bar(b, 0, wrong(b, PM_LEGACY_MEMORY) ? 0 : PCI_BAR_IO, 128);
	add_bar(b, 1, 0, 0x1000);
	if (wrong(b, PM_BAR_SIZE))
		b->writable[PCI_BAR0 + 4 + 1] = 0xd0;
	add_bar(b, 4, PCI_BAR_64, 0x4000);
	b->caps_end = PCI_HEADER_BYTES;
	put(msix + PCI_MSIX_CONTROL, wrong(b, PM_ONE_VECTOR) ? 0 : BOARD_VECTORS - 1, 2);
	put(msix + PCI_MSIX_TABLE, 1, 4);
	put(msix + PCI_MSIX_PBA, BOARD_PBA | 1, 4);
	b->msix = add_cap(b, PCI_CAP_MSIX, msix, sizeof(msix));
	b->writable[b->msix + PCI_MSIX_CONTROL + 1] = 0xc0;
	add_structures(b);
	if (wrong(b, PM_CAP_LOOP))
		b->config[b->last_cap + 1] = b->config[PCI_CAP_POINTER];
	for (unsigned v = 0; v < BOARD_VECTORS; v++)
		b->table[v * 16 + 12] = 1;

	b->m.regions[0] = (struct region){.gpa = at, .size = size, .user = at, .host = memory};
	b->m.n_regions = 1;
	b->access.ops = &access_ops;
	b->platform.ops = &platform_ops;
	b->target = (struct pci_target){
		.ops = &target_ops,
		.access = &b->access,
		.bdf = PCI_DEVFN(2, 0),
		.platform = &b->platform,
		.memory = memory,
		.memory_at = at,
		.memory_size = size,
		.masks = true,
		.ports = {0xc000, 0x10000},
		.bars = {0xc0000000, 0xe0000000},
	};
	board_reset_all(b);
}
