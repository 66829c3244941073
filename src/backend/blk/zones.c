/* SPDX-License-Identifier: MIT */
#include "backend/blk/zones.h"

#include <errno.h>
#include <string.h>

/* Zones asked for at once. */
#define PIECE 32
#define UNIT  sizeof(struct virtio_blk_zone_descriptor)
_Static_assert(sizeof(struct virtio_blk_zone_report) == UNIT, "one raster for all of a report");

/* Beside the task, with the data's slices behind it. */
struct blk_append {
	struct storage_zone_reply reply;
	uint8_t *position[sizeof(le64)];
	struct iovec data[];
};

/* Where a report goes on in the driver's buffer. */
struct blk_cursor {
	const struct iovec *iov;
	size_t at; /* in that one */
};

struct blk_report {
	struct storage_zone_reply reply;
	struct storage_zone zones[PIECE];
	struct blk_cursor cursor;
	uint32_t n, max; /* descriptors that are written; that may be */
	int err;
	bool sending, under_way;
	struct iovec data[];
};

/* In slices of a block. */
#define SLICES_OF(type) \
	((unsigned)((sizeof(type) + sizeof(struct iovec) - 1) / sizeof(struct iovec)))

uint8_t blk_zone_status(int err)
{
	switch (-err) {
	case STORAGE_EZONE_COMMAND:
		return VIRTIO_BLK_S_ZONE_INVALID_CMD;
	case STORAGE_EZONE_UNALIGNED:
		return VIRTIO_BLK_S_ZONE_UNALIGNED_WP;
	case STORAGE_EZONE_OPEN:
		return VIRTIO_BLK_S_ZONE_OPEN_RESOURCE;
	default:
		return VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE;
	}
}

/* ---- append ---- */

static void blk_append_done(struct storage_io *io, int err)
{
	struct blk_task *task = container_of(io, struct blk_task, io);
	const struct blk_append *a = task->block;

	if (!err) {
		le64 sector = le64_make(a->reply.position / VIRTIO_BLK_SECTOR);

		for (size_t i = 0; i < sizeof(sector); i++)
			memcpy(a->position[i], (uint8_t *)&sector + i, 1);
		/* What a driver put behind these bytes nobody writes: a gap, if there is any. */
		task->data_in = sizeof(sector);
	}
	blk_task_finish(task, err);
}

void blk_zone_append(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	struct blk_task *task;
	struct blk_append *a;

	if (bq->again) {
		log_limited(&bq->q->complaints, LOG_LEVEL_WARN, bq->q->path,
			    "an append was in flight when the last server ended, and may have been "
			    "done: the driver is told that it failed");
		blk_answer(bq, ticket, VIRTIO_BLK_S_IOERR);
		return;
	}
	task = blk_task_begin_slow(bq, ticket, r->status, r->writable);
	a = blk_task_block(task, SLICES_OF(struct blk_append) + (unsigned)r->n_data);
	if (!a) {
		blk_task_finish(task, -ENOMEM);
		return;
	}
	memcpy(a->position, r->position, sizeof(a->position));
	memcpy(a->data, r->data, (size_t)r->n_data * sizeof(a->data[0]));
	task->io.op = STORAGE_APPEND;
	task->io.flags = blk_flags(bq);
	task->io.offset = r->sector * VIRTIO_BLK_SECTOR;
	task->io.len = r->data_len;
	task->io.iov = a->data;
	task->io.iovcnt = r->n_data;
	task->io.zone = &a->reply;
	task->io.done = blk_append_done;
	storage_submit(bq->channel, &task->io);
}

/* ---- report ---- */

static void cursor_put(struct blk_cursor *c, const void *buf, size_t len)
{
	const uint8_t *from = buf;

	while (len) {
		size_t here = c->iov->iov_len - c->at;

		if (here > len)
			here = len;
		memcpy((uint8_t *)c->iov->iov_base + c->at, from, here);
		from += here;
		len -= here;
		c->at += here;
		if (c->at == c->iov->iov_len) {
			c->iov++;
			c->at = 0;
		}
	}
}

static void blk_report_header(struct blk_report *p)
{
	struct virtio_blk_zone_report header = {.nr_zones = le64_make(p->n)};

	p->cursor = (struct blk_cursor){p->data, 0};
	cursor_put(&p->cursor, &header, sizeof(header));
}

static void blk_report_zone(struct blk_report *p, const struct storage_zone *z)
{
	/* The numbers of types and conditions are the standard's. */
	struct virtio_blk_zone_descriptor d = {
		.z_cap = le64_make(z->capacity / VIRTIO_BLK_SECTOR),
		.z_start = le64_make(z->start / VIRTIO_BLK_SECTOR),
		.z_wp = le64_make(z->wp / VIRTIO_BLK_SECTOR),
		.z_type = z->type,
		.z_state = z->condition,
	};

	cursor_put(&p->cursor, &d, sizeof(d));
	p->n++;
}

static void blk_report_finish(struct blk_task *task, int err)
{
	struct blk_report *p = task->block;

	if (!err) {
		blk_report_header(p);
		task->data_in = (uint32_t)(UNIT + p->n * UNIT);
	}
	blk_task_finish(task, err);
}

static void blk_report_go_on(struct blk_task *task);

/* What a piece brought. */
static void blk_report_take(struct blk_task *task, struct blk_report *p)
{
	const struct storage_zone *last = &p->zones[p->reply.n - 1];

	for (uint32_t i = 0; i < p->reply.n; i++)
		blk_report_zone(p, &p->zones[i]);
	task->io.offset = last->start + last->size;
	if (p->reply.n < p->reply.max || task->io.offset >= storage_size(task->bq->blk->storage))
		p->max = p->n;
}

static void blk_report_done(struct storage_io *io, int err)
{
	struct blk_task *task = container_of(io, struct blk_task, io);
	struct blk_report *p = task->block;

	p->under_way = false;
	p->err = err;
	if (!err && p->reply.n)
		blk_report_take(task, p);
	else
		p->max = p->n;
	if (!p->sending)
		blk_report_go_on(task);
}

/* A piece may complete at once: the next one is sent by the same loop. */
static void blk_report_go_on(struct blk_task *task)
{
	struct blk_report *p = task->block;
	struct blk_queue *bq = task->bq;

	while (p->n < p->max) {
		p->reply.zones = p->zones;
		p->reply.max = p->max - p->n < PIECE ? p->max - p->n : PIECE;
		p->sending = p->under_way = true;
		storage_submit(bq->channel, &task->io);
		/* As between two ranges (perform.c). */
		if (unlikely(bq->q->quiescing))
			storage_drain(bq->channel, NULL);
		p->sending = false;
		if (p->under_way)
			return;
	}
	blk_report_finish(task, p->err);
}

void blk_zone_report(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	struct blk_task *task = blk_task_begin_slow(bq, ticket, r->status, r->writable);
	uint64_t fit = r->data_len / UNIT - 1;
	struct blk_report *p;

	p = blk_task_block(task, SLICES_OF(struct blk_report) + (unsigned)r->n_data);
	if (!p) {
		blk_task_finish(task, -ENOMEM);
		return;
	}
	memcpy(p->data, r->data, (size_t)r->n_data * sizeof(p->data[0]));
	p->n = 0;
	p->max = fit < ZONES_REPORT_MAX ? (uint32_t)fit : ZONES_REPORT_MAX;
	/* The header is written again when the number is known. */
	blk_report_header(p);
	task->io.op = STORAGE_ZONE_REPORT;
	task->io.flags = 0;
	task->io.offset = r->sector * VIRTIO_BLK_SECTOR;
	task->io.len = 0;
	task->io.zone = &p->reply;
	task->io.done = blk_report_done;
	p->err = 0;
	blk_report_go_on(task);
}

/* ---- open, close, finish, reset ---- */

static void blk_command_done(struct storage_io *io, int err)
{
	blk_task_finish(container_of(io, struct blk_task, io), err);
}

void blk_zone_command(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	static const enum storage_op ops[] = {
		[BLK_ZONE_OPEN] = STORAGE_ZONE_OPEN,
		[BLK_ZONE_CLOSE] = STORAGE_ZONE_CLOSE,
		[BLK_ZONE_FINISH] = STORAGE_ZONE_FINISH,
		[BLK_ZONE_RESET] = STORAGE_ZONE_RESET,
		[BLK_ZONE_RESET_ALL] = STORAGE_ZONE_RESET_ALL,
	};
	const struct blk_request *r = &bq->request;
	struct blk_task *task = blk_task_begin_slow(bq, ticket, r->status, r->writable);
	bool all = r->action == BLK_ZONE_RESET_ALL;

	task->io.op = ops[r->action];
	task->io.flags = bq->again;
	task->io.offset = all ? 0 : r->sector * VIRTIO_BLK_SECTOR;
	task->io.len = 0;
	task->io.done = blk_command_done;
	storage_submit(bq->channel, &task->io);
}
