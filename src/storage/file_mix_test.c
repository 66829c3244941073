/* SPDX-License-Identifier: MIT */
/*
 * A random mix of everything, several in flight, held against a copy in memory; on each place,
 * cache mode and way of I/O.  The sequence is fixed by its seed, so a failure comes again.
 */
#include "storage/loop_test.h"
#include "storage/storage_test.h"

#include <errno.h>

#define KIB	  UINT64_C(1024)
#define DISK	  (8 * KIB * KIB)
#define LONGEST	  (1024 * KIB)
#define IN_FLIGHT 12
#define ROUNDS	  700
#define MAX_IOV	  24

struct slot {
	struct waited w;
	struct iovec iov[MAX_IOV];
	struct iovec iov_copy[MAX_IOV]; /* the other one is to be as it was, at the end */
	uint8_t *mem;			/* LONGEST bytes and some to be odd in */
	bool busy;
};

struct mix {
	struct rig rig;
	uint64_t seed;
	uint8_t *shadow;
	uint8_t *known; /* one byte per sector: 0 after a discard that need not zero */
	bool discard_zeroes;
	struct slot slots[IN_FLIGHT];
};

static uint32_t rnd(struct mix *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return (uint32_t)(m->seed >> 16);
}

static uint64_t pick_length(struct mix *m)
{
	switch (rnd(m) % 8) {
	case 0:
		return 512;
	case 1:
		return 512 * (1 + rnd(m) % 16);
	case 2:
		return LONGEST - 512 * (rnd(m) % 32);
	case 3:
		return 4096 * (1 + rnd(m) % 64);
	default:
		return 512 * (1 + rnd(m) % 256);
	}
}

static bool is_free(const struct mix *m, uint64_t offset, uint64_t len)
{
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		const struct slot *s = &m->slots[i];

		if (s->busy && ranges_overlap(s->w.io.offset, s->w.io.len, offset, len))
			return false;
	}
	return true;
}

/* Cuts the memory of a request in up to MAX_IOV pieces: aligned ones, sectors, or anything down to
 * a byte. */
static void cut(struct mix *m, struct slot *s, uint64_t len)
{
	unsigned style = rnd(m) % 4;
	uint8_t *p = s->mem + (style == 3 ? rnd(m) % 64 : 0);
	int n = 0;

	while (len) {
		uint64_t piece = len;

		if (style && n < MAX_IOV - 1) {
			uint64_t unit = style == 1 ? 4096 : style == 2 ? 512 : 1;

			piece = unit * (1 + rnd(m) % (1 + len / unit / 2));
			piece = min_u64(piece, len);
			if (style == 3 && rnd(m) % 8 == 0)
				piece = 0;
		}
		s->iov[n].iov_base = p;
		s->iov[n++].iov_len = piece;
		p += piece;
		len -= piece;
	}
	memcpy(s->iov_copy, s->iov, sizeof(s->iov));
	s->w.io.iov = s->iov;
	s->w.io.iovcnt = n;
}

static void check_read(struct mix *m, const struct slot *s)
{
	uint64_t at = s->w.io.offset;

	for (int i = 0; i < s->w.io.iovcnt; i++) {
		const uint8_t *got = s->iov_copy[i].iov_base;
		uint64_t left = s->iov_copy[i].iov_len;

		while (left) {
			uint64_t n = min_u64(left, 512 - at % 512);

			if (m->known[at / 512] && memcmp(got, m->shadow + at, n))
				fail_msg("sector %llu differs", (unsigned long long)(at / 512));
			got += n;
			at += n;
			left -= n;
		}
	}
}

static void reap(struct mix *m, struct slot *s)
{
	if (rig_wait(&m->rig, &s->w))
		fail_msg("op %d at %llu+%llu: error %d", s->w.io.op,
			 (unsigned long long)s->w.io.offset, (unsigned long long)s->w.io.len,
			 s->w.err);
	s->busy = false;
	if (s->w.io.iovcnt &&
	    memcmp(s->iov, s->iov_copy, (size_t)s->w.io.iovcnt * sizeof(s->iov[0])) != 0)
		fail_msg("the caller's vector was left changed");
	if (s->w.io.op == STORAGE_READ)
		check_read(m, s);
}

static void fill(struct mix *m, struct slot *s)
{
	uint64_t at = s->w.io.offset;
	uint8_t v = (uint8_t)(1 + rnd(m) % 255);

	for (int i = 0; i < s->w.io.iovcnt; i++) {
		uint8_t *p = s->iov[i].iov_base;

		for (uint64_t k = 0; k < s->iov[i].iov_len; k++, at++)
			m->shadow[at] = p[k] = (uint8_t)(v + at / 512 + (at & 3));
	}
}

static void launch(struct mix *m, struct slot *s)
{
	static const enum storage_op ops[] = {
		STORAGE_READ,	      STORAGE_READ,	    STORAGE_READ,	 STORAGE_WRITE,
		STORAGE_WRITE,	      STORAGE_WRITE,	    STORAGE_FLUSH,	 STORAGE_DISCARD,
		STORAGE_WRITE_ZEROES, STORAGE_WRITE_ZEROES, STORAGE_SECURE_ERASE};
	struct storage_io *io = &s->w.io;
	uint32_t r = rnd(m);

	s->w = (struct waited){.io = {.op = ops[r % ARRAY_SIZE(ops)]}};
	io->flags = (rnd(m) % 8 ? 0 : STORAGE_FUA) | (rnd(m) % 2 ? STORAGE_UNMAP : 0);
	if ((io->op == STORAGE_DISCARD && !storage_limits(m->rig.s)->max_discard) ||
	    (io->op == STORAGE_SECURE_ERASE && !storage_limits(m->rig.s)->max_secure_erase))
		io->op = STORAGE_FLUSH;
	if (io->op != STORAGE_FLUSH) {
		do {
			io->len = pick_length(m);
			io->offset = 512 * (rnd(m) % ((DISK - io->len) / 512 + 1));
			if (rnd(m) % 2)
				io->offset = align_down(io->offset, 4096);
		} while (!is_free(m, io->offset, io->len));
	}
	switch (io->op) {
	case STORAGE_READ:
		cut(m, s, io->len);
		memset(s->mem, 0xee, LONGEST);
		break;
	case STORAGE_WRITE:
		cut(m, s, io->len);
		fill(m, s);
		memset(m->known + io->offset / 512, 1, io->len / 512);
		break;
	case STORAGE_SECURE_ERASE: /* by zeroes in its place */
	case STORAGE_WRITE_ZEROES:
		memset(m->shadow + io->offset, 0, io->len);
		memset(m->known + io->offset / 512, 1, io->len / 512);
		break;
	case STORAGE_DISCARD:
		memset(m->shadow + io->offset, 0, io->len);
		memset(m->known + io->offset / 512, m->discard_zeroes, io->len / 512);
		break;
	default:
		break;
	}
	s->busy = true;
	rig_start(&m->rig, &s->w);
}

static void run_mix(const struct storage_options *o, bool uring, bool discard_zeroes)
{
	struct error err = {""};
	struct rig rig;
	struct mix *m;
	int rc;

	rc = rig_open(&rig, o, uring, &err);
	if (o->direct && rc == -EINVAL)
		skip();
	if (rc)
		fail_msg("%s", err.text);
	m = calloc(1, sizeof(*m));
	assert_non_null(m);
	m->rig = rig;
	m->seed = 0x9e3779b97f4a7c15u;
	m->discard_zeroes = discard_zeroes;
	m->shadow = calloc(1, DISK);
	m->known = malloc(DISK / 512);
	assert_true(m->shadow && m->known);
	memset(m->known, 1, DISK / 512);
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		m->slots[i].mem = aligned_alloc(4096, LONGEST + 4096);
		assert_non_null(m->slots[i].mem);
	}
	for (unsigned n = 0; n < ROUNDS; n++) {
		struct slot *s = &m->slots[rnd(m) % IN_FLIGHT];

		if (s->busy)
			reap(m, s);
		launch(m, s);
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (m->slots[i].busy)
			reap(m, &m->slots[i]);

	/* And the whole disk at last, by one long read. */
	for (uint64_t at = 0; at < DISK; at += LONGEST) {
		struct slot *s = &m->slots[0];

		s->w = (struct waited){.io = {.op = STORAGE_READ, .offset = at, .len = LONGEST}};
		cut(m, s, LONGEST);
		rig_start(&m->rig, &s->w);
		reap(m, s);
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		free(m->slots[i].mem);
	rig_close(&m->rig);
	free(m->known);
	free(m->shadow);
	free(m);
}

static void mix_on_file(const char *parent, bool direct, bool threads, bool uring)
{
	char *dir = scratch_has_room(parent, DISK) ? scratch_make(parent) : NULL;
	char *path;

	if (!dir)
		skip();
	path = image_make(dir, "mix.raw", DISK);
	run_mix(&(struct storage_options){.target = path, .direct = direct, .threads = threads},
		uring, true);
	free(path);
	scratch_remove(dir);
}

static void tmpfs_uring(void **state)
{
	(void)state;
	mix_on_file("/dev/shm", false, false, true);
}

static void tmpfs_threads(void **state)
{
	(void)state;
	mix_on_file("/dev/shm", false, true, true);
}

static void disk_buffered_uring(void **state)
{
	(void)state;
	mix_on_file(".", false, false, true);
}

static void disk_buffered_threads(void **state)
{
	(void)state;
	mix_on_file(".", false, true, true);
}

static void disk_direct_uring(void **state)
{
	(void)state;
	mix_on_file(".", true, false, true);
}

static void disk_direct_threads(void **state)
{
	(void)state;
	mix_on_file(".", true, true, true);
}

static void h_04_no_uring_falls_back_to_threads(void **state)
{
	(void)state;
	mix_on_file(".", false, false, false);
}

static void mix_on_loop(uint32_t block_size, bool direct, bool threads)
{
	char *dir = scratch_make("."), *path = image_make(dir, "loop.img", DISK);
	struct loop loop;

	if (!loop_make(&loop, path, block_size)) {
		free(path);
		scratch_remove(dir);
		skip();
	}
	/* Of what is finer than its blocks, a discard leaves the edges alone. */
	run_mix(&(struct storage_options){.target = loop.path,
					  .direct = direct,
					  .threads = threads},
		true, false);
	loop_remove(&loop);
	free(path);
	scratch_remove(dir);
}

static void loop_512_buffered(void **state)
{
	(void)state;
	mix_on_loop(512, false, false);
}

static void loop_512_direct(void **state)
{
	(void)state;
	mix_on_loop(512, true, false);
}

static void loop_4096_buffered(void **state)
{
	(void)state;
	mix_on_loop(4096, false, false);
}

/* Sectors finer than O_DIRECT takes are edited, beside direct writes of whole blocks. */
static void loop_4096_direct(void **state)
{
	(void)state;
	mix_on_loop(4096, true, false);
}

static void loop_4096_direct_threads(void **state)
{
	(void)state;
	mix_on_loop(4096, true, true);
}

static void memory(void **state)
{
	(void)state;
	run_mix(&(struct storage_options){.target = "memory:8M"}, true, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(tmpfs_uring),
		cmocka_unit_test(tmpfs_threads),
		cmocka_unit_test(disk_buffered_uring),
		cmocka_unit_test(disk_buffered_threads),
		cmocka_unit_test(disk_direct_uring),
		cmocka_unit_test(disk_direct_threads),
		cmocka_unit_test(h_04_no_uring_falls_back_to_threads),
		cmocka_unit_test(loop_512_buffered),
		cmocka_unit_test(loop_512_direct),
		cmocka_unit_test(loop_4096_buffered),
		cmocka_unit_test(loop_4096_direct),
		cmocka_unit_test(loop_4096_direct_threads),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests_name("storage/file_mix", tests, NULL, NULL);
}
