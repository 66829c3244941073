/* SPDX-License-Identifier: MIT */
/* The virtio bus over the registers of a PCI board. */
#include "conform/board.h"

#include "base/clock.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- finding it ---- */

static struct pci_target *target(const struct trial *t)
{
	return t->o->pci;
}

void board_find(struct trial *t)
{
	struct pcidev_window ports = target(t)->ports, bars = target(t)->bars;
	struct pcidev *dev = &t->board.dev;

	if (pcidev_open(dev, target(t)->access, target(t)->bdf))
		trial_fail(t, "a PCI function answers", "its vendor id reads 0x%04x", dev->vendor);
	if (dev->header & ~PCI_HEADER_MULTIFUNCTION)
		trial_fail(t, "header type 0", "header type %u", dev->header & 0x7fu);
	if (pci_target_moves_bars(target(t))) {
		pcidev_command(dev, 0, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
		for (unsigned i = 0; i < PCI_BARS; i++)
			dev->bars[i].address = 0;
		if (pcidev_assign(dev, &ports, &bars))
			trial_skip(t, "its BARs do not fit into the addresses there are");
	}
	pcidev_command(dev, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER,
		       PCI_COMMAND_INTX_DISABLE);
	t->board.open = true;
	(void)vpci_open(&t->board.v, dev, VPCI_ANY);
}

static void pci_reach(struct trial *t)
{
	board_find(t);
}

/* ---- status ---- */

uint8_t board_status(struct trial *t)
{
	return vpci_status(&t->board.v);
}

void board_set_status(struct trial *t, uint8_t status)
{
	t->board.status = status;
	vpci_set_status(&t->board.v, status);
}

bool board_wait_status(struct trial *t, uint8_t mask, uint8_t value)
{
	uint64_t until = clock_ns() + (uint64_t)t->o->timeout_ms * NSEC_PER_MSEC;

	while ((board_status(t) & mask) != value) {
		if (clock_ns() >= until)
			return false;
		usleep(50);
	}
	return true;
}

void board_reset(struct trial *t)
{
	board_set_status(t, 0);
	if (!board_wait_status(t, 0xff, 0))
		trial_fail(t, "the status reads 0 after 0 was written",
			   "it reads 0x%02x after %d ms", board_status(t), t->o->timeout_ms);
}

static void begin(struct trial *t)
{
	board_reset(t);
	board_set_status(t, VIRTIO_STATUS_ACKNOWLEDGE);
	board_set_status(t, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
}

void board_modern(struct trial *t)
{
	board_find(t);
	if (vpci_open(&t->board.v, &t->board.dev, VPCI_MODERN))
		trial_skip(t, "the board has no modern interface");
	vpci_msix(&t->board.v, false);
	begin(t);
}

void board_legacy(struct trial *t)
{
	board_find(t);
	if (vpci_open(&t->board.v, &t->board.dev, VPCI_LEGACY))
		trial_skip(t, "the board has no legacy interface");
	vpci_msix(&t->board.v, false);
	begin(t);
}

/* ---- registers ---- */

uint32_t board_get(struct trial *t, const struct vpci_area *a, uint32_t at, unsigned size)
{
	return pcidev_bar_read(&t->board.dev, a->bar, (uint64_t)a->offset + at, size);
}

void board_put(struct trial *t, const struct vpci_area *a, uint32_t at, uint32_t value,
	       unsigned size)
{
	pcidev_bar_write(&t->board.dev, a->bar, (uint64_t)a->offset + at, value, size);
}

unsigned board_cap(struct trial *t, uint8_t cfg_type, unsigned after)
{
	unsigned cap = pcidev_cap(&t->board.dev, PCI_CAP_VENDOR, after);

	while (cap && config_get(t, cap + (unsigned)offsetof(struct virtio_pci_cap, cfg_type), 1) !=
			      cfg_type)
		cap = pcidev_cap(&t->board.dev, PCI_CAP_VENDOR, cap);
	return cap;
}

struct vpci_area board_cap_area(struct trial *t, unsigned cap)
{
	return (struct vpci_area){
		.bar = config_get(t, cap + (unsigned)offsetof(struct virtio_pci_cap, bar), 1),
		.offset = config_get(t, cap + (unsigned)offsetof(struct virtio_pci_cap, offset), 4),
		.length = config_get(t, cap + (unsigned)offsetof(struct virtio_pci_cap, length), 4),
	};
}

uint64_t board_least_features(struct trial *t)
{
	return vpci_features(&t->board.v) &
	       (FEAT(VERSION_1) | FEAT(ACCESS_PLATFORM) | FEAT(ORDER_PLATFORM) | BLK(ZONED));
}

/* ---- interrupts ---- */

void need_msix(struct trial *t, unsigned vectors)
{
	if (!target(t)->platform || !target(t)->platform->ops->vector)
		trial_skip(t, "interrupt messages cannot be seen here");
	if (t->board.v.n_vectors < vectors)
		trial_skip(t, "the board has %u MSI-X vectors", t->board.v.n_vectors);
}

static void connect_fd(struct trial *t, uint16_t vector, int fd)
{
	uint64_t address = 0;
	uint32_t data = 0;
	int rc = target(t)->platform->ops->vector(target(t)->platform, vector, fd, &address, &data);

	if (rc)
		trial_skip(t, "vector %u cannot be had: %s", vector, strerror(-rc));
	if (address)
		vpci_vector(&t->board.v, vector, address, data);
}

void vector_connect(struct trial *t, uint16_t vector)
{
	int fd;

	if (vector >= TRIAL_VECTORS)
		trial_skip(t, "more vectors than a case can have");
	if (t->board.vectors[vector])
		close(t->board.vectors[vector] - 1);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->board.vectors[vector] = fd + 1;
	connect_fd(t, vector, fd);
}

uint64_t vector_count(struct trial *t, uint16_t vector, int ms)
{
	return eventfd_wait(t->board.vectors[vector] - 1, ms);
}

bool vector_pending(struct trial *t, uint16_t vector)
{
	uint32_t pba = config_get(t, t->board.v.msix_cap + PCI_MSIX_PBA, 4);
	const struct vpci_area a = {.bar = pba & PCI_MSIX_BAR_MASK,
				    .offset = pba & ~PCI_MSIX_BAR_MASK};

	return board_get(t, &a, vector / 32u * 4u, 4) >> vector % 32 & 1;
}

void need_pin(struct trial *t)
{
	if (!target(t)->ops->pin)
		trial_skip(t, "the interrupt pin cannot be seen here");
	if (!config_get(t, PCI_INTERRUPT_PIN, 1))
		trial_skip(t, "the function has no interrupt pin");
}

bool pin(struct trial *t)
{
	return target(t)->ops->pin(target(t));
}

bool pin_becomes(struct trial *t, bool level)
{
	uint64_t until = clock_ns() + (uint64_t)t->o->timeout_ms * NSEC_PER_MSEC;

	while (pin(t) != level) {
		if (clock_ns() >= until)
			return false;
		usleep(50);
	}
	return true;
}

bool intx_status(struct trial *t)
{
	return config_get(t, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT;
}

void board_change(struct trial *t)
{
	if (!target(t)->ops->change)
		trial_skip(t, "the configuration of this device cannot be made to change");
	target(t)->ops->change(target(t));
}

/* ---- the carrier ---- */

static void pci_dial(struct trial *t)
{
	struct vpci *v = &t->board.v;

	board_modern(t);
	if (!t->no_msix && target(t)->platform && target(t)->platform->ops->vector && v->n_vectors)
		vpci_msix(&t->board.v, true);
	t->peer.offered = vpci_features(v);
	t->queues = vpci_num_queues(v);
	t->dialled = true;
}

/* A field is read with its own width (virtio 1.4, 4.1.3.1); those that are not 4 bytes wide: */
static uint32_t width_at(uint32_t offset)
{
	static const struct {
		uint8_t at, width;
	} narrow[] = {
		{16, 2}, {18, 1}, {19, 1}, {24, 1}, {25, 1}, {26, 2}, {32, 1}, {33, 1}, {34, 2},
		{56, 1}, {57, 1}, {58, 1}, {59, 1}, {92, 1}, {93, 1}, {94, 1}, {95, 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(narrow); i++)
		if (narrow[i].at == offset)
			return narrow[i].width;
	return 4;
}

static bool pci_config(struct trial *t)
{
	uint32_t n = (uint32_t)min_u64(sizeof(t->config), t->board.v.device.length), width;
	uint8_t *to = (uint8_t *)&t->config;

	for (uint32_t at = 0; at < n; at += width) {
		width = (uint32_t)min_u64(width_at(at), n - at);
		if (vpci_config_read(&t->board.v, at, to + at, width))
			return false;
	}
	t->config_len = n;
	return n;
}

static void pci_share_memory(struct trial *t)
{
	t->peer.areas[0] = (struct area){
		.gpa = target(t)->memory_at,
		.size = target(t)->memory_size,
		.host = target(t)->memory,
		.fd = -1,
		.known = true,
	};
	t->peer.n_areas = 1;
	t->next_gpa = target(t)->memory_at;
}

static void pci_accept_features(struct trial *t, uint64_t bits)
{
	const uint8_t ok = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER |
			   VIRTIO_STATUS_FEATURES_OK;

	/* Behind an IOMMU there is no choice. */
	bits |= t->peer.offered & (FEAT(ACCESS_PLATFORM) | FEAT(ORDER_PLATFORM));
	t->peer.acked = bits;
	vpci_set_features(&t->board.v, bits);
	board_set_status(t, ok);
	if (board_status(t) != ok)
		trial_fail(t, "FEATURES_OK stays set with features that were offered",
			   "features 0x%llx, and the status reads 0x%02x", (unsigned long long)bits,
			   board_status(t));
}

/* The first vector is the configuration's, unless there is only one. */
static uint16_t vector_of(const struct trial *t, unsigned index)
{
	unsigned n = t->board.v.n_vectors;

	if (!t->board.v.msix)
		return VIRTIO_MSI_NO_VECTOR;
	return (uint16_t)(n > 1 ? 1 + index % (n - 1) : 0);
}

static void pci_ring_start(struct ring *r, uint32_t base)
{
	struct trial *t = r->t;
	const struct vpci_ring ring = {
		.num = r->num,
		.desc = r->desc,
		.driver = r->driver,
		.device = r->device,
		.vector = vector_of(t, r->index),
	};
	uint16_t max = vpci_queue_max(&t->board.v, (uint16_t)r->index);

	(void)base;
	if (r->num > max)
		trial_skip(t, "queue %u takes %u entries at most", r->index, max);
	if (ring.vector != VIRTIO_MSI_NO_VECTOR)
		connect_fd(t, ring.vector, r->call);
	if (vpci_queue_setup(&t->board.v, (uint16_t)r->index, &ring, &t->board.kicks[r - t->rings]))
		trial_fail(t, "the queue takes its vector and has a kick address in its structure",
			   "queue %u, vector %u: it does not", r->index, ring.vector);
	r->told = true;
}

static void pci_ring_enable(struct ring *r, bool on)
{
	if (!on)
		trial_skip(r->t, "a queue of a PCI board cannot be disabled");
	vpci_queue_enable(&r->t->board.v, (uint16_t)r->index);
	r->enabled = true;
}

static uint32_t pci_ring_stop(struct ring *r)
{
	trial_skip(r->t, "a PCI board does not tell how far its ring is, nor begin elsewhere");
}

static void pci_ready(struct trial *t)
{
	board_set_status(t, t->board.status | VIRTIO_STATUS_DRIVER_OK);
}

static void pci_kick(struct ring *r)
{
	struct trial *t = r->t;
	uint32_t next = r->packed ? r->avail_slot | (uint32_t)r->avail_wrap << 15 : r->avail_idx;

	vpci_kick(&t->board.v, &t->board.kicks[r - t->rings], next << 16);
}

/* By the pin nobody can tell one queue from another. */
static uint64_t pci_calls(struct ring *r, int ms)
{
	struct trial *t = r->t;
	uint64_t until = clock_ns() + (uint64_t)ms * NSEC_PER_MSEC;

	if (t->board.v.msix)
		return eventfd_wait(r->call, ms);
	need_pin(t);
	for (;;) {
		if (pin(t) && vpci_isr(&t->board.v) & VIRTIO_PCI_ISR_QUEUE)
			return 1;
		if (clock_ns() >= until)
			return 0;
		usleep(50);
	}
}

static bool pci_gone(struct trial *t)
{
	return !pcidev_alive(&t->board.dev);
}

static void pci_hang_up(struct trial *t)
{
	struct board *b = &t->board;

	t->peer.n_areas = 0; /* the target's memory */
	if (b->open) {
		if (b->v.common.length) {
			vpci_set_status(&b->v, 0);
			board_wait_status(t, 0xff, 0);
		}
		vpci_msix(&b->v, false);
		pcidev_command(&b->dev, 0, PCI_COMMAND_MASTER);
	}
	for (unsigned i = 0; i < TRIAL_VECTORS; i++)
		if (b->vectors[i])
			close(b->vectors[i] - 1);
	memset(b, 0, sizeof(*b));
}

const struct carrier carrier_pci = {
	.reach = pci_reach,
	.dial = pci_dial,
	.config = pci_config,
	.share_memory = pci_share_memory,
	.accept_features = pci_accept_features,
	.ring_start = pci_ring_start,
	.ring_enable = pci_ring_enable,
	.ring_stop = pci_ring_stop,
	.ready = pci_ready,
	.kick = pci_kick,
	.calls = pci_calls,
	.gone = pci_gone,
	.hang_up = pci_hang_up,
};
