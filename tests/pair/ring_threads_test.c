/* SPDX-License-Identifier: MIT */
/*
 * The two halves on two threads: notifications that are asked for only when needed must not get
 * lost, and the barriers must hold (run under TSan).  A third thread that scribbles over the ring
 * must not be able to hurt the device half.
 */
#include "test.h"

#include "ring_pair.h"

#include "base/atomic.h"
#include "base/bits.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define HANG_MS 30000

struct side_by_side {
	struct ring_pair p;
	int kick, call, stop;
	uint32_t requests;
	bool hung;
	uint32_t kicks, calls;
};

/* Sleeps until the eventfd is signalled: false after a time that only a lost notification takes. */
static bool sleep_on(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	uint64_t n;

	if (poll(&pfd, 1, HANG_MS) != 1)
		return false;
	return read(fd, &n, sizeof(n)) == sizeof(n);
}

static void wake(int fd)
{
	const uint64_t one = 1;

	(void)!write(fd, &one, sizeof(one));
}

static void *device_thread(void *arg)
{
	struct side_by_side *s = arg;
	struct vqdev *vq = &s->p.dev;
	struct pair_chain c;
	uint64_t random = 99;

	c.chain.iov = c.iov;
	c.chain.iov_max = PAIR_IOV;
	for (uint32_t done = 0; done < s->requests;) {
		int rc;

		vqdev_kicks_off(vq);
		while ((rc = vqdev_pop(vq, &c.chain)) > 0) {
			uint32_t len = (uint32_t)c.chain.writable_len;

			pair_chain_serve(&c, len);
			vqdev_push(vq, &c.chain.ticket, len);
			done++;
			if (!pair_random(&random, 3))
				break;
		}
		if (rc < 0) {
			s->hung = true;
			return NULL;
		}
		vqdev_publish(vq);
		if (vqdev_needs_interrupt(vq)) {
			s->calls++;
			wake(s->call);
		}
		if (rc == 0 && done < s->requests && !vqdev_kicks_on(vq) && !sleep_on(s->kick)) {
			s->hung = true;
			return NULL;
		}
	}
	return NULL;
}

static void drive(struct side_by_side *s)
{
	struct ring_pair *p = &s->p;
	unsigned parts = (unsigned)min_u64(PAIR_PARTS, p->config.num);
	uint32_t added = 0, reaped = 0, zone = 0, len;
	void *cookie;

	while (reaped < s->requests) {
		struct pair_req *r = &p->reqs[zone];
		bool full = r->busy || added == s->requests;
		int rc;

		if (!full) {
			pair_req_make(p, r, parts);
			rc = vqdrv_add(&p->drv, r->bufs, r->readable, r->writable, r);
			full = rc == -ENOSPC;
			if (!rc) {
				r->busy = true;
				added++;
				zone = (zone + 1) % p->config.zones;
			}
		}
		if (!full && pair_random(&p->random, 4))
			continue;
		vqdrv_publish(&p->drv);
		if (vqdrv_needs_kick(&p->drv)) {
			s->kicks++;
			wake(s->kick);
		}
		vqdrv_calls_off(&p->drv);
		while ((rc = vqdrv_reap(&p->drv, &cookie, &len)) > 0) {
			r = cookie;
			if (!r->busy || !pair_req_check(p, r, len))
				s->hung = true;
			r->busy = false;
			reaped++;
			full = false; /* there may be room again */
		}
		if (rc < 0)
			s->hung = true;
		if (s->hung)
			return;
		if (full && reaped < s->requests && !vqdrv_calls_on(&p->drv) &&
		    !sleep_on(s->call)) {
			s->hung = true;
			return;
		}
	}
}

static void run_threads(const struct ring_pair_config *config, uint32_t requests)
{
	struct side_by_side s = {.requests = requests};
	pthread_t device;

	ring_pair_init(&s.p, config);
	s.kick = eventfd(0, EFD_CLOEXEC);
	s.call = eventfd(0, EFD_CLOEXEC);
	assert_true(s.kick >= 0 && s.call >= 0);
	assert_int_equal(pthread_create(&device, NULL, device_thread, &s), 0);
	drive(&s);
	assert_int_equal(pthread_join(device, NULL), 0);
	assert_false(s.hung);
	assert_int_equal(vqdrv_outstanding(&s.p.drv), 0);
	close(s.kick);
	close(s.call);
	ring_pair_fini(&s.p);
}

static void run_layout(bool packed)
{
	static const uint16_t sizes[] = {1, 2, 8, 256};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned features = 0; features < 8; features++) {
			const struct ring_pair_config c = {
				.num = packed && sizes[i] == 8 ? 7 : sizes[i],
				.packed = packed,
				.event_idx = features & 1,
				.indirect = features & 2,
				.in_order = features & 4,
				.start = packed ? sizes[i] / 2 : 65535 - 200,
				.wrap = packed,
				.zones = 16,
			};

			run_threads(&c, 1200);
		}
}

static void vq_d_13_split_no_notification_is_lost(void **state)
{
	(void)state;
	run_layout(false);
}

static void vq_d_13_packed_no_notification_is_lost(void **state)
{
	(void)state;
	run_layout(true);
}

/* ---- scribbling ---- */

struct scribbler {
	struct ring_pair *p;
	uint32_t stop;
	uint64_t random;
};

/* A guest gone mad: any 16 bits of the ring's region, tables included, at any time; mostly values
 * that look like something. */
static void *scribble_thread(void *arg)
{
	struct scribbler *s = arg;
	uint16_t *ring = (uint16_t *)(void *)s->p->block[0];
	const struct gmem_region *region = &s->p->mem->regions[0];
	uint32_t words = (uint32_t)(region->size / 2);

	while (!read_once(&s->stop)) {
		uint32_t at = pair_random(&s->random, words);
		uint16_t v = (uint16_t)pair_random(&s->random, 65536);

		switch (pair_random(&s->random, 4)) {
		case 0:
			v &= 0x8087;
			break;
		case 1:
			v &= 15;
			break;
		case 2:
			v = (uint16_t)(read_once(&ring[at]) + 1);
			break;
		default:
			break;
		}
		write_once(&ring[at], v);
	}
	return NULL;
}

/* What is popped must be what was checked: each slice within memory, sums right, however the ring
 * changes meanwhile. */
static bool chain_is_sound(const struct ring_pair *p, const struct vq_chain *chain)
{
	uint64_t sum[2] = {0, 0};
	int n = chain->readable + chain->writable;

	if (n > chain->iov_max || vqdev_in_flight(&p->dev) > p->config.num)
		return false;
	for (int i = 0; i < n; i++) {
		const uint8_t *base = chain->iov[i].iov_base;
		bool inside = false;

		for (uint32_t r = 0; r < p->mem->n; r++) {
			const struct gmem_region *g = &p->mem->regions[r];

			if (base >= g->host && base < g->host + g->size &&
			    chain->iov[i].iov_len <= (size_t)(g->host + g->size - base))
				inside = true;
		}
		if (!inside)
			return false;
		sum[i >= chain->readable] += chain->iov[i].iov_len;
	}
	return sum[0] == chain->readable_len && sum[1] == chain->writable_len;
}

static void scribbled(bool packed, bool event_idx, bool in_order)
{
	const struct ring_pair_config c = {.num = 8,
					   .packed = packed,
					   .event_idx = event_idx,
					   .indirect = true,
					   .in_order = in_order,
					   .wrap = packed,
					   .zones = 4};
	struct ring_pair p;
	struct iovec iov[PAIR_IOV];
	struct vq_chain chain = {.iov = iov, .iov_max = PAIR_IOV};
	struct scribbler s = {.p = &p, .random = packed * 4u + event_idx * 2u + in_order};
	pthread_t scribble;
	bool sound = true;

	ring_pair_init(&p, &c);
	assert_int_equal(pthread_create(&scribble, NULL, scribble_thread, &s), 0);
	for (uint32_t round = 0; sound && round < 4000; round++) {
		struct vq_ticket out[8];
		uint32_t n = 0;
		int rc;

		/* A broken queue is one that was reset, for this purpose. */
		if (vqdev_broken(&p.dev)) {
			vqdev_fini(&p.dev);
			p.ring.base =
				packed ? vring_base_initial(true)
				       : le16_read(&((const struct virtq_avail *)p.drv.split.avail)
							    ->idx);
			assert_int_equal(vqdev_init(&p.dev, &p.ring, p.mem, NULL), 0);
		}
		while (n < 8 && (rc = vqdev_pop(&p.dev, &chain)) > 0) {
			sound = sound && chain_is_sound(&p, &chain);
			out[n++] = chain.ticket;
		}
		vqdev_kicks_on(&p.dev);
		while (n)
			vqdev_push(&p.dev, &out[--n], 1);
		vqdev_publish(&p.dev);
		vqdev_needs_interrupt(&p.dev);
		vqdev_kicks_off(&p.dev);
	}
	write_once(&s.stop, 1);
	assert_int_equal(pthread_join(scribble, NULL), 0);
	assert_true(sound);
	ring_pair_fini(&p);
}

static void r_16_scribbling_while_the_device_reads(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		scribbled(i & 1, i & 2, i & 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_d_13_split_no_notification_is_lost),
		cmocka_unit_test(vq_d_13_packed_no_notification_is_lost),
		cmocka_unit_test(r_16_scribbling_while_the_device_reads),
	};

	return cmocka_run_group_tests_name("pair/ring_threads", tests, NULL, NULL);
}
