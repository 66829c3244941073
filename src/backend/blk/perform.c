/* SPDX-License-Identifier: MIT */
#include "backend/blk/perform.h"

#include "backend/blk/perform_priv.h"
#include "backend/blk/zones.h"
#include "base/atomic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whether another request has to wait for one in flight. */
static bool blk_queue_full(const struct blk_queue *bq)
{
	return (!bq->free && bq->fresh == bq->n_tasks) || bq->slices_out >= SLICES_MAX;
}

static struct blk_task *blk_task_get(struct blk_queue *bq)
{
	struct storage_io *io = bq->free;
	struct blk_task *task;

	if (likely(io)) {
		bq->free = io->next;
		return container_of(io, struct blk_task, io);
	}
	task = &bq->tasks[bq->fresh++];
	task->bq = bq;
	return task;
}

static void blk_task_put(struct blk_task *task)
{
	struct blk_queue *bq = task->bq;

	if (unlikely(task->slices_out)) {
		bq->slices_out -= task->slices_out;
		if (task->slices_out == SLICES_BLOCK) {
			struct blk_block *block = task->block;

			block->next = bq->blocks;
			bq->blocks = block;
		} else {
			free(task->block);
		}
	}
	task->io.next = bq->free;
	bq->free = &task->io;
}

void *blk_task_block(struct blk_task *task, unsigned slices)
{
	struct blk_queue *bq = task->bq;

	if (slices <= SLICES_BLOCK && bq->blocks) {
		task->block = bq->blocks;
		bq->blocks = bq->blocks->next;
	} else {
		task->block = malloc(max_u64(slices, SLICES_BLOCK) * sizeof(struct iovec));
		if (!task->block)
			return NULL;
	}
	task->slices_out = (unsigned)max_u64(slices, SLICES_BLOCK);
	bq->slices_out += task->slices_out;
	return task->block;
}

/*
 * The status byte is the last of the writable bytes; used.len counts bytes written from the first
 * one on without a gap (2.7.8.2), so the status byte counts only when everything in front of it was
 * written.
 */
static void blk_give_back(struct blk_queue *bq, const struct vq_ticket *ticket, uint8_t *status,
			  uint8_t value, uint64_t writable, uint64_t written)
{
	/* Asked last: what was read may be zeroes that nobody wrote, what was written lost. */
	if (unlikely(gmem_lost(bq->q->mem))) {
		value = VIRTIO_BLK_S_IOERR;
		written = 0;
	}
	write_once(status, value);
	virtio_queue_push(bq->q, ticket, (uint32_t)(written == writable ? written + 1 : written));
}

static __attribute__((noinline)) uint8_t blk_failure(struct blk_queue *bq, int err)
{
	struct virtio_queue *q = bq->q;

	/* What the zones do not allow is the driver's affair, and nothing has failed. */
	if (bq->limits.zoned && storage_error_zone(err))
		return blk_zone_status(err);
	log_limited(&q->complaints, LOG_LEVEL_WARN, q->path, "a request failed: %s",
		    strerror(-err));
	return VIRTIO_BLK_S_IOERR;
}

void blk_task_finish(struct blk_task *task, int err)
{
	uint8_t value = unlikely(err) ? blk_failure(task->bq, err) : VIRTIO_BLK_S_OK;

	blk_give_back(task->bq, &task->ticket, task->status, value, task->writable,
		      err ? 0 : task->data_in);
	blk_task_put(task);
}

static void blk_transfer_done(struct storage_io *io, int err)
{
	blk_task_finish(container_of(io, struct blk_task, io), err);
}

static void blk_range_submit(struct blk_task *task)
{
	const struct blk_range *ranges = task->block, *r = &ranges[task->range.at];
	struct blk_queue *bq = task->bq;

	task->io.offset = r->sector * VIRTIO_BLK_SECTOR;
	task->io.len = (uint64_t)r->sectors * VIRTIO_BLK_SECTOR;
	if (task->io.op == STORAGE_WRITE_ZEROES)
		task->io.flags = (task->io.flags & (STORAGE_FUA | STORAGE_AGAIN)) |
				 (r->unmap ? STORAGE_UNMAP : 0);
	storage_submit(bq->channel, &task->io);
	/* The storage may have been quiet between the last range and this one: its drain is over. */
	if (unlikely(bq->q->quiescing))
		storage_drain(bq->channel, NULL);
}

static void blk_range_done(struct storage_io *io, int err)
{
	struct blk_task *task = container_of(io, struct blk_task, io);

	if (err || ++task->range.at == task->range.n)
		blk_task_finish(task, err);
	else
		blk_range_submit(task);
}

/* What can be answered at once needs no task. */
void blk_answer(struct blk_queue *bq, const struct vq_ticket *ticket, uint8_t value)
{
	blk_give_back(bq, ticket, bq->request.status, value, bq->request.writable, 0);
}

static void blk_get_id(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	size_t left = (size_t)min_u64(r->data_len, VIRTIO_BLK_ID_BYTES), done = 0;

	for (int i = 0; i < r->n_data && left; i++) {
		size_t here = (size_t)min_u64(left, r->data[i].iov_len);

		memcpy(r->data[i].iov_base, bq->blk->serial + done, here);
		done += here;
		left -= here;
	}
	blk_give_back(bq, ticket, r->status, VIRTIO_BLK_S_OK, r->writable, done);
}

static int blk_task_keep_ranges(struct blk_task *task, const struct blk_request *r)
{
	_Static_assert(sizeof(r->ranges) <= BLOCK_BYTES, "ranges fit a block");
	void *ranges = blk_task_block(task, 1);

	if (!ranges)
		return -ENOMEM;
	memcpy(ranges, r->ranges, r->n_ranges * sizeof(r->ranges[0]));
	task->range.at = 0;
	task->range.n = r->n_ranges;
	return 0;
}

static inline struct blk_task *blk_task_begin(struct blk_queue *bq, const struct vq_ticket *ticket,
					      uint8_t *status, uint64_t writable)
{
	struct blk_task *task = blk_task_get(bq);

	task->ticket = *ticket;
	task->status = status;
	task->writable = (uint32_t)writable;
	task->data_in = 0;
	task->slices_out = 0;
	return task;
}

struct blk_task *blk_task_begin_slow(struct blk_queue *bq, const struct vq_ticket *ticket,
				     uint8_t *status, uint64_t writable)
{
	return blk_task_begin(bq, ticket, status, writable);
}

unsigned blk_flags(const struct blk_queue *bq)
{
	return (bq->write_through || !read_once(&bq->blk->writeback) ? STORAGE_FUA : 0) | bq->again;
}

/* The data's slices move from the scratch array to the task. */
static inline void blk_start_transfer(struct blk_queue *bq, const struct vq_ticket *ticket,
				      const struct blk_transfer *t)
{
	struct blk_task *task = blk_task_begin(bq, ticket, t->status, t->writable);
	struct iovec *iov = task->inside;

	if (unlikely(t->n_data > SLICES_INSIDE)) {
		iov = blk_task_block(task, (unsigned)t->n_data);
		if (!iov) {
			blk_task_finish(task, -ENOMEM);
			return;
		}
	}
	iov[0] = t->data[0];
	for (int i = 1; i < t->n_data; i++)
		iov[i] = t->data[i];
	task->io.iov = iov;
	task->io.iovcnt = t->n_data;
	task->io.offset = t->sector * VIRTIO_BLK_SECTOR;
	task->io.len = t->data_len;
	task->io.done = blk_transfer_done;
	if (!t->write) {
		task->io.op = STORAGE_READ;
		task->io.flags = 0;
		task->data_in = (uint32_t)t->data_len;
	} else {
		task->io.op = STORAGE_WRITE;
		task->io.flags = blk_flags(bq);
	}
	storage_submit(bq->channel, &task->io);
}

static void blk_transfer(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	const struct blk_transfer t = {r->status,
				       r->sector,
				       r->data,
				       r->n_data,
				       r->data_len,
				       r->writable,
				       r->action == BLK_WRITE};

	blk_start_transfer(bq, ticket, &t);
}

static void blk_flush(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	struct blk_task *task = blk_task_begin(bq, ticket, r->status, r->writable);

	task->io.op = STORAGE_FLUSH;
	task->io.flags = 0;
	task->io.offset = 0;
	task->io.len = 0;
	task->io.done = blk_transfer_done;
	storage_submit(bq->channel, &task->io);
}

static enum storage_op blk_range_op(enum blk_action action)
{
	switch (action) {
	case BLK_DISCARD:
		return STORAGE_DISCARD;
	case BLK_WRITE_ZEROES:
		return STORAGE_WRITE_ZEROES;
	default:
		return STORAGE_SECURE_ERASE;
	}
}

static void blk_ranges(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	struct blk_task *task = blk_task_begin(bq, ticket, r->status, r->writable);

	if (blk_task_keep_ranges(task, r)) {
		blk_task_finish(task, -ENOMEM);
		return;
	}
	task->io.op = blk_range_op(r->action);
	task->io.flags = blk_flags(bq);
	task->io.done = blk_range_done;
	blk_range_submit(task);
}

static void blk_perform(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	switch (bq->request.action) {
	case BLK_READ:
	case BLK_WRITE:
		blk_transfer(bq, ticket);
		return;
	case BLK_ANSWER:
		blk_answer(bq, ticket, bq->request.answer);
		return;
	case BLK_GET_ID:
		blk_get_id(bq, ticket);
		return;
	case BLK_FLUSH:
		blk_flush(bq, ticket);
		return;
	case BLK_DISCARD:
	case BLK_WRITE_ZEROES:
	case BLK_SECURE_ERASE:
		blk_ranges(bq, ticket);
		return;
	case BLK_APPEND:
		blk_zone_append(bq, ticket);
		return;
	case BLK_ZONE_REPORT:
		blk_zone_report(bq, ticket);
		return;
	case BLK_ZONE_OPEN:
	case BLK_ZONE_CLOSE:
	case BLK_ZONE_FINISH:
	case BLK_ZONE_RESET:
	case BLK_ZONE_RESET_ALL:
		blk_zone_command(bq, ticket);
		return;
	case BLK_GET_LIFETIME:
		blk_get_lifetime(bq, ticket);
		return;
	}
}

/* The chain, or its header, may have been read from a page of zeroes. */
static bool blk_chain_lost(struct blk_queue *bq, const struct vq_chain *chain)
{
	struct virtio_queue *q = bq->q;

	if (likely(!gmem_lost(q->mem)))
		return false;
	vqdev_break(&q->ring, "guest memory was taken away");
	vqdev_push(&q->ring, &chain->ticket, 0);
	return true;
}

static __attribute__((noinline)) void blk_unusual(struct blk_queue *bq,
						  const struct vq_chain *chain)
{
	struct virtio_queue *q = bq->q;

	if (blk_request_parse(&bq->request, chain, &bq->limits)) {
		vqdev_push(&q->ring, &chain->ticket, 0);
		vqdev_break(&q->ring, "a request without a byte for its status");
		return;
	}
	if (blk_chain_lost(bq, chain))
		return;
	bq->again = chain->again ? STORAGE_AGAIN : 0;
	blk_perform(bq, &chain->ticket);
	bq->again = 0;
}

int blk_queue_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget)
{
	struct blk_queue *bq = q->device;
	struct vq_chain chain = {.iov = bq->scratch, .iov_max = bq->scratch_max};
	unsigned n;
	int rc = 0;

	(void)vdev;
	bq->limits.sectors = storage_size(bq->blk->storage) / VIRTIO_BLK_SECTOR;
	for (n = 0; n < budget && !virtio_queue_spent(q); n++) {
		struct blk_transfer t;

		if (unlikely(blk_queue_full(bq))) {
			/* Whatever completes has this looked at again. */
			virtio_queue_rest(q);
			break;
		}
		rc = vqdev_pop(&q->ring, &chain);
		if (rc <= 0)
			break;
		virtio_queue_spend(q, &chain);
		if (unlikely(chain.again || !blk_request_plain(&chain, &bq->limits, &t)))
			blk_unusual(bq, &chain);
		else if (likely(!blk_chain_lost(bq, &chain)))
			blk_start_transfer(bq, &chain.ticket, &t);
	}
	if (rc == -E2BIG)
		vqdev_break(&q->ring, "a chain of too many pieces");
	return (int)n;
}

void blk_queue_let_go(struct virtio_device *vdev, struct virtio_queue *q)
{
	struct blk_queue *bq = q->device;

	(void)vdev;
	storage_drain(bq->channel, NULL);
}

int blk_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err)
{
	struct virtio_blk *blk = container_of(vdev, struct virtio_blk, vdev);
	unsigned slices = vqdev_slices_max(&q->ring);
	struct blk_queue *bq;
	int rc;

	bq = calloc(1, sizeof(*bq) + slices * sizeof(bq->scratch[0]));
	if (!bq)
		return error_set(err, -ENOMEM, "%s: cannot set up the queue", q->path);
	bq->blk = blk;
	bq->q = q;
	bq->scratch_max = (int)slices;
	/* What follows from features is asked of them: a driver may have agreed on none. */
	bq->write_through = !virtio_device_has(vdev, VIRTIO_BLK_F_FLUSH) &&
			    !virtio_device_has(vdev, VIRTIO_BLK_F_CONFIG_WCE);
	bq->limits = (struct blk_limits){
		.readonly = storage_readonly(blk->storage),
		.discard = virtio_device_has(vdev, VIRTIO_BLK_F_DISCARD),
		.write_zeroes = virtio_device_has(vdev, VIRTIO_BLK_F_WRITE_ZEROES),
		.zoned = virtio_device_has(vdev, VIRTIO_BLK_F_ZONED),
		.max_append_sectors = le32_get(blk->config.max_append_sectors),
		.secure_erase = virtio_device_has(vdev, VIRTIO_BLK_F_SECURE_ERASE),
		.lifetime = virtio_device_has(vdev, VIRTIO_BLK_F_LIFETIME),
		.max_discard_sectors = le32_get(blk->config.max_discard_sectors),
		.max_write_zeroes_sectors = le32_get(blk->config.max_write_zeroes_sectors),
		.max_secure_erase_sectors = le32_get(blk->config.max_secure_erase_sectors),
	};
	bq->n_tasks = (unsigned)min_u64(q->ring.num, TASKS_MAX);
	bq->tasks = calloc(bq->n_tasks, sizeof(bq->tasks[0]));
	if (!bq->tasks) {
		rc = error_set(err, -ENOMEM, "%s: cannot set up %u requests", q->path, bq->n_tasks);
		goto free_queue;
	}
	rc = storage_channel_open(blk->storage, q->reactor, &bq->channel, err);
	if (rc)
		goto free_tasks;
	q->device = bq;
	return 0;
free_tasks:
	free(bq->tasks);
free_queue:
	free(bq);
	return rc;
}

void blk_queue_stop(struct virtio_device *vdev, struct virtio_queue *q)
{
	struct blk_queue *bq = q->device;

	(void)vdev;
	storage_channel_close(&bq->channel);
	while (bq->blocks) {
		struct blk_block *block = bq->blocks;

		bq->blocks = block->next;
		free(block);
	}
	free(bq->tasks);
	free(bq);
	q->device = NULL;
}
