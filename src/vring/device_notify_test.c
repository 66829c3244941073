/* SPDX-License-Identifier: MIT */
/* The device half: when what was published becomes visible, when it interrupts, when it wants
 * kicks, what is logged. */
#include "vring/event.h"
#include "vring/raw_ring_test.h"

static struct vring_config cfg(uint16_t num, bool event_idx, uint16_t base)
{
	return (struct vring_config){.num = num, .event_idx = event_idx, .base = base};
}

static struct vring_config packed_cfg(uint16_t num, bool event_idx, uint16_t slot, bool wrap)
{
	return (struct vring_config){.num = num,
				     .packed = true,
				     .event_idx = event_idx,
				     .base = (slot | (wrap ? 0x8000u : 0)) * 0x10001u};
}

static le16 *used_event(const struct raw_ring *r)
{
	return &raw_avail(r)->ring[r->config.num];
}

static le16 *avail_event(const struct raw_ring *r)
{
	return (le16 *)(void *)&raw_used(r)->ring[r->config.num];
}

/* @n chains through the ring, published in one. */
static void through(struct raw_ring *r, unsigned n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (r->config.packed) {
			raw_put(r, RAW_DATA, 8, F_WRITE, i);
		} else {
			raw_set(r, i, RAW_DATA, 8, F_WRITE, 0);
			raw_offer(r, i);
		}
		assert_int_equal(raw_pop(r), 1);
		vqdev_push(&r->dev, &r->chain.ticket, i);
	}
	vqdev_publish(&r->dev);
}

static void start_split(struct raw_ring *r, uint16_t num, bool event_idx, uint16_t base)
{
	raw_init(r, cfg(num, event_idx, base));
	le16_write(&raw_avail(r)->idx, base);
	le16_write(&raw_used(r)->idx, base);
}

static void vq_d_07_flags_decide_without_event_idx_r_17(void **state)
{
	struct raw_ring r;

	(void)state;
	start_split(&r, 8, false, 0);
	assert_false(vqdev_needs_interrupt(&r.dev)); /* nothing was published */
	for (uint32_t garbage = 0; garbage < 0x10000; garbage += 0x111) {
		le16_write(used_event(&r), (uint16_t)garbage);
		le16_write(&raw_avail(&r)->flags,
			   (uint16_t)(garbage & ~1u)); /* reserved bits mean nothing */
		through(&r, 1);
		assert_true(vqdev_needs_interrupt(&r.dev));
		assert_false(vqdev_needs_interrupt(&r.dev));
		le16_write(&raw_avail(&r)->flags, (uint16_t)(garbage | 1));
		through(&r, 1);
		assert_false(vqdev_needs_interrupt(&r.dev));
	}
	raw_fini(&r);
}

static void vq_d_08_used_event_at_every_distance(void **state)
{
	(void)state;
	for (uint16_t n = 1; n <= 4; n++)
		for (int event = -6; event <= 6; event++)
			for (unsigned base = 65530; base < 65542; base++) {
				uint16_t old = (uint16_t)base;
				struct raw_ring r;

				start_split(&r, 8, true, old);
				le16_write(used_event(&r), (uint16_t)(old + event));
				le16_write(&raw_avail(&r)->flags, 1); /* bit 0 means nothing */
				through(&r, n);
				assert_int_equal(vqdev_needs_interrupt(&r.dev),
						 event >= 0 && event < n);
				assert_false(vqdev_needs_interrupt(&r.dev));
				raw_fini(&r);
			}
}

static void vq_d_08_asked_seldom_still_notifies(void **state)
{
	struct raw_ring r;

	(void)state;
	start_split(&r, 8, true, 0);
	/* Once round the index space between two questions: every place was passed. */
	for (unsigned i = 0; i < 0x10000 / 8 + 1; i++)
		through(&r, 8);
	le16_write(used_event(&r), 30000);
	assert_true(vqdev_needs_interrupt(&r.dev));
	raw_fini(&r);
}

static void vq_d_09_entries_before_the_index(void **state)
{
	struct vq_ticket t[3];
	struct raw_ring r;

	(void)state;
	start_split(&r, 8, false, 0);
	for (uint16_t i = 0; i < 3; i++) {
		raw_set(&r, i, RAW_DATA, 8, F_WRITE, 0);
		raw_offer(&r, i);
		assert_int_equal(raw_pop(&r), 1);
		t[i] = r.chain.ticket;
	}
	for (int i = 2; i >= 0; i--)
		vqdev_push(&r.dev, &t[i], (uint32_t)i + 1);
	assert_int_equal(le16_read(&raw_used(&r)->idx), 0);
	assert_false(vqdev_needs_interrupt(&r.dev));
	vqdev_publish(&r.dev);
	assert_int_equal(le16_read(&raw_used(&r)->idx), 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(le32_read(&raw_used(&r)->ring[i].id), 2 - i);
		assert_int_equal(le32_read(&raw_used(&r)->ring[i].len),
				 3 - i); /* VQ-D-10: as pushed */
	}
	raw_fini(&r);
}

static void vq_d_11_used_flags(void **state)
{
	(void)state;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		struct raw_ring r;

		start_split(&r, 8, event_idx, 0);
		assert_int_equal(le16_read(&raw_used(&r)->flags), 0);
		vqdev_kicks_off(&r.dev);
		assert_int_equal(le16_read(&raw_used(&r)->flags), event_idx ? 0 : 1);
		vqdev_kicks_off(&r.dev);
		assert_false(vqdev_kicks_on(&r.dev));
		assert_int_equal(le16_read(&raw_used(&r)->flags), 0);
		through(&r, 2);
		assert_int_equal(le16_read(&raw_used(&r)->flags), 0);
		raw_fini(&r);
	}
}

static void vq_d_12_kicks_for_nothing(void **state)
{
	struct raw_ring r;

	(void)state;
	start_split(&r, 8, false, 0);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(raw_pop(&r), 0);
	assert_false(vqdev_broken(&r.dev));
	through(&r, 1);
	raw_fini(&r);
}

static void vq_d_13_looks_again_after_asking_for_kicks(void **state)
{
	struct raw_ring r;

	(void)state;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		start_split(&r, 8, event_idx, 65533);
		through(&r, 5);
		vqdev_kicks_off(&r.dev);
		assert_false(vqdev_kicks_on(&r.dev));
		if (event_idx)
			assert_int_equal(le16_read(avail_event(&r)), 2);
		vqdev_kicks_off(&r.dev);
		raw_offer(&r, 0);
		assert_true(vqdev_kicks_on(&r.dev)); /* one slipped in, silence again */
		assert_int_equal(le16_read(&raw_used(&r)->flags), event_idx ? 0 : 1);
		assert_int_equal(raw_pop(&r), 1);
		raw_fini(&r);
	}
}

/* ---- packed ---- */

static void pk_d_08_event_flags_r_17(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 4; flags++)
		for (int event_idx = 0; event_idx < 2; event_idx++)
			for (unsigned reserved = 0; reserved < 0x10000; reserved += 0x1004) {
				bool want = flags != RING_EVENT_FLAGS_DISABLE;
				struct raw_ring r;

				raw_init(&r, packed_cfg(4, event_idx, 0, true));
				le16_write(&raw_driver_event(&r)->off_wrap, 0 | RING_EVENT_WRAP);
				le16_write(&raw_driver_event(&r)->flags,
					   (uint16_t)(flags | reserved));
				through(&r, 1);
				assert_int_equal(vqdev_needs_interrupt(&r.dev), want);
				raw_fini(&r);
			}
}

/* Every place of two laps, seen from every start, for every batch: exactly the places passed
 * notify. */
static void pk_d_08_every_offset_and_both_wraps(void **state)
{
	static const uint16_t sizes[] = {1, 2, 3, 5, 7};

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint16_t num = sizes[s];

		for (unsigned start = 0; start < 2u * num; start++)
			for (unsigned n = 1; n <= num; n++)
				for (unsigned event = 0; event < 2u * num; event++) {
					/* Places 0 .. num - 1 are the lap of wrap counter 1. */
					bool passed = (event + 2 * num - start) % (2 * num) < n;
					struct raw_ring r;

					raw_init(&r, packed_cfg(num, true, (uint16_t)(start % num),
								start < num));
					le16_write(&raw_driver_event(&r)->off_wrap,
						   (uint16_t)(event % num |
							      (event < num ? RING_EVENT_WRAP : 0)));
					le16_write(&raw_driver_event(&r)->flags,
						   RING_EVENT_FLAGS_DESC);
					through(&r, n);
					assert_int_equal(vqdev_needs_interrupt(&r.dev), passed);
					raw_fini(&r);
				}
	}
}

static void pk_d_08_large_rings(void **state)
{
	static const uint16_t sizes[] = {256, 32767, 32768};

	(void)state;
	for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
		uint16_t num = sizes[s];

		for (int wrap = 0; wrap < 2; wrap++) {
			uint16_t w = wrap ? RING_EVENT_WRAP : 0, other = w ^ RING_EVENT_WRAP;

			/* Three slots passed: the last two of a lap and the first of the next. */
			assert_true(
				vring_packed_crossed(num, 1, !wrap, w | (uint16_t)(num - 2), 3));
			assert_true(
				vring_packed_crossed(num, 1, !wrap, w | (uint16_t)(num - 1), 3));
			assert_true(vring_packed_crossed(num, 1, !wrap, other | 0, 3));
			assert_false(vring_packed_crossed(num, 1, !wrap, other | 1, 3));
			assert_false(
				vring_packed_crossed(num, 1, !wrap, w | (uint16_t)(num - 3), 3));
			assert_false(vring_packed_crossed(num, 1, !wrap,
							  other | (uint16_t)(num - 1), 3));
			assert_false(vring_packed_crossed(num, 1, !wrap, w | 0, 3));
			if (num < 32763) /* no slot of the ring: notify rather than not */
				assert_true(vring_packed_crossed(num, 1, !wrap,
								 w | (uint16_t)(num + 5), 3));
		}
	}
}

static void pk_d_08_what_the_device_asks_for(void **state)
{
	(void)state;
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		const struct pvirtq_event *e;
		struct raw_ring r;

		raw_init(&r, packed_cfg(5, event_idx, 3, true));
		e = raw_device_event(&r);
		assert_int_equal(le16_read(&e->flags),
				 event_idx ? RING_EVENT_FLAGS_DESC : RING_EVENT_FLAGS_ENABLE);
		vqdev_kicks_off(&r.dev);
		assert_int_equal(le16_read(&e->flags), RING_EVENT_FLAGS_DISABLE);
		through(&r, 3);
		assert_false(vqdev_kicks_on(&r.dev));
		if (event_idx)
			assert_int_equal(le16_read(&e->off_wrap), 1); /* slot 1, wrap counter 0 */
		vqdev_kicks_off(&r.dev);
		raw_put(&r, RAW_DATA, 8, F_WRITE, 0);
		assert_true(vqdev_kicks_on(&r.dev));
		assert_int_equal(le16_read(&e->flags), RING_EVENT_FLAGS_DISABLE);
		raw_fini(&r);
	}
}

/* ---- IN_ORDER ---- */

static void st_d_21_kb_11_in_order_on_a_full_queue(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++) {
		struct vring_config c = packed ? packed_cfg(5, false, 2, false)
					       : cfg(4, false, 65534);
		unsigned num = c.num;
		struct raw_ring r;

		c.in_order = true;
		raw_init(&r, c);
		if (!packed)
			le16_write(&raw_avail(&r)->idx, c.base & 0xffff);
		for (unsigned lap = 0; lap < 5; lap++) {
			uint16_t used = vqdev_base(&r.dev) & 0x7fff;
			struct vq_ticket t[5];

			for (uint16_t i = 0; i < num; i++) {
				if (packed) {
					raw_put(&r, RAW_DATA, 8, F_WRITE, i);
				} else {
					raw_set(&r, i, RAW_DATA, 8, F_WRITE, 0);
					raw_offer(&r, i);
				}
				assert_int_equal(raw_pop(&r), 1);
				t[i] = r.chain.ticket;
			}
			assert_int_equal(raw_pop(&r), 0);
			/* The last first: nothing may show until the first is there. */
			for (unsigned i = num; --i;) {
				vqdev_push(&r.dev, &t[i], i);
				vqdev_publish(&r.dev);
				assert_false(vqdev_needs_interrupt(&r.dev));
			}
			vqdev_push(&r.dev, &t[0], 0);
			vqdev_publish(&r.dev);
			assert_true(vqdev_needs_interrupt(&r.dev));
			assert_int_equal(vqdev_in_flight(&r.dev), 0);
			for (unsigned i = 0; i < num; i++) {
				unsigned at = (used + i) % num;

				if (packed)
					assert_int_equal(le16_read(&raw_packed(&r)[at].id), i);
				else
					assert_int_equal(le32_read(&raw_used(&r)->ring[at].id), i);
			}
		}
		raw_fini(&r);
	}
}

/* ---- the dirty log ---- */

struct logged {
	struct raw_ring r;
	struct gmem *before;
	struct gmem_log *log;
};

static void logged_init(struct logged *l, bool packed, bool event_idx)
{
	raw_init(&l->r, packed ? packed_cfg(8, event_idx, 0, true) : cfg(8, event_idx, 0));
	l->log = gmem_log_new();
	assert_non_null(l->log);
	l->before = l->r.mem;
	assert_int_equal(gmem_with_log(l->before, l->log, &l->r.mem), 0);
	assert_int_equal(vqdev_remap(&l->r.dev, l->r.mem), 0);
}

static void logged_fini(struct logged *l)
{
	raw_fini(&l->r);
	gmem_put(l->before);
	gmem_log_put(l->log);
}

/* The first 64 pages, of which the ring and its data take fewer. */
static uint64_t logged_take(struct logged *l)
{
	uint64_t bits = 0;

	_Static_assert(RAW_END <= 64 * 4096, "one word");
	gmem_log_take(l->log, 0, 64 * 4096, 4096, &bits);
	return bits;
}

/* Every page that the device half writes, and no other. */
static void kb_34_what_is_written_is_logged(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (int event_idx = 0; event_idx < 2; event_idx++) {
			const uint64_t device = BIT64(RAW_DEVICE / 4096),
				       desc = BIT64(RAW_BASE / 4096);
			struct logged l;

			logged_init(&l, packed, event_idx);
			if (packed) {
				raw_put(&l.r, RAW_DATA, 0, F_WRITE, 0);
			} else {
				raw_set(&l.r, 0, RAW_DATA, 0, F_WRITE, 0);
				raw_offer(&l.r, 0);
			}
			assert_int_equal(raw_pop(&l.r), 1);
			assert_int_equal(logged_take(&l), 0); /* nothing was written yet */
			vqdev_push(&l.r.dev, &l.r.chain.ticket, 0);
			vqdev_publish(&l.r.dev);
			assert_int_equal(logged_take(&l), packed ? desc : device);
			vqdev_kicks_off(&l.r.dev);
			assert_false(vqdev_kicks_on(&l.r.dev));
			assert_int_equal(logged_take(&l), device);
			logged_fini(&l);
		}
}

/*
 * A mark that is there when a chain is popped is taken by whoever moves the guest, and the page
 * copied, before the device has written to it: it has to come when the chain is given back.
 */
static void buffers_are_logged_when_they_are_given_back(void **state)
{
	(void)state;
	for (int packed = 0; packed < 2; packed++)
		for (int broken = 0; broken < 2; broken++) {
			const uint64_t buffer = BIT64(RAW_DATA / 4096),
				       ring = BIT64(RAW_BASE / 4096),
				       device = BIT64(RAW_DEVICE / 4096);
			struct vq_ticket first;
			struct logged l;
			uint64_t bits;

			logged_init(&l, packed, false);
			if (packed) {
				raw_put(&l.r, RAW_DATA, 16, F_WRITE, 0);
			} else {
				raw_set(&l.r, 0, RAW_DATA, 16, F_WRITE, 0);
				raw_offer(&l.r, 0);
			}
			assert_int_equal(raw_pop(&l.r), 1);
			first = l.r.chain.ticket;
			assert_int_equal(logged_take(&l), 0);
			/* Put back as if it had not been popped: nothing is written. */
			vqdev_unpop(&l.r.dev, &first);
			assert_int_equal(raw_pop(&l.r), 1);
			assert_int_equal(logged_take(&l), 0);
			if (broken)
				vqdev_break(&l.r.dev, "a test");
			vqdev_push(&l.r.dev, &l.r.chain.ticket, 16);
			bits = logged_take(&l);
			assert_int_equal(bits & buffer, buffer);
			if (broken)
				assert_int_equal(bits & ~buffer, 0);
			else
				assert_int_equal(bits & ~buffer, packed ? ring & ~buffer : device);
			logged_fini(&l);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_d_07_flags_decide_without_event_idx_r_17),
		cmocka_unit_test(vq_d_08_used_event_at_every_distance),
		cmocka_unit_test(vq_d_08_asked_seldom_still_notifies),
		cmocka_unit_test(vq_d_09_entries_before_the_index),
		cmocka_unit_test(vq_d_11_used_flags),
		cmocka_unit_test(vq_d_12_kicks_for_nothing),
		cmocka_unit_test(vq_d_13_looks_again_after_asking_for_kicks),
		cmocka_unit_test(pk_d_08_event_flags_r_17),
		cmocka_unit_test(pk_d_08_every_offset_and_both_wraps),
		cmocka_unit_test(pk_d_08_large_rings),
		cmocka_unit_test(pk_d_08_what_the_device_asks_for),
		cmocka_unit_test(kb_34_what_is_written_is_logged),
		cmocka_unit_test(buffers_are_logged_when_they_are_given_back),
		cmocka_unit_test(st_d_21_kb_11_in_order_on_a_full_queue),
	};

	return cmocka_run_group_tests_name("vring/device_notify", tests, NULL, NULL);
}
