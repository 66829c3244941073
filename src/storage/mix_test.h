/* SPDX-License-Identifier: MIT */
/*
 * A random mix of requests on several channels of a disk, held against a copy in memory: what every
 * engine of a disk elsewhere goes through, while its server is killed, hung and started anew.
 */
#ifndef STORAGE_MIX_TEST_H
#define STORAGE_MIX_TEST_H

#include "storage/storage_test.h"

#include "base/bits.h"

#define MIB	      (UINT64_C(1) << 20)
#define MIX_DISK      (8 * MIB)
#define MIX_LONGEST   (256u << 10)
#define MIX_IN_FLIGHT 16
#define MIX_PIECES    48

struct mix_slot {
	struct waited w;
	struct iovec iov[MIX_PIECES];
	uint8_t *mem;
	bool busy;
};

struct mix {
	struct rig *rig;
	struct storage_channel *ch[3];
	unsigned n_ch;
	uint32_t seed;
	uint8_t *shadow, *known;
	struct mix_slot slots[MIX_IN_FLIGHT];
};

static inline uint32_t mix_rnd(struct mix *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 17;
	m->seed ^= m->seed << 5;
	return m->seed;
}

static inline void mix_init(struct mix *m, struct rig *rig, unsigned channels)
{
	*m = (struct mix){.rig = rig, .seed = 2463534242, .n_ch = channels};
	m->ch[0] = rig->ch;
	for (unsigned i = 1; i < channels; i++)
		assert_int_equal(storage_channel_open(rig->s, rig->r, &m->ch[i], NULL), 0);
	m->shadow = calloc(1, MIX_DISK);
	m->known = malloc(MIX_DISK / 512);
	memset(m->known, 1, MIX_DISK / 512);
	for (unsigned i = 0; i < MIX_IN_FLIGHT; i++)
		m->slots[i].mem = malloc(MIX_LONGEST);
}

static inline bool mix_is_free(const struct mix *m, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < MIX_IN_FLIGHT; i++)
		if (m->slots[i].busy &&
		    ranges_overlap(m->slots[i].w.io.offset, m->slots[i].w.io.len, offset, len))
			return false;
	return true;
}

static inline int mix_cut(struct mix *m, struct mix_slot *s, uint64_t len)
{
	const uint64_t unit = (const uint64_t[]){4096, 512, 1, MIX_LONGEST}[mix_rnd(m) % 4];
	uint8_t *p = s->mem;
	int n = 0;

	while (len) {
		uint64_t piece = min_u64(len, unit * (1 + mix_rnd(m) % 40));

		if (n == MIX_PIECES - 1)
			piece = len;
		s->iov[n++] = (struct iovec){p, piece};
		p += piece;
		len -= piece;
	}
	return n;
}

static inline void mix_slot_check(struct mix *m, struct mix_slot *s)
{
	const struct storage_io *io = &s->w.io;

	s->busy = false;
	assert_int_equal(s->w.times, 1);
	if (s->w.err)
		fail_msg("request of kind %d: %s", io->op, strerror(-s->w.err));
	for (uint64_t at = 0; at < io->len; at += 512) {
		const uint64_t sector = (io->offset + at) / 512;

		if (io->op == STORAGE_READ && m->known[sector])
			assert_memory_equal(s->mem + at, m->shadow + sector * 512, 512);
		if (io->op == STORAGE_WRITE)
			memcpy(m->shadow + sector * 512, s->mem + at, 512);
		if (io->op == STORAGE_WRITE_ZEROES)
			memset(m->shadow + sector * 512, 0, 512);
		if (io->op != STORAGE_READ)
			m->known[sector] = io->op != STORAGE_DISCARD;
	}
}

static inline void mix_slot_start(struct mix *m, struct mix_slot *s)
{
	static const enum storage_op ops[] = {STORAGE_READ,    STORAGE_READ,	    STORAGE_WRITE,
					      STORAGE_WRITE,   STORAGE_WRITE,	    STORAGE_FLUSH,
					      STORAGE_DISCARD, STORAGE_WRITE_ZEROES};
	const struct storage_limits *l = storage_limits(m->rig->s);
	enum storage_op op = ops[mix_rnd(m) % ARRAY_SIZE(ops)];
	uint64_t len = 512 * (1 + mix_rnd(m) % (mix_rnd(m) % 4 ? 32 : MIX_LONGEST / 512));
	uint64_t offset = 512 * (mix_rnd(m) % ((MIX_DISK - len) / 512 + 1));

	if ((op == STORAGE_DISCARD && !l->max_discard) ||
	    (op == STORAGE_WRITE_ZEROES && !l->max_write_zeroes))
		op = STORAGE_WRITE;
	if (op == STORAGE_FLUSH)
		offset = len = 0;
	else if (!mix_is_free(m, offset, len))
		return;
	memset(&s->w, 0, sizeof(s->w));
	s->w.io = (struct storage_io){.op = op, .offset = offset, .len = len};
	s->w.io.done = waited_done;
	if (op != STORAGE_READ && op != STORAGE_FLUSH)
		s->w.io.flags = mix_rnd(m) % 4 ? 0 : STORAGE_FUA;
	if (op == STORAGE_WRITE_ZEROES && mix_rnd(m) % 2)
		s->w.io.flags |= STORAGE_UNMAP;
	if (op == STORAGE_READ || op == STORAGE_WRITE) {
		s->w.io.iov = s->iov;
		s->w.io.iovcnt = mix_cut(m, s, len);
	}
	for (uint64_t i = 0; i < len / 4; i++)
		((uint32_t *)s->mem)[i] = op == STORAGE_WRITE ? mix_rnd(m) : 0;
	s->busy = true;
	storage_submit(m->ch[mix_rnd(m) % m->n_ch], &s->w.io);
}

static inline void mix_run(struct mix *m, unsigned rounds)
{
	for (unsigned n = 0; n < rounds; n++) {
		struct mix_slot *s = &m->slots[mix_rnd(m) % MIX_IN_FLIGHT];

		while (s->busy && !s->w.over)
			reactor_turn(m->rig->r);
		if (s->busy)
			mix_slot_check(m, s);
		mix_slot_start(m, s);
	}
}

static inline void mix_wait(struct mix *m)
{
	for (unsigned i = 0; i < MIX_IN_FLIGHT; i++) {
		while (m->slots[i].busy && !m->slots[i].w.over)
			reactor_turn(m->rig->r);
		if (m->slots[i].busy)
			mix_slot_check(m, &m->slots[i]);
	}
}

static inline void mix_compare_all(struct mix *m)
{
	uint8_t *mem = malloc(MIX_LONGEST);

	for (uint64_t at = 0; at < MIX_DISK; at += MIX_LONGEST) {
		assert_int_equal(rig_rw(m->rig, STORAGE_READ, 0, at, mem, MIX_LONGEST), 0);
		for (uint64_t i = 0; i < MIX_LONGEST; i += 512)
			if (m->known[(at + i) / 512])
				assert_memory_equal(mem + i, m->shadow + at + i, 512);
	}
	free(mem);
}

static inline void mix_fini(struct mix *m)
{
	mix_wait(m);
	mix_compare_all(m);
	for (unsigned i = 1; i < m->n_ch; i++)
		storage_channel_close(&m->ch[i]);
	for (unsigned i = 0; i < MIX_IN_FLIGHT; i++)
		free(m->slots[i].mem);
	free(m->shadow);
	free(m->known);
}

static inline void mix_on(const struct storage_options *o, unsigned rounds)
{
	for (unsigned uring = 0; uring < 2; uring++) {
		struct error err = {""};
		struct rig rig;
		struct mix m;

		if (rig_open(&rig, o, uring, &err))
			fail_msg("%s", err.text);
		assert_int_equal(storage_size(rig.s), MIX_DISK);
		mix_init(&m, &rig, 3);
		/* The disk may have been written by the round before. */
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		memset(m.known, 0, MIX_DISK / 512);
		mix_run(&m, rounds);
		mix_fini(&m);
		rig_close(&rig);
	}
}

#endif
