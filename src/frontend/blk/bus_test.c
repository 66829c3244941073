/* SPDX-License-Identifier: MIT */
/* The driver's side of the virtio bus, rule by rule, against a strict device. */
#include "frontend/blk/mock_test.h"

#include <errno.h>
#include <string.h>

#define ACK    VIRTIO_STATUS_ACKNOWLEDGE
#define DRV    VIRTIO_STATUS_DRIVER
#define FOK    VIRTIO_STATUS_FEATURES_OK
#define DOK    VIRTIO_STATUS_DRIVER_OK
#define FAILED VIRTIO_STATUS_FAILED

static void st_g_01_status_bits_are_only_added(void **state)
{
	static const uint8_t ladder[] = {0, ACK, ACK | DRV, ACK | DRV | FOK, ACK | DRV | FOK | DOK,
					 0};
	struct ringside_disk *d;
	struct mock m;
	uint8_t *mem;
	unsigned n = 0;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	mock_close(&m, &d);
	for (unsigned i = 0; i < m.n_acts; i++)
		if (m.acts[i].act == ACT_SET_STATUS)
			assert_int_equal(m.acts[i].value, ladder[n++]);
	assert_int_equal(n, 6);
}

static void st_g_02_after_failed_comes_a_reset(void **state)
{
	struct ringside_disk *d;
	struct mock m;
	int failed;

	(void)state;
	mock_init(&m);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	vdriver_fail(&d->v);
	failed = (int)m.n_acts;
	assert_int_equal(vdriver_ok(&d->v, NULL), -EIO);
	assert_int_equal(ringside_start(d, NULL), 0);
	assert_int_equal(m.acts[failed].act, ACT_SET_STATUS);
	assert_int_equal(m.acts[failed].value, 0);
	mock_close(&m, &d);
}

static void st_g_02_needs_reset_takes_nothing_back_before_the_reset(void **state)
{
	struct ringside_disk *d;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	tried_init(&t);
	ringside_read(ringside_queue(d, 0), &t.req, 0, mem, 512);
	ringside_commit(ringside_queue(d, 0));
	m.status_noise = VIRTIO_STATUS_NEEDS_RESET;
	m.next_events = TRANSPORT_EVENT_STATUS;
	assert_int_equal(ringside_process(d), RINGSIDE_EVENT_NEEDS_RESET);
	assert_int_equal(ringside_poll(ringside_queue(d, 0), 0), -ENODEV);
	assert_int_equal(t.times, 0);
	m.status_noise = 0;
	assert_int_equal(ringside_stop(d, NULL), 0);
	assert_int_equal(t.times, 1);
	assert_int_equal(t.result, -ECANCELED);
	assert_int_equal(ringside_start(d, NULL), 0);
	mock_close(&m, &d);
}

static void st_g_03_nothing_that_is_not_offered(void **state)
{
	struct ringside_options o = {.features_on = ~UINT64_C(0)};
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		mock_init(&m);
		m.offered = BIT64(VIRTIO_F_VERSION_1) | BIT64(bit);
		mock_config32(&m, MOCK_FIELD(blk_size), 512);
		assert_int_equal(mock_open(&m, &o, &d), 0);
		assert_int_equal(m.accepted & ~m.offered, 0);
		mock_close(&m, &d);
	}
}

static void st_g_03_no_write_cache_switch_without_flush(void **state)
{
	struct ringside_options o = {.features_off = BIT64(VIRTIO_BLK_F_FLUSH)};
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered |= BIT64(VIRTIO_BLK_F_CONFIG_WCE);
	assert_int_equal(mock_open(&m, &o, &d), 0);
	assert_int_equal(m.accepted & BIT64(VIRTIO_BLK_F_CONFIG_WCE), 0);
	mock_close(&m, &d);
	mock_init(&m);
	m.offered &= ~BIT64(VIRTIO_BLK_F_FLUSH);
	m.offered |= BIT64(VIRTIO_BLK_F_CONFIG_WCE);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_int_equal(m.accepted & BIT64(VIRTIO_BLK_F_CONFIG_WCE), 0);
	mock_close(&m, &d);
}

static void st_g_04_unknown_bits_are_ignored(void **state)
{
	uint64_t foreign = BIT64(0) | BIT64(3) | BIT64(7) | BIT64(8) | BIT64(18) | BIT64(23) |
			   BIT64(24) | BIT64(27) | BIT64(30) | BIT64(31) | BIT64(42) | BIT64(63) |
			   BIT64(VIRTIO_F_SR_IOV) | BIT64(VIRTIO_F_ADMIN_VQ);
	struct ringside_options o = {.features_on = ~UINT64_C(0)};
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered = ~UINT64_C(0);
	mock_config32(&m, MOCK_FIELD(blk_size), 512);
	assert_int_equal(mock_open(&m, &o, &d), 0);
	assert_int_equal(m.accepted & foreign, 0);
	mock_close(&m, &d);
}

static void st_g_05_falls_back_or_fails(void **state)
{
	struct ringside_options o = {.features_must = BIT64(VIRTIO_F_RING_PACKED)};
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	mock_close(&m, &d);

	mock_init(&m);
	assert_int_equal(mock_open(&m, &o, &d), -ENOTSUP);
	assert_null(d);
	assert_true(m.status & FAILED);
	assert_int_equal(mock_count(&m, ACT_SET_FEATURES), 0);
	assert_null(m.breach);
}

static void st_g_06_reset_is_done_when_the_status_reads_0(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.reset_lags = 50;
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_true(mock_find(&m, ACT_SET_STATUS, ACK) > 50);
	m.reset_lags = 0;
	mock_close(&m, &d);
}

static void kb_95_reset_that_never_ends(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.reset_never = true;
	m.base.reset_ms = 20;
	assert_int_equal(mock_open(&m, NULL, &d), -ETIMEDOUT);
	assert_int_equal(mock_find(&m, ACT_SET_STATUS, ACK), -1);
	assert_true(m.destroyed);
}

static void kb_96_requests_come_back_when_the_reset_never_ends(void **state)
{
	struct ringside_disk *d;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	tried_init(&t);
	ringside_read(ringside_queue(d, 0), &t.req, 0, mem, 512);
	ringside_commit(ringside_queue(d, 0));
	m.reset_never = true;
	m.base.reset_ms = 20;
	assert_int_equal(ringside_stop(d, NULL), -ETIMEDOUT);
	assert_int_equal(mock_count(&m, ACT_DISCONNECT), 1);
	assert_int_equal(t.times, 1);
	assert_int_equal(t.result, -ECANCELED);
	ringside_close(&d);
}

static void grow(struct mock *m)
{
	mock_config64(m, MOCK_FIELD(capacity), UINT64_C(0x200000003));
}

static void st_g_07_torn_capacity_is_read_again(void **state)
{
	struct ringside_disk *d;
	struct ringside_info info;
	struct mock m;

	(void)state;
	mock_init(&m);
	mock_config64(&m, MOCK_FIELD(capacity), UINT64_C(0x1ffffffff));
	m.generation_bumps = 1;
	m.on_bump = grow;
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	ringside_get_info(d, &info);
	assert_int_equal(info.capacity, UINT64_C(0x200000003) * 512);
	mock_close(&m, &d);
}

static void kb_95_generation_that_never_stands_still(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.generation_bumps = UINT32_MAX;
	assert_int_equal(mock_open(&m, NULL, &d), -EIO);
	assert_true(m.status & FAILED);
	assert_null(m.breach);
}

static void st_g_08_optional_fields_only_with_their_feature(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered = BIT64(VIRTIO_F_VERSION_1);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	for (unsigned i = 0; i < m.n_acts; i++)
		if (m.acts[i].act == ACT_CONFIG_READ)
			assert_true(m.acts[i].value < 8);
	mock_close(&m, &d);
}

static void st_g_09_a_configuration_is_only_large_enough(void **state)
{
	static const uint32_t sizes[] = {16, 96, 4096};
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		mock_init(&m);
		m.config_size = sizes[i];
		assert_int_equal(mock_open(&m, NULL, &d), 0);
		mock_close(&m, &d);
	}
	mock_init(&m);
	m.config_size = 12;
	assert_int_equal(mock_open(&m, NULL, &d), -EINVAL);
	assert_true(m.status & FAILED);
}

static void st_g_10_queue_reset_then_a_full_set_up(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;
	unsigned at;

	(void)state;
	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_RING_RESET);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	tried_init(&t);
	ringside_read(q, &t.req, 0, mem, 512);
	ringside_commit(q);
	at = m.n_acts;
	assert_int_equal(ringside_queue_reset(q), 0);
	assert_int_equal(t.times, 1);
	assert_int_equal(t.result, -ECANCELED);
	assert_int_equal(m.acts[at].act, ACT_QUEUE_RESET);
	assert_int_equal(m.acts[at + 1].act, ACT_QUEUE_SETUP);
	assert_int_equal(m.acts[at + 2].act, ACT_QUEUE_ENABLE);
	ringside_read(q, &t.req, 0, mem, 512);
	ringside_commit(q);
	assert_int_equal(mock_serve(&m, 0), 1);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(t.result, 0);
	mock_close(&m, &d);

	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	assert_int_equal(ringside_queue_reset(ringside_queue(d, 0)), -ENOTSUP);
	mock_close(&m, &d);
}

static void st_g_11_order_of_the_initialisation(void **state)
{
	struct ringside_disk *d;
	struct mock m;
	uint8_t *mem;
	int reset, ack, drv, get, set, fok, again = -1, queue, ok;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	reset = mock_find(&m, ACT_SET_STATUS, 0);
	ack = mock_find(&m, ACT_SET_STATUS, ACK);
	drv = mock_find(&m, ACT_SET_STATUS, ACK | DRV);
	get = mock_find(&m, ACT_GET_FEATURES, 0);
	set = mock_find(&m, ACT_SET_FEATURES, m.accepted);
	fok = mock_find(&m, ACT_SET_STATUS, ACK | DRV | FOK);
	queue = mock_find(&m, ACT_QUEUE_SETUP, 0);
	ok = mock_find(&m, ACT_SET_STATUS, ACK | DRV | FOK | DOK);
	for (int i = fok; i < queue; i++)
		if (m.acts[i].act == ACT_GET_STATUS)
			again = i;
	assert_int_equal(reset, 0);
	assert_true(reset < ack && ack < drv && drv < get && get < set && set < fok &&
		    fok < again && again < queue && queue < ok);
	mock_close(&m, &d);
}

static void st_g_12_nothing_too_early(void **state)
{
	struct ringside_disk *d;
	struct tried t;
	struct mock m;
	uint8_t *mem;
	void *p;

	(void)state;
	mock_init(&m);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_int_equal(mock_count(&m, ACT_CONFIG_WRITE), 0);
	assert_int_equal(vdriver_negotiate(&d->v, 0, 0, NULL), -EBUSY);
	assert_int_equal(ringside_mem_alloc(d, 4096, &p, NULL), 0);
	mem = p;
	tried_init(&t);
	ringside_read(ringside_queue(d, 0), &t.req, 0, mem, 512);
	ringside_commit(ringside_queue(d, 0));
	assert_int_equal(mock_count(&m, ACT_KICK), 0);
	assert_int_equal(ringside_poll(ringside_queue(d, 0), 0), 1);
	assert_int_equal(t.result, -ENODEV);
	mock_close(&m, &d);
}

static void st_g_13_refused_features_end_in_failed(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.refuse_features = true;
	assert_int_equal(mock_open(&m, NULL, &d), -ENOTSUP);
	assert_true(m.status & FAILED);
	assert_int_equal(mock_count(&m, ACT_QUEUE_SETUP), 0);
	assert_int_equal(m.acts[m.n_acts - 3].act, ACT_GET_STATUS);
	assert_int_equal(m.acts[m.n_acts - 2].act, ACT_SET_STATUS);
	assert_int_equal(m.acts[m.n_acts - 1].act, ACT_DISCONNECT);
}

static struct mock *watched;
static unsigned resets_when_done;

static void count_resets(struct ringside_request *req)
{
	(void)req;
	resets_when_done = 0;
	for (unsigned i = 0; i < watched->n_acts; i++)
		resets_when_done += watched->acts[i].act == ACT_SET_STATUS &&
				    !watched->acts[i].value;
}

static void st_g_14_buffers_come_back_only_after_the_reset(void **state)
{
	struct ringside_request req = {.done = count_resets};
	struct ringside_disk *d;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	watched = &m;
	d = mock_run(&m, NULL, 4096, &mem);
	memset(mem, 0x11, 4096);
	ringside_write(ringside_queue(d, 0), &req, 0, mem, 4096);
	ringside_commit(ringside_queue(d, 0));
	mock_close(&m, &d);
	/* The one at the beginning, and the one that took the request back. */
	assert_int_equal(resets_when_done, 2);
}

static void st_g_15_suspend_and_resume(void **state)
{
	struct vdriver v;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_SUSPEND);
	vdriver_init(&v, &m.base);
	assert_int_equal(vdriver_begin(&v, NULL), 0);
	assert_int_equal(vdriver_negotiate(&v, BIT64(VIRTIO_F_SUSPEND), 0, NULL), 0);
	assert_int_equal(vdriver_ok(&v, NULL), 0);
	assert_int_equal(vdriver_suspend(&v, NULL), 0);
	assert_int_equal(m.status & (VIRTIO_STATUS_SUSPEND | DOK), VIRTIO_STATUS_SUSPEND);
	assert_int_equal(vdriver_resume(&v, NULL), 0);
	assert_int_equal(m.status & (VIRTIO_STATUS_SUSPEND | DOK), DOK);
	/* A device that does not let itself be suspended is not believed to be. */
	m.mute_suspend = true;
	m.base.reset_ms = 10;
	assert_int_equal(vdriver_suspend(&v, NULL), -ETIMEDOUT);
	assert_null(m.breach);
	assert_int_equal(vdriver_reset(&v, NULL), 0);

	mock_init(&m);
	vdriver_init(&v, &m.base);
	assert_int_equal(vdriver_begin(&v, NULL), 0);
	assert_int_equal(vdriver_negotiate(&v, BIT64(VIRTIO_F_SUSPEND), 0, NULL), 0);
	assert_int_equal(vdriver_suspend(&v, NULL), -ENOTSUP);
}

static void st_g_16_what_should_be_accepted_is(void **state)
{
	uint64_t should = BIT64(VIRTIO_F_VERSION_1) | BIT64(VIRTIO_F_ACCESS_PLATFORM) |
			  BIT64(VIRTIO_F_RING_PACKED) | BIT64(VIRTIO_F_ORDER_PLATFORM) |
			  BIT64(VIRTIO_F_NOTIF_CONFIG_DATA);
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered |= should;
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_int_equal(m.accepted & should, should);
	mock_close(&m, &d);

	mock_init(&m);
	m.offered &= ~BIT64(VIRTIO_F_VERSION_1);
	assert_int_equal(mock_open(&m, NULL, &d), -ENOTSUP);
	assert_true(m.status & FAILED);
}

static void st_g_17_what_the_transport_cannot_carry_is_declined(void **state)
{
	struct ringside_disk *d;
	struct mock m;

	(void)state;
	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_ACCESS_PLATFORM) | BIT64(VIRTIO_F_NOTIFICATION_DATA);
	m.base.can = BIT64(VIRTIO_F_VERSION_1);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	assert_int_equal(
		m.accepted & (BIT64(VIRTIO_F_ACCESS_PLATFORM) | BIT64(VIRTIO_F_NOTIFICATION_DATA)),
		0);
	mock_close(&m, &d);
}

static void memory_is_counted_and_kept_apart(void **state)
{
	struct ringside_disk *d;
	struct mock m;
	void *p[8], *more;

	(void)state;
	mock_init(&m);
	assert_int_equal(mock_open(&m, NULL, &d), 0);
	/* One region is the rings'. */
	for (unsigned i = 0; i < 7; i++)
		assert_int_equal(ringside_mem_alloc(d, 100, &p[i], NULL), 0);
	assert_int_equal(ringside_mem_alloc(d, 100, &more, NULL), -ENOSPC);
	assert_int_equal(ringside_mem_register(d, p[0], 4096, -1, 0, NULL), -EEXIST);
	assert_int_equal(ringside_mem_remove(d, p[3]), 0);
	assert_int_equal(ringside_mem_remove(d, p[3]), -ENOENT);
	assert_int_equal(ringside_mem_remove(d, d->shared), -EINVAL);
	assert_int_equal(ringside_mem_alloc(d, 100, &more, NULL), 0);
	assert_int_equal(ringside_mem_alloc(d, 0, &more, NULL), -EINVAL);
	assert_int_equal(ringside_mem_alloc(d, SIZE_MAX, &more, NULL), -EINVAL);
	assert_int_equal(ringside_mem_register(d, (void *)4096, 100, -1, 0, NULL), -EINVAL);
	mock_close(&m, &d);
}

static void memory_before_the_start_where_the_device_wants_it(void **state)
{
	struct ringside_disk *d;
	struct mock m;
	uint8_t *mem;
	void *p;

	(void)state;
	mock_init(&m);
	m.base.mem_while_running = false;
	d = mock_run(&m, NULL, 4096, &mem);
	assert_int_equal(ringside_mem_alloc(d, 4096, &p, NULL), -EBUSY);
	assert_int_equal(ringside_mem_remove(d, mem), -EBUSY);
	mock_close(&m, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(st_g_01_status_bits_are_only_added),
		cmocka_unit_test(st_g_02_after_failed_comes_a_reset),
		cmocka_unit_test(st_g_02_needs_reset_takes_nothing_back_before_the_reset),
		cmocka_unit_test(st_g_03_nothing_that_is_not_offered),
		cmocka_unit_test(st_g_03_no_write_cache_switch_without_flush),
		cmocka_unit_test(st_g_04_unknown_bits_are_ignored),
		cmocka_unit_test(st_g_05_falls_back_or_fails),
		cmocka_unit_test(st_g_06_reset_is_done_when_the_status_reads_0),
		cmocka_unit_test(kb_95_reset_that_never_ends),
		cmocka_unit_test(kb_96_requests_come_back_when_the_reset_never_ends),
		cmocka_unit_test(st_g_07_torn_capacity_is_read_again),
		cmocka_unit_test(kb_95_generation_that_never_stands_still),
		cmocka_unit_test(st_g_08_optional_fields_only_with_their_feature),
		cmocka_unit_test(st_g_09_a_configuration_is_only_large_enough),
		cmocka_unit_test(st_g_10_queue_reset_then_a_full_set_up),
		cmocka_unit_test(st_g_11_order_of_the_initialisation),
		cmocka_unit_test(st_g_12_nothing_too_early),
		cmocka_unit_test(st_g_13_refused_features_end_in_failed),
		cmocka_unit_test(st_g_14_buffers_come_back_only_after_the_reset),
		cmocka_unit_test(st_g_15_suspend_and_resume),
		cmocka_unit_test(st_g_16_what_should_be_accepted_is),
		cmocka_unit_test(st_g_17_what_the_transport_cannot_carry_is_declined),
		cmocka_unit_test(memory_is_counted_and_kept_apart),
		cmocka_unit_test(memory_before_the_start_where_the_device_wants_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
