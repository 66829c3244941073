/* SPDX-License-Identifier: MIT */
/*
 * Who writes which blocks: the order of turns, and parallel neighbours on several channels of a
 * device that takes whole blocks only.
 */
#include "storage/loop_test.h"
#include "storage/place_test.h"
#include "storage/rmw.h"

#include "base/atomic.h"

#include <pthread.h>

#define BLOCK 4096u

/* ---- turns ---- */

static struct storage_io *resumed[16];
static unsigned n_resumed;

static void note_resumed(struct storage_io *io)
{
	resumed[n_resumed++] = io;
}

struct turns {
	struct rmw rmw;
	struct reactor *r[2];
	struct rmw_channel ch[2];
};

static void turns_init(struct turns *t)
{
	const struct reactor_config c = {.uring = false};

	n_resumed = 0;
	rmw_init(&t->rmw, BLOCK, note_resumed);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(reactor_create(&t->r[i], &c, NULL), 0);
		assert_int_equal(rmw_attach(&t->rmw, &t->ch[i], t->r[i]), 0);
	}
}

static void turns_fini(struct turns *t)
{
	for (unsigned i = 0; i < 2; i++) {
		if (t->ch[i].rmw)
			rmw_detach(&t->ch[i]);
		reactor_destroy(&t->r[i]);
	}
	assert_null(t->rmw.held);
	assert_null(t->rmw.waiting);
	assert_int_equal(t->rmw.edits, 0);
	assert_int_equal(t->rmw.draining, 0);
	rmw_fini(&t->rmw);
}

static struct storage_io range(uint64_t offset, uint64_t len)
{
	return (struct storage_io){.op = STORAGE_WRITE, .offset = offset, .len = len};
}

static void edits_of_one_block_take_turns(void **state)
{
	struct storage_io a = range(0, 512), b = range(512, 512), c = range(4096, 512),
			  d = range(3584, 1024), e = range(4608, 512);
	struct turns t;

	(void)state;
	turns_init(&t);
	/* The other channel has nothing in flight, but it has to say so. */
	assert_int_equal(rmw_enter(&t.ch[0], &a, true), RMW_WAITS);
	reactor_process(t.r[1]);
	assert_int_equal(n_resumed, 1);
	assert_ptr_equal(resumed[0], &a);
	assert_int_equal(rmw_enter(&t.ch[1], &b, true), RMW_WAITS);
	assert_int_equal(rmw_enter(&t.ch[1], &c, true), RMW_HELD);
	/* Two blocks: it waits for both, and nobody overtakes it for one of them. */
	assert_int_equal(rmw_enter(&t.ch[0], &d, true), RMW_WAITS);
	rmw_leave(&t.ch[1], &c, RMW_HELD);
	assert_int_equal(n_resumed, 1);
	assert_int_equal(rmw_enter(&t.ch[0], &e, true), RMW_WAITS);
	rmw_leave(&t.ch[0], &a, RMW_HELD);
	assert_int_equal(n_resumed, 2);
	assert_ptr_equal(resumed[1], &b);
	rmw_leave(&t.ch[1], &b, RMW_HELD);
	assert_int_equal(n_resumed, 3);
	assert_ptr_equal(resumed[2], &d);
	rmw_leave(&t.ch[0], &d, RMW_HELD);
	assert_ptr_equal(resumed[3], &e);
	rmw_leave(&t.ch[0], &e, RMW_HELD);
	assert_int_equal(n_resumed, 4);
	turns_fini(&t);
}

static void an_edit_waits_for_whole_writes_in_flight(void **state)
{
	struct storage_io w0 = range(0, BLOCK), w1 = range(BLOCK, BLOCK), e = range(512, 512),
			  later = range(0, BLOCK), far = range(8 * BLOCK, BLOCK);
	struct turns t;

	(void)state;
	turns_init(&t);
	assert_int_equal(rmw_enter(&t.ch[0], &w0, false), RMW_COUNTED);
	assert_int_equal(rmw_enter(&t.ch[1], &w1, false), RMW_COUNTED);
	assert_int_equal(rmw_enter(&t.ch[0], &e, true), RMW_WAITS);
	/* From now on whole writes hold their blocks. */
	assert_int_equal(rmw_enter(&t.ch[1], &later, false), RMW_WAITS);
	assert_int_equal(rmw_enter(&t.ch[1], &far, false), RMW_HELD);
	reactor_process(t.r[1]);
	rmw_leave(&t.ch[0], &w0, RMW_COUNTED);
	assert_int_equal(n_resumed, 0);
	rmw_leave(&t.ch[1], &w1, RMW_COUNTED);
	assert_int_equal(n_resumed, 1);
	assert_ptr_equal(resumed[0], &e);
	rmw_leave(&t.ch[0], &e, RMW_HELD);
	assert_ptr_equal(resumed[1], &later);
	rmw_leave(&t.ch[1], &later, RMW_HELD);
	rmw_leave(&t.ch[1], &far, RMW_HELD);
	turns_fini(&t);
}

static void the_watch_ends_when_no_edit_comes(void **state)
{
	struct storage_io e = range(512, 512);
	struct turns t;

	(void)state;
	turns_init(&t);
	for (unsigned round = 0; round < 3; round++) {
		n_resumed = 0;
		assert_int_equal(rmw_enter(&t.ch[0], &e, true), RMW_WAITS);
		reactor_process(t.r[1]);
		assert_int_equal(n_resumed, 1);
		rmw_leave(&t.ch[0], &e, RMW_HELD);
		for (unsigned n = 0; n < RMW_CALM; n++) {
			struct storage_io w = range(0, BLOCK);

			assert_int_equal(rmw_enter(&t.ch[1], &w, false), RMW_HELD);
			rmw_leave(&t.ch[1], &w, RMW_HELD);
		}
		for (unsigned n = 0; n < 2; n++) {
			struct storage_io w = range(0, BLOCK);

			assert_int_equal(rmw_enter(&t.ch[1], &w, false), RMW_COUNTED);
			rmw_leave(&t.ch[1], &w, RMW_COUNTED);
		}
	}
	turns_fini(&t);
}

static void a_channel_that_closes_is_not_waited_for(void **state)
{
	struct storage_io e = range(512, 512);
	struct turns t;

	(void)state;
	turns_init(&t);
	assert_int_equal(rmw_enter(&t.ch[0], &e, true), RMW_WAITS);
	rmw_detach(&t.ch[1]);
	t.ch[1].rmw = NULL;
	assert_int_equal(n_resumed, 1);
	reactor_process(t.r[1]); /* the notice, which finds nobody */
	rmw_leave(&t.ch[0], &e, RMW_HELD);
	turns_fini(&t);
}

/* ---- neighbours on several channels ---- */

#define THREADS 4
#define BLOCKS	8
#define SECTORS (BLOCKS * BLOCK / 512)
#define ROUNDS	100
#define DEPTH	4

struct neighbour {
	pthread_t thread;
	struct storage *s;
	unsigned index;
	bool uring;
	uint64_t seed;
	unsigned bad;
	uint8_t last[SECTORS]; /* of the sectors that are ours */
};

static uint32_t rnd(struct neighbour *h)
{
	h->seed ^= h->seed << 13;
	h->seed ^= h->seed >> 7;
	h->seed ^= h->seed << 17;
	return (uint32_t)(h->seed >> 16);
}

/* Sectors are dealt out in turn, so that in each block there are some of everybody's. */
static bool is_ours(const struct neighbour *h, unsigned sector)
{
	return sector % THREADS == h->index;
}

struct shot {
	struct waited w;
	struct iovec iov;
	unsigned sector;
	uint8_t *buf;
};

static void shoot(struct neighbour *h, struct rig *rig, struct shot *shots, unsigned n)
{
	unsigned sector;
	bool taken;

	do {
		sector = rnd(h) % (SECTORS / THREADS) * THREADS + h->index;
		taken = false;
		for (unsigned i = 0; i < n; i++)
			taken |= shots[i].sector == sector;
	} while (taken);
	shots[n].sector = sector;
	shots[n].iov = (struct iovec){shots[n].buf, 512};
	shots[n].w = (struct waited){.io = {.op = STORAGE_WRITE,
					    .flags = rnd(h) % 4 ? 0 : STORAGE_FUA,
					    .offset = sector * 512ull,
					    .len = 512,
					    .iov = &shots[n].iov,
					    .iovcnt = 1}};
	h->last[sector] = (uint8_t)(1 + rnd(h) % 255);
	if (rnd(h) % 4 == 0) {
		shots[n].w.io.op = STORAGE_WRITE_ZEROES;
		h->last[sector] = 0;
	}
	memset(shots[n].buf, h->last[sector], 512);
	rig_start(rig, &shots[n].w);
}

static bool sector_is(struct rig *rig, unsigned sector, uint8_t v)
{
	uint8_t got[512];

	return !rig_rw(rig, STORAGE_READ, 0, sector * 512ull, got, 512) &&
	       all_bytes_are(got, v, 512) && got[0] == v;
}

static void *neighbour_works(void *arg)
{
	struct neighbour *h = arg;
	struct reactor_config c = {.uring = h->uring};
	struct rig rig = {.s = h->s};
	struct shot shots[DEPTH];

	if (reactor_create(&rig.r, &c, NULL)) {
		c.uring = false;
		if (reactor_create(&rig.r, &c, NULL))
			return NULL;
	}
	for (unsigned i = 0; i < DEPTH; i++)
		shots[i].buf = malloc(512);
	if (!storage_channel_open(h->s, rig.r, &rig.ch, NULL)) {
		for (unsigned n = 0; n < ROUNDS; n++) {
			for (unsigned i = 0; i < DEPTH; i++)
				shoot(h, &rig, shots, i);
			for (unsigned i = 0; i < DEPTH; i++)
				h->bad += rig_wait(&rig, &shots[i].w) != 0;
			for (unsigned i = 0; i < DEPTH; i++)
				h->bad += !sector_is(&rig, shots[i].sector,
						     h->last[shots[i].sector]);
			/* A discard of less than a block leaves everybody's data alone. */
			if (n % 16 == 0)
				h->bad += rig_do(&rig, STORAGE_DISCARD, 0,
						 (n % SECTORS) / THREADS * THREADS * 512ull +
							 h->index * 512ull,
						 512) != 0;
		}
		for (unsigned s = 0; s < SECTORS; s++)
			if (is_ours(h, s))
				h->bad += !sector_is(&rig, s, h->last[s]);
		storage_channel_close(&rig.ch);
	}
	for (unsigned i = 0; i < DEPTH; i++)
		free(shots[i].buf);
	reactor_destroy(&rig.r);
	return NULL;
}

static bool coarse_device(struct place *p, struct loop *loop)
{
	*p = place_make(".", 4 * MIB);
	if (loop_make(loop, p->path, BLOCK))
		return true;
	place_remove(p);
	return false;
}

static void neighbours_on_several_channels(void **state)
{
	struct neighbour *h = calloc(THREADS, sizeof(*h));
	struct storage *s;
	struct place p;
	struct loop loop;

	(void)state;
	assert_non_null(h);
	if (!coarse_device(&p, &loop)) {
		free(h);
		skip();
	}
	assert_int_equal(
		storage_open(&(struct storage_options){.target = loop.path, .direct = true}, &s,
			     NULL),
		0);
	for (unsigned i = 0; i < THREADS; i++) {
		h[i].s = s;
		h[i].index = i;
		h[i].uring = i % 2;
		h[i].seed = 0x9e3779b97f4a7c15u + i;
		assert_int_equal(pthread_create(&h[i].thread, NULL, neighbour_works, &h[i]), 0);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(h[i].thread, NULL);
		assert_int_equal(h[i].bad, 0);
	}
	storage_close(&s);
	loop_remove(&loop);
	place_remove(&p);
	free(h);
}

/*
 * One channel edits the first sector of a block again and again, another writes whole blocks over
 * it: of the sectors that the edits do not name, each write must be found as it was, once it has
 * completed.
 */
struct overwriter {
	struct storage *s;
	bool stop; /* atomic */
	unsigned edits;
};

static void *edit_on(void *arg)
{
	struct overwriter *o = arg;
	const struct reactor_config c = {.uring = false};
	struct rig rig = {.s = o->s};
	uint8_t buf[512];

	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(reactor_create(&rig.r, &c, NULL), 0);
	assert_int_equal(storage_channel_open(o->s, rig.r, &rig.ch, NULL), 0);
	while (!read_once(&o->stop)) {
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, 0, buf, sizeof(buf)), 0);
		write_once(&o->edits, o->edits + 1);
	}
	storage_channel_close(&rig.ch);
	reactor_destroy(&rig.r);
	return NULL;
}

static void a_whole_write_is_not_lost_to_an_edit(void **state)
{
	uint8_t *buf = aligned_alloc(BLOCK, BLOCK), *got = aligned_alloc(BLOCK, BLOCK);
	struct overwriter o = {0};
	struct rig rig = {0};
	struct place p;
	struct loop loop;
	pthread_t thread;

	(void)state;
	assert_true(buf && got);
	if (!coarse_device(&p, &loop)) {
		free(buf);
		free(got);
		skip();
	}
	assert_int_equal(rig_open(&rig,
				  &(struct storage_options){.target = loop.path, .direct = true},
				  false, NULL),
			 0);
	o.s = rig.s;
	assert_int_equal(pthread_create(&thread, NULL, edit_on, &o), 0);
	for (unsigned n = 0; n < 1000; n++) {
		/* Now and then so many that the watch ends. */
		uint64_t at = n % 512 < 2 * RMW_CALM ? 16 * BLOCK : 0;

		memset(buf, (int)(n % 251), BLOCK);
		assert_int_equal(rig_rw(&rig, STORAGE_WRITE, 0, at, buf, BLOCK), 0);
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, at, got, BLOCK), 0);
		assert_memory_equal(got + 512, buf + 512, BLOCK - 512);
		assert_true(all_bytes_are(got, buf[0], 512) || all_bytes_are(got, 0xee, 512));
	}
	write_once(&o.stop, true);
	pthread_join(thread, NULL);
	rig_close(&rig);
	loop_remove(&loop);
	place_remove(&p);
	free(buf);
	free(got);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(edits_of_one_block_take_turns),
		cmocka_unit_test(an_edit_waits_for_whole_writes_in_flight),
		cmocka_unit_test(the_watch_ends_when_no_edit_comes),
		cmocka_unit_test(a_channel_that_closes_is_not_waited_for),
		cmocka_unit_test(neighbours_on_several_channels),
		cmocka_unit_test(a_whole_write_is_not_lost_to_an_edit),
	};

	return cmocka_run_group_tests_name("storage/rmw", tests, NULL, NULL);
}
