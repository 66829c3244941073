/* SPDX-License-Identifier: MIT */
#include "frontend/virtio_pci/vpci.h"

#include <errno.h>
#include <string.h>

#define AT(member) ((uint32_t)offsetof(struct virtio_pci_common_cfg, member))

/* ---- registers ---- */

static uint32_t get(const struct vpci *v, const struct vpci_area *a, uint32_t at, unsigned size)
{
	return pcidev_bar_read(v->dev, a->bar, (uint64_t)a->offset + at, size);
}

static void vpci_put(const struct vpci *v, const struct vpci_area *a, uint32_t at, uint32_t value,
		     unsigned size)
{
	pcidev_bar_write(v->dev, a->bar, (uint64_t)a->offset + at, value, size);
}

static void put64(const struct vpci *v, uint32_t at, uint64_t value)
{
	vpci_put(v, &v->common, at, (uint32_t)value, 4);
	vpci_put(v, &v->common, at + 4, (uint32_t)(value >> 32), 4);
}

static void select_queue(const struct vpci *v, uint16_t index)
{
	if (v->legacy)
		vpci_put(v, &v->common, VIRTIO_PCI_LEGACY_QUEUE_SELECT, index, 2);
	else
		vpci_put(v, &v->common, AT(queue_select), index, 2);
}

/* ---- finding the structures ---- */

static bool is_virtio(const struct pcidev *dev)
{
	return dev->vendor == VIRTIO_PCI_VENDOR && dev->device >= VIRTIO_PCI_DEVICE_LEGACY &&
	       dev->device <= VIRTIO_PCI_DEVICE_MODERN_MAX;
}

static bool is_transitional(const struct pcidev *dev)
{
	return dev->device < VIRTIO_PCI_DEVICE_MODERN;
}

/* 4.1.4: the first one that can be used counts; what is longer than known is not wrong. */
static void take_area(const struct vpci *v, struct vpci_area *area, unsigned cap, uint32_t min,
		      uint32_t align)
{
	struct vpci_area found = {
		.bar = pcidev_config_read(v->dev, cap + 4, 1),
		.offset = pcidev_config_read(v->dev, cap + 8, 4),
		.length = pcidev_config_read(v->dev, cap + 12, 4),
	};

	if (area->length || found.length < min || found.offset % align ||
	    !pcidev_bar_has(v->dev, found.bar, found.offset, found.length))
		return;
	*area = found;
}

static bool find_modern(struct vpci *v)
{
	const struct pcidev *dev = v->dev;

	for (unsigned cap = pcidev_cap(dev, PCI_CAP_VENDOR, 0); cap;
	     cap = pcidev_cap(dev, PCI_CAP_VENDOR, cap)) {
		uint32_t len = pcidev_config_read(dev, cap + 2, 1);
		bool had_notify = v->notify.length;

		if (len < sizeof(struct virtio_pci_cap) || len > PCI_CONFIG_BYTES - cap)
			continue;
		switch (pcidev_config_read(dev, cap + 3, 1)) {
		case VIRTIO_PCI_CAP_COMMON_CFG:
			take_area(v, &v->common, cap, VIRTIO_PCI_COMMON_CFG_MIN, 4);
			break;
		case VIRTIO_PCI_CAP_NOTIFY_CFG:
			if (len < sizeof(struct virtio_pci_notify_cap))
				break;
			take_area(v, &v->notify, cap, 2, 2);
			if (!had_notify && v->notify.length)
				v->multiplier = pcidev_config_read(dev, cap + 16, 4);
			break;
		case VIRTIO_PCI_CAP_ISR_CFG:
			take_area(v, &v->isr, cap, 1, 1);
			break;
		case VIRTIO_PCI_CAP_DEVICE_CFG:
			take_area(v, &v->device, cap, 1, 4);
			break;
		default:
			break;
		}
	}
	return v->common.length && v->notify.length && v->isr.length;
}

static bool find_legacy(struct vpci *v)
{
	const struct pcidev_bar *bar = &v->dev->bars[0];

	if (!is_transitional(v->dev) || !bar->io || !bar->address ||
	    bar->size < VIRTIO_PCI_LEGACY_CONFIG(true))
		return false;
	v->common = (struct vpci_area){.length = VIRTIO_PCI_LEGACY_CONFIG(true)};
	v->device.offset = VIRTIO_PCI_LEGACY_CONFIG(false);
	v->device.length = (uint32_t)bar->size - v->device.offset;
	v->legacy = true;
	return true;
}

static void find_msix(struct vpci *v)
{
	unsigned cap = pcidev_cap(v->dev, PCI_CAP_MSIX, 0);
	uint32_t table, n;

	if (!cap || cap + PCI_MSIX_CAP_BYTES > PCI_CONFIG_BYTES)
		return;
	n = (pcidev_config_read(v->dev, cap + PCI_MSIX_CONTROL, 2) & PCI_MSIX_CONTROL_SIZE) + 1;
	table = pcidev_config_read(v->dev, cap + PCI_MSIX_TABLE, 4);
	v->table = (struct vpci_area){
		.bar = table & PCI_MSIX_BAR_MASK,
		.offset = table & ~PCI_MSIX_BAR_MASK,
		.length = n * PCI_MSIX_ENTRY_BYTES,
	};
	if (!pcidev_bar_has(v->dev, v->table.bar, v->table.offset, v->table.length))
		return;
	v->msix_cap = cap;
	v->n_vectors = (uint16_t)n;
}

int vpci_open(struct vpci *v, struct pcidev *dev, enum vpci_how how)
{
	*v = (struct vpci){.dev = dev};
	if (!is_virtio(dev))
		return -ENODEV;
	v->type = is_transitional(dev) ? dev->subsystem
				       : (uint16_t)(dev->device - VIRTIO_PCI_DEVICE_MODERN);
	pcidev_command(dev, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	find_msix(v);
	if (how != VPCI_LEGACY && find_modern(v))
		return 0;
	v->common = v->notify = v->isr = v->device = (struct vpci_area){0};
	return how != VPCI_MODERN && find_legacy(v) ? 0 : -ENXIO;
}

/* ---- the device ---- */

uint64_t vpci_features(const struct vpci *v)
{
	uint64_t low;

	if (v->legacy)
		return get(v, &v->common, VIRTIO_PCI_LEGACY_DEVICE_FEATURES, 4);
	vpci_put(v, &v->common, AT(device_feature_select), 0, 4);
	low = get(v, &v->common, AT(device_feature), 4);
	vpci_put(v, &v->common, AT(device_feature_select), 1, 4);
	return low | (uint64_t)get(v, &v->common, AT(device_feature), 4) << 32;
}

void vpci_set_features(struct vpci *v, uint64_t features)
{
	v->features = features;
	if (v->legacy) {
		vpci_put(v, &v->common, VIRTIO_PCI_LEGACY_DRIVER_FEATURES, (uint32_t)features, 4);
		return;
	}
	vpci_put(v, &v->common, AT(driver_feature_select), 0, 4);
	vpci_put(v, &v->common, AT(driver_feature), (uint32_t)features, 4);
	vpci_put(v, &v->common, AT(driver_feature_select), 1, 4);
	vpci_put(v, &v->common, AT(driver_feature), (uint32_t)(features >> 32), 4);
}

uint8_t vpci_status(const struct vpci *v)
{
	return (uint8_t)get(v, &v->common, v->legacy ? VIRTIO_PCI_LEGACY_STATUS : AT(device_status),
			    1);
}

void vpci_set_status(const struct vpci *v, uint8_t status)
{
	vpci_put(v, &v->common, v->legacy ? VIRTIO_PCI_LEGACY_STATUS : AT(device_status), status,
		 1);
}

uint32_t vpci_generation(const struct vpci *v)
{
	return v->legacy ? 0 : get(v, &v->common, AT(config_generation), 1);
}

/* Legacy: moves up when MSI-X is on. */
static struct vpci_area config_area(const struct vpci *v)
{
	struct vpci_area a = v->device;

	if (v->legacy && v->msix) {
		a.offset += 4;
		a.length -= 4;
	}
	return a;
}

/* The widest access that is aligned and no wider than what is left. */
static unsigned width(uint32_t offset, uint32_t len)
{
	return !(offset % 4) && len >= 4 ? 4 : !(offset % 2) && len >= 2 ? 2 : 1;
}

int vpci_config_read(const struct vpci *v, uint32_t offset, void *buf, uint32_t len)
{
	struct vpci_area a = config_area(v);
	uint8_t *to = buf;

	if (offset > a.length || len > a.length - offset)
		return -EINVAL;
	while (len) {
		unsigned w = width(offset, len);
		uint32_t value = get(v, &a, offset, w);

		for (unsigned i = 0; i < w; i++)
			*to++ = (uint8_t)(value >> 8 * i);
		offset += w;
		len -= w;
	}
	return 0;
}

int vpci_config_write(const struct vpci *v, uint32_t offset, const void *buf, uint32_t len)
{
	struct vpci_area a = config_area(v);
	const uint8_t *from = buf;

	if (offset > a.length || len > a.length - offset)
		return -EINVAL;
	while (len) {
		unsigned w = width(offset, len);
		uint32_t value = 0;

		for (unsigned i = 0; i < w; i++)
			value |= (uint32_t)*from++ << 8 * i;
		vpci_put(v, &a, offset, value, w);
		offset += w;
		len -= w;
	}
	return 0;
}

/* ---- queues ---- */

uint16_t vpci_num_queues(const struct vpci *v)
{
	return v->legacy ? 0 : (uint16_t)get(v, &v->common, AT(num_queues), 2);
}

uint16_t vpci_queue_max(const struct vpci *v, uint16_t index)
{
	select_queue(v, index);
	return (uint16_t)get(v, &v->common,
			     v->legacy ? VIRTIO_PCI_LEGACY_QUEUE_SIZE : AT(queue_size), 2);
}

static bool agreed(const struct vpci *v, unsigned bit)
{
	return v->features >> bit & 1;
}

/* With the queue selected: 0, or -EIO when the board does not take it. */
static int set_vector(const struct vpci *v, uint32_t modern, uint32_t legacy, uint16_t vector)
{
	uint32_t at = v->legacy ? legacy : modern;

	if (!v->msix)
		return vector == VIRTIO_MSI_NO_VECTOR ? 0 : -EIO;
	if (vector != VIRTIO_MSI_NO_VECTOR && vector >= v->n_vectors)
		return -EIO;
	vpci_put(v, &v->common, at, vector, 2);
	return get(v, &v->common, at, 2) == vector ? 0 : -EIO;
}

static int legacy_setup(const struct vpci *v, uint16_t index, const struct vpci_ring *r,
			struct vpci_kick *kick)
{
	uint64_t pfn = r->desc / VIRTIO_PCI_LEGACY_PAGE;
	uint64_t avail = r->desc + 16u * r->num;
	uint64_t used = avail + 6 + 2u * r->num + VIRTIO_PCI_LEGACY_PAGE - 1;

	used -= used % VIRTIO_PCI_LEGACY_PAGE;
	if (r->desc % VIRTIO_PCI_LEGACY_PAGE || !pfn || pfn > UINT32_MAX || r->driver != avail ||
	    r->device != used)
		return -EINVAL;
	*kick = (struct vpci_kick){
		.at = v->common.offset + VIRTIO_PCI_LEGACY_QUEUE_NOTIFY,
		.data = index,
	};
	vpci_put(v, &v->common, VIRTIO_PCI_LEGACY_QUEUE_PFN, (uint32_t)pfn, 4);
	return 0;
}

static int modern_setup(const struct vpci *v, uint16_t index, const struct vpci_ring *r,
			struct vpci_kick *kick)
{
	uint64_t at = (uint64_t)get(v, &v->common, AT(queue_notify_off), 2) * v->multiplier;
	bool wide = agreed(v, VIRTIO_F_NOTIFICATION_DATA);
	unsigned size = wide ? 4 : 2;

	if (at > v->notify.length || v->notify.length - at < size || (v->notify.offset + at) % size)
		return -EIO;
	*kick = (struct vpci_kick){
		.bar = v->notify.bar,
		.at = v->notify.offset + (uint32_t)at,
		.data = index,
		.wide = wide,
	};
	if (agreed(v, VIRTIO_F_NOTIF_CONFIG_DATA)) {
		if (v->common.length < AT(queue_reset))
			return -EIO;
		kick->data = (uint16_t)get(v, &v->common, AT(queue_notif_config_data), 2);
	}
	vpci_put(v, &v->common, AT(queue_size), r->num, 2);
	put64(v, AT(queue_desc), r->desc);
	put64(v, AT(queue_driver), r->driver);
	put64(v, AT(queue_device), r->device);
	return 0;
}

int vpci_queue_setup(const struct vpci *v, uint16_t index, const struct vpci_ring *ring,
		     struct vpci_kick *kick)
{
	int rc;

	select_queue(v, index);
	rc = set_vector(v, AT(queue_msix_vector), VIRTIO_PCI_LEGACY_QUEUE_VECTOR, ring->vector);
	if (rc)
		return rc;
	return v->legacy ? legacy_setup(v, index, ring, kick) : modern_setup(v, index, ring, kick);
}

void vpci_queue_enable(const struct vpci *v, uint16_t index)
{
	if (v->legacy)
		return; /* its page number has done it */
	select_queue(v, index);
	vpci_put(v, &v->common, AT(queue_enable), 1, 2);
}

void vpci_queue_reset(const struct vpci *v, uint16_t index)
{
	select_queue(v, index);
	if (v->legacy)
		vpci_put(v, &v->common, VIRTIO_PCI_LEGACY_QUEUE_PFN, 0, 4);
	else
		vpci_put(v, &v->common, AT(queue_reset), 1, 2);
}

bool vpci_queue_resetting(const struct vpci *v, uint16_t index)
{
	select_queue(v, index);
	if (v->legacy)
		return get(v, &v->common, VIRTIO_PCI_LEGACY_QUEUE_PFN, 4);
	return get(v, &v->common, AT(queue_reset), 2) || get(v, &v->common, AT(queue_enable), 2);
}

/* ---- interrupts ---- */

uint8_t vpci_isr(const struct vpci *v)
{
	return v->legacy ? (uint8_t)get(v, &v->common, VIRTIO_PCI_LEGACY_ISR, 1)
			 : (uint8_t)get(v, &v->isr, 0, 1);
}

int vpci_msix(struct vpci *v, bool on)
{
	uint32_t control;

	if (!v->msix_cap)
		return on ? -ENOTSUP : 0;
	control = pcidev_config_read(v->dev, v->msix_cap + PCI_MSIX_CONTROL, 2);
	control &= ~(PCI_MSIX_CONTROL_ENABLE | PCI_MSIX_CONTROL_MASK);
	pcidev_config_write(v->dev, v->msix_cap + PCI_MSIX_CONTROL,
			    control | (on ? PCI_MSIX_CONTROL_ENABLE : 0), 2);
	v->msix = on;
	return 0;
}

void vpci_vector(const struct vpci *v, uint16_t vector, uint64_t address, uint32_t data)
{
	uint32_t at = vector * PCI_MSIX_ENTRY_BYTES;

	vpci_vector_mask(v, vector, true);
	vpci_put(v, &v->table, at, (uint32_t)address, 4);
	vpci_put(v, &v->table, at + 4, (uint32_t)(address >> 32), 4);
	vpci_put(v, &v->table, at + PCI_MSIX_ENTRY_DATA, data, 4);
	vpci_vector_mask(v, vector, false);
}

void vpci_vector_mask(const struct vpci *v, uint16_t vector, bool masked)
{
	vpci_put(v, &v->table, vector * PCI_MSIX_ENTRY_BYTES + PCI_MSIX_ENTRY_CONTROL,
		 masked ? PCI_MSIX_ENTRY_MASKED : 0, 4);
}

int vpci_config_vector(const struct vpci *v, uint16_t vector)
{
	return set_vector(v, AT(config_msix_vector), VIRTIO_PCI_LEGACY_CONFIG_VECTOR, vector);
}
