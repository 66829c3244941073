/* SPDX-License-Identifier: MIT */
#include "bench/lane.h"

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

size_t lane_bytes(const struct job *job)
{
	return stride(job) * job->depth;
}

/* ---- failures: the cold side ---- */

bool lane_first_failure(const struct lane *l)
{
	return !l->why.text[0];
}

void lane_bad(struct lane *l, const struct error *why)
{
	if (lane_first_failure(l))
		l->why = *why;
	gate_stop(l->gate);
}

static void request_failed(struct lane *l, const struct slot *s)
{
	l->errors++;
	if (lane_first_failure(l) && s->access.op > JOB_APPEND)
		error_set(&l->why, s->req.result, "the %s of the zone at offset %" PRIu64 " failed",
			  job_op_name(s->access.op), s->access.offset);
	else if (lane_first_failure(l))
		error_set(&l->why, s->req.result, "%s %s of %u bytes at offset %" PRIu64 " failed",
			  s->access.op == JOB_APPEND ? "an" : "a", job_op_name(s->access.op),
			  s->access.len, s->access.offset);
	gate_stop(l->gate);
}

static void sector_bad(struct lane *l, const void *sector, const struct stamp *want,
		       enum stamp_state state)
{
	l->bad++;
	if (l->job->zones == JOB_ZONE_APPEND)
		lane_append_bad(l, sector, want->sector * SECTOR_SIZE, state);
	else if (lane_first_failure(l))
		stamp_explain(sector, want, state, &l->why);
	gate_stop(l->gate);
}

/* ---- verification ---- */

static void stamp_buffer(struct lane *l, const struct slot *s)
{
	const uint32_t unit = l->ledger.unit;

	for (uint32_t at = 0; at < s->access.len; at += SECTOR_SIZE) {
		uint64_t offset = s->access.offset + at;
		struct stamp stamp = {
			.sector = offset / SECTOR_SIZE,
			.run = l->run,
			.generation = ledger_next(&l->ledger, offset - at % unit),
		};

		stamp_write(s->buf + at, &stamp);
	}
}

static void verify_read(struct lane *l, const struct slot *s)
{
	const uint32_t unit = l->ledger.unit;
	/* A job that does not write reads what another run has written. */
	const bool any_run = !l->job->writes;

	for (uint32_t at = 0; at < s->access.len; at += SECTOR_SIZE) {
		uint64_t offset = s->access.offset + at;
		struct stamp want = {
			.sector = offset / SECTOR_SIZE,
			.run = l->run,
			.generation = ledger_generation(&l->ledger, offset - at % unit),
		};
		enum stamp_state state;

		if (!any_run && !want.generation)
			continue;
		if (l->job->zones == JOB_ZONE_APPEND)
			want = lane_append_stamped(l, offset, at % unit);
		l->checked++;
		state = stamp_check(s->buf + at, &want, any_run);
		if (unlikely(state != STAMP_GOOD))
			sector_bad(l, s->buf + at, &want, state);
	}
}

static void verify_prepare(struct lane *l, struct slot *s)
{
	if (s->access.op == JOB_WRITE)
		stamp_buffer(l, s);
	else if (s->access.op == JOB_APPEND)
		lane_append_stamp(l, s);
	for (uint32_t at = 0; s->access.op == JOB_READ && at < s->access.len; at += SECTOR_SIZE)
		stamp_spoil(s->buf + at);
}

static void verify_done(struct lane *l, const struct slot *s)
{
	const struct access *a = &s->access;

	if (a->op == JOB_FLUSH)
		return;
	if (a->op == JOB_READ && !s->req.result)
		verify_read(l, s);
	else if (a->op == JOB_WRITE && !s->req.result)
		ledger_wrote(&l->ledger, a->offset, a->len);
	else if (a->op != JOB_READ)
		ledger_forget(&l->ledger, a->offset, a->len);
	ledger_give(&l->ledger, a->offset, a->len);
}

/* ---- one request ---- */

static uint64_t turn_now(struct lane *l)
{
	if (!l->now_ns)
		l->now_ns = clock_ns();
	return l->now_ns;
}

static void slot_done(struct ringside_request *req)
{
	struct slot *s = req->opaque;
	struct lane *l = s->l;
	uint64_t now;

	write_once(&l->inflight, l->inflight - 1);
	if (unlikely(l->abandoned))
		return;
	now = turn_now(l);
	s->next = l->idle;
	l->idle = s;
	if (l->zones.n && !l->checking) {
		if (unlikely(!lane_zone_done(l, s)))
			request_failed(l, s);
	} else if (l->job->verify) {
		verify_done(l, s);
	}
	if (unlikely(req->result)) {
		if (l->zones.n && !l->checking)
			return;
		request_failed(l, s);
		return;
	}
	write_once(&l->completed, l->completed + 1);
	write_once(&l->moved, l->moved + s->access.len);
	if (l->measuring && now <= l->until_ns) {
		struct tally *t = &l->tally[s->access.op];

		t->bytes += s->access.len;
		histogram_add(&t->latency, now - s->begun_ns);
		l->last_ns = now;
	}
}

static unsigned lane_cut(struct lane *l, struct slot *s)
{
	uint32_t left = s->access.len;
	unsigned n = 0;

	for (; left; n++) {
		uint32_t len = left < l->segment ? left : l->segment;

		s->iov[n] = (struct iovec){s->buf + (s->access.len - left), len};
		left -= len;
	}
	return n;
}

static void lane_submit(struct lane *l, struct slot *s)
{
	const struct access *a = &s->access;
	struct ringside_range range;

	s->begun_ns = turn_now(l);
	write_once(&l->inflight, l->inflight + 1);
	switch (a->op) {
	case JOB_READ:
		if (likely(a->len <= l->segment))
			ringside_read(l->q, &s->req, a->offset, s->buf, a->len);
		else
			ringside_readv(l->q, &s->req, a->offset, s->iov, lane_cut(l, s));
		break;
	case JOB_WRITE:
		if (likely(a->len <= l->segment))
			ringside_write(l->q, &s->req, a->offset, s->buf, a->len);
		else
			ringside_writev(l->q, &s->req, a->offset, s->iov, lane_cut(l, s));
		break;
	case JOB_DISCARD:
		range.sector = a->offset / SECTOR_SIZE;
		range.sectors = a->len / SECTOR_SIZE;
		ringside_discard(l->q, &s->req, &range, 1);
		break;
	case JOB_FLUSH:
		ringside_flush(l->q, &s->req);
		break;
	default:
		lane_zone_submit(l, s);
		break;
	}
}

/* ---- a turn ---- */

static bool lane_draw(struct lane *l, struct access *a)
{
	if (!l->checking)
		return pattern_next(&l->pattern, a);
	a->op = JOB_READ;
	if (!ledger_scan(&l->ledger, &l->check_at, l->job->size_max, &a->offset, &a->len))
		return false;
	if (l->zones.n)
		lane_zone_cut(l, a);
	return true;
}

/*
 * Not yet due: nothing may begin in this turn.  What is due at the end of the window or later does
 * not begin at all: N a second for a second are N.
 */
static bool too_early(struct lane *l)
{
	if (!l->interval_ns || l->checking)
		return false;
	return l->due_ns >= l->until_ns || turn_now(l) < l->due_ns;
}

/* Who falls behind catches up, but not the whole of a long standstill. */
static void count_due(struct lane *l)
{
	uint64_t now = turn_now(l);

	l->due_ns = max_u64(l->due_ns + l->interval_ns,
			    now > NSEC_PER_SEC ? now - NSEC_PER_SEC : 0);
}

/* Whether the request may begin in this turn; in zones, and with verify, its place is taken then. */
static bool may_begin(struct lane *l, struct slot *s)
{
	const struct access *a = &s->access;

	if (too_early(l))
		return false;
	if (a->op == JOB_FLUSH) {
		/* It has no place. */
	} else if (l->zones.n && !l->checking) {
		if (!lane_zone_take(l, s))
			return false;
	} else if (l->job->verify && !ledger_take(&l->ledger, a->offset, a->len)) {
		return false;
	}
	if (l->interval_ns)
		count_due(l);
	return true;
}

/* The next idle slot with its request, unless there is none or it has to wait. */
static struct slot *next_slot(struct lane *l)
{
	struct slot *s = l->idle;

	if (!s)
		return NULL;
	if (unlikely(l->waiting)) {
		s->access = l->drawn;
	} else if (!lane_draw(l, &s->access)) {
		l->over = true;
		return NULL;
	}
	l->drawn = s->access;
	if (l->zones.n && !l->checking && lane_zone_chore(l, s)) {
		l->waiting = true;
	} else {
		l->waiting = !may_begin(l, s);
		if (unlikely(l->waiting))
			return NULL;
	}
	l->idle = s->next;
	return s;
}

static void lane_refill(struct lane *l)
{
	struct slot *s;
	bool some = false;

	while ((s = next_slot(l))) {
		if (l->job->verify)
			verify_prepare(l, s);
		lane_submit(l, s);
		some = true;
	}
	if (some)
		ringside_commit(l->q);
}

static void window_open(struct lane *l, enum phase phase)
{
	const struct job *job = l->job;

	memset(l->tally, 0, JOB_OPS * sizeof(*l->tally));
	ringside_get_stats(l->q, &l->stats_begin);
	cpu_use_thread(&l->cpu_begin);
	/* For all lanes at once, however late one of them has a CPU: the conductor counts from there. */
	l->begin_ns = gate_since(l->gate);
	l->last_ns = clock_ns();
	l->until_ns = UINT64_MAX;
	if (phase == PHASE_MEASURE && job->runtime_ns)
		l->until_ns = l->begin_ns + job->runtime_ns;
	l->due_ns = l->begin_ns + l->interval_ns * l->index / job->queues;
	l->window = phase;
	l->measuring = true;
}

static void window_close(struct lane *l, uint64_t now)
{
	struct ringside_stats stats;
	struct cpu_use cpu;

	if (!l->measuring)
		return;
	l->measuring = false;
	l->end_ns = min_u64(now, l->until_ns);
	cpu_use_thread(&cpu);
	l->cpu = cpu_use_since(&cpu, &l->cpu_begin);
	ringside_get_stats(l->q, &stats);
	l->kicks = stats.kicks - l->stats_begin.kicks;
	l->calls = stats.calls - l->stats_begin.calls;
}

/* Sleeps until something is done or the next request is due, but not for long. */
static void nap_until_due(struct lane *l)
{
	struct pollfd fd = {.fd = ringside_queue_fd(l->q), .events = POLLIN};
	uint64_t now = clock_ns();
	struct timespec ts;

	if (now >= l->due_ns || ringside_arm(l->q))
		return;
	ts = (struct timespec){0, (long)min_u64(NAP_MS * NSEC_PER_MSEC, l->due_ns - now)};
	ppoll(&fd, 1, &ts, NULL);
	ringside_disarm(l->q);
}

/* As ringside_poll(), but sleeps where nothing is done. */
static int lane_nap(struct lane *l)
{
	if (!l->interval_ns || l->checking || !l->waiting || !l->idle)
		return ringside_wait(l->q, NAP_MS);
	nap_until_due(l);
	return 0;
}

/* The queue does not go on. false: neither does the lane. */
static bool lane_survive(struct lane *l, int rc)
{
	const char *why = ringside_why(l->q);

	if (rc == -ENODEV && l->job->reconnect)
		return gate_stranded(l->gate) != PHASE_ABANDON;
	if (lane_first_failure(l)) {
		if (why)
			error_set(&l->why, rc,
				  "queue %u: the back end broke the rules of the ring: %s.",
				  l->index, why);
		else
			error_set(&l->why, rc,
				  "the back end went away with %u requests under way; --reconnect "
				  "would "
				  "wait for it to come back.",
				  l->inflight);
	}
	l->errors++;
	gate_stop(l->gate);
	return false;
}

/* Looks at the orders; false: leave. */
static bool lane_obey(struct lane *l)
{
	unsigned orders = gate_orders(l->gate);

	if (unlikely(orders & GATE_HOLD))
		orders = gate_pass(l->gate, PHASE_SETUP);
	if (unlikely(orders > (unsigned)l->window && !l->checking)) {
		if (orders < PHASE_STOP)
			window_open(l, (enum phase)orders);
		else
			window_close(l, clock_ns());
		l->over |= orders == PHASE_STOP;
	}
	return orders != PHASE_ABANDON;
}

/* Until the stream ends and nothing is under way; false: given up. */
static bool lane_drive(struct lane *l)
{
	unsigned looks = 0;

	l->over = l->waiting = false;
	while (lane_obey(l)) {
		int rc;

		if (!l->over)
			lane_refill(l);
		if (l->over && !l->inflight)
			return true;
		l->now_ns = 0;
		rc = ringside_poll(l->q, l->job->depth);
		if (!rc && !l->job->poll)
			rc = lane_nap(l);
		if (unlikely(rc < 0)) {
			if (!lane_survive(l, rc))
				return false;
		} else if (rc) {
			looks = 0;
		} else if (l->job->poll && ++looks > EAGER_LOOKS) {
			cpu_relax();
		}
	}
	return false;
}

static void lane_pin(struct lane *l)
{
	const struct job *job = l->job;
	unsigned cpu;
	cpu_set_t set;
	int rc;

	if (!job->cpu_count)
		return;
	cpu = job->cpus[l->index % job->cpu_count];
	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE)
		CPU_SET(cpu, &set);
	rc = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
	if (rc) {
		l->errors++;
		error_set(&l->why, -rc, "cannot keep queue %u on CPU %u", l->index, cpu);
	}
}

void *lane_run(void *lane)
{
	struct lane *l = lane;

	lane_pin(l);
	l->abandoned = l->errors || gate_pass(l->gate, PHASE_RAMP) == PHASE_ABANDON;
	if (l->abandoned)
		gate_stop(l->gate);
	if (!l->abandoned)
		l->abandoned = !lane_drive(l);
	window_close(l, l->abandoned ? clock_ns() : l->last_ns);
	gate_arrive(l->gate);
	if (gate_pass(l->gate, PHASE_CHECK) == PHASE_CHECK && !l->abandoned) {
		l->checking = true;
		l->check_at = l->ledger.begin;
		l->abandoned = !lane_drive(l);
	}
	gate_arrive(l->gate);
	gate_pass(l->gate, PHASE_END);
	return NULL;
}

/* ---- set-up ---- */

static void fill_buffer(struct lane *l, uint8_t *buf)
{
	struct pattern rng = {.random = l->job->seed + l->index};

	for (size_t at = 0; at < stride(l->job); at += sizeof(uint64_t)) {
		uint64_t v = pattern_random(&rng);

		memcpy(buf + at, &v, sizeof(v));
	}
}

int lane_init(struct lane *l, const struct job *job, unsigned index, uint64_t run,
	      const struct ringside_info *info, struct ringside_queue *q, void *memory,
	      struct gate *gate, const struct survey *survey, struct error *err)
{
	uint8_t *buf = memory;
	size_t cuts;

	*l = (struct lane){.job = job,
			   .gate = gate,
			   .q = q,
			   .index = index,
			   .run = run,
			   .segment = UINT32_MAX};
	if (info->max_segment_bytes)
		l->segment = info->max_segment_bytes;
	cuts = (job->size_max - 1) / l->segment + 1;
	l->tally = calloc(JOB_OPS, sizeof(*l->tally));
	l->slots = calloc(job->depth, sizeof(*l->slots));
	if (cuts > 1)
		l->iovs = calloc(job->depth * cuts, sizeof(*l->iovs));
	if (!l->tally || !l->slots || (cuts > 1 && !l->iovs)) {
		lane_fini(l);
		return error_set(err, -ENOMEM, "no memory for %u requests", job->depth);
	}
	if (job->rate > 0)
		l->interval_ns = (uint64_t)(1e9 * job->queues / job->rate);
	pattern_init(&l->pattern, job, index);
	if (job->zones) {
		int rc = lane_zones_init(l, survey, err);

		if (rc) {
			lane_fini(l);
			return rc;
		}
	}
	for (unsigned i = job->depth; i--;) {
		struct slot *s = &l->slots[i];

		s->l = l;
		s->buf = buf + i * stride(job);
		s->iov = l->iovs ? l->iovs + i * cuts : NULL;
		s->req.done = slot_done;
		s->req.opaque = s;
		s->next = l->idle;
		l->idle = s;
		fill_buffer(l, s->buf);
	}
	if (job->verify) {
		int rc = ledger_init(&l->ledger, l->pattern.begin, l->pattern.end, job->size_unit,
				     err);

		if (rc) {
			lane_fini(l);
			return rc;
		}
	}
	return 0;
}

void lane_fini(struct lane *l)
{
	ledger_fini(&l->ledger);
	zonebook_fini(&l->zones);
	free(l->iovs);
	free(l->slots);
	free(l->tally);
	l->iovs = NULL;
	l->slots = NULL;
	l->tally = NULL;
}
