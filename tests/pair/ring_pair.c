/* SPDX-License-Identifier: MIT */
#include "ring_pair.h"

#include "test.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <stdlib.h>
#include <string.h>

#define RING_GPA  0x100000u
#define POISON	  0xa5
#define HASH_INIT UINT64_C(0xcbf29ce484222325)

uint32_t pair_random(uint64_t *state, uint32_t below)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 33) % below;
}

static void add_region(struct ring_pair *p, int i, uint64_t at, uint64_t size)
{
	struct gmem *next;

	p->block[i] = aligned_alloc(4096, align_up(size, 4096));
	assert_non_null(p->block[i]);
	memset(p->block[i], 0, size);
	assert_int_equal(gmem_with_host(p->mem, at, size, 0, p->block[i], &next, NULL), 0);
	gmem_put(p->mem);
	p->mem = next;
}

/* As if the ring had been in use up to the start: what lies behind is used, what lies ahead is from
 * the lap before. */
static void start_at(struct ring_pair *p, const struct vqdrv_config *dc)
{
	uint16_t start = p->config.start;
	bool wrap = p->config.wrap;

	if (!p->config.packed) {
		le16_write(&((struct virtq_avail *)dc->driver)->idx, start);
		le16_write(&((struct virtq_used *)dc->device)->idx, start);
		p->drv.avail = p->drv.avail_shown = p->drv.used = p->drv.used_seen = start;
		p->ring.base = start;
	} else {
		struct pvirtq_desc *ring = dc->desc;

		for (uint32_t i = 0; i < p->config.num; i++) {
			bool lap = i < start ? wrap : !wrap;

			le16_write(&ring[i].flags,
				   lap ? VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED : 0);
		}
		p->drv.avail = p->drv.used = start;
		p->drv.avail_wrap = p->drv.used_wrap = wrap;
		p->ring.base = (start | (wrap ? 0x8000u : 0)) * 0x10001u;
	}
	/* The first asking was for the start of a fresh ring. */
	assert_false(vqdrv_calls_on(&p->drv));
}

void ring_pair_init(struct ring_pair *p, const struct ring_pair_config *c)
{
	uint64_t desc = 0, driver, device, tables, end, data;
	struct vqdrv_config dc;

	memset(p, 0, sizeof(*p));
	p->config = *c;
	p->random = c->num * 7u + c->start + 1u;
	p->mem = NULL;

	driver = align_up(desc + vring_desc_size(c->num), 4096);
	device = align_up(driver + vring_driver_size(c->num, c->packed), 4096);
	tables = align_up(device + vring_device_size(c->num, c->packed), 4096);
	end = align_up(tables + vqdrv_tables_bytes(c->num, PAIR_TABLE), 4096);
	p->data_gpa = RING_GPA + end;
	data = (uint64_t)c->zones * PAIR_ZONE;
	add_region(p, 0, RING_GPA, end);
	add_region(p, 1, p->data_gpa, data / 2 + 777);
	add_region(p, 2, p->data_gpa + data / 2 + 777, data - data / 2 - 777);

	p->state = calloc(1, vqdrv_state_bytes(c->num));
	p->reqs = calloc(c->zones, sizeof(*p->reqs));
	assert_non_null(p->state);
	assert_non_null(p->reqs);
	for (uint32_t i = 0; i < c->zones; i++)
		p->reqs[i].zone = i;
	dc = (struct vqdrv_config){
		.num = c->num,
		.packed = c->packed,
		.event_idx = c->event_idx,
		.indirect = c->indirect,
		.in_order = c->in_order,
		.desc = p->block[0] + desc,
		.driver = p->block[0] + driver,
		.device = p->block[0] + device,
		.state = p->state,
		.tables = p->block[0] + tables,
		.tables_addr = RING_GPA + tables,
		.table_len = PAIR_TABLE,
	};
	p->ring = (struct vring_config){
		.num = c->num,
		.packed = c->packed,
		.event_idx = c->event_idx,
		.indirect = c->indirect,
		.in_order = c->in_order,
		.desc = gpa(RING_GPA + desc),
		.driver = gpa(RING_GPA + driver),
		.device = gpa(RING_GPA + device),
	};
	assert_int_equal(vqdrv_init(&p->drv, &dc), 0);
	start_at(p, &dc);
	assert_int_equal(vqdev_init(&p->dev, &p->ring, p->mem, NULL), 0);
}

void ring_pair_fini(struct ring_pair *p)
{
	vqdev_fini(&p->dev);
	gmem_put(p->mem);
	for (int i = 0; i < 3; i++)
		free(p->block[i]);
	free(p->state);
	free(p->reqs);
}

/* ---- patterns ---- */

static uint64_t hash_add(uint64_t hash, uint8_t byte)
{
	return (hash ^ byte) * UINT64_C(0x100000001b3);
}

static uint8_t answer(uint64_t hash, uint64_t at)
{
	return (uint8_t)(hash >> (at % 8 * 8)) ^ (uint8_t)at;
}

/* One byte of guest memory, as the driver sees it. */
static uint8_t *byte_at(struct ring_pair *p, uint64_t at)
{
	uint64_t off = at - p->data_gpa;
	uint64_t first = (uint64_t)p->config.zones * PAIR_ZONE / 2 + 777;

	return off < first ? p->block[1] + off : p->block[2] + (off - first);
}

void pair_req_make(struct ring_pair *p, struct pair_req *r, unsigned parts)
{
	uint64_t at = p->data_gpa + (uint64_t)r->zone * PAIR_ZONE;
	unsigned n = 1 + pair_random(&p->random, parts);

	r->readable = pair_random(&p->random, n + 1);
	r->writable = n - r->readable;
	r->hash = HASH_INIT;
	for (unsigned i = 0; i < n; i++) {
		uint32_t len = pair_random(&p->random, 8) ? 1 + pair_random(&p->random, 200) : 0;

		r->bufs[i] = (struct vqdrv_buf){.addr = at, .len = len};
		for (uint32_t b = 0; b < len; b++) {
			uint8_t *byte = byte_at(p, at + b);

			*byte = i < r->readable ? (uint8_t)pair_random(&p->random, 256) : POISON;
			if (i < r->readable)
				r->hash = hash_add(r->hash, *byte);
		}
		at += len + pair_random(&p->random, 3);
	}
}

bool pair_req_check(struct ring_pair *p, const struct pair_req *r, uint32_t len)
{
	uint64_t hash = HASH_INIT, at = 0;

	for (unsigned i = 0; i < r->readable; i++)
		for (uint32_t b = 0; b < r->bufs[i].len; b++)
			hash = hash_add(hash, *byte_at(p, r->bufs[i].addr + b));
	if (hash != r->hash)
		return false;
	for (unsigned i = r->readable; i < r->readable + r->writable; i++)
		for (uint32_t b = 0; b < r->bufs[i].len; b++, at++)
			if (*byte_at(p, r->bufs[i].addr + b) !=
			    (at < len ? answer(hash, at) : POISON))
				return false;
	return at >= len;
}

void pair_chain_serve(struct pair_chain *c, uint32_t len)
{
	uint64_t hash = HASH_INIT, at = 0;
	const struct iovec *iov = c->iov;

	for (int i = 0; i < c->chain.readable; i++, iov++)
		for (size_t b = 0; b < iov->iov_len; b++)
			hash = hash_add(hash, ((const uint8_t *)iov->iov_base)[b]);
	for (int i = 0; i < c->chain.writable; i++, iov++)
		for (size_t b = 0; b < iov->iov_len && at < len; b++, at++)
			((uint8_t *)iov->iov_base)[b] = answer(hash, at);
}
