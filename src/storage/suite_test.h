/* SPDX-License-Identifier: MIT */
/*
 * What every engine and every layer goes through, whatever else its own tests ask of it.  One line
 * of a table is one disk: an engine, or layers on one.  Its cases:
 *
 *	model	random requests on several channels at once against a copy in memory (model_test.h),
 *		with io_uring and without
 *	kills	a program that writes and flushes is killed, several times: what a flush covered is
 *		there, what was answered too unless the line says otherwise, and no sector is torn
 *	errors	what is below fails at the first request, the second, and so on until nothing
 *		fails any more, as a whole, in its middle and torn: the request is answered
 *		once, by an error, and everything else is as if nothing had been
 *
 * Each case has a folder of its own, in which row->make() makes what the disk lies on, of MODEL_DISK
 * bytes; "%s" in the target and in paths of layers stands for that folder.  A killed program is this one,
 * started anew (suite_child()), since a library of threads survives no fork.
 */
#ifndef STORAGE_SUITE_TEST_H
#define STORAGE_SUITE_TEST_H

#include "storage/engine.h"
#include "storage/model_test.h"

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char **environ;

struct suite_place {
	char *dir;
	pid_t server;
	int fd;		  /* of what make() has made; -1: none */
	char target[256]; /* of the disk, when make() finds it; empty: the row's */
	const char *why;  /* it cannot be had here */
};

struct suite_row {
	const char *name;
	/* false: it cannot be had here, and place->why says why.  Optional. */
	bool (*make)(const struct suite_row *row, struct suite_place *p);
	/* Looks at what is left once the disk is closed. @killed: by a kill before that.  Optional. */
	void (*judge)(const struct suite_row *row, const struct suite_place *p, bool killed);
	const char *arg;	  /* make()'s */
	const char *parent;	  /* folder of the folder; NULL: /tmp */
	struct storage_options o; /* texts may have one "%s" */
	unsigned rounds;	  /* of each channel of the model; 0: 150 */
	unsigned kills;		  /* 0: 2 */
	bool no_kills;	     /* nothing is left of it after a kill; or its server ends by one */
	bool forgets;	     /* what was answered and not flushed may go with us */
	bool discard_zeroes; /* what is discarded reads as zeroes */
	bool first_unknown;  /* what it holds at first is anything */
	bool never_fails;    /* a layer sees to it that errors are tried again */
	bool has_faults;     /* rules of its own: there is no case "errors" */
};

struct suite_disk {
	struct suite_place place;
	struct storage_options o;
	struct storage_set set;
};

/* ---- its disk ---- */

static inline char *suite_text(const struct suite_place *p, const char *text)
{
	const char *at = text ? strstr(text, "%s") : NULL;
	char *all = NULL;

	if (!text)
		return NULL;
	if (!at)
		return strdup(text);
	assert_true(asprintf(&all, "%.*s%s%s", (int)(at - text), text, p->dir, at + 2) > 0);
	return all;
}

/* A layer or an engine with a path of its own has its line here, and one below. */
static inline void suite_options(const struct suite_row *row, struct suite_disk *d)
{
	const struct suite_place *p = &d->place;

	storage_set_init(&d->set);
	d->o = row->o;
	d->o.set = &d->set;
	d->o.disk = row->name;
	d->o.target = suite_text(p, p->target[0] ? p->target : row->o.target);
	d->o.key_file = suite_text(p, row->o.key_file);
	d->o.layers.record = suite_text(p, row->o.layers.record);
	d->o.layers.cow = suite_text(p, row->o.layers.cow);
}

static inline void suite_options_free(struct suite_disk *d)
{
	free((char *)(uintptr_t)d->o.target);
	free(d->o.key_file);
	free(d->o.layers.record);
	free(d->o.layers.cow);
}

static inline void suite_down(struct suite_disk *d)
{
	suite_options_free(d);
	if (d->place.server) {
		kill(d->place.server, SIGKILL);
		waitpid(d->place.server, NULL, 0);
	}
	if (d->place.fd >= 0)
		close(d->place.fd);
	scratch_remove(d->place.dir);
	*d = (struct suite_disk){.place.fd = -1};
}

static inline void suite_up(const struct suite_row *row, struct suite_disk *d)
{
	*d = (struct suite_disk){.place.fd = -1};
	d->place.dir = scratch_make(row->parent ? row->parent : "/tmp");
	if (!d->place.dir)
		d->place.why = "no folder can be made";
	else if (row->make && !row->make(row, &d->place) && !d->place.why)
		d->place.why = "it cannot be had here";
	if (d->place.why) {
		print_message("# skipped: %s\n", d->place.why);
		suite_down(d);
		skip();
	}
	suite_options(row, d);
}

/* A log is begun in a new file. */
static inline void suite_prepare(const struct suite_disk *d)
{
	if (d->o.layers.record)
		unlink(d->o.layers.record);
}

/* Who had it may not be gone altogether.  false: it cannot be opened here. */
static inline bool suite_open(const struct suite_disk *d, struct storage **s)
{
	const uint64_t start = clock_ns();
	struct error err = {""};
	int rc;

	suite_prepare(d);
	while ((rc = storage_open(&d->o, s, &err)) == -EBUSY &&
	       clock_ns() - start < 60 * NSEC_PER_SEC)
		usleep(20000);
	if (rc == -EINVAL && d->o.direct)
		return false;
	if (rc)
		fail_msg("%s", err.text);
	return true;
}

static inline void suite_judge(const struct suite_row *row, const struct suite_disk *d, bool killed)
{
	if (row->judge)
		row->judge(row, &d->place, killed);
}

static inline void suite_rig_open(struct suite_disk *d, struct rig *rig)
{
	*rig = (struct rig){0};
	if (!suite_open(d, &rig->s)) {
		print_message("# skipped: no O_DIRECT here\n");
		suite_down(d);
		skip();
	}
	assert_int_equal(model_reactor_create(&rig->r, false), 0);
	assert_int_equal(storage_channel_open(rig->s, rig->r, &rig->ch, NULL), 0);
}

/* What was posted to a channel that is gone is delivered, too. */
static inline void suite_rig_close(struct rig *rig)
{
	storage_channel_close(&rig->ch);
	model_settle(rig->r);
	rig_close(rig);
}

/* ---- model ---- */

static inline void suite_model(void **state)
{
	const struct suite_row *row = *state;
	struct model_how how = {.rounds = row->rounds ? row->rounds : 150,
				.discard_zeroes = row->discard_zeroes,
				.first_unknown = row->first_unknown};

	for (unsigned epoll = 0; epoll < 2; epoll++) {
		struct suite_disk d;
		struct storage *s;

		suite_up(row, &d);
		if (!suite_open(&d, &s)) {
			suite_down(&d);
			skip();
		}
		model_run_how(s, &how);
		storage_close(&s);
		suite_judge(row, &d, false);
		suite_down(&d);
		/* The disk does the same, and hears of it by another kind of reactor. */
		how.epoll = true;
		how.rounds /= 3;
	}
}

/* ---- kills ---- */

#define KILL_SLOTS   8u
#define KILL_SECTORS (MODEL_DISK / 512)
#define KILL_LONGEST 96u /* sectors */

/* Shared with the one that is killed: of each sector the numbers of writes to it. */
struct kill_page {
	uint32_t first;	   /* the numbers so far */
	uint32_t answered; /* atomic: writes */
	uint32_t sent[KILL_SECTORS], done[KILL_SECTORS], stable[KILL_SECTORS];
};

struct killed {
	struct kill_page *page;
	struct rig rig;
	uint64_t seed;
	uint32_t number;
	uint32_t covers[KILL_SECTORS]; /* by the flush that is under way */
	struct kill_slot {
		struct waited w;
		struct iovec iov;
		uint64_t *mem;
		bool busy;
		uint32_t number;
	} slots[KILL_SLOTS + 1]; /* the last one flushes */
};

static inline uint32_t kill_rnd(struct killed *k)
{
	k->seed ^= k->seed << 13;
	k->seed ^= k->seed >> 7;
	k->seed ^= k->seed << 17;
	return (uint32_t)(k->seed >> 16);
}

static inline uint64_t kill_word(uint64_t sector, uint32_t number)
{
	return number ? (sector << 32 | number) * UINT64_C(0x9e3779b97f4a7c15) : 0;
}

static inline void kill_reap(struct killed *k, struct kill_slot *s)
{
	const struct storage_io *io = &s->w.io;

	s->busy = false;
	if (s->w.err)
		_exit(3);
	if (io->op == STORAGE_FLUSH) {
		memcpy(k->page->stable, k->covers, sizeof(k->covers));
		return;
	}
	for (uint64_t at = io->offset / 512; at < (io->offset + io->len) / 512; at++) {
		k->page->done[at] = s->number;
		if (io->flags & STORAGE_FUA)
			k->page->stable[at] = s->number;
	}
	store_release(&k->page->answered, k->page->answered + 1);
}

static inline void kill_flush(struct killed *k)
{
	struct kill_slot *s = &k->slots[KILL_SLOTS];

	s->w = (struct waited){.io = {.op = STORAGE_FLUSH}};
	memcpy(k->covers, k->page->done, sizeof(k->covers));
	s->busy = true;
	rig_start(&k->rig, &s->w);
}

/* Each slot writes to a part that is its own, so that the numbers of a sector come in their order. */
static inline void kill_write(struct killed *k, struct kill_slot *s)
{
	const uint64_t part = KILL_SECTORS / KILL_SLOTS;
	const uint64_t n = 1 + kill_rnd(k) % (kill_rnd(k) % 4 ? 8 : KILL_LONGEST);
	const uint64_t from = (uint64_t)(s - k->slots) * part + kill_rnd(k) % (part - n + 1);

	s->number = ++k->number;
	for (uint64_t at = 0; at < n; at++) {
		k->page->sent[from + at] = s->number;
		for (unsigned i = 0; i < 64; i++)
			s->mem[at * 64 + i] = kill_word(from + at, s->number);
	}
	s->iov = (struct iovec){s->mem, n * 512};
	s->w = (struct waited){.io = {.op = STORAGE_WRITE,
				      .flags = kill_rnd(k) % 6 ? 0 : STORAGE_FUA,
				      .offset = from * 512,
				      .len = n * 512,
				      .iov = &s->iov,
				      .iovcnt = 1}};
	s->busy = true;
	rig_start(&k->rig, &s->w);
}

/* Writes until it is killed. */
static inline void kill_work(struct killed *k)
{
	for (uint32_t n = 0;; n++) {
		if (n % 8 == 7 && !k->slots[KILL_SLOTS].busy)
			kill_flush(k);
		for (unsigned i = 0; i < KILL_SLOTS; i++)
			if (!k->slots[i].busy)
				kill_write(k, &k->slots[i]);
		for (unsigned reaped = 0; !reaped;) {
			for (unsigned i = 0; i <= KILL_SLOTS; i++)
				if (k->slots[i].busy && k->slots[i].w.over) {
					kill_reap(k, &k->slots[i]);
					reaped++;
				}
			if (!reaped)
				reactor_turn(k->rig.r);
		}
	}
}

static inline struct kill_page *kill_page_of(const char *dir, bool make)
{
	char path[256];
	struct kill_page *page;
	int fd;

	snprintf(path, sizeof(path), "%s/page", dir);
	fd = open(path, O_RDWR | O_CLOEXEC | (make ? O_CREAT : 0), 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, sizeof(*page)), 0);
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	close(fd);
	return page;
}

/*
 * First thing in main(): does not return in a program that was started to be killed.  @rows ends with one
 * that has no name.
 */
static inline void suite_child(int argc, char **argv, const struct suite_row *rows)
{
	struct suite_disk d = {.place.fd = -1};
	struct error err = {""};
	struct killed *k;

	if (argc != 5 || strcmp(argv[1], "suite-child") != 0)
		return;
	while (rows->name && strcmp(rows->name, argv[2]) != 0)
		rows++;
	k = calloc(1, sizeof(*k));
	if (!rows->name || !k)
		_exit(2);
	d.place.dir = argv[3];
	snprintf(d.place.target, sizeof(d.place.target), "%s", argv[4]);
	suite_options(rows, &d);
	suite_prepare(&d);
	k->page = kill_page_of(argv[3], false);
	k->number = k->page->first;
	k->seed = UINT64_C(0x9e3779b97f4a7c15) + k->number;
	for (unsigned i = 0; i < KILL_SLOTS; i++)
		k->slots[i].mem = aligned_alloc(4096, KILL_LONGEST * 512);
	if (storage_open(&d.o, &k->rig.s, &err) || model_reactor_create(&k->rig.r, false) ||
	    storage_channel_open(k->rig.s, k->rig.r, &k->rig.ch, &err)) {
		fprintf(stderr, "# %s\n", err.text);
		_exit(2);
	}
	kill_work(k);
}

static inline void kill_one(const struct suite_row *row, const struct suite_disk *d,
			    struct kill_page *page, uint32_t writes)
{
	char *argv[] = {"/proc/self/exe",
			"suite-child",
			(char *)(uintptr_t)row->name,
			d->place.dir,
			(char *)(uintptr_t)d->o.target,
			NULL};
	const uint32_t until = page->answered + writes;
	int status = 0;
	pid_t pid;

	for (unsigned at = 0; at < KILL_SECTORS; at++)
		page->first = (uint32_t)max_u64(page->first, page->sent[at]);
	assert_int_equal(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ), 0);
	while (load_acquire(&page->answered) < until && !waitpid(pid, &status, WNOHANG))
		usleep(1000);
	if (load_acquire(&page->answered) < until)
		fail_msg("the one that was to be killed ended by itself, with status %x", status);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static inline void kill_compare(const struct suite_row *row, struct rig *rig,
				struct kill_page *page)
{
	uint64_t *mem = aligned_alloc(4096, MODEL_LONGEST);

	for (uint64_t at = 0; at < KILL_SECTORS; at++) {
		const uint64_t chunk = MODEL_LONGEST / 512, *words = mem + at % chunk * 64;
		const uint32_t least = row->forgets ? page->stable[at] : page->done[at];
		uint32_t number = page->sent[at];

		if (at % chunk == 0)
			assert_int_equal(rig_rw(rig, STORAGE_READ, 0, at * 512, mem,
						min_u64(chunk, KILL_SECTORS - at) * 512),
					 0);
		if (!least && row->first_unknown)
			continue;
		while (number > least && words[0] != kill_word(at, number))
			number--;
		if (words[0] != kill_word(at, number))
			fail_msg("sector %u: of the writes %u to %u none is there", (unsigned)at,
				 least, page->sent[at]);
		for (unsigned i = 1; i < 64; i++)
			if (words[i] != words[0])
				fail_msg("sector %u is torn", (unsigned)at);
		page->sent[at] = page->done[at] = page->stable[at] = number;
	}
	free(mem);
}

static inline void suite_kills(void **state)
{
	static const uint32_t writes[] = {3, 200, 60, 500};
	const struct suite_row *row = *state;
	struct kill_page *page;
	struct suite_disk d;
	struct rig rig;

	suite_up(row, &d);
	page = kill_page_of(d.place.dir, true);
	/* Whether it can be had, asked here, where there is somebody to skip it. */
	suite_rig_open(&d, &rig);
	suite_rig_close(&rig);
	for (unsigned i = 0; i < (row->kills ? row->kills : 2); i++) {
		kill_one(row, &d, page, writes[i % ARRAY_SIZE(writes)]);
		suite_rig_open(&d, &rig);
		kill_compare(row, &rig, page);
		/* What was read is what a next one stands on: stable from here on. */
		assert_int_equal(rig_do(&rig, STORAGE_FLUSH, 0, 0, 0), 0);
		suite_rig_close(&rig);
		suite_judge(row, &d, true);
	}
	munmap(page, sizeof(*page));
	suite_down(&d);
}

/* ---- errors ---- */

#define ERRORS_AREA (UINT64_C(1) << 20)

struct suite_errors {
	struct rig rig;
	uint8_t *shadow, *mem;
	bool known[ERRORS_AREA / 512];
	unsigned failed; /* requests */
};

/* What is held goes on until it is done. */
static inline int errors_wait(struct suite_errors *e, struct waited *w)
{
	while (!w->over) {
		storage_resume(e->rig.s);
		reactor_turn(e->rig.r);
	}
	assert_int_equal(w->times, 1);
	return w->err;
}

static inline void errors_do(struct suite_errors *e, enum storage_op op, unsigned flags,
			     uint64_t offset, uint64_t len, uint8_t v)
{
	const struct storage_limits *l = storage_limits(e->rig.s);
	/* Two pieces, neither of them whole sectors. */
	struct iovec iov[2] = {{e->mem, len / 3}, {e->mem + len / 3, len - len / 3}};
	struct waited w = {.io = {.op = op, .flags = flags, .offset = offset, .len = len}};
	int rc;

	if ((op == STORAGE_DISCARD && !l->max_discard) ||
	    (op == STORAGE_WRITE_ZEROES && !l->max_write_zeroes))
		return;
	if (op == STORAGE_READ || op == STORAGE_WRITE) {
		memset(e->mem, v, len);
		w.io.iov = iov;
		w.io.iovcnt = 2;
	}
	rig_start(&e->rig, &w);
	rc = errors_wait(e, &w);
	if (rc) {
		assert_int_equal(rc, -EIO);
		e->failed++;
	}
	for (uint64_t at = 0; at < len; at += 512) {
		bool *known = &e->known[(offset + at) / 512];

		if (op == STORAGE_READ && !rc && *known)
			assert_memory_equal(e->mem + at, e->shadow + offset + at, 512);
		if (op == STORAGE_WRITE)
			memset(e->shadow + offset + at, v, 512);
		if (op == STORAGE_WRITE_ZEROES)
			memset(e->shadow + offset + at, 0, 512);
		if (op != STORAGE_READ)
			*known = !rc && op != STORAGE_DISCARD;
	}
}

/* How many faults there were; -1: none is told of. */
static inline long errors_faults(const struct rig *rig)
{
	char text[128] = "";

	for (const struct storage *s = rig->s; s; s = storage_below(s))
		if (!strcmp(storage_kind(s), "faulty")) {
			storage_describe(s, text, sizeof(text));
			return strtol(text, NULL, 10);
		}
	return -1;
}

static inline void errors_script(struct suite_errors *e, uint8_t v)
{
	errors_do(e, STORAGE_WRITE, 0, 0, 8192, v);
	errors_do(e, STORAGE_WRITE, STORAGE_FUA, 1536, 512, (uint8_t)(v + 1));
	errors_do(e, STORAGE_READ, 0, 0, 8192, 0);
	errors_do(e, STORAGE_FLUSH, 0, 0, 0, 0);
	errors_do(e, STORAGE_WRITE, 0, 512, ERRORS_AREA / 2, (uint8_t)(v + 2));
	errors_do(e, STORAGE_WRITE_ZEROES, STORAGE_UNMAP, 65536, 131072, 0);
	errors_do(e, STORAGE_DISCARD, 0, 262144, 65536, 0);
	errors_do(e, STORAGE_READ, 0, 4096, ERRORS_AREA / 2, 0);
	errors_do(e, STORAGE_WRITE_ZEROES, STORAGE_FUA, 4608, 1024, 0);
	errors_do(e, STORAGE_WRITE, 0, 4096, 4096, (uint8_t)(v + 3));
	errors_do(e, STORAGE_FLUSH, 0, 0, 0, 0);
	errors_do(e, STORAGE_READ, 0, 0, 16384, 0);
	errors_do(e, STORAGE_WRITE, STORAGE_FUA, ERRORS_AREA - 512, 512, (uint8_t)(v + 4));
}

/* false: nothing has failed, for there were not so many requests. */
static inline bool errors_at(const struct suite_row *row, struct suite_errors *e, const char *kind,
			     unsigned n)
{
	const long before = errors_faults(&e->rig);
	char rule[96];
	bool met;

	snprintf(rule, sizeof(rule), "faulty.rules=%s:op=any:after=%u:times=1", kind, n);
	assert_int_equal(storage_set_options(e->rig.s, rule, NULL), 0);
	e->failed = 0;
	errors_script(e, (uint8_t)(n * 8 + 1));
	met = errors_faults(&e->rig) > before;
	assert_int_equal(e->failed, met && !row->never_fails);
	assert_int_equal(storage_set_options(e->rig.s, "faulty.rules=", NULL), 0);
	errors_do(e, STORAGE_READ, 0, 0, ERRORS_AREA, 0);
	assert_int_equal(e->failed, met && !row->never_fails);
	return met;
}

static inline void suite_errors(void **state)
{
	static const char *const kinds[] = {"error", "short", "torn"};
	const struct suite_row *row = *state;
	struct suite_errors *e = calloc(1, sizeof(*e));
	struct suite_disk d;
	char none[] = "";

	log_setup(LOG_LEVEL_ERR, NULL, NULL);
	suite_up(row, &d);
	d.o.layers.faulty.rules = none;
	e->shadow = calloc(1, ERRORS_AREA);
	e->mem = malloc(ERRORS_AREA);
	memset(e->known, !row->first_unknown, sizeof(e->known));
	suite_rig_open(&d, &e->rig);
	for (unsigned kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		/* Each request fails once as a whole, and one of three in each other way. */
		const unsigned step = kind ? 3 : 1;
		unsigned n = 0;

		while (errors_at(row, e, kinds[kind], n * step))
			n++;
		/* Torn is what a write may be; of those there are fewer. */
		assert_in_range(n, kind ? 1 : 5, 1000);
	}
	suite_rig_close(&e->rig);
	suite_judge(row, &d, false);
	suite_down(&d);
	free(e->shadow);
	free(e->mem);
	free(e);
}

/* ---- all of it ---- */

/*
 * Runs it for @rows, which end with one that has no name, and then @n_more tests of the same subject.
 * @up and @down may be NULL.
 */
static inline int suite_run(const char *name, const struct suite_row *rows,
			    const struct CMUnitTest *more, size_t n_more, CMFixtureFunction up,
			    CMFixtureFunction down)
{
	static const struct {
		const char *name;
		CMUnitTestFunction test;
	} cases[] = {{"model", suite_model}, {"kills", suite_kills}, {"errors", suite_errors}};
	struct CMUnitTest *tests;
	void *state = NULL;
	size_t n = 0, all = 0;
	int rc;

	/* A state of the group's would take the place of a test's own. */
	if (up && up(&state))
		return 1;
	while (rows[all].name)
		all++;
	tests = calloc(all * ARRAY_SIZE(cases) + n_more, sizeof(*tests));
	assert_non_null(tests);
	for (size_t r = 0; r < all; r++)
		for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
			char *text = NULL;

			if ((rows[r].no_kills && cases[c].test == suite_kills) ||
			    (rows[r].has_faults && cases[c].test == suite_errors))
				continue;
			assert_true(asprintf(&text, "%s: %s", rows[r].name, cases[c].name) > 0);
			tests[n++] = (struct CMUnitTest){
				.name = text,
				.test_func = cases[c].test,
				.initial_state = (void *)(uintptr_t)&rows[r]};
		}
	for (size_t i = 0; i < n_more; i++) {
		tests[n + i] = more[i];
		tests[n + i].initial_state = state;
	}
	rc = _cmocka_run_group_tests(name, tests, n + n_more, NULL, NULL);
	if (down)
		down(&state);
	while (n)
		free((char *)(uintptr_t)tests[--n].name);
	free(tests);
	return rc;
}

#endif
