/* SPDX-License-Identifier: MIT */
/*
 * Both halves of one ring in one process, with guest memory in three regions: the ring and its
 * tables in one, the data in two that touch in guest addresses and lie apart in the host.
 */
#ifndef TESTS_PAIR_RING_PAIR_H
#define TESTS_PAIR_RING_PAIR_H

#include "vring/device.h"
#include "vring/driver.h"

#define PAIR_IOV   64
#define PAIR_ZONE  2048u /* bytes of data memory per request */
#define PAIR_PARTS 8	 /* descriptors per chain, at most    */
#define PAIR_TABLE PAIR_PARTS

struct ring_pair_config {
	uint16_t num;
	bool packed, event_idx, indirect, in_order;
	uint16_t start; /* split: first index; packed: first slot ...   */
	bool wrap;	/* ... and its wrap counter                     */
	uint32_t zones; /* requests that can be in flight with data     */
};

/* A request, as the driver made it. */
struct pair_req {
	uint32_t zone;
	unsigned readable, writable;
	struct vqdrv_buf bufs[PAIR_PARTS];
	uint64_t hash; /* of the readable bytes */
	bool busy;
};

/* A chain that the device has. */
struct pair_chain {
	struct vq_chain chain;
	struct iovec iov[PAIR_IOV];
};

struct ring_pair {
	struct ring_pair_config config;
	struct vring_config ring;
	struct gmem *mem;
	uint8_t *block[3];
	uint64_t data_gpa;
	void *state;
	struct vqdrv drv;
	struct vqdev dev;
	struct pair_req *reqs;
	uint64_t random;
};

void ring_pair_init(struct ring_pair *p, const struct ring_pair_config *config);
void ring_pair_fini(struct ring_pair *p);

uint32_t pair_random(uint64_t *state, uint32_t below);

/* Fills @r with random buffers of its zone and a pattern; not more than @parts descriptors. */
void pair_req_make(struct ring_pair *p, struct pair_req *r, unsigned parts);
/* Whether the answer to @r is what pair_chain_serve() gives, @len bytes of it, and nothing else was
 * touched. */
bool pair_req_check(struct ring_pair *p, const struct pair_req *r, uint32_t len);
/* Device: answers a chain with @len bytes made from what it reads. */
void pair_chain_serve(struct pair_chain *c, uint32_t len);

#endif
