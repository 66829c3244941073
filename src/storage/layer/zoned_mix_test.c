/* SPDX-License-Identifier: MIT */
/*
 * A zoned disk under several threads, each with a channel: appends, writes where the thread owns the
 * zone, commands by everybody.  Each block that an append or write was told to be at is noted under
 * the zone's life, which a reset ends; at the end of a life the thread that resets knows that
 * nobody is told of a place any more.  In the end all that was told is read, and the pointers are
 * those of the blocks; then once more by a disk that is opened anew.
 */
#include "storage/layer/zoned_rig_test.h"

#include "base/atomic.h"

#include <pthread.h>

#define THREADS 3
#define ROUNDS	1500
#define DEPTH	6
/* Zones that all append to; the rest belong to one thread each. */
#define SHARED 3u
#define OWN(t) (FIRST + SHARED + (t))

/* The block that a zone's block holds; of shared zones by whoever was told. */
static uint32_t told[ZONES][ZONE / BLOCK];

struct actor {
	struct storage *s;
	unsigned t;
	uint64_t seed;
	struct rig rig;
	uint32_t next, wp; /* of its own zone */
	unsigned in_flight, twice, appended;
	struct slot {
		struct storage_io io;
		struct actor *a;
		struct iovec iov;
		struct storage_zone_reply reply;
		uint32_t value;
		bool busy;
		uint8_t *buf;
	} slots[DEPTH];
};

static uint32_t draw(struct actor *a, uint32_t below)
{
	a->seed = a->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(a->seed >> 33) % below;
}

static void slot_done(struct storage_io *io, int err)
{
	struct slot *s = container_of(io, struct slot, io);
	struct actor *a = s->a;

	s->busy = false;
	a->in_flight--;
	if (io->op != STORAGE_APPEND)
		return;
	if (err) {
		/* Full, at last. */
		assert_int_equal(err, -STORAGE_EZONE_COMMAND);
		return;
	}
	a->appended++;
	/* Nobody else was told that place. */
	if (__atomic_exchange_n(&told[s->reply.position / ZONE][s->reply.position % ZONE / BLOCK],
				s->value, __ATOMIC_SEQ_CST))
		a->twice++;
}

static void slot_start(struct actor *a, enum storage_op op, uint64_t offset)
{
	struct slot *s = a->slots;

	while (s->busy)
		s++;
	s->a = a;
	s->busy = true;
	s->value = ++a->next | (a->t + 1) << 24;
	for (size_t i = 0; i < BLOCK / sizeof(uint32_t); i++)
		((uint32_t *)(void *)s->buf)[i] = s->value;
	s->iov = (struct iovec){s->buf, BLOCK};
	s->io = (struct storage_io){.op = op,
				    .offset = offset,
				    .len = op == STORAGE_APPEND || op == STORAGE_WRITE ? BLOCK : 0,
				    .iov = &s->iov,
				    .iovcnt = 1,
				    .zone = &s->reply,
				    .done = slot_done};
	if (!draw(a, 16) && (op == STORAGE_APPEND || op == STORAGE_WRITE))
		s->io.flags = STORAGE_FUA;
	a->in_flight++;
	if (op == STORAGE_WRITE)
		told[OWN(a->t)][a->wp++] = s->value;
	storage_submit(a->rig.ch, &s->io);
}

static void quiet(struct actor *a)
{
	while (a->in_flight)
		reactor_turn(a->rig.r);
}

/* Its own zone: written in order, several in flight; opened, closed and reset meanwhile. */
static void own_zone(struct actor *a)
{
	static const enum storage_op ops[] = {STORAGE_ZONE_OPEN, STORAGE_ZONE_CLOSE};
	uint32_t zone = OWN(a->t), room = zone == ZONES - 1 ? 10 : CAP / BLOCK;

	if (a->wp == room || !draw(a, 24)) {
		quiet(a);
		slot_start(a, STORAGE_ZONE_RESET, at(zone, 0));
		memset(told[zone], 0, sizeof(told[zone]));
		a->wp = 0;
		/* What follows waits for it. */
	} else if (!draw(a, 8)) {
		slot_start(a, ops[draw(a, 2)], at(zone, 0));
	} else {
		slot_start(a, STORAGE_WRITE, at(zone, a->wp));
	}
}

static void *actor_run(void *arg)
{
	struct actor *a = arg;
	struct reactor_config c = {0};

	assert_int_equal(reactor_create(&a->rig.r, &c, NULL), 0);
	assert_int_equal(storage_channel_open(a->s, a->rig.r, &a->rig.ch, NULL), 0);
	for (unsigned i = 0; i < DEPTH; i++)
		a->slots[i].buf = malloc(BLOCK);
	for (unsigned n = 0; n < ROUNDS; n++) {
		while (a->in_flight == DEPTH)
			reactor_turn(a->rig.r);
		if (!draw(a, 8))
			slot_start(a, STORAGE_FLUSH, 0);
		else if (draw(a, 20))
			own_zone(a);
		else
			slot_start(a, STORAGE_APPEND, at(FIRST + draw(a, SHARED), 0));
	}
	quiet(a);
	for (unsigned i = 0; i < DEPTH; i++)
		free(a->slots[i].buf);
	storage_channel_close(&a->rig.ch);
	/* The last bell frees itself. */
	reactor_process(a->rig.r);
	reactor_destroy(&a->rig.r);
	return NULL;
}

static void check(struct rig *rig)
{
	static uint8_t buf[ZONE];

	for (uint32_t zone = FIRST; zone < ZONES; zone++) {
		uint32_t n = 0, blocks = zone == ZONES - 1 ? 10 : 16;

		assert_int_equal(rig_rw(rig, STORAGE_READ, 0, at(zone, 0), buf, blocks * BLOCK), 0);
		for (uint32_t i = 0; i < blocks; i++) {
			const uint32_t *words = (const void *)(buf + i * BLOCK);

			n += told[zone][i] != 0;
			for (size_t k = 0; k < BLOCK / sizeof(*words); k++)
				assert_int_equal(words[k], told[zone][i]);
		}
		assert_int_equal(zoned_of(rig->s)->zones.zone[zone].wp, n * BLOCK);
	}
}

static void mix(const char *target, char *rules)
{
	static struct actor actors[THREADS];
	pthread_t threads[THREADS];
	unsigned appended = 0;
	struct rig rig;

	memset(told, 0, sizeof(told));
	zoned_open_on(&rig, target, &zoned_plain, rules);
	for (unsigned t = 0; t < THREADS; t++) {
		actors[t] = (struct actor){.s = rig.s, .t = t, .seed = t + 1};
		assert_int_equal(pthread_create(&threads[t], NULL, actor_run, &actors[t]), 0);
	}
	for (unsigned t = 0; t < THREADS; t++) {
		assert_int_equal(pthread_join(threads[t], NULL), 0);
		assert_int_equal(actors[t].twice, 0);
		appended += actors[t].appended;
	}
	/* All three shared zones are full. */
	assert_int_equal(appended, SHARED * CAP / BLOCK);
	assert_int_equal(zoned_of(rig.s)->zones.in_flight, 0);
	assert_int_equal(zoned_of(rig.s)->zones.owned, 0);
	assert_int_equal(zoned_of(rig.s)->waiting, 0);
	check(&rig);
	reactor_process(rig.r);
	rig_close(&rig);
	if (strncmp(target, "memory:", 7) != 0) {
		zoned_open_on(&rig, target, &zoned_plain, NULL);
		check(&rig);
		rig_close(&rig);
	}
}

static void in_memory(void **state)
{
	char target[32];

	(void)state;
	snprintf(target, sizeof(target), "memory:%u", DISK);
	mix(target, NULL);
}

static void in_memory_late(void **state)
{
	char target[32], rules[] = "delay:op=write:percent=5:ms=1";

	(void)state;
	snprintf(target, sizeof(target), "memory:%u", DISK);
	mix(target, rules);
}

static void in_a_file(void **state)
{
	char *dir = scratch_make(access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	char *image = image_make(dir, "vm.raw", DISK);

	(void)state;
	mix(image, NULL);
	scratch_remove(dir);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_memory),
		cmocka_unit_test(in_memory_late),
		cmocka_unit_test(in_a_file),
	};

	return cmocka_run_group_tests_name("storage/layer/zoned_mix", tests, NULL, NULL);
}
