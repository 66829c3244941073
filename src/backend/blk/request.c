/* SPDX-License-Identifier: MIT */
#include "backend/blk/request.h"

#include "base/bits.h"

#include <errno.h>
#include <string.h>

/* A window on an iov array that is eaten from the front. */
struct window {
	struct iovec *iov;
	int n;
	uint64_t len;
};

/* Takes @len bytes off the front into @buf: the one time that these guest bytes are read. */
static bool window_take(struct window *w, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (len > w->len)
		return false;
	w->len -= len;
	while (len) {
		size_t here = (size_t)min_u64(len, w->iov->iov_len);

		memcpy(to, w->iov->iov_base, here);
		to += here;
		len -= here;
		w->iov->iov_base = (uint8_t *)w->iov->iov_base + here;
		w->iov->iov_len -= here;
		if (!w->iov->iov_len) {
			w->iov++;
			w->n--;
		}
	}
	return true;
}

/* The header most often lies in one piece: then its size is known to the compiler. */
static bool window_take_header(struct window *w, struct virtio_blk_req *header)
{
	if (unlikely(!w->n || w->iov->iov_len < sizeof(*header)))
		return window_take(w, header, sizeof(*header));
	memcpy(header, w->iov->iov_base, sizeof(*header));
	w->len -= sizeof(*header);
	w->iov->iov_base = (uint8_t *)w->iov->iov_base + sizeof(*header);
	w->iov->iov_len -= sizeof(*header);
	if (!w->iov->iov_len) {
		w->iov++;
		w->n--;
	}
	return true;
}

/* Takes the last byte off the back. */
static uint8_t *window_take_last(struct window *w)
{
	struct iovec *last;

	if (!w->len)
		return NULL;
	last = &w->iov[w->n - 1];
	last->iov_len--;
	w->len--;
	if (!last->iov_len)
		w->n--;
	return (uint8_t *)last->iov_base + last->iov_len;
}

static int blk_request_answer(struct blk_request *p, uint8_t status)
{
	p->action = BLK_ANSWER;
	p->answer = status;
	return 0;
}

static bool in_disk(const struct blk_limits *l, uint64_t sector, uint64_t sectors)
{
	return sector <= l->sectors && sectors <= l->sectors - sector;
}

static int blk_request_transfer(struct blk_request *p, const struct blk_limits *l,
				enum blk_action action, const struct window *data,
				const struct window *wrong_way)
{
	if (!data->len && wrong_way->len)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (data->len % VIRTIO_BLK_SECTOR || data->len >= UINT32_MAX ||
	    !in_disk(l, p->sector, data->len / VIRTIO_BLK_SECTOR))
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (action == BLK_WRITE && l->readonly)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (!data->len)
		return blk_request_answer(p, VIRTIO_BLK_S_OK);
	p->action = action;
	p->data = data->iov;
	p->n_data = data->n;
	p->data_len = data->len;
	return 0;
}

/* All ranges are checked before the first is touched: a refused request changes nothing. */
static int blk_request_ranges(struct blk_request *p, const struct blk_limits *l,
			      enum blk_action action, struct window *data)
{
	bool zeroes = action == BLK_WRITE_ZEROES;
	uint32_t max = zeroes ? l->max_write_zeroes_sectors : l->max_discard_sectors;
	struct virtio_blk_range raw;
	bool bad = false;

	if (!data->len || data->len % sizeof(raw) || data->len / sizeof(raw) > BLK_RANGES_MAX)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	while (window_take(data, &raw, sizeof(raw))) {
		struct blk_range *r = &p->ranges[p->n_ranges++];
		uint32_t flags = le32_get(raw.flags);

		/* 5.2.6.2: unknown flags, and unmap in a discard, are unsupported whatever else is
		 * wrong. */
		if (flags & ~(zeroes ? VIRTIO_BLK_RANGE_UNMAP : 0))
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		r->sector = le64_get(raw.sector);
		r->sectors = le32_get(raw.num_sectors);
		r->unmap = flags & VIRTIO_BLK_RANGE_UNMAP;
		bad |= r->sectors > max || !in_disk(l, r->sector, r->sectors);
	}
	if (bad || l->readonly)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	p->action = action;
	return 0;
}

int blk_request_parse(struct blk_request *p, const struct vq_chain *chain,
		      const struct blk_limits *limits)
{
	struct window out = {chain->iov, chain->readable, chain->readable_len};
	struct window in = {chain->iov + chain->readable, chain->writable, chain->writable_len};
	struct virtio_blk_req header;

	p->status = window_take_last(&in);
	if (!p->status)
		return -EPROTO;
	p->writable = in.len;
	p->n_data = 0;
	p->data_len = 0;
	p->n_ranges = 0;
	if (!window_take_header(&out, &header))
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	p->sector = le64_get(header.sector);

	switch (le32_get(header.type)) {
	case VIRTIO_BLK_T_IN:
		return blk_request_transfer(p, limits, BLK_READ, &in, &out);
	case VIRTIO_BLK_T_OUT:
		return blk_request_transfer(p, limits, BLK_WRITE, &out, &in);
	case VIRTIO_BLK_T_FLUSH:
	case VIRTIO_BLK_T_FLUSH_OUT:
		p->action = BLK_FLUSH;
		return 0;
	case VIRTIO_BLK_T_GET_ID:
		p->action = BLK_GET_ID;
		p->data = in.iov;
		p->n_data = in.n;
		p->data_len = in.len;
		return 0;
	case VIRTIO_BLK_T_DISCARD:
		if (!limits->discard)
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		return blk_request_ranges(p, limits, BLK_DISCARD, &out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (!limits->write_zeroes)
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		return blk_request_ranges(p, limits, BLK_WRITE_ZEROES, &out);
	default:
		return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
	}
}
