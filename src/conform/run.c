/* SPDX-License-Identifier: MIT */
#include "conform/run.h"

#include "conform/blk.h"

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Bytes that one request of the runner's own carries. */
#define CHUNK 65536u

/* So many trials in a row that hear nothing at all: nobody is at work behind the socket. */
#define MUTE_MAX 3

struct run {
	const struct conform_options *o;
	struct report *report;
	uint8_t *saved; /* what the disk held where cases write */
	uint32_t saved_len;
	void (*check)(
		struct trial *); /* what it was able to do to begin with, and has to be still */
	bool unsaved;		 /* it could not be read: no case may overwrite it */
	unsigned mute;		 /* trials in a row in which nothing was heard */
	bool gone;		 /* the back end is away for good ... */
	bool missed;		 /* ... and cases could not be run because of it */
};

static bool matches(const char *globs, const char *id)
{
	while (*globs) {
		size_t n = strcspn(globs, ",");
		char glob[128];

		if (n && n < sizeof(glob)) {
			memcpy(glob, globs, n);
			glob[n] = '\0';
			if (!fnmatch(glob, id, 0))
				return true;
		}
		globs += n + (globs[n] == ',');
	}
	return false;
}

bool conform_selected(const struct conform_options *o, const struct case_table *table,
		      const struct conform_case *c)
{
	if ((o->path && table->by == BY_PCI) || (o->pci && table->by == BY_VHOST_USER))
		return false;
	return (!o->only || matches(o->only, c->id)) && !(o->skip && matches(o->skip, c->id));
}

/* One trial from beginning to end; what the function leaves is freed. */
static void run_trial(struct trial *t, const struct conform_options *o,
		      void (*body)(struct trial *))
{
	t->o = o;
	peer_init(&t->peer, o->timeout_ms);
	if (!setjmp(t->end))
		body(t);
	hang_up(t);
}

static void health(struct trial *t)
{
	struct ring *r = disk_up(t, (struct setup){0});

	blk_read(r, 0, 512);
}

/* Counts the trials that ran into silence. */
static void run_listen(struct run *run, const struct trial *t)
{
	run->mute = run->o->path && !t->peer.heard ? run->mute + 1 : 0;
}

/* Whether a well-behaved front end is served. */
static bool run_healthy(const struct run *run, struct trial *t)
{
	memset(t, 0, sizeof(*t));
	run_trial(t, run->o, run->check);
	return t->outcome == OUTCOME_OK;
}

/* What the shell would have started it with: programs that use select() go wrong with a high limit,
 * and one that ignores SIGPIPE does not expect that.  Our own files stay open meanwhile. */
static int run_shell(const struct conform_options *o)
{
	struct sigaction before;
	int rc;

	sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, &before);
	limits_restore_files(&o->files);
	rc = system(o->respawn);
	(void)limits_raise_files(NULL);
	sigaction(SIGPIPE, &before, NULL);
	return rc;
}

static void run_respawn(struct run *run)
{
	struct trial t;

	if (run->o->respawn && !run_shell(run->o) && run_healthy(run, &t))
		return;
	/* Somebody else may watch over it. */
	run->gone = !run_healthy(run, &t);
}

/* The runner's own copying. Sector by sector of what the man page calls the scratch area. */
static void run_copy(struct trial *t, struct run *run, uint32_t type)
{
	struct ring *r = disk_up(t, (struct setup){0});
	uint64_t first = scratch(t, 1);
	struct req q = req_make(t, type, 0, CHUNK);

	for (uint32_t done = 0; done < run->saved_len; done += q.len) {
		q.sector = first + done / 512;
		q.len = (uint32_t)min_u64(CHUNK, run->saved_len - done);
		req_header(t, &q);
		if (type == VIRTIO_BLK_T_OUT)
			memcpy(at(t, q.data, q.len), run->saved + done, q.len);
		req_ok(r, &q);
		if (type == VIRTIO_BLK_T_IN)
			memcpy(run->saved + done, at(t, q.data, q.len), q.len);
	}
}

struct copier {
	struct trial t; /* first: the body is given its address */
	struct run *run;
	const struct trial *of; /* after which is tidied up */
};

static void save_body(struct trial *t)
{
	struct run *run = container_of(t, struct copier, t)->run;
	uint64_t first, end;

	disk_up(t, (struct setup){.stopped = true});
	first = scratch(t, 1);
	end = min_u64((t->o->offset + t->o->size) / 512, capacity(t));
	run->saved_len = (uint32_t)((end - first) * 512);
	run->saved = malloc(run->saved_len);
	if (!run->saved)
		trial_skip(t, "out of memory");
}

static void read_body(struct trial *t)
{
	run_copy(t, container_of(t, struct copier, t)->run, VIRTIO_BLK_T_IN);
}

static void restore_body(struct trial *t)
{
	run_copy(t, container_of(t, struct copier, t)->run, VIRTIO_BLK_T_OUT);
}

/*
 * Reads what cases will overwrite.  A disk that cannot be written has nothing to
 * lose: they will skip.
 */
static void run_save(struct run *run)
{
	struct copier c = {.run = run};

	run_trial(&c.t, run->o, save_body);
	if (c.t.outcome == OUTCOME_SKIPPED)
		return;
	if (c.t.outcome == OUTCOME_OK) {
		memset(&c.t, 0, sizeof(c.t));
		run_trial(&c.t, run->o, read_body);
	}
	run->unsaved = c.t.outcome != OUTCOME_OK;
}

static void reset_body(struct trial *t)
{
	const struct trial *of = container_of(t, struct copier, t)->of;
	struct ring *r = disk_up(t, (struct setup){0});

	for (unsigned i = 0; i < of->n_zones; i++) {
		struct req q = req_make(t, VIRTIO_BLK_T_ZONE_RESET, of->zones[i], 0);

		req_ok(r, &q);
	}
}

static void run_restore(struct run *run, struct trial *t)
{
	struct copier c = {.run = run, .of = t};

	if (!run->saved && !t->n_zones)
		return;
	run_trial(&c.t, run->o, t->n_zones ? reset_body : restore_body);
	if (c.t.outcome == OUTCOME_OK || t->outcome == OUTCOME_FAILED)
		return;
	t->outcome = OUTCOME_FAILED;
	snprintf(t->expected, sizeof(t->expected), "the disk can be written again after the case");
	snprintf(t->got, sizeof(t->got), "%.500s", c.t.got);
}

static void run_case(struct run *run, const struct case_table *table, const struct conform_case *c)
{
	struct trial t = {.c = c}, check;
	bool healthy;

	if (run->gone) {
		run->missed = true;
		t.outcome = OUTCOME_SKIPPED;
		snprintf(t.got, sizeof(t.got), "the back end is gone");
	} else if ((c->needs & CASE_WRITES) && !run->o->allow_writes) {
		t.outcome = OUTCOME_SKIPPED;
		snprintf(t.got, sizeof(t.got), "writes to the disk; needs --allow-writes");
	} else if ((c->needs & CASE_WRITES) && run->unsaved) {
		t.outcome = OUTCOME_SKIPPED;
		snprintf(t.got, sizeof(t.got), "what it would overwrite cannot be read first");
	} else {
		run_trial(&t, run->o, c->run);
		healthy = run_healthy(run, &check);
		/* A case may have nothing to hear; a well-behaved front end is always answered. */
		if (healthy && run->check != reach)
			run->mute = 0;
		else
			run_listen(run, &t);
		if (!healthy) {
			t.outcome = OUTCOME_FAILED;
			snprintf(t.expected, sizeof(t.expected),
				 "the back end serves the next front end");
			snprintf(t.got, sizeof(t.got), "afterwards: %.200s (%.200s)", check.got,
				 check.expected);
			run_respawn(run);
		}
		if ((c->needs & CASE_WRITES) && !run->gone)
			run_restore(run, &t);
	}
	run->gone |= run->mute >= MUTE_MAX;
	report_case(run->report, table, &t);
}

/* The simplest question, with nothing before it that could be answered wrongly. */
static void run_lone_question(struct trial *t)
{
	reach(t);
	(void)ask_u64(t, VHOST_USER_GET_FEATURES);
}

static bool run_answers(const struct run *run)
{
	struct trial t = {0};

	run_trial(&t, run->o, run_lone_question);
	return t.peer.heard;
}

static const char *place(const struct conform_options *o)
{
	return o->pci ? "that place of the PCI bus" : o->path;
}

int conform_run(const struct conform_options *o, struct report *report, struct error *err)
{
	static void (*const checks[])(struct trial *) = {health, dial, reach};
	struct run run = {.o = o, .report = report};
	struct trial t;
	int rc = 0;

	/* A back end that cannot even do a plain read is still told what else is wrong with it. */
	for (unsigned i = 0; i < ARRAY_SIZE(checks); i++) {
		run.check = checks[i];
		if (run_healthy(&run, &t))
			break;
		run_listen(&run, &t);
		/* Where nobody listens the others would only wait once more. */
		if (i + 1 == ARRAY_SIZE(checks) || (o->path && !t.peer.met))
			return error_set(err, -ENOTCONN, "no back end at %s: %s.", place(o), t.got);
	}
	/* One that takes connections and nothing more: no case could tell anything else. */
	if (run.check == reach && run.mute && !run_answers(&run))
		return error_set(err, -ETIMEDOUT, "the back end at %s answers nothing.", o->path);
	run.mute = 0;
	if (o->allow_writes)
		run_save(&run);
	for (const struct case_table *const *table = case_tables; *table; table++)
		for (size_t i = 0; i < (*table)->n; i++)
			if (conform_selected(o, *table, &(*table)->cases[i]))
				run_case(&run, *table, &(*table)->cases[i]);
	if (run.missed)
		rc = error_set(err, -ENOTCONN, "the back end at %s went away.", place(o));
	free(run.saved);
	return rc;
}
