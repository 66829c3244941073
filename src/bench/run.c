/* SPDX-License-Identifier: MIT */
#include "bench/run.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bench/survey.h"
#include "wire/virtio.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PROGRESS_NS  NSEC_PER_SEC
#define LOOK_MS	     100
#define RECONNECT_MS 20
#define ANSWER_MS    10000

struct run {
	struct job *job;
	struct ringside_disk *disk;
	struct lane *lanes;
	unsigned started; /* threads */
	struct gate gate;
	struct survey survey;
	int signal_fd;
	struct result *result;
	progress_fn *progress;
	void *opaque;

	uint64_t phase_ns; /* when it began */
	uint64_t shown_ns, shown_completed, shown_moved;
	uint64_t alive_ns, alive_completed; /* when something last came back */
	uint64_t unreachable_ns;	    /* since when; 0: it is not */
};

static struct ringside_error *ringside_err(struct error *err)
{
	_Static_assert(sizeof(*err) == sizeof(struct ringside_error), "the same text");
	return (struct ringside_error *)(void *)err;
}

static void run_fail(struct run *r, int rc, const char *sentence)
{
	r->result->errors++;
	if (!r->result->why.text[0])
		error_set(&r->result->why, rc, "%s", sentence);
}

/* ---- watching ---- */

static uint64_t completed(const struct run *r, uint64_t *moved, uint64_t *inflight)
{
	uint64_t sum = 0;

	*moved = *inflight = 0;
	for (unsigned i = 0; i < r->started; i++) {
		sum += read_once(&r->lanes[i].completed);
		*moved += read_once(&r->lanes[i].moved);
		*inflight += read_once(&r->lanes[i].inflight);
	}
	return sum;
}

static double part_done(const struct run *r, uint64_t now, uint64_t moved, uint64_t count)
{
	const struct job *job = r->job;
	double part = -1;

	if (gate_phase(&r->gate) == PHASE_RAMP)
		part = (double)(now - r->phase_ns) / (double)job->ramp_ns;
	else if (gate_phase(&r->gate) == PHASE_MEASURE && job->runtime_ns)
		part = (double)(now - r->phase_ns) / (double)job->runtime_ns;
	if (gate_phase(&r->gate) == PHASE_MEASURE && job->ios)
		part = (double)count / (double)job->ios > part ? (double)count / (double)job->ios
							       : part;
	if (gate_phase(&r->gate) == PHASE_MEASURE && job->once)
		part = (double)moved / (double)job->size;
	return part > 1 ? 1 : part;
}

static void run_show(struct run *r, uint64_t now, uint64_t count, uint64_t moved)
{
	double seconds = (double)(now - r->shown_ns) / 1e9;
	struct progress p = {
		.phase = gate_phase(&r->gate),
		.reconnecting = r->unreachable_ns != 0,
		.seconds = (double)(now - r->phase_ns) / 1e9,
		.done = part_done(r, now, moved, count),
		.iops = (double)(count - r->shown_completed) / seconds,
		.bytes = (double)(moved - r->shown_moved) / seconds,
	};

	r->shown_ns = now;
	r->shown_completed = count;
	r->shown_moved = moved;
	r->progress(r->opaque, &p);
}

static void run_watch(struct run *r, uint64_t now)
{
	uint64_t moved, inflight, count = completed(r, &moved, &inflight);

	if (r->progress && now - r->shown_ns >= PROGRESS_NS)
		run_show(r, now, count, moved);
	if (count != r->alive_completed || !inflight || r->unreachable_ns) {
		r->alive_completed = count;
		r->alive_ns = now;
	} else if (now - r->alive_ns >= r->job->timeout_ns) {
		char text[128];

		snprintf(text, sizeof(text),
			 "%" PRIu64 " requests are under way and none came back for %g seconds.",
			 inflight, (double)r->job->timeout_ns / 1e9);
		run_fail(r, -ETIMEDOUT, text);
		gate_go(&r->gate, PHASE_ABANDON);
	}
}

static void take_signal(struct run *r)
{
	struct signalfd_siginfo info;

	if (read(r->signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	gate_go(&r->gate, r->result->signal ? PHASE_ABANDON : PHASE_STOP);
	if (!r->result->signal)
		r->result->signal = (int)info.ssi_signo;
}

/* One look at everything, sleeping @ms at most. */
static void run_look(struct run *r, int ms);

static bool at_rest(struct run *r)
{
	bool rest;

	pthread_mutex_lock(&r->gate.lock);
	rest = r->gate.waiting == r->started;
	pthread_mutex_unlock(&r->gate.lock);
	return rest;
}

static bool abandoned(const struct run *r)
{
	return gate_phase(&r->gate) == PHASE_ABANDON;
}

/* The back end is not there. Everybody rests while we look for it. */
static void run_unreachable(struct run *r)
{
	struct error err = {""};

	if (!r->job->reconnect) {
		run_fail(r, -ENODEV,
			 "the back end went away; --reconnect would wait for it to come back.");
		gate_go(&r->gate, PHASE_ABANDON);
		return;
	}
	r->unreachable_ns = clock_ns();
	gate_hold(&r->gate, true);
	while (!at_rest(r) && !abandoned(r))
		run_look(r, RECONNECT_MS);
	while (!abandoned(r)) {
		if (!ringside_reconnect(r->disk, ringside_err(&err))) {
			r->result->reconnects++;
			break;
		}
		if (clock_ns() - r->unreachable_ns >= r->job->reconnect_ns) {
			run_fail(r, -ETIMEDOUT, err.text);
			gate_go(&r->gate, PHASE_ABANDON);
			break;
		}
		run_look(r, RECONNECT_MS);
	}
	r->unreachable_ns = 0;
	r->alive_ns = clock_ns();
	gate_hold(&r->gate, false);
}

static void take_event(struct run *r)
{
	int events = ringside_process(r->disk);

	if (events < 0) {
		run_fail(r, events, "the disk's new configuration cannot be read");
		gate_go(&r->gate, PHASE_STOP);
		return;
	}
	if (events & RINGSIDE_EVENT_GONE)
		run_unreachable(r);
	if (events & RINGSIDE_EVENT_NEEDS_RESET) {
		run_fail(r, -EIO, "the device gave up and wants to be reset.");
		gate_go(&r->gate, PHASE_ABANDON);
	}
}

static void run_look(struct run *r, int ms)
{
	struct pollfd fds[] = {
		{.fd = r->signal_fd, .events = POLLIN},
		{.fd = r->gate.news_fd, .events = POLLIN},
		{.fd = r->unreachable_ns ? -1 : ringside_event_fd(r->disk), .events = POLLIN},
	};
	bool gone;
	eventfd_t n;

	poll(fds, ARRAY_SIZE(fds), ms);
	if (fds[0].revents)
		take_signal(r);
	if (fds[1].revents)
		(void)eventfd_read(r->gate.news_fd, &n);
	if (fds[2].revents)
		take_event(r);
	pthread_mutex_lock(&r->gate.lock);
	gone = r->gate.gone;
	pthread_mutex_unlock(&r->gate.lock);
	if (gone && !r->unreachable_ns && !abandoned(r))
		run_unreachable(r);
	run_watch(r, clock_ns());
}

/* Until @phase is over by itself (@arrived lanes are through), the time has come, or a signal. */
static void watch_phase(struct run *r, enum phase phase, unsigned arrived, uint64_t until)
{
	for (;;) {
		uint64_t now = clock_ns(), ms = LOOK_MS;
		bool over;

		pthread_mutex_lock(&r->gate.lock);
		over = r->gate.arrived >= arrived;
		pthread_mutex_unlock(&r->gate.lock);
		if (over || gate_phase(&r->gate) > phase || now >= until)
			return;
		ms = min_u64(ms, (until - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC);
		run_look(r, (int)ms);
	}
}

static void begin_phase(struct run *r, enum phase phase)
{
	uint64_t moved, inflight;

	r->shown_ns = r->alive_ns = clock_ns();
	r->shown_completed = completed(r, &moved, &inflight);
	r->shown_moved = moved;
	gate_go(&r->gate, phase);
	r->phase_ns = gate_since(&r->gate);
}

/* ---- the run ---- */

static void sample_backend(struct run *r, struct cpu_use *u)
{
	struct error err;

	if (r->result->backend_known && cpu_use_process(r->job->backend_pid, u, &err))
		r->result->backend_known = false;
}

static bool something_failed(const struct run *r)
{
	for (unsigned i = 0; i < r->started; i++) {
		if (r->lanes[i].errors || r->lanes[i].bad)
			return true;
	}
	return r->result->errors;
}

static void run_conduct(struct run *r)
{
	const unsigned n = r->job->queues;
	struct cpu_use before = {0}, after = {0};

	if (r->started < n) {
		gate_go(&r->gate, PHASE_ABANDON);
		return;
	}
	while (!at_rest(r))
		run_look(r, LOOK_MS);
	sample_backend(r, &before);
	if (r->job->ramp_ns) {
		begin_phase(r, PHASE_RAMP);
		watch_phase(r, PHASE_RAMP, n, r->phase_ns + r->job->ramp_ns);
	}
	/* Ended in the ramp: what the ramp showed is the result. */
	if (gate_phase(&r->gate) <= PHASE_RAMP) {
		sample_backend(r, &before);
		begin_phase(r, PHASE_MEASURE);
		watch_phase(r, PHASE_MEASURE, n,
			    r->job->runtime_ns ? r->phase_ns + r->job->runtime_ns : UINT64_MAX);
	}
	sample_backend(r, &after);
	gate_go(&r->gate, PHASE_STOP);
	watch_phase(r, PHASE_STOP, n, UINT64_MAX);
	r->result->backend = cpu_use_since(&after, &before);
	if (r->job->verify && r->job->writes && !something_failed(r) && !abandoned(r)) {
		begin_phase(r, PHASE_CHECK);
		watch_phase(r, PHASE_CHECK, 2 * n, UINT64_MAX);
		r->result->verified = !abandoned(r);
	}
	gate_go(&r->gate, abandoned(r) || !r->result->verified ? PHASE_ABANDON : PHASE_END);
}

static int add_up(struct run *r)
{
	struct result *res = r->result;
	uint64_t begin = UINT64_MAX, end = 0;
	bool told = false;
	enum phase window = PHASE_SETUP;

	for (unsigned i = 0; i < r->started; i++) {
		const struct lane *l = &r->lanes[i];

		for (unsigned op = 0; op < JOB_OPS; op++) {
			res->tally[op].bytes += l->tally[op].bytes;
			histogram_merge(&res->tally[op].latency, &l->tally[op].latency);
		}
		cpu_use_add(&res->client, &l->cpu);
		res->kicks += l->kicks;
		res->calls += l->calls;
		res->errors += l->errors;
		res->checked += l->checked;
		res->bad += l->bad;
		window = l->window > window ? l->window : window;
		if (l->begin_ns) {
			begin = min_u64(begin, l->begin_ns);
			end = max_u64(end, l->end_ns);
		}
		/* A lane knows better what went wrong than one who sees it from outside. */
		if (l->why.text[0] && !told)
			res->why = l->why;
		told |= l->why.text[0] != 0;
	}
	for (unsigned op = 0; op < JOB_OPS; op++)
		res->requests += res->tally[op].latency.count;
	res->only_ramp = window == PHASE_RAMP;
	res->seconds = end > begin ? (double)(end - begin) / 1e9 : 0;
	return res->errors || res->bad ? -EIO : 0;
}

static int start_lanes(struct run *r, struct error *err)
{
	struct job *job = r->job;
	uint64_t number = 0;
	void *memory;
	int rc;

	rc = ringside_mem_alloc(r->disk, lane_bytes(job) * job->queues, &memory, ringside_err(err));
	if (rc)
		return rc;
	rc = ringside_start(r->disk, ringside_err(err));
	if (rc)
		return rc;
	if (job->zones) {
		rc = survey_before(&r->survey, ringside_queue(r->disk, 0), job, &r->result->info,
				   err);
		if (rc)
			return rc;
	}
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = clock_ns();
	for (unsigned i = 0; i < job->queues; i++) {
		struct lane *l = &r->lanes[i];

		rc = lane_init(l, job, i, number, &r->result->info, ringside_queue(r->disk, i),
			       (uint8_t *)memory + i * lane_bytes(job), &r->gate, &r->survey, err);
		if (rc)
			return rc;
	}
	for (; r->started < job->queues; r->started++) {
		struct lane *l = &r->lanes[r->started];

		rc = thread_start(&l->thread, lane_run, l);
		if (rc)
			return error_set(err, rc, "cannot start a thread");
	}
	return 0;
}

/* The lanes are gone, all they sent is done: so must the write pointers say. */
static void run_survey(struct run *r)
{
	struct error err = {""};

	if (!r->job->zones || something_failed(r))
		return;
	for (unsigned i = 0; i < r->started; i++)
		if (r->lanes[i].abandoned || r->lanes[i].inflight)
			return;
	if (survey_after(&r->survey, ringside_queue(r->disk, 0), r->job, &r->result->info, r->lanes,
			 &err))
		run_fail(r, -EIO, err.text);
}

/* Header, data, status, an append's place; and the ring that the driver sets up unless the target says otherwise. */
#define REQUEST_ENTRIES 3
#define APPEND_ENTRIES	4
#define RING_ENTRIES	256

static int open_target(struct run *r, struct error *err)
{
	struct job *job = r->job;
	/* Zones are known here, of every model. */
	struct ringside_options options = {.queues = job->queues, .zoned = true};
	uint64_t timeout_ms = max_u64(job->timeout_ns / NSEC_PER_MSEC, 1);
	unsigned entries;
	int rc;

	options.timeout_ms = (uint32_t)min_u64(timeout_ms, ANSWER_MS);
	/* A table is one more place to fetch from: no tables where every request fits the ring itself. */
	entries = job->zones == JOB_ZONE_APPEND ? APPEND_ENTRIES : REQUEST_ENTRIES;
	if (job->depth * entries <= RING_ENTRIES)
		options.features_off = BIT64(VIRTIO_F_INDIRECT_DESC);
	rc = ringside_open(job->uri ? job->uri : job->target, &options, &r->disk,
			   ringside_err(err));
	if (rc)
		return rc;
	ringside_get_info(r->disk, &r->result->info);
	return job_fit(job, &r->result->info, err);
}

static int take_signals(struct error *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? error_set(err, -errno, "cannot take signals") : fd;
}

int bench_run(struct job *job, progress_fn *progress, void *opaque, struct result *result,
	      struct error *err)
{
	struct run r = {.job = job, .result = result, .progress = progress, .opaque = opaque};
	int rc;

	*result = (struct result){.backend_known = job->backend_pid != 0};
	result->tally = calloc(JOB_OPS, sizeof(*result->tally));
	if (!result->tally)
		return error_set(err, -ENOMEM, "no memory for the results");
	if (job->backend_pid) {
		rc = cpu_use_process(job->backend_pid, &result->backend, err);
		if (rc)
			return rc;
	}
	r.signal_fd = take_signals(err);
	if (r.signal_fd < 0)
		return r.signal_fd;
	rc = gate_init(&r.gate);
	if (rc) {
		error_set(err, rc, "cannot make an eventfd");
		goto close_signals;
	}
	rc = open_target(&r, err);
	if (rc)
		goto close_disk;
	r.lanes = calloc(job->queues, sizeof(*r.lanes));
	if (!r.lanes) {
		rc = error_set(err, -ENOMEM, "no memory for %u queues", job->queues);
		goto close_disk;
	}
	rc = start_lanes(&r, err);
	if (r.started)
		run_conduct(&r);
	for (unsigned i = 0; i < r.started; i++)
		pthread_join(r.lanes[i].thread, NULL);
	if (!rc) {
		result->ran = true;
		run_survey(&r);
		rc = add_up(&r);
	}
close_disk:
	/* Completes what was abandoned; the lanes' slots have to be there. */
	ringside_close(&r.disk);
	for (unsigned i = 0; r.lanes && i < job->queues; i++)
		lane_fini(&r.lanes[i]);
	free(r.lanes);
	survey_fini(&r.survey);
	gate_fini(&r.gate);
close_signals:
	close(r.signal_fd);
	return rc;
}

void bench_result_fini(struct result *result)
{
	free(result->tally);
	result->tally = NULL;
}
