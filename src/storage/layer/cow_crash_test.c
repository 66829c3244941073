/* SPDX-License-Identifier: MIT */
/*
 * cow, stopped at every store: what the overlay holds then is a disk that could have been stopped
 * there.  Each write and sync of the overlay is in a log (record_log.h), data and map alike; of every
 * prefix of it are made
 *
 *	what a kill leaves: all that was done, and anything of what was under way
 *	what a failure of the host leaves: what was synced, and of the rest all, nothing, or by chance
 *
 * and each is opened and read.  A sector may hold what no change that counts has replaced; whatever
 * else it holds, a hole of the overlay above all, is a lie of the map.
 */
#include "storage/layer/cow_rig_test.h"
#include "storage/layer/record_log.h"

#define DISK	(UINT64_C(24) << 20)
#define OPS	90
#define AREAS	5
#define AREA	8u /* sectors */
#define FLIGHTS 3

/* Across the ends of pages, of sectors of the map, of words. */
static const uint64_t areas[AREAS] = {COW_PER_PAGE - 4, 2 * COW_PER_PAGE - 4, 5 * COW_PER_MAP - 4,
				      28, 40000};

struct op {
	struct waited w;
	struct iovec iov;
	uint8_t buf[AREA * 512];
	unsigned area;
	uint64_t sent_at, done_at;   /* places in the log */
	uint64_t sent_nth, done_nth; /* of all that was sent and done */
};

struct crash {
	struct golden g;
	struct rig rig;
	struct op ops[OPS];
	unsigned n_ops;
	uint64_t nth;
	uint32_t seed;
	uint8_t *first; /* the overlay's first MiB at the beginning of the log */
};

static uint32_t crash_rnd(struct crash *c)
{
	c->seed ^= c->seed << 13;
	c->seed ^= c->seed >> 17;
	c->seed ^= c->seed << 5;
	return c->seed >> 4;
}

static uint64_t log_place(const struct crash *c)
{
	char text[256];

	storage_describe(cow_of(c->rig.s)->overlay, text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static void op_send(struct crash *c)
{
	static const enum storage_op kinds[] = {STORAGE_WRITE,	STORAGE_WRITE, STORAGE_WRITE,
						STORAGE_WRITE,	STORAGE_FLUSH, STORAGE_WRITE_ZEROES,
						STORAGE_DISCARD};
	struct op *o = &c->ops[c->n_ops++];
	struct storage_io *io = &o->w.io;
	unsigned from = crash_rnd(c) % AREA, n = 1 + crash_rnd(c) % (AREA - from);

	o->area = crash_rnd(c) % AREAS;
	io->op = kinds[crash_rnd(c) % ARRAY_SIZE(kinds)];
	io->flags = (crash_rnd(c) % 5 ? 0 : STORAGE_FUA) | (crash_rnd(c) % 2 ? STORAGE_UNMAP : 0);
	if (io->op != STORAGE_FLUSH) {
		io->offset = (areas[o->area] + from) * 512;
		io->len = n * 512;
	}
	if (io->op == STORAGE_WRITE) {
		for (unsigned i = 0; i < n; i++)
			memset(o->buf + i * 512, (int)c->n_ops, 512);
		o->iov = (struct iovec){o->buf, n * 512};
		io->iov = &o->iov;
		io->iovcnt = 1;
	}
	o->sent_at = log_place(c);
	o->sent_nth = c->nth++;
	rig_start(&c->rig, &o->w);
}

static unsigned ops_look(struct crash *c)
{
	unsigned in_flight = 0;

	for (unsigned i = 0; i < c->n_ops; i++) {
		struct op *o = &c->ops[i];

		if (!o->w.over) {
			in_flight++;
		} else if (!o->done_nth) {
			assert_int_equal(o->w.err, 0);
			o->done_at = log_place(c);
			o->done_nth = c->nth++;
		}
	}
	return in_flight;
}

static void crash_record(struct crash *c)
{
	char rules[] = "delay:op=any:percent=40:ms=1"; /* in another order, too */
	struct storage_layer_options recorded = {.record = c->g.log,
						 .faulty = {.rules = rules, .seed = c->seed}};
	int fd;

	golden_rig(&c->rig, &c->g, NULL, &recorded, true);
	fd = open(c->g.overlay, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, c->first, 1 << 20, 0), 1 << 20);
	close(fd);
	while (c->n_ops < OPS) {
		op_send(c);
		while (ops_look(c) >= 1 + crash_rnd(c) % FLIGHTS)
			reactor_turn(c->rig.r);
	}
	while (ops_look(c))
		reactor_turn(c->rig.r);
	golden_rig_close(&c->rig);
}

/* ---- what is left ---- */

enum crash_kind {
	CRASH_KILL,
	CRASH_HOST_KEEPS, /* all that was submitted */
	CRASH_HOST_LOSES,
	CRASH_HOST_TEARS,
	CRASH_KINDS,
};

struct crash_choice {
	struct record_choice c;
	const struct record_log *l;
	size_t n, at; /* events; of the one that was asked about last, the next */
	enum crash_kind kind;
	uint64_t seed;
};

static uint64_t choice_random(struct record_choice *c)
{
	struct crash_choice *mine = container_of(c, struct crash_choice, c);

	mine->seed = mine->seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return mine->seed >> 33;
}

/* Asked about one after the other. */
static enum record_fate choice_fate(struct record_choice *c, size_t k)
{
	struct crash_choice *mine = container_of(c, struct crash_choice, c);
	const struct record_event *e;

	if (!k)
		mine->at = 0;
	while (!record_is_change(&mine->l->events[mine->at]) ||
	       record_is_stable(mine->l, mine->n, mine->at))
		mine->at++;
	e = &mine->l->events[mine->at++];
	switch (mine->kind) {
	case CRASH_KILL:
		return e->partner < mine->n ? RECORD_KEPT : RECORD_TORN;
	case CRASH_HOST_KEEPS:
		return RECORD_KEPT;
	case CRASH_HOST_LOSES:
		return RECORD_LOST;
	default:
		return RECORD_TORN;
	}
}

static void crash_make(struct crash *c, const struct record_log *l, size_t n, enum crash_kind kind)
{
	struct crash_choice choice = {.c = {choice_fate, choice_random},
				      .l = l,
				      .n = n,
				      .kind = kind,
				      .seed = n * CRASH_KINDS + kind};
	int fd = open(c->g.overlay, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(pwrite(fd, c->first, 1 << 20, 0), 1 << 20);
	assert_int_equal(ftruncate(fd, (off_t)cow_file_bytes(DISK)), 0);
	assert_int_equal(record_apply(l, n, &choice.c, fd, NULL), 0);
	close(fd);
	if (kind != CRASH_KILL)
		golden_forget_boot(c->g.overlay);
}

static bool op_covers(const struct op *o, uint64_t sector)
{
	return o->w.io.op != STORAGE_FLUSH && o->w.io.offset <= sector * 512 &&
	       sector * 512 < o->w.io.offset + o->w.io.len;
}

/* Whether it is there whatever happens from place @p of the log on. */
static bool op_counts(const struct crash *c, const struct op *o, uint64_t p, enum crash_kind kind)
{
	if (o->done_at > p)
		return false;
	if (kind == CRASH_KILL || o->w.io.flags & STORAGE_FUA)
		return true;
	for (unsigned i = 0; i < c->n_ops; i++)
		if (c->ops[i].w.io.op == STORAGE_FLUSH && c->ops[i].sent_nth > o->done_nth &&
		    c->ops[i].done_at <= p)
			return true;
	return false;
}

static bool op_left(const struct op *o, const uint8_t *is)
{
	return all_bytes_are(is, o->w.io.op == STORAGE_WRITE ? o->buf[0] : 0, 512);
}

static bool sector_may_be(const struct crash *c, uint64_t sector, const uint8_t *is, uint64_t p,
			  enum crash_kind kind)
{
	uint64_t since = 0; /* of what counts the one that was sent last, + 1 */

	for (unsigned i = 0; i < c->n_ops; i++)
		if (op_covers(&c->ops[i], sector) && op_counts(c, &c->ops[i], p, kind))
			since = max_u64(since, c->ops[i].sent_nth + 1);
	for (unsigned i = 0; i < c->n_ops; i++) {
		const struct op *o = &c->ops[i];

		if (op_covers(o, sector) && o->sent_at <= p && o->done_nth + 1 > since &&
		    op_left(o, is))
			return true;
	}
	return !since && !memcmp(is, c->g.bytes + sector * 512, 512);
}

static void crash_check(const struct crash *c, struct reactor *r, uint64_t p, enum crash_kind kind,
			size_t n)
{
	struct storage_options o = golden_options(&c->g);
	uint8_t is[AREA * 512];
	struct error err = {""};
	struct rig rig = {.r = r};

	if (storage_open(&o, &rig.s, &err))
		fail_msg("%zu events, crash %d: %s", n, kind, err.text);
	assert_int_equal(storage_channel_open(rig.s, r, &rig.ch, NULL), 0);
	for (unsigned a = 0; a < AREAS; a++) {
		assert_int_equal(rig_rw(&rig, STORAGE_READ, 0, areas[a] * 512, is, sizeof(is)), 0);
		for (unsigned s = 0; s < AREA; s++)
			if (!sector_may_be(c, areas[a] + s, is + s * 512, p, kind))
				fail_msg("%zu events, crash %d: sector %u of area %u is %02x", n,
					 kind, s, a, is[s * 512]);
	}
	storage_channel_close(&rig.ch);
	storage_close(&rig.s);
}

static void every_store_may_be_the_last_one(void **state)
{
	struct reactor_config config = {.uring = true};
	struct crash *c = calloc(1, sizeof(*c));
	struct error err = {""};
	struct record_log l;
	struct reactor *r;

	(void)state;
	assert_non_null(c);
	c->g = golden_make(DISK);
	c->first = malloc(1 << 20);
	c->seed = 0x1234567;
	crash_record(c);
	if (record_log_open(&l, c->g.log, &err))
		fail_msg("%s", err.text);
	assert_true(l.n > 3 * OPS);
	assert_int_equal(reactor_create(&r, &config, NULL), 0);
	for (size_t n = 0; n <= l.n; n++)
		for (enum crash_kind kind = 0; kind < CRASH_KINDS; kind++) {
			uint64_t p = n < l.n ? l.events[n].at : UINT64_MAX;

			/* A kill at each; a failure of the host in one of three ways. */
			if (kind != CRASH_KILL && kind != 1 + n % 3)
				continue;
			crash_make(c, &l, n, kind);
			crash_check(c, r, p, kind, n);
		}
	model_settle(r);
	reactor_destroy(&r);
	record_log_close(&l);
	golden_is_untouched(&c->g);
	golden_remove(&c->g);
	free(c->first);
	free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_store_may_be_the_last_one),
	};

	return cmocka_run_group_tests_name("storage/layer/cow_crash", tests, NULL, NULL);
}
