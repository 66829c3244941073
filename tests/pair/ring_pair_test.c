/* SPDX-License-Identifier: MIT */
/* The driver half against the device half: every layout, feature set and size, random chains,
 * random order. */
#include "test.h"

#include "ring_pair.h"

#include "base/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct traffic {
	struct ring_pair p;
	struct pair_chain *have; /* chains that the device has popped */
	uint32_t have_n;
	uint32_t zones;
	uint32_t added, reaped;
	uint32_t next_reaped; /* IN_ORDER: number of the request that must come back next */
	uint32_t *number;     /* per zone: the request's number                          */
};

static void driver_add(struct traffic *t, uint32_t limit)
{
	struct ring_pair *p = &t->p;
	unsigned parts = (unsigned)min_u64(PAIR_PARTS, p->config.num);
	uint32_t first = pair_random(&p->random, t->zones);

	if (p->config.indirect)
		parts = PAIR_PARTS;
	for (uint32_t i = 0; i < t->zones && t->added < limit; i++) {
		struct pair_req *r = &p->reqs[(first + i) % t->zones];
		int rc;

		if (r->busy)
			continue;
		pair_req_make(p, r, parts);
		rc = vqdrv_add(&p->drv, r->bufs, r->readable, r->writable, r);
		if (rc == -ENOSPC)
			break;
		assert_int_equal(rc, 0);
		r->busy = true;
		t->number[r->zone] = t->added++;
		if (!pair_random(&p->random, 5))
			break;
	}
	vqdrv_publish(&p->drv);
}

static void driver_reap(struct traffic *t)
{
	struct ring_pair *p = &t->p;
	uint32_t len;
	void *cookie;
	int rc;

	while ((rc = vqdrv_reap(&p->drv, &cookie, &len)) > 0) {
		struct pair_req *r = cookie;

		assert_true(r->busy);
		assert_true(pair_req_check(p, r, len));
		if (p->config.in_order)
			assert_int_equal(t->number[r->zone], t->next_reaped++);
		r->busy = false;
		t->reaped++;
		if (!pair_random(&p->random, 20))
			break;
	}
	assert_true(rc >= 0);
}

static void device_turn(struct traffic *t)
{
	struct ring_pair *p = &t->p;
	uint32_t finish;
	int rc = 1;

	while (t->have_n < t->zones) {
		struct pair_chain *c = &t->have[t->have_n];

		c->chain.iov = c->iov;
		c->chain.iov_max = PAIR_IOV;
		rc = vqdev_pop(&p->dev, &c->chain);
		if (rc <= 0)
			break;
		t->have_n++;
		if (!pair_random(&p->random, 10))
			break;
	}
	assert_true(rc >= 0);
	assert_int_equal(vqdev_in_flight(&p->dev), t->have_n);
	finish = t->have_n ? pair_random(&p->random, t->have_n + 1) : 0;
	while (finish--) {
		uint32_t i = pair_random(&p->random, t->have_n);
		struct pair_chain *c = &t->have[i];
		uint32_t len = pair_random(&p->random, (uint32_t)c->chain.writable_len + 1);

		pair_chain_serve(c, len);
		vqdev_push(&p->dev, &c->chain.ticket, len);
		t->have[i] = t->have[--t->have_n];
		if (!pair_random(&p->random, 6))
			vqdev_publish(&p->dev);
	}
	vqdev_publish(&p->dev);
}

static void run(const struct ring_pair_config *config, uint32_t requests)
{
	struct traffic t = {.zones = config->zones};
	uint32_t turns = 0;

	ring_pair_init(&t.p, config);
	t.have = calloc(t.zones, sizeof(*t.have));
	t.number = calloc(t.zones, sizeof(*t.number));
	assert_non_null(t.have);
	assert_non_null(t.number);
	while (t.reaped < requests) {
		driver_add(&t, requests);
		device_turn(&t);
		driver_reap(&t);
		assert_true(++turns < requests * 100 + 1000);
	}
	assert_int_equal(t.have_n, 0);
	assert_int_equal(vqdrv_outstanding(&t.p.drv), 0);
	assert_int_equal(vqdrv_free(&t.p.drv), config->num);
	assert_false(vqdev_waiting(&t.p.dev));
	if (!config->packed)
		assert_int_equal(vqdev_base(&t.p.dev), (uint16_t)(config->start + requests));
	free(t.have);
	free(t.number);
	ring_pair_fini(&t.p);
}

static void run_features(bool packed, uint16_t num)
{
	for (unsigned features = 0; features < 8; features++) {
		struct ring_pair_config c = {
			.num = num,
			.packed = packed,
			.event_idx = features & 1,
			.indirect = features & 2,
			.in_order = features & 4,
			.zones = (uint32_t)min_u64(num < 4 ? 4 : num, 128),
		};

		if (packed) {
			c.wrap = true;
			run(&c, 600);
			c.start = num - 1;
			c.wrap = false;
			run(&c, 300);
		} else {
			run(&c, 600);
			c.start = 65535 - 100;
			run(&c, 600);
		}
	}
}

static void split_all_features_and_sizes(void **state)
{
	static const uint16_t sizes[] = {1, 2, 4, 8, 256, 1024, 32768};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		run_features(false, sizes[i]);
}

static void packed_all_features_and_sizes(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 5, 7, 8, 255, 256, 1000, 32767, 32768};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		run_features(true, sizes[i]);
}

/* Every entry taken, popped, given back and reaped, three laps: full is not empty, and nothing is
 * lost at the end. */
static void fill(bool packed, bool in_order, uint16_t num, uint16_t start, bool wrap)
{
	const struct ring_pair_config c = {.num = num,
					   .packed = packed,
					   .in_order = in_order,
					   .start = start,
					   .wrap = wrap,
					   .zones = 4};
	struct vq_ticket *tickets = calloc(num, sizeof(*tickets));
	struct ring_pair p;
	struct iovec iov[1];
	struct vq_chain chain = {.iov = iov, .iov_max = 1};
	uint32_t len;
	void *cookie;

	assert_non_null(tickets);
	ring_pair_init(&p, &c);
	for (int lap = 0; lap < 3; lap++) {
		const struct vqdrv_buf buf = {p.data_gpa, 8};

		for (uintptr_t i = 0; i < num; i++)
			assert_int_equal(vqdrv_add(&p.drv, &buf, 0, 1, (void *)(i + 1)), 0);
		assert_int_equal(vqdrv_add(&p.drv, &buf, 0, 1, NULL), -ENOSPC);
		vqdrv_publish(&p.drv);
		for (uint32_t i = 0; i < num; i++) {
			assert_int_equal(vqdev_pop(&p.dev, &chain), 1);
			tickets[i] = chain.ticket;
		}
		assert_int_equal(vqdev_pop(&p.dev, &chain), 0);
		assert_int_equal(vqdev_in_flight(&p.dev), num);
		for (uint32_t i = num; i--;)
			vqdev_push(&p.dev, &tickets[i], i % 9);
		assert_int_equal(vqdrv_reap(&p.drv, &cookie, &len), 0);
		vqdev_publish(&p.dev);
		for (uint32_t i = 0; i < num; i++) {
			uint32_t want = in_order ? i : num - 1 - i;

			assert_int_equal(vqdrv_reap(&p.drv, &cookie, &len), 1);
			assert_int_equal((uintptr_t)cookie, want + 1);
			assert_int_equal(len, want % 9);
		}
		assert_int_equal(vqdrv_reap(&p.drv, &cookie, &len), 0);
	}
	free(tickets);
	ring_pair_fini(&p);
}

static void full_rings_of_every_size(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 5, 8, 1000, 1024, 32767, 32768};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint16_t num = sizes[i];

		for (int in_order = 0; in_order < 2; in_order++) {
			if (is_pow2(num)) {
				fill(false, in_order, num, 0, false);
				fill(false, in_order, num, 65535, false);
			}
			fill(true, in_order, num, 0, true);
			fill(true, in_order, num, num - 1, false);
			fill(true, in_order, num, num / 2, true);
		}
	}
}

/* GET_VRING_BASE of a drained queue, a new device half from there: the driver does not notice. */
static void device_half_starts_in_the_middle(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		const struct ring_pair_config c = {
			.num = 8, .packed = packed, .wrap = packed, .zones = 4};
		struct iovec iov[1];
		struct vq_chain chain = {.iov = iov, .iov_max = 1};
		struct ring_pair p;
		uint32_t len;
		void *cookie;

		ring_pair_init(&p, &c);
		for (unsigned i = 0; i < 40; i++) {
			const struct vqdrv_buf buf = {p.data_gpa, 8};

			assert_int_equal(vqdrv_add(&p.drv, &buf, 0, 1, &p), 0);
			vqdrv_publish(&p.drv);
			assert_int_equal(vqdev_pop(&p.dev, &chain), 1);
			vqdev_push(&p.dev, &chain.ticket, 3);
			vqdev_publish(&p.dev);
			assert_int_equal(vqdrv_reap(&p.drv, &cookie, &len), 1);
			assert_int_equal(len, 3);

			p.ring.base = vqdev_base(&p.dev);
			vqdev_fini(&p.dev);
			assert_int_equal(vqdev_init(&p.dev, &p.ring, p.mem, NULL), 0);
		}
		ring_pair_fini(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_all_features_and_sizes),
		cmocka_unit_test(packed_all_features_and_sizes),
		cmocka_unit_test(full_rings_of_every_size),
		cmocka_unit_test(device_half_starts_in_the_middle),
	};

	return cmocka_run_group_tests_name("pair/ring", tests, NULL, NULL);
}
