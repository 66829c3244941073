/* SPDX-License-Identifier: MIT */
/* A request's way through a queue, the rules of the ring as the whole driver keeps them, and
 * devices that break theirs. */
#include "frontend/blk/mock_test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

static void vq_g_02_03_chains_are_well_formed(void **state)
{
	static const uint64_t features[] = {0, BIT64(VIRTIO_F_INDIRECT_DESC)};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct iovec iov[6];
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	for (unsigned f = 0; f < 2; f++) {
		mock_init(&m);
		m.offered |= features[f];
		d = mock_run(&m, NULL, 8192, &mem);
		q = ringside_queue(d, 0);
		for (unsigned i = 0; i < 6; i++)
			iov[i] = (struct iovec){mem + i * 1000, 512};
		tried_init(&t);
		ringside_readv(q, &t.req, 512, iov, 6);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		assert_int_equal(c.n, 8);
		assert_int_equal(c.readable, 1);
		/* VQ-G-05: tables only where they were agreed on; the mock looks at the rest. */
		assert_int_equal(c.indirect, f);
		for (unsigned i = 0; i < 6; i++)
			assert_ptr_equal(c.bufs[1 + i].p, mem + i * 1000);
		mock_answer(&m, 0, &c, 0x33, VIRTIO_BLK_S_OK);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(mem[5 * 1000 + 511], 0x33);
		tried_init(&t);
		ringside_writev(q, &t.req, 0, iov, 6);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		assert_int_equal(c.readable, 7);
		mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t.result, 0);
		mock_close(&m, &d);
	}
}

static void vq_g_06_avail_idx_only_grows_once_per_batch(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t[4];
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 4; i++) {
		tried_init(&t[i]);
		ringside_read(q, &t[i].req, 0, mem + 512 * i, 512);
		assert_int_equal(mock_avail_idx(&m, 0), 0);
	}
	ringside_commit(q);
	assert_int_equal(mock_avail_idx(&m, 0), 4);
	assert_int_equal(m.kicks[0], 1);
	ringside_commit(q);
	assert_int_equal(m.kicks[0], 1);
	assert_int_equal(mock_serve(&m, 0), 4);
	assert_int_equal(ringside_poll(q, 3), 3);
	assert_int_equal(ringside_poll(q, 3), 1);
	assert_int_equal(mock_avail_idx(&m, 0), 4);
	mock_close(&m, &d);
}

static void vq_g_07_spurious_interrupts(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(mock_avail_flags(&m, 0), VIRTQ_AVAIL_F_NO_INTERRUPT);
	tried_init(&t);
	ringside_read(q, &t.req, 0, mem, 512);
	ringside_commit(q);
	for (unsigned i = 0; i < 100; i++) {
		vqueue_wake(&q->vq);
		assert_int_equal(ringside_poll(q, 0), 0);
	}
	vqueue_wake(&q->vq);
	assert_int_equal(ringside_wait(q, 5), 0);
	assert_int_equal(t.times, 0);
	mock_serve(&m, 0);
	assert_int_equal(ringside_wait(q, 1000), 1);
	mock_close(&m, &d);

	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_EVENT_IDX);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	assert_int_equal(mock_avail_flags(&m, 0), 0);
	assert_false(ringside_arm(q));
	assert_int_equal(mock_avail_flags(&m, 0), 0);
	ringside_disarm(q);
	assert_int_equal(mock_avail_flags(&m, 0), 0);
	mock_close(&m, &d);
}

static void vq_g_08_kb_92_nothing_behind_the_used_length_is_trusted(void **state)
{
	static const struct {
		uint32_t len;
		int result;
	} cases[] = {{0, -EIO}, {1, -EIO}, {511, -EIO}, {512, 0}, {513, 0}};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t;
	struct mock m;
	uint8_t *mem;
	char id[21];

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		tried_init(&t);
		ringside_read(q, &t.req, 0, mem, 512);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		*c.bufs[2].p = VIRTIO_BLK_S_OK;
		mock_push(&m, 0, c.head, cases[i].len);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t.result, cases[i].result);
		assert_int_equal(t.req.used_len, cases[i].len);
	}
	/* A name as long as the device says. */
	memset(id, 'z', sizeof(id));
	tried_init(&t);
	ringside_get_id(q, &t.req, id);
	ringside_commit(q);
	assert_true(mock_pop(&m, 0, &c));
	memset(c.bufs[1].p, 'n', 20);
	*c.bufs[2].p = VIRTIO_BLK_S_OK;
	mock_push(&m, 0, c.head, 4);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_string_equal(id, "nnnn");
	mock_close(&m, &d);
}

static void no_status_is_no_success(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	/* Twice: a status of the request before must not count. */
	for (unsigned i = 0; i < 2; i++) {
		tried_init(&t);
		ringside_write(q, &t.req, 0, mem, 512);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		if (!i)
			*c.bufs[2].p = VIRTIO_BLK_S_OK;
		mock_push(&m, 0, c.head, 1);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t.result, i ? -EIO : 0);
	}
	assert_int_equal(t.req.status, RINGSIDE_STATUS_NONE);
	mock_close(&m, &d);
}

static void vq_g_09_kicks_by_the_flag(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	mock_avail_event(&m, 0, 1000);
	mock_used_flags(&m, 0, VIRTQ_USED_F_NO_NOTIFY);
	tried_init(&t);
	ringside_flush(q, &t.req);
	ringside_commit(q);
	assert_int_equal(m.kicks[0], 0);
	mock_used_flags(&m, 0, 0);
	tried_init(&t);
	mock_serve(&m, 0);
	ringside_poll(q, 0);
	ringside_flush(q, &t.req);
	ringside_commit(q);
	assert_int_equal(m.kicks[0], 1);
	mock_close(&m, &d);
}

static void vq_g_10_kicks_by_the_event_index(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t[3];
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_EVENT_IDX);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	/* The flag counts for nothing, the index does: at 1, so the second one kicks. */
	mock_used_flags(&m, 0, VIRTQ_USED_F_NO_NOTIFY);
	mock_avail_event(&m, 0, 1);
	for (unsigned i = 0; i < 3; i++) {
		tried_init(&t[i]);
		ringside_flush(q, &t[i].req);
		ringside_commit(q);
		assert_int_equal(m.kicks[0], i >= 1);
	}
	mock_close(&m, &d);
}

static void vq_g_12_kb_93_bogus_used_entries_break_the_queue(void **state)
{
	static const struct {
		uint32_t id, len;
		bool again; /* the right one once before */
	} bad[] = {
		{16, 0, false}, {UINT32_MAX, 0, false}, {65536, 0, false},	{9, 0, false},
		{0, 0, true},	{0, 2, false},		{0, UINT32_MAX, false},
	};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t[2];
	struct mock m;
	uint8_t *mem;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		mock_init(&m);
		d = mock_run(&m, NULL, 4096, &mem);
		q = ringside_queue(d, 0);
		tried_init(&t[0]);
		tried_init(&t[1]);
		ringside_flush(q, &t[0].req);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		if (bad[i].again) {
			mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
			assert_int_equal(ringside_poll(q, 0), 1);
			mock_push(&m, 0, c.head, 1);
		} else {
			mock_push(&m, 0, bad[i].id ? bad[i].id : c.head, bad[i].len);
		}
		assert_int_equal(ringside_poll(q, 0), -EPROTO);
		assert_int_equal(ringside_wait(q, -1), -EPROTO);
		assert_non_null(ringside_why(q));
		/* Held, and completed once all is reset. */
		ringside_flush(q, &t[1].req);
		ringside_commit(q);
		assert_int_equal(ringside_poll(q, 0), -EPROTO);
		assert_int_equal(t[1].times, 0);
		assert_int_equal(ringside_stop(d, NULL), 0);
		assert_int_equal(t[0].times, 1);
		assert_int_equal(t[1].times, 1);
		assert_int_equal(t[1].result, -ECANCELED);
		/* A reset heals it. */
		assert_int_equal(ringside_start(d, NULL), 0);
		tried_init(&t[0]);
		ringside_flush(q, &t[0].req);
		ringside_commit(q);
		assert_int_equal(mock_serve(&m, 0), 1);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t[0].result, 0);
		mock_close(&m, &d);
	}
}

static void vq_g_12_used_index_runs_ahead(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	tried_init(&t);
	ringside_flush(q, &t.req);
	ringside_commit(q);
	m.next_used[0] = 999;
	mock_push(&m, 0, 0, 1);
	assert_int_equal(ringside_poll(q, 0), -EPROTO);
	assert_int_equal(t.times, 0);
	mock_close(&m, &d);
	assert_int_equal(t.times, 1);
}

static void kb_93_descriptors_rewritten_by_the_device(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t[40];
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 40; i++) {
		tried_init(&t[i]);
		ringside_read(q, &t[i].req, 0, mem, 512);
		ringside_commit(q);
		assert_true(mock_pop(&m, 0, &c));
		memset(c.bufs[1].p, 1, 512);
		*c.bufs[2].p = 0;
		memset(m.q[0].desc, 0xee, 16 * sizeof(struct virtq_desc));
		mock_push(&m, 0, c.head, 513);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t[i].result, 0);
	}
	mock_close(&m, &d);
}

static void kb_95_all_ones_after_the_device_was_pulled(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	tried_init(&t);
	ringside_flush(q, &t.req);
	ringside_commit(q);
	memset(m.q[0].device, 0xff, vring_device_size(16, false));
	assert_int_equal(ringside_poll(q, 0), -EPROTO);
	mock_close(&m, &d);
	assert_int_equal(t.times, 1);
}

static void a_full_queue_holds_requests_back_in_order(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t[50];
	struct mock m;
	uint8_t *mem;
	unsigned served = 0;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 50; i++) {
		tried_init(&t[i]);
		ringside_read(q, &t[i].req, i * 512, mem, 512);
	}
	ringside_commit(q);
	assert_int_equal(ringside_pending(q), 50);
	/* Three entries each. */
	assert_int_equal(mock_avail_idx(&m, 0), 5);
	while (served < 50) {
		struct virtio_blk_req h;

		assert_true(mock_pop(&m, 0, &c));
		memcpy(&h, c.bufs[0].p, sizeof(h));
		assert_int_equal(le64_get(h.sector), served);
		mock_answer(&m, 0, &c, 0, VIRTIO_BLK_S_OK);
		assert_int_equal(ringside_poll(q, 0), 1);
		assert_int_equal(t[served].times, 1);
		served++;
	}
	assert_int_equal(ringside_pending(q), 0);
	mock_close(&m, &d);
}

struct again {
	struct ringside_request req;
	struct ringside_queue *q;
	uint8_t *mem;
	unsigned left, done;
	int nested;
	size_t len;
};

static void submit_again(struct ringside_request *req)
{
	struct again *a = req->opaque;

	a->done++;
	a->nested = ringside_poll(a->q, 0);
	if (a->left) {
		a->left--;
		ringside_read(a->q, req, 0, a->mem, a->len);
	}
}

static void callbacks_submit_and_their_requests_are_committed(void **state)
{
	struct ringside_disk *d;
	struct again a = {.left = 10, .len = 512};
	struct mock m;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &a.mem);
	a.q = ringside_queue(d, 0);
	a.req.done = submit_again;
	a.req.opaque = &a;
	ringside_read(a.q, &a.req, 0, a.mem, 512);
	ringside_commit(a.q);
	for (unsigned i = 0; i < 11; i++) {
		assert_int_equal(mock_serve(&m, 0), 1);
		assert_int_equal(ringside_poll(a.q, 0), 1);
		assert_int_equal(a.nested, -EBUSY);
	}
	assert_int_equal(ringside_pending(a.q), 0);

	/* One that fails each time does not keep the poll going for ever. */
	a.left = 5;
	a.len = 511;
	ringside_read(a.q, &a.req, 0, a.mem, 511);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(ringside_poll(a.q, 0), 1);
	assert_int_equal(ringside_poll(a.q, 0), 0);
	/* Submitted again out of the close, it is refused again, and the close ends. */
	a.left = 3;
	a.done = 0;
	ringside_read(a.q, &a.req, 0, a.mem, 512);
	mock_close(&m, &d);
	assert_int_equal(a.done, 4);
}

static void failing_never_calls_back_from_the_submission(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;
	struct pollfd p;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	tried_init(&t);
	assert_false(ringside_arm(q));
	ringside_read(q, &t.req, 3, mem, 512);
	assert_int_equal(t.times, 0);
	/* Who sleeps is woken for it. */
	ringside_commit(q);
	p = (struct pollfd){.fd = ringside_queue_fd(q), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 1);
	ringside_disarm(q);
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_true(ringside_arm(q));
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(t.result, -EINVAL);
	mock_close(&m, &d);
}

static void raw_chains_go_as_they_are(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t;
	struct mock m;
	struct iovec iov[17];
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 17; i++)
		iov[i] = (struct iovec){mem + i, 1};
	tried_init(&t);
	ringside_chain(q, &t.req, iov, 16, 0);
	ringside_commit(q);
	assert_true(mock_pop(&m, 0, &c));
	assert_int_equal(c.n, 16);
	assert_int_equal(c.readable, 16);
	mock_push(&m, 0, c.head, 0);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(t.result, 0);
	assert_int_equal(t.req.status, RINGSIDE_STATUS_NONE);
	tried_init(&t);
	ringside_chain(q, &t.req, iov, 17, 0);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(t.result, -EINVAL);
	tried_init(&t);
	ringside_chain(q, &t.req, iov, 0, 0);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(t.result, -EINVAL);
	tried_init(&t);
	ringside_raw(q, &t.req, 0, 0, iov, UINT32_MAX, 2);
	assert_int_equal(ringside_poll(q, 0), 1);
	assert_int_equal(t.result, -EINVAL);
	mock_close(&m, &d);
}

static void in_order_only_if_asked_for_and_in_batches(void **state)
{
	struct ringside_options o = {.features_on = BIT64(VIRTIO_F_IN_ORDER)};
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct mock_chain c;
	struct tried t[3];
	struct mock m;
	uint8_t *mem;

	(void)state;
	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_IN_ORDER);
	d = mock_run(&m, NULL, 4096, &mem);
	assert_int_equal(m.accepted & BIT64(VIRTIO_F_IN_ORDER), 0);
	mock_close(&m, &d);

	mock_init(&m);
	m.offered |= BIT64(VIRTIO_F_IN_ORDER);
	d = mock_run(&m, &o, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 3; i++) {
		tried_init(&t[i]);
		ringside_write(q, &t[i].req, 0, mem, 512);
	}
	ringside_commit(q);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(mock_pop(&m, 0, &c));
		*c.bufs[2].p = VIRTIO_BLK_S_OK;
	}
	/* One entry for all three. */
	m.next_used[0] = 2;
	((struct virtq_used *)m.q[0].device)->ring[0].id = le32_make(c.head);
	((struct virtq_used *)m.q[0].device)->ring[0].len = le32_make(1);
	mock_push(&m, 0, c.head, 1);
	assert_int_equal(ringside_poll(q, 0), 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(t[i].result, 0);
	mock_close(&m, &d);
}

static void kb_96_device_gone_is_noticed_by_a_polling_queue(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t;
	struct mock m;
	uint8_t *mem;
	int rc = 0;

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	tried_init(&t);
	ringside_flush(q, &t.req);
	ringside_commit(q);
	m.gone = true;
	for (unsigned i = 0; !rc && i < 100000; i++)
		rc = ringside_poll(q, 0);
	assert_int_equal(rc, -ENODEV);
	assert_int_equal(t.times, 0);
	assert_int_equal(ringside_stop(d, NULL), -ENOTCONN);
	assert_int_equal(t.times, 1);
	assert_int_equal(t.result, -ECANCELED);
	ringside_close(&d);
}

static void *other_side(void *opaque)
{
	struct mock *m = opaque;
	struct mock_chain c;
	unsigned served = 0;

	while (served < 2000) {
		if (!mock_pop(m, 0, &c))
			continue;
		mock_answer(m, 0, &c, (uint8_t)served, VIRTIO_BLK_S_OK);
		served++;
		/* Loudly: whether it was asked to or not. */
		barrier_full();
		if (!(mock_avail_flags(m, 0) & VIRTQ_AVAIL_F_NO_INTERRUPT))
			vqueue_wake(&(struct vqueue){.call_fd = m->q[0].call_fd});
	}
	return NULL;
}

static void vq_g_11_no_wake_up_is_lost_between_threads(void **state)
{
	struct ringside_disk *d;
	struct ringside_queue *q;
	struct tried t[4];
	struct mock m;
	pthread_t thread;
	uint8_t *mem;
	unsigned done = 0, submitted = 0, sent[4] = {0};

	(void)state;
	mock_init(&m);
	d = mock_run(&m, NULL, 4096, &mem);
	q = ringside_queue(d, 0);
	for (unsigned i = 0; i < 4; i++)
		tried_init(&t[i]);
	assert_int_equal(pthread_create(&thread, NULL, other_side, &m), 0);
	while (done < 2000) {
		for (unsigned i = 0; i < 4 && submitted < 2000; i++) {
			/* Free: all that was submitted with it is done. */
			if (t[i].times < sent[i])
				continue;
			ringside_read(q, &t[i].req, 0, mem + 512 * i, 512);
			sent[i]++;
			submitted++;
		}
		ringside_commit(q);
		int n = ringside_wait(q, 20000);

		assert_true(n > 0);
		done += (unsigned)n;
	}
	pthread_join(thread, NULL);
	assert_int_equal(done, 2000);
	mock_close(&m, &d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vq_g_02_03_chains_are_well_formed),
		cmocka_unit_test(vq_g_06_avail_idx_only_grows_once_per_batch),
		cmocka_unit_test(vq_g_07_spurious_interrupts),
		cmocka_unit_test(vq_g_08_kb_92_nothing_behind_the_used_length_is_trusted),
		cmocka_unit_test(no_status_is_no_success),
		cmocka_unit_test(vq_g_09_kicks_by_the_flag),
		cmocka_unit_test(vq_g_10_kicks_by_the_event_index),
		cmocka_unit_test(vq_g_11_no_wake_up_is_lost_between_threads),
		cmocka_unit_test(vq_g_12_kb_93_bogus_used_entries_break_the_queue),
		cmocka_unit_test(vq_g_12_used_index_runs_ahead),
		cmocka_unit_test(kb_93_descriptors_rewritten_by_the_device),
		cmocka_unit_test(kb_95_all_ones_after_the_device_was_pulled),
		cmocka_unit_test(kb_96_device_gone_is_noticed_by_a_polling_queue),
		cmocka_unit_test(a_full_queue_holds_requests_back_in_order),
		cmocka_unit_test(callbacks_submit_and_their_requests_are_committed),
		cmocka_unit_test(failing_never_calls_back_from_the_submission),
		cmocka_unit_test(raw_chains_go_as_they_are),
		cmocka_unit_test(in_order_only_if_asked_for_and_in_batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
