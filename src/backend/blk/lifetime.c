/* SPDX-License-Identifier: MIT */
/* GET_LIFETIME: what the storage knows of its medium, in the words of virtio (1.4, 5.2.6). */
#include "backend/blk/perform_priv.h"

#include "base/bits.h"

#include <string.h>

static void blk_lifetime_done(struct storage_io *io, int err)
{
	struct blk_task *task = container_of(io, struct blk_task, io);
	const struct storage_lifetime *found = &task->life.found;
	const struct virtio_blk_lifetime told = {.pre_eol_info = le16_make(found->pre_eol),
						 .device_lifetime_est_typ_a = le16_make(found->a),
						 .device_lifetime_est_typ_b = le16_make(found->b)};
	const uint8_t *from = (const uint8_t *)&told;

	for (int i = 0; !err && i < task->life.n; i++) {
		memcpy(task->life.to[i].iov_base, from, task->life.to[i].iov_len);
		from += task->life.to[i].iov_len;
	}
	blk_task_finish(task, err);
}

void blk_get_lifetime(struct blk_queue *bq, const struct vq_ticket *ticket)
{
	const struct blk_request *r = &bq->request;
	struct blk_task *task = blk_task_begin_slow(bq, ticket, r->status, r->writable);
	size_t left = (size_t)r->data_len;

	task->life.n = 0;
	for (int i = 0; i < r->n_data && left; i++) {
		size_t here = (size_t)min_u64(left, r->data[i].iov_len);

		if (here)
			task->life.to[task->life.n++] = (struct iovec){r->data[i].iov_base, here};
		left -= here;
	}
	task->data_in = (uint32_t)r->data_len;
	task->life.iov = (struct iovec){&task->life.found, sizeof(task->life.found)};
	task->io.op = STORAGE_LIFETIME;
	task->io.flags = 0;
	task->io.offset = 0;
	task->io.len = sizeof(task->life.found);
	task->io.iov = &task->life.iov;
	task->io.iovcnt = 1;
	task->io.done = blk_lifetime_done;
	storage_submit(bq->channel, &task->io);
}
