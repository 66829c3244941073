/* SPDX-License-Identifier: MIT */
/*
 * Legacy devices from the driver's side (virtio 1.4, 2.7.2, 3.1.2 and 7.4), against the strict
 * device made one.
 */
#include "frontend/blk/mock_test.h"

#include <errno.h>
#include <string.h>

static void legacy_init(struct mock *m)
{
	mock_init(m);
	m->base.legacy_align = 4096;
	m->base.can = BIT64(VIRTIO_F_INDIRECT_DESC) | BIT64(VIRTIO_F_EVENT_IDX);
	m->offered &= ~BIT64(VIRTIO_F_VERSION_1);
}

static void refused(struct mock *m, const struct ringside_options *o, int rc)
{
	struct ringside_disk *d;

	assert_int_equal(mock_open(m, o, &d), rc);
	assert_true(m->destroyed);
	assert_null(m->breach);
}

static void legacy_no_features_ok_and_no_version_1(void **state)
{
	static const uint8_t ladder[] = {
		0, VIRTIO_STATUS_ACKNOWLEDGE, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER,
		VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK, 0};
	struct ringside_disk *d;
	struct mock m;
	uint8_t *mem;
	unsigned n = 0;

	(void)state;
	legacy_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	assert_false(m.accepted & BIT64(VIRTIO_F_VERSION_1));
	mock_close(&m, &d);
	for (unsigned i = 0; i < m.n_acts; i++)
		if (m.acts[i].act == ACT_SET_STATUS)
			assert_int_equal(m.acts[i].value, ladder[n++]);
	assert_int_equal(n, ARRAY_SIZE(ladder));
}

static void legacy_nothing_beyond_what_it_knows(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	legacy_init(&m);
	m.offered = ~(BIT64(VIRTIO_BLK_F_ZONED) | BIT64(VIRTIO_BLK_F_BLK_SIZE));
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_int_equal(m.accepted >> 24, 1u << (28 - 24) | 1u << (29 - 24));
	mock_close(&m, &d);
}

static void legacy_version_1_cannot_be_demanded(void **state)
{
	struct ringside_options o = {.features_must = BIT64(VIRTIO_F_VERSION_1)};
	struct mock m;

	(void)state;
	legacy_init(&m);
	refused(&m, &o, -ENOTSUP);
}

/* The strict device looks at each ring when it is set up. */
static void legacy_ring_2_7_2(void **state)
{
	static const uint16_t sizes[] = {4, 8, 128, 256, 1024};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct ringside_options o = {.queues = 3};
		struct ringside_info info;
		struct ringside_disk *d;
		struct tried t;
		struct mock m;
		uint8_t *mem;

		legacy_init(&m);
		m.offered |= BIT64(VIRTIO_BLK_F_MQ) | BIT64(VIRTIO_F_INDIRECT_DESC);
		m.n_queues = 3;
		m.queue_size = sizes[i];
		memcpy(m.config + MOCK_FIELD(num_queues), (uint16_t[]){3}, 2);
		d = mock_run(&m, &o, 4096, &mem);
		ringside_get_info(d, &info);
		assert_int_equal(info.queues, 3);
		assert_int_equal(info.queue_size, sizes[i]);
		for (unsigned q = 0; q < 3; q++) {
			tried_init(&t);
			ringside_read(ringside_queue(d, q), &t.req, 0, mem, 512);
			ringside_commit(ringside_queue(d, q));
			assert_int_equal(mock_serve(&m, q), 1);
			assert_int_equal(ringside_poll(ringside_queue(d, q), 0), 1);
			assert_int_equal(t.result, 0);
		}
		/* And once more after a reset. */
		assert_int_equal(ringside_stop(d, NULL), 0);
		assert_int_equal(ringside_start(d, NULL), 0);
		mock_close(&m, &d);
	}
}

static void legacy_wish_for_a_size_is_no_reason_to_fail(void **state)
{
	struct ringside_options o = {.queue_size = 8};
	struct ringside_info info;
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	legacy_init(&m);
	m.queue_size = 64;
	assert_int_equal(mock_open(&m, &o, &d), 0);
	ringside_get_info(d, &info);
	assert_int_equal(info.queue_size, 64);
	mock_close(&m, &d);
}

static void legacy_sizes_that_no_ring_has(void **state)
{
	static const uint16_t sizes[] = {0, 1, 2, 3, 17, 255, 65535};
	struct mock m;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		legacy_init(&m);
		m.queue_size = sizes[i];
		refused(&m, NULL, -EPROTO);
	}
}

static void legacy_queues_of_different_sizes(void **state)
{
	struct ringside_options o = {.queues = 2};
	struct mock m;

	(void)state;
	legacy_init(&m);
	m.offered |= BIT64(VIRTIO_BLK_F_MQ);
	m.n_queues = 2;
	m.last_queue_size = 32;
	memcpy(m.config + MOCK_FIELD(num_queues), (uint16_t[]){2}, 2);
	refused(&m, &o, -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legacy_no_features_ok_and_no_version_1),
		cmocka_unit_test(legacy_nothing_beyond_what_it_knows),
		cmocka_unit_test(legacy_version_1_cannot_be_demanded),
		cmocka_unit_test(legacy_ring_2_7_2),
		cmocka_unit_test(legacy_wish_for_a_size_is_no_reason_to_fail),
		cmocka_unit_test(legacy_sizes_that_no_ring_has),
		cmocka_unit_test(legacy_queues_of_different_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
