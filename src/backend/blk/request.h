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

/* Ranges in one DISCARD or WRITE_ZEROES: max_discard_seg, max_write_zeroes_seg. */
#define BLK_RANGES_MAX 32

/* What a request is checked against; a snapshot of the device, taken by the worker. */
struct blk_limits {
	uint64_t sectors; /* capacity */
	bool readonly;
	bool discard;	   /* negotiated */
	bool write_zeroes; /* negotiated */
	uint32_t max_discard_sectors;
	uint32_t max_write_zeroes_sectors;
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
};

struct blk_request {
	enum blk_action action;
	uint8_t answer;	 /* VIRTIO_BLK_S_* for BLK_ANSWER */
	uint8_t *status; /* the byte of guest memory that takes the status */
	uint64_t sector;
	/* The data part, in the chain's own iov array, cut to size; bytes for READ, WRITE, GET_ID.
	 */
	struct iovec *data;
	int n_data;
	uint64_t data_len;
	/* Bytes the driver made writable in front of the status byte: decides which used.len is
	 * honest. */
	uint64_t writable;
	struct blk_range ranges[BLK_RANGES_MAX];
	unsigned n_ranges;
};

/**
 * blk_request_parse() - what does this chain ask for?
 * @chain: as popped; its iov array is changed in place
 *
 * Return: 0, or -EPROTO when there is nowhere to put a status: the queue cannot go on.
 */
int blk_request_parse(struct blk_request *p, const struct vq_chain *chain,
		      const struct blk_limits *limits);

#endif
