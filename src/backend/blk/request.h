/* SPDX-License-Identifier: MIT */
/*
 * A block request, parsed: what a chain asks for, in host terms.  Parsing is pure: it looks at the
 * chain's bytes once and at the device's limits, and decides either what to do or what to answer.
 * Execution never sees descriptors.
 *
 * virtio 1.4, 5.2.6; no assumption is made about how a request is cut into descriptors (2.7.4).
 */
#ifndef BACKEND_BLK_REQUEST_H
#define BACKEND_BLK_REQUEST_H

#include "vring/device.h"
#include "wire/virtio_blk.h"

#include <stdbool.h>
#include <string.h>

/* Ranges in one DISCARD, WRITE_ZEROES or SECURE_ERASE: max_discard_seg, max_write_zeroes_seg,
 * max_secure_erase_seg. */
#define BLK_RANGES_MAX 32

/* What a request is checked against; a snapshot of the device, taken by the worker. */
struct blk_limits {
	uint64_t sectors; /* capacity */
	bool readonly;
	bool discard;	   /* negotiated */
	bool write_zeroes; /* negotiated */
	bool zoned;	   /* negotiated */
	bool secure_erase; /* negotiated */
	bool lifetime;	   /* negotiated */
	uint32_t max_discard_sectors;
	uint32_t max_write_zeroes_sectors;
	uint32_t max_secure_erase_sectors;
	uint32_t max_append_sectors; /* 0: cannot append */
};

struct blk_range {
	uint64_t sector;
	uint32_t sectors;
	bool unmap;
};

enum blk_action {
	BLK_ANSWER, /* nothing to do: @answer is the status */
	BLK_READ,
	BLK_WRITE,
	BLK_FLUSH,
	BLK_GET_ID,
	BLK_DISCARD,
	BLK_WRITE_ZEROES,
	BLK_SECURE_ERASE,
	BLK_GET_LIFETIME,
	/* With ZONED. */
	BLK_APPEND,
	BLK_ZONE_REPORT,
	BLK_ZONE_OPEN,
	BLK_ZONE_CLOSE,
	BLK_ZONE_FINISH,
	BLK_ZONE_RESET,
	BLK_ZONE_RESET_ALL,
};

struct blk_request {
	enum blk_action action;
	uint8_t answer;	 /* VIRTIO_BLK_S_* for BLK_ANSWER */
	uint8_t *status; /* the byte of guest memory that takes the status */
	uint64_t sector;
	/* The data part, in the chain's own iov array, cut to size; bytes for READ, WRITE, GET_ID,
	 * GET_LIFETIME, APPEND, ZONE_REPORT. */
	struct iovec *data;
	int n_data;
	uint64_t data_len;
	/* Bytes the driver made writable in front of the status byte: decides which used.len is
	 * honest. */
	uint64_t writable;
	struct blk_range ranges[BLK_RANGES_MAX];
	unsigned n_ranges;
	/* APPEND: where the eight bytes of append_sector go, which the driver may have cut. */
	uint8_t *position[sizeof(le64)];
};

/**
 * blk_request_parse() - what does this chain ask for?
 * @chain: as popped; its iov array is changed in place
 *
 * Return: 0, or -EPROTO when there is nowhere to put a status: the queue cannot go on.
 */
int blk_request_parse(struct blk_request *p, const struct vq_chain *chain,
		      const struct blk_limits *limits);

/* A read or write, as nearly all requests are. */
struct blk_transfer {
	uint8_t *status;
	uint64_t sector;
	const struct iovec *data;
	int n_data;
	uint64_t data_len;
	uint64_t writable;
	bool write;
};

/*
 * The same as blk_request_parse(), faster, for transfers of the usual shape: a header, data and a
 * status byte of slices of their own, and nothing else.  false: nothing is known of the chain, and it
 * was not changed.  What it read of it is forgotten.
 */
static inline bool blk_request_plain(const struct vq_chain *chain, const struct blk_limits *limits,
				     struct blk_transfer *t)
{
	const struct iovec *iov = chain->iov, *last = iov + chain->readable + chain->writable - 1;
	struct virtio_blk_req header;
	uint32_t type;

	if (unlikely(!chain->readable || !chain->writable || iov->iov_len != sizeof(header) ||
		     last->iov_len != 1))
		return false;
	memcpy(&header, iov->iov_base, sizeof(header));
	/* That was the one time: the guest may change it meanwhile. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	type = le32_get(header.type);
	t->status = last->iov_base;
	t->sector = le64_get(header.sector);
	t->data = iov + 1;
	t->n_data = (int)(last - t->data);
	t->data_len = chain->readable_len + chain->writable_len - sizeof(header) - 1;
	t->writable = chain->writable_len - 1;
	t->write = type == VIRTIO_BLK_T_OUT;
	if (unlikely(t->write ? chain->writable != 1 || limits->readonly
			      : chain->readable != 1 || type != VIRTIO_BLK_T_IN))
		return false;
	return likely(t->data_len && t->data_len % VIRTIO_BLK_SECTOR == 0 &&
		      t->data_len < UINT32_MAX && t->sector <= limits->sectors &&
		      t->data_len / VIRTIO_BLK_SECTOR <= limits->sectors - t->sector);
}

#endif
