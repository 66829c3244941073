/* SPDX-License-Identifier: MIT */
#include "frontend/virtio_pci/transport.h"

#include "base/bits.h"
#include "base/clock.h"
#include "frontend/virtio/os.h"

#include <errno.h>

#define RESET_MS_DEFAULT 10000
#define REGIONS_DEFAULT	 64
/* Looks in a row at a queue that is being reset; each is an access to the device. */
#define QUEUE_RESET_LOOKS 1000u

static struct vpci_transport *of(struct transport *t)
{
	return container_of(t, struct vpci_transport, base);
}

/* ---- vectors ---- */

/* The first one is the configuration's, unless there is only one; each queue has its own. */
static uint16_t vector_of(const struct vpci_transport *t, uint16_t index)
{
	return t->v.msix ? (uint16_t)(index + (t->v.n_vectors > 1)) : VIRTIO_MSI_NO_VECTOR;
}

static int connect_vector(struct vpci_transport *t, uint16_t vector, int call_fd, struct error *err)
{
	uint64_t address = 0;
	uint32_t data = 0;
	int rc = t->platform->ops->vector(t->platform, vector, call_fd, &address, &data);

	if (rc)
		return error_set(err, rc, "interrupt vector %u cannot be had", vector);
	if (address)
		vpci_vector(&t->v, vector, address, data);
	return 0;
}

/* ---- the device ---- */

static int gone(struct error *err)
{
	return error_set(err, -ENOTCONN, "the device is not there any more.");
}

static int get_features(struct transport *t, uint64_t *features, struct error *err)
{
	if (!t->ops->alive(t))
		return gone(err);
	*features = vpci_features(&of(t)->v);
	return 0;
}

static int set_features(struct transport *t, uint64_t features, struct error *err)
{
	(void)err;
	vpci_set_features(&of(t)->v, features);
	return 0;
}

static int get_status(struct transport *t, uint8_t *status, struct error *err)
{
	if (of(t)->gone)
		return gone(err);
	*status = vpci_status(&of(t)->v);
	/* All ones is no status that a device can have, and what is read where nobody is. */
	return *status == UINT8_MAX && !t->ops->alive(t) ? gone(err) : 0;
}

static void tell_runs(struct vpci_transport *t)
{
	if (t->platform->ops->runs)
		t->platform->ops->runs(t->platform);
}

static int set_status(struct transport *t, uint8_t status, struct error *err)
{
	struct vpci_transport *vt = of(t);
	int rc = 0;

	if (vt->gone)
		return gone(err);
	vpci_set_status(&vt->v, status);
	/* A reset has taken the vectors away. */
	if (status == (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER) && vt->v.msix &&
	    vt->v.n_vectors > 1) {
		rc = connect_vector(vt, 0, -1, err);
		if (!rc && vpci_config_vector(&vt->v, 0))
			rc = error_set(err, -EIO, "the device takes no interrupt vector.");
	}
	if (status & VIRTIO_STATUS_DRIVER_OK)
		tell_runs(vt);
	return rc;
}

static int config_generation(struct transport *t, uint32_t *generation, struct error *err)
{
	(void)err;
	*generation = vpci_generation(&of(t)->v);
	return 0;
}

static int config_read(struct transport *t, uint32_t offset, void *buf, uint32_t len,
		       struct error *err)
{
	int rc = vpci_config_read(&of(t)->v, offset, buf, len);

	return rc ? error_set(err, rc, "the configuration ends before byte %u", offset + len) : 0;
}

static int config_write(struct transport *t, uint32_t offset, const void *buf, uint32_t len,
			struct error *err)
{
	int rc = vpci_config_write(&of(t)->v, offset, buf, len);

	return rc ? error_set(err, rc, "the configuration ends before byte %u", offset + len) : 0;
}

/* ---- queues ---- */

static int queue_max(struct transport *t, uint16_t index, uint16_t *max, struct error *err)
{
	(void)err;
	*max = index < of(t)->n_queues ? vpci_queue_max(&of(t)->v, index) : 0;
	return 0;
}

static uint64_t address(const struct transport *t, const void *host)
{
	struct vpci_platform *p = container_of(t, const struct vpci_transport, base)->platform;

	return p->ops->address ? p->ops->address(p, host) : (uintptr_t)host;
}

static int queue_setup(struct transport *t, const struct transport_queue *q, struct error *err)
{
	struct vpci_transport *vt = of(t);
	struct vpci_ring ring = {
		.num = q->num,
		.desc = address(t, q->desc),
		.driver = address(t, q->driver),
		.device = address(t, q->device),
		.vector = q->call_fd < 0 ? VIRTIO_MSI_NO_VECTOR : vector_of(vt, q->index),
	};
	int rc;

	if (q->index >= vt->n_queues)
		return error_set(err, -EINVAL, "the device has %u queues.", vt->n_queues);
	if (ring.vector != VIRTIO_MSI_NO_VECTOR) {
		rc = connect_vector(vt, ring.vector, q->call_fd, err);
		if (rc)
			return rc;
	}
	rc = vpci_queue_setup(&vt->v, q->index, &ring, &vt->kicks[q->index]);
	return rc ? error_set(err, rc, "queue %u cannot be set up", q->index) : 0;
}

static int queue_enable(struct transport *t, uint16_t index, struct error *err)
{
	(void)err;
	vpci_queue_enable(&of(t)->v, index);
	if (vpci_status(&of(t)->v) & VIRTIO_STATUS_DRIVER_OK)
		tell_runs(of(t));
	return 0;
}

static int queue_reset(struct transport *t, uint16_t index, struct error *err)
{
	struct vpci_transport *vt = of(t);
	uint64_t until = clock_ns() + t->reset_ms * NSEC_PER_MSEC;

	vpci_queue_reset(&vt->v, index);
	for (unsigned i = 0; vpci_queue_resetting(&vt->v, index); i++) {
		if (i < QUEUE_RESET_LOOKS)
			continue;
		if (!t->ops->alive(t))
			return gone(err);
		if (clock_ns() >= until)
			return error_set(err, -ETIMEDOUT, "the reset of queue %u does not end.",
					 index);
		os_nap();
	}
	return 0;
}

static void kick(struct transport *t, uint16_t index, uint32_t value)
{
	vpci_kick(&of(t)->v, &of(t)->kicks[index], value);
}

/* ---- memory, events, life ---- */

static int mem_add(struct transport *t, const struct dma_region *r, struct error *err)
{
	struct vpci_platform *p = of(t)->platform;

	return p->ops->map ? p->ops->map(p, r, err) : 0;
}

static int mem_remove(struct transport *t, const struct dma_region *r, struct error *err)
{
	struct vpci_platform *p = of(t)->platform;

	return p->ops->unmap ? p->ops->unmap(p, r, err) : 0;
}

static int event_fd(const struct transport *t)
{
	const struct vpci_platform *p =
		container_of(t, const struct vpci_transport, base)->platform;

	return p->ops->event_fd ? p->ops->event_fd(p) : -1;
}

static unsigned process(struct transport *t)
{
	struct vpci_platform *p = of(t)->platform;

	if (!t->ops->alive(t) || (p->ops->going && p->ops->going(p)))
		return TRANSPORT_EVENT_GONE;
	return p->ops->changed && p->ops->changed(p)
		       ? TRANSPORT_EVENT_CONFIG | TRANSPORT_EVENT_STATUS
		       : 0;
}

static bool alive(const struct transport *t)
{
	const struct vpci_transport *vt = container_of(t, const struct vpci_transport, base);

	return !vt->gone && pcidev_alive(vt->v.dev);
}

static int hangup_fd(const struct transport *t)
{
	const struct vpci_platform *p =
		container_of(t, const struct vpci_transport, base)->platform;

	return p->ops->hangup_fd ? p->ops->hangup_fd(p) : -1;
}

/* Whatever state it is in: without bus mastering it reaches no memory. */
static void disconnect(struct transport *t)
{
	struct vpci_transport *vt = of(t);

	if (vt->gone)
		return;
	vt->gone = true;
	vpci_set_status(&vt->v, 0);
	vpci_msix(&vt->v, false);
	pcidev_command(vt->v.dev, 0, PCI_COMMAND_MASTER);
}

static int reconnect(struct transport *t, struct error *err)
{
	struct vpci_transport *vt = of(t);
	struct vpci_platform *p = vt->platform;
	int rc;

	if (!p->ops->recover)
		return error_set(err, -ENOTSUP, "this device cannot be found again.");
	rc = p->ops->recover(p, err);
	if (rc)
		return rc;
	pcidev_command(vt->v.dev, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 0);
	if (vt->v.n_vectors && p->ops->vector)
		vpci_msix(&vt->v, true);
	vt->gone = false;
	return 0;
}

static void destroy(struct transport *t)
{
	struct vpci_platform *p = of(t)->platform;

	if (p->ops->destroy)
		p->ops->destroy(p);
}

static const struct transport_ops vpci_transport_ops = {
	.name = "pci",
	.get_features = get_features,
	.set_features = set_features,
	.get_status = get_status,
	.set_status = set_status,
	.config_generation = config_generation,
	.config_read = config_read,
	.config_write = config_write,
	.queue_max = queue_max,
	.queue_setup = queue_setup,
	.queue_enable = queue_enable,
	.queue_reset = queue_reset,
	.kick = kick,
	.mem_add = mem_add,
	.mem_remove = mem_remove,
	.address = address,
	.event_fd = event_fd,
	.process = process,
	.alive = alive,
	.hangup_fd = hangup_fd,
	.reconnect = reconnect,
	.disconnect = disconnect,
	.destroy = destroy,
};

/* A legacy board does not say how many queues it has; the first that has no entries is none. */
static uint16_t count_queues(const struct vpci *v)
{
	uint16_t n = 0;

	if (!v->legacy)
		return (uint16_t)min_u64(vpci_num_queues(v), VPCI_QUEUES_MAX);
	while (n < VPCI_QUEUES_MAX && vpci_queue_max(v, n))
		n++;
	return n;
}

int vpci_transport_init(struct vpci_transport *t, struct pcidev *dev,
			struct vpci_platform *platform, struct error *err)
{
	int rc;

	*t = (struct vpci_transport){.platform = platform};
	t->base = (struct transport){
		.ops = &vpci_transport_ops,
		.can = BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX) |
		       BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM) |
		       BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_IN_ORDER) |
		       BIT64(VIRTIO_F_ORDER_PLATFORM) | BIT64(VIRTIO_F_NOTIFICATION_DATA) |
		       BIT64(VIRTIO_F_NOTIF_CONFIG_DATA) | BIT64(VIRTIO_F_RING_RESET),
		.regions_max = REGIONS_DEFAULT,
		.reset_ms = RESET_MS_DEFAULT,
		.mem_while_running = true,
	};
	rc = vpci_open(&t->v, dev, platform->how);
	if (rc == -ENODEV)
		return error_set(err, rc, "%04x:%04x is no virtio device", dev->vendor,
				 dev->device);
	if (rc)
		return error_set(err, rc, "the device's %s cannot be found or used",
				 platform->how == VPCI_LEGACY	? "legacy interface"
				 : platform->how == VPCI_MODERN ? "virtio 1 structures"
								: "structures");
	if (t->v.legacy) {
		t->base.can = BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX);
		t->base.legacy_align = VIRTIO_PCI_LEGACY_PAGE;
	}
	t->n_queues = count_queues(&t->v);
	if (platform->vectors_max && t->v.n_vectors > platform->vectors_max)
		t->v.n_vectors = platform->vectors_max;
	if (platform->ops->vector && t->v.n_vectors) {
		rc = vpci_msix(&t->v, true);
		if (rc)
			return error_set(err, rc, "MSI-X cannot be turned on");
		/* A queue without a vector of its own could not be slept on. */
		t->n_queues = (uint16_t)min_u64(t->n_queues,
						t->v.n_vectors > 1 ? t->v.n_vectors - 1u : 1);
	}
	return 0;
}
