/* SPDX-License-Identifier: MIT */
#include "bench/worker.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* How long a sleeper goes without a look at its orders. */
#define NAP_MS 100

/* So many looks in a row may find nothing before a poller makes pauses between them. */
#define EAGER_LOOKS 64

static size_t stride(const struct job *job)
{
	return align_up(job->size_max, 4096);
}

size_t worker_bytes(const struct job *job)
{
	return stride(job) * job->depth;
}

/* ---- failures: the cold side ---- */

static bool first_failure(const struct worker *w)
{
	return !w->why.text[0];
}

static void request_failed(struct worker *w, const struct slot *s)
{
	w->errors++;
	if (first_failure(w))
		error_set(&w->why, s->req.result, "a %s of %u bytes at offset %" PRIu64 " failed",
			  job_op_name(s->access.op), s->access.len, s->access.offset);
	gate_stop(w->gate);
}

static void sector_bad(struct worker *w, const void *sector, const struct stamp *want,
		       enum stamp_state state)
{
	w->bad++;
	if (first_failure(w))
		stamp_explain(sector, want, state, &w->why);
	gate_stop(w->gate);
}

/* ---- verification ---- */

static void stamp_buffer(struct worker *w, const struct slot *s)
{
	const uint32_t unit = w->ledger.unit;

	for (uint32_t at = 0; at < s->access.len; at += SECTOR_SIZE) {
		uint64_t offset = s->access.offset + at;
		struct stamp stamp = {
			.sector = offset / SECTOR_SIZE,
			.run = w->run,
			.generation = ledger_next(&w->ledger, offset - at % unit),
		};

		stamp_write(s->buf + at, &stamp);
	}
}

static void verify_read(struct worker *w, const struct slot *s)
{
	const uint32_t unit = w->ledger.unit;
	/* A job that does not write reads what another run has written. */
	const bool any_run = !w->job->writes;

	for (uint32_t at = 0; at < s->access.len; at += SECTOR_SIZE) {
		uint64_t offset = s->access.offset + at;
		struct stamp want = {
			.sector = offset / SECTOR_SIZE,
			.run = w->run,
			.generation = ledger_generation(&w->ledger, offset - at % unit),
		};
		enum stamp_state state;

		if (!any_run && !want.generation)
			continue;
		w->checked++;
		state = stamp_check(s->buf + at, &want, any_run);
		if (unlikely(state != STAMP_GOOD))
			sector_bad(w, s->buf + at, &want, state);
	}
}

static void verify_prepare(struct worker *w, const struct slot *s)
{
	if (s->access.op == JOB_WRITE)
		stamp_buffer(w, s);
	for (uint32_t at = 0; s->access.op == JOB_READ && at < s->access.len; at += SECTOR_SIZE)
		stamp_spoil(s->buf + at);
}

static void verify_done(struct worker *w, const struct slot *s)
{
	const struct access *a = &s->access;

	if (a->op == JOB_FLUSH)
		return;
	if (a->op == JOB_READ && !s->req.result)
		verify_read(w, s);
	else if (a->op == JOB_WRITE && !s->req.result)
		ledger_wrote(&w->ledger, a->offset, a->len);
	else if (a->op != JOB_READ)
		ledger_forget(&w->ledger, a->offset, a->len);
	ledger_give(&w->ledger, a->offset, a->len);
}

/* ---- one request ---- */

static uint64_t turn_now(struct worker *w)
{
	if (!w->now_ns)
		w->now_ns = clock_ns();
	return w->now_ns;
}

static void slot_done(struct ringside_request *req)
{
	struct slot *s = req->opaque;
	struct worker *w = s->w;
	uint64_t now;

	write_once(&w->inflight, w->inflight - 1);
	if (unlikely(w->abandoned))
		return;
	now = turn_now(w);
	s->next = w->idle;
	w->idle = s;
	if (w->job->verify)
		verify_done(w, s);
	if (unlikely(req->result)) {
		request_failed(w, s);
		return;
	}
	write_once(&w->completed, w->completed + 1);
	write_once(&w->moved, w->moved + s->access.len);
	if (w->measuring) {
		struct tally *t = &w->tally[s->access.op];

		t->bytes += s->access.len;
		histogram_add(&t->latency, now - s->begun_ns);
		w->end_ns = now;
	}
}

static unsigned cut(struct worker *w, struct slot *s)
{
	uint32_t left = s->access.len;
	unsigned n = 0;

	for (; left; n++) {
		uint32_t len = left < w->segment ? left : w->segment;

		s->iov[n] = (struct iovec){s->buf + (s->access.len - left), len};
		left -= len;
	}
	return n;
}

static void submit(struct worker *w, struct slot *s)
{
	const struct access *a = &s->access;
	struct ringside_range range;

	s->begun_ns = turn_now(w);
	write_once(&w->inflight, w->inflight + 1);
	switch (a->op) {
	case JOB_READ:
		if (likely(a->len <= w->segment))
			ringside_read(w->q, &s->req, a->offset, s->buf, a->len);
		else
			ringside_readv(w->q, &s->req, a->offset, s->iov, cut(w, s));
		break;
	case JOB_WRITE:
		if (likely(a->len <= w->segment))
			ringside_write(w->q, &s->req, a->offset, s->buf, a->len);
		else
			ringside_writev(w->q, &s->req, a->offset, s->iov, cut(w, s));
		break;
	case JOB_DISCARD:
		range.sector = a->offset / SECTOR_SIZE;
		range.sectors = a->len / SECTOR_SIZE;
		ringside_discard(w->q, &s->req, &range, 1);
		break;
	default:
		ringside_flush(w->q, &s->req);
		break;
	}
}

/* ---- a turn ---- */

static bool draw(struct worker *w, struct access *a)
{
	if (!w->checking)
		return pattern_next(&w->pattern, a);
	a->op = JOB_READ;
	return ledger_scan(&w->ledger, &w->check_at, w->job->size_max, &a->offset, &a->len);
}

/* Not yet due: nothing may begin in this turn. */
static bool too_early(struct worker *w)
{
	if (!w->interval_ns || w->checking)
		return false;
	return turn_now(w) < w->due_ns;
}

/* Who falls behind catches up, but not the whole of a long standstill. */
static void count_due(struct worker *w)
{
	uint64_t now = turn_now(w);

	w->due_ns = max_u64(w->due_ns + w->interval_ns,
			    now > NSEC_PER_SEC ? now - NSEC_PER_SEC : 0);
}

/* Whether the request may begin in this turn; with verify its place is taken then. */
static bool may_begin(struct worker *w, const struct access *a)
{
	if (too_early(w))
		return false;
	if (w->job->verify && a->op != JOB_FLUSH && !ledger_take(&w->ledger, a->offset, a->len))
		return false;
	if (w->interval_ns)
		count_due(w);
	return true;
}

/* The next idle slot with its request, unless there is none or it has to wait. */
static struct slot *next_slot(struct worker *w)
{
	struct slot *s = w->idle;

	if (!s)
		return NULL;
	if (unlikely(w->waiting)) {
		s->access = w->drawn;
	} else if (!draw(w, &s->access)) {
		w->over = true;
		return NULL;
	}
	w->waiting = !may_begin(w, &s->access);
	if (unlikely(w->waiting)) {
		w->drawn = s->access;
		return NULL;
	}
	w->idle = s->next;
	return s;
}

static void refill(struct worker *w)
{
	struct slot *s;
	bool some = false;

	while ((s = next_slot(w))) {
		if (w->job->verify)
			verify_prepare(w, s);
		submit(w, s);
		some = true;
	}
	if (some)
		ringside_commit(w->q);
}

static void begin_measuring(struct worker *w)
{
	memset(w->tally, 0, JOB_OPS * sizeof(*w->tally));
	ringside_get_stats(w->q, &w->stats_begin);
	cpu_use_thread(&w->cpu_begin);
	w->begin_ns = w->end_ns = clock_ns();
	w->measuring = true;
}

static void end_measuring(struct worker *w)
{
	struct ringside_stats stats;
	struct cpu_use cpu;

	if (!w->measuring)
		return;
	w->measuring = false;
	cpu_use_thread(&cpu);
	w->cpu = cpu_use_since(&cpu, &w->cpu_begin);
	ringside_get_stats(w->q, &stats);
	w->kicks = stats.kicks - w->stats_begin.kicks;
	w->calls = stats.calls - w->stats_begin.calls;
}

/* Sleeps until something is done or the next request is due, but not for long. */
static void nap_until_due(struct worker *w)
{
	struct pollfd fd = {.fd = ringside_queue_fd(w->q), .events = POLLIN};
	uint64_t now = clock_ns();
	struct timespec ts;

	if (now >= w->due_ns || ringside_arm(w->q))
		return;
	ts = (struct timespec){0, (long)min_u64(NAP_MS * NSEC_PER_MSEC, w->due_ns - now)};
	ppoll(&fd, 1, &ts, NULL);
	ringside_disarm(w->q);
}

/* As ringside_poll(), but sleeps where nothing is done. */
static int nap(struct worker *w)
{
	if (!w->interval_ns || w->checking || !w->waiting || !w->idle)
		return ringside_wait(w->q, NAP_MS);
	nap_until_due(w);
	return 0;
}

/* The queue does not go on. false: neither does the worker. */
static bool survive(struct worker *w, int rc)
{
	const char *why = ringside_why(w->q);

	if (rc == -ENODEV && w->job->reconnect)
		return gate_stranded(w->gate) != PHASE_ABANDON;
	if (first_failure(w)) {
		if (why)
			error_set(&w->why, rc,
				  "queue %u: the back end broke the rules of the ring: %s.",
				  w->index, why);
		else
			error_set(&w->why, rc,
				  "the back end went away with %u requests under way; --reconnect "
				  "would "
				  "wait for it to come back.",
				  w->inflight);
	}
	w->errors++;
	gate_stop(w->gate);
	return false;
}

/* Looks at the orders; false: leave. */
static bool obey(struct worker *w)
{
	unsigned orders = gate_orders(w->gate);

	if (unlikely(orders & GATE_HOLD))
		orders = gate_pass(w->gate, PHASE_SETUP);
	if (unlikely(orders == PHASE_MEASURE && !w->measuring && !w->checking))
		begin_measuring(w);
	if (unlikely(orders == PHASE_STOP && !w->checking))
		w->over = true;
	return orders != PHASE_ABANDON;
}

/* Until the stream ends and nothing is under way; false: given up. */
static bool drive(struct worker *w)
{
	unsigned looks = 0;

	w->over = w->waiting = false;
	while (obey(w)) {
		int rc;

		if (!w->over)
			refill(w);
		if (w->over && !w->inflight)
			return true;
		w->now_ns = 0;
		rc = ringside_poll(w->q, w->job->depth);
		if (!rc && !w->job->poll)
			rc = nap(w);
		if (unlikely(rc < 0)) {
			if (!survive(w, rc))
				return false;
		} else if (rc) {
			looks = 0;
		} else if (w->job->poll && ++looks > EAGER_LOOKS) {
			cpu_relax();
		}
	}
	return false;
}

static void pin(struct worker *w)
{
	const struct job *job = w->job;
	unsigned cpu;
	cpu_set_t set;
	int rc;

	if (!job->cpu_count)
		return;
	cpu = job->cpus[w->index % job->cpu_count];
	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE)
		CPU_SET(cpu, &set);
	rc = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (rc) {
		w->errors++;
		error_set(&w->why, -rc, "cannot keep queue %u on CPU %u", w->index, cpu);
	}
}

void *worker_run(void *worker)
{
	struct worker *w = worker;

	pin(w);
	w->abandoned = w->errors || gate_pass(w->gate, PHASE_RAMP) == PHASE_ABANDON;
	if (w->abandoned)
		gate_stop(w->gate);
	w->due_ns = clock_ns() + w->interval_ns * w->index / w->job->queues;
	if (!w->abandoned)
		w->abandoned = !drive(w);
	end_measuring(w);
	gate_arrive(w->gate);
	if (gate_pass(w->gate, PHASE_CHECK) == PHASE_CHECK && !w->abandoned) {
		w->checking = true;
		w->check_at = w->ledger.begin;
		w->abandoned = !drive(w);
	}
	gate_arrive(w->gate);
	gate_pass(w->gate, PHASE_END);
	return NULL;
}

/* ---- set-up ---- */

static void fill_buffer(struct worker *w, uint8_t *buf)
{
	struct pattern rng = {.random = w->job->seed + w->index};

	for (size_t at = 0; at < stride(w->job); at += sizeof(uint64_t)) {
		uint64_t v = pattern_random(&rng);

		memcpy(buf + at, &v, sizeof(v));
	}
}

int worker_init(struct worker *w, const struct job *job, unsigned index, uint64_t run,
		const struct ringside_info *info, struct ringside_queue *q, void *memory,
		struct gate *gate, struct error *err)
{
	uint8_t *buf = memory;
	size_t cuts;

	*w = (struct worker){.job = job,
			     .gate = gate,
			     .q = q,
			     .index = index,
			     .run = run,
			     .segment = UINT32_MAX};
	if (info->max_segment_bytes)
		w->segment = info->max_segment_bytes;
	cuts = (job->size_max - 1) / w->segment + 1;
	w->tally = calloc(JOB_OPS, sizeof(*w->tally));
	w->slots = calloc(job->depth, sizeof(*w->slots));
	if (cuts > 1)
		w->iovs = calloc(job->depth * cuts, sizeof(*w->iovs));
	if (!w->tally || !w->slots || (cuts > 1 && !w->iovs)) {
		worker_fini(w);
		return error_set(err, -ENOMEM, "no memory for %u requests", job->depth);
	}
	if (job->rate)
		w->interval_ns = NSEC_PER_SEC * job->queues / job->rate;
	pattern_init(&w->pattern, job, index);
	for (unsigned i = job->depth; i--;) {
		struct slot *s = &w->slots[i];

		s->w = w;
		s->buf = buf + i * stride(job);
		s->iov = w->iovs ? w->iovs + i * cuts : NULL;
		s->req.done = slot_done;
		s->req.opaque = s;
		s->next = w->idle;
		w->idle = s;
		fill_buffer(w, s->buf);
	}
	if (job->verify) {
		int rc = ledger_init(&w->ledger, w->pattern.begin, w->pattern.end, job->size_unit,
				     err);

		if (rc) {
			worker_fini(w);
			return rc;
		}
	}
	return 0;
}

void worker_fini(struct worker *w)
{
	ledger_fini(&w->ledger);
	free(w->iovs);
	free(w->slots);
	free(w->tally);
	w->iovs = NULL;
	w->slots = NULL;
	w->tally = NULL;
}
