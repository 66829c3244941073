/* SPDX-License-Identifier: MIT */
/*
 * There are two ways to read a request: blk_request_plain() takes the usual ones, blk_request_parse()
 * all.  What the first takes it reads as the second would, and it takes what drivers send.
 */
#include "test.h"

#include "backend/blk/request.h"
#include "base/bits.h"

#include <string.h>

#define SECTORS 1000
#define SLICES	8

struct made {
	uint8_t bytes[64];
	struct iovec iov[SLICES];
	struct vq_chain chain;
};

static uint32_t draw(uint64_t *seed, uint32_t below)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % below;
}

/* Usual in most places, so that what is odd is so alone. */
static void make(struct made *m, uint64_t *seed)
{
	static const uint64_t sectors[] = {0, 1, SECTORS - 1, SECTORS, SECTORS + 1, UINT64_MAX};
	static const uint32_t types[] = {VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH,
					 VIRTIO_BLK_T_GET_ID, 77};
	static const size_t lengths[] = {512, 1024, 1, 511, 4096, SECTORS * 512, UINT32_MAX};
	bool odd = !draw(seed, 2);
	uint32_t type = types[draw(seed, odd ? ARRAY_SIZE(types) : 2)];
	struct virtio_blk_req header = {
		.type = le32_make(type),
		.sector = le64_make(sectors[draw(seed, odd ? ARRAY_SIZE(sectors) : 2)])};
	unsigned data = odd ? draw(seed, 4) : 1 + draw(seed, 3), n = 0;
	int readable = 0;

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &header, sizeof(header));
	m->iov[n++] = (struct iovec){m->bytes, odd && !draw(seed, 4) ? draw(seed, 20) + 1 : 16};
	for (unsigned i = 0; i < data; i++)
		m->iov[n++] = (struct iovec){m->bytes + 32,
					     lengths[draw(seed, odd ? ARRAY_SIZE(lengths) : 2)]};
	m->iov[n++] = (struct iovec){m->bytes + 48, odd && !draw(seed, 4) ? 2 : 1};
	readable = type == VIRTIO_BLK_T_OUT ? (int)n - 1 : 1;
	if (odd && !draw(seed, 3))
		readable = (int)draw(seed, n + 1);
	m->chain = (struct vq_chain){.iov = m->iov,
				     .iov_max = SLICES,
				     .readable = readable,
				     .writable = (int)n - readable};
	for (int i = 0; i < (int)n; i++)
		*(i < readable ? &m->chain.readable_len
			       : &m->chain.writable_len) += m->iov[i].iov_len;
}

static void what_is_plain_is_read_alike(void **state)
{
	struct blk_limits limits = {.sectors = SECTORS, .discard = true, .write_zeroes = true};
	static struct blk_request r;
	unsigned taken = 0, transfers = 0;
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		struct blk_transfer t;
		struct made m;
		struct iovec before[SLICES];
		bool plain;
		int rc;

		limits.readonly = i % 16 == 15;
		make(&m, &seed);
		memcpy(before, m.iov, sizeof(before));
		plain = blk_request_plain(&m.chain, &limits, &t);
		assert_memory_equal(before, m.iov, sizeof(before));
		rc = blk_request_parse(&r, &m.chain, &limits);
		transfers += !rc && (r.action == BLK_READ || r.action == BLK_WRITE);
		if (!plain)
			continue;
		taken++;
		assert_int_equal(rc, 0);
		assert_int_equal(r.action, t.write ? BLK_WRITE : BLK_READ);
		assert_ptr_equal(r.status, t.status);
		assert_int_equal(r.sector, t.sector);
		assert_ptr_equal(r.data, t.data);
		assert_int_equal(r.n_data, t.n_data);
		assert_int_equal(r.data_len, t.data_len);
		assert_int_equal(r.writable, t.writable);
	}
	/* Most transfers, above all; a length may be spread over odd slices. */
	assert_true(taken > transfers / 2 && taken < transfers);
}

static void what_drivers_send_is_plain(void **state)
{
	const struct blk_limits limits = {.sectors = SECTORS};

	(void)state;
	for (unsigned n = 1; n <= SLICES - 2; n++) {
		for (int write = 0; write < 2; write++) {
			struct virtio_blk_req header = {
				.type = le32_make(write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN)};
			struct iovec iov[SLICES] = {{&header, sizeof(header)}};
			struct blk_transfer t;
			struct vq_chain chain = {.iov = iov};
			uint8_t status, data[512];

			for (unsigned i = 1; i <= n; i++)
				iov[i] = (struct iovec){data, sizeof(data)};
			iov[n + 1] = (struct iovec){&status, 1};
			chain.readable = write ? (int)n + 1 : 1;
			chain.writable = (int)n + 2 - chain.readable;
			chain.readable_len = 16 + (write ? n * sizeof(data) : 0);
			chain.writable_len = 1 + (write ? 0 : n * sizeof(data));
			assert_true(blk_request_plain(&chain, &limits, &t));
			assert_int_equal(t.n_data, n);
			assert_int_equal(t.data_len, n * sizeof(data));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_plain_is_read_alike),
		cmocka_unit_test(what_drivers_send_is_plain),
	};

	return cmocka_run_group_tests_name("backend/blk/request", tests, NULL, NULL);
}
