/* SPDX-License-Identifier: MIT */
#include "server/vfio_user/device.h"

#include <errno.h>
#include <string.h>

static struct vfio_user_device *device_of(struct sysbus_host *host)
{
	return container_of(host, struct vfio_user_device, host);
}

/* ---- the host of the card's bus ---- */

static int host_vector_fd(struct sysbus_host *host, unsigned devfn, unsigned vector)
{
	const struct vfio_user_irqs *irqs = &device_of(host)->irqs;

	(void)devfn;
	return vector < irqs->n_vectors ? irqs->vectors[vector] : -1;
}

static void host_vector_signal(struct sysbus_host *host, unsigned devfn, unsigned vector)
{
	(void)devfn;
	vfio_user_irqs_signal(&device_of(host)->irqs, vector);
}

/* The BAR that is mapped there; its number, or -1. */
static int bar_at(const struct vfio_user_device *d, enum sysbus_space space, uint64_t addr,
		  uint64_t *offset)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct pci_bar *bar = &d->fn->bars[i];

		if (bar->mapped && bar->region.space == space && addr >= bar->region.base &&
		    addr - bar->region.base < bar->region.size) {
			*offset = addr - bar->region.base;
			return (int)i;
		}
	}
	return -1;
}

static int host_ioeventfd_add(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			      unsigned size, bool match, uint64_t value, int fd)
{
	struct vfio_user_device *d = device_of(host);
	uint64_t offset;
	int bar = bar_at(d, space, addr, &offset);

	if (bar < 0)
		return -ENOENT;
	if (d->n_kicks == VFIO_USER_KICKS_MAX)
		return -ENOSPC;
	d->kicks[d->n_kicks++] = (struct vfio_user_kick){
		.region = (uint32_t)bar,
		.size = size,
		.offset = offset,
		.match = match,
		.value = value,
		.fd = fd,
	};
	return 0;
}

static void host_ioeventfd_del(struct sysbus_host *host, enum sysbus_space space, uint64_t addr,
			       unsigned size, bool match, uint64_t value, int fd)
{
	struct vfio_user_device *d = device_of(host);

	(void)space;
	(void)addr;
	(void)size;
	(void)match;
	/* Each queue has an fd of its own, and at most one kick for each value that is written. */
	for (unsigned i = 0; i < d->n_kicks; i++) {
		if (d->kicks[i].fd != fd || d->kicks[i].match != match ||
		    d->kicks[i].value != value)
			continue;
		d->kicks[i] = d->kicks[--d->n_kicks];
		return;
	}
}

static const struct sysbus_host_ops host_ops = {
	.vector_fd = host_vector_fd,
	.vector_signal = host_vector_signal,
	.keeps_tables = true,
	.ioeventfd_add = host_ioeventfd_add,
	.ioeventfd_del = host_ioeventfd_del,
};

static void device_intx(struct pci_bus *bus, unsigned slot, unsigned pin, bool level)
{
	(void)slot;
	(void)pin;
	vfio_user_irqs_pin(&container_of(bus, struct vfio_user_device, bus)->irqs, level);
}

static void vector_changed(struct vfio_user_irqs *irqs, unsigned vector)
{
	pci_vector_changed(container_of(irqs, struct vfio_user_device, irqs)->fn, vector);
}

static void vector_trigger(struct vfio_user_irqs *irqs, unsigned vector)
{
	pci_msix_notify(container_of(irqs, struct vfio_user_device, irqs)->fn, vector);
}

/* ---- regions ---- */

uint64_t vfio_user_device_region(const struct vfio_user_device *d, uint32_t index, uint32_t *flags)
{
	uint64_t size = 0;

	if (index < PCI_BARS)
		size = d->fn->bars[index].region.size;
	else if (index == VFIO_USER_REGION_CONFIG)
		size = PCI_CONFIG_BYTES;
	*flags = size ? VFIO_USER_REGION_READABLE | VFIO_USER_REGION_WRITABLE : 0;
	return size;
}

/* The largest power of two that @left holds and @offset is a multiple of, up to @max. */
static unsigned piece(uint64_t offset, uint32_t left, unsigned max)
{
	unsigned size = max;

	while (size > left || offset % size)
		size /= 2;
	return size;
}

void vfio_user_device_read(struct vfio_user_device *d, uint32_t index, uint64_t offset, void *data,
			   uint32_t count)
{
	bool config = index == VFIO_USER_REGION_CONFIG;
	uint8_t *to = data;
	unsigned n;

	for (; count; count -= n, offset += n, to += n) {
		uint64_t value;

		n = piece(offset, count, config ? 4 : 8);
		value = config ? pci_function_config_read(d->fn, (unsigned)offset, n)
			       : pci_bar_read(d->fn, index, offset, n);
		for (unsigned i = 0; i < n; i++)
			to[i] = (uint8_t)(value >> 8 * i);
	}
}

void vfio_user_device_write(struct vfio_user_device *d, uint32_t index, uint64_t offset,
			    const void *data, uint32_t count)
{
	bool config = index == VFIO_USER_REGION_CONFIG;
	const uint8_t *from = data;
	unsigned n;

	for (; count; count -= n, offset += n, from += n) {
		uint64_t value = 0;

		n = piece(offset, count, config ? 4 : 8);
		for (unsigned i = 0; i < n; i++)
			value |= (uint64_t)from[i] << 8 * i;
		if (config)
			pci_function_config_write(d->fn, (unsigned)offset, (uint32_t)value, n);
		else
			pci_bar_write(d->fn, index, offset, value, n);
	}
}

bool vfio_user_device_write_waits(const struct vfio_user_device *d)
{
	return virtio_pci_access_waits(&d->card->board);
}

bool vfio_user_device_is_resetting(const struct vfio_user_device *d)
{
	return d->card->board.resetting && vfio_user_device_write_waits(d);
}

/* ---- what takes time ---- */

static void device_moved(struct virtio_waiter *waiter)
{
	struct vfio_user_device *d = container_of(waiter, struct vfio_user_device, moving);

	d->moved(d);
}

bool vfio_user_device_move(struct vfio_user_device *d, void (*moved)(struct vfio_user_device *d))
{
	d->moving = (struct virtio_waiter){.done = device_moved};
	d->moved = moved;
	virtio_pci_set_mem(&d->card->board, d->dma.map, &d->moving);
	return d->moving.pending != 0;
}

static void device_quiet(struct card *card)
{
	struct vfio_user_device *d = container_of(card->plane, struct vfio_user_device, plane);

	card_reset(card);
	vfio_user_migration_reset(&d->migration);
	d->was_reset(d);
}

void vfio_user_device_reset(struct vfio_user_device *d,
			    void (*was_reset)(struct vfio_user_device *d))
{
	d->was_reset = was_reset;
	card_quiesce(&d->card->card, device_quiet);
}

/* ---- life ---- */

int vfio_user_device_init(struct vfio_user_device *d, struct virtio_device *vdev,
			  const struct virtio_pci_options *board, struct reactor *home,
			  struct gmem_remote *remote, struct error *err)
{
	struct virtio_card_place place = {.plane = &d->plane, .bus = &d->bus, .devfn = -1};
	struct virtio_pci_options options = *board;
	int rc;

	memset(d, 0, sizeof(*d));
	d->host.ops = &host_ops;
	options.foreign_fds = true;
	rc = backplane_init(&d->plane, home, err);
	if (!rc) {
		rc = vfio_user_dma_init(&d->dma, remote);
		if (rc)
			error_set(err, rc, "%s: cannot set up the card", vdev->path);
	}
	if (rc) {
		vdev->cls->destroy(vdev);
		backplane_fini(&d->plane);
		return rc;
	}
	d->plane.bus.host = &d->host;
	pci_bus_init(&d->bus, "pci.0", &d->plane.bus);
	d->bus.intx = device_intx;
	place.mem = d->dma.map;
	/* Until it is there nobody asks the host for anything. */
	rc = virtio_card_create(&d->card, vdev, &options, &place, err);
	if (rc)
		goto fini_plane;
	d->fn = &d->card->board.fn;
	vfio_user_migration_init(&d->migration, &d->card->board);
	rc = vfio_user_irqs_init(&d->irqs, home, d->fn->config[PCI_INTERRUPT_PIN] != 0,
				 d->fn->msix.n);
	if (rc) {
		error_set(err, rc, "%s: cannot set up the card's interrupts", vdev->path);
		backplane_remove_cards(&d->plane);
		goto fini_plane;
	}
	d->irqs.changed = vector_changed;
	d->irqs.trigger = vector_trigger;
	return 0;
fini_plane:
	vfio_user_dma_fini(&d->dma);
	backplane_fini(&d->plane);
	return rc;
}

void vfio_user_device_fini(struct vfio_user_device *d)
{
	backplane_remove_cards(&d->plane);
	vfio_user_irqs_fini(&d->irqs);
	vfio_user_dma_fini(&d->dma);
	backplane_fini(&d->plane);
}
