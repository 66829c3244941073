/* SPDX-License-Identifier: MIT */
#include "backend/blk/perform.h"

#include "backend/blk/request.h"
#include "base/atomic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Slices that a request keeps in itself: what a driver was told it may send, and some for memory
 * regions' borders. */
#define SLICES_INSIDE (BLK_SEG_MAX + 10)

struct blk_request {
	struct storage_io io;
	struct blk_queue *bq;
	struct blk_request *next_free;
	struct vq_ticket ticket;
	uint8_t *status;
	uint64_t writable; /* bytes in front of the status byte    */
	uint32_t data_in;  /* bytes of them that success writes    */
	unsigned range;	   /* the one being worked on              */
	unsigned n_ranges;
	struct blk_range ranges[BLK_RANGES_MAX];
	struct iovec *iov; /* @inside, or from malloc */
	struct iovec inside[SLICES_INSIDE];
};

struct blk_queue {
	struct virtio_blk *blk;
	struct virtio_queue *q;
	struct storage_channel *channel;
	struct blk_request *free;     /* last in, first out: the warm ones are used again */
	struct blk_request *requests; /* as many as the ring has entries */
	unsigned fresh;		      /* requests[fresh..] were never used */
	struct blk_limits limits;
	struct blk_parsed parsed; /* of the chain at hand */
	int scratch_max;
	struct iovec scratch[]; /* the chain at hand, however long */
};

static struct blk_request *request_get(struct blk_queue *bq)
{
	struct blk_request *req = bq->free;

	if (req) {
		bq->free = req->next_free;
	} else {
		req = &bq->requests[bq->fresh++];
		req->bq = bq;
	}
	req->iov = req->inside;
	return req;
}

static void request_put(struct blk_request *req)
{
	if (unlikely(req->iov != req->inside))
		free(req->iov);
	req->next_free = req->bq->free;
	req->bq->free = req;
}

/*
 * The status byte is the last of the writable bytes; used.len counts bytes written from the first
 * one on without a gap (2.7.8.2), so the status byte counts only when everything in front of it was
 * written.
 */
static void finish(struct blk_queue *bq, const struct vq_ticket *ticket, uint8_t *status,
		   uint8_t value, uint64_t writable, uint64_t written)
{
	write_once(status, value);
	virtio_queue_push(bq->q, ticket, (uint32_t)(written == writable ? written + 1 : written));
}

static void request_finish(struct blk_request *req, int err)
{
	uint8_t value = err ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;

	if (unlikely(err)) {
		struct virtio_queue *q = req->bq->q;

		log_limited(&q->complaints, LOG_LEVEL_WARN, q->path, "a request failed: %s",
			    strerror(-err));
	}
	finish(req->bq, &req->ticket, req->status, value, req->writable, err ? 0 : req->data_in);
	request_put(req);
}

static void transfer_done(struct storage_io *io, int err)
{
	request_finish(container_of(io, struct blk_request, io), err);
}

static void submit_range(struct blk_request *req)
{
	const struct blk_range *r = &req->ranges[req->range];

	req->io.offset = r->sector * VIRTIO_BLK_SECTOR;
	req->io.len = (uint64_t)r->sectors * VIRTIO_BLK_SECTOR;
	if (req->io.op == STORAGE_WRITE_ZEROES)
		req->io.flags = (req->io.flags & STORAGE_FUA) | (r->unmap ? STORAGE_UNMAP : 0);
	storage_submit(req->bq->channel, &req->io);
}

static void range_done(struct storage_io *io, int err)
{
	struct blk_request *req = container_of(io, struct blk_request, io);

	if (err || ++req->range == req->n_ranges)
		request_finish(req, err);
	else
		submit_range(req);
}

/* What can be answered at once needs no request. */
static void answer(struct blk_queue *bq, const struct vq_ticket *ticket, uint8_t value)
{
	finish(bq, ticket, bq->parsed.status, value, bq->parsed.writable, 0);
}

static void get_id(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_parsed *p = &bq->parsed;
	size_t left = (size_t)min_u64(p->data_len, VIRTIO_BLK_ID_BYTES), done = 0;

	for (int i = 0; i < p->n_data && left; i++) {
		size_t here = (size_t)min_u64(left, p->data[i].iov_len);

		memcpy(p->data[i].iov_base, bq->blk->serial + done, here);
		done += here;
		left -= here;
	}
	finish(bq, ticket, p->status, VIRTIO_BLK_S_OK, p->writable, done);
}

/* The data's slices move from the scratch array to the request's own. */
static int keep_slices(struct blk_request *req, const struct blk_parsed *p)
{
	if (unlikely(p->n_data > SLICES_INSIDE)) {
		req->iov = malloc((size_t)p->n_data * sizeof(req->iov[0]));
		if (!req->iov) {
			req->iov = req->inside;
			return -ENOMEM;
		}
	}
	for (int i = 0; i < p->n_data; i++)
		req->iov[i] = p->data[i];
	req->io.iov = req->iov;
	req->io.iovcnt = p->n_data;
	return 0;
}

static void perform(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_parsed *p = &bq->parsed;
	bool through = !read_once(&bq->blk->writeback);
	struct blk_request *req;

	if (p->action == BLK_ANSWER)
		return answer(bq, ticket, p->answer);
	if (p->action == BLK_GET_ID)
		return get_id(bq, ticket);

	req = request_get(bq);
	req->ticket = *ticket;
	req->status = p->status;
	req->writable = p->writable;
	req->data_in = 0;
	req->io.flags = through ? STORAGE_FUA : 0;
	req->io.done = transfer_done;
	switch (p->action) {
	case BLK_READ:
	case BLK_WRITE:
		if (keep_slices(req, p)) {
			request_finish(req, -ENOMEM);
			return;
		}
		req->io.op = p->action == BLK_READ ? STORAGE_READ : STORAGE_WRITE;
		req->io.offset = p->sector * VIRTIO_BLK_SECTOR;
		req->io.len = p->data_len;
		if (p->action == BLK_READ) {
			req->io.flags = 0;
			req->data_in = (uint32_t)p->data_len;
		}
		break;
	case BLK_FLUSH:
		req->io.op = STORAGE_FLUSH;
		req->io.flags = 0;
		req->io.offset = 0;
		req->io.len = 0;
		break;
	default:
		req->io.op = p->action == BLK_DISCARD ? STORAGE_DISCARD : STORAGE_WRITE_ZEROES;
		req->io.done = range_done;
		memcpy(req->ranges, p->ranges, p->n_ranges * sizeof(p->ranges[0]));
		req->n_ranges = p->n_ranges;
		req->range = 0;
		submit_range(req);
		return;
	}
	storage_submit(bq->channel, &req->io);
}

int blk_queue_process(struct virtio_device *vdev, struct virtio_queue *q, unsigned budget)
{
	struct blk_queue *bq = q->device;
	struct vq_chain chain = {.iov = bq->scratch, .iov_max = bq->scratch_max};
	unsigned n;
	int rc = 0;

	(void)vdev;
	bq->limits.sectors = storage_size(bq->blk->storage) / VIRTIO_BLK_SECTOR;
	for (n = 0; n < budget; n++) {
		rc = vqdev_pop(&q->ring, &chain);
		if (rc <= 0)
			break;
		if (blk_request_parse(&bq->parsed, &chain, &bq->limits)) {
			vqdev_push(&q->ring, &chain.ticket, 0);
			vqdev_break(&q->ring, "a request without a byte for its status");
			break;
		}
		perform(bq, &chain.ticket);
	}
	if (rc == -E2BIG)
		vqdev_break(&q->ring, "a chain of too many pieces");
	return (int)n;
}

int blk_queue_start(struct virtio_device *vdev, struct virtio_queue *q, struct error *err)
{
	struct virtio_blk *blk = container_of(vdev, struct virtio_blk, vdev);
	unsigned num = q->ring.num;
	unsigned slices = (unsigned)max_u64(num, vdev->cls->chain_max) + 64;
	struct blk_queue *bq;
	int rc;

	bq = calloc(1, sizeof(*bq) + slices * sizeof(bq->scratch[0]));
	if (!bq)
		return error_set(err, -ENOMEM, "%s: cannot set up the queue", q->path);
	bq->blk = blk;
	bq->q = q;
	bq->scratch_max = (int)slices;
	bq->limits = (struct blk_limits){
		.readonly = storage_readonly(blk->storage),
		.discard = blk->discard,
		.write_zeroes = blk->write_zeroes,
		.max_discard_sectors = le32_get(blk->config.max_discard_sectors),
		.max_write_zeroes_sectors = le32_get(blk->config.max_write_zeroes_sectors),
	};
	bq->requests = calloc(num, sizeof(bq->requests[0]));
	if (!bq->requests) {
		rc = error_set(err, -ENOMEM, "%s: cannot set up %u requests", q->path, num);
		goto free_queue;
	}
	rc = storage_channel_open(blk->storage, q->reactor, &bq->channel, err);
	if (rc)
		goto free_requests;
	q->device = bq;
	return 0;
free_requests:
	free(bq->requests);
free_queue:
	free(bq);
	return rc;
}

void blk_queue_stop(struct virtio_device *vdev, struct virtio_queue *q)
{
	struct blk_queue *bq = q->device;

	(void)vdev;
	storage_channel_close(&bq->channel);
	free(bq->requests);
	free(bq);
	q->device = NULL;
}
