/* SPDX-License-Identifier: MIT */
/*
 * The model disk: an engine, or a stack of layers on one, against a copy in memory.
 *
 * Several threads with a channel each do random operations, several in flight, each on a part of
 * the disk that is its own; after each flush of its own a thread compares a piece of its part, and
 * all of it at the end.  Sizes, alignments and the pieces of memory are anything that a guest may
 * ask for.  The sequence of each thread is fixed by its number.
 */
#ifndef STORAGE_MODEL_TEST_H
#define STORAGE_MODEL_TEST_H

#include "storage/storage_test.h"

#include <pthread.h>

#define MODEL_DISK     (UINT64_C(4) << 20)
#define MODEL_LONGEST  (UINT64_C(768) << 10)
#define MODEL_SLOTS    8
#define MODEL_CHANNELS 4
#define MODEL_IOV      24

struct model_how {
	unsigned rounds;      /* of each channel */
	const uint8_t *first; /* what the disk holds, MODEL_DISK bytes; NULL: zeroes */
	bool epoll;	      /* reactors without io_uring */
	bool discard_zeroes;  /* what is discarded reads as zeroes */
	bool first_unknown;   /* what it holds at first is anything */
};

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
	const struct model_how *how;
	uint8_t *shadow; /* of the disk, of which its part counts */
	uint8_t *known;	 /* by sector */
	struct model_slot slots[MODEL_SLOTS];
	char failure[160];
};

static inline uint32_t model_rnd(struct model_channel *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (uint32_t)(m->seed >> 16);
}

/* What cmocka does with a failure is for the main thread alone. */
static inline void model_fail(struct model_channel *m, const struct storage_io *io, const char *why)
{
	if (m->failure[0])
		return;
	if (!io)
		snprintf(m->failure, sizeof(m->failure), "%s", why);
	else
		snprintf(m->failure, sizeof(m->failure),
			 "request of kind %d with flags %u, %llu bytes from %llu: %s", io->op,
			 io->flags, (unsigned long long)io->len, (unsigned long long)io->offset,
			 why);
}

/* Aligned pieces, sectors, or anything down to nothing; and memory that begins at an odd place. */
static inline void model_cut(struct model_channel *m, struct model_slot *s, uint64_t len)
{
	const unsigned style = model_rnd(m) % 4;
	const uint64_t unit = style == 1 ? 4096 : style == 2 ? 512 : 1;
	uint8_t *p = s->mem + (style == 3 ? model_rnd(m) % 64 : 0);
	int n = 0;

	while (len) {
		uint64_t piece = len;

		if (style && n < MODEL_IOV - 1) {
			piece = min_u64(unit * (1 + model_rnd(m) % (1 + len / unit / 2)), len);
			if (style == 3 && model_rnd(m) % 8 == 0)
				piece = 0;
		}
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
		uint64_t left = s->before[i].iov_len;

		while (left) {
			const uint64_t n = min_u64(left, 512 - at % 512);

			if (m->known[at / 512] && memcmp(got, m->shadow + at, n) != 0) {
				char why[64];

				snprintf(why, sizeof(why), "sector %llu differs",
					 (unsigned long long)(at / 512));
				model_fail(m, &s->w.io, why);
			}
			got += n;
			at += n;
			left -= n;
		}
	}
}

static inline void model_reap(struct model_channel *m, struct model_slot *s)
{
	while (!s->w.over)
		reactor_turn(m->r);
	s->busy = false;
	if (s->w.times != 1)
		model_fail(m, &s->w.io, "answered more than once");
	if (s->w.err)
		model_fail(m, &s->w.io, strerror(-s->w.err));
	if (s->w.io.iovcnt &&
	    memcmp(s->iov, s->before, (size_t)s->w.io.iovcnt * sizeof(s->iov[0])) != 0)
		model_fail(m, &s->w.io, "the vector was left changed");
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

/* Each word of it is another one than the last that was written there. */
static inline void model_fill(struct model_channel *m, const struct model_slot *s)
{
	const struct storage_io *io = &s->w.io;
	uint64_t *words = (uint64_t *)(m->shadow + io->offset);
	uint8_t *from = m->shadow + io->offset;
	const uint64_t v = m->seed;

	for (uint64_t i = 0; i < io->len / 8; i++)
		words[i] = v + i * UINT64_C(0x9e3779b97f4a7c15);
	for (int i = 0; i < io->iovcnt; i++) {
		memcpy(s->iov[i].iov_base, from, s->iov[i].iov_len);
		from += s->iov[i].iov_len;
	}
}

static inline void model_prepare(struct model_channel *m, struct model_slot *s)
{
	struct storage_io *io = &s->w.io;

	switch (io->op) {
	case STORAGE_READ:
		model_cut(m, s, io->len);
		memset(s->mem, 0xee, io->len);
		return;
	case STORAGE_WRITE:
		model_cut(m, s, io->len);
		model_fill(m, s);
		memset(m->known + io->offset / 512, 1, io->len / 512);
		return;
	case STORAGE_WRITE_ZEROES:
		memset(m->shadow + io->offset, 0, io->len);
		memset(m->known + io->offset / 512, 1, io->len / 512);
		return;
	case STORAGE_DISCARD:
		memset(m->shadow + io->offset, 0, io->len);
		memset(m->known + io->offset / 512, m->how->discard_zeroes, io->len / 512);
		return;
	case STORAGE_SECURE_ERASE:
		memset(m->known + io->offset / 512, 0, io->len / 512);
		return;
	default:
		return;
	}
}

static inline uint64_t model_length(struct model_channel *m)
{
	switch (model_rnd(m) % 16) {
	case 0:
	case 1:
		return 1;
	case 2:
		return MODEL_LONGEST / 512 - model_rnd(m) % 32;
	case 3:
	case 4:
		return 8 * (1 + model_rnd(m) % 32);
	case 5:
	case 6:
	case 7:
		return 1 + model_rnd(m) % 256;
	default:
		return 1 + model_rnd(m) % 16;
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
		unsigned tries = 0;

		do {
			/* Others may be all over the part. */
			if (++tries > 100) {
				*io = (struct storage_io){.op = STORAGE_FLUSH};
				break;
			}
			left = m->to - m->from;
			sectors = min_u64(model_length(m), left);
			io->len = sectors * 512;
			io->offset = (m->from + model_rnd(m) % (left - sectors + 1)) * 512;
			if (model_rnd(m) % 2)
				io->offset = max_u64(align_down(io->offset, 4096), m->from * 512);
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

static inline void model_work(struct model_channel *m)
{
	for (unsigned n = 0; n < m->how->rounds && !m->failure[0]; n++) {
		struct model_slot *s = &m->slots[model_rnd(m) % MODEL_SLOTS];
		bool flushed = s->busy && s->w.io.op == STORAGE_FLUSH;

		if (s->busy)
			model_reap(m, s);
		if (flushed)
			model_compare(m, m->from, min_u64(m->to - m->from, 256));
		model_launch(m, s);
	}
	model_compare(m, m->from, m->to - m->from);
}

/* Where io_uring is forbidden, one without.  0 or -errno. */
static inline int model_reactor_create(struct reactor **r, bool epoll)
{
	struct reactor_config c = {.uring = !epoll};
	int rc = reactor_create(r, &c, NULL);

	if (!rc || epoll)
		return rc;
	c.uring = false;
	return reactor_create(r, &c, NULL);
}

static inline void *model_thread(void *arg)
{
	struct model_channel *m = arg;

	if (model_reactor_create(&m->r, m->how->epoll)) {
		model_fail(m, NULL, "no reactor");
		return NULL;
	}
	if (storage_channel_open(m->s, m->r, &m->ch, NULL)) {
		model_fail(m, NULL, "no channel");
	} else {
		model_work(m);
		storage_channel_close(&m->ch);
	}
	model_settle(m->r);
	reactor_destroy(&m->r);
	return NULL;
}

static inline void model_run_how(struct storage *s, const struct model_how *how)
{
	struct model_channel *all = calloc(MODEL_CHANNELS, sizeof(*all));
	uint8_t *shadow = calloc(1, MODEL_DISK), *known = malloc(MODEL_DISK / 512);

	assert_true(all && shadow && known);
	assert_true(storage_size(s) == MODEL_DISK);
	if (how->first)
		memcpy(shadow, how->first, MODEL_DISK);
	memset(known, !how->first_unknown, MODEL_DISK / 512);
	for (unsigned i = 0; i < MODEL_CHANNELS; i++) {
		struct model_channel *m = &all[i];
		uint64_t part = MODEL_DISK / 512 / MODEL_CHANNELS;

		*m = (struct model_channel){.s = s,
					    .seed = UINT64_C(0x9e3779b97f4a7c15) + i,
					    .from = i ? i * part + 5 : 0,
					    .to = i + 1 < MODEL_CHANNELS ? (i + 1) * part + 5
									 : MODEL_DISK / 512,
					    .how = how,
					    .shadow = shadow,
					    .known = known};
		for (unsigned k = 0; k < MODEL_SLOTS; k++) {
			m->slots[k].mem = aligned_alloc(4096, MODEL_LONGEST + 4096);
			assert_non_null(m->slots[k].mem);
		}
		assert_int_equal(pthread_create(&m->thread, NULL, model_thread, m), 0);
	}
	for (unsigned i = 0; i < MODEL_CHANNELS; i++)
		pthread_join(all[i].thread, NULL);
	for (unsigned i = 0; i < MODEL_CHANNELS; i++) {
		for (unsigned k = 0; k < MODEL_SLOTS; k++)
			free(all[i].slots[k].mem);
		if (all[i].failure[0])
			fail_msg("channel %u: %s", i, all[i].failure);
	}
	free(known);
	free(shadow);
	free(all);
}

/* @first: what the disk holds, MODEL_DISK bytes; NULL: zeroes. */
static inline void model_run_on(struct storage *s, const uint8_t *first, unsigned rounds)
{
	model_run_how(s, &(struct model_how){.rounds = rounds, .first = first});
}

static inline void model_run(const struct storage_options *o, unsigned rounds)
{
	struct error err = {""};
	struct storage *s;

	if (storage_open(o, &s, &err))
		fail_msg("%s", err.text);
	model_run_on(s, NULL, rounds);
	storage_close(&s);
}

#endif
