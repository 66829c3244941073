/* SPDX-License-Identifier: MIT */
#include "frontend/virtio_pci/vfio_board.h"

#include "base/bits.h"
#include "base/evsignal.h"
#include "frontend/pci/vfiodev.h"
#include "frontend/virtio_pci/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct piece {
	uint8_t *host;
	uint64_t size, iova; /* size 0: an empty place */
};

struct vfio_board {
	struct vpci_platform platform;
	struct vfiodev vfio;
	struct pcidev dev;
	struct vpci_transport t;
	struct piece pieces[IOVA_TAKEN_MAX];
	int config_fd; /* the configuration's interrupt      */
	int going_fd;  /* the kernel wants the device back   */
	int event_fd;  /* an epoll descriptor: both of these */
};

static struct vfio_board *of(struct vpci_platform *p)
{
	return container_of(p, struct vfio_board, platform);
}

/* ---- the platform ---- */

static int vector(struct vpci_platform *p, uint16_t v, int call_fd, uint64_t *address,
		  uint32_t *data)
{
	struct vfio_board *b = of(p);

	/* The table is the kernel's. */
	(void)address;
	(void)data;
	return vfiodev_vector(&b->vfio, v, call_fd < 0 ? b->config_fd : call_fd);
}

static struct piece *piece_at(struct vfio_board *b, const void *host)
{
	for (unsigned i = 0; i < ARRAY_SIZE(b->pieces); i++) {
		struct piece *piece = &b->pieces[i];

		if ((uintptr_t)host - (uintptr_t)piece->host < piece->size)
			return piece;
	}
	return NULL;
}

static uint64_t address(struct vpci_platform *p, const void *host)
{
	const struct piece *piece = piece_at(of(p), host);

	/* Nothing is mapped at 0: what is not ours to show fails in the IOMMU. */
	return piece ? piece->iova + ((uintptr_t)host - (uintptr_t)piece->host) : 0;
}

static int map(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	struct vfio_board *b = of(p);

	for (unsigned i = 0; i < ARRAY_SIZE(b->pieces); i++) {
		struct piece *piece = &b->pieces[i];
		int rc;

		if (piece->size)
			continue;
		rc = vfiodev_map(&b->vfio, r->host, r->size, &piece->iova, err);
		if (rc)
			return rc;
		piece->host = r->host;
		piece->size = r->size;
		return 0;
	}
	return error_set(err, -ENOSPC, "%s is given too many pieces of memory.", b->vfio.name);
}

static int unmap(struct vpci_platform *p, const struct dma_region *r, struct error *err)
{
	struct vfio_board *b = of(p);
	struct piece *piece = piece_at(b, r->host);
	int rc;

	if (!piece)
		return error_set(err, -ENOENT, "this memory is not mapped.");
	rc = vfiodev_unmap(&b->vfio, piece->iova, piece->size, err);
	if (!rc)
		piece->size = 0;
	return rc;
}

static int event_fd(const struct vpci_platform *p)
{
	return container_of(p, const struct vfio_board, platform)->event_fd;
}

static bool changed(struct vpci_platform *p)
{
	struct vfio_board *b = of(p);

	if (evsignal_take(b->config_fd))
		return true;
	/* One vector only is a queue's; without any the pin would say it. */
	return b->t.v.n_vectors < 2 && vpci_isr(&b->t.v) & VIRTIO_PCI_ISR_CONFIG;
}

static bool going(const struct vpci_platform *p)
{
	struct pollfd fd = {.fd = container_of(p, const struct vfio_board, platform)->going_fd,
			    .events = POLLIN};

	return poll(&fd, 1, 0) == 1;
}

static int recover(struct vpci_platform *p, struct error *err)
{
	if (going(p))
		return error_set(err, -ENODEV, "the kernel wants %s back, or it has failed.",
				 of(p)->vfio.name);
	/*
	 * Where the function cannot be reset from outside there is still virtio's own
	 * reset, which comes next.
	 */
	return of(p)->vfio.can_reset ? vfiodev_reset(&of(p)->vfio, err) : 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void destroy(struct vpci_platform *p)
{
	struct vfio_board *b = of(p);

	vfiodev_close(&b->vfio);
	close_fd(b->event_fd);
	close_fd(b->going_fd);
	close_fd(b->config_fd);
	free(b);
}

/* clang-format off */
#define ALL_BUT_VECTORS       \
	.address = address,   \
	.map = map,           \
	.unmap = unmap,       \
	.going = going,       \
	.recover = recover,   \
	.event_fd = event_fd, \
	.changed = changed,   \
	.destroy = destroy
/* clang-format on */

static const struct vpci_platform_ops platform_ops = {.vector = vector, ALL_BUT_VECTORS};
static const struct vpci_platform_ops polling_ops = {ALL_BUT_VECTORS};

struct pci_access *vfio_board_access(struct transport *t)
{
	return &container_of(t, struct vfio_board, t.base)->vfio.access;
}

struct vpci_platform *vfio_board_platform(struct transport *t)
{
	return &container_of(t, struct vfio_board, t.base)->platform;
}

/* ---- opening ---- */

/* Before anybody is told to take a device away from its driver: is it a disk at all? */
static int is_disk(const struct pci_sysfs *s, struct error *err)
{
	unsigned type = s->device < VIRTIO_PCI_DEVICE_MODERN
				? s->subsystem
				: s->device - (unsigned)VIRTIO_PCI_DEVICE_MODERN;

	if (s->vendor != VIRTIO_PCI_VENDOR || s->device < VIRTIO_PCI_DEVICE_LEGACY ||
	    s->device > VIRTIO_PCI_DEVICE_MODERN_MAX)
		return error_set(err, -ENODEV, "%s is no virtio device, but a %04x:%04x.", s->name,
				 s->vendor, s->device);
	if (type != VIRTIO_ID_BLOCK)
		return error_set(err, -ENODEV,
				 "%s is a virtio device of type %u, no virtio-blk (type %u).",
				 s->name, type, VIRTIO_ID_BLOCK);
	return 0;
}

static int make_events(struct vfio_board *b, struct error *err)
{
	struct epoll_event e = {.events = EPOLLIN};

	b->config_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->going_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	b->event_fd = epoll_create1(EPOLL_CLOEXEC);
	if (b->config_fd < 0 || b->going_fd < 0 || b->event_fd < 0 ||
	    epoll_ctl(b->event_fd, EPOLL_CTL_ADD, b->config_fd, &e) ||
	    epoll_ctl(b->event_fd, EPOLL_CTL_ADD, b->going_fd, &e))
		return error_set(err, -errno, "cannot make descriptors for %s's events",
				 b->vfio.name);
	vfiodev_watch(&b->vfio, b->going_fd);
	return 0;
}

/*
 * Without ACCESS_PLATFORM a device of an emulator goes past the IOMMU: what we call our memory is
 * then somebody else's.  Asked before anything is told to the device, whoever drives it.
 */
static int goes_through_iommu(struct vfio_board *b, struct error *err)
{
	const uint64_t bit = BIT64(VIRTIO_F_ACCESS_PLATFORM);
	uint64_t offered;

	vpci_set_status(&b->t.v, 0);
	vpci_set_status(&b->t.v, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	offered = vpci_features(&b->t.v);
	vpci_set_status(&b->t.v, 0);
	b->t.base.must = bit;
	if (offered & bit)
		return 0;
	return error_set(err, -ENOTSUP,
			 "%s does not offer ACCESS_PLATFORM: it would take our addresses for the "
			 "machine's own and write over the memory of others (QEMU: "
			 "iommu_platform=on).",
			 b->vfio.name);
}

/* With one vector for each queue and one for the configuration, if they can be had. */
static int make_transport(struct vfio_board *b, const struct vfio_board_options *o,
			  struct error *err)
{
	int rc;

	rc = pcidev_open(&b->dev, &b->vfio.access, 0);
	if (rc)
		return error_set(err, rc, "%s does not answer.", b->vfio.name);
	rc = vfiodev_msix(&b->vfio, (uint16_t)min_u64(o->queues + 1u, VPCI_QUEUES_MAX + 1u), err);
	if (rc < 0)
		return rc;
	b->platform.vectors_max = (uint16_t)rc;
	/* A legacy interface knows no ACCESS_PLATFORM. */
	b->platform.how = o->any_platform ? VPCI_ANY : VPCI_MODERN;
	b->platform.ops = rc ? &platform_ops : &polling_ops;
	/* Without vectors nobody listens to the pin either. */
	if (!rc)
		pcidev_command(&b->dev, PCI_COMMAND_INTX_DISABLE, 0);
	rc = vpci_transport_init(&b->t, &b->dev, &b->platform, err);
	if (rc)
		return rc;
	if (b->t.v.type != VIRTIO_ID_BLOCK)
		return error_set(err, -ENODEV, "%s is no virtio-blk device.", b->vfio.name);
	/* Nobody listens to the pin. */
	b->t.base.no_calls = !b->t.v.msix;
	if (o->timeout_ms)
		b->t.base.reset_ms = o->timeout_ms;
	return o->any_platform ? 0 : goes_through_iommu(b, err);
}

int vfio_board_open(const char *address_text, const struct vfio_board_options *o,
		    struct transport **out, struct error *err)
{
	struct pci_sysfs s;
	struct vfio_board *b;
	int rc;

	rc = pci_sysfs_read(&s, PCI_SYSFS, address_text, err);
	if (!rc)
		rc = is_disk(&s, err);
	if (!rc)
		rc = pci_sysfs_vfio(&s, err);
	if (rc)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b)
		return error_set(err, -ENOMEM, "no memory for %s", s.name);
	b->config_fd = b->going_fd = b->event_fd = -1;
	rc = vfiodev_open(&b->vfio, &s, err);
	if (!rc)
		rc = make_events(b, err);
	if (!rc)
		rc = make_transport(b, o, err);
	if (rc) {
		destroy(&b->platform);
		return rc;
	}
	*out = &b->t.base;
	return 0;
}
