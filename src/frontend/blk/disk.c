/* SPDX-License-Identifier: MIT */
/* A disk's life: opening, queues, memory, reset, reconnection. */
#include "frontend/blk/disk.h"

#include "frontend/virtio/os.h"

#include <errno.h>

#define QUEUE_SIZE_DEFAULT 256

/* Header, one buffer, status: with less no data can be moved at all. */
#define QUEUE_SIZE_MIN 3

/* Longer chains go without an indirect table, to keep the tables small. */
#define TABLE_MAX 258

/* Queues stand still. */
static int disk_negotiate(struct ringside_disk *d, uint16_t *num_queues, struct error *err)
{
	struct ringside_info info = {0};
	uint64_t agreed = d->limits.info.features, must, want;
	int rc;

	rc = vdriver_begin(&d->v, err);
	if (rc)
		return rc;
	rc = disk_want(d, &want, err);
	if (rc)
		goto fail;
	must = d->options.features_must;
	/* Once a caller has seen what the disk can do, that must not change. */
	if (d->settled)
		want = must = agreed;
	rc = vdriver_negotiate(&d->v, want, must, err);
	if (rc)
		return rc;
	rc = disk_read_config(&d->v, &info, num_queues, err);
	if (rc)
		goto fail;
	if (d->settled) {
		/* The rings were made for so many. */
		info.queues = d->limits.info.queues;
		info.queue_size = d->limits.info.queue_size;
		info.max_segments = (uint32_t)min_u64(info.max_segments,
						      d->limits.info.max_segments);
	}
	d->limits.info = info;
	write_once(&d->limits.sectors, info.capacity / VIRTIO_BLK_SECTOR);
	return 0;
fail:
	vdriver_fail(&d->v);
	return rc;
}

/* How many queues there will be, and of what size. */
static int size_queues(struct ringside_disk *d, uint16_t offered, uint16_t *num, struct error *err)
{
	const struct ringside_options *o = &d->options;
	bool packed = vdriver_has(&d->v, VIRTIO_F_RING_PACKED);
	uint16_t want = o->queues ? o->queues : 1, n = 0;
	/* A legacy device's queue has the size that the device says, no other. */
	bool fixed = d->v.t->legacy_align;
	uint32_t smallest = fixed ? UINT32_MAX : o->queue_size ? o->queue_size : QUEUE_SIZE_DEFAULT;

	if (!vdriver_has(&d->v, VIRTIO_BLK_F_MQ))
		offered = 1;
	for (; n < want && n < offered; n++) {
		uint16_t max;
		int rc = d->v.t->ops->queue_max(d->v.t, n, &max, err);

		if (rc)
			return rc;
		if (!max)
			break;
		if (fixed && n && max != smallest)
			return error_set(err, -ENOTSUP, "the device's queues differ in size");
		smallest = (uint32_t)min_u64(smallest, max);
	}
	if (!n)
		return error_set(err, -EPROTO, "the device has no queue.");
	*num = vqueue_size(smallest, smallest, packed);
	if (fixed && *num != smallest)
		return error_set(err, -EPROTO, "no queue has %u entries.", smallest);
	if (*num < QUEUE_SIZE_MIN)
		return error_set(err, -EPROTO, "a queue of %u entries is too small for a disk.",
				 *num);
	d->n_queues = n;
	return 0;
}

static int make_queues(struct ringside_disk *d, uint16_t offered, struct error *err)
{
	struct ringside_info *i = &d->limits.info;
	uint16_t num = 0, table_len = 0;
	uint64_t each;
	int rc;

	rc = size_queues(d, offered, &num, err);
	if (rc)
		return rc;
	i->queues = d->n_queues;
	i->queue_size = num;
	/* No chain may be longer than the queue, in a table neither (virtio 1.4, 2.7.5.3.1). */
	i->max_segments = (uint32_t)min_u64(i->max_segments, num - 2u);
	/* A zone append has one buffer more, for its place. */
	if (vdriver_has(&d->v, VIRTIO_F_INDIRECT_DESC))
		table_len = (uint16_t)min_u64(i->max_segments + 2 + (i->zone_model != 0),
					      TABLE_MAX);

	each = disk_queue_bytes(&d->v, num, table_len);
	rc = vdriver_mem_alloc(&d->v, (size_t)(each * d->n_queues), &d->shared, err);
	if (rc)
		return rc;
	d->queues = os_alloc(d->n_queues * sizeof(*d->queues), _Alignof(struct ringside_queue));
	if (!d->queues)
		return error_set(err, -ENOMEM, "no memory for %u queues", d->n_queues);
	for (uint16_t n = 0; n < d->n_queues; n++) {
		rc = disk_queue_init(&d->queues[n], d, n, num, table_len,
				     (uint8_t *)d->shared + each * n, err);
		if (rc)
			return rc;
	}
	return 0;
}

static void disk_destroy(struct ringside_disk *d)
{
	for (uint16_t n = 0; d->queues && n < d->n_queues; n++)
		disk_queue_fini(&d->queues[n]);
	os_free(d->queues);
	d->v.t->ops->disconnect(d->v.t);
	vdriver_fini(&d->v);
	d->v.t->ops->destroy(d->v.t);
	os_free(d);
}

int disk_open(struct transport *t, const struct ringside_options *o, struct ringside_disk **out,
	      struct error *err)
{
	struct ringside_disk *d = os_alloc(sizeof(*d), _Alignof(struct ringside_disk));
	uint16_t offered = 1;
	int rc;

	if (!d) {
		t->ops->disconnect(t);
		t->ops->destroy(t);
		return error_set(err, -ENOMEM, "no memory for a disk");
	}
	if (o)
		d->options = *o;
	d->halt = -ENODEV;
	vdriver_init(&d->v, t);
	rc = disk_negotiate(d, &offered, err);
	if (!rc) {
		rc = make_queues(d, offered, err);
		if (rc)
			vdriver_fail(&d->v);
	}
	if (rc) {
		disk_destroy(d);
		return rc;
	}
	d->settled = true;
	*out = d;
	return 0;
}

/* Fresh rings, DRIVER_OK, and what had to wait goes out. */
static int disk_run(struct ringside_disk *d, struct error *err)
{
	int rc;

	for (uint16_t n = 0; n < d->n_queues; n++) {
		rc = disk_queue_start(&d->queues[n], err);
		if (rc)
			goto fail;
	}
	rc = vdriver_ok(&d->v, err);
	if (rc)
		goto fail;
	d->started = true;
	write_once(&d->halt, 0);
	for (uint16_t n = 0; n < d->n_queues; n++) {
		disk_queue_refill(&d->queues[n]);
		vqueue_commit(&d->queues[n].vq);
	}
	return 0;
fail:
	vdriver_fail(&d->v);
	return rc;
}

int ringside_start(struct ringside_disk *d, struct ringside_error *e)
{
	struct error *err = disk_error(e);
	uint16_t queues;
	int rc;

	if (d->started)
		return error_set(err, -EBUSY, "the disk is started already.");
	if (!d->v.agreed || d->v.status & VIRTIO_STATUS_FAILED) {
		rc = disk_negotiate(d, &queues, err);
		if (rc)
			return rc;
	}
	return disk_run(d, err);
}

int ringside_stop(struct ringside_disk *d, struct ringside_error *e)
{
	int rc = 0;

	if (d->started || d->v.status) {
		rc = vdriver_reset(&d->v, disk_error(e));
		/* Nothing is taken back from a device that may still use it. */
		if (rc)
			d->v.t->ops->disconnect(d->v.t);
	}
	for (uint16_t n = 0; d->started && n < d->n_queues; n++)
		disk_queue_take_back(&d->queues[n]);
	vdriver_lost(&d->v);
	d->started = false;
	write_once(&d->halt, -ENODEV);
	for (uint16_t n = 0; n < d->n_queues; n++)
		disk_queue_cancel(&d->queues[n], -ECANCELED);
	return rc;
}

int ringside_reconnect(struct ringside_disk *d, struct ringside_error *e)
{
	struct error *err = disk_error(e);
	uint16_t queues;
	int rc;

	if (!d->v.t->ops->reconnect)
		return error_set(err, -ENOTSUP, "this device cannot be found again.");
	write_once(&d->halt, -ENODEV);
	rc = d->v.t->ops->reconnect(d->v.t, err);
	if (rc)
		return rc;
	vdriver_lost(&d->v);
	for (uint16_t n = 0; d->started && n < d->n_queues; n++)
		disk_queue_take_back(&d->queues[n]);
	rc = disk_negotiate(d, &queues, err);
	return rc || !d->started ? rc : disk_run(d, err);
}

void ringside_close(struct ringside_disk **disk)
{
	struct ringside_disk *d = *disk;
	bool more = true;

	if (!d)
		return;
	*disk = NULL;
	ringside_stop(d, NULL);
	/* Callbacks may have submitted again; those fail, too. */
	while (more) {
		more = false;
		for (uint16_t n = 0; n < d->n_queues; n++) {
			disk_queue_cancel(&d->queues[n], -ECANCELED);
			more |= d->queues[n].pending != 0;
		}
	}
	disk_destroy(d);
}

int ringside_queue_reset(struct ringside_queue *q)
{
	struct ringside_disk *d = q->disk;
	int rc;

	if (!d->started || !vdriver_has(&d->v, VIRTIO_F_RING_RESET) || !d->v.t->ops->queue_reset)
		return -ENOTSUP;
	if (q->polling)
		return -EBUSY;
	rc = d->v.t->ops->queue_reset(d->v.t, q->vq.index, NULL);
	if (rc)
		return rc;
	disk_queue_take_back(q);
	rc = disk_queue_start(q, NULL);
	disk_queue_cancel(q, -ECANCELED);
	if (!rc)
		vqueue_commit(&q->vq);
	return rc;
}

/* ---- what the device says by itself ---- */

static void disk_halt(struct ringside_disk *d)
{
	write_once(&d->halt, -ENODEV);
	for (uint16_t n = 0; n < d->n_queues; n++)
		vqueue_wake(&d->queues[n].vq);
}

int ringside_event_fd(const struct ringside_disk *d)
{
	return d->v.t->ops->event_fd ? d->v.t->ops->event_fd(d->v.t) : -1;
}

/* Queues run, so only what they do not look at may be written, and the capacity. */
static int config_changed(struct ringside_disk *d)
{
	struct ringside_info *i = &d->limits.info, now = {0};
	uint16_t queues;
	int rc = disk_read_config(&d->v, &now, &queues, NULL);

	if (rc)
		return rc;
	i->capacity = now.capacity;
	i->writeback = now.writeback;
	i->write_zeroes_may_unmap = now.write_zeroes_may_unmap;
	i->physical_block_size = now.physical_block_size;
	i->min_io_size = now.min_io_size;
	i->optimal_io_size = now.optimal_io_size;
	write_once(&d->limits.sectors, now.capacity / VIRTIO_BLK_SECTOR);
	return RINGSIDE_EVENT_CONFIG;
}

int ringside_process(struct ringside_disk *d)
{
	unsigned events = d->v.t->ops->process ? d->v.t->ops->process(d->v.t) : 0;

	if (events & TRANSPORT_EVENT_GONE) {
		disk_halt(d);
		return RINGSIDE_EVENT_GONE;
	}
	/* NEEDS_RESET is announced as a change of the configuration (virtio 1.4, 2.1.2). */
	if (events && d->v.status && vdriver_needs_reset(&d->v)) {
		disk_halt(d);
		return RINGSIDE_EVENT_NEEDS_RESET;
	}
	if (events & TRANSPORT_EVENT_CONFIG && d->v.agreed)
		return config_changed(d);
	return 0;
}

int ringside_set_writeback(struct ringside_disk *d, bool on)
{
	uint8_t value = on;
	int rc;

	if (!vdriver_has(&d->v, VIRTIO_BLK_F_CONFIG_WCE))
		return -ENOTSUP;
	rc = d->v.t->ops->config_write(d->v.t, offsetof(struct virtio_blk_config, writeback),
				       &value, 1, NULL);
	if (!rc)
		d->limits.info.writeback = on;
	return rc;
}

/* ---- the rest ---- */

void ringside_get_info(const struct ringside_disk *d, struct ringside_info *info)
{
	*info = d->limits.info;
}

struct ringside_queue *ringside_queue(struct ringside_disk *d, unsigned index)
{
	return index < d->n_queues ? &d->queues[index] : NULL;
}

int ringside_mem_alloc(struct ringside_disk *d, size_t size, void **memory,
		       struct ringside_error *err)
{
	return vdriver_mem_alloc(&d->v, size, memory, disk_error(err));
}

int ringside_mem_register(struct ringside_disk *d, void *memory, size_t size, int fd,
			  uint64_t offset, struct ringside_error *err)
{
	struct dma_region r = {.host = memory, .size = size, .fd = fd, .offset = offset};

	return vdriver_mem_register(&d->v, &r, disk_error(err));
}

int ringside_mem_remove(struct ringside_disk *d, void *memory)
{
	if (memory == d->shared)
		return -EINVAL;
	return vdriver_mem_remove(&d->v, memory, NULL);
}
