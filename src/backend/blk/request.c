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

static inline int blk_request_transfer(struct blk_request *p, const struct blk_limits *l,
				       enum blk_action action, struct window data, bool wrong_way)
{
	if (unlikely(!data.len && wrong_way))
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (unlikely(data.len % VIRTIO_BLK_SECTOR || data.len >= UINT32_MAX ||
		     !in_disk(l, p->sector, data.len / VIRTIO_BLK_SECTOR)))
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (action == BLK_WRITE && l->readonly)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (unlikely(!data.len))
		return blk_request_answer(p, VIRTIO_BLK_S_OK);
	p->action = action;
	p->data = data.iov;
	p->n_data = data.n;
	p->data_len = data.len;
	return 0;
}

static uint32_t longest_range(const struct blk_limits *l, enum blk_action action)
{
	switch (action) {
	case BLK_DISCARD:
		return l->max_discard_sectors;
	case BLK_WRITE_ZEROES:
		return l->max_write_zeroes_sectors;
	default:
		return l->max_secure_erase_sectors;
	}
}

/* All ranges are checked before the first is touched: a refused request changes nothing. */
static __attribute__((noinline)) int blk_request_ranges(struct blk_request *p,
							const struct blk_limits *l,
							enum blk_action action, struct window data)
{
	const uint32_t known = action == BLK_WRITE_ZEROES ? VIRTIO_BLK_RANGE_UNMAP : 0;
	const uint32_t max = longest_range(l, action);
	struct virtio_blk_range raw;
	bool bad = false;

	if (!data.len || data.len % sizeof(raw) || data.len / sizeof(raw) > BLK_RANGES_MAX)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	p->n_ranges = 0;
	while (window_take(&data, &raw, sizeof(raw))) {
		struct blk_range *r = &p->ranges[p->n_ranges++];
		uint32_t flags = le32_get(raw.flags);

		/* 5.2.6.2: unknown flags, and unmap but in a write of zeroes, are unsupported
		 * whatever else is wrong. */
		if (flags & ~known)
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

/* ---- zones ---- */

/*
 * The first bytes that can be written.  The standard has append_sector directly in front of the status;
 * Linux has seven bytes of padding between the two, and reads it from the first eight.
 */
static bool window_first(const struct window *w, uint8_t **bytes, size_t n)
{
	const struct iovec *iov = w->iov;
	size_t at = 0;

	if (w->len < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		while (at == iov->iov_len) {
			iov++;
			at = 0;
		}
		bytes[i] = (uint8_t *)iov->iov_base + at++;
	}
	return true;
}

static int blk_request_append(struct blk_request *p, const struct blk_limits *l, struct window data,
			      struct window in)
{
	if (!window_first(&in, p->position, sizeof(p->position) / sizeof(p->position[0])) ||
	    data.len % VIRTIO_BLK_SECTOR || l->readonly)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (!l->max_append_sectors)
		return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
	if (!data.len || data.len / VIRTIO_BLK_SECTOR > l->max_append_sectors ||
	    !in_disk(l, p->sector, data.len / VIRTIO_BLK_SECTOR))
		return blk_request_answer(p, VIRTIO_BLK_S_ZONE_INVALID_CMD);
	p->action = BLK_APPEND;
	p->data = data.iov;
	p->n_data = data.n;
	p->data_len = data.len;
	return 0;
}

static int blk_request_zones(struct blk_request *p, uint32_t type, const struct blk_limits *l,
			     struct window out, struct window in)
{
	if (type == VIRTIO_BLK_T_ZONE_APPEND)
		return blk_request_append(p, l, out, in);
	if (type == VIRTIO_BLK_T_ZONE_REPORT) {
		if (in.len < sizeof(struct virtio_blk_zone_report) || !in_disk(l, p->sector, 1))
			return blk_request_answer(p, VIRTIO_BLK_S_ZONE_INVALID_CMD);
		p->action = BLK_ZONE_REPORT;
		p->data = in.iov;
		p->n_data = in.n;
		p->data_len = in.len;
		return 0;
	}
	if (l->readonly)
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	if (type == VIRTIO_BLK_T_ZONE_RESET_ALL)
		p->action = BLK_ZONE_RESET_ALL;
	else if (!in_disk(l, p->sector, 1))
		return blk_request_answer(p, VIRTIO_BLK_S_ZONE_INVALID_CMD);
	else if (type == VIRTIO_BLK_T_ZONE_OPEN)
		p->action = BLK_ZONE_OPEN;
	else if (type == VIRTIO_BLK_T_ZONE_CLOSE)
		p->action = BLK_ZONE_CLOSE;
	else if (type == VIRTIO_BLK_T_ZONE_FINISH)
		p->action = BLK_ZONE_FINISH;
	else
		p->action = BLK_ZONE_RESET;
	return 0;
}

/* A part of it would be an answer that means something else. */
static int blk_request_lifetime(struct blk_request *p, struct window in)
{
	if (in.len < sizeof(struct virtio_blk_lifetime))
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	p->action = BLK_GET_LIFETIME;
	p->data = in.iov;
	p->n_data = in.n;
	p->data_len = sizeof(struct virtio_blk_lifetime);
	return 0;
}

/* @out and @in: what is left of the chain between the header and the status byte. */
static inline int blk_request_of_type(struct blk_request *p, uint32_t type,
				      const struct blk_limits *limits, struct window out,
				      struct window in)
{
	if (likely(type == VIRTIO_BLK_T_IN))
		return blk_request_transfer(p, limits, BLK_READ, in, out.len);
	if (likely(type == VIRTIO_BLK_T_OUT))
		return blk_request_transfer(p, limits, BLK_WRITE, out, in.len);

	switch (type) {
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
		return blk_request_ranges(p, limits, BLK_DISCARD, out);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		if (!limits->write_zeroes)
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		return blk_request_ranges(p, limits, BLK_WRITE_ZEROES, out);
	case VIRTIO_BLK_T_ZONE_APPEND:
	case VIRTIO_BLK_T_ZONE_REPORT:
	case VIRTIO_BLK_T_ZONE_OPEN:
	case VIRTIO_BLK_T_ZONE_CLOSE:
	case VIRTIO_BLK_T_ZONE_FINISH:
	case VIRTIO_BLK_T_ZONE_RESET:
	case VIRTIO_BLK_T_ZONE_RESET_ALL:
		/* BLK-D-16 */
		if (!limits->zoned)
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		return blk_request_zones(p, type, limits, out, in);
	case VIRTIO_BLK_T_SECURE_ERASE:
		if (!limits->secure_erase)
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		/* Linux takes the lowest bit of a type for its direction, and this one is even: its
		 * ranges are in buffers that the device may write. */
		return blk_request_ranges(p, limits, BLK_SECURE_ERASE, out.len ? out : in);
	case VIRTIO_BLK_T_GET_LIFETIME:
		if (!limits->lifetime)
			return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
		return blk_request_lifetime(p, in);
	default:
		return blk_request_answer(p, VIRTIO_BLK_S_UNSUPP);
	}
}

/* The header lies in pieces, or is too short. */
static __attribute__((noinline)) int blk_request_gather(struct blk_request *p,
							const struct blk_limits *limits,
							struct window out, struct window in)
{
	struct virtio_blk_req header;

	if (!window_take(&out, &header, sizeof(header)))
		return blk_request_answer(p, VIRTIO_BLK_S_IOERR);
	p->sector = le64_get(header.sector);
	return blk_request_of_type(p, le32_get(header.type), limits, out, in);
}

int blk_request_parse(struct blk_request *p, const struct vq_chain *chain,
		      const struct blk_limits *limits)
{
	struct window out = {chain->iov, chain->readable, chain->readable_len};
	struct window in = {chain->iov + chain->readable, chain->writable, chain->writable_len};
	struct virtio_blk_req header;
	struct iovec *last;

	if (unlikely(!in.len))
		return -EPROTO;
	/* The status is the last byte that the device may write. */
	last = &in.iov[in.n - 1];
	last->iov_len--;
	in.len--;
	if (likely(!last->iov_len))
		in.n--;
	p->status = (uint8_t *)last->iov_base + last->iov_len;
	p->writable = in.len;

	/* The header most often is a slice of its own. */
	if (unlikely(!out.n || out.iov->iov_len != sizeof(header)))
		return blk_request_gather(p, limits, out, in);
	memcpy(&header, out.iov->iov_base, sizeof(header));
	out.iov++;
	out.n--;
	out.len -= sizeof(header);
	p->sector = le64_get(header.sector);
	return blk_request_of_type(p, le32_get(header.type), limits, out, in);
}
