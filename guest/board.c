/* SPDX-License-Identifier: MIT */
#include "guest/board.h"

#include "base/bits.h"
#include "frontend/virtio/os.h"
#include "guest/irq.h"
#include "guest/pci.h"

#include <errno.h>

/* ---- the platform ---- */

static void config_changed(int arg)
{
	(void)arg;
}

static int vector(struct vpci_platform *p, uint16_t n, int call_fd, uint64_t *address,
		  uint32_t *data)
{
	(void)p;
	if (n >= IRQ_MESSAGES)
		return -ENOSPC;
	irq_set(n, call_fd < 0 ? config_changed : os_event_signal, call_fd);
	*address = irq_message_address();
	*data = irq_message_data(n);
	return 0;
}

static const struct vpci_platform_ops msix_ops = {.vector = vector};
static const struct vpci_platform_ops poll_ops = {0};

/* ---- finding ---- */

static bool is_disk(struct pcidev *dev, struct error *err, int *rc)
{
	struct vpci v;

	*rc = 0;
	if (dev->vendor != VIRTIO_PCI_VENDOR)
		return false;
	*rc = guest_pci_assign(dev);
	if (*rc)
		error_set(err, *rc, "%02x:%02x.%u gets no address", dev->bdf >> 8,
			  PCI_SLOT(dev->bdf), PCI_FUNC(dev->bdf));
	return !*rc && !vpci_open(&v, dev, VPCI_ANY) && v.type == VIRTIO_ID_BLOCK;
}

int board_open(struct board *b, const struct options *o, struct error *err)
{
	unsigned seen = 0, at = 0;
	int rc;

	*b = (struct board){
		.platform = {.ops = o->poll ? &poll_ops : &msix_ops, .how = o->how},
	};
	for (;; at = b->dev.bdf + 1) {
		if (pcidev_next(&b->dev, &guest_pci, at))
			return error_set(
				err, -ENODEV,
				"there are %u virtio-blk cards on bus 0, none is number %u.", seen,
				o->disk);
		if (is_disk(&b->dev, err, &rc) && seen++ == o->disk)
			break;
		if (rc)
			return rc;
	}
	rc = vpci_transport_init(&b->transport, &b->dev, &b->platform, err);
	if (!rc && !o->poll && !b->transport.v.msix)
		rc = error_set(err, -ENXIO, "the card has no MSI-X.");
	return rc;
}
