/* SPDX-License-Identifier: MIT */
/*
 * The model disk: a stack of storages against a copy in memory.
 *
 * Several threads with a channel each do random operations, several in flight, each on a part of
 * the disk that is its own; after each flush of its own a thread compares a piece of its part, and
 * all of it at the end.  The sequence of each thread is fixed by its number.
 */
#ifndef STORAGE_LAYER_MODEL_TEST_H
#define STORAGE_LAYER_MODEL_TEST_H

#include "storage/storage_test.h"

#include <pthread.h>

#define MODEL_DISK     (UINT64_C(4) << 20)
#define MODEL_LONGEST  (UINT64_C(128) << 10)
#define MODEL_SLOTS    8
#define MODEL_CHANNELS 4
#define MODEL_IOV      6

struct model_slot {
	struct waited w;
	struct iovec iov[MODEL_IOV], before[MODEL_IOV];
	uint8_t *mem;
	bool busy;
};

struct model_channel {
	struct storage *s;
	pthread_t thread;
	struct reactor *r;
	struct storage_channel *ch;
	uint64_t seed, from, to; /* its part, in sectors */
	unsigned rounds;
	uint8_t *shadow; /* of the disk, of which its part counts */
	uint8_t *known;	 /* by sector */
	struct model_slot slots[MODEL_SLOTS];
	const char *failure;
};

static inline uint32_t model_rnd(struct model_channel *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (uint32_t)(m->seed >> 16);
}

/* What cmocka does with a failure is for the main thread alone. */
static inline void model_fail(struct model_channel *m, const char *why)
{
	if (!m->failure)
		m->failure = why;
}

static inline void model_cut(struct model_channel *m, struct model_slot *s, uint64_t len)
{
	uint8_t *p = s->mem + (model_rnd(m) % 4 ? 0 : model_rnd(m) % 64);
	int n = 0;

	while (len) {
		uint64_t piece = n < MODEL_IOV - 1 ? 1 + model_rnd(m) % len : len;

		if (n < MODEL_IOV - 1 && model_rnd(m) % 2 && piece > 512)
			piece = align_down(piece, 512);
		s->iov[n++] = (struct iovec){p, piece};
		p += piece;
		len -= piece;
	}
	memcpy(s->before, s->iov, sizeof(s->iov));
	s->w.io.iov = s->iov;
	s->w.io.iovcnt = n;
}

static inline void model_check_read(struct model_channel *m, const struct model_slot *s)
{
	uint64_t at = s->w.io.offset;

	for (int i = 0; i < s->w.io.iovcnt; i++) {
		const uint8_t *got = s->before[i].iov_base;

		for (size_t k = 0; k < s->before[i].iov_len; k++, at++)
			if (m->known[at / 512] && got[k] != m->shadow[at])
				model_fail(m, "a byte differs");
	}
}

static inline void model_reap(struct model_channel *m, struct model_slot *s)
{
	while (!s->w.over)
		reactor_turn(m->r);
	s->busy = false;
	if (s->w.times != 1)
		model_fail(m, "answered more than once");
	if (s->w.err)
		model_fail(m, strerror(-s->w.err));
	if (s->w.io.iovcnt &&
	    memcmp(s->iov, s->before, (size_t)s->w.io.iovcnt * sizeof(s->iov[0])) != 0)
		model_fail(m, "the vector was left changed");
	if (!s->w.err && s->w.io.op == STORAGE_READ)
		model_check_read(m, s);
}

static inline bool model_is_free(const struct model_channel *m, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < MODEL_SLOTS; i++)
		if (m->slots[i].busy &&
		    ranges_overlap(m->slots[i].w.io.offset, m->slots[i].w.io.len, offset, len))
			return false;
	return true;
}

static inline void model_start(struct model_channel *m, struct model_slot *s)
{
	s->w.over = false;
	s->w.times = 0;
	s->w.io.done = waited_done;
	s->busy = true;
	storage_submit(m->ch, &s->w.io);
}

static inline void model_prepare(struct model_channel *m, struct model_slot *s)
{
	struct storage_io *io = &s->w.io;
	uint8_t v = (uint8_t)model_rnd(m);

	switch (io->op) {
	case STORAGE_READ:
		model_cut(m, s, io->len);
		return;
	case STORAGE_WRITE:
		model_cut(m, s, io->len);
		for (int i = 0, at = 0; i < io->iovcnt; i++)
			for (size_t k = 0; k < s->iov[i].iov_len; k++, at++)
				m->shadow[io->offset + (uint64_t)at] =
					((uint8_t *)s->iov[i].iov_base)[k] =
						(uint8_t)(v + at / 512 + (at & 3));
		memset(m->known + io->offset / 512, 1, io->len / 512);
		return;
	case STORAGE_WRITE_ZEROES:
		memset(m->shadow + io->offset, 0, io->len);
		memset(m->known + io->offset / 512, 1, io->len / 512);
		return;
	case STORAGE_DISCARD:
	case STORAGE_SECURE_ERASE:
		memset(m->known + io->offset / 512, 0, io->len / 512);
		return;
	default:
		return;
	}
}

static inline void model_launch(struct model_channel *m, struct model_slot *s)
{
	static const enum storage_op ops[] = {
		STORAGE_READ,	      STORAGE_READ,	   STORAGE_READ,  STORAGE_WRITE,
		STORAGE_WRITE,	      STORAGE_WRITE,	   STORAGE_FLUSH, STORAGE_DISCARD,
		STORAGE_WRITE_ZEROES, STORAGE_SECURE_ERASE};
	struct storage_io *io = &s->w.io;

	s->w = (struct waited){.io = {.op = ops[model_rnd(m) % ARRAY_SIZE(ops)]}};
	io->flags = (model_rnd(m) % 8 ? 0 : STORAGE_FUA) | (model_rnd(m) % 2 ? STORAGE_UNMAP : 0);
	if ((io->op == STORAGE_DISCARD && !storage_limits(m->s)->max_discard) ||
	    (io->op == STORAGE_WRITE_ZEROES && !storage_limits(m->s)->max_write_zeroes) ||
	    (io->op == STORAGE_SECURE_ERASE && !storage_limits(m->s)->max_secure_erase))
		io->op = STORAGE_FLUSH;
	if (io->op != STORAGE_FLUSH) {
		uint64_t left, sectors;

		do {
			left = m->to - m->from;
			sectors = 1 + model_rnd(m) % (model_rnd(m) % 4 ? 16 : MODEL_LONGEST / 512);
			sectors = min_u64(sectors, left);
			io->len = sectors * 512;
			io->offset = (m->from + model_rnd(m) % (left - sectors + 1)) * 512;
		} while (!model_is_free(m, io->offset, io->len));
	}
	model_prepare(m, s);
	model_start(m, s);
}

static inline void model_reap_all(struct model_channel *m)
{
	for (unsigned i = 0; i < MODEL_SLOTS; i++)
		if (m->slots[i].busy)
			model_reap(m, &m->slots[i]);
}

static inline void model_compare(struct model_channel *m, uint64_t from, uint64_t sectors)
{
	struct model_slot *s = &m->slots[0];

	model_reap_all(m);
	while (sectors) {
		uint64_t n = min_u64(sectors, MODEL_LONGEST / 512);

		s->w = (struct waited){
			.io = {.op = STORAGE_READ, .offset = from * 512, .len = n * 512}};
		model_cut(m, s, n * 512);
		model_start(m, s);
		model_reap(m, s);
		from += n;
		sectors -= n;
	}
}

struct model_last {
	struct reactor_msg msg;
	bool came;
};

static inline void model_last_came(struct reactor_msg *msg)
{
	container_of(msg, struct model_last, msg)->came = true;
}

/* What was posted to the thread is delivered: it may be somebody who frees himself. */
static inline void model_settle(struct reactor *r)
{
	struct model_last last = {.msg.run = model_last_came};

	reactor_post(r, &last.msg);
	while (!last.came)
		reactor_turn(r);
}

static inline void *model_thread(void *arg)
{
	struct reactor_config c = {.uring = true};
	struct model_channel *m = arg;

	if (reactor_create(&m->r, &c, NULL)) {
		c.uring = false;
		if (reactor_create(&m->r, &c, NULL)) {
			model_fail(m, "no reactor");
			return NULL;
		}
	}
	if (storage_channel_open(m->s, m->r, &m->ch, NULL)) {
		model_fail(m, "no channel");
	} else {
		for (unsigned n = 0; n < m->rounds && !m->failure; n++) {
			struct model_slot *s = &m->slots[model_rnd(m) % MODEL_SLOTS];
			bool flushed = s->busy && s->w.io.op == STORAGE_FLUSH;

			if (s->busy)
				model_reap(m, s);
			if (flushed)
				model_compare(m, m->from, min_u64(m->to - m->from, 256));
			model_launch(m, s);
		}
		model_compare(m, m->from, m->to - m->from);
		storage_channel_close(&m->ch);
	}
	model_settle(m->r);
	reactor_destroy(&m->r);
	return NULL;
}

/* @first: what the disk holds, MODEL_DISK bytes; NULL: zeroes. */
static inline void model_run_on(struct storage *s, const uint8_t *first, unsigned rounds)
{
	struct model_channel *all = calloc(MODEL_CHANNELS, sizeof(*all));
	uint8_t *shadow = calloc(1, MODEL_DISK), *known = malloc(MODEL_DISK / 512);

	assert_true(all && shadow && known);
	if (first)
		memcpy(shadow, first, MODEL_DISK);
	memset(known, 1, MODEL_DISK / 512);
	for (unsigned i = 0; i < MODEL_CHANNELS; i++) {
		struct model_channel *m = &all[i];
		uint64_t part = MODEL_DISK / 512 / MODEL_CHANNELS;

		*m = (struct model_channel){.s = s,
					    .seed = UINT64_C(0x9e3779b97f4a7c15) + i,
					    .from = i ? i * part + 5 : 0,
					    .to = i + 1 < MODEL_CHANNELS ? (i + 1) * part + 5
									 : MODEL_DISK / 512,
					    .rounds = rounds,
					    .shadow = shadow,
					    .known = known};
		for (unsigned k = 0; k < MODEL_SLOTS; k++) {
			m->slots[k].mem = aligned_alloc(4096, MODEL_LONGEST + 4096);
			assert_non_null(m->slots[k].mem);
		}
		assert_int_equal(pthread_create(&m->thread, NULL, model_thread, m), 0);
	}
	for (unsigned i = 0; i < MODEL_CHANNELS; i++) {
		pthread_join(all[i].thread, NULL);
		for (unsigned k = 0; k < MODEL_SLOTS; k++)
			free(all[i].slots[k].mem);
		if (all[i].failure)
			fail_msg("channel %u: %s", i, all[i].failure);
	}
	free(known);
	free(shadow);
	free(all);
}

static inline void model_run(const struct storage_options *o, unsigned rounds)
{
	struct error err = {""};
	struct storage *s;

	if (storage_open(o, &s, &err))
		fail_msg("%s", err.text);
	assert_true(storage_size(s) == MODEL_DISK);
	model_run_on(s, NULL, rounds);
	storage_close(&s);
}

#endif
