/* SPDX-License-Identifier: MIT */
#include "backend/virtio_pci/state.h"

#include "backend/pci/state.h"
#include "backend/virtio_pci/board_priv.h"
#include "base/atomic.h"
#include "wire/virtio.h"

#include <errno.h>
#include <stdlib.h>

#define MAGIC	0x50565352u /* "RSVP" */
#define VERSION 3u
#define HEAD	12u
#define CRC	4u

/* ---- standing still ---- */

static void freeze_done(struct virtio_waiter *w)
{
	struct virtio_pci *b = container_of(w, struct virtio_pci, freeze);

	b->freezing = false;
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running)
			virtio_pci_queue_froze(&b->queues[i]);
}

void virtio_pci_freeze(struct virtio_pci *b)
{
	if (b->frozen)
		return;
	b->frozen = true;
	b->changed_frozen = false;
	b->freeze = (struct virtio_waiter){.done = freeze_done};
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running)
			virtio_queue_stop(&b->vdev->queues[i], &b->freeze);
	b->freezing = b->freeze.pending;
}

bool virtio_pci_is_frozen(const struct virtio_pci *b)
{
	if (!b->frozen || b->freezing || b->resetting || b->pausing)
		return false;
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].resetting)
			return false;
	return true;
}

void virtio_pci_thaw(struct virtio_pci *b)
{
	b->frozen = false;
	for (unsigned i = 0; i < b->n_queues; i++)
		if (b->queues[i].running)
			virtio_pci_queue_thaw(&b->queues[i]);
	if (b->changed_frozen)
		b->bus.ops->config_changed(&b->bus);
}

/* ---- what has to be the same ---- */

struct shape {
	uint16_t type, config_size, n_queues, queue_max;
	uint8_t faces;
};

static struct shape shape_of(const struct virtio_pci *b)
{
	return (struct shape){
		.type = b->vdev->cls->id,
		.config_size = (uint16_t)b->vdev->cls->config_size,
		.n_queues = (uint16_t)b->n_queues,
		.queue_max = virtio_pci_queue_max(b),
		.faces = (uint8_t)(virtio_pci_is_modern(b) | virtio_pci_is_legacy(b) << 1),
	};
}

static void save_shape(const struct virtio_pci *b, struct pack *p)
{
	struct shape s = shape_of(b);

	pack_16(p, s.type);
	pack_16(p, s.config_size);
	pack_16(p, s.n_queues);
	pack_16(p, s.queue_max);
	pack_8(p, s.faces);
}

static void read_shape(struct shape *s, struct unpack *u)
{
	s->type = unpack_16(u);
	s->config_size = unpack_16(u);
	s->n_queues = unpack_16(u);
	s->queue_max = unpack_16(u);
	s->faces = unpack_8(u);
}

static int check_shape(const struct virtio_pci *b, const struct shape *s, struct error *err)
{
	struct shape here = shape_of(b);

	if (s->type != here.type || s->config_size != here.config_size)
		return error_set(err, -EINVAL, "it is of a device of type %u, and this is type %u.",
				 s->type, here.type);
	if (s->n_queues != here.n_queues)
		return error_set(err, -EINVAL, "it has %u queues, and this board %u.", s->n_queues,
				 here.n_queues);
	if (s->queue_max != here.queue_max)
		return error_set(err, -EINVAL,
				 "its rings have up to %u entries, and this board's %u.",
				 s->queue_max, here.queue_max);
	if (s->faces != here.faces)
		return error_set(err, -EINVAL, "it has other interfaces: modern, legacy or both.");
	return 0;
}

/* ---- registers ---- */

struct board_state {
	struct shape shape;
	struct pci_state pci;
	bool master_gone, legacy_driver, changed;
	uint32_t device_feature_select, driver_feature_select, driver_features[4];
	uint16_t config_vector, queue_select;
	uint8_t isr, generation, status;
	uint64_t features;
	struct queue_state {
		uint16_t size, vector;
		uint64_t desc, driver, device;
		uint32_t base;
		bool enabled, running, broken, called;
	} queues[]; /* as many as the board has */
};

static void save_registers(struct virtio_pci *b, struct pack *p)
{
	pack_8(p, b->master_gone);
	pack_8(p, b->legacy_driver);
	pack_8(p, b->changed_frozen);
	pack_32(p, b->device_feature_select);
	pack_32(p, b->driver_feature_select);
	for (unsigned i = 0; i < ARRAY_SIZE(b->driver_features); i++)
		pack_32(p, b->driver_features[i]);
	pack_16(p, b->config_vector);
	pack_16(p, b->queue_select);
	pack_8(p, b->isr);
	pack_8(p, b->generation);
	pack_8(p, b->vdev->status);
	pack_64(p, b->vdev->features);
}

static void read_registers(struct board_state *s, struct unpack *u)
{
	s->master_gone = unpack_8(u);
	s->legacy_driver = unpack_8(u);
	s->changed = unpack_8(u);
	s->device_feature_select = unpack_32(u);
	s->driver_feature_select = unpack_32(u);
	for (unsigned i = 0; i < ARRAY_SIZE(s->driver_features); i++)
		s->driver_features[i] = unpack_32(u);
	s->config_vector = unpack_16(u);
	s->queue_select = unpack_16(u);
	s->isr = unpack_8(u);
	s->generation = unpack_8(u);
	s->status = unpack_8(u);
	s->features = unpack_64(u);
}

static bool vector_ok(const struct virtio_pci *b, uint16_t v)
{
	return v == VIRTIO_MSI_NO_VECTOR || v < b->fn.msix.n;
}

static int check_registers(const struct virtio_pci *b, const struct board_state *s,
			   struct error *err)
{
	const struct virtio_device *vdev = b->vdev;
	uint64_t extra = s->features & ~vdev->offered;

	if (extra)
		return error_set(err, -EINVAL,
				 "its driver uses the features 0x%llx, which are not offered here.",
				 (unsigned long long)extra);
	if (virtio_features_grounded(s->features) != s->features ||
	    (vdev->cls->grounded && vdev->cls->grounded(s->features) != s->features) ||
	    s->isr & ~(VIRTIO_PCI_ISR_QUEUE | VIRTIO_PCI_ISR_CONFIG) ||
	    !vector_ok(b, s->config_vector) || s->status & VIRTIO_STATUS_SUSPEND)
		return error_set(err, -EINVAL, "its registers hold what no driver can write.");
	return 0;
}

/* ---- queues ---- */

static void save_queue(struct virtio_pci_queue *q, struct pack *p)
{
	pack_16(p, q->size);
	pack_16(p, q->vector);
	pack_64(p, q->desc);
	pack_64(p, q->driver);
	pack_64(p, q->device);
	pack_32(p, q->base);
	pack_8(p, q->enabled);
	pack_8(p, q->running);
	pack_8(p, q->broken);
	pack_8(p, virtio_pci_isr_called(q));
}

static void read_queue(struct queue_state *q, struct unpack *u)
{
	q->size = unpack_16(u);
	q->vector = unpack_16(u);
	q->desc = unpack_64(u);
	q->driver = unpack_64(u);
	q->device = unpack_64(u);
	q->base = unpack_32(u);
	q->enabled = unpack_8(u);
	q->running = unpack_8(u);
	q->broken = unpack_8(u);
	q->called = unpack_8(u);
}

static int check_queue(const struct virtio_pci *b, const struct board_state *s, unsigned i,
		       struct error *err)
{
	const struct queue_state *q = &s->queues[i];
	bool packed = s->features & BIT64(VIRTIO_F_RING_PACKED);
	const struct vring_config ring = {
		.num = q->size,
		.packed = packed,
		.desc = gpa(q->desc),
		.driver = gpa(q->driver),
		.device = gpa(q->device),
	};

	if (!vector_ok(b, q->vector) || q->size > virtio_pci_queue_max(b) ||
	    (q->size && !vring_num_ok(q->size, packed)) || (q->running && !q->enabled) ||
	    (q->running && vring_config_check(&ring)))
		return error_set(err, -EINVAL, "its queue %u is set up as none can be.", i);
	return 0;
}

static void apply_queue(struct virtio_pci_queue *q, const struct queue_state *s)
{
	virtio_pci_queue_forget(q);
	q->size = s->size;
	q->vector = s->vector;
	q->desc = s->desc;
	q->driver = s->driver;
	q->device = s->device;
	q->base = s->base;
	q->enabled = s->enabled;
	q->broken = s->broken;
	pci_call_set_vector(&q->call, q->vector);
	if (!s->running)
		return;
	q->running = true;
	q->moved = true;
	virtio_pci_isr_load(q, s->called);
	pci_call_start(&q->call);
	virtio_pci_queue_update_kicks(q);
}

/* ---- the whole ---- */

bool virtio_pci_has_state(const struct virtio_pci *b)
{
	return b->vdev->cls->save;
}

size_t virtio_pci_save(struct virtio_pci *b, void *to, size_t size)
{
	struct pack p = {.to = to, .room = size}, head = {.to = to, .room = HEAD};

	if (size < HEAD)
		return 0;
	p.n = HEAD;
	save_shape(b, &p);
	pci_state_save(&b->fn, &p);
	save_registers(b, &p);
	for (unsigned i = 0; i < b->n_queues; i++)
		save_queue(&b->queues[i], &p);
	b->vdev->cls->save(b->vdev, &p);
	pack_32(&head, MAGIC);
	pack_32(&head, VERSION);
	pack_32(&head, (uint32_t)(p.n + CRC));
	pack_32(&p, pack_crc(to, p.n));
	return p.full ? 0 : p.n;
}

/* What stands around the state. */
static int open_state(struct unpack *u, const uint8_t *from, size_t size, struct error *err)
{
	struct unpack end = {.from = from + size - CRC, .left = CRC};
	uint32_t version, length;

	if (size < HEAD + CRC)
		return error_set(err, -EINVAL, "it has %zu bytes.", size);
	*u = (struct unpack){.from = from, .left = size - CRC};
	if (unpack_32(u) != MAGIC)
		return error_set(err, -EINVAL, "it is something else.");
	version = unpack_32(u);
	if (version != VERSION)
		return error_set(err, -EINVAL, "it is of version %u, and %u is understood here.",
				 version, VERSION);
	length = unpack_32(u);
	if (length != size)
		return error_set(err, -EINVAL, "it has %zu bytes of %u.", size, length);
	if (unpack_32(&end) != pack_crc(from, size - CRC))
		return error_set(err, -EINVAL, "its checksum is wrong: it is damaged.");
	return 0;
}

static int read_state(const struct virtio_pci *b, struct board_state *s, struct unpack *u,
		      struct error *err)
{
	int rc;

	read_shape(&s->shape, u);
	rc = check_shape(b, &s->shape, err);
	if (rc)
		return rc;
	pci_state_read(&s->pci, u);
	read_registers(s, u);
	for (unsigned i = 0; i < b->n_queues; i++)
		read_queue(&s->queues[i], u);
	if (u->bad)
		return error_set(err, -EINVAL, "it ends too early.");
	rc = pci_state_check(&b->fn, &s->pci, err);
	if (!rc)
		rc = check_registers(b, s, err);
	for (unsigned i = 0; !rc && i < b->n_queues; i++)
		rc = check_queue(b, s, i, err);
	return rc;
}

static void apply_state(struct virtio_pci *b, const struct board_state *s)
{
	b->device_feature_select = s->device_feature_select;
	b->driver_feature_select = s->driver_feature_select;
	for (unsigned i = 0; i < ARRAY_SIZE(b->driver_features); i++)
		b->driver_features[i] = s->driver_features[i];
	b->config_vector = s->config_vector;
	b->queue_select = s->queue_select;
	b->isr = s->isr;
	b->legacy_driver = b->bus.takes_legacy = s->legacy_driver;
	b->changed_frozen |= s->changed;
	b->vdev->status = s->status;
	/* What a driver is in the middle of reading it reads again. */
	b->generation = (uint8_t)(s->generation + 1);
	b->generation_seen = b->vdev->generation;
	for (unsigned i = 0; i < b->n_queues; i++)
		apply_queue(&b->queues[i], &s->queues[i]);
	pci_state_apply(&b->fn, &s->pci);
	b->master = pci_function_get16(&b->fn, PCI_COMMAND) & PCI_COMMAND_MASTER;
	b->master_gone = s->master_gone && !b->master;
}

int virtio_pci_load(struct virtio_pci *b, const void *from, size_t size, struct error *err)
{
	struct board_state *s;
	struct unpack u;
	int rc = open_state(&u, from, size, err);

	if (rc)
		return rc;
	s = calloc(1, sizeof(*s) + b->n_queues * sizeof(s->queues[0]));
	if (!s)
		return error_set(err, -ENOMEM, "no memory for a state");
	rc = read_state(b, s, &u, err);
	if (!rc && virtio_device_set_features(b->vdev, s->features))
		rc = error_set(err, -EINVAL, "its features are not possible here.");
	if (!rc)
		rc = b->vdev->cls->load(b->vdev, &u, &b->changed_frozen, err);
	if (!rc && (u.bad || u.left))
		rc = error_set(err, -EINVAL, "it does not end where it should.");
	if (!rc)
		apply_state(b, s);
	free(s);
	return rc;
}
