/* SPDX-License-Identifier: MIT */
/* The map of an overlay: runs, what is carried to an image, and that nothing set is ever left out. */
#include "test.h"

#include "storage/layer/cow_map.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t id[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static uint32_t rnd(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* An end in the middle of a word, and of a page. */
#define SECTORS (2 * COW_PER_PAGE + 4321)

static void runs_are_as_long_as_they_can_be(void **state)
{
	uint8_t *is = calloc(1, SECTORS);
	uint32_t seed = 1;
	struct cow_map m;

	(void)state;
	assert_int_equal(cow_map_init(&m, SECTORS, id), 0);
	assert_int_equal(m.pages, 3);
	for (unsigned i = 0; i < 400; i++) {
		uint64_t n = 1 + rnd(&seed) % (i % 8 ? 80 : 9000), counts[3] = {0};
		uint64_t from = rnd(&seed) % (SECTORS - n + 1);
		enum cow_state to = 1 + rnd(&seed) % 2, was;

		assert_int_equal(cow_map_set(&m, from, n, to),
				 memchr(is + from, COW_DATA, n) != NULL);
		memset(is + from, (int)to, n);
		for (uint64_t at = 0; at < SECTORS; at += n) {
			n = cow_map_run(&m, at, SECTORS - at, &was);
			for (uint64_t k = at; k < at + n; k++)
				assert_int_equal(is[k], was);
			assert_true(at + n == SECTORS || is[at + n] != was);
			counts[was] += n;
		}
		assert_int_equal(counts[COW_DATA], m.in_state[COW_DATA]);
		assert_int_equal(counts[COW_ZERO], m.in_state[COW_ZERO]);
	}
	cow_map_fini(&m);
	free(is);
}

static void load_all(struct cow_map *m, enum cow_which which, const struct cow_map *from,
		     enum cow_which image)
{
	uint64_t bad;

	for (uint64_t p = 0; p < m->pages; p++)
		assert_int_equal(cow_map_load(m, which, p,
					      (uint8_t *)from->image[image].words + p * COW_PAGE,
					      &bad),
				 0);
}

static void assert_same(const struct cow_map *a, const struct cow_map *b)
{
	enum cow_state s, t;

	for (uint64_t at = 0; at < a->sectors; at++) {
		cow_map_run(a, at, 1, &s);
		cow_map_run(b, at, 1, &t);
		assert_int_equal(s, t);
	}
	assert_int_equal(a->in_state[COW_DATA], b->in_state[COW_DATA]);
	assert_int_equal(a->in_state[COW_ZERO], b->in_state[COW_ZERO]);
}

static void an_image_is_the_map(void **state)
{
	uint32_t seed = 7;
	struct cow_map m, n;
	uint64_t at = 0;

	(void)state;
	assert_int_equal(cow_map_init(&m, SECTORS, id), 0);
	for (unsigned i = 0; i < 300; i++)
		cow_map_set(&m, rnd(&seed) % (SECTORS - 40), 1 + rnd(&seed) % 40,
			    1 + rnd(&seed) % 2);
	assert_false(cow_map_has(&m, COW_STABLE, 0, 1, COW_DATA));
	assert_int_equal(cow_map_take(&m, COW_STABLE, &at, 2), 2);
	assert_int_equal(cow_map_take(&m, COW_STABLE, &at, 2), 1);
	cow_map_landed(&m, COW_STABLE);
	at = 0;
	assert_int_equal(cow_map_take(&m, COW_STABLE, &at, 2), 0);
	assert_int_equal(cow_map_init(&n, SECTORS, id), 0);
	load_all(&n, COW_STABLE, &m, COW_STABLE);
	assert_same(&m, &n);
	/* The other image is behind: its turn comes. */
	load_all(&n, COW_RECENT, &m, COW_RECENT);
	assert_same(&m, &n);
	at = 0;
	assert_int_equal(cow_map_take(&n, COW_STABLE, &at, 9), 0);
	at = 0;
	assert_int_equal(cow_map_take(&n, COW_RECENT, &at, 9), 3);
	cow_map_fini(&n);
	/* What is recent counts. */
	cow_map_set(&m, 100, 1000, COW_ZERO);
	cow_map_set(&m, 100, 1, COW_DATA);
	at = 0;
	assert_int_equal(cow_map_take(&m, COW_RECENT, &at, 9), 3);
	assert_int_equal(cow_map_init(&n, SECTORS, id), 0);
	load_all(&n, COW_STABLE, &m, COW_STABLE);
	load_all(&n, COW_RECENT, &m, COW_RECENT);
	assert_same(&m, &n);
	at = 0;
	assert_int_equal(cow_map_take(&n, COW_STABLE, &at, 9), 1);
	cow_map_fini(&n);
	cow_map_fini(&m);
}

static void what_cannot_be_is_damage(void **state)
{
	struct cow_map m, n;
	uint64_t words[512] = {0}, bad;

	(void)state;
	assert_int_equal(cow_map_init(&m, COW_PER_MAP + 5, id), 0);
	for (unsigned i = 0; i < 4; i++) {
		memset(words, 0, sizeof(words));
		switch (i) {
		case 0:
			words[3] = 3; /* no state */
			break;
		case 1:
			words[64] = UINT64_C(1) << 10; /* behind the end, in the last word ... */
			break;
		case 2:
			words[65] = 1; /* ... and in the next */
			break;
		case 3:
			words[64] = UINT64_C(1) << 8; /* the last sector: this one is well */
			break;
		}
		words[63] = i ? 0 : cow_sum(id, 0, words, COW_WORDS);
		words[127] = i ? cow_sum(id, 1, words + 64, COW_WORDS) : 0;
		assert_int_equal(cow_map_load(&m, COW_STABLE, 0, words, &bad),
				 i < 3 ? -EBADMSG : 0);
		assert_true(i == 3 || bad == (i ? 1 : 0));
	}
	assert_int_equal(cow_map_init(&n, COW_PER_MAP, id), 0);
	cow_map_fini(&n);
	cow_map_fini(&m);
}

/* ---- several threads ---- */

#define RACE_SECTORS 64
#define RACE_ROUNDS  10000

#define RACE_WORDS   512

struct race {
	struct cow_map m;
	pthread_mutex_t lock;	      /* of takers, as the layer has one cycle at a time */
	uint64_t arrived[RACE_WORDS]; /* atomic: the overlay's first page                */
	unsigned failures;	      /* atomic */
};

struct racer {
	struct race *race;
	unsigned n;
	pthread_t thread;
};

/* What the map tells to have arrived is in the overlay.  Nobody else sets this sector. */
static void look(struct race *r, uint64_t sector, enum cow_state state)
{
	uint64_t word = __atomic_load_n(&r->arrived[sector / 32], __ATOMIC_SEQ_CST);

	if ((le64toh(word) >> 2 * (sector % 32) & 3) != state)
		__atomic_add_fetch(&r->failures, 1, __ATOMIC_RELAXED);
}

/* What has landed by now must hold what was set before. */
static void cycle(struct race *r, uint64_t sector, enum cow_state state)
{
	uint64_t at = 0;

	pthread_mutex_lock(&r->lock);
	cow_map_take(&r->m, COW_STABLE, &at, 9);
	sched_yield();
	for (unsigned i = 0; i < RACE_WORDS; i++)
		__atomic_store_n(
			&r->arrived[i],
			__atomic_load_n(&r->m.image[COW_STABLE].words[i], __ATOMIC_SEQ_CST),
			__ATOMIC_SEQ_CST);
	cow_map_landed(&r->m, COW_STABLE);
	if (!cow_map_has(&r->m, COW_STABLE, sector, 1, state))
		__atomic_add_fetch(&r->failures, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&r->lock);
}

/* Each has sectors of its own, all in the same words; and one that all set to the same. */
static void *racer_run(void *arg)
{
	struct racer *racer = arg;
	struct race *r = racer->race;
	uint32_t seed = racer->n + 1;

	for (unsigned i = 0; i < RACE_ROUNDS; i++) {
		uint64_t own = racer->n + 4 * (rnd(&seed) % (RACE_SECTORS / 4));
		enum cow_state to = 1 + rnd(&seed) % 2, is;

		cow_map_set(&r->m, own, 1, to);
		cow_map_run(&r->m, own, 1, &is);
		if (is != to)
			__atomic_add_fetch(&r->failures, 1, __ATOMIC_RELAXED);
		if (!cow_map_has(&r->m, COW_STABLE, own, 1, to))
			cycle(r, own, to);
		look(r, own, to);
		cow_map_set(&r->m, RACE_SECTORS + i % 4000, 1, COW_DATA);
		if (!cow_map_has(&r->m, COW_STABLE, RACE_SECTORS + i % 4000, 1, COW_DATA))
			cycle(r, RACE_SECTORS + i % 4000, COW_DATA);
	}
	return NULL;
}

static void no_update_of_a_shared_word_is_lost(void **state)
{
	struct race r = {.failures = 0};
	struct racer all[4];

	(void)state;
	assert_int_equal(cow_map_init(&r.m, SECTORS, id), 0);
	pthread_mutex_init(&r.lock, NULL);
	for (unsigned i = 0; i < 4; i++) {
		all[i] = (struct racer){.race = &r, .n = i};
		assert_int_equal(pthread_create(&all[i].thread, NULL, racer_run, &all[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(all[i].thread, NULL);
	assert_int_equal(r.failures, 0);
	pthread_mutex_destroy(&r.lock);
	cow_map_fini(&r.m);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_as_long_as_they_can_be),
		cmocka_unit_test(an_image_is_the_map),
		cmocka_unit_test(what_cannot_be_is_damage),
		cmocka_unit_test(no_update_of_a_shared_word_is_lost),
	};

	return cmocka_run_group_tests_name("storage/layer/cow_map", tests, NULL, NULL);
}
